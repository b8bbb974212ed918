"""No secret in any output: all commands, every kind of credential, everything logged, and the API at its worst."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import requests

from gigas_exporter.errors import ConfigError
from gigas_exporter.simulator import SimulatedCloud
from gigas_exporter.web import load_web_config
from support.certificates import self_signed
from support.programs import Exporter, await_true, exporter, run_program
from support.simulator import SimulatorServer

WEB_PASSWORD = "canary-of-the-web"
KINDS = ("api_key", "api_key_file", "token_file", "password", "password_file")

FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("status", {"status": 400}),
    ("status", {"status": 401}),
    ("status", {"status": 403}),
    ("status", {"status": 500}),
    ("redirect", {}),
    ("hang", {}),
    ("reset", {}),
    ("drip_headers", {}),
    ("truncated", {}),
    ("truncated_unframed", {}),
    ("html", {}),
    ("empty", {}),
    ("truncated_json", {}),
    ("not_an_array", {}),
    ("deep_nesting", {}),
    ("invalid_utf8", {}),
    ("wrong_types", {}),
    ("nulls", {}),
    ("long_text", {}),
    ("expired_token", {}),
)

GROUPS = 5
"""So many times several faults are in force together, each now and then."""

COMMANDS = (
    ("collect",),
    ("collect", "--output", "gigas.prom"),
    ("check",),
    ("check", "--output", "json"),
    ("check", "--nagios"),
    ("disks", "list"),
    ("disks", "show", "10001"),
    ("disks", "backups", "10001"),
    ("disks", "backup", "10001", "--yes"),
    ("disks", "edit", "10001", "--size", "90", "--yes"),
    ("disks", "template", "10001", "--label", "x", "--console-id", "3", "--yes"),
    ("disks", "build", "10001", "--yes"),
    ("disks", "delete", "10001", "--yes"),
    ("probe",),
    ("probe", "--output", "json"),
    ("config", "show"),
)


@pytest.fixture
def cloud() -> Iterator[SimulatorServer]:
    """A simulated cloud of one account."""
    with SimulatorServer(SimulatedCloud(seed=3, disks=6, eventful=False)) as server:
        yield server


def credential(kind: str, cloud: SimulatorServer, directory: Path) -> dict[str, str]:
    """The environment of one account with one kind of credential; secrets in files end with a newline, as they do."""
    world = cloud.world
    user, file = world.credentials("4242"), directory / "secret"
    clean = {**os.environ, "GIGAS_API_URL": cloud.url, "GIGAS_ACCOUNT_ID": "4242"}
    secret = {"api_key": user.api_key, "password": user.password, "token": ""}[kind.removesuffix("_file")]
    file.write_text((secret or world.issue_token()) + "\n", encoding="utf-8")
    variable = f"GIGAS_{kind.upper()}"
    login = {"GIGAS_LOGIN": user.login} if kind.startswith("password") else {}
    return {**clean, **login, variable: str(file) if kind.endswith("_file") else secret}


def secrets_of(cloud: SimulatorServer) -> list[str]:
    """All that must be found nowhere, session tokens among it."""
    return [*cloud.world.secrets, *cloud.world.access._tokens]


def leaks(secrets: Iterable[str], outputs: Iterable[tuple[str, str]]) -> set[str]:
    """Where secrets were found; what they are is not said here either."""
    secrets = set(secrets)
    return {where for where, text in outputs for secret in secrets if secret in text}


def test_what_is_searched_for_would_be_found() -> None:
    """The search itself works."""
    assert leaks(["abc"], [("here", "xabcx"), ("there", "ab")]) == {"here"}


class Web:
    """A web config file with TLS and two users, who knows it, and everything in it that is secret."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "web.yml"
        self._certificate, self._key = directory / "web.crt", directory / "web.key"
        self.flag = f"--web.config.file={self._file}"
        self.secrets = {WEB_PASSWORD, WEB_PASSWORD + "-too"}
        self.renew()
        self.session = requests.Session()
        self.session.trust_env = False  # else a bundle that the environment names goes before this one
        self.session.verify = str(self._certificate)
        self.session.auth = ("alice", WEB_PASSWORD)
        self.other_user = requests.auth.HTTPBasicAuth("bob", WEB_PASSWORD + "-too")

    def renew(self, **more: object) -> None:
        """Write a new certificate, where there is none, its key and new hashes."""
        if not self._certificate.exists():
            certificate, key = self_signed()
            self._certificate.write_bytes(certificate)
            self._key.write_bytes(key)
            self.secrets.add(key.decode().splitlines()[1])
        users = {
            name: bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()
            for name, word in (("alice", WEB_PASSWORD), ("bob", WEB_PASSWORD + "-too"))
        }
        self.secrets |= set(users.values())
        tls = {"cert_file": str(self._certificate), "key_file": str(self._key)}
        self.write(json.dumps({"tls_server_config": tls, "basic_auth_users": users, **more}))

    def write(self, text: str) -> None:
        self._file.write_text(text, encoding="utf-8")

    def bad_ones(self) -> Iterator[str]:
        """Files with secrets in the wrong place or form, or in no form at all."""
        key = self._key.read_text(encoding="ascii")
        hashed = next(each for each in self.secrets if each.startswith("$2b$"))
        yield json.dumps({"basic_auth_users": {"alice": WEB_PASSWORD}})
        yield json.dumps({"basic_auth_users": {"bob": hashed + "x"}})
        yield json.dumps({"basic_auth_users": {WEB_PASSWORD + ":": hashed}}).replace(WEB_PASSWORD, "x")
        yield f"basic_auth_users: {{alice: '{hashed}, {WEB_PASSWORD}"
        yield f"basic_auth_users: [{hashed}]"
        yield json.dumps({"tls_server_config": {"cert_file": str(self._certificate), "key": key[:-60]}})
        yield json.dumps({"tls_server_config": {"cert_file": str(self._certificate), "key_file": key}})
        yield json.dumps({"tls_server_config": {"cert": key, "key": key}})
        yield key


