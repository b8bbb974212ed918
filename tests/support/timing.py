"""Clocks that a test puts ahead, and promises about time, on a machine that may be slow or busy.

A test proves that nothing waits for what never comes; how many milliseconds it takes is the benchmarks' business. So
each promise is stretched, though never as far as the fault would take that the test looks for: make that fault ten
times as long as what is promised.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gigas_exporter.clock import SystemClock

# What the work in _slowness takes on a machine of 2020 with nothing else to do.
_NORMAL_SECONDS = 0.02
# A promise is stretched by no less and no more than this.
_LEAST = 2.0
_MOST = 6.0


class ShiftedClock(SystemClock):
    """The machine's clocks, and some seconds more.

    Attributes:
        ahead: So many on both clocks.
        wall_ahead: So many on the wall clock alone.
        wall_at: Where the wall clock stands still; ``None``: it goes.
        monotonic_at: Where the other one does.
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
    """Measure how many times as long as on a normal machine things take now."""
    began = time.perf_counter()
    sum(range(1_000_000))
    measured = (time.perf_counter() - began) / _NORMAL_SECONDS
    return max(measured, os.getloadavg()[0] / (os.cpu_count() or 1))


def allowed(seconds: float) -> float:
    """Return how long a promise of so many seconds may take here and now, two to six times as long."""
    return seconds * min(max(_LEAST, 2 * _slowness()), _MOST)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail when what is done in the block takes longer."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds or took < (limit := allowed(seconds)), (
        f"it took {took:.2f} s; the limit is {seconds:g} s, or {limit:.2f} s on this machine now"
    )
