"""Run real programs in tests: on loopback, with a directory of their own, until the end of a block."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, NoReturn

import pytest
import requests

from support.simulator import SimulatorServer

PATIENCE_SECONDS = 60.0
_FETCHED = Path(__file__).resolve().parents[2] / "build/field-tools/bin"


def give_up(message: str, *, field: bool = False) -> NoReturn:
    """Skip a test for lack of something; fail it in CI, or with ``field`` if ``FIELD`` is ``required``."""
    is_required = os.environ.get("FIELD") == "required" if field else os.environ.get("CI")
    (pytest.fail if is_required else pytest.skip)(message)


def tool(name: str) -> str:
    """Return a program's path; without it, skip the test, or fail it in CI."""
    path = shutil.which(name)
    if path is None:
        give_up(f"{name} is not installed: make tools installs it, or says what to install")
    return path


def node(directory: Path) -> str:
    """Return the path of Node; the packages of ``directory`` must be installed."""
    if not (directory / "node_modules").is_dir():
        give_up(f"{directory.name}: run make node")
    return tool("node")


def field_tool(name: str, *, fetched: bool = True) -> str:
    """Return the path of one of Debian testing's programs, or of an installed one with ``fetched=False``.

    Only tests marked ``field`` need it.
    """
    path = str(_FETCHED / name) if fetched else shutil.which(name)
    if path is None or not Path(path).exists():
        give_up(f"{name} is not installed: run make test-field FIELD=required", field=True)
    return path


def free_port() -> int:
    """Return a free port on loopback, outside the system's range for outgoing connections."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)  # below Linux's ip_local_port_range
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def unanswered(address: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[tuple[str, int]]:
    """Listen with a full queue, so that connection attempts get no response; yield the address."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(address, backlog=0))
        for _ in range(8):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()


def await_true(
    condition: Callable[[], object], seconds: float = PATIENCE_SECONDS, what: str = "it", pause: float = 0.05
) -> None:
    """Wait until a condition holds; fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(pause)


def run_program(
    *command: str | Path, seconds: float = 60, check: bool = True, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; if it fails, fail the test with the end of its output."""
    given = options if "input" in options else {"stdin": subprocess.DEVNULL, **options}
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, check=False, **given
    )
    said = f"{done.stdout[-1500:]}{done.stderr[-1500:]}"
    assert not check or done.returncode == 0, f"{' '.join(map(str, command))}: {said}"
    return done


@dataclass(frozen=True, slots=True)
class Process:
    """A running program and its output."""

    popen: subprocess.Popen[bytes]
    stderr_path: Path

    @property
    def stderr(self) -> str:
        """Its output so far."""
        return self.stderr_path.read_text(encoding="utf-8", errors="replace")

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = PATIENCE_SECONDS) -> int:
        """Send a signal and return the exit status."""
        self.popen.send_signal(number)
        return self.popen.wait(seconds)


@contextmanager
def running(
    command: Sequence[str],
    directory: Path,
    environ: Mapping[str, str] | None = None,
    log: IO[bytes] | int | None = None,
) -> Iterator[Process]:
    """Run a program until the end of the block; its output goes into a file, or to ``log``."""
    stderr_path = directory / f"{Path(command[0]).name}-{time.monotonic_ns()}.log"
    with stderr_path.open("wb") as file:
        to = file if log is None else log
        popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=to, stderr=to, env=environ, cwd=directory)
    try:
        yield Process(popen, stderr_path)
    finally:
        if popen.poll() is None:
            popen.terminate()
            try:
                popen.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait(PATIENCE_SECONDS)


def await_start(process: Process, url: str) -> None:
    """Wait until a program responds with 200; fail with its output if it ends before."""
    await_true(lambda: process.popen.poll() is not None or answers(url), what="its start")
    assert process.popen.poll() is None, process.stderr


def answers(url: str) -> bool:
    """Return whether a GET returns 200."""
    try:
        return requests.get(url, timeout=2).status_code == 200
    except requests.RequestException:
        return False


