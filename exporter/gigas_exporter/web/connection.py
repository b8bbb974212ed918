"""Owns one connection's life: handshake, heads, bodies, answers, farewell. Knows neither routes nor its neighbours."""

from __future__ import annotations

import enum
import re
import ssl
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, Protocol

from gigas_exporter.clock import Clock
from gigas_exporter.logs import get_logger
from gigas_exporter.web.head import MAXIMUM_HEAD_BYTES, Head, Refusal, parse_head
from gigas_exporter.web.message import Handler, Request, Response, plain
from gigas_exporter.web.stream import Stream

__all__ = ["Access", "Connection", "Limits", "Phase"]

_log = get_logger(__name__)
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_MAXIMUM_EMPTY_LINES: Final = 100
_LAST_WORD_SECONDS: Final = 1.0
_PLAIN_HTTP_TO_TLS: Final = (
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    b"this is an HTTPS server\n"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how many; each time is absolute, from its beginning, however many bytes come meanwhile.

    Attributes:
        head_seconds: For the TLS handshake together with the request's head.
        request_seconds: For a whole request, from its first byte until the answer is written.
        idle_seconds: How long a connection may wait for its next request; more than the usual scrape interval.
        connections: How many at once; None is 512, or what the limit of open files leaves.
    """

    head_seconds: float = 5.0
    request_seconds: float = 30.0
    idle_seconds: float = 120.0
    connections: int | None = None


class Access(Protocol):
    """Who may connect and ask."""

    def tls_context(self) -> ssl.SSLContext | None:
        """Return what to do the handshake with; None without TLS."""
        ...

    def admits(self, secured: ssl.SSLSocket) -> bool:
        """Return whether the client's certificate is one that may connect."""
        ...

    def answer(self, request: Request, handler: Handler) -> Response:
        """Answer a request, by the handler if the client may ask."""
        ...

    def decorate(self, response: Response) -> Response:
        """Add the headers that every response carries."""
        ...


class Phase(enum.Enum):
    """What a connection is doing, in the order in which connections are given up when there are too many."""

    UNFINISHED = 1  # handshake or head
    IDLE = 2
    WRITING = 3
    ANSWERING = 4


class Connection:
    """One client. :meth:`run` is its thread; the other methods may be called from any.

    Args:
        stream: Its bytes.
        party: Whose it is; connections of the same party share its turns where there is a queue.

    Attributes:
        phase: What it is doing.
        since: When that began, by the monotonic clock.
    """

    def __init__(
        self,
        stream: Stream,
        party: str,
        *,
        clock: Clock,
        limits: Limits,
        access: Access,
        handler: Handler,
        closing: Callable[[], bool],
    ) -> None:
        self._stream = stream
        self._party = party
        self._clock = clock
        self._limits = limits
        self._access = access
        self._handler = handler
        self._closing = closing
        self._began = clock.monotonic()
        self.phase = Phase.UNFINISHED
        self.since = self._began

    def abort(self) -> None:
        """End it at once; its thread then ends by itself."""
        self._stream.abort()

    def run(self) -> None:
        """Serve the client until either side has enough."""
        try:
            with suppress(OSError):  # the client went, was too slow or was given up: each is the client's own affair
                if self._secure():
                    while self._serve_one():
                        pass
                    self._enter(Phase.IDLE)
                    self._stream.finish()
        finally:
            self._stream.close()

    def _enter(self, phase: Phase) -> None:
        self.since = self._clock.monotonic()
        self.phase = phase

    def _secure(self) -> bool:
        context = self._access.tls_context()
        if context is None:
            return True
        try:
            secured = self._stream.start_tls(context, self._began + self._limits.head_seconds)
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                self._stream.send_unsecured(_PLAIN_HTTP_TO_TLS)
                self._enter(Phase.IDLE)
                self._stream.finish(secured=False)
            return False
        return self._access.admits(secured)

    def _serve_one(self) -> bool:
        """Serve one request; return whether another may follow."""
        try:
            head = self._read_head()
        except TimeoutError:
            if self._stream.buffer:
                self._refuse(Refusal(HTTPStatus.REQUEST_TIMEOUT, "the request head took too long"))
            return False
        if isinstance(head, Refusal):
            self._refuse(head)
            return False
        if head is None:
            return False
        deadline = self._began + self._limits.request_seconds
        if not self._skip_body(head, deadline):
            return False
        self._enter(Phase.ANSWERING)
        response = self._answer(replace(head.request, party=self._party))
        keep_alive = head.keep_alive and not self._closing()
        self._write(response, deadline, with_body=head.request.method != "HEAD", keep_alive=keep_alive)
        if keep_alive:
            self._begin_next()
        return keep_alive

    def _begin_next(self) -> None:
        self._began = self._clock.monotonic()
        self._enter(Phase.UNFINISHED if self._stream.buffer else Phase.IDLE)

    def _read_head(self) -> Head | Refusal | None:
        stream, seen, empty_lines = self._stream, 0, 0
        while True:
            while stream.buffer.startswith(b"\r\n"):  # RFC 9112, 2.2: some empty lines before a request are ignored
                stream.take(2)
                seen = 0
                empty_lines += 1
                if empty_lines > _MAXIMUM_EMPTY_LINES:
                    return Refusal(HTTPStatus.BAD_REQUEST, "too many empty lines stand before the request")
            end = stream.buffer.find(b"\r\n\r\n", max(0, seen - 3))
            if end >= 0:
                return parse_head(stream.take(end + 4))
            if _BARE_LF.search(stream.buffer, max(0, seen - 1)):
                return Refusal(HTTPStatus.BAD_REQUEST, "a line does not end with CR LF")
            seen = len(stream.buffer)
            if seen > MAXIMUM_HEAD_BYTES:
                if b"\r\n" in stream.buffer:
                    return Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request head is too large")
                return Refusal(HTTPStatus.REQUEST_URI_TOO_LONG, "the request target is too long")
            if not self._receive_head():
                incomplete = Refusal(HTTPStatus.BAD_REQUEST, "the request head ends too early")
                return incomplete if stream.buffer else None

    def _receive_head(self) -> int:
        idle = self.phase is Phase.IDLE
        count = self._stream.receive(
            self._began + (self._limits.idle_seconds if idle else self._limits.head_seconds),
        )
        if idle and count:
            self._began = self._clock.monotonic()
            self._enter(Phase.UNFINISHED)
        return count

    def _skip_body(self, head: Head, deadline: float) -> bool:
        """Read the body, which no route has a use for; return whether it came whole."""
        if head.expects_continue and len(self._stream.buffer) < head.body_bytes:
            self._stream.send((b"HTTP/1.1 100 Continue\r\n\r\n",), deadline)
        while len(self._stream.buffer) < head.body_bytes:
            if not self._stream.receive(deadline):
                return False
        self._stream.take(head.body_bytes)
        return True

    def _answer(self, request: Request) -> Response:
        try:
            return self._access.answer(request, self._handler)
        except Exception as error:  # noqa: BLE001  (the boundary: one broken page must not end the process)
            where = traceback.extract_tb(error.__traceback__)[-1]
            _log.error(
                "a request failed", path=request.path, error=type(error).__name__, at=f"{where.filename}:{where.lineno}"
            )
            return self._access.decorate(plain(HTTPStatus.INTERNAL_SERVER_ERROR))

    def _refuse(self, refusal: Refusal) -> None:
        response = self._access.decorate(plain(refusal.status, refusal.why))
        self._write(response, self._clock.monotonic() + _LAST_WORD_SECONDS, with_body=True, keep_alive=False)

    def _write(self, response: Response, deadline: float, *, with_body: bool, keep_alive: bool) -> None:
        self._enter(Phase.WRITING)
        lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        lines += [
            f"Content-Length: {sum(map(len, response.chunks))}",
            f"Date: {formatdate(self._clock.wall(), usegmt=True)}",
            f"Connection: {'keep-alive' if keep_alive else 'close'}",
        ]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        self._stream.send((head, *response.chunks) if with_body else (head,), deadline)
