"""A small API over real sockets that answers as a test scripts it, byte by byte where needed."""

from __future__ import annotations

import http.client
import io
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from gigas_exporter.gigas import ApiSettings, Client, Credential, FixedSecret, ReadClient, TokenCredential
from gigas_exporter.secret import Secret
from support.certificates import self_signed

TOKEN = "canary-token"
_COLLABORATORS = (
    "observer",
    "clock",
    "limiter",
    "login_retry_seconds",
    "login_states",
    "on_list",
    "on_response",
    "trust",
)


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


class Wire:
    """The server's end of a connection."""

    def __init__(self, sock: socket.socket, stop: threading.Event) -> None:
        self._sock = sock
        self._stop = stop
        self.is_open = True

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def drip(self, data: bytes, seconds: float) -> None:
        """Send byte by byte, ``seconds`` apart."""
        for position in range(len(data)):
            if self._stop.wait(seconds):
                return
            self.send(data[position : position + 1])

    def hang(self, seconds: float = 30.0) -> None:
        """Send nothing until the test ends."""
        self._stop.wait(seconds)
        self.close()

    def is_left(self) -> bool:
        """Return whether the client has closed the connection."""
        try:
            return self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        self.is_open = False

    def receive(self) -> bytes:
        return self._sock.recv(65536)

    def pump(self, source: socket.socket) -> None:
        """Send on what another socket receives until it ends."""
        with suppress(OSError):
            while data := source.recv(65536):
                self.send(data)

    def reply(self, status: int = 200, body: Any = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer; what is not bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + content)


Script = Callable[[Seen, Wire], None]


@dataclass
class ScriptedApi:
    """Answers each request by calling ``script``; one thread a connection."""

    script: Script
    context: ssl.SSLContext | None = None
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    refuse_handshake: Callable[[Wire], None] | None = None

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"{'http' if self.context is None else 'https'}://127.0.0.1:{self.port}"

    def operations(self) -> list[str]:
        return [f"{seen.method} {seen.path}" for seen in self.seen]

    def close(self) -> None:
        self._stop.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._sockets):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(sock, self.connections))
            self._threads.append(thread)
            self._sockets.append(sock)
            thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with suppress(OSError, ssl.SSLError, ValueError):
            if self.refuse_handshake is not None:
                self.refuse_handshake(Wire(sock, self._stop))
            elif self.context is not None:
                sock = self.context.wrap_socket(sock, server_side=True)
                self._sockets.append(sock)
            with sock.makefile("rb") as stream:
                wire = Wire(sock, self._stop)
                while wire.is_open and (seen := _read_request(stream, number)) is not None:
                    self.seen.append(seen)
                    self.script(seen, wire)
        sock.close()


def _read_request(stream: io.BufferedReader, connection: int) -> Seen | None:
    line = stream.readline().decode("latin-1")
    if not line.strip():
        return None
    method, target, _ = line.split(" ", 2)
    message = http.client.parse_headers(stream)
    headers = {name.lower(): value for name, value in message.items()}
    body = stream.read(int(headers.get("content-length", "0")))
    return Seen(method, target, headers, body, connection)


@pytest.fixture
def api() -> Iterator[Callable[..., ScriptedApi]]:
    """Start scripted APIs; they end with the test."""
    started: list[ScriptedApi] = []

    def start(script: Script, **arguments: Any) -> ScriptedApi:
        started.append(ScriptedApi(script, **arguments))
        return started[-1]

    yield start
    for server in started:
        server.close()


class Clients:
    """Makes clients that end with the test."""

    def __init__(self) -> None:
        self.made: list[ReadClient] = []
        self.settings = ApiSettings(timeout_seconds=5.0, max_requests_per_second=0.0)

    def __call__(self, url: str, credential: Credential | None = None, **arguments: Any) -> ReadClient:
        return self._make(ReadClient, url, credential, arguments)

    def writing(self, url: str, credential: Credential | None = None, **arguments: Any) -> Client:
        made = self._make(Client, url, credential, arguments)
        assert isinstance(made, Client)
        return made

    def _make(
        self, kind: type[ReadClient], url: str, credential: Credential | None, arguments: dict[str, Any]
    ) -> ReadClient:
        collaborators = {name: arguments.pop(name) for name in _COLLABORATORS if name in arguments}
        settings = replace(self.settings, url=url, **arguments)
        self.made.append(kind(settings, credential or token_credential(), **collaborators))
        return self.made[-1]


@pytest.fixture
def clients() -> Iterator[Clients]:
    """Make clients; they are closed with the test."""
    made = Clients()
    yield made
    for client in made.made:
        client.close()


def token_credential(text: str = TOKEN) -> TokenCredential:
    return TokenCredential(FixedSecret(Secret(text), "GIGAS_TOKEN"))


class FakeClock:
    """Time that passes when it is waited for, and at once."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.wall_offset = 0.0
        self.waits: list[float] = []
        self._lock = threading.Lock()

    def wall(self) -> float:
        return self.now + self.wall_offset

    def monotonic(self) -> float:
        return self.now

    def wait(self, event: threading.Event, seconds: float) -> bool:
        with self._lock:
            self.waits.append(seconds)
            self.now += seconds
        return event.is_set()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that the test moves."""
    return FakeClock()


class Ledger:
    """An observer that writes down what it hears."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.seconds: list[float] = []
        self.retries: list[str] = []
        self.tokens: list[float | None] = []
        self.blocked: list[bool] = []

    def request(self, operation: str, code: str, seconds: float) -> None:
        self.requests.append((operation, code))
        self.seconds.append(seconds)

    def retry(self, operation: str) -> None:
        self.retries.append(operation)

    def token(self, expires_at: float | None) -> None:
        self.tokens.append(expires_at)

    def login_blocked(self, blocked: bool) -> None:
        self.blocked.append(blocked)


@pytest.fixture
def ledger() -> Ledger:
    """An observer that remembers."""
    return Ledger()


@dataclass(frozen=True)
class Authority:
    """A certificate authority and a server's TLS context with a certificate for 127.0.0.1."""

    ca_file: Path
    context: ssl.SSLContext


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Certificates made for this run."""
    directory = tmp_path_factory.mktemp("tls")
    ca_file, key_file = directory / "ca.pem", directory / "key.pem"
    for file, content in zip((ca_file, key_file), self_signed(), strict=True):
        file.write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    return Authority(ca_file, context)
