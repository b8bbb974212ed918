"""Scripted APIs and clients of them, which end with the test."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gigas_exporter.gigas import ApiSettings, Client, Credential, FixedSecret, ReadClient, TokenCredential
from gigas_exporter.secret import Secret
from support.certificates import self_signed
from support.scripted_api import Script, ScriptedApi, Seen, Wire

TOKEN = "canary-token"
DISK = {"id": 2, "status": "built"}
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


def replies(*each: tuple[Any, ...]) -> Script:
    """Return a script that gives these replies in order, and the last one for ever."""
    left, last = iter(each), each[-1]
    return lambda seen, wire: wire.reply(*next(left, last))


def well(seen: Seen, wire: Wire) -> None:
    """Answer with a disk."""
    wire.reply(200, DISK)


def hang(seen: Seen, wire: Wire) -> None:
    """Answer nothing."""
    wire.hang()


def sends(*parts: bytes, then_closes: bool = True) -> Script:
    """Return a script that sends these bytes as they stand."""

    def script(seen: Seen, wire: Wire) -> None:
        wire.send(b"".join(parts))
        if then_closes:
            wire.close()

    return script


def secret(text: str) -> FixedSecret:
    """Return a secret of the settings."""
    return FixedSecret(Secret(text), "x")


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    """A file with a secret, which is old."""
    file = tmp_path / "secret"
    file.write_text("old")
    return file


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


class Apis:
    """Starts scripted APIs, and makes clients of an API, a script or a URL.

    Attributes:
        ledger: What the clients told.
        made: The clients.
    """

    def __init__(self, stack: ExitStack) -> None:
        self.ledger = Ledger()
        self.made: list[ReadClient] = []
        self._stack = stack

    def __call__(self, script: Script, **arguments: Any) -> ScriptedApi:
        return self._stack.enter_context(ScriptedApi(script, **arguments))

    def client(
        self,
        at: ScriptedApi | Script | str,
        credential: Credential | None = None,
        kind: type[ReadClient] = ReadClient,
        **arguments: Any,
    ) -> ReadClient:
        """Make a client with a token, or another credential, and settings that differ from the usual."""
        url = at if isinstance(at, str) else (at if isinstance(at, ScriptedApi) else self(at)).url
        collaborators = {name: arguments.pop(name) for name in _COLLABORATORS if name in arguments}
        settings = ApiSettings(url, **{"timeout_seconds": 5.0, "max_requests_per_second": 0.0, **arguments})
        credential = credential or TokenCredential(FixedSecret(Secret(TOKEN), "GIGAS_TOKEN"))
        self.made.append(kind(settings, credential, **{"observer": self.ledger, **collaborators}))
        return self.made[-1]

    def writing(self, at: ScriptedApi | Script | str, credential: Credential | None = None, **arguments: Any) -> Client:
        """Make a client that may change things."""
        made = self.client(at, credential, Client, **arguments)
        assert isinstance(made, Client)
        return made


@pytest.fixture
def api() -> Iterator[Apis]:
    """Start scripted APIs and make clients."""
    with ExitStack() as stack:
        apis = Apis(stack)
        yield apis
        for client in apis.made:
            client.close()


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
