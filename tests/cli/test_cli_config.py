"""``config check``, ``collect``, ``dashboards`` and ``alerts``: what they say, write and refuse."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from cli.conftest import Run
from gigas_exporter.config.schema import ConfigFile
from support.simulator import SimulatorServer

ALONE: dict[str, str | None] = {
    "GIGAS_ACCOUNT_ID": None, "GIGAS_API_KEY": None, "GIGAS_API_URL": None, "GIGAS_API_MAX_REQUESTS_PER_SECOND": None,
}  # fmt: skip


def test_a_valid_file_is_told_in_words(run: Run, config: str) -> None:
    """The rules of the policy, how many requests it will cost, and which command shows all settings."""
    outcome = run("config", "check", config, "--disks", "500", **ALONE)
    assert (outcome.status, outcome.err) == (0, "")
    first, *lines = outcome.out.splitlines()
    assert first == f"{config}: valid"
    assert any("backup_policy[0]: " in line for line in lines)
    assert lines[0] == f"  all settings: gigas-exporter config show --config.file {config}"
    assert sum("requests for 500 disks: about " in line for line in lines) == 2
    assert run("config", "check", config, GIGAS_CONFIG_CHECK_DISKS="500", **ALONE).out == outcome.out


def test_shards_show_who_reads_what(run: Run, config: str) -> None:
    """`--shards N` adds a line for each of N exporters."""
    outcome = run(
        "config", "check", config, "--shards", "2", GIGAS_ACCOUNT_ID=None, GIGAS_API_KEY=None, GIGAS_API_URL=None
    )
    assert outcome.status == 0
    assert [line.split(":")[0].strip() for line in outcome.out.splitlines()[-2:]] == ["shard 1/2", "shard 2/2"]


def test_every_error_has_its_path(run: Run, tmp_path: Path) -> None:
    """All that is wrong, one line each, on stderr; status 2."""
    path = tmp_path / "bad.yml"
    path.write_text("accounts: [{id: '1', api_keyy: x}]\npol: {}\n")
    outcome = run("config", "check", str(path), **ALONE)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.splitlines() == [
        f"{path}:1: accounts[0].api_keyy: unknown key; did you mean api_key?",
        f"{path}:2: pol: unknown key; did you mean poll?",
    ]


def test_a_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    """It is named once."""
    path = tmp_path / "none.yml"
    outcome = run("config", "check", str(path), **ALONE)
    assert (outcome.status, outcome.err) == (2, f"{path}: No such file or directory\n")


def test_without_a_file_what_is_in_force_is_checked(run: Run, config: str, tmp_path: Path) -> None:
    """The file that the environment names, else the environment alone; so a reload that failed can be looked into."""
    named = run("config", "check", **ALONE, GIGAS_CONFIG_FILE=config)
    assert named == run("config", "check", config, **ALONE)
    key, web = tmp_path / "key", tmp_path / "web.yml"
    own = {**ALONE, "GIGAS_ACCOUNT_ID": "1", "GIGAS_API_KEY_FILE": str(key)}
    missing = run("config", "check", **own)
    assert missing.status == 2
    assert missing.err.startswith("GIGAS_API_KEY_FILE: ")
    key.write_text("canary")
    key.chmod(0o644)
    good = run("config", "check", **own)
    assert good.status == 0
    assert good.err == f"warning: other users can read {key} (mode 0644); chmod 600 {key}\n"
    assert good.out.splitlines()[:2] == ["environment: valid", "  all settings: gigas-exporter config show"]
    web.write_text("basic_auth_users: {someone: no-hash-canary}\n")
    wrong = run("config", "check", **own, GIGAS_WEB_CONFIG_FILE=str(web))
    assert wrong.status == 2
    assert wrong.err.startswith(f"{web}: basic_auth_users[0]: not a bcrypt hash")


def test_the_web_config_that_it_names_is_checked(run: Run, config: str) -> None:
    """A file with TLS and passwords that is wrong makes the configuration wrong."""
    with Path(config).open("a") as file:
        file.write("web: {config_file: web.yml}\n")
    web = Path(config).with_name("web.yml")
    missing = run("config", "check", config, **ALONE)
    assert missing.status == 2
    assert missing.err.startswith(f"{config}:5: web.config_file: web config file {web}: ")
    web.write_text("basic_auth_users: {someone: no-hash-canary}\n")
    wrong = run("config", "check", config, **ALONE)
    assert wrong.status == 2
    assert "basic_auth_users[0]: not a bcrypt hash" in wrong.err
    assert "canary" not in wrong.err
    web.write_text("{}\n")
    assert run("config", "check", config, **ALONE).status == 0


def test_what_is_hardly_meant_is_a_warning(run: Run, tmp_path: Path) -> None:
    """A questionable setting is said and is no error."""
    path = tmp_path / "plain.yml"
    path.write_text("api: {url: 'http://api.example'}\naccounts: [{id: '1', api_key: k}]\n")
    outcome = run("config", "check", str(path), **ALONE)
    assert outcome.status == 0
    assert outcome.err.startswith(f"{path}:1: warning: api.url: ")
    misspelt = run("config", "check", str(path), **ALONE, GIGAS_TOKN="s3cret")
    assert misspelt.err.splitlines()[1:] == [
        "warning: environment variable GIGAS_TOKN is not known; did you mean GIGAS_TOKEN?"
    ]


def test_a_secret_that_others_can_read_is_a_warning(run: Run, tmp_path: Path) -> None:
    """With its mode and the command that mends it; not once it is mended."""
    path, key = tmp_path / "gigas.yml", tmp_path / "key"
    path.write_text("accounts:\n  - id: 1\n    api_key_file: key\n")
    key.write_text("canary")
    key.chmod(0o644)
    outcome = run("config", "check", str(path), **ALONE)
    assert outcome.status == 0
    assert outcome.err == (
        f"{path}:3: warning: accounts[0].api_key_file: other users can read {key} (mode 0644); chmod 600 {key}\n"
    )
    path.write_text("discover: true\ncredential: {api_key_file: key}\n")
    assert run("config", "check", str(path), **ALONE).err.startswith(f"{path}:2: warning: credential.api_key_file: ")
    path.write_text("{}")
    own = {"GIGAS_ACCOUNT_ID": "1", "GIGAS_API_KEY": None, "GIGAS_API_KEY_FILE": str(key)}
    words = f"{path}: warning: other users can read {key} (mode 0644); chmod 600 {key}\n"
    assert run("config", "check", str(path), **own).err == words
    key.chmod(0o640)
    assert run("config", "check", str(path), **own).err == ""


def test_collect_writes_the_metrics(run: Run, tmp_path: Path) -> None:
    """To stdout or whole to a file, without what would collide or freeze."""
    shown = run("collect")
    assert (shown.status, shown.err) == (0, "")
    assert 'gigas_up{account_id="4242"} 1' in shown.out
    assert "process_" not in shown.out
    assert "python_info" not in shown.out
    assert "gigas_disk_backup_age_seconds" not in shown.out
    path = tmp_path / "gigas.prom"
    written = run("collect", "--output", str(path))
    assert (written.status, written.out, written.err) == (0, "", "")
    assert path.read_text().count("gigas_disk_info{") == shown.out.count("gigas_disk_info{") == 16


def test_collect_tells_how_often_it_is_run(run: Run) -> None:
    """The interval that is given is the one that rules go by; what is none is wrong usage."""
    told = run("collect", "--interval", "30m").out
    assert 'gigas_exporter_poll_interval_seconds{account_id="4242",resource="disks"} 1800' in told
    assert 'gigas_exporter_poll_interval_seconds{account_id="4242",resource="backups"} 1800' in told
    for wrong in ("0s", "often"):
        assert run("collect", "--interval", wrong).status == 2


def test_collect_writes_a_file_whose_name_is_as_long_as_may_be(run: Run, tmp_path: Path) -> None:
    """The temporary file beside it has a shorter name."""
    path = tmp_path / ("n" * 250 + ".prom")
    assert run("collect", "--output", str(path)).status == 0
    assert "gigas_up" in path.read_text(encoding="utf-8")


def test_collect_removes_what_killed_ones_left(run: Run, tmp_path: Path) -> None:
    """Temporary files that nobody writes to any more; not those of another file, nor of one that is being written."""
    path = tmp_path / "gigas.prom"
    old, young, other = (tmp_path / name for name in (".gigas.prom.abcd1234.tmp", ".gigas.prom.abcd1235.tmp", ".x.tmp"))
    for each in (old, young, other):
        each.write_text("x")
    for each in (old, other):
        os.utime(each, (1.0, 1.0))
    assert run("collect", "--output", str(path)).status == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == [young.name, other.name, path.name]


def test_collect_logs_as_it_is_told(run: Run, config: str, tmp_path: Path) -> None:
    """Only failures where nothing is said; else a flag goes before the variable, the variable before the file."""
    loud = tmp_path / "loud.yml"
    loud.write_text(Path(config).read_text() + "log: {level: info}\n")
    alone: dict[str, str | None] = {"GIGAS_ACCOUNT_ID": None, "GIGAS_API_KEY": None}
    assert "First poll done" not in run("collect").err
    assert "First poll done" in run("collect", GIGAS_LOG_LEVEL="info").err
    assert "First poll done" in run("collect", "--log.level=info", GIGAS_LOG_LEVEL="error").err
    assert "First poll done" not in run("collect", "--config.file", config, **alone).err
    assert "First poll done" in run("collect", "--config.file", str(loud), **alone).err
    assert "First poll done" not in run("collect", "--config.file", str(loud), GIGAS_LOG_LEVEL="error", **alone).err
    assert "[default: error; env: GIGAS_LOG_LEVEL]" in " ".join(run("collect", "--help").out.split())


def test_collect_tells_what_it_could_not_read(run: Run, cloud: SimulatorServer, tmp_path: Path) -> None:
    """An account that cannot be read is status 1 and one line; that it is down is written."""
    cloud.faults.add("status", status=403)
    outcome = run("collect")
    assert outcome.status == 1
    assert outcome.err.startswith("gigas-exporter: account 4242: disks could not be read")
    assert "403" in outcome.err
    assert 'gigas_up{account_id="4242"} 0' in outcome.out
    refused = run("collect", "--output", str(tmp_path / "no" / "such" / "folder.prom"))
    assert refused.status == 1
    assert refused.err.splitlines()[-1].startswith("gigas-exporter: ")


@pytest.mark.parametrize(("command", "suffix"), [("dashboards", ".json"), ("alerts", ".rules.yml")])
def test_the_bundle_is_written_out(run: Run, tmp_path: Path, command: str, suffix: str) -> None:
    """Each written file is named on stdout, and is there."""
    outcome = run(command, str(tmp_path / "out"))
    assert outcome.status == 0, outcome.err
    assert outcome.err.startswith("next: ")
    paths = [Path(line) for line in outcome.out.splitlines()]
    assert paths
    assert all(path.is_file() for path in paths)
    written = [path for path in paths if path.name.endswith(suffix) or path.suffix == Path(suffix).suffix]
    assert written
    for path in written:
        assert json.loads(path.read_text()) if suffix == ".json" else yaml.safe_load(path.read_text())


@pytest.mark.parametrize("command", ["dashboards", "alerts"])
def test_labels_reach_kubernetes_objects(run: Run, tmp_path: Path, command: str) -> None:
    """--label becomes labels; what is no pair is refused."""
    outcome = run(command, str(tmp_path), "--format", "kubernetes", "--label", "team=storage")
    assert outcome.status == 0, outcome.err
    text = "".join(Path(line).read_text() for line in outcome.out.splitlines())
    assert "team: storage" in text
    for wrong in ("storage", "=storage"):
        refused = run(command, str(tmp_path), "--label", wrong)
        assert refused.status == 2
        assert refused.err == f"gigas-exporter: --label {wrong}: write it as NAME=VALUE\n"


def test_init_writes_a_file_that_is_valid(run: Run, tmp_path: Path) -> None:
    """Once the account has a secret; as it is and with every key uncommented it means the defaults."""
    path, key = tmp_path / "gigas.yml", tmp_path / "api_key"
    key.write_text("canary")
    key.chmod(0o600)
    assert run("config", "init", str(path), **ALONE).status == 0
    text = path.read_text()
    assert run("config", "init", **ALONE).out == text
    assert "\\u" not in text
    plain = run("config", "show", "--config.file", str(path), "--output", "json", **ALONE)
    assert plain.status == 0, plain.err
    path.write_text(re.sub(r"^  # ([a-z_]+:|  )", r"  \1", text, flags=re.MULTILINE))
    assert run("config", "check", str(path), **ALONE).err == ""
    uncommented = run("config", "show", "--config.file", str(path), "--output", "json", **ALONE)
    assert uncommented.out == plain.out
    again = run("config", "init", str(path), **ALONE)
    assert again.status == 2
    assert "exists already" in again.err


def test_show_has_every_setting_and_no_secret(run: Run, tmp_path: Path) -> None:
    """Whatever each comes from: a flag goes before a variable, a variable before the file."""
    path = tmp_path / "gigas.yml"
    path.write_text(
        "accounts: [{id: 1, login: me, password: canary-1}, {id: 2, name: two, token: canary-2}]\n"
        "poll: {interval: 90s, max_staleness: 1h}\n"
        "backup_policy: [{match: {mount_point: /srv*}, max_age: 6h, reason: r}, {required: false}]\n"
        "web: {listen_address: '[::1]:1'}\n"
    )
    outcome = run(
        "config", "show", "--config.file", str(path), "--poll.interval", "2m", GIGAS_LOG_LEVEL="debug", **ALONE
    )
    assert outcome.status == 0, outcome.err
    assert "canary" not in outcome.out
    shown = yaml.safe_load(outcome.out)
    assert set(shown) >= {*ConfigFile.model_fields} - {"discover", "credential"}
    assert shown["accounts"] == [
        {"id": "1", "login": "me", "password": "***"},
        {"id": "2", "name": "two", "token": "***"},
    ]
    assert shown["poll"]["interval"] == "2m"
    assert shown["poll"]["max_staleness"] == "1h"
    assert shown["log"]["level"] == "debug"
    assert (shown["api"]["page_size"], shown["api"]["ca_file"]) == (200, None)
    assert shown["backup_policy"] == [
        {"match": {"mount_point": "/srv*"}, "max_age": "6h", "reason": "r"},
        {"required": False},
    ]
