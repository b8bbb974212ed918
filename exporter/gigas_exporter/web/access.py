"""Owns what stands between a connection and the routes: TLS, users, rate limit, headers, and their change at run time.

The web config file, the certificate, the key and the CAs are looked at about once a second while connections or
requests come, and read again when they changed. What is bad then is logged once, and what was good before stays in
force: exporter-toolkit answers 500 instead, but a slip in an edit need not end the monitoring. TLS and users cannot be
switched on or off that way, because a file that is just being rewritten looks like one without them.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from gigas_exporter.clock import Clock
from gigas_exporter.errors import ConfigError
from gigas_exporter.logs import get_logger
from gigas_exporter.web.auth import Authenticator, Verdict
from gigas_exporter.web.connection import Access
from gigas_exporter.web.message import Handler, Request, Response, plain
from gigas_exporter.web.tls import build_context, is_allowed
from gigas_exporter.web.webconfig import RateLimit, WebConfig, load_web_config

__all__ = ["build_access"]

_log = get_logger(__name__)
_LOOK_SECONDS: Final = 1.0
_CHALLENGE: Final = 'Basic realm="gigas-exporter", charset="UTF-8"'
_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_Signature = tuple[tuple[int, int, int, int] | None, ...]


def build_access(web_config: WebConfig | None, clock: Clock, room: int) -> Access:
    """Return the access that a web config file describes; without one everybody is let in over plain HTTP.

    ``room`` is how many requests may wait for their credentials to be checked.

    Raises:
        ConfigError: The certificate cannot be used.
    """
    return _Open() if web_config is None else _Guarded(web_config, clock, room)


class _Open:
    """Access for everybody, over plain HTTP."""

    def tls_context(self) -> ssl.SSLContext | None:
        return None

    def admits(self, secured: ssl.SSLSocket) -> bool:  # pragma: no cover  (without TLS there is nobody to ask about)
        del secured
        return True

    def answer(self, request: Request, handler: Handler) -> Response:
        return self.decorate(handler(request))

    def decorate(self, response: Response) -> Response:
        return _with_headers(response, {})


@dataclass(frozen=True, slots=True)
class _InForce:
    config: WebConfig
    context: ssl.SSLContext | None
    authenticator: Authenticator | None
    bucket: _Bucket | None


class _Guarded:
    """Access by a web config file, as the file is now."""

    def __init__(self, config: WebConfig, clock: Clock, room: int) -> None:
        self._clock = clock
        self._room = room
        self._looking = threading.Lock()
        self._looked = clock.monotonic()
        self._signature = _signature(config)
        self._complaint: str | None = None
        self._now = _put_in_force(config, None, clock, room)

    def tls_context(self) -> ssl.SSLContext | None:
        return self._current().context

    def admits(self, secured: ssl.SSLSocket) -> bool:
        tls = self._now.config.tls
        return tls is None or not tls.allowed_names or is_allowed(secured, tls.allowed_names)

    def answer(self, request: Request, handler: Handler) -> Response:
        current = self._current()
        if current.bucket is not None and not current.bucket.take():
            return self.decorate(plain(HTTPStatus.TOO_MANY_REQUESTS))
        if current.authenticator is not None:
            verdict = current.authenticator.check(request.headers.get("authorization", ""), request.party)
            if verdict is Verdict.BUSY:
                return self.decorate(plain(HTTPStatus.SERVICE_UNAVAILABLE, retry_after="1"))
            if verdict is Verdict.BAD:
                return self.decorate(plain(HTTPStatus.UNAUTHORIZED, www_authenticate=_CHALLENGE))
        return self.decorate(handler(request))

    def decorate(self, response: Response) -> Response:
        return _with_headers(response, self._now.config.headers)

    def _current(self) -> _InForce:
        if self._clock.monotonic() - self._looked >= _LOOK_SECONDS and self._looking.acquire(blocking=False):
            try:
                self._looked = self._clock.monotonic()
                self._look()
            finally:
                self._looking.release()
        return self._now

    def _look(self) -> None:
        signature = _signature(self._now.config)
        if signature == self._signature and self._complaint is None:
            return
        path, tls = str(self._now.config.path), self._now.config.tls
        try:
            config = load_web_config(self._now.config.path)
            _refuse_switching(self._now.config, config)
            self._now = _put_in_force(config, self._now, self._clock, self._room)
        except ConfigError as error:
            if self._complaint != str(error):
                self._complaint = str(error)
                _log.error("the web config stays as it was, the new one is bad", error=self._complaint)
            return
        # Of the files as they were before they were read: a change meanwhile is then seen the next time.
        self._signature = signature if config.tls == tls else _signature(config)
        self._complaint = None
        _log.info("the web config was read again", path=path)


class _Bucket:
    """A token bucket."""

    def __init__(self, limit: RateLimit, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = float(limit.burst)
        self._filled = clock.monotonic()

    def take(self) -> bool:
        """Take a token; return whether there was one."""
        with self._lock:
            now = self._clock.monotonic()
            gained = (now - self._filled) / self._limit.interval_seconds
            self._tokens, self._filled = min(float(self._limit.burst), self._tokens + gained), now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


def _put_in_force(config: WebConfig, before: _InForce | None, clock: Clock, room: int) -> _InForce:
    """Build what a config needs, and keep what has a memory where its settings are the same."""
    authenticator, bucket = (None, None) if before is None else (before.authenticator, before.bucket)
    if before is None or config.users != before.config.users:
        authenticator = Authenticator(config.users, clock, room, authenticator) if config.users else None
    if before is None or config.rate_limit != before.config.rate_limit:
        bucket = _Bucket(config.rate_limit, clock) if config.rate_limit is not None else None
    context = build_context(config.tls) if config.tls is not None else None
    return _InForce(config, context, authenticator, bucket)


def _refuse_switching(before: WebConfig, after: WebConfig) -> None:
    for what, was, will_be in (
        ("TLS", before.tls is not None, after.tls is not None),
        ("basic auth", bool(before.users), bool(after.users)),
    ):
        if was != will_be:
            raise ConfigError(f"{after.path}: {what} cannot be switched {'on' if will_be else 'off'} without a restart")


def _signature(config: WebConfig) -> _Signature:
    """Return what changes whenever a file of the config does."""
    files = (config.path, *(() if config.tls is None else config.tls.files()))
    signature: list[tuple[int, int, int, int] | None] = []
    for file in files:
        status: os.stat_result | None = None
        with suppress(OSError):
            status = file.stat()
        signature.append(
            None
            if status is None
            else (status.st_dev, status.st_ino, status.st_size, max(status.st_mtime_ns, status.st_ctime_ns))
        )
    return tuple(signature)


def _with_headers(response: Response, configured: Mapping[str, str]) -> Response:
    """Add the headers of every response: the config's win over the answer's own, and these over the usual ones."""
    return Response(response.status, {**_HEADERS, **response.headers, **configured}, response.chunks)
