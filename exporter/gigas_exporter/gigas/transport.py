"""One HTTP exchange with the API: its connection, TLS, the proxy, and why it failed.

No exception of the network leaves it, and nothing that h11 says gets into a message, for it may quote headers. It reads
neither the environment nor ``.netrc``, keeps no cookies and follows no redirect, so that a credential goes to the
configured host only. It knows no credential, no operation and no JSON.

Each exchange has a connection of its own: on one that is used again, a response that came twice, or bytes left of one,
would pass for the next, and one account's disks for another's. Nor can a router forget a flow that is never idle.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import h11

from gigas_exporter.errors import ConfigError, TransportError
from gigas_exporter.gigas.connect import Dialer, TrustStore
from gigas_exporter.gigas.error_messages import ProxyRefusedError, UntrustedCertificateError, transport_error
from gigas_exporter.gigas.http_response import HTTPExchange, RawResponse
from gigas_exporter.gigas.settings import ApiSettings
from gigas_exporter.gigas.streams import SocketDeadline, SocketStream, Stream, TLSStream

_PORTS = {"http": 80, "https": 443}
_SUCCESSES = range(200, 300)


class Transport:
    """The way to one API, shared by threads.

    Args:
        settings: Where the API is.
        trust: The authorities to trust, to share them between clients; read here by default.

    Attributes:
        peer: Where requests go, in words.

    Raises:
        ConfigError: The URL, the proxy or the file of authorities cannot be used.
    """

    def __init__(self, settings: ApiSettings, trust: TrustStore | None = None) -> None:
        self._api = _parse_url(settings.url, "the API URL")
        self._proxy = None if settings.proxy is None else _parse_url(settings.proxy, "the proxy URL")
        self._prefix = self._api.path
        if self._proxy is not None and self._api.scheme == "http":
            self._prefix = f"http://{self._api.netloc}{self._api.path}"
        self.peer = self._api.netloc if self._proxy is None else f"{self._api.netloc} through {self._proxy.netloc}"
        self._headers = {
            "Host": self._api.netloc,
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Connection": "close",
            # The documentation's examples send it with every request, GET and DELETE too.
            "Content-Type": "application/json",
            "User-Agent": settings.user_agent,
        }
        self._dialer = Dialer()
        self._trust = trust or TrustStore(settings)
        self._is_closed = False

    def close(self) -> None:
        """Begin no exchange any more."""
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
            headers: Besides the usual ones, which they replace.
            body: What to send, if anything.
            seconds: Limit from connect to the last byte.
            stop: Ends the exchange when it is set.

        Raises:
            TransportError: There was no complete response in time.
            DecodeError: The body is too large or its compression is broken.
        """
        deadline = SocketDeadline(seconds, stop)
        headers = {**self._headers, **headers}
        send = partial(HTTPExchange.send, method=method, target=self._prefix + target, headers=headers, body=body)
        attempt = partial(self._attempt, operation, send, deadline)
        context = self._trust.context
        try:
            return attempt(context)
        except UntrustedCertificateError:
            if not self._trust.reload(context):
                raise
        return attempt(self._trust.context)

    def _attempt(
        self,
        operation: str,
        send: Callable[[HTTPExchange], None],
        deadline: SocketDeadline,
        context: ssl.SSLContext | None,
    ) -> RawResponse:
        if self._is_closed:
            raise TransportError(operation, "connection", "the client is closed")
        first_hop, address, is_sent = self._proxy or self._api, None, False
        try:
            sock, address = self._dialer.connect(first_hop.host, first_hop.port, deadline)
            with sock:
                exchange = HTTPExchange(self._open(SocketStream(sock, deadline), context))
                is_sent = True
                send(exchange)
                return exchange.receive(operation)
        except (OSError, ValueError, h11.ProtocolError) as error:
            failure = transport_error(
                operation,
                error,
                timed_out=deadline.passed,
                is_sent=is_sent,
                has_proxy=self._proxy is not None,
                peer=self.peer,
            )
        if address is not None:
            self._dialer.avoid(address)
        try:
            raise failure
        finally:
            del failure  # it holds this frame, and would hold itself

    def _open(self, stream: Stream, context: ssl.SSLContext | None) -> Stream:
        """Return the stream to the API: through the proxy, and with TLS."""
        if self._proxy is not None:
            stream = _encrypted(stream, self._proxy, context)
            if self._api.scheme == "http":
                return stream
            address = f"{_bracketed(self._api.host)}:{self._api.port}"
            tunnel = HTTPExchange(stream)
            tunnel.send("CONNECT", address, {"Host": address})
            if tunnel.receive_head().status_code not in _SUCCESSES:
                raise ProxyRefusedError
        return _encrypted(stream, self._api, context)


class _URL(NamedTuple):
    scheme: str
    host: str
    port: int
    netloc: str
    path: str


def _parse_url(url: str, what: str) -> _URL:
    """Return a usable URL; errors do not quote it, since it may hold a password."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
        if not host.isascii():
            host = host.encode("idna").decode()
    except ValueError:
        raise ConfigError(f"{what} is no URL") from None
    if parts.scheme not in _PORTS or not host:
        raise ConfigError(f"{what} must start with http:// or https:// and name a host")
    if "@" in parts.netloc:
        raise ConfigError(f"{what} must not hold credentials")
    if "?" in url or "#" in url:
        raise ConfigError(f"{what} must not have a query or fragment")
    netloc = _bracketed(host) if port is None else f"{_bracketed(host)}:{port}"
    path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
    return _URL(parts.scheme, host, port or _PORTS[parts.scheme], netloc, path)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _encrypted(stream: Stream, url: _URL, context: ssl.SSLContext | None) -> Stream:
    return TLSStream(stream, context, url.host) if url.scheme == "https" and context is not None else stream
