"""What the web tests share: servers on loopback, a raw client, certificates."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gigas_exporter.clock import SystemClock
from gigas_exporter.web import Handler, Request, Response, Server, ServerLimits, WebConfig

BlockingHandler = Callable[[Request], Response]


def in_thread(handler: BlockingHandler) -> Handler:
    """Return a handler that calls one which may block."""

    async def handle(request: Request) -> Response:
        return await asyncio.to_thread(handler, request)

    return handle


def echo(request: Request) -> Response:
    """Answer with what was asked."""
    return Response(200, {"Content-Type": "text/plain"}, (f"{request.method} {request.path}\n".encode(),))


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
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


@dataclass
class Answer:
    """A response as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """A client that writes what it is told, well-formed or not."""

    def __init__(self, address: tuple[str, int], *, timeout: float = 10.0) -> None:
        self.socket: socket.socket = socket.create_connection(address, timeout=timeout)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def ask(self, target: str = "/", *, method: str = "GET", headers: str = "") -> Answer:
        """Send a well-formed request and read its response."""
        self.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        return self.answer(head_only=method == "HEAD")

    def answer(self, *, head_only: bool = False) -> Answer:
        """Read one response."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        length = 0 if head_only else int(headers.get("content-length", "0"))
        while len(self._buffer) < length:
            self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Answer(int(lines[0].split(" ")[1]), headers, body)

    def is_ended(self) -> bool:
        """Return whether the server ended the connection, after reading what it still said."""
        try:
            while data := self.socket.recv(65536):
                self._buffer += data
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(f"the connection ended after {self._buffer[:200]!r}")
        self._buffer += data


@pytest.fixture
def wire() -> Iterator[Callable[..., Wire]]:
    """Open connections that are closed with the test."""
    with ExitStack() as stack:

        def connect(server: Server, timeout: float = 10.0) -> Wire:
            return stack.enter_context(Wire(server.address, timeout=timeout))

        yield connect


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
