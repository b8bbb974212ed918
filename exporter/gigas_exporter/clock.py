"""Two clocks, and waits that can be interrupted.

Ages use the wall clock; schedules, deadlines and staleness use the monotonic one. So setting the system's time changes
neither how often the API is polled nor how long old data is served.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "Deadline", "StopEvent", "SystemClock"]


class Clock(Protocol):
    """Wall and monotonic clock; tests replace both."""

    def wall(self) -> float:
        """Return UNIX seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event at most that long; return whether it is set."""
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
        """Wait for an event at most that long; return whether it is set."""
        return event.wait(max(0.0, seconds))


class StopEvent(threading.Event):
    """An event that is set together with its parent."""

    def __init__(self, parent: StopEvent | None = None) -> None:
        super().__init__()
        self._parent = parent
        self.children: set[StopEvent] = set()
        if parent is not None:
            parent.children.add(self)
            if parent.is_set():
                self.set()

    def set(self) -> None:
        """Set the event and all of its children."""
        super().set()
        for child in tuple(self.children):
            child.set()

    def detach(self) -> None:
        """Stop following the parent."""
        if self._parent is not None:
            self._parent.children.discard(self)


class Deadline:
    """The total time limit of one piece of work, such as a poll.

    Args:
        clock: The source of time.
        seconds: How long the work may take from now on.
        stop: Ends every wait at once when it is set.
        may_retry: Returns whether a request that timed out may be sent again.

    Attributes:
        sent_at: When the request that awaits its response was sent, by the monotonic clock; ``None`` without one.
        got_response: Whether any request got a response.
        timed_out: Whether the last request timed out.
    """

    __slots__ = ("_clock", "_end", "got_response", "may_retry", "sent_at", "stop", "timed_out")

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
        self.got_response = self.timed_out = False
        self._end = clock.monotonic() + seconds
        self.stop = stop if stop is not None else threading.Event()

    def remaining(self) -> float:
        """Return the seconds left, 0 once ``stop`` is set."""
        return 0.0 if self.stop.is_set() else max(0.0, self._end - self._clock.monotonic())

    def on_request(self) -> None:
        """Note that a request is sent."""
        self.sent_at = self._clock.monotonic()

    def on_response(self) -> None:
        """Note that its response arrived."""
        self.sent_at, self.got_response, self.timed_out = None, True, False

    def on_no_response(self, *, timed_out: bool) -> None:
        """Note that it got no response."""
        self.sent_at, self.timed_out = None, timed_out

    def wait(self, seconds: float) -> bool:
        """Wait; return False at once if too little time is left, or stopped."""
        if seconds > self.remaining():
            return False
        return not self._clock.wait(self.stop, seconds)
