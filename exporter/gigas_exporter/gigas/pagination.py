"""Reading a list from its first item to its last, on servers that paginate in whatever way.

It owns the order of the requests and the decision whether all items were seen. It knows neither the transport nor what
an item is. What came back counts more than what was asked for: the length of the first page is the step; a traversal
ends at an empty, short or repeated page.

A traversal is complete when it matches ``X-Total`` and no item was on two pages. Else the list is read once more. The
second traversal is accepted if it is complete, or if both had the very same items, each once, and no fewer than the
total. A list of one item less than its total is reported as such. All else is incomplete: an item may have slipped
through between two pages. Pages that repeat items of earlier pages are never a whole list.

If the last page is full, one more page is requested although the total is reached, because some servers cap
``X-Total``. What that has shown is used for a while, so that it does not cost a request each time.

No traversal holds more than the longest list that is supported. A server that ignores the limit may send its list as
one page, so that the first may be as long as any response of whole items; those after it are held to what was asked.
"""

from __future__ import annotations

import threading
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from gigas_exporter.clock import Clock
from gigas_exporter.errors import IncompleteError, TransportError

__all__ = [
    "LIST_END_TTL_SECONDS",
    "Fetch",
    "ListEndCache",
    "NoContentCache",
    "OneBelowTotalError",
    "Page",
    "Paginator",
    "ShortfallCache",
]

LIST_END_TTL_SECONDS = 900.0
"""How long a list that is as long as it was is taken to end where it did; what is served may be that old anyway."""

# A whole item takes 200 bytes of JSON and more, so that a response of the largest size holds 80,000 at most.
_MAX_PAGE_ITEMS = 100_000
_MAX_PAGES = 20_000
# Without a total nothing else stops a server that sends new items for ever.
_MAX_PAGES_WITHOUT_TOTAL = 2_500
# Twice as many as may be under way at once, so that no thread waits for its next one.
_PAGES_AHEAD = 128
# How often in a row a list must come out one below its total before the total is taken to be wrong.
_POLLS_BELOW_TOTAL = 3

ListKey = tuple[str, frozenset[tuple[str, str]]]
"""A list's path, and what it is filtered by."""

_V = TypeVar("_V")
_V_co = TypeVar("_V_co", covariant=True)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Page(Generic[_V]):
    """One page as it was read.

    Attributes:
        digest: Of the body.
        count: Items in the body.
        ids: A 64-bit hash of each id, each once, in order: enough to find an item that is on two pages.
        value: What was made of the items.
        invalid: By field, how many values were not understood.
        total: Items in the whole list, where the server says so.
        per_page: Items in a full page, where the server says so.
        has_content: Whether there was a body; an empty list may come without.
    """

    digest: bytes
    count: int
    ids: array[int]
    value: _V
    invalid: Mapping[str, int]
    total: int | None = None
    per_page: int | None = None
    has_content: bool = True

    def length(self, limit: int) -> int:
        """Return how far the next page is from this one, which was asked for with ``limit``.

        An item that is on it twice may take one place only, unless the page is exactly as long as was asked for.
        """
        return self.count if self.count == limit else len(self.ids) + self.invalid.get("id", 0)


class Fetch(Protocol[_V_co]):
    """Reads the page at an offset."""

    def __call__(self, offset: int, limit: int, at_most: int) -> Page[Any]:
        """Return the page.

        Raises:
            DecodeError: It holds more than ``at_most`` items.
        """
        ...


_Ask = Callable[[int], Page[_V]]
"""Reads the page at an offset, asking for as many items as the first page had."""


class OneBelowTotalError(IncompleteError):
    """Both traversals had the same items, each once, and one less than the total.

    Attributes:
        pages: Those of the second one.
        total: What the server says.
        digest: Of the ids.
    """

    def __init__(self, message: str, pages: list[Page[Any]], total: int, digest: bytes) -> None:
        super().__init__(message)
        self.pages = pages
        self.total = total
        self.digest = digest


