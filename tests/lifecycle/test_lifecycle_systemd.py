"""What ``serve`` really tells systemd, from its start over reloads to its end."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.programs import account_environment, await_true, exporter
from support.simulator import SimulatorServer

PATIENCE_SECONDS = 15.0


class Manager:
    """A service manager's socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(PATIENCE_SECONDS)

    def hear(self) -> dict[str, str]:
        """The next message, but for those of the watchdog."""
        while True:
            message = dict(line.split("=", 1) for line in self._socket.recv(4096).decode().splitlines())
            if message != {"WATCHDOG": "1"}:
                return message

    def beats(self, seconds: float) -> int:
        """How often the watchdog is fed in so many seconds."""
        count, end = 0, time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                count += b"WATCHDOG=1" in self._socket.recv(4096)
            except TimeoutError:
                break
        self._socket.settimeout(PATIENCE_SECONDS)
        return count

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """A service manager that listens."""
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


def test_each_state_is_told_in_its_order(
    tmp_path: Path, cloud: SimulatorServer, manager: Manager, clean: dict[str, str]
) -> None:
    """READY once it answers, RELOADING and READY around a reload whether it went well or not, STOPPING at the end."""
    environ = account_environment(cloud, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="400000")
    with exporter(tmp_path, environ, "--web.enable-lifecycle") as served:
        assert manager.hear()["READY"] == "1"
        assert 2 <= manager.beats(1.2) <= 8
        before = time.monotonic()
        served.process.popen.send_signal(signal.SIGHUP)
        reloading = manager.hear()
        assert reloading["RELOADING"] == "1"
        assert before <= int(reloading["MONOTONIC_USEC"]) / 1e6 <= time.monotonic()
        assert manager.hear()["READY"] == "1"
        assert manager.beats(0.6) >= 1
        assert served.process.end() == 0
        assert manager.hear()["STOPPING"] == "1"


def test_it_is_ready_before_the_api_answers_and_stays_alive_without_it(
    tmp_path: Path, cloud: SimulatorServer, manager: Manager
) -> None:
    """An API that hangs keeps systemd from neither the start nor the watchdog: restarts would not help."""
    cloud.faults.add("hang")
    environ = account_environment(cloud, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="400000")
    with exporter(tmp_path, environ, ready=False) as served:
        assert manager.hear()["READY"] == "1"
        await_true(lambda: manager.beats(0.5) >= 1)
        assert served.get("/-/ready").status_code == 503
        assert served.get("/-/healthy").status_code == 200
