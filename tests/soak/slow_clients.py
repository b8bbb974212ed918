"""Rude clients against the whole exporter with 10,000 disks, and what a polite scrape then takes.

Knows no limits: ``python tests/soak/slow_clients.py`` prints the figures, and a test holds them to what is allowed.
"""

from __future__ import annotations

import json
import math
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gigas_exporter.inventory import RESOURCES
from gigas_exporter.simulator import SimulatedCloud
from support.certificates import self_signed
from support.programs import account_environment, await_true, free_port, running, tool
from support.simulator import SimulatorServer
from support.usage import resident_megabytes

_HEADER: Final = """\
| beside                                  | answered | median | 95th percentile | memory afterwards |
| --------------------------------------- | -------: | -----: | --------------: | ----------------: |
"""

_HELD: Final = 300
_NEVER_READING: Final = 100
_VISITORS: Final = 200
_TOGETHER: Final[Mapping[str, str]] = {"gzip": "gzip", "uncompressed": "identity"}
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
    percentile95: float
    resident_megabytes: float

    def __str__(self) -> str:
        cells = (
            f"{self.name:39}",
            f"{self.answered}/{self.asked}",
            f"{self.median * 1000:.0f} ms",
            f"{self.percentile95 * 1000:.0f} ms",
            f"{self.resident_megabytes:.0f} MB",
        )
        return f"| {' | '.join(cells)} |"


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
    def connections(self) -> int:
        """How many connections of clients the exporter has not closed yet."""
        port, listening, nobody = f":{self.address[1]:04X}", "0A", "0"
        rows = (row.split() for row in Path(f"/proc/{self.pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:])
        return sum(row[1].endswith(port) and row[3] != listening and row[9] != nobody for row in rows)

    def scrape(self) -> tuple[bool, float]:
        """Return whether a scrape on a connection of its own was answered whole, and what it took."""
        began = time.monotonic()
        try:
            answer = requests.get(f"{self.url}/metrics", timeout=10, verify=self._verify)
            good = answer.status_code == requests.codes.ok and b"process_open_fds" in answer.content
        except requests.RequestException:
            good = False
        return good, time.monotonic() - began

    def scrapes(self, count: int, encoding: str) -> list[tuple[bool, float]]:
        """Return the same of many scrapes at once, which a process of its own makes and only reads."""
        command = [tool("curl"), "--parallel", "--parallel-immediate", "--parallel-max", str(count), "--silent"]
        command += ["--noproxy", "*", "--max-time", "60", "--header", f"Accept-Encoding: {encoding}"]
        command += ["--write-out", r"%{exitcode} %{http_code} %{time_total}\n"]
        command += [word for _ in range(count) for word in ("--output", os.devnull, f"{self.url}/metrics")]
        said = subprocess.run(command, check=False, capture_output=True, text=True).stdout
        answers = [line.split() for line in said.splitlines()]
        taken = [(answer[:2] == ["0", "200"], float(answer[2])) for answer in answers]
        return taken + [(False, math.inf)] * (count - len(taken))

    def has_read_all(self) -> bool:
        """Whether each resource was read whole: until then its memory grows by itself."""
        with suppress(requests.RequestException):
            answer = requests.get(f"{self.url}/metrics", timeout=10, verify=self._verify)
            return len(re.findall(r"^gigas_exporter_poll_success\{.*\} 1$", answer.text, re.MULTILINE)) == len(
                RESOURCES
            )
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
    f"{_VISITORS} status pages at once": _holding(_VISITORS, b"GET /?q=a&sort=age HTTP/1.1\r\nHost: x\r\n\r\n"),
}
_TLS: Final[Mapping[str, Attack]] = {
    "TLS, nobody else": _nobody,
    f"TLS, {_HELD} unfinished handshakes": _holding(_HELD, _HALF_HELLO),
}


def measure(
    directory: Path,
    disks: int = 10_000,
    scrapes: int = 20,
    together: Sequence[int] = (100, 200),
    rounds: int = 5,
    *,
    tls: bool,
) -> Iterator[Figures]:
    """Yield the figures of each attack, the first being of none.

    Args:
        directory: Where files of the run may lie.
        disks: How many disks there are.
        scrapes: How many are made during each attack.
        together: How many are made at once afterwards, in turn.
        rounds: How often each of these is done.
        tls: Whether the exporter speaks TLS, and is attacked there.
    """
    url = f"{'https' if tls else 'http'}://127.0.0.1:{free_port()}"
    flags = [f"--web.listen-address={url.rpartition('/')[2]}", "--api.page-size=500"]
    authority = directory / "cert.pem" if tls else None
    if authority is not None:
        flags.append(f"--web.config.file={_web_config(authority)}")
    with SimulatorServer(SimulatedCloud(seed=1, disks=disks, eventful=False)) as cloud:
        command = [sys.executable, "-m", "gigas_exporter", "serve", *flags]
        with running(command, directory, account_environment(cloud)) as process:
            served = _Served(process.popen.pid, url, authority)
            await_true(served.has_read_all, seconds=120, pause=0.5)  # each look costs the exporter a page
            for name, attack in (_TLS if tls else _PLAIN).items():
                with attack(served.address):
                    taken = [served.scrape() for _ in range(scrapes)]
                yield _figures(name, taken, served)
            for count, (name, encoding) in () if tls else product(together, _TOGETHER.items()):
                taken = [each for _ in range(rounds) for each in served.scrapes(count, encoding)]
                yield _figures(f"{count} scrapes at once, {name}", taken, served)


def _web_config(certificate: Path) -> Path:
    """Write a certificate, its key and a web configuration beside it, which is returned."""
    key, config = certificate.with_name("key.pem"), certificate.with_name("web.yml")
    for file, content in zip((certificate, key), self_signed(), strict=True):
        file.write_bytes(content)
    files = {"cert_file": str(certificate), "key_file": str(key)}
    config.write_text(json.dumps({"tls_server_config": files}), encoding="utf-8")
    return config


def _figures(name: str, taken: list[tuple[bool, float]], served: _Served) -> Figures:
    end = time.monotonic() + _RECOVERY_SECONDS
    while served.connections and time.monotonic() < end:  # their responses are in memory for as long
        time.sleep(0.1)
    times = [seconds for _, seconds in taken]
    answered = sum(good for good, _ in taken)
    late = statistics.quantiles(times, n=20)[-1]
    return Figures(name, answered, len(taken), statistics.median(times), late, resident_megabytes(served.pid))


if __name__ == "__main__":
    sys.stdout.write(_HEADER)
    for tls in (False, True):
        with tempfile.TemporaryDirectory(prefix="gigas-rude-") as name:
            for each in measure(Path(name), tls=tls):
                sys.stdout.write(f"{each}\n")
