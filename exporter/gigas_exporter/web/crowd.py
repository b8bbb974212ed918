"""Owns how many connections there are at once, and which is given up for a new one. Knows nothing of what they say."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable
from typing import Final

from gigas_exporter.clock import Clock
from gigas_exporter.logs import get_logger
from gigas_exporter.web.connection import Connection, Phase

__all__ = ["Crowd", "connection_cap"]

_log = get_logger(__name__)
_USUAL_CAP: Final = 512
_SMALLEST_CAP: Final = 16
_DESCRIPTORS_KEPT_FREE: Final = 128  # for the API's connections, files and what the libraries hold open
_THREADS_KEPT_FREE: Final = 16  # for polls, once it is known how many threads there can be
_LEAVING_AT_ONCE: Final = 64
_LEAVING_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 0.5
_STEP_SECONDS: Final = 0.005


def connection_cap(wanted: int | None) -> int:
    """Return how many connections to allow, so that room is left under the limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = _USUAL_CAP if soft == resource.RLIM_INFINITY else max(_SMALLEST_CAP, soft - _DESCRIPTORS_KEPT_FREE)
    return min(wanted if wanted is not None else _USUAL_CAP, room)


class Crowd:
    """The connections there are.

    When there are too many, the newcomer is let in and an old one is given up: first the oldest that has not finished
    its request's head, then the oldest idle, then the oldest that is being written to. Refusing newcomers instead
    would let whoever holds connections open lock all others out. Those for whom an answer is being made stay.

    Where the system gives no more threads before the cap is reached, the cap is lowered to what it gives, less some for
    the polls, which start threads too.
    """

    def __init__(self, clock: Clock, cap: int) -> None:
        self._clock = clock
        self._cap = cap
        self._present: set[Connection] = set()
        self._leaving: set[Connection] = set()
        self._changed = threading.Condition()
        self._patience_seconds = _PATIENCE_SECONDS

    def admit(self, connection: Connection, run: Callable[[], None]) -> bool:
        """Let a connection in and run it in a thread of its own; return False when there is no room or no thread.

        Threads have the platform's usual stack: ``threading.stack_size`` is global and would shrink the stacks of
        whoever starts a thread at the same moment, and what is never touched of a stack takes no memory.
        """
        with self._changed:
            if not self._make_way():
                return False
            self._present.add(connection)
            # Connections that were given up end soon; when they end slower than others come, those others wait.
            self._changed.wait_for(lambda: len(self._leaving) < _LEAVING_AT_ONCE, _LEAVING_SECONDS)
        if self._start(connection, run):
            return True
        self._lower_cap(connection)
        if self._start(connection, run, self._patience_seconds):
            return True
        self._forget(connection)
        return False

    def _make_way(self) -> bool:
        """Give up what is too much for one more; where all are being answered, wait a moment for one who is done."""
        until = self._clock.monotonic() + self._patience_seconds
        while len(self._present) >= self._cap:
            if not self._give_one_up():
                if self._clock.monotonic() >= until:
                    return False
                self._changed.wait(_STEP_SECONDS)
        return True

    def _start(self, connection: Connection, run: Callable[[], None], patience_seconds: float = 0.0) -> bool:
        """Start the connection's thread, trying until the patience ends: a thread is gone a moment after its end."""
        until = self._clock.monotonic() + patience_seconds
        while True:
            try:
                threading.Thread(target=self._live, args=(connection, run), name="web", daemon=True).start()
            except (RuntimeError, MemoryError):
                if self._clock.monotonic() >= until:
                    return False
            else:
                return True
            with self._changed:
                self._changed.wait(_STEP_SECONDS)

    def _lower_cap(self, newcomer: Connection) -> None:
        """Take the threads that there are for all that can be had: give up one at least, and what is too much then."""
        with self._changed:
            others = len(self._present) - 1
            cap = min(self._cap, max(_SMALLEST_CAP, others - _THREADS_KEPT_FREE))
            if cap < self._cap:
                _log.warning("no more threads can be had", connections=others, connections_from_now_on=cap)
            self._cap = cap
            self._present.discard(newcomer)
            while self._give_one_up() and len(self._present) >= cap:
                pass
            self._present.add(newcomer)

    def make_room(self, seconds: float) -> bool:
        """Give one connection up and wait until its descriptor is free; return whether it is."""
        with self._changed:
            leaving = len(self._leaving)
            return self._give_one_up() and self._changed.wait_for(lambda: len(self._leaving) <= leaving, seconds)

    def hurry(self) -> None:
        """Wait for nobody's place any more when somebody comes: those who come last must not put the end off."""
        self._patience_seconds = 0.0

    def drain(self, grace_seconds: float, unfinished_seconds: float) -> bool:
        """End all connections, requests under way within their grace; return whether all ended by themselves."""
        begin = self._clock.monotonic()
        self._abort(Phase.IDLE)
        if not self._wait(begin + min(unfinished_seconds, grace_seconds)):
            self._abort(Phase.IDLE, Phase.UNFINISHED)
        finished = self._wait(begin + grace_seconds)
        self._abort(*Phase)
        self._wait(self._clock.monotonic() + 1.0)
        return finished

    def _live(self, connection: Connection, run: Callable[[], None]) -> None:
        try:
            run()
        finally:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        with self._changed:
            self._present.discard(connection)
            self._leaving.discard(connection)
            self._changed.notify_all()

    def _give_one_up(self) -> bool:
        candidates = [one for one in self._present if one.phase is not Phase.ANSWERING]
        if not candidates:
            return False
        oldest = min(candidates, key=lambda one: (one.phase.value, one.since))
        self._present.discard(oldest)
        self._leaving.add(oldest)
        oldest.abort()
        return True

    def _abort(self, *phases: Phase) -> None:
        with self._changed:
            for connection in (*self._present, *self._leaving):
                if connection.phase in phases:
                    connection.abort()

    def _wait(self, until: float) -> bool:
        with self._changed:
            while self._present or self._leaving:
                left = until - self._clock.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True
