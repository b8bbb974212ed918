"""Owns accepting connections and ending well. Knows no HTTP and no TLS: a connection does both in its own thread.

Written on plain sockets because that is what held up best when measured: 300 clients that drip headers, 300 that never
finish a TLS handshake, or 100 that never read a large page neither slow scrapes down nor cost memory.
"""

from __future__ import annotations

import errno
import select
import socket
import threading
from contextlib import suppress
from typing import Final

from gigas_exporter.clock import Clock, SystemClock
from gigas_exporter.logs import get_logger
from gigas_exporter.web.access import build_access
from gigas_exporter.web.connection import Connection, Limits
from gigas_exporter.web.crowd import Crowd, connection_cap
from gigas_exporter.web.listening import open_listener
from gigas_exporter.web.message import Handler
from gigas_exporter.web.stream import Stream
from gigas_exporter.web.turns import party_of
from gigas_exporter.web.webconfig import WebConfig

__all__ = ["Limits", "Server"]

_log = get_logger(__name__)
_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_ACCEPTS_AT_ONCE: Final = 64
_PAUSE_SECONDS: Final = 0.1
_COMPLAINT_SECONDS: Final = 10.0
_UNFINISHED_GRACE_SECONDS: Final = 0.5
_MOST_WAITING: Final = 128  # for a check of credentials; half of the connections stay for those who need none


class Server:
    """An HTTP/1.1 server.

    It listens as soon as it exists, so that an address in use is known before anything else starts; connections wait
    in the kernel's queue until :meth:`start`.

    Args:
        listen: Host and port; the empty host is every address, port 0 a free one.
        handler: Answers the requests; called from many threads at once.
        web_config: TLS, users, headers and rate limit; None is plain HTTP for everybody.
        clock: Where the time comes from.
        limits: How long and how many.

    Raises:
        ConfigError: The address cannot be listened on.
    """

    def __init__(
        self,
        listen: tuple[str, int],
        handler: Handler,
        web_config: WebConfig | None = None,
        clock: Clock | None = None,
        *,
        limits: Limits | None = None,
    ) -> None:
        self._clock = clock if clock is not None else SystemClock()
        self._limits = limits if limits is not None else Limits()
        self._handler = handler
        cap = connection_cap(self._limits.connections)
        self._access = build_access(web_config, self._clock, min(_MOST_WAITING, cap // 2))
        self._crowd = Crowd(self._clock, cap)
        self._stop = threading.Event()
        self._complained = -_COMPLAINT_SECONDS
        self._thread: threading.Thread | None = None
        self._listener = open_listener(listen)
        self._wake, self._waker = socket.socketpair()
        host, port, *_ = self._listener.getsockname()
        self._address = (str(host), int(port))

    @property
    def address(self) -> tuple[str, int]:
        """Return the host and port that are listened on."""
        return self._address

    @property
    def accepting(self) -> bool:
        """Return whether connections are being accepted."""
        return self._thread is not None and self._thread.is_alive() and not self._stop.is_set()

    def start(self) -> None:
        """Begin to answer."""
        thread = threading.Thread(target=self._accept_until_stopped, name="web-accept", daemon=True)
        thread.start()
        self._thread = thread  # only now, for one that could not be started cannot be waited for

    def close(self, grace_seconds: float = 5.0) -> bool:
        """Stop listening, let requests under way finish, end the rest; return whether all finished in time.

        Idle connections end at once. It takes at most about a second more than ``grace_seconds``.
        """
        if self._stop.is_set():
            return True
        self._stop.set()
        self._crowd.hurry()
        with suppress(OSError):
            self._waker.send(b"x")
        if self._thread is not None:
            self._thread.join()
        self._listener.close()
        finished = self._crowd.drain(grace_seconds, _UNFINISHED_GRACE_SECONDS)
        self._wake.close()
        self._waker.close()
        return finished

    def _accept_until_stopped(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._stop.is_set():
            poll.poll()
            self._accept_waiting()
        self._accept_waiting()  # who connected before the end still gets an answer

    def _accept_waiting(self) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                accepted, (host, *_) = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    self._wait_for_resources(error)
                    return
                continue  # that one client went away again
            self._admit(accepted, host)

    def _admit(self, accepted: socket.socket, host: str) -> None:
        with suppress(OSError):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = Stream(accepted, self._clock)
        connection = Connection(
            stream,
            party_of(host),
            clock=self._clock,
            limits=self._limits,
            access=self._access,
            handler=self._handler,
            closing=self._stop.is_set,
        )
        if not self._crowd.admit(connection, connection.run):
            stream.close()
            self._complain("a connection was refused: there are too many")

    def _wait_for_resources(self, error: OSError) -> None:
        """Make room, or pause: the listener stays readable, and without either the loop would spin."""
        self._complain("cannot accept connections", error=error.strerror)
        own_limit = error.errno == errno.EMFILE  # the others are the machine's, which one connection less does not help
        if not (own_limit and self._crowd.make_room(_PAUSE_SECONDS)):
            self._clock.wait(self._stop, _PAUSE_SECONDS)

    def _complain(self, event: str, **facts: object) -> None:
        now = self._clock.monotonic()
        if now - self._complained >= _COMPLAINT_SECONDS:
            self._complained = now
            _log.bind(**facts).warning(event)
