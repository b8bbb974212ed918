"""One HTTP exchange with the API: connections, TLS, the proxy, size and time limits.

It owns the HTTP library: none of its exceptions leaves, and nothing that it says gets into a message, for it may quote
headers. It reads neither the environment nor ``.netrc`` and follows no redirect, so that a credential goes to the
configured host only. It knows no credential, no operation and no JSON.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import requests
import urllib3
import urllib3.connection
import urllib3.connectionpool
from requests.adapters import HTTPAdapter
from urllib3.util import parse_url

from gigas_exporter.errors import ConfigError, DecodeError, TransportError
from gigas_exporter.files import without_waiting
from gigas_exporter.gigas import deadline
from gigas_exporter.gigas.failure import let_go, transport_error
from gigas_exporter.gigas.settings import ApiSettings

__all__ = ["MAX_BODY_BYTES", "RawAnswer", "Transport", "tls_context"]

MAX_BODY_BYTES = 16 * 2**20

_CHUNK_BYTES = 64 * 2**10
_MAX_ERROR_BODY_BYTES = 16 * 2**10
_MAX_DIGITS = 9
_FIRST_ERROR_STATUS = 300
_GZIP_WINDOW = 16 + zlib.MAX_WBITS

# What may be raised: requests' errors (each an OSError), urllib3's, http.client's, and in a few places bare ones.
_EXCHANGE_ERRORS = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A complete answer. The body of an error is not kept.

    Attributes:
        headers: By name in lower case.
        body: Decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class _WholeHeaders:
    """The stream of an answer while its headers are read.

    ``http.client`` takes the connection's end for the headers' end; an answer cut off inside the headers would look
    like a success with an empty body.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._begun = False

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self.stream.readline(limit)
        if not line and self._begun:
            raise http.client.IncompleteRead(b"")
        self._begun = True
        return line

    def close(self) -> None:
        self.stream.close()


class _Answer(http.client.HTTPResponse):
    def begin(self) -> None:
        stream = _WholeHeaders(self.fp)
        self.fp = stream  # type: ignore[assignment]  # all that begin() uses is there
        try:
            super().begin()
        finally:
            if self.fp is not None:
                self.fp = stream.stream


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Answer

    def _new_conn(self) -> socket.socket:
        return deadline.connect(self._dns_host, self.port or self.default_port, self.socket_options or ())


class _TLSConnection(urllib3.connection.HTTPSConnection):
    response_class = _Answer

    def _new_conn(self) -> socket.socket:
        return deadline.connect(self._dns_host, self.port or self.default_port, self.socket_options or ())


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _Adapter(HTTPAdapter):
    """requests' way to its connections, led to pools whose sockets keep the deadline and whose TLS is ours."""

    def __init__(self, pools: urllib3.PoolManager) -> None:
        self._pools = pools
        super().__init__(max_retries=urllib3.Retry(total=False, redirect=False))

    def init_poolmanager(self, *_: Any, **__: Any) -> None:
        self.poolmanager = self._pools

    def get_connection_with_tls_context(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> Any:
        return self._pools.connection_from_url(request.url or "")

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Leave the pools as they are: requests would have them trust its own authorities, too."""


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        """Say that no answer leads elsewhere: looking ahead, requests would read a redirect's body of any size."""
        return


class Transport:
    """Connections to one API, kept alive and shared by threads.

    Args:
        settings: Where the API is.
        tls: What :func:`tls_context` made of the same settings, to share it; made here by default.

    Raises:
        ConfigError: The URL, the proxy or the file of authorities cannot be used.
    """

    def __init__(self, settings: ApiSettings, tls: ssl.SSLContext | None = None) -> None:
        self._url = _checked_url(settings.url, "the API URL", ("http", "https")).rstrip("/")
        proxy = None if settings.proxy is None else _checked_url(settings.proxy, "the proxy URL", ("http", "https"))
        self._peer = " by way of ".join(str(parse_url(each).netloc) for each in (self._url, proxy) if each is not None)
        self._proxies = {} if proxy is None else {"http": proxy, "https": proxy}
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": settings.user_agent,
        }
        self._session = _Session()
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        adapter = _Adapter(_pools(settings, proxy, tls or tls_context(settings)))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)
        self._is_closed = False

    def close(self) -> None:
        """Close the connections; those in use close when their exchange ends."""
        self._is_closed = True
        self._session.close()

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
    ) -> RawAnswer:
        """Send a request and return the complete answer.

        Args:
            operation: For error messages.
            method: The HTTP method.
            target: Encoded path and query.
            headers: Besides the usual ones.
            body: JSON, if any.
            seconds: Limit from connect to the last byte.
            stop: Ends the exchange when it is set.

        Raises:
            TransportError: There was no complete answer in time.
            DecodeError: The body is too large or its compression is broken.
        """
        if self._is_closed:
            raise TransportError(operation, "connection", "the client is closed")
        sent = {**self._headers, **headers}
        if body is not None:
            sent["Content-Type"] = "application/json"
        with deadline.deadline(seconds, stop) as limit:
            try:
                request = requests.Request(method, self._url + target, headers=sent, data=body).prepare()
                response = self._session.send(request, stream=True, allow_redirects=False, proxies=self._proxies)
                return _read(response.raw, operation)
            except _EXCHANGE_ERRORS as error:
                failure = transport_error(operation, error, timed_out=limit.passed, peer=self._peer)
                let_go(error)
        try:
            raise failure
        finally:
            del failure  # it holds this frame, and would hold itself


