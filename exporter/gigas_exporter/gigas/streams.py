"""Byte streams over sockets, plain or encrypted, that end by a total deadline.

A socket's own timeout starts again with each byte, so that a response that arrives byte by byte never times out. Here
each wait is as long as the deadline leaves time, and no longer than a fifth of a second, after which it is checked
whether the work has been stopped.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

_CHECK_INTERVAL_SECONDS = 0.2
_CHUNK_BYTES = 64 * 2**10

_T = TypeVar("_T")


class SocketDeadline:
    """The time by which socket work must be done.

    It follows the machine's monotonic clock, as sockets do, also where tests replace the package's clock.

    Args:
        seconds: From now on.
        stop: Ends the work within a fifth of a second when it is set.
    """

    def __init__(self, seconds: float, stop: threading.Event) -> None:
        self._end = time.monotonic() + seconds
        self._stop = stop

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return self._stop.is_set() or time.monotonic() >= self._end

    def slice(self) -> float:
        """Return the seconds to wait before the deadline must be checked again.

        Raises:
            TimeoutError: The time is up.
        """
        if self.passed:
            raise TimeoutError("the deadline has passed")
        return max(0.001, min(_CHECK_INTERVAL_SECONDS, self._end - time.monotonic()))


class Stream(Protocol):
    """A connection's bytes; each call ends by the deadline with a :class:`TimeoutError`."""

    def receive(self) -> bytes:
        """Return what has come, at least one byte; nothing at the end."""
        ...

    def send(self, data: bytes) -> None:
        """Send all of it."""
        ...


class SocketStream:
    """The bytes of a connected socket."""

    def __init__(self, sock: socket.socket, deadline: SocketDeadline) -> None:
        self._socket = sock
        self._deadline = deadline

    def receive(self) -> bytes:
        """Return what has come, at least one byte; nothing at the end."""
        return self._wait(lambda: self._socket.recv(_CHUNK_BYTES))

    def send(self, data: bytes) -> None:
        """Send all of it."""
        left = memoryview(data)
        while left:
            left = left[self._wait(lambda part=left: self._socket.send(part)) :]  # type: ignore[misc]

    def _wait(self, call: Callable[[], _T]) -> _T:
        while True:
            self._socket.settimeout(self._deadline.slice())
            try:
                return call()
            except TimeoutError as error:
                if error.errno is not None:  # the kernel gave the connection up
                    raise


class TLSStream:
    """TLS over another stream, which may be encrypted itself, as that to a proxy."""

    def __init__(self, stream: Stream, context: ssl.SSLContext, host: str) -> None:
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._exchange(self._tls.do_handshake)

    def receive(self) -> bytes:
        """Return what has come, at least one byte; nothing at the end."""
        try:
            return self._exchange(lambda: self._tls.read(_CHUNK_BYTES))
        except ssl.SSLEOFError:  # many servers close the connection without a word
            return b""

    def send(self, data: bytes) -> None:
        """Send all of it."""
        left = memoryview(data)
        while left:
            left = left[self._exchange(lambda part=left: self._tls.write(part)) :]  # type: ignore[misc]

    def _exchange(self, call: Callable[[], _T]) -> _T:
        """Return the call's result, receiving and sending what it needs."""
        while True:
            try:
                with contextlib.suppress(ssl.SSLWantReadError):
                    return call()
            finally:
                self._stream.send(self._outgoing.read())
            data = self._stream.receive()
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()