@dataclass(frozen=True, slots=True)
class Exporter:
    """A running ``gigas-exporter serve``.

    Attributes:
        session: The session for requests over TLS, with authorities and users.
    """

    process: Process
    url: str
    session: requests.Session | None = None

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that it listens on."""
        host, _, port = self.url.rpartition("/")[2].rpartition(":")
        return host, int(port)

    def send(self, request: bytes = b"") -> socket.socket:
        """Open a connection, send some bytes, and return it."""
        client = socket.create_connection(self.address, timeout=20)
        client.sendall(request)
        return client

    def get(self, path: str, **arguments: Any) -> requests.Response:
        """GET a path."""
        return (self.session or requests).get(self.url + path, timeout=10, **arguments)

    def post(self, path: str) -> requests.Response:
        """POST nothing to a path."""
        return (self.session or requests).post(self.url + path, timeout=10)

    def answers(self, path: str) -> bool:
        """Return whether a path returns 200."""
        try:
            return self.get(path).status_code == HTTPStatus.OK
        except requests.RequestException:
            return False


def account_environment(server: SimulatorServer, **changes: str) -> dict[str, str]:
    """Return an environment with only the exporter's variables for the first account of a simulated cloud.

    The limit on requests per second is off, because tests would only wait for it.
    """
    account_id = server.world.account_ids[0]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIGAS_")}
    return {
        **clean,
        "GIGAS_API_URL": server.url,
        "GIGAS_ACCOUNT_ID": account_id,
        "GIGAS_API_KEY": server.world.credentials(account_id).api_key,
        "GIGAS_API_MAX_REQUESTS_PER_SECOND": "0",
        **changes,
    }


@contextmanager
def exporter(
    directory: Path,
    environ: Mapping[str, str],
    *flags: str,
    ready: bool = True,
    session: requests.Session | None = None,
    log: IO[bytes] | int | None = None,
) -> Iterator[Exporter]:
    """Run ``gigas-exporter serve`` on a free port, and wait until it is ready; a session makes requests over TLS."""
    port = free_port()
    listen = f"--web.listen-address=127.0.0.1:{port}"
    command = [sys.executable, "-m", "gigas_exporter", "serve", listen, *flags]
    with running(command, directory, environ, log) as process:
        served = Exporter(process, f"{'http' if session is None else 'https'}://127.0.0.1:{port}", session)
        path = "/-/ready" if ready else "/-/healthy"
        await_true(lambda: process.popen.poll() is not None or served.answers(path), what=f"200 of {path}")
        assert process.popen.poll() is None, process.stderr
        yield served


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    process: Process
    url: str

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return the samples of an instant query: labels and value."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=10).json()
        assert answer["status"] == "success", answer
        return [(each["metric"], float(each["value"][1])) for each in answer["data"]["result"]]

    def one(self, expression: str) -> float | None:
        """Return the value of a query that gives one sample or none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return found[0][1] if found else None


@contextmanager
def prometheus(
    directory: Path, config: str, *files: Path, program: str | None = None, flags: Sequence[str] = ()
) -> Iterator[Prometheus]:
    """Run Prometheus with a configuration until the end of the block; the default program is the system's."""
    path = program or tool("prometheus")
    (directory / "prometheus.yml").write_text(config, encoding="utf-8")
    for file in files:
        shutil.copy(file, directory)
    port = free_port()
    command = [
        path,
        f"--config.file={directory}/prometheus.yml",
        f"--storage.tsdb.path={directory}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
        *flags,
    ]
    with running(command, directory) as process:
        served = Prometheus(process, f"http://127.0.0.1:{port}")
        await_start(process, f"{served.url}/-/ready")
        yield served


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """A running Alertmanager."""

    process: Process
    url: str

    def post(self, *alerts: Mapping[str, Any]) -> None:
        """Send alerts, as Prometheus does."""
        requests.post(f"{self.url}/api/v2/alerts", json=list(alerts), timeout=10).raise_for_status()

    def alerts(self) -> list[dict[str, Any]]:
        """Return its alerts, with what silences or inhibits them."""
        answer: list[dict[str, Any]] = requests.get(f"{self.url}/api/v2/alerts", timeout=10).json()
        return answer


@contextmanager
def alertmanager(directory: Path, config: str, program: str | None = None) -> Iterator[Alertmanager]:
    """Run Alertmanager with a configuration and without a cluster until the end of the block."""
    path = program or tool("prometheus-alertmanager")
    (directory / "alertmanager.yml").write_text(config, encoding="utf-8")
    port = free_port()
    command = [
        path,
        f"--config.file={directory}/alertmanager.yml",
        f"--storage.path={directory}/alertmanager",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    with running(command, directory) as process:
        served = Alertmanager(process, f"http://127.0.0.1:{port}")
        await_start(process, f"{served.url}/-/ready")
        yield served