class _ListTraversal(Generic[_V]):
    """All pages of a list, read once."""

    def __init__(self, pages: list[Page[_V]]) -> None:
        self.pages = pages
        self.ids = array("q")
        for page in pages:
            self.ids.extend(page.ids)
        self.has_repeats = len(set(self.ids)) != len(self.ids)
        self.totals = {page.total for page in pages}
        self.total = max(total or 0 for total in self.totals)

    def is_complete(self) -> bool:
        # Where an id is twice on one page, the server may count it once or twice.
        possible = {None, len(self.ids), sum(page.count for page in self.pages)}
        return not self.has_repeats and len(self.totals) == 1 and self.totals <= possible

    def matches(self, ids: array[int]) -> bool:
        return not self.has_repeats and self.ids == ids


class _ExpiringCache(Generic[_T]):
    """What is cached about lists, dropped with their account."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[ListKey, _T] = {}

    def drop(self, path: str) -> None:
        """Drop all lists below a path."""
        with self._lock:
            self._entries = {key: entry for key, entry in self._entries.items() if not key[0].startswith(path)}


class ListEndCache(_ExpiringCache[tuple[int, float]]):
    """Where lists were seen to end: at which total there was nothing behind their full last page."""

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
        """Keep where a list ended in its last traversal, and since when, unless the work that it was for was stopped.

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


class ShortfallCache(_ExpiringCache[tuple[int, bytes, int]]):
    """Lists that came out one item below their total, and how often in a row they did so with the same items."""

    def is_confirmed(self, key: ListKey, error: OneBelowTotalError, stopped: threading.Event) -> bool:
        """Count one more such result; return whether it is the third in a row, so that the total must be wrong."""
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


