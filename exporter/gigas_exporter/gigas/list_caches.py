"""What is cached about lists from one reading to the next, dropped with their account."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from gigas_exporter.clock import Clock
from gigas_exporter.errors import IncompleteError
from gigas_exporter.gigas.pagination import OneBelowTotalError, Page
from gigas_exporter.gigas.paging_headers import PAGING_FIELDS

LIST_END_TTL_SECONDS = 900.0
"""How long a list that is as long as it was is taken to end where it did; what is served may be that old anyway."""

# How often in a row a list must come out one below its total before the total is taken to be wrong.
_POLLS_BELOW_TOTAL = 3

# Whether a date lies ahead depends on when it is read, and whether a header fits on all pages: a page with such a field
# is decoded each time.
_UNCACHED_FIELDS = frozenset({"created_at", "updated_at", "date_created", *PAGING_FIELDS})

ListKey = tuple[str, frozenset[tuple[str, str]]]
"""A list's path, and what it is filtered by."""

_T = TypeVar("_T")


class _ListCache(Generic[_T]):
    """What is cached about lists, dropped with their account."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, Any], _T] = {}

    def drop(self, path: str) -> None:
        """Drop all lists below a path."""
        with self._lock:
            self._entries = {key: entry for key, entry in self._entries.items() if not key[0].startswith(path)}


class PageCache(_ListCache[dict[bytes, Page[Any]]]):
    """The pages of each list's last traversal, by the digest of their body.

    The key of a list is its path and what its pages are made into.
    """

    def get(self, key: tuple[str, str | None]) -> Mapping[bytes, Page[Any]]:
        """Return a list's pages of the last traversal."""
        with self._lock:
            return self._entries.get(key, {})

    def put(self, key: tuple[str, str | None], pages: Iterable[Page[Any]], stopped: threading.Event) -> None:
        """Replace a list's pages, unless the work that they were read for was stopped."""
        kept = {page.digest: page for page in pages if not _UNCACHED_FIELDS & page.invalid.keys()}
        with self._lock:
            if not stopped.is_set():
                self._entries[key] = kept


class ListEndCache(_ListCache[tuple[int, float]]):
    """The totals at which lists were seen to end: there was nothing behind their full last page."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def get(self, key: ListKey) -> int | None:
        """Return the total at which a list was seen to end, unless that was too long ago."""
        with self._lock:
            total, seen_at = self._entries.get(key, (None, 0.0))
            if self._clock.monotonic() < seen_at + LIST_END_TTL_SECONDS:
                return total
            self._entries.pop(key, None)
            return None

    def put(self, key: ListKey, total: int | None, stopped: threading.Event) -> None:
        """Keep where a list ended in its last traversal, and since when, unless that work was stopped.

        Args:
            key: The list.
            total: Where it ended; ``None`` when its end was seen in another way.
            stopped: Set when the work was stopped.
        """
        with self._lock:
            if total is None:
                self._entries.pop(key, None)
            elif not stopped.is_set() and total != self._entries.get(key, (None, 0.0))[0]:
                self._entries[key] = (total, self._clock.monotonic())


class ShortfallCache(_ListCache[tuple[int, bytes, int]]):
    """Lists that came out one item below their total, and how often in a row with the same items."""

    def is_confirmed(self, key: ListKey, error: OneBelowTotalError, stopped: threading.Event) -> bool:
        """Count one more such result; return whether it is the third in a row: then the total must be wrong."""
        with self._lock:
            total, digest, count = self._entries.get(key, (0, b"", 0))
            count = count + 1 if (total, digest) == (error.total, error.digest) else 1
            if not stopped.is_set():
                self._entries[key] = (error.total, error.digest, count)
            return count >= _POLLS_BELOW_TOTAL

    def reset(self, key: ListKey) -> None:
        """Note another result."""
        with self._lock:
            self._entries.pop(key, None)


class NoContentCache(_ListCache[bool]):
    """Lists that had items when they were last read: a 204 after that may be a passing fault."""

    def check(self, key: ListKey, pages: Sequence[Page[Any]], name: str) -> None:
        """Reject the first response without content after items; a second one in a row is an empty list.

        Raises:
            IncompleteError: It is the first one.
        """
        with self._lock:
            had_items = self._entries.pop(key, False)
            if any(page.count for page in pages):
                self._entries[key] = True
            elif had_items and not pages[0].has_content:
                raise IncompleteError(
                    f"{name}: status 204 where there were items before; it counts when it is repeated"
                )
