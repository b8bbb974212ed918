"""One HTTP exchange with the API, within its limits.

It owns the HTTP library: none of its exceptions leaves, and no message quotes their text, which may hold headers. It
uses no session of ``requests``, so it reads neither the environment nor ``.netrc``, keeps no cookies and follows no
redirect: a credential goes to the configured host only. It knows no credential, no operation and no JSON.

Each exchange has a connection of its own. On a reused one, a duplicate response or leftover bytes would pass for the
next response, and one account's disks for another's. Nor is there an idle connection that a router could drop silently.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any

import requests
import urllib3
import urllib3.connection
import urllib3.connectionpool
from requests.adapters import HTTPAdapter
from urllib3.util import parse_url

from gigas_exporter.errors import ConfigError, TransportError
from gigas_exporter.gigas.connect import Dialer, TrustStore
from gigas_exporter.gigas.error_messages import UntrustedCertificateError, clear_tracebacks, transport_error
from gigas_exporter.gigas.http_response import (
    EXCHANGE_ERRORS,
    FIRST_ERROR_STATUS,
    HTTPResponse,
    RawResponse,
    read_response,
)
from gigas_exporter.gigas.settings import ApiSettings
from gigas_exporter.gigas.socket_deadline import SocketDeadline


class _Current(threading.local):
    """The exchange that this thread is making."""

    deadline: SocketDeadline | None = None
    dialer: Dialer | None = None
    address: Any = None


_current = _Current()


class _ExchangeConnection(urllib3.connection.HTTPConnection):
    """A connection for one exchange, bounded by its deadline."""

    response_class = HTTPResponse

    def _new_conn(self) -> socket.socket:
        dialer, deadline = _current.dialer, _current.deadline
        assert dialer is not None and deadline is not None  # noqa: S101, PT018  # only exchanges open connections
        sock, _current.address = dialer.connect(
            self._dns_host, self.port or self.default_port, self.socket_options or (), deadline
        )
        try:
            deadline.attach(sock)
        except BaseException:
            sock.close()
            raise
        return sock


class _TLSConnection(_ExchangeConnection, urllib3.connection.HTTPSConnection):
    pass


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    """Makes connections, and keeps none."""

    ConnectionCls = _ExchangeConnection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.close()


class _TLSPool(_Pool, urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _Adapter(HTTPAdapter):
    """Makes ``requests`` use our pools, with their deadline and TLS."""

    def __init__(self, pools: urllib3.PoolManager) -> None:
        self._pools = pools
        super().__init__(max_retries=urllib3.Retry(total=False, redirect=False))

    def init_poolmanager(self, *_: Any, **__: Any) -> None:
        self.poolmanager = self._pools

    def get_connection_with_tls_context(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> Any:
        return self._pools.connection_from_url(request.url or "")

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Do nothing: ``requests`` would make the pools trust its own authorities."""


class Transport:
    """Sends requests to one API; safe for several threads.

    Args:
        settings: The API's address, proxy and authorities.
        trust: The certificate authorities to trust, if clients share them; read here by default.

    Attributes:
        peer: Host and port that requests go to, and those of the proxy, for messages.

    Raises:
        ConfigError: The URL, the proxy or the file of authorities cannot be used.
    """

    def __init__(self, settings: ApiSettings, trust: TrustStore | None = None) -> None:
        self._settings = settings
        self._url = _checked_url(settings.url, "the API URL", ("http", "https")).rstrip("/")
        proxy = None if settings.proxy is None else _checked_url(settings.proxy, "the proxy URL", ("http", "https"))
        self.peer = " through ".join(str(parse_url(each).netloc) for each in (self._url, proxy) if each is not None)
        self._proxies = {} if proxy is None else {"http": proxy, "https": proxy}
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Connection": "close",
            # The documentation's examples send it with every request, GET and DELETE too.
            "Content-Type": "application/json",
            "User-Agent": settings.user_agent,
        }
        self._dialer = Dialer()
        self._trust = trust or TrustStore(settings)
        self._context = self._trust.context
        self._adapter = _Adapter(_pools(settings, self._context))
        self._is_closed = False

    def close(self) -> None:
        """Start no further exchange."""
        self._is_closed = True

    def exchange(
        self,
        operation: str,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        seconds: float,
        stop: threading.Event,
    ) -> RawResponse:
        """Send a request and return the complete response.

        Args:
            operation: For error messages.
            method: The HTTP method.
            target: Encoded path and query.
            headers: Added to the default headers, which they override.
            body: The body to send, if any.
            seconds: Limit from connect to the last byte.
            stop: Ends the exchange when it is set.

        Raises:
            TransportError: There was no complete response in time.
            DecodeError: The body is too large or its compression is broken.
        """
        end = time.monotonic() + seconds
        context, adapter = self._context, self._adapter  # they are replaced in the opposite order
        request = requests.Request(method, self._url + target, headers={**self._headers, **headers}, data=body)
        try:
            return self._attempt(adapter, request, operation, SocketDeadline(seconds, stop))
        except UntrustedCertificateError as error:
            if not self._trust.reload(context):
                raise
            error.__traceback__ = None
            current = self._trust.context
            self._adapter = _Adapter(_pools(self._settings, current))
            self._context = current
        return self._attempt(self._adapter, request, operation, SocketDeadline(end - time.monotonic(), stop))

    def _attempt(
        self, adapter: _Adapter, request: requests.Request, operation: str, deadline: SocketDeadline
    ) -> RawResponse:
        if self._is_closed:
            raise TransportError(operation, "connection", "the client is closed")
        try:
            with deadline:
                _current.deadline, _current.dialer = deadline, self._dialer
                response = adapter.send(request.prepare(), stream=True, timeout=None, proxies=self._proxies)
                raw = read_response(response.raw, operation)
                if deadline.expired and raw.status < FIRST_ERROR_STATUS:
                    raise TimeoutError  # the shutdown may have cut the body off
                return raw
        except EXCHANGE_ERRORS as error:
            failure = transport_error(operation, error, timed_out=deadline.passed, peer=self.peer)
            clear_tracebacks(error)
            if _current.address is not None:
                self._dialer.avoid(_current.address)
        finally:
            _current.deadline = _current.dialer = _current.address = None
        try:
            raise failure
        finally:
            del failure  # its traceback refers to this frame, which would be a cycle


def _pools(settings: ApiSettings, context: ssl.SSLContext | None) -> urllib3.PoolManager:
    if settings.proxy is None:
        pools = urllib3.PoolManager(ssl_context=context)
    else:
        pools = urllib3.ProxyManager(settings.proxy, proxy_ssl_context=context, ssl_context=context)
    pools.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
    return pools


def _checked_url(url: str, what: str, schemes: tuple[str, ...]) -> str:
    """Return a usable URL; errors do not quote it."""
    try:
        parsed = parse_url(url)
    except urllib3.exceptions.LocationParseError:
        raise ConfigError(f"{what} is not a URL") from None
    if parsed.scheme not in schemes or not parsed.host:
        raise ConfigError(f"{what} must start with http:// or https:// and name a host")
    if parsed.auth is not None:
        raise ConfigError(f"{what} must not hold credentials")
    if parsed.query is not None or parsed.fragment is not None:
        raise ConfigError(f"{what} must not have a query or fragment")
    return url
