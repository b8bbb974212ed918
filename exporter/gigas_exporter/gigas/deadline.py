"""Sockets that keep an absolute deadline, from connect to the last byte.

A socket's own timeout starts again with each byte, so that an answer that drips never times out. These sockets ask the
deadline of the thread that uses them before each system call, and so cover the proxy's CONNECT, the TLS handshake and
the headers, which HTTP libraries read on their own. The module knows sockets and nothing of HTTP.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = ["Deadline", "DeadlineSocket", "DeadlineTLSSocket", "connect", "deadline"]

_T = TypeVar("_T")

_Address = tuple[socket.AddressFamily, socket.SocketKind, int, Any]

_SLICE_SECONDS = 0.2


class Deadline:
    """The moment by which a piece of socket work must be done.

    It follows the machine's monotonic clock, as sockets do, also where tests replace the package's clock.

    Args:
        seconds: From now on.
        stop: Set when the process ends; socket work then ends within a fifth of a second.
    """

    __slots__ = ("_end", "_stop")

    def __init__(self, seconds: float, stop: threading.Event) -> None:
        self._end = time.monotonic() + seconds
        self._stop = stop

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return self._stop.is_set() or time.monotonic() >= self._end

    def slice(self) -> float:
        """Return how long the next system call may block.

        Raises:
            TimeoutError: The time is up.
        """
        if self.passed:
            raise TimeoutError("the deadline has passed")
        return max(0.001, min(_SLICE_SECONDS, self._end - time.monotonic()))


class _Current(threading.local):
    deadline: Deadline | None = None


_current = _Current()


@contextmanager
def deadline(seconds: float, stop: threading.Event) -> Iterator[Deadline]:
    """Bound all work that this thread does on these sockets inside the block."""
    _current.deadline = limit = Deadline(seconds, stop)
    try:
        yield limit
    finally:
        _current.deadline = None


def _bounded(sock: socket.socket, call: Callable[..., _T], *args: Any) -> _T:
    limit = _current.deadline
    if limit is None:
        return call(*args)
    while True:
        sock.settimeout(limit.slice())
        try:
            return call(*args)
        except TimeoutError as error:
            if error.errno is not None:  # the kernel gave the connection up: no slice that ran out
                raise


class DeadlineSocket(socket.socket):
    """A plain socket whose every call ends with the thread's deadline."""

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive until the deadline."""
        return _bounded(self, super().recv, bufsize, flags)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive until the deadline."""
        return _bounded(self, super().recv_into, buffer, nbytes, flags)

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send until the deadline."""
        return _bounded(self, super().send, data, flags)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send everything until the deadline; part by part, for a part that was sent must not be sent again."""
        with memoryview(data) as view, view.cast("B") as rest:
            sent = 0
            while sent < len(rest):
                sent += self.send(rest[sent:], flags)


class DeadlineTLSSocket(ssl.SSLSocket):
    """A TLS socket whose every call, the handshake too, ends with the thread's deadline."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands until the deadline."""
        _bounded(self, super().do_handshake, block)

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002  # the name is ssl's
        """Read until the deadline; ``recv`` and ``recv_into`` come here."""
        return _bounded(self, super().read, len, buffer)

    def send(self, data: Any, flags: int = 0) -> int:
        """Send until the deadline; ``sendall`` comes here."""
        return _bounded(self, super().send, data, flags)


def connect(host: str, port: int, options: Iterable[tuple[int, int, int | bytes]]) -> DeadlineSocket:
    """Connect to the first of the host's addresses that answers; all of them share the thread's deadline.

    Raises:
        OSError: None could be reached, or the name could not be resolved.
    """
    failure: OSError | None = None
    for family, kind, protocol, address in _look_up(host.strip("[]"), port):
        try:
            sock = DeadlineSocket(family, kind, protocol)
        except OSError as error:
            failure = error
            continue
        try:
            for option in options:
                sock.setsockopt(*option)
            _connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
            if isinstance(error, TimeoutError) and error.errno is None:
                break
            continue
        return sock
    try:
        raise failure or OSError("the name has no address")
    finally:
        failure = None  # a cycle of the error and this frame would keep the sockets alive


def _look_up(host: str, port: int) -> list[_Address]:
    """Resolve a name. The resolver cannot be interrupted, so that it is left behind when the deadline passes."""
    found: list[_Address] = []
    failures: list[Exception] = []

    def ask() -> None:
        try:
            for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                found.append((family, kind, protocol, address))
        except (OSError, UnicodeError) as error:
            failures.append(error)

    limit = _current.deadline
    if limit is None or _is_literal(host):
        ask()
    else:
        resolver = threading.Thread(target=ask, name="gigas-resolver", daemon=True)
        resolver.start()
        while resolver.is_alive():
            resolver.join(limit.slice())
    if failures:
        raise failures.pop()
    return found


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _connect(sock: socket.socket, address: Any) -> None:
    limit = _current.deadline
    if limit is None:
        sock.connect(address)
        return
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code == errno.EINPROGRESS:
        poller = select.poll()
        poller.register(sock, select.POLLOUT)
        while not poller.poll(limit.slice() * 1000):
            pass
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
    sock.settimeout(limit.slice())