class NoContentCache(_ExpiringCache[bool]):
    """Which lists had items when they were last read: an API that then answers 204 may have a fault for a moment."""

    def check(self, key: ListKey, pages: Sequence[Page[Any]], name: str) -> None:
        """Raise an error for the first response without content after items; a second one in a row is an empty list.

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


@dataclass(slots=True)
class Paginator:
    """Reads one list.

    Args:
        name: Of the operation, for error messages.
        limit: Items to ask for per page.
        max_items: The most that the list may hold.
        max_threads: How many pages of a list of known length are fetched at once.
        complete_below: A page without a total and with fewer items is the whole list; 0 means to look behind it.
        server_ignores_paging: Whether the server was seen to send the whole list whatever page is asked for; set when
            it did so in this traversal.
        ends_at: The total at which the list was lately seen to end; afterwards that at which this traversal saw it or
            took it to end, ``None`` when its last page was not full.
    """

    name: str
    limit: int
    max_items: int
    max_threads: int
    complete_below: int = 0
    server_ignores_paging: bool = False
    ends_at: int | None = None

    def fetch_all(self, fetch: Fetch[_V]) -> list[Page[_V]]:
        """Return the pages of a complete traversal; no item is on two of them.

        Raises:
            DecodeError: A page holds far more than was asked for.
            OneBelowTotalError: The list has one item less than its total.
            IncompleteError: Neither traversal is complete, or the list has no end, or is longer than it may be.
        """
        first = self._traverse(fetch)
        if first.is_complete():
            return first.pages
        self.ends_at = None  # it may be what was wrong
        first_ids = first.ids
        del first  # what was made of the items is not needed any more, and would double the memory
        second = self._traverse(fetch)
        if second.is_complete() or (second.matches(first_ids) and len(second.ids) >= second.total):
            return second.pages
        if second.has_repeats:
            raise IncompleteError(f"{self.name}: pages repeat items of earlier pages, so that others may be missing")
        message = f"{self.name}: {len(second.ids)} items could be read, X-Total says {second.total}"
        if second.matches(first_ids) and len(second.totals) == 1 and len(second.ids) == second.total - 1:
            digest = blake2b(array("q", sorted(second.ids)).tobytes(), digest_size=16).digest()
            raise OneBelowTotalError(message, second.pages, second.total, digest)
        raise IncompleteError(f"{message}, or the list changes while it is read")

    def _traverse(self, fetch: Fetch[_V]) -> _ListTraversal[_V]:
        traversal = _ListTraversal(list(self._pages(fetch)))
        unread = sum(page.invalid.get("id", 0) for page in traversal.pages)
        if unread:
            what = "an item has no id" if unread == 1 else f"{unread} items have no id"
            raise IncompleteError(f"{self.name}: {what} that can be read, so that the list is not whole")
        return traversal

    def _pages(self, fetch: Fetch[_V]) -> Iterator[Page[_V]]:
        first = fetch(0, self.limit, _MAX_PAGE_ITEMS)
        yield first
        if first.total != self.ends_at:
            self.ends_at = None
        if self._is_whole(first):
            return
        read, step = [first], first.length(self.limit)
        # Up to a limit more: a server may repeat items, and one that ignores the limit may have got some new ones.
        at_most = first.count + self.limit

        def ask(offset: int) -> Page[_V]:
            return fetch(offset, step, at_most)

        if first.total is not None and first.total > step:
            self._check_length(first.total, step)
            read += self._fetch_parallel(ask, range(step, first.total, step), first.total)
            yield from read[1:]
            if read[-1].count < step:
                self.ends_at = None
                return
            if first.total == self.ends_at:
                return
        yield from self._pages_past_total(fetch, ask, read, step)

    def _is_whole(self, first: Page[Any]) -> bool:
        """Return whether nothing can be behind the first page."""
        if first.count == 0:
            return True
        if first.total is not None:
            is_full = first.count in {self.limit, first.per_page}
            return first.count == first.total and (not is_full or first.total == self.ends_at)
        if first.count > self.limit:
            return self.server_ignores_paging
        return first.count < self.limit and first.count < self.complete_below

    def _pages_past_total(
        self, fetch: Fetch[_V], ask: _Ask[_V], read: Sequence[Page[_V]], step: int
    ) -> Iterator[Page[_V]]:
        first = read[0]
        seen = {identity for page in read for identity in page.ids}
        offset = step + sum(page.length(step) for page in read[1:])
        for number in range(_MAX_PAGES_WITHOUT_TOTAL):
            page = ask(offset)
            is_end_of_total = page.total == first.total == offset
            if page.count == 0:
                self.ends_at = offset if is_end_of_total else None
                if page.total:  # the end, too, says how long the list is
                    yield page
                return
            has_repeats = not seen.isdisjoint(page.ids)
            if has_repeats and is_end_of_total and seen.issuperset(page.ids):
                self.ends_at = offset  # such a server sends its last page, or its first, for one past the end
                return
            if number == 0 and page.digest == first.digest and first.total is None and self._sends_all(fetch, first):
                return
            yield page
            if page.count < step or has_repeats:
                return
            seen.update(page.ids)
            offset += page.length(step)
            self._check_length(offset, step)
        raise IncompleteError(f"{self.name}: the list has no end")

    def _sends_all(self, fetch: Fetch[_V], first: Page[_V]) -> bool:
        """Return whether the first page, which came for the second, too, is all that there is.

        A server may ignore the offset alone; so, unless its page is longer than was asked for, one is asked for that
        is shorter.
        """
        if not self.server_ignores_paging and 1 < first.count <= self.limit:
            shorter = fetch(0, (first.count + 1) // 2, _MAX_PAGE_ITEMS)
            if shorter.digest != first.digest:
                return False
        self.server_ignores_paging = True
        return True

    def _check_length(self, items: int, step: int) -> None:
        if items > self.max_items or items > _MAX_PAGES * step:
            raise IncompleteError(f"{self.name}: a list of {items} items in pages of {step} is too long")

    def _fetch_parallel(self, ask: _Ask[_V], offsets: Sequence[int], total: int) -> list[Page[_V]]:
        """Fetch the pages at these offsets; in threads of their own, which no other list waits for."""
        pages: list[Page[_V]] = []
        running: deque[Future[Page[_V]]] = deque()
        rest, items = iter(offsets), 0
        pool = ThreadPoolExecutor(min(self.max_threads, len(offsets)), thread_name_prefix="gigas-pages")
        try:
            while len(pages) < len(offsets):
                running.extend(self._submit(pool, ask, each) for each in islice(rest, _PAGES_AHEAD - len(running)))
                pages.append(running.popleft().result())
                items += len(pages[-1].ids)
                if items > total:  # the first page, which is not among them, is the room that is left
                    raise IncompleteError(f"{self.name}: the list is longer than its total of {total}")
            return pages
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, pool: ThreadPoolExecutor, ask: _Ask[_V], offset: int) -> Future[Page[_V]]:
        try:
            return pool.submit(ask, offset)
        except RuntimeError:
            raise TransportError(self.name, "connection", "no thread can be started for its pages") from None
