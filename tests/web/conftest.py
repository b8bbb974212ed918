"""What the web tests share: servers on loopback, a raw client, certificates."""

from __future__ import annotations

import asyncio
import inspect
import socket
import ssl
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import pytest
import trustme
from cryptography import x509

from gigas_exporter.clock import SystemClock
from gigas_exporter.metrics.exposition import OPENMETRICS, TEXT, Exposition
from gigas_exporter.web import (
    Handler,
    Request,
    Response,
    Server,
    ServerLimits,
    WebConfig,
    build_routes,
    load_web_config,
)

BlockingHandler = Callable[[Request], Response]
Serve = Callable[..., Server]


def in_thread(handler: BlockingHandler) -> Handler:
    """Return a handler that calls one which may block."""

    async def handle(request: Request) -> Response:
        return await asyncio.to_thread(handler, request)

    return handle


def echo(request: Request) -> Response:
    """Answer with what was asked."""
    return Response(200, {"Content-Type": "text/plain"}, (f"{request.method} {request.path}\n".encode(),))


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers look ten times a second whether their web config has changed."""
    monkeypatch.setattr("gigas_exporter.web.access_control._CHECK_SECONDS", 0.1)


def written(directory: Path, text: str) -> WebConfig:
    """Write a web config file and load it."""
    path = directory / "web.yml"
    path.write_text(text, encoding="utf-8")
    return load_web_config(path)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers that end with the test, within a second."""
    with ExitStack() as stack:

        def start(
            handler: BlockingHandler | Handler | None = None,
            web_config: WebConfig | None = None,
            limits: ServerLimits | None = None,
        ) -> Server:
            if handler is None or not inspect.iscoroutinefunction(handler):
                handler = in_thread(cast(BlockingHandler, handler or echo))
            server = Server([("127.0.0.1", 0)], handler, web_config, SystemClock(), limits=limits)
            stack.callback(server.close, 0.2)
            server.start()
            return server

        yield start


class RecordedPage:
    """Metrics of one series; ``asked`` holds the formats that were asked for, OpenMetrics and gzip."""

    def __init__(self) -> None:
        self.asked: list[tuple[bool, bool]] = []

    def render(self, *, openmetrics: bool, gzip: bool) -> Exposition:
        self.asked.append((openmetrics, gzip))
        text = b'# TYPE gigas_up gauge\ngigas_up{account_id="4242"} 1\n' + (b"# EOF\n" if openmetrics else b"")
        chunks = (zlib.compress(text, wbits=31),) if gzip else (text,)
        return Exposition(chunks, OPENMETRICS if openmetrics else TEXT, "gzip" if gzip else None)


def routes_of(
    page: RecordedPage | None = None,
    *,
    telemetry_path: str = "/metrics",
    ready: str | None = None,
    healthy: bool = True,
    reload: Callable[[], Awaitable[str | None]] | None = None,
) -> Handler:
    """Return what answers each path; the index answers with the query's ``q``."""

    async def index(request: Request) -> Response:
        return Response(200, {"Content-Type": "text/html"}, (request.query.get("q", "").encode(),))

    return build_routes(
        page or RecordedPage(),
        telemetry_path=telemetry_path,
        ready=lambda: ready,
        healthy=lambda: healthy,
        reload=reload,
        index=index,
    )


@dataclass
class Answer:
    """A response as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """A client that writes what it is told, well-formed or not."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        timeout: float = 10.0,
        tls: ssl.SSLContext | None = None,
        source: str = "127.0.0.1",
    ) -> None:
        source_address = None if ":" in address[0] else (source, 0)
        self.socket: Any = socket.create_connection(address, timeout=timeout, source_address=source_address)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def begin(self, target: str = "/", *, method: str = "GET", headers: str = "") -> None:
        """Send a well-formed request."""
        self.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())

    def ask(self, target: str = "/", *, method: str = "GET", headers: str = "") -> Answer:
        """Send a well-formed request and read its response."""
        self.begin(target, method=method, headers=headers)
        return self.answer(head_only=method == "HEAD")

    def answer(self, *, head_only: bool = False) -> Answer:
        """Read one response."""
        while b"\r\n\r\n" not in self.received:
            self._more()
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        length = 0 if head_only else int(headers.get("content-length", "0"))
        while len(self.received) < length:
            self._more()
        body, self.received = self.received[:length], self.received[length:]
        return Answer(int(lines[0].split(" ")[1]), headers, body)

    def is_ended(self) -> bool:
        """Return whether the server ended the connection, after reading what it still said."""
        try:
            while data := self.socket.recv(65536):
                self.received += data
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(f"the connection ended after {self.received[:200]!r}")
        self.received += data


Connect = Callable[..., Wire]


@pytest.fixture
def wire() -> Iterator[Connect]:
    """Open connections to a server that are closed with the test."""
    with ExitStack() as stack:

        def connect(server: Server, **options: Any) -> Wire:
            return stack.enter_context(Wire(server.address, **options))

        yield connect


@pytest.fixture
def connect(serve: Serve, wire: Connect) -> Connect:
    """Start a server and open a connection to it."""

    def start(*arguments: Any, limits: ServerLimits | None = None, **options: Any) -> Wire:
        return wire(serve(*arguments, limits=limits), **options)

    return start


@contextmanager
def in_threads(count: int, work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Do something in many threads until the end of the block, which each of them is told by an event."""
    stop = threading.Event()
    with ThreadPoolExecutor(count) as pool:
        working = [pool.submit(work, stop) for _ in range(count)]
        try:
            yield
        finally:
            stop.set()
    assert [each.exception() for each in working] == [None] * count


class Pki:
    """A directory with a CA's certificate, and one for a server and one for a client."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(directory / "ca.crt")
        self.issue("server")
        self.issue("client", "scraper")

    def issue(self, file: str, name: str = "localhost", *, authority: trustme.CA | None = None) -> int:
        """Write a new certificate and its key, and return its serial number; each file appears whole."""
        issued = (authority or self._authority).issue_cert(name, "localhost", "127.0.0.1", "2001:db8::1")
        issued.cert_chain_pems[0].write_to_path(self.directory / f"{file}.crt")
        issued.private_key_pem.write_to_path(self.directory / f"{file}.key")
        return x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).serial_number

    def client(self, *, certificate: str | None = None) -> ssl.SSLContext:
        """Return a client's context that trusts the CA, and maybe shows a certificate."""
        context = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        if certificate is not None:
            context.load_cert_chain(self.directory / f"{certificate}.crt", self.directory / f"{certificate}.key")
        return context


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    """Lay out ``ca.crt``, ``server.crt``, ``server.key``, ``client.crt`` and ``client.key``."""
    return Pki(tmp_path)
