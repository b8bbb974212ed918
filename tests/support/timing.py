"""Clocks that a test can shift, and time limits that allow for a slow or busy machine.

Tests prove that nothing waits forever; the benchmarks measure how long things take. So a limit is multiplied by two to
six. The delay that a test detects must be ten times the limit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gigas_exporter.clock import SystemClock

# The time of the work in _slowness on an idle machine of 2020.
_NORMAL_SECONDS = 0.02
# The least and greatest factors of a limit.
_LEAST = 2.0
_MOST = 6.0


class ShiftedClock(SystemClock):
    """The machine's clocks, shifted or stopped.

    Attributes:
        ahead: Seconds added to both clocks.
        wall_ahead: Seconds added to the wall clock only.
        wall_at: The time at which the wall clock is stopped; ``None`` if it runs.
        monotonic_at: The same for the monotonic clock.
    """

    ahead = 0.0
    wall_ahead = 0.0
    wall_at: float | None = None
    monotonic_at: float | None = None

    def wall(self) -> float:
        return super().wall() + self.ahead + self.wall_ahead if self.wall_at is None else self.wall_at

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead if self.monotonic_at is None else self.monotonic_at


def _slowness() -> float:
    """Measure how many times slower than normal this machine is now."""
    began = time.perf_counter()
    sum(range(1_000_000))
    measured = (time.perf_counter() - began) / _NORMAL_SECONDS
    return max(measured, os.getloadavg()[0] / (os.cpu_count() or 1))


def allowed(seconds: float) -> float:
    """Return the limit for this machine now, two to six times ``seconds``."""
    return seconds * min(max(_LEAST, 2 * _slowness()), _MOST)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail if the block takes longer than is allowed for ``seconds``."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds or took < (limit := allowed(seconds)), (
        f"it took {took:.2f} s; the limit is {seconds:g} s, or {limit:.2f} s on this machine now"
    )
