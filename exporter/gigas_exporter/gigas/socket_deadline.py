"""A total deadline for socket work.

A socket's own timeout starts again with each byte, so that a response that arrives byte by byte never times out. Here
a watcher thread shuts the connection's socket down once the deadline has passed, whatever library is reading from it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Self

_CHECK_INTERVAL_SECONDS = 0.2


class SocketDeadline:
    """The deadline of the socket work inside a ``with`` block.

    It uses the machine's monotonic clock, as sockets do, even where tests replace the package's clock.

    Args:
        seconds: The time limit from now on.
        stop: Ends the work within a fifth of a second when it is set.

    Attributes:
        end: When the time is up, by the monotonic clock.
        expired: Whether the socket was shut down; data read since then may be incomplete.
    """

    def __init__(self, seconds: float, stop: threading.Event) -> None:
        self.end = time.monotonic() + seconds
        self.expired = False
        self._stop = stop
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        _watcher.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        _watcher.remove(self)
        self._release()

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return self._stop.is_set() or time.monotonic() >= self.end

    def slice(self) -> float:
        """Return the seconds until the deadline must be checked again.

        Raises:
            TimeoutError: The time is up.
        """
        if self.passed:
            raise TimeoutError("the deadline has passed")
        return max(0.001, min(_CHECK_INTERVAL_SECONDS, self.end - time.monotonic()))

    def attach(self, sock: socket.socket) -> None:
        """Shut this socket down at the deadline, instead of the previous one.

        Raises:
            TimeoutError: The time is up.
        """
        self._release()
        # A duplicate: TLS takes over the descriptor, and a closed descriptor may belong to another socket by then.
        duplicate = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=os.dup(sock.fileno()))
        with self._lock:
            self._socket = duplicate
            if self.expired:
                self._shut_down()
                raise TimeoutError("the deadline has passed")

    def expire(self) -> None:
        """Shut down the socket, now or when attached."""
        with self._lock:
            self.expired = True
            self._shut_down()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # the peer closed it already
                self._socket.shutdown(socket.SHUT_RDWR)

    def _release(self) -> None:
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


class _Watcher:
    """The thread that expires the deadlines of all clients."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._deadlines: set[SocketDeadline] = set()
        self._is_running = False
        self._is_idle = False

    def add(self, deadline: SocketDeadline) -> None:
        """Watch a deadline.

        Raises:
            OSError: No thread can be started.
        """
        with self._changed:
            if not self._is_running:
                start_thread("gigas-deadlines", self._run)
                self._is_running = True
            self._deadlines.add(deadline)
            if self._is_idle:
                self._changed.notify()

    def remove(self, deadline: SocketDeadline) -> None:
        with self._changed:
            self._deadlines.discard(deadline)

    def _run(self) -> None:
        with self._changed:
            while True:
                for deadline in [each for each in self._deadlines if each.passed]:
                    self._deadlines.discard(deadline)
                    deadline.expire()
                self._is_idle = not self._deadlines
                soonest = min((deadline.end for deadline in self._deadlines), default=0.0) - time.monotonic()
                self._changed.wait(None if self._is_idle else max(0.001, min(_CHECK_INTERVAL_SECONDS, soonest)))


_watcher = _Watcher()


def start_thread(name: str, target: Callable[[], None]) -> threading.Thread:
    """Start a daemon thread.

    Raises:
        OSError: No thread can be started.
    """
    thread = threading.Thread(target=target, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, "no thread can be started") from None
    return thread
