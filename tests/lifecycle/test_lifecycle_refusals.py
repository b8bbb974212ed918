"""What is wrong from the start: one line, exit status 2, and nothing asked of the API."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lifecycle.conftest import Run
from support.programs import account_environment, answers, await_true, free_port, run_program, running, tool
from support.simulator import SimulatorServer


def assert_refused(done: subprocess.CompletedProcess[str], cloud: SimulatorServer, *words: str) -> None:
    """It left with 2 and one line that says why."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert cloud.requests.total() == 0


def test_a_port_in_use(run: Run, cloud: SimulatorServer) -> None:
    """Somebody else listens there."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        done = run("serve", f"--web.listen-address={address}", environ=account_environment(cloud))
    assert_refused(done, cloud, address, "in use")


LISTEN = "--web.listen-address"


@pytest.mark.parametrize(
    ("command", "environ", "words"),
    [
        (f"serve {LISTEN}=192.0.2.1:10063", {}, ()),
        (f"serve {LISTEN}=nowhere.invalid:1", {}, ()),
        (f"serve {LISTEN}=127.0.0.1:99999", {}, ()),
        # one of two would be dropped in silence
        ("serve --poll.interval=5s --poll.interval=5s", {}, ("--poll.interval", "is given twice")),
        ("serve --web.enable-lifecycle --web.enable-lifecycle", {}, ("--web.enable-lifecycle", "is given twice")),
        # the file that is not there is named: the configuration itself, or a certificate
        (f"serve {LISTEN}=127.0.0.1:0 --web.config.file=web.yml", {}, ("web.yml",)),
        (f"serve {LISTEN}=127.0.0.1:0 --web.config.file=tls.yml", {}, ("/nowhere/cert.pem",)),
        # secret files: missing, of several lines, empty; the file is named, its content is not
        ("serve", {"GIGAS_API_KEY_FILE": "/nowhere/secret"}, ("/nowhere/secret",)),
        ("serve", {"GIGAS_API_KEY_FILE": "several"}, ("several",)),
        ("collect", {"GIGAS_API_KEY_FILE": "blank"}, ("blank",)),
        ("check", {"GIGAS_API_KEY_FILE": "blank"}, ("blank",)),
    ],
)
def test_what_cannot_be_used_is_refused(
    run: Run, cloud: SimulatorServer, tmp_path: Path, command: str, environ: dict[str, str], *, words: tuple[str, ...]
) -> None:
    """An address that is none of ours, a flag given twice, and a file that is not there or holds nothing."""
    (tmp_path / "tls.yml").write_text("tls_server_config: {cert_file: /nowhere/cert.pem, key_file: /nowhere/key}")
    (tmp_path / "several").write_text("two\nlines")
    (tmp_path / "blank").write_text(" \n")
    key = {"GIGAS_API_KEY": ""} if environ else {}
    done = run(*command.split(), environ=account_environment(cloud, **environ, **key))
    assert_refused(done, cloud, *words)
    assert "lines" not in done.stderr


Powerless = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def powerless(tmp_path: Path) -> Powerless:
    """Run a command with no more permission than any user has; root without capabilities is nobody special."""
    prefix = [tool("setpriv"), "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []

    def run(environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_program(
            *prefix, sys.executable, "-m", "gigas_exporter", *arguments, env=environ, cwd=tmp_path, check=False
        )

    return run


def test_no_permission_to_listen(powerless: Powerless, cloud: SimulatorServer) -> None:
    """A port that only root may have."""
    start = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text(encoding="ascii"))
    if start <= 80:
        pytest.skip("here everybody may listen on any port")
    done = powerless(account_environment(cloud), "serve", "--web.listen-address=127.0.0.1:80")
    assert_refused(done, cloud, "127.0.0.1:80", "ermission")


def test_no_permission_to_read(powerless: Powerless, cloud: SimulatorServer, tmp_path: Path) -> None:
    """A secret file and a configuration file that the user may not read."""
    secret = tmp_path / "secret"
    secret.write_text("canary-of-a-key", encoding="utf-8")
    secret.chmod(0)
    environ = account_environment(cloud, GIGAS_API_KEY="", GIGAS_API_KEY_FILE=str(secret))
    assert_refused(powerless(environ, "serve"), cloud, str(secret), "ermission denied")
    environ = account_environment(cloud, GIGAS_CONFIG_FILE=str(secret), GIGAS_ACCOUNT_ID="", GIGAS_API_KEY="")
    assert_refused(powerless(environ, "serve"), cloud, str(secret), "ermission denied")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("config", "check", "locked.yml"), "locked.yml: may not be read by uid "),
        (("config", "check", "locked/x.yml"), "locked/x.yml: may not be read by uid "),
        (("config", "init", "locked/x.yml"), "cannot write locked/x.yml: may not be written to by uid "),
        (("collect", "--output", "locked/x.prom"), "cannot write locked/x.prom: may not be written to by uid "),
        (("dashboards", "locked"), "cannot write locked/"),
        (("dashboards", "locked/new"), "cannot write into locked/new: may not be written to by uid "),
        (("alerts", "locked"), "cannot write locked/gigas.rules.yml: may not be written to by uid "),
    ],
)
def test_what_a_user_may_not_touch_is_said(
    powerless: Powerless, cloud: SimulatorServer, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    """A file or directory without permission is called no file or directory of another kind."""
    (tmp_path / "locked").mkdir()
    for path in (tmp_path / "locked.yml", tmp_path / "locked"):
        path.touch()
        path.chmod(0)
    done = powerless(account_environment(cloud), *arguments)
    (tmp_path / "locked").chmod(0o700)
    said = done.stderr.removeprefix("gigas-exporter: ")
    assert said.startswith(words)
    assert said.endswith(" (Permission denied); change its owner or mode, or its directory's\n")


def test_a_file_that_may_not_be_read_may_be_replaced(
    powerless: Powerless, cloud: SimulatorServer, tmp_path: Path
) -> None:
    """The user who writes the metrics needs the directory only."""
    (tmp_path / "gigas.prom").touch(mode=0)
    powerless(account_environment(cloud), "collect", "--output", "gigas.prom")
    assert "gigas_up" in (tmp_path / "gigas.prom").read_text(encoding="utf-8")


def test_closed_standard_streams_do_not_keep_it_from_working(tmp_path: Path, cloud: SimulatorServer) -> None:
    """A daemon without stdin, stdout and stderr polls like any other and leaves with 0."""
    command = (
        f"exec {shlex.quote(sys.executable)} -m gigas_exporter serve --web.listen-address=127.0.0.1:0 <&- >&- 2>&-"
    )
    with subprocess.Popen(["/bin/sh", "-c", command], env=account_environment(cloud), cwd=tmp_path) as process:
        try:
            await_true(lambda: cloud.requests["list_disks"])
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            if process.poll() is None:
                process.kill()


def test_several_addresses_are_all_listened_on(tmp_path: Path, cloud: SimulatorServer) -> None:
    """A repeated --web.listen-address adds one; [::] is every address, IPv4 too."""
    first, second = free_port(), free_port()
    flags = [f"--web.listen-address=127.0.0.1:{first}", f"--web.listen-address=[::]:{second}"]
    with running([sys.executable, "-m", "gigas_exporter", "serve", *flags], tmp_path, account_environment(cloud)):
        for port in (first, second):
            await_true(lambda port=port: answers(f"http://127.0.0.1:{port}/-/healthy"))  # type: ignore[misc]
