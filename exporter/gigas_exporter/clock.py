"""Two clocks, and waits that can be interrupted.

Ages follow the wall clock; schedules, deadlines and staleness follow the monotonic one, so that a clock that is set
changes neither how often the API is asked nor how long old data is served.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "Deadline", "StopEvent", "SystemClock"]


class Clock(Protocol):
    """The two clocks, replaced by tests."""

    def wall(self) -> float:
        """Return UNIX seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait at most so long; return whether the event is set."""
        ...


class SystemClock:
    """The machine's clocks."""

    def wall(self) -> float:
        """Return UNIX seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait at most so long; return whether the event is set."""
        return event.wait(max(0.0, seconds))


class StopEvent(threading.Event):
    """An event also set when its parent is."""

    def __init__(self, parent: StopEvent | None = None) -> None:
        super().__init__()
        self._parent = parent
        self.children: set[StopEvent] = set()
        if parent is not None:
            parent.children.add(self)
            if parent.is_set():
                self.set()

    def set(self) -> None:
        """Set it, and all of its children."""
        super().set()
        for child in tuple(self.children):
            child.set()

    def detach(self) -> None:
        """Have nothing to do with the parent any more."""
        if self._parent is not None:
            self._parent.children.discard(self)


class Deadline:
    """The time that one piece of work, such as a poll, may take in all; waits inside it end with it.

    Args:
        clock: Where the time comes from.
        seconds: How long the work may take from now on.
        stop: Set when the process ends; every wait then ends at once.
        may_retry: Whether a request without a response may be sent again; asked when there was none.

    Attributes:
        sent_at: When the last request was sent, while there is no response to it, by the monotonic clock.
        got_response: Whether there was a response to any request.
        got_no_response: Whether the last request timed out.
    """

    __slots__ = ("_clock", "_end", "got_no_response", "got_response", "may_retry", "sent_at", "stop")

    def __init__(
        self,
        clock: Clock,
        seconds: float,
        stop: threading.Event | None = None,
        *,
        may_retry: Callable[[], bool] = lambda: True,
    ) -> None:
        self._clock = clock
        self.may_retry = may_retry
        self.sent_at: float | None = None
        self.got_response = self.got_no_response = False
        self._end = clock.monotonic() + seconds
        self.stop = stop if stop is not None else threading.Event()

    def remaining(self) -> float:
        """Return the seconds left, 0 when the process is ending."""
        return 0.0 if self.stop.is_set() else max(0.0, self._end - self._clock.monotonic())

    def on_request(self) -> None:
        """Note that a request is sent."""
        self.sent_at = self._clock.monotonic()

    def on_response(self) -> None:
        """Note that there was a response to it."""
        self.sent_at, self.got_response, self.got_no_response = None, True, False

    def on_no_response(self, *, timed_out: bool) -> None:
        """Note that there was none."""
        self.sent_at, self.got_no_response = None, timed_out

    def wait(self, seconds: float) -> bool:
        """Wait; return False at once where too little is left."""
        if seconds > self.remaining():
            return False
        return not self._clock.wait(self.stop, seconds)
