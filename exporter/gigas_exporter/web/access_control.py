"""TLS, users, rate limit and headers in front of the routes.

The web config file and the files that it names are checked for changes about once a second. If they are invalid, the
last valid ones stay in force and the error is logged once, where exporter-toolkit would answer 500. TLS and basic auth
cannot be switched on or off by such a change, because a file that is just being written looks like one without them.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from gigas_exporter.clock import Clock
from gigas_exporter.errors import ConfigError
from gigas_exporter.logs import get_logger
from gigas_exporter.web.auth import AuthResult, BasicAuthenticator
from gigas_exporter.web.http import Handler, Request, Response, text_response
from gigas_exporter.web.tls import is_allowed
from gigas_exporter.web.web_config import RateLimit, WebConfig, load_web_config

_log = get_logger(__name__)
_CHECK_SECONDS: Final = 1.0
_READY_PATH: Final = "/-/ready"
_PROBE_PATHS: Final = frozenset({"/-/healthy", _READY_PATH})
_CHALLENGE: Final = 'Basic realm="gigas-exporter", charset="UTF-8"'
_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_Signature = tuple[tuple[str, int, int, int], ...]


class AccessControl:
    """Decides who may connect and send requests; without a web config, everybody.

    Args:
        on_reload: Called with whether changed files are in force.
    """

    def __init__(self, config: WebConfig | None, clock: Clock, on_reload: Callable[[bool], object]) -> None:
        self._clock = clock
        self._on_reload = on_reload
        self._config: WebConfig | None = None
        self._authenticator: BasicAuthenticator | None = None
        self._bucket: _Bucket | None = None
        self._last_error: str | None = None
        if config is not None:
            self._signature = _signature(config)
            self._apply(config)

    @property
    def context(self) -> ssl.SSLContext | None:
        """A new connection's TLS context; None without TLS."""
        return self._config.context if self._config is not None else None

    def allows_certificate(self, connection: ssl.SSLObject) -> bool:
        """Return whether the client's certificate is allowed."""
        tls = self._config.tls if self._config is not None else None
        return tls is None or not tls.client_allowed_sans or is_allowed(connection, tls.client_allowed_sans)

    async def watch(self) -> None:
        """Wait, then reload the files if they changed."""
        if self._config is None:
            await asyncio.Event().wait()  # forever: there are no files
        else:
            await asyncio.sleep(_CHECK_SECONDS)
            await self._reload_if_changed(self._config)

    async def handle(self, request: Request, handler: Handler) -> Response:
        """Handle a request if its client may send it."""
        if request.path in _PROBE_PATHS and request.method in {"GET", "HEAD"}:
            response = await handler(request)
            if self._authenticator is not None and request.path == _READY_PATH:
                # No credentials were checked, so the reason, which names accounts, is left out.
                response = text_response(response.status, "ready" if response.status == HTTPStatus.OK else "not ready")
            return response
        return await self._reject(request) or await handler(request)

    def add_headers(self, response: Response) -> Response:
        """Add the headers of every response; configured ones win."""
        configured = self._config.headers if self._config is not None else {}
        return Response(response.status, {**_HEADERS, **response.headers, **configured}, response.chunks)

    async def _reject(self, request: Request) -> Response | None:
        if self._bucket is not None and not self._bucket.take():
            return text_response(HTTPStatus.TOO_MANY_REQUESTS)
        if self._authenticator is not None:
            result = await self._authenticator.check(request.headers.get("authorization", ""), request.client)
            if result is AuthResult.BUSY:
                return text_response(HTTPStatus.SERVICE_UNAVAILABLE, retry_after="1")
            if result is AuthResult.DENIED:
                return text_response(HTTPStatus.UNAUTHORIZED, www_authenticate=_CHALLENGE)
        return None

    async def _reload_if_changed(self, current: WebConfig) -> None:
        signature = await asyncio.to_thread(_signature, current)
        if signature == self._signature and self._last_error is None:
            return
        try:
            config = await asyncio.to_thread(load_web_config, current.path)
            _reject_toggle(current, config)
        except ConfigError as error:
            if self._last_error != str(error):
                self._last_error = str(error)
                _log.error("Failed to reload web config, keeping the previous one", error=self._last_error)
                self._on_reload(False)
            return
        # From before the files were read, so that a change during the reading is seen the next time.
        self._signature = signature if config.tls == current.tls else await asyncio.to_thread(_signature, config)
        self._apply(config)
        self._last_error = None
        _log.info("Reloaded web config", path=str(current.path))
        self._on_reload(True)

    def _apply(self, config: WebConfig) -> None:
        """Apply a config; keep authenticator and bucket if their settings are unchanged."""
        before = self._config
        if before is None or config.users != before.users:
            self._authenticator = BasicAuthenticator(config.users, self._authenticator) if config.users else None
        if before is None or config.rate_limit != before.rate_limit:
            self._bucket = _Bucket(config.rate_limit, self._clock) if config.rate_limit.interval else None
        self._config = config


class _Bucket:
    """A token bucket."""

    def __init__(self, limit: RateLimit, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._tokens = float(limit.burst)
        self._filled_at = clock.monotonic()

    def take(self) -> bool:
        """Take a token; return whether there was one."""
        now = self._clock.monotonic()
        gained = (now - self._filled_at) / self._limit.interval
        self._tokens, self._filled_at = min(float(self._limit.burst), self._tokens + gained), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _reject_toggle(before: WebConfig, after: WebConfig) -> None:
    for what, was, will_be in (
        ("TLS", before.tls is not None, after.tls is not None),
        ("basic auth", bool(before.users), bool(after.users)),
    ):
        if was != will_be:
            raise ConfigError(f"{after.path}: {what} cannot be switched {'on' if will_be else 'off'} without a restart")


def _signature(config: WebConfig) -> _Signature:
    """Return each file's device, inode and change time; missing files are left out."""
    signature = []
    for file in (config.path, *(config.tls.files() if config.tls is not None else ())):
        with suppress(OSError):
            status = file.stat()
            signature.append((str(file), status.st_dev, status.st_ino, status.st_ctime_ns))
    return tuple(signature)
