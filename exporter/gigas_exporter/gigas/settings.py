"""The client's settings, and how requests are reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gigas_exporter import __version__
from gigas_exporter.decode import DecodeSettings

DEFAULT_URL = "https://api.gigas.com"

LoginFlow = Literal["token", "oidc"]


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Settings of one client.

    Attributes:
        url: Base URL of the API, without a path's last slash.
        login: How a login asks for tokens: at ``/token``, or by OpenID Connect.
        timeout_seconds: Limit on one request, from connect to the last byte of the answer.
        page_size: Items asked for per page; the API may send fewer.
        max_concurrency: Requests under way at once.
        max_requests_per_second: Rate over all operations of the client; 0 means no limit.
        ca_file: PEM file of the authorities to trust instead of the system's.
        proxy: URL of an HTTP proxy; the environment's proxy settings are not used.
        user_agent: What the client calls itself.
        decoding: How the API writes what its documentation leaves open.
    """

    url: str = DEFAULT_URL
    login: LoginFlow = "token"
    timeout_seconds: float = 10.0
    page_size: int = 200
    max_concurrency: int = 4
    max_requests_per_second: float = 10.0
    ca_file: Path | None = None
    proxy: str | None = None
    user_agent: str = f"gigas-exporter/{__version__}"
    decoding: DecodeSettings = field(default_factory=DecodeSettings)


class Observer:
    """Is told of requests, retries and tokens; this one ignores them.

    Its methods are called from several threads at once.
    """

    def request(self, operation: str, code: str, seconds: float) -> None:
        """One request ended; ``code`` is the status, or ``timeout``, ``connection`` or ``invalid``."""

    def retry(self, operation: str) -> None:
        """A request is about to be made again."""

    def token(self, expires_at: float | None) -> None:
        """A login gave a token that ends at ``expires_at`` (UNIX seconds)."""

    def login_blocked(self, blocked: bool) -> None:
        """A rejected login is blocked for a while, or not any more."""
