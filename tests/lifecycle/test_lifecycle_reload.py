"""Reloads: good configurations are taken at once, bad ones change nothing, and rotated secrets need neither."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from lifecycle.conftest import QUICK, await_polls, seen
from support.programs import Exporter, account_environment, await_true, exporter
from support.simulator import SimulatorServer
from support.timing import within
from support.usage import threads

SUCCESSFUL = "gigas_exporter_config_last_reload_successful"
SUCCESS_AT = "gigas_exporter_config_last_reload_success_timestamp_seconds"


@pytest.fixture
def served(tmp_path: Path, config: Any, clean: dict[str, str]) -> Iterator[Exporter]:
    """An exporter of the configuration file, which may be told to reload over HTTP."""
    with exporter(tmp_path, clean, config.flag, *QUICK, "--web.enable-lifecycle") as served:
        yield served


def by_signal(served: Exporter) -> None:
    """Reload by SIGHUP, which answers nothing."""
    served.process.popen.send_signal(signal.SIGHUP)


def by_request(served: Exporter) -> requests.Response:
    """Reload by the lifecycle endpoint."""
    return served.post("/-/reload")


Reload = Callable[[Exporter], requests.Response | None]
BOTH_WAYS = pytest.mark.parametrize("reload", [by_signal, by_request])


@BOTH_WAYS
def test_accounts_come_and_go(served: Exporter, config: Any, reload: Reload) -> None:
    """An account that was added is polled at once, one that was removed leaves no series at all behind."""
    before = seen(served, SUCCESS_AT)
    config.write("4242", "4243")
    reload(served)
    await_true(lambda: seen(served, "gigas_up", account_id="4243") == 1)
    assert before is not None
    await_true(lambda: (seen(served, SUCCESS_AT) or 0) > before)  # the reload ends when the polls have begun
    config.write("4243")
    reload(served)
    await_true(lambda: seen(served, "gigas_up", account_id="4242") is None)
    assert 'account_id="4242"' not in served.get("/metrics").text
    assert seen(served, "gigas_up", account_id="4243") == 1


def test_a_policy_is_taken_at_once_without_losing_what_is_known(
    served: Exporter, config: Any, cloud: SimulatorServer
) -> None:
    """New limits show although the API answers nothing any more, and the disks stay where they are."""
    await_true(lambda: seen(served, "gigas_disk_backups") is not None)
    cloud.faults.add("status", status=500)
    disks = served.get("/metrics").text.count("gigas_disk_info{")
    config.write("4242", backup_policy=[{"max_age": "5h"}])
    by_signal(served)
    await_true(lambda: seen(served, "gigas_disk_backup_max_age_seconds") == 5 * 3600)
    text = served.get("/metrics").text
    assert text.count("gigas_disk_info{") == disks
    assert text.count("gigas_disk_backup_max_age_seconds{") == disks
    assert served.get("/-/ready").status_code == 200


BAD = {
    "no YAML": ("accounts: [", "config.yml"),
    "unknown key": ('{"api": {"urll": 1}}', "urll"),
    "secret behind a key of an account": ('{"accounts": [{"id": 1, "apikey_CANARY": 1}]}', "accounts[0]"),
    "secret behind a key": ('{"apikey_CANARY": 1}', "an unknown key, not shown here"),
    "no accounts": ('{"accounts": []}', "account"),
    "not a duration": ('{"poll": {"interval": "often"}, "accounts": []}', "poll.interval"),
}
BAD_IN_KEYS = ("not a duration", "secret behind a key of an account")


@pytest.mark.parametrize(
    ("reload", "kinds"),
    [(by_signal, (*BAD, "no file", "no secret file")), (by_request, ("no YAML", *BAD_IN_KEYS, "no secret file"))],
    ids=["by_signal", "by_request"],
)
def test_a_bad_configuration_changes_nothing(
    served: Exporter,
    config: Any,
    cloud: SimulatorServer,
    reload: Reload,
    kinds: Sequence[str],
) -> None:
    """The old one stays in force and is polled, one line names the mistake, the metric shows it, a good one heals.

    The response tells the mistake, too, in place of the 200 where the configuration was taken.
    """
    for what in kinds:
        before, lines = seen(served, SUCCESS_AT), refusals(served)
        if what in BAD:
            config.path.write_text(BAD[what][0], encoding="utf-8")
        elif what == "no file":
            config.path.unlink()
        else:
            config.path.with_name("key-4242").unlink()
        words = BAD[what][1] if what in BAD else "no such file"
        answer = reload(served)
        if answer is not None:
            assert (answer.status_code, "CANARY" in answer.text) == (500, False)
            assert words in answer.text.replace("No", "no")
        await_true(lambda: seen(served, SUCCESSFUL) == 0, what=f"a failed reload of {what}")
        assert seen(served, SUCCESS_AT) == before
        await_true(lambda lines=lines: refusals(served)[len(lines) :])  # type: ignore[misc]
        (line,) = refusals(served)[len(lines) :]
        assert words in line.replace("No", "no"), line
        disk = cloud.world.add_disk("4242").id
        await_true(lambda disk=disk: f'disk_id="{disk}"' in served.get("/metrics").text)  # type: ignore[misc]
        config.write("4242")
        answer = reload(served)
        assert answer is None or answer.status_code == 200
        await_true(lambda: seen(served, SUCCESSFUL) == 1, what=f"healing from {what}")
        assert seen(served, "gigas_up", account_id="4242") == 1
    assert "Traceback" not in served.process.stderr
    assert "CANARY" not in served.process.stderr


def test_a_bad_web_config_is_a_failed_load_until_it_is_good(tmp_path: Path, config: Any, clean: dict[str, str]) -> None:
    """Nobody need tell of the change; a reload of the rest, which is good, does not hide it."""
    web = tmp_path / "web.yml"
    web.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n", encoding="utf-8")
    with exporter(tmp_path, clean, config.flag, *QUICK, f"--web.config.file={web}", "--web.enable-lifecycle") as served:
        assert seen(served, SUCCESSFUL) == 1
        web.write_text("http_server_config: {headers: {X-Frame-Options: perhaps}}\n", encoding="utf-8")
        await_true(lambda: seen(served, SUCCESSFUL) == 0)
        assert served.post("/-/reload").status_code == 200
        assert seen(served, SUCCESSFUL) == 0
        web.write_text("http_server_config: {headers: {X-Frame-Options: sameorigin}}\n", encoding="utf-8")
        await_true(lambda: seen(served, SUCCESSFUL) == 1)
        assert served.get("/").headers["X-Frame-Options"] == "sameorigin"


def refusals(served: Exporter) -> list[str]:
    """The lines that say that a configuration was not taken."""
    return [line for line in served.process.stderr.splitlines() if "Failed to reload configuration" in line]


def test_a_flood_of_requests_costs_few_reloads(
    tmp_path: Path, config: Any, clean: dict[str, str], cloud: SimulatorServer
) -> None:
    """A few wait and share a reload, the others are told to come again, and a scrape is answered meanwhile."""
    cloud.faults.add("hang", "list_disks")  # so that a reload waits a moment for the polls of the one before
    flags = (config.flag, "--api.timeout=60s", "--web.enable-lifecycle")
    with exporter(tmp_path, clean, *flags, ready=False) as served, ExitStack() as held:
        await_true(lambda: cloud.requests["list_disks"] > 0)
        request = b"POST /-/reload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        clients = [held.enter_context(served.send(request)) for _ in range(200)]
        with within(1.0):
            assert served.answers("/metrics")
        answers = [client.makefile("rb").read() for client in clients]
        reloaded = [answer for answer in answers if answer.startswith(b"HTTP/1.1 200 ")]
        refused = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503 ")]
        assert reloaded
        assert len(reloaded) + len(refused) == len(answers)
        assert all(b"\r\nRetry-After: 1\r\n" in answer for answer in refused)
        assert served.process.stderr.count("Configuration reloaded") < len(reloaded) < len(answers) / 4
        cloud.faults.clear()


def refused_reload(served: Exporter) -> str:
    """Ask for a reload that must fail, and return the reason."""
    before, lines = seen(served, SUCCESS_AT), refusals(served)
    answer = served.post("/-/reload")
    assert answer.status_code == 500
    assert seen(served, SUCCESSFUL) == 0
    assert seen(served, SUCCESS_AT) == before
    assert len(refusals(served)) == len(lines) + 1
    return answer.text


def test_clients_that_cannot_be_made_change_nothing(served: Exporter, config: Any, cloud: SimulatorServer) -> None:
    """A file of authorities that was good when it was checked and is bad when it is used leaves the old clients be."""
    authorities = config.path.with_name("authorities.pem")
    os.mkfifo(authorities)

    def give_once() -> None:
        with authorities.open("wb") as pipe:  # waits for who reads it
            authorities.unlink()
            authorities.write_bytes(b"no certificate")
            pipe.write(Path(DEFAULT_CA_BUNDLE_PATH).read_bytes())

    giving = threading.Thread(target=give_once, daemon=True)
    giving.start()
    config.write("4242", "4243", api={"url": cloud.url, "ca_file": str(authorities)})
    assert "authorities.pem" in refused_reload(served)
    giving.join(5)
    assert not giving.is_alive()
    assert seen(served, "gigas_up", account_id="4243") is None
    await_polls(served, "4242")
    assert seen(served, "gigas_up", account_id="4242") == 1
    config.write("4243")
    assert served.post("/-/reload").status_code == 200
    await_polls(served, "4243")
    assert seen(served, "gigas_up", account_id="4243") == 1


def test_without_the_flag_a_reload_over_http_is_forbidden(
    tmp_path: Path, config: Any, clean: dict[str, str], cloud: SimulatorServer
) -> None:
    """403, and nothing is read again."""
    with exporter(tmp_path, clean, config.flag) as served:
        before = seen(served, SUCCESS_AT)
        assert served.post("/-/reload").status_code == 403
        assert seen(served, SUCCESS_AT) == before


def test_reloads_in_quick_succession_leave_one_generation(served: Exporter, cloud: SimulatorServer) -> None:
    """After eight reloads there are as many threads as before, and requests come at the old pace."""
    await_true(lambda: seen(served, "gigas_disk_backups") is not None)
    pid = served.process.popen.pid
    before = threads(pid)
    for _ in range(8):
        assert served.post("/-/reload").status_code == 200
    await_true(lambda: threads(pid) <= before + 3)
    cloud.requests.clear()
    await_polls(served, "4242", 3)
    assert cloud.requests["list_disks"] <= 5


@pytest.mark.parametrize("kind", ["api_key", "login", "token"])
def test_a_rotated_secret_is_read_after_a_refusal(tmp_path: Path, cloud: SimulatorServer, kind: str) -> None:
    """When the API refuses the old secret, the file's new one is taken in the same poll: no poll fails."""
    world, file = cloud.world, tmp_path / "secret"
    user = world.credentials("4242")
    environ = account_environment(cloud)
    del environ["GIGAS_API_KEY"]
    if kind == "api_key":
        file.write_text(user.api_key, encoding="utf-8")
        environ["GIGAS_API_KEY_FILE"] = str(file)
    elif kind == "login":
        file.write_text(user.password, encoding="utf-8")
        environ |= {"GIGAS_LOGIN": user.login, "GIGAS_PASSWORD_FILE": str(file)}
    else:
        file.write_text(world.issue_token(), encoding="utf-8")
        environ["GIGAS_TOKEN_FILE"] = str(file)
    with exporter(tmp_path, environ, *QUICK) as served:
        await_true(lambda: seen(served, "gigas_disk_backups") is not None)
        if kind == "api_key":
            file.write_text("another-key", encoding="utf-8")
            world.credentials("4242").api_key = "another-key"
        elif kind == "login":
            user.password = "another-password"
            file.write_text("another-password", encoding="utf-8")
            world.revoke_tokens()
        else:
            world.revoke_tokens()
            file.write_text(world.issue_token(), encoding="utf-8")
        await_true(lambda: 'code="401"' in served.get("/metrics").text or kind == "token")
        await_polls(served, "4242")
        assert seen(served, "gigas_up") == 1
        if kind != "token":  # between the token's end and the file's new one a poll may come
            assert "Poll failed" not in served.process.stderr
        assert "another-" not in served.process.stderr
