"""Reading all pages of a list once.

It owns the order of the requests, and decides where a list ends. It does not decide whether the list is whole.

The responses count more than the requests: the length of the first page is the step to the next one. A traversal ends
at an empty, short or repeated page, or at a total at which the list was lately seen to end. If the last page is full,
one more page is requested although ``X-Total`` is reached, because some servers cap the total or send the page's.

A server that ignores the limit may send its whole list as one page, so the first page may be as long as a response
allows. Later pages are limited to what was asked for, and a traversal to the longest list that is supported.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from typing import Generic, TypeVar

from gigas_exporter.errors import ApiError, IncompleteError, TransportError
from gigas_exporter.gigas.pages import NO_PAGE, Page

PAST_THE_END = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})
"""How some servers answer for a page past the end."""

# An item takes at least 200 bytes of JSON, so a response of the largest size holds at most 80,000.
_MAX_PAGE_ITEMS = 100_000
_MAX_PAGES = 20_000
# Without a total, nothing else stops a server that always sends new items.
_MAX_PAGES_WITHOUT_TOTAL = 2_500
# Twice as many as are requested in parallel, so that no thread waits for its next page.
_PAGES_AHEAD = 128
_V = TypeVar("_V")


@dataclass(slots=True)
class ServerPaging:
    """How a server was seen to paginate one operation.

    Attributes:
        unpaged_items: It sends a list of so many items whole, whatever page is asked for; 0 if that was not seen. A
            longer list may be cut: a page may have a least size.
        offset_counts_items: An offset counts items, as documented, and not pages.
    """

    unpaged_items: int = 0
    offset_counts_items: bool = False


@dataclass(slots=True)
class PageSource(Generic[_V]):
    """One list, and how to read a page of it.

    Args:
        name: The operation, for error messages.
        limit: Items to ask for per page.
        max_items: The most items that the list may have.
        max_threads: How many pages are requested in parallel if there is a total.
        complete_below: A page without a total and with fewer items is the whole list; 0 means to ask for the next page.
        server: What was learned of the server; a traversal adds to it.
        fetch: Reads the page at an offset, with a limit; raises DecodeError for more items than the third number.

    Attributes:
        has_page: Whether any page was read.
    """

    name: str
    limit: int
    max_items: int
    max_threads: int
    complete_below: int
    server: ServerPaging
    fetch: Callable[[int, int, int], Page[_V]]
    has_page: bool = field(default=False, init=False)

    def traverse(self, ends_at: int | None) -> ListTraversal[_V]:
        """Read all pages once.

        Args:
            ends_at: The total at which the list was lately seen to end.

        Raises:
            IncompleteError: An item has no id, or the list has no end, or is too long or longer than its total.
            DecodeError: A page holds far more items than were asked for.
        """
        reading = _Reading(self, ends_at)
        pages: list[Page[_V]] = []
        unread = 0
        for page in reading.pages():
            pages.append(page)
            unread += page.invalid.get("id", 0)
            if page.count and not page.ids:
                break  # such as a list of errors, which is the answer for any page
        if unread:
            what = "an item has no id" if unread == 1 else f"{unread} items have no id"
            raise IncompleteError(f"{self.name}: {what} that can be read, so that the list is not whole")
        return ListTraversal(pages, reading.last, reading.ends_at)


class ListTraversal(Generic[_V]):
    """All pages of a list, read once.

    Args:
        pages: With items, or a total.
        last: The last page that was read, be it empty or a repeated one.
        ends_at: The total at which the list ended, ``None`` if its last page was not full.
    """

    def __init__(self, pages: list[Page[_V]], last: Page[_V], ends_at: int | None) -> None:
        self.pages = pages
        self.last = last
        self.ends_at = ends_at
        self.ids = array("q")
        for page in pages:
            self.ids.extend(page.ids)
        self.has_repeats = len(set(self.ids)) != len(self.ids)
        self.totals = {page.total for page in pages}
        self.total = max(total or 0 for total in self.totals)

    def is_complete(self) -> bool:
        """Return whether the items are as many as the total, each once."""
        # If an id is twice on one page, the server may count it once or twice.
        possible = {None, len(self.ids), sum(page.count for page in self.pages)}
        return not self.has_repeats and len(self.totals) == 1 and self.totals <= possible

    def holds(self, ids: array[int]) -> bool:
        """Return whether it has all of these items."""
        return set(ids) <= set(self.ids)

    def matches(self, ids: array[int]) -> bool:
        """Return whether it has exactly these items, each once."""
        return not self.has_repeats and self.ids == ids


class _Reading(Generic[_V]):
    """Asks for the pages of one traversal."""

    def __init__(self, source: PageSource[_V], ends_at: int | None) -> None:
        self._source = source
        self.ends_at = ends_at
        self.last: Page[_V] = NO_PAGE

    def pages(self) -> Iterator[Page[_V]]:
        """Yield the pages with items, and an empty last one with a total."""
        limit = self._source.limit
        self.last = first = self._source.fetch(0, limit, _MAX_PAGE_ITEMS)
        self._source.has_page = True
        yield first
        if first.total != self.ends_at:
            self.ends_at = None
        if self._is_whole(first):
            return
        read, step = [first], first.count if first.count == first.total else first.length(limit)
        # A server may repeat items, and one that ignores the limit may have some new ones by now.
        at_most = first.count + limit

        def ask(offset: int) -> Page[_V]:
            return self._source.fetch(offset, step, at_most)

        if first.total is not None and first.total > step:
            self._check_length(first.total, step)
            read += self._fetch_parallel(ask, range(step, first.total, step), first.total)
            yield from read[1:]
            self.last = read[-1]
            if read[-1].count < step:
                self.ends_at = None
                return
            if first.total == self.ends_at and not self._may_go_on(read[-1], first.total, step):
                return
        yield from self._pages_past_total(ask, read, step)

    def _is_whole(self, first: Page[_V]) -> bool:
        """Return whether there can be nothing after the first page."""
        if first.count == 0:
            return True
        if self._may_go_on(first, first.count, first.count):
            return False
        limit, complete_below = self._source.limit, self._source.complete_below
        if first.total is not None:
            # If the server does not send the size of a page, the total may be that of this page.
            full = first.paging.per_page or complete_below
            is_full = first.count >= full or first.count == limit
            return first.count == first.total and (not is_full or first.total == self.ends_at)
        if first.count > limit:
            return first.count <= self._source.server.unpaged_items
        return first.count < limit and first.count < complete_below

    def _may_go_on(self, page: Page[_V], count: int, step: int) -> bool:
        is_end_seen = page.count < self._source.complete_below
        return page.paging.says_more or any(page.paging.contradicting(count, step, is_end_seen=is_end_seen))

    def _pages_past_total(
        self, ask: Callable[[int], Page[_V]], read: Sequence[Page[_V]], step: int
    ) -> Iterator[Page[_V]]:
        first = read[0]
        seen = {identity for page in read for identity in page.ids}
        offset = step + sum(page.length(step) for page in read[1:])
        for number in range(_MAX_PAGES_WITHOUT_TOTAL):
            try:
                self.last = page = ask(offset)
            except ApiError as error:
                if error.status not in PAST_THE_END or first.total != offset:
                    raise
                self.last, self.ends_at = NO_PAGE, offset
                return
            is_end_of_total = page.total == first.total == offset
            if page.count == 0:
                self.ends_at = offset if is_end_of_total else None
                if page.total:  # an empty page, too, says how long the list is
                    yield page
                return
            has_repeats = not seen.isdisjoint(page.ids)
            if has_repeats and is_end_of_total and seen.issuperset(page.ids):
                self.ends_at = offset  # some servers send their last page, or their first, for one past the end
                return
            if number == 0 and page.digest == first.digest and first.total is None and self._sends_all(first):
                return
            yield page
            if page.count < step or has_repeats:
                return
            seen.update(page.ids)
            offset += page.length(step)
            self._check_length(offset, step)
        raise IncompleteError(f"{self._source.name}: the list has no end")

    def _sends_all(self, first: Page[_V]) -> bool:
        """Return whether the first page, which came for the second one too, is the whole list.

        A server may ignore the offset alone. So a page of half the size is requested, unless the first page is longer
        than was asked for, or has one item.
        """
        if first.count == 1:
            return True
        server = self._source.server
        if server.unpaged_items < first.count <= self._source.limit:
            shorter = self._source.fetch(0, (first.count + 1) // 2, _MAX_PAGE_ITEMS)
            if shorter.digest != first.digest:
                return False
        server.unpaged_items = max(server.unpaged_items, first.count)
        return True

    def _check_length(self, items: int, step: int) -> None:
        if items > self._source.max_items or items > _MAX_PAGES * step:
            raise IncompleteError(f"{self._source.name}: a list of {items} items in pages of {step} is too long")

    def _fetch_parallel(self, ask: Callable[[int], Page[_V]], offsets: Sequence[int], total: int) -> list[Page[_V]]:
        name = self._source.name
        pages: list[Page[_V]] = []
        running: deque[Future[Page[_V]]] = deque()
        rest, items = iter(offsets), 0
        pool = ThreadPoolExecutor(min(self._source.max_threads, len(offsets)), thread_name_prefix="gigas-pages")
        try:
            while len(pages) < len(offsets):
                try:
                    running.extend(pool.submit(ask, each) for each in islice(rest, _PAGES_AHEAD - len(running)))
                except RuntimeError:
                    raise TransportError(name, "connection", "no thread can be started for its pages") from None
                pages.append(running.popleft().result())
                items += len(pages[-1].ids)
                if items > total:  # the first page is not counted: it is the tolerance
                    raise IncompleteError(f"{name}: the list is longer than its total of {total}")
            return pages
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
