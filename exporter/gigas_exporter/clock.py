"""Time as the package sees it: one wall clock, one monotonic clock, and waits that can be interrupted.

Ages follow the wall clock; schedules, deadlines and staleness follow the monotonic one, so that a clock that is set
changes neither how often the API is asked nor how long old data is served.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["Budget", "Clock", "SystemClock"]


class Clock(Protocol):
    """The two clocks. Tests pass one that they move by hand."""

    def wall(self) -> float:
        """Return UNIX seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until ``event`` is set or ``seconds`` have passed; return whether it is set."""
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
        """Wait until ``event`` is set or ``seconds`` have passed; return whether it is set."""
        return event.wait(max(0.0, seconds))


class Budget:
    """The time that one piece of work, such as a poll, may take in all; waits inside it end with it.

    Args:
        clock: Where the time comes from.
        seconds: How long the work may take from now on.
        stop: Set when the process ends; every wait then ends at once.
        may_retry: Whether a request without a response may be sent again.

    Attributes:
        got_no_response: Whether the last request timed out.
    """

    __slots__ = ("_clock", "_end", "got_no_response", "may_retry", "stop")

    def __init__(
        self, clock: Clock, seconds: float, stop: threading.Event | None = None, *, may_retry: bool = True
    ) -> None:
        self._clock = clock
        self.may_retry = may_retry
        self.got_no_response = False
        self._end = clock.monotonic() + seconds
        self.stop = stop if stop is not None else threading.Event()

    def remaining(self) -> float:
        """Return the seconds left, 0 when there are none or the process is ending."""
        return 0.0 if self.stop.is_set() else max(0.0, self._end - self._clock.monotonic())

    def wait(self, seconds: float) -> bool:
        """Wait ``seconds``; return False at once, without waiting, when the budget does not hold that much."""
        if seconds > self.remaining():
            return False
        return not self._clock.wait(self.stop, seconds)
