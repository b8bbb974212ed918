"""The end: quick, with all scrapes answered, whatever the API does meanwhile."""

from __future__ import annotations

import base64
import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from gigas_exporter.simulator import SimulatedCloud
from support.programs import Exporter, Process, account_environment, await_true, exporter, running, unanswered
from support.simulator import SimulatorServer
from support.timing import allowed, within
from support.usage import resident_megabytes

AT_MOST_SECONDS = 5.0
ENDS = [signal.SIGTERM, signal.SIGINT]
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def assert_leaves(served: Exporter, number: signal.Signals = signal.SIGTERM, seconds: float = AT_MOST_SECONDS) -> None:
    """It exits with 0 in time."""
    with within(seconds):
        assert served.process.end(number) == 0


def await_opened(process: Process, path: Path) -> None:
    """Wait until a program has a file open."""
    opened = Path(f"/proc/{process.popen.pid}/fd")
    await_true(lambda: str(path) in {os.path.realpath(each) for each in opened.iterdir()})


@contextmanager
def hanging_secrets(directory: Path, *accounts: str) -> Iterator[None]:
    """Put a pipe that nothing ever comes out of in place of each account's secret, until the end of the block."""
    with ExitStack() as held:
        for account in accounts:
            path = directory / f"key-{account}"
            path.unlink()
            os.mkfifo(path)
            held.enter_context(path.open("r+b", buffering=0))
        yield


@pytest.mark.parametrize(
    ("operation", "number"),
    [
        ("create_token", signal.SIGTERM),
        ("list_disks", signal.SIGTERM),
        ("list_disks", signal.SIGINT),
        ("list_backups", signal.SIGTERM),
        ("list_disk_backups", signal.SIGINT),
    ],
)
def test_it_leaves_in_the_middle_of_a_poll(
    tmp_path: Path, cloud: SimulatorServer, operation: str, number: signal.Signals
) -> None:
    """With logins or requests that are never answered it exits with 0 within 5 s, and no executor holds it."""
    cloud.faults.add("hang", operation)
    flags = ["--api.timeout=60s", *(["--backups.source=disk"] if operation == "list_disk_backups" else [])]
    is_ready = operation not in {"list_disks", "create_token"}
    user = cloud.world.credentials("4242")
    login = {"GIGAS_LOGIN": user.login, "GIGAS_PASSWORD": user.password, "GIGAS_API_KEY": ""}
    environ = account_environment(cloud, **(login if operation == "create_token" else {}))
    with exporter(tmp_path, environ, *flags, ready=is_ready) as served:
        await_true(lambda: cloud.requests[operation])
        assert_leaves(served, number)
    assert "Traceback" not in served.process.stderr
    assert f"signal={number.name}" in served.process.stderr


@pytest.mark.parametrize("number", ENDS, ids=lambda each: each.name)
def test_it_leaves_with_success_when_it_has_hardly_begun(
    tmp_path: Path, cloud: SimulatorServer, number: signal.Signals
) -> None:
    """Told so while it still reads its configuration, as a container's first process it would never know of it."""
    config = tmp_path / "config"
    os.mkfifo(config)
    command = [sys.executable, "-m", "gigas_exporter", "serve", "--web.listen-address=127.0.0.1:0"]
    with (
        config.open("r+b", buffering=0),
        running([*command, "--config.file=config"], tmp_path, account_environment(cloud)) as process,
    ):
        await_opened(process, config)
        process.popen.send_signal(signal.SIGHUP)
        with within(1.0):
            assert process.end(number) == 0


@pytest.mark.parametrize("number", ENDS, ids=lambda each: each.name)
def test_it_leaves_while_a_reload_hangs(
    tmp_path: Path, config: Any, clean: dict[str, str], number: signal.Signals
) -> None:
    """Secret files on a file system that hangs hold up neither the end nor scrapes, however many they are."""
    accounts = [str(each) for each in range(4242, 4247)]
    config.write(*accounts)
    with exporter(tmp_path, clean, config.flag, ready=False) as served, hanging_secrets(tmp_path, *accounts):
        served.process.popen.send_signal(signal.SIGHUP)
        await_opened(served.process, tmp_path / "key-4242")
        with within(1.0):
            assert served.answers("/metrics")
        assert_leaves(served, number)


def test_who_waits_for_a_reload_that_hangs_is_told_of_the_end(
    tmp_path: Path, config: Any, clean: dict[str, str]
) -> None:
    """The response is there at once, so that the end need not wait for it in vain."""
    config.write("4242", "4243")
    with (
        exporter(tmp_path, clean, config.flag, "--web.enable-lifecycle") as served,
        hanging_secrets(tmp_path, "4242", "4243"),
        served.send(b"POST /-/reload HTTP/1.1\r\nHost: x\r\n\r\n") as client,
    ):
        await_opened(served.process, tmp_path / "key-4242")
        assert_leaves(served, seconds=1.5)
        with client.makefile("rb") as response:
            assert response.read().endswith(b"not reloaded: the exporter is shutting down\n")


