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
        url: Base URL of the API.
        login: How a login asks for tokens: at ``/token``, or by OpenID Connect.
        timeout_seconds: Limit on one request, from connect to the last byte of the response.
        page_size: Items requested per page; the API may send fewer.
        max_concurrency: Limit on concurrent requests.
        max_requests_per_second: Limit over all operations of the client; 0 means none.
        ca_file: PEM file of the authorities to trust instead of the system's.
        proxy: URL of an HTTP proxy; the environment's proxy settings are not used.
        user_agent: Value of the ``User-Agent`` header.
        decoding: How to read what the API's documentation leaves open.
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
    """Is told of requests, retries and logins; this one ignores them.

    Its methods are called from several threads at once.
    """

    def request(self, operation: str, code: str, seconds: float) -> None:
        """One request ended; ``code`` is the status, or ``timeout``, ``connection`` or ``invalid``."""

    def retry(self, operation: str) -> None:
        """A request is about to be sent again."""

    def token(self, expires_at: float | None) -> None:
        """A login returned a token that expires at ``expires_at`` (UNIX seconds)."""

    def login_blocked(self, blocked: bool) -> None:
        """A login is blocked for a while, or no longer."""
