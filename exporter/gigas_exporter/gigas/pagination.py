"""Walking a list from its first item to its last, on servers that paginate in whatever way.

It owns the order of the requests and the judgement whether all items were seen. It knows neither the transport nor what
an item is. What came back is trusted more than what was asked for: the size of the first page is the step; the walk
ends at an empty, short or repeated page. A walk is believed when it fits the total that the server names and no item
was met twice. Else the list is walked once more, and believed if that walk fits, or if both met the very same items and
no fewer than the total. In all other cases it is incomplete: an item may have slipped through between two pages.

A full last page is looked behind although the list fits its total: a server that caps its totals would else hide all
that is beyond. What such a look has shown is believed for a while, so that it does not cost a request each time.

No walk holds more than the longest list that is supported. A server that ignores the limit may send its list as one
page, so that the first may be as long as any answer of whole items; those after it are held to what was asked for.
"""

from __future__ import annotations

import threading
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from gigas_exporter.clock import Clock
from gigas_exporter.errors import IncompleteError, TransportError

__all__ = ["END_BELIEVED_SECONDS", "Ends", "Fetch", "Page", "Walker", "newest_only"]

END_BELIEVED_SECONDS = 900.0
"""How long a list that is as long as it was is taken to end where it did; what is served may be that old anyway."""

# A whole item takes 200 bytes of JSON and more, so that an answer of the largest size holds 80,000 at most.
_MAX_PAGE_ITEMS = 100_000
_MAX_PAGES = 20_000
# Without a total nothing else stops a server that sends new items for ever.
_MAX_PAGES_IN_THE_DARK = 2_500
# Twice as many as may be under way at once, so that no thread waits for its next one.
_PAGES_AHEAD = 128

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
        count: Items in the body, readable or not.
        ids: A 64-bit hash of each id, in order: enough to find an item that was met on two pages.
        value: What was made of the items.
        invalid: By field, how many values were not understood.
        total: Items in the whole list, where the server says so.
        per_page: Items in a full page, where the server says so.
    """

    digest: bytes
    count: int
    ids: array[int]
    value: _V
    invalid: Mapping[str, int]
    total: int | None = None
    per_page: int | None = None

    @property
    def length(self) -> int:
        """How far the next page is from this one: an item that comes twice may take one place only."""
        return len(self.ids) + self.invalid.get("id", 0)


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


@dataclass(frozen=True, slots=True)
class _Pass(Generic[_V]):
    """One walk over a list."""

    pages: list[Page[_V]]

    @property
    def items(self) -> int:
        return sum(page.count for page in self.pages)

    @property
    def ids(self) -> array[int]:
        ids = array("q")
        for page in self.pages:
            ids.extend(page.ids)
        return ids

    def is_sound(self) -> bool:
        met: set[int] = set()
        for page in self.pages:
            met.update(page.ids)
        totals = {page.total for page in self.pages}
        is_without_repeats = len(met) == sum(len(page.ids) for page in self.pages)
        return is_without_repeats and len(totals) == 1 and totals <= {None, self.items}

    def confirms(self, ids: array[int]) -> bool:
        return self.items >= max((page.total or 0) for page in self.pages) and self.ids == ids


class Ends:
    """Where lists were seen to end: at which total there was nothing behind their full last page."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[ListKey, tuple[int, float]] = {}

    def recall(self, key: ListKey) -> int | None:
        """Return the total at which a list was seen to end, unless that was too long ago."""
        with self._lock:
            total, seen_at = self._seen.get(key, (None, 0.0))
            if self._clock.monotonic() < seen_at + END_BELIEVED_SECONDS:
                return total
            self._seen.pop(key, None)
            return None

    def keep(self, key: ListKey, total: int | None, ended: threading.Event) -> None:
        """Keep where a list ended in its last walk, and since when, unless the work that it was for has ended.

        Args:
            key: The list.
            total: Where it ended; ``None`` when its end was seen in another way.
            ended: Set when the work has ended.
        """
        with self._lock:
            if total is None:
                self._seen.pop(key, None)
            elif not ended.is_set() and total != self._seen.get(key, (None, 0.0))[0]:
                self._seen[key] = (total, self._clock.monotonic())

    def forget(self, path: str) -> None:
        """Let go of all lists below a path."""
        with self._lock:
            self._seen = {key: seen for key, seen in self._seen.items() if not key[0].startswith(path)}