def test_it_leaves_although_many_reloads_wait_their_turn(tmp_path: Path, cloud: SimulatorServer) -> None:
    """Only the reload under way is waited for; those behind it are told that the end has come."""
    cloud.faults.add("hang", "list_disks")
    flags = ("--api.timeout=60s", "--web.enable-lifecycle")
    with exporter(tmp_path, account_environment(cloud), *flags, ready=False) as served, ExitStack() as held:
        await_true(lambda: cloud.requests["list_disks"])
        for _ in range(200):
            held.enter_context(served.send(b"POST /-/reload HTTP/1.1\r\nHost: x\r\n\r\n"))
        await_true(lambda: served.process.stderr.count("Configuration reloaded") >= 2)
        assert_leaves(served)


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Exporter]:
    """An exporter whose page is larger than what the sockets take."""
    world = SimulatedCloud(seed=1, disks=4000, eventful=False)
    with SimulatorServer(world) as cloud, exporter(tmp_path, account_environment(cloud)) as served:
        yield served


def test_it_leaves_in_the_middle_of_many_status_pages(large: Exporter) -> None:
    """A crowd that asks for as many different pages neither holds it nor keeps a scrape waiting."""
    with ExitStack() as held:
        for number in range(200):
            held.enter_context(large.send(b"GET /?q=srv&sort=age&page=%d HTTP/1.1\r\nHost: x\r\n\r\n" % number))
        with within(2.0):
            assert large.answers("/metrics")
        assert_leaves(large)


@pytest.mark.parametrize(
    ("cost", "guesses", "delay_seconds"), [*((12, 60, delay) for delay in (0.05, 0.2, 0.35, 0.5, 0.65)), (18, 1, 0.5)]
)
def test_it_leaves_while_passwords_are_checked(
    tmp_path: Path, cloud: SimulatorServer, cost: int, guesses: int, delay_seconds: float
) -> None:
    """Passwords that wait hold it no longer than the one being checked, nor that one: at 18 it takes 14 s and more."""
    stored = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode().replace("$04$", f"${cost}$")
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{alice: '{stored}'}}", encoding="utf-8")
    flags = [f"--web.config.file={tmp_path}/web.yml"]
    with exporter(tmp_path, account_environment(cloud), *flags, ready=False) as served, ExitStack() as held:
        for number in range(guesses):
            word = base64.b64encode(b"alice:%d" % number)
            held.enter_context(served.send(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %b\r\n\r\n" % word))
        time.sleep(delay_seconds)
        assert_leaves(served)


@contextmanager
def slow_reader(served: Exporter, request: bytes) -> Iterator[socket.socket]:
    """Ask for a page that is larger than what the sockets take."""
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        reader.settimeout(10)
        reader.connect(served.address)
        reader.sendall(request)
        yield reader


def test_a_kept_connection_does_not_hold_it_after_the_last_byte(large: Exporter) -> None:
    """A scrape in flight on a connection that would be kept is answered, and the exit follows at once."""
    with slow_reader(large, SCRAPE) as reader:
        response = http.client.HTTPResponse(reader)
        response.begin()
        large.process.popen.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        response.read()
        with within(1.0):
            assert large.process.popen.wait(60) == 0


def test_it_leaves_while_names_cannot_be_resolved_or_addresses_reached(tmp_path: Path, clean: dict[str, str]) -> None:
    """A connect that gets no answer at all ends with the process."""
    with unanswered() as address:
        environ = {**clean, "GIGAS_API_URL": f"http://127.0.0.1:{address[1]}", "GIGAS_ACCOUNT_ID": "1"}
        environ["GIGAS_API_KEY"] = "none-of-importance"
        with exporter(tmp_path, environ, "--api.timeout=60s", ready=False) as served:
            time.sleep(0.5)
            with within(AT_MOST_SECONDS):
                assert served.process.end() == 0


def test_a_scrape_under_way_is_answered_to_its_end(large: Exporter) -> None:
    """A reader of a large page who is slow gets all of it after the signal, while new ones are refused."""
    with slow_reader(large, SCRAPE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) as reader:
        response = http.client.HTTPResponse(reader)
        response.begin()
        assert response.length is not None
        assert response.length > 4 << 20  # more than the sockets take
        large.process.popen.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert large.process.popen.poll() is None
        with pytest.raises(OSError, match="refused"):
            large.send()
        assert response.read().endswith(b"\n")  # else it raises IncompleteRead
    assert large.process.popen.wait(allowed(AT_MOST_SECONDS)) == 0


def test_who_never_reads_does_not_hold_it(large: Exporter) -> None:
    """Readers that stopped reading cost no copy of the page, and do not hold the end beyond the grace."""
    pid = large.process.popen.pid
    before = resident_megabytes(pid)
    with ExitStack() as held:
        for _ in range(60):
            held.enter_context(large.send(SCRAPE))
        time.sleep(1.0)
        assert resident_megabytes(pid) < before + 40
        assert_leaves(large)


@pytest.mark.parametrize("command", ["collect", "check", "disks"])
@pytest.mark.parametrize("number", ENDS, ids=lambda each: each.name)
def test_commands_can_be_interrupted(
    tmp_path: Path, cloud: SimulatorServer, command: str, number: signal.Signals
) -> None:
    """With an API that never answers, Ctrl-C and SIGTERM end a command at once, without a traceback."""
    cloud.faults.add("hang")
    arguments = ["disks", "list"] if command == "disks" else [command]
    line = [sys.executable, "-m", "gigas_exporter", *arguments, "--api.timeout=60s"]
    with running(line, tmp_path, account_environment(cloud)) as process:
        await_true(cloud.requests.total)
        with within(AT_MOST_SECONDS):
            status = process.end(number)
    assert status == (-signal.SIGTERM if number is signal.SIGTERM else 130)
    assert "Traceback" not in process.stderr
    assert len(process.stderr.split("\n")) <= 3