def test_serve_tells_no_secret(tmp_path: Path) -> None:
    """Neither log, pages, reload answers nor the command line hold one, whatever goes wrong meanwhile."""

    def found(kind: str) -> set[str]:
        directory = tmp_path / kind
        directory.mkdir()
        with SimulatorServer(SimulatedCloud(seed=3, disks=6, eventful=False)) as cloud:
            return leaks_of_serving(directory, cloud, kind)

    with ThreadPoolExecutor(len(KINDS)) as pool:  # each waits for time to pass
        assert {kind: where for kind, where in zip(KINDS, pool.map(found, KINDS), strict=True) if where} == {}


def leaks_of_serving(directory: Path, cloud: SimulatorServer, kind: str) -> set[str]:
    """Serve with one kind of credential while everything goes wrong, and return where secrets are found."""
    web = Web(directory)
    environ = credential(kind, cloud, directory)
    flags = ["--poll.interval=1s", "--poll.backups-interval=1s", "--api.timeout=300ms", "--log.level=debug"]
    flags += ["--web.enable-lifecycle", "--api.max-requests-per-second=0", web.flag]
    secrets: set[str] = set()
    outputs: list[tuple[str, str]] = []
    with exporter(directory, environ, *flags, session=web.session) as served:
        pid = served.process.popen.pid
        outputs.append(("command line", Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")))
        for group in (FAULTS[first::GROUPS] for first in range(GROUPS)):
            cloud.faults.clear()
            for fault, parameters in group:
                cloud.faults.add(fault, "*", probability=0.5, **parameters)
            cloud.world.revoke_tokens()
            requested = cloud.requests.total()
            await_true(lambda requested=requested: cloud.requests.total() >= requested + 8)  # type: ignore[misc]
            secrets.update(secrets_of(cloud))
            outputs += pages(served)
        if kind == "api_key":  # what the web server refuses does not depend on the API's credential
            outputs += refusals(served, web)
        served.process.popen.send_signal(signal.SIGHUP)
        outputs.append(("reload", served.post("/-/reload").text))
        (directory / "secret").write_text("canary-new\nline", encoding="utf-8")
        outputs.append(("bad reload", served.post("/-/reload").text))
        secrets.update({*secrets_of(cloud), *web.secrets, "canary-new"})
        assert served.process.end() == 0
    outputs.append(("log", served.process.stderr))
    assert "level=debug" in served.process.stderr
    assert "Poll failed" in served.process.stderr
    return leaks(secrets, outputs)


def refusals(served: Exporter, web: Web) -> list[tuple[str, str]]:
    """Ask with good and bad passwords, over plain HTTP too, and with web configs that go bad and good again."""
    assert served.get("/metrics", auth=web.other_user).status_code == HTTPStatus.OK
    found = [
        ("a wrong password", served.get("/metrics", auth=("alice", WEB_PASSWORD + "-wrong")).text),
        ("an unknown user", served.get("/metrics", auth=(WEB_PASSWORD, WEB_PASSWORD)).text),
        ("plain HTTP", requests.get(served.url.replace("https", "http"), auth=web.other_user, timeout=10).text),
    ]
    for number, text in enumerate(web.bad_ones()):
        web.write(text)
        _await_line(served, "Failed to reload web config", number + 1)
        web.renew()  # a failure like the one before is logged once
        _await_line(served, "Reloaded web config", number + 1)
    return found


def _await_line(served: Exporter, message: str, count: int) -> None:
    """Wait until the log has had a message so many times; files are looked at when somebody asks."""

    def is_there() -> bool:
        assert served.answers("/-/healthy")
        return served.process.stderr.count(message) >= count

    await_true(is_there, what=f"{message} {count}")


def test_a_start_with_a_bad_web_config_tells_no_secret(tmp_path: Path, cloud: SimulatorServer) -> None:
    """The one line that says what is wrong with the file holds nothing that is secret in it."""
    web = Web(tmp_path)
    outputs = []
    for number, text in enumerate(web.bad_ones()):
        web.write(text)
        with pytest.raises(ConfigError) as raised:
            load_web_config(tmp_path / "web.yml")
        outputs.append((f"file {number}", str(raised.value)))
    line = [sys.executable, "-m", "gigas_exporter", "serve", "--web.listen-address=127.0.0.1:0", web.flag]
    environ = credential("api_key", cloud, tmp_path)
    done = run_program(*line, env=environ, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"gigas-exporter: {outputs[-1][1]}\n"
    assert [where for where, words in outputs if "\n" in words] == []
    assert leaks({*web.secrets, *secrets_of(cloud)}, outputs) == set()


def pages(served: Exporter) -> list[tuple[str, str]]:
    """Everything that is served."""
    found = [(path, served.get(path).text) for path in ("/", "/metrics", "/-/ready", "/-/healthy", "/nowhere")]
    return [*found, ("openmetrics", served.get("/metrics", headers={"Accept": "application/openmetrics-text"}).text)]


# Imports once for all commands, which takes most of the time of each.
_RUN_ALL = """
import json, os, sys
from gigas_exporter.cli import check, collect
from gigas_exporter.cli.disks import read, write
from gigas_exporter.__main__ import main
commands, statuses = json.load(sys.stdin), {}
for number, (arguments, environ) in enumerate(commands):
    pid = os.fork()
    if not pid:
        os.environ.clear()
        os.environ.update(environ)
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(f"{number}.{name}", os.O_WRONLY | os.O_CREAT, 0o600), descriptor)
        sys.argv = ["gigas-exporter", *arguments]
        sys.exit(main())
    statuses[pid] = number
    for _ in range(len(statuses) if number == len(commands) - 1 else len(statuses) > 2):
        pid, status = os.wait()
        assert os.waitstatus_to_exitcode(status) in {0, 1, 2, 3}, (commands[statuses[pid]][0], status)
        del statuses[pid]
"""


@pytest.mark.parametrize("kind", KINDS)
def test_commands_tell_no_secret(tmp_path: Path, cloud: SimulatorServer, kind: str) -> None:
    """Each command, well and with a fault in turn: stdout, stderr and files hold none, and no traceback is shown."""
    faults = itertools.cycle([None, *(each for each in FAULTS if each[0] != "hang")])
    for _ in range(KINDS.index(kind) * 4):
        next(faults)
    environ = credential(kind, cloud, tmp_path)
    secrets = set(secrets_of(cloud))
    commands = []
    with ExitStack() as servers:
        for command, fault in zip(COMMANDS, faults, strict=False):
            url = cloud.url
            if fault is not None:
                server = servers.enter_context(SimulatorServer(cloud.world))
                server.faults.add(fault[0], "*", **fault[1])
                url = server.url
            commands.append(([*command, "--log.level=debug", "--api.timeout=1s"], {**environ, "GIGAS_API_URL": url}))
        with subprocess.Popen(
            [sys.executable, "-c", _RUN_ALL], cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            json.dump(commands, process.stdin)
            process.stdin.close()
            while process.poll() is None:
                secrets.update(secrets_of(cloud))
                time.sleep(0.05)
            assert process.returncode == 0, process.stderr.read()
    written = [path for path in tmp_path.iterdir() if path.suffix in {".stdout", ".stderr", ".prom"}]
    assert len(written) >= 2 * len(COMMANDS)
    outputs = [(path.name, path.read_text(encoding="utf-8")) for path in written]
    assert leaks(secrets, outputs) == set()
    assert leaks(["Traceback", " --help)"], outputs) == set()
