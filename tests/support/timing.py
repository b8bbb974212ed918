"""Promises about time, on a machine that is not a test's own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["allowed", "within"]


def allowed(seconds: float) -> float:
    """Return what becomes of so many seconds where more work waits than there are cores."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail when what is done in the block takes longer."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < allowed(seconds), f"it took {took:.2f} s where {seconds:g} s are promised"
