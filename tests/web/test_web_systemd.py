"""sd_notify over real sockets."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gigas_exporter.sd_notify import Notifier, Watchdog
from support.timing import ShiftedClock


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A service manager's socket, and its name."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@gigas-exporter-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name[1:] if name.startswith("@") else name)
        receiver.settimeout(5)
        yield receiver, name


def test_each_state_is_told(manager: tuple[socket.socket, str]) -> None:
    """The messages are those of sd_notify(3)."""
    receiver, name = manager
    clock = ShiftedClock()
    clock.monotonic_at = 12.5
    notifier = Notifier({"NOTIFY_SOCKET": name}, clock)
    notifier.ready()
    notifier.reloading()
    notifier.alive()
    notifier.stopping()
    assert [receiver.recv(4096) for _ in range(4)] == [
        b"READY=1",
        b"RELOADING=1\nMONOTONIC_USEC=12500000",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


@pytest.mark.parametrize("name", ["", "relative", "/nowhere/at/all", "@" + "x" * 300, "/" + "x" * 300, "/a\0b"])
def test_a_manager_that_is_not_there_is_no_error(name: str) -> None:
    """Without a usable socket nothing is raised."""
    Notifier({"NOTIFY_SOCKET": name}).ready()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_for_this_process(environ: dict[str, str], seconds: float | None) -> None:
    """The interval counts when it is a positive number and meant for this process."""
    assert Notifier(environ).watchdog_seconds == seconds


def test_the_watchdog_tells_while_the_service_works(manager: tuple[socket.socket, str]) -> None:
    """It speaks twice an interval, falls silent when the service does not work, and ends when told."""
    receiver, name = manager
    working = threading.Event()
    working.set()
    asked = threading.Semaphore(0)

    def healthy() -> bool:
        asked.release()
        if not working.is_set():
            raise RuntimeError("broken")
        return True

    watchdog = Watchdog(Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "100000"}), healthy)
    watchdog.start()
    try:
        assert [receiver.recv(100) for _ in range(2)] == [b"WATCHDOG=1", b"WATCHDOG=1"]
        working.clear()
        assert asked.acquire(timeout=30)
        assert asked.acquire(timeout=30)
        receiver.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                receiver.recv(100)
        receiver.settimeout(0.3)
        with pytest.raises(TimeoutError):
            receiver.recv(100)
    finally:
        watchdog.close()


def test_without_a_watchdog_nothing_is_started() -> None:
    """Nobody asked, so no thread asks the service how it is."""
    before = threading.active_count()
    watchdog = Watchdog(Notifier({}), lambda: True)
    watchdog.start()
    assert threading.active_count() == before
    watchdog.close()
