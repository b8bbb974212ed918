"""Rude clients against the whole exporter with 10,000 disks, and what a polite scrape then takes.

Knows no limits: ``python tests/soak/rude.py`` prints the figures, and a test holds them to what is allowed.
"""

from __future__ import annotations

import os
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests

from gigas_exporter.simulator import SimulatorServer, World
from support.programs import account_environment, await_true, free_port, running

__all__ = ["Figures", "measure"]

_MEGABYTE: Final = 2**20
_HELD: Final = 300
_NEVER_READING: Final = 100
_TOGETHER: Final = 200
_AT_ONCE: Final = 50
_RECOVERY_SECONDS: Final = 15.0

Address = tuple[str, int]
Attack = Callable[[Address], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Figures:
    """What scrapes took in seconds during an attack, and the exporter's memory in bytes after it."""

    name: str
    answered: int
    asked: int
    median: float
    slowest: float
    resident_bytes: int

    def __str__(self) -> str:
        times = f"median {self.median * 1000:.0f} ms, slowest {self.slowest * 1000:.0f} ms"
        memory = f"{self.resident_bytes / _MEGABYTE:.0f} MB"
        return f"{self.name:34} {self.answered}/{self.asked} answered, {times}, then {memory} resident"


class _Served:
    """The exporter's process, and a polite client."""

    def __init__(self, pid: int, url: str, authority: Path | None) -> None:
        self.pid = pid
        self.url = url
        self._verify: Any = True if authority is None else str(authority)

    @property
    def address(self) -> Address:
        return "127.0.0.1", int(self.url.rpartition(":")[2])

    @property
    def resident_bytes(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def scrape(self) -> tuple[bool, float]:
        """Return whether a scrape on a connection of its own was answered whole, and what it took."""
        began = time.monotonic()
        try:
            answer = requests.get(f"{self.url}/metrics", timeout=10, verify=self._verify)
            good = answer.status_code == requests.codes.ok and b"process_open_fds" in answer.content
        except requests.RequestException:
            good = False
        return good, time.monotonic() - began

    def is_full(self, disks: int) -> bool:
        """Whether the backups of about all disks are shown."""
        with suppress(requests.RequestException):
            answer = requests.get(f"{self.url}/metrics", timeout=10, verify=self._verify)
            return answer.text.count("gigas_disk_backup_age_seconds{") > disks // 2
        return False


@contextmanager
def _nobody(_address: Address) -> Iterator[None]:
    yield


def _holding(count: int, beginning: bytes, receive_bytes: int | None = None) -> Attack:
    """Open connections that say the beginning of something and never go on."""

    @contextmanager
    def attack(address: Address) -> Iterator[None]:
        with ExitStack() as held:
            for _ in range(count):
                client = held.enter_context(socket.socket())
                if receive_bytes is not None:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
                client.settimeout(5)
                client.connect(address)
                client.sendall(beginning)
            yield

    return attack


_HALF_HELLO: Final = bytes.fromhex("16030100c8010000c40303")
_PLAIN: Final[Mapping[str, Attack]] = {
    "nobody else": _nobody,
    f"{_HELD} half-open": _holding(_HELD, b"GET /metrics HTTP/1.1\r\nHost:"),
    f"{_NEVER_READING} that never read": _holding(_NEVER_READING, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 4096),
}
_TLS: Final[Mapping[str, Attack]] = {
    "TLS, nobody else": _nobody,
    f"TLS, {_HELD} unfinished handshakes": _holding(_HELD, _HALF_HELLO),
}


def measure(
    directory: Path, disks: int = 10_000, scrapes: int = 20, web: tuple[Path, Path] | None = None
) -> list[Figures]:
    """Return the figures of each attack, the first being of none.

    Args:
        directory: Where files of the run may lie.
        disks: How many disks there are.
        scrapes: How many are made during each attack.
        web: A web configuration with TLS, and the authority to trust.
    """
    url = f"{'http' if web is None else 'https'}://127.0.0.1:{free_port()}"
    flags = [f"--web.listen-address={url.rpartition('/')[2]}", "--api.page-size=500"]
    flags += [] if web is None else [f"--web.config.file={web[0]}"]
    with SimulatorServer(World(seed=1, disks=disks, eventful=False)) as cloud:
        command = [sys.executable, "-m", "gigas_exporter", "serve", *flags]
        with running(command, directory, account_environment(cloud)) as process:
            served = _Served(process.popen.pid, url, None if web is None else web[1])
            await_true(lambda: served.is_full(disks), seconds=60)
            figures = []
            for name, attack in (_PLAIN if web is None else _TLS).items():
                with attack(served.address):
                    taken = [served.scrape() for _ in range(scrapes)]
                figures.append(_figures(name, taken, served))
            if web is None:
                with ThreadPoolExecutor(_AT_ONCE) as pool:
                    taken = list(pool.map(lambda _: served.scrape(), range(_TOGETHER)))
                figures.append(_figures(f"{_TOGETHER} scrapes, {_AT_ONCE} at once", taken, served))
            return figures


def _figures(name: str, taken: list[tuple[bool, float]], served: _Served) -> Figures:
    end = time.monotonic() + _RECOVERY_SECONDS
    while len(os.listdir(f"/proc/{served.pid}/task")) > _HELD // 10 and time.monotonic() < end:  # noqa: PTH208
        time.sleep(0.1)
    times = [seconds for _, seconds in taken]
    answered = sum(good for good, _ in taken)
    return Figures(name, answered, len(taken), statistics.median(times), max(times), served.resident_bytes)