def _pools(settings: ApiSettings, proxy: str | None, context: ssl.SSLContext | None) -> urllib3.PoolManager:
    options: dict[str, Any] = {"num_pools": 2, "maxsize": max(1, settings.max_concurrency), "ssl_context": context}
    if proxy is None:
        pools = urllib3.PoolManager(**options)
    else:
        pools = urllib3.ProxyManager(proxy, proxy_ssl_context=context, **options)
    pools.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
    return pools


def _read(response: urllib3.BaseHTTPResponse, operation: str) -> RawAnswer:
    """Read an answer; its connection is kept only when it was read to its end."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    try:
        body = b""
        if response.status < _FIRST_ERROR_STATUS:
            body = _read_body(response, headers.get("content-encoding", ""), operation)
        elif not _is_small(headers):
            response.close()
        else:
            try:
                response.read(_MAX_ERROR_BODY_BYTES, decode_content=False)
            except _EXCHANGE_ERRORS:  # the status is what counts, and it is known
                response.close()
    except BaseException:
        response.close()
        raise
    finally:
        response.release_conn()
    return RawAnswer(response.status, headers, body)


def _is_small(headers: Mapping[str, str]) -> bool:
    length = headers.get("content-length", "")
    return length.isascii() and length.isdigit() and len(length) <= _MAX_DIGITS and int(length) <= _MAX_ERROR_BODY_BYTES


def _read_body(response: urllib3.BaseHTTPResponse, encoding: str, operation: str) -> bytes:
    gunzip = _Gunzip() if encoding.strip().lower() in {"gzip", "x-gzip"} else None
    if gunzip is None and encoding.strip().lower() not in {"", "identity"}:
        raise DecodeError("body", f"the answer to {operation} has an encoding that was not asked for")
    parts: list[bytes] = []
    size = wire = 0
    while chunk := response.read(_CHUNK_BYTES, decode_content=False):
        wire += len(chunk)
        try:
            part = chunk if gunzip is None else gunzip.feed(chunk, MAX_BODY_BYTES + 1 - size)
        except zlib.error:
            raise DecodeError("body", f"the answer to {operation} is no valid gzip") from None
        size += len(part)
        if max(size, wire) > MAX_BODY_BYTES:
            raise DecodeError("body", f"the answer to {operation} is larger than {MAX_BODY_BYTES} bytes")
        parts.append(part)
    if gunzip is not None and wire and not gunzip.ended:
        raise TransportError(operation, "connection", "the answer ended too early")
    return b"".join(parts)


class _Gunzip:
    """Decompress gzip members without ever holding more than is asked for."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW)

    @property
    def ended(self) -> bool:
        return self._member.eof

    def feed(self, chunk: bytes, limit: int) -> bytes:
        parts: list[bytes] = []
        while chunk and limit > 0:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP_WINDOW)
            parts.append(self._member.decompress(chunk, limit))
            limit -= len(parts[-1])
            chunk = self._member.unused_data or self._member.unconsumed_tail
        return b"".join(parts)


def _checked_url(url: str, what: str, schemes: tuple[str, ...]) -> str:
    """Return the URL if it can be used; what is wrong is told without quoting it, for it may hold a password."""
    try:
        parsed = parse_url(url)
    except urllib3.exceptions.LocationParseError:
        raise ConfigError(f"{what} is no URL") from None
    if parsed.scheme not in schemes or not parsed.host:
        raise ConfigError(f"{what} must start with http:// or https:// and name a host")
    if parsed.auth is not None:
        raise ConfigError(f"{what} must not hold credentials")
    if parsed.query is not None or parsed.fragment is not None:
        raise ConfigError(f"{what} must not have a query or fragment")
    return url


def tls_context(settings: ApiSettings) -> ssl.SSLContext | None:
    """Return whom TLS trusts, ``None`` where nothing needs it: reading the system's authorities takes a while.

    Raises:
        ConfigError: The file of authorities cannot be used.
    """
    is_plain = not any(each.lower().startswith("https:") for each in (settings.url, settings.proxy or ""))
    if is_plain and settings.ca_file is None:
        return None
    name = f"the file of authorities {settings.ca_file}"
    try:
        if settings.ca_file is None:
            context = ssl.create_default_context()
        else:
            with without_waiting(Path(settings.ca_file), name) as path:
                context = ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        reason = "holds no certificate" if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
        raise ConfigError(f"{name}: {reason or 'cannot be read'}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = deadline.DeadlineTLSSocket
    return context
