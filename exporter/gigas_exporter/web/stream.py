"""Owns reading and writing one connection against absolute deadlines; knows bytes, not HTTP.

A socket's own timeout starts again with each byte, so that a peer which drips bytes is never timed out. Every wait here
is for what is left of a deadline.
"""

from __future__ import annotations

import itertools
import socket
import ssl
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from gigas_exporter.clock import Clock

__all__ = ["Stream"]

_READ_BYTES: Final = 16 * 1024
_TLS_PIECE_BYTES: Final = 64 * 1024
_PIECES_AT_ONCE: Final = 64
_FAREWELL_SECONDS: Final = 1.0
_FAREWELL_BYTES: Final = 256 * 1024
_LEAST_SECONDS: Final = 0.001
"""For the kernel 0 means no limit."""


class Stream:
    """A connection's bytes. One thread reads and writes; any thread may :meth:`abort`.

    Attributes:
        buffer: What was received and not yet taken.
    """

    def __init__(self, connection: socket.socket, clock: Clock) -> None:
        self._socket = connection
        self._clock = clock
        self._lock = threading.Lock()  # keeps abort from touching a descriptor that was closed and given out again
        self._aborted = False
        self.buffer = bytearray()

    def start_tls(self, context: ssl.SSLContext, deadline: float) -> ssl.SSLSocket:
        """Do the handshake.

        Raises:
            OSError: It failed (also :class:`ssl.SSLError`) or was not done at the deadline (:class:`TimeoutError`).
        """
        with self._lock:
            self._raise_if_aborted()
            self._socket.settimeout(self._left(deadline))
            secured = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
            self._socket = secured
        secured.do_handshake()
        return secured

    def receive(self, deadline: float) -> int:
        """Read what has come, or wait for some; return how many bytes, 0 at the end of input."""
        self._socket.settimeout(self._left(deadline))
        data = self._socket.recv(_READ_BYTES)
        self.buffer += data
        return len(data)

    def take(self, count: int) -> bytes:
        """Remove and return the buffer's first ``count`` bytes."""
        data = bytes(memoryview(self.buffer)[:count])
        del self.buffer[:count]
        return data

    def send(self, chunks: Iterable[bytes], deadline: float) -> None:
        """Write all chunks, without copying the large ones."""
        if isinstance(self._socket, ssl.SSLSocket):
            for piece in _pieces(chunks):
                self._send_piece(piece, deadline)
        else:
            views = (memoryview(chunk) for chunk in chunks if chunk)
            while pending := list(itertools.islice(views, _PIECES_AT_ONCE)):
                self._send_together(pending, deadline)

    def send_unsecured(self, data: bytes) -> None:
        """Write past TLS, to tell a client that spoke plain HTTP so."""
        with suppress(OSError):
            socket.socket.send(self._socket, data)

    def finish(self, *, secured: bool = True) -> None:
        """End the connection so that what was sent arrives: say so, read what the peer still had to say, then close.

        ``secured`` is whether TLS, where there is any, got so far that it has to be ended too.
        """
        try:
            deadline = self._clock.monotonic() + _FAREWELL_SECONDS
            self._socket.settimeout(_FAREWELL_SECONDS)
            if secured and isinstance(self._socket, ssl.SSLSocket):
                self._socket.unwrap()
            self._shut(socket.SHUT_WR)
            taken = 0
            while taken < _FAREWELL_BYTES:
                self._socket.settimeout(self._left(deadline))
                # Past TLS: whatever still comes is only kept from becoming a reset that destroys our answer.
                data = socket.socket.recv(self._socket, _READ_BYTES)
                taken += len(data)
                if not data:
                    break
        except (OSError, ValueError):
            pass
        finally:
            self.close()

    def abort(self) -> None:
        """Make every read and write of the connection fail at once; may be called from any thread."""
        with self._lock:
            self._aborted = True
            self._shut(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the descriptor back."""
        with self._lock:
            self._socket.close()

    def _shut(self, how: int) -> None:
        with suppress(OSError):
            socket.socket.shutdown(self._socket, how)  # SSLSocket's own would pull TLS from under the other thread

    def _send_piece(self, piece: memoryview, deadline: float) -> None:
        while piece:
            self._socket.settimeout(self._left(deadline))
            piece = piece[self._socket.send(piece) :]

    def _send_together(self, views: list[memoryview], deadline: float) -> None:
        # The kernel keeps the time, so that one call sends all that it can: after each call this thread waits for its
        # turn with Python, behind every thread of a poll.
        first = 0
        self._socket.setblocking(True)
        while first < len(views):
            left = max(_LEAST_SECONDS, self._left(deadline))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(left))
            try:
                sent = self._socket.sendmsg(views[first:])
            except BlockingIOError:
                raise TimeoutError("the deadline has passed") from None
            while first < len(views) and sent >= len(views[first]):
                sent -= len(views[first])
                first += 1
            if sent:
                views[first] = views[first][sent:]

    def _left(self, deadline: float) -> float:
        self._raise_if_aborted()
        left = deadline - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left

    def _raise_if_aborted(self) -> None:
        if self._aborted:
            raise ConnectionAbortedError("the connection was ended from this side")


def _timeval(seconds: float) -> bytes:
    return struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))


def _pieces(chunks: Iterable[bytes]) -> Iterator[memoryview]:
    """Cut large chunks and join small ones, because each piece becomes a TLS record of its own."""
    small = bytearray()
    for chunk in chunks:
        if len(small) + len(chunk) <= _READ_BYTES:
            small += chunk
            continue
        if small:
            yield memoryview(bytes(small))
            small.clear()
        view = memoryview(chunk)
        for start in range(0, len(view), _TLS_PIECE_BYTES):
            yield view[start : start + _TLS_PIECE_BYTES]
    if small:
        yield memoryview(bytes(small))
