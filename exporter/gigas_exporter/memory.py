"""Give memory that is no longer needed back to the system, soon and without holding scrapes up.

Python's collector of cycles and the C library's allocator both wait for more than an exporter ever makes, so that what
a burst of large answers took would stay. Where the C library is not glibc, only Python's part is done.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

__all__ = ["COLLECTION_SECONDS", "release_memory", "tuned"]

COLLECTION_SECONDS: Final = 300.0
"""How often to look for what is not needed: at 100,000 disks a look holds every scrape up for a third of a second."""

# Of what polls make only broken connections leave cycles. A look at young objects finds those that were young; all
# objects are looked at by time and not by their number.
_THRESHOLDS: Final = (1_000, 10, 1_000_000)

# M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX of glibc's malloc.h. Left alone, the first two grow with the
# largest block that was ever freed, and an arena for each thread keeps what that thread once needed. What a usual
# scrape takes and frees again stays below both: asking the system for it each time would take a tenth longer.
# 10,000 disks, each poll different, two runs each: 110 and 114 MB resident, without these options 121 and 129 MB.
_MALLOC_OPTIONS: Final = ((-1, 16 << 20), (-3, 4 << 20), (-8, 2))


@contextmanager
def tuned() -> Iterator[None]:
    """Look at young objects only, for as long as the context lasts, and set the allocator up: before threads begin."""
    with suppress(OSError, AttributeError):
        c_library = ctypes.CDLL(None)
        for option, value in _MALLOC_OPTIONS:
            c_library.mallopt(option, value)
    old = gc.get_threshold()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*old)


def release_memory() -> None:
    """Collect cycles, and return free memory."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