@dataclass(slots=True)
class Walker:
    """Walks one list.

    Args:
        name: Of the operation, for error messages.
        limit: Items to ask for per page.
        max_items: The most that the list may hold.
        executor: Where the pages of a list of known length are fetched side by side.
        whole_below: A page without a total and with fewer items is the whole list; 0 means to look behind it.
        ignores_offset: Whether the server was seen to send the first page again when it was asked for the second.
        ends_at: The total at which the list was lately seen to end; after the walk, that at which this one saw it or
            took it to end, ``None`` when its last page was not full.
        met_first_page_again: Set when the server did so in this walk.
    """

    name: str
    limit: int
    max_items: int
    executor: Executor
    whole_below: int = 0
    ignores_offset: bool = False
    ends_at: int | None = None
    met_first_page_again: bool = False

    def walk(self, fetch: Fetch[_V], fetch_again: Fetch[Any]) -> tuple[list[Page[Any]], bool]:
        """Return the pages of a walk that can be believed, and whether it was the second.

        Raises:
            DecodeError: A page holds far more than was asked for.
            IncompleteError: Neither walk can be believed, or the list has no end, or is longer than it may be.
        """
        first = _Pass(list(self._pages(fetch)))
        if first.is_sound():
            return first.pages, False
        self.ends_at = None  # it may be what was wrong
        first_ids = first.ids
        del first  # what was made of the items is not needed any more, and would double what the walk takes
        second = _Pass(list(self._pages(fetch_again)))
        if second.is_sound() or second.confirms(first_ids):
            return second.pages, True
        raise IncompleteError(f"{self.name}: the list does not fit its total or changes while it is read")

    def _pages(self, fetch: Fetch[_V]) -> Iterator[Page[_V]]:
        first = fetch(0, self.limit, _MAX_PAGE_ITEMS)
        yield first
        if first.total != self.ends_at:
            self.ends_at = None
        if self._is_whole(first):
            return
        step, offset, last = first.length, first.length, first
        # Up to a limit more: a server may repeat items, and one that ignores the limit may have got some new ones.
        at_most = first.count + self.limit

        def ask(offset: int) -> Page[_V]:
            return fetch(offset, step, at_most)

        if first.total is not None and first.total > step:
            self._check_length(first.total, step)
            for last in self._side_by_side(ask, range(step, first.total, step), first.total):
                yield last
                offset += last.length
            if last.count < step:
                self.ends_at = None
                return
            if first.total == self.ends_at:
                return
        yield from self._pages_behind(ask, first, offset, step)

    def _is_whole(self, first: Page[Any]) -> bool:
        """Return whether nothing can be behind the first page."""
        if first.count == 0:
            return True
        if first.total is not None:
            is_full = first.count in {self.limit, first.per_page}
            return first.count == first.total and (not is_full or first.total == self.ends_at)
        if first.count > self.limit:
            return self.ignores_offset
        return first.count < self.limit and first.count < self.whole_below

    def _pages_behind(self, ask: _Ask[_V], first: Page[_V], offset: int, step: int) -> Iterator[Page[_V]]:
        seen = {first.digest}
        starts = {first.ids[0]} if first.ids else set()
        for _ in range(_MAX_PAGES_IN_THE_DARK):
            page = ask(offset)
            if page.digest == first.digest:
                self.met_first_page_again = True
            if page.count == 0:
                self.ends_at = offset if page.total == first.total == offset else None
                if page.total:  # the end, too, says how long the list is
                    yield page
                return
            if page.digest in seen or (page.ids and page.ids[0] in starts):
                return
            yield page
            if page.count < step:
                return
            seen.add(page.digest)
            starts.update(page.ids[:1])
            offset += page.length
            self._check_length(offset, step)
        raise IncompleteError(f"{self.name}: the list has no end")

    def _check_length(self, items: int, step: int) -> None:
        if items > self.max_items or items > _MAX_PAGES * step:
            raise IncompleteError(f"{self.name}: a list of {items} items in pages of {step} is too long")

    def _side_by_side(self, ask: _Ask[_V], offsets: Sequence[int], total: int) -> list[Page[_V]]:
        pages: list[Page[_V]] = []
        running: deque[Future[Page[_V]]] = deque()
        rest, items = iter(offsets), 0
        try:
            while len(pages) < len(offsets):
                running.extend(self._submit(ask, offset) for offset in islice(rest, _PAGES_AHEAD - len(running)))
                pages.append(running.popleft().result())
                items += pages[-1].length
                if items > total:  # the first page, which is not among them, is the room that is left
                    raise IncompleteError(f"{self.name}: the list is longer than its total of {total}")
            return pages
        finally:
            for future in running:
                future.cancel()

    def _submit(self, ask: _Ask[_V], offset: int) -> Future[Page[_V]]:
        try:
            return self.executor.submit(ask, offset)
        except RuntimeError as error:
            why = "the client is closed" if "after shutdown" in str(error) else "no thread can be started for it"
            raise TransportError(self.name, "connection", why) from None


def newest_only(pages: Sequence[Mapping[str, _T]]) -> list[dict[str, _T]]:
    """Return the items of each page by id without those that a later page has too: the last one wins."""
    met: set[str] = set()
    kept: list[dict[str, _T]] = []
    for page in reversed(pages):
        kept.append({identity: item for identity, item in page.items() if identity not in met})
        met.update(page)
    kept.reverse()
    return kept
