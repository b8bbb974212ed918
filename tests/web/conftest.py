"""What the web tests share: servers on loopback, a raw client, certificates."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import ipaddress
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
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

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


class Authority:
    """A CA that signs what a test needs."""

    def __init__(self, name: str = "test CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=True,
                    crl_sign=True,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        certificate: Path,
        key: Path,
        *,
        name: str = "localhost",
        password: bytes | None = None,
        private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
    ) -> x509.Certificate:
        """Write a new certificate and its key; each file appears whole."""
        private = private or ec.generate_private_key(ec.SECP256R1())
        names = [
            x509.DNSName(name),
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
            x509.UniformResourceIdentifier(f"spiffe://{name}"),
        ]
        issued = (
            self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), private.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password is not None:
            protection = serialization.BestAvailableEncryption(password)
        certificate.write_bytes(issued.public_bytes(serialization.Encoding.PEM))
        key.write_bytes(
            private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
        )
        return issued

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )


@dataclass
class Pki:
    """A directory with a CA's certificate, and one for a server and one for a client."""

    directory: Path
    authority: Authority

    def client(self, *, certificate: str | None = None) -> ssl.SSLContext:
        """Return a client's context that trusts the CA, and maybe shows a certificate."""
        context = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        if certificate is not None:
            context.load_cert_chain(self.directory / f"{certificate}.crt", self.directory / f"{certificate}.key")
        return context


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    """Lay out ``ca.crt``, ``server.crt``, ``server.key``, ``client.crt`` and ``client.key``."""
    authority = Authority()
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    authority.issue(tmp_path / "server.crt", tmp_path / "server.key")
    authority.issue(tmp_path / "client.crt", tmp_path / "client.key", name="scraper")
    return Pki(tmp_path, authority)
