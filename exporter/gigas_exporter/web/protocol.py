"""uvicorn's HTTP/1.1 protocol with absolute deadlines and eviction.

uvicorn limits the size of a request's head and the idle time between requests, but a client that sends a byte now and
then, or never reads, would hold its connection forever. Here each time limit is absolute: no byte extends it.
"""

from __future__ import annotations

import asyncio
import enum
import re
import sys
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from gigas_exporter.web.http import text_response

if TYPE_CHECKING:
    from gigas_exporter.web.server import Server

_LINGER_SECONDS: Final = 1.0
_NEW_SECONDS: Final = 1.0  # long enough to read a request that is sent at once, also on a busy machine
_MAX_HEAD_BYTES: Final = 16 * 1024
_MAX_UNSENT_BYTES: Final = 64 * 1024  # buffered for a client that does not read; asyncio's default for TLS is 512 KiB
_AMBIGUOUS: Final = re.compile(rb"(?<!\r)\n|\n[ \t]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BAD_HOST: Final = re.compile(rb"(?i:\nhost:)(?![ \t]*[\w.~%!$&'()*+,;=:\[\]-]*[ \t]*(?:\r\n|\Z))")  # RFC 9112, 3.2
_PLAIN_HTTP_TO_TLS: Final = (
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    b"this is an HTTPS server\n"
)


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Absolute time limits, and the maximum number of connections.

    Attributes:
        head_seconds: For the TLS handshake and reading the request together.
        request_seconds: From a request's first byte until its response is written.
        idle_seconds: How long a connection may wait for its next request; more than the usual scrape interval.
        connections: How many at once; None is 512, or fewer if the limit of open files is low.
    """

    head_seconds: float = 5.0
    request_seconds: float = 30.0
    idle_seconds: float = 120.0
    connections: int | None = None


class State(enum.IntEnum):
    """What a connection is doing, in the order of eviction."""

    CLOSING = 0  # further input is discarded
    READING = 1  # handshake or request
    IDLE = 2
    WRITING = 3
    HANDLING = 4  # never evicted


class Connection(H11Protocol):
    """A client's connection.

    Attributes:
        client_key: The client's address or network; requests with the same key share a lock.
        state: What the connection is doing.
        since: When its request began, or it became idle or was rejected, in the event loop's time.
        starting: The task that does the TLS handshake, if any; None once it has ended.
        got_plain_http: Whether the client sent plain HTTP instead of TLS; it gets an error response.
    """

    def __init__(self, config: Config, server: Server, client: str) -> None:
        super().__init__(config, server.server_state, {"connection": self})
        self.client_key = client
        self._server = server
        self.state = State.READING
        self.since = self.loop.time()
        self.starting: asyncio.Task[None] | None = None
        self.got_plain_http = False

    @property
    def deadline(self) -> float:
        """When the connection must end, in the event loop's time."""
        limits = self._server.limits
        seconds = {State.CLOSING: _LINGER_SECONDS, State.READING: limits.head_seconds, State.IDLE: limits.idle_seconds}
        return self.since + seconds.get(self.state, limits.request_seconds)

    def eviction_rank(self) -> tuple[State, bool, float]:
        """Return a sort key; the lowest connection is evicted first.

        A new connection is evicted after idle ones; otherwise it could be evicted before its request is read.
        """
        is_new = self.state is State.READING and self.loop.time() - self.since < _NEW_SECONDS
        return State.IDLE if is_new else self.state, is_new, self.since

    def abort(self) -> None:
        """End the connection at once."""
        if self.transport is not None:
            self.transport.abort()
        elif self.starting is not None:  # type: ignore[unreachable]  # uvicorn's type leaves out that it may be None
            self.starting.cancel()

    def time_out(self) -> None:
        """End an overdue connection, with a 408 if a request has begun."""
        if self.state is State.READING and (self.conn.trailing_data[0] or self.conn.their_state is not h11.IDLE):
            self.reject(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.abort()

    def set_state(self, state: State) -> None:
        """Change the state, and restart its time limit."""
        self.state, self.since = state, self.loop.time()

    def reject(self, status: int) -> None:
        """Answer a request that cannot be served, then close."""
        if self.transport.is_closing() or self.state is State.CLOSING:
            return
        response = self._server.access.add_headers(text_response(status))
        body = b"".join(response.chunks)
        headers = [*response.headers.items(), ("Content-Length", str(len(body))), ("Connection", "close")]
        event = h11.Response(status_code=status, headers=headers, reason=HTTPStatus(status).phrase.encode())
        is_head = False
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            is_head = self.scope["method"] == "HEAD"
        try:
            self.transport.write(self.conn.send(event) + self.conn.send(h11.Data(data=b"" if is_head else body)))
        except h11.LocalProtocolError:  # a response is on its way already
            self.transport.abort()
        else:
            self._linger()

    # Called by asyncio and uvicorn

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Check the client's certificate, if there is one."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(_MAX_UNSENT_BYTES)
        secured = transport.get_extra_info("ssl_object")
        if secured is not None and not self._server.access.allows_certificate(secured):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the connection's slot."""
        super().connection_lost(exc)
        self._server.remove(self)

    def data_received(self, data: bytes) -> None:
        """Begin the next request, or continue this one."""
        if self.state is State.CLOSING:
            return
        if self.got_plain_http:
            self.transport.write(_PLAIN_HTTP_TO_TLS)
            self._linger()
            return
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            data = data.lstrip(b"\r\n")  # RFC 9112, 2.2: empty lines before a request are ignored
        if data:
            if self.state is State.IDLE:
                self.set_state(State.READING)
            super().data_received(data)

    def handle_events(self) -> None:
        """Reject a head that a proxy may read differently.

        h11 accepts a bare LF, a folded line, a control character and a bad Host. A proxy may see one request where h11
        sees two, and let the second one through.
        """
        if self.conn.their_state is h11.IDLE:
            head, end, _ = self.conn.trailing_data[0].partition(b"\r\n\r\n")
            if len(head) > _MAX_HEAD_BYTES:  # h11 limits only a head that comes in pieces
                self.reject(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
            if _AMBIGUOUS.search(head) or (end and _BAD_HOST.search(head)):
                self.reject(HTTPStatus.BAD_REQUEST)
                return
        super().handle_events()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Reject a request that ends early; answer a complete one."""
        if self.state is State.READING and self.conn.trailing_data[0]:
            self.reject(HTTPStatus.BAD_REQUEST)
        if self.state not in {State.HANDLING, State.WRITING}:
            return False
        self.cycle.keep_alive = False
        return self.transport.get_extra_info("ssl_object") is None  # TLS has no half-closed connections

    def send_400_response(self, msg: str) -> None:
        """Reject what h11 cannot parse."""
        del msg
        error = sys.exception()
        self.reject(error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else HTTPStatus.BAD_REQUEST)

    def on_response_complete(self) -> None:
        """Wait for the next request, which may have come already."""
        if not self.transport.is_closing():
            self.set_state(State.IDLE)
        super().on_response_complete()
        if self.state is State.IDLE and self.conn.trailing_data[0]:
            self.set_state(State.READING)

    def _linger(self) -> None:
        """Discard further input; closing at once would reset the connection."""
        self.set_state(State.CLOSING)
        if self.transport.get_extra_info("ssl_object") is None:
            self.transport.write_eof()
            self.flow.resume_reading()
        else:
            self.transport.close()  # waits for the client's close_notify
