"""Reading a whole list, however the server paginates.

It owns the order of the requests and the decision whether all items were seen. It knows neither the transport nor what
an item is. What came back counts more than what was asked for: the length of the first page is the step; a traversal
ends at an empty, short or repeated page.

A traversal is complete when it matches ``X-Total``, or there is no total at all, and no item was on two pages. Else the
list is read once more. The second traversal is accepted if it is complete, or if both had the very same items, each
once, and no fewer than the total. One item less than the total, the same items both times, raises
:class:`OneBelowTotalError`; the client accepts such a list at the third poll in a row. All else is incomplete: an item
may have slipped through between two pages. Pages that repeat items of earlier pages are never a whole list.

Where an item is deleted between two pages, those behind it move up, and one of them is on no page, whatever the total
says. So an item of the last reading counts as gone only when two traversals in a row lack it, be they of two polls; and
without a total the first reading of a list is made twice. Where the second one cannot be made, or lacks items of the
first, the first one stands if its total fits, or if nothing is known to be missing. Of a list of backups, in which
items come and go all the time, none of this is asked.

If the last page is full, or may be, one more page is requested although the total is reached, because some servers cap
``X-Total``, or count the page in it. What that has shown is used for a while, so that it does not cost a request each
time. A header that says that there is more, or that is not understood while the end of the list was not seen, leaves
the list as it was read, and is counted. Without a total, each traversal checks whether an offset counts items, until
one has seen that it does.

No traversal holds more than the longest list that is supported. A server that ignores the limit may send its list as
one page, so that the first may be as long as any response of whole items; those after it are held to what was asked.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from http import HTTPStatus
from itertools import islice
from typing import Any, Never, TypeVar

from gigas_exporter.errors import ApiError, GigasError, IncompleteError, TransportError
from gigas_exporter.gigas.pages import NO_PAGE, Ask, Fetch, ListTraversal, OneBelowTotalError, Page

# A whole item takes 200 bytes of JSON and more, so that a response of the largest size holds 80,000 at most.
_MAX_PAGE_ITEMS = 100_000
_MAX_PAGES = 20_000
# Without a total nothing else stops a server that sends new items for ever.
_MAX_PAGES_WITHOUT_TOTAL = 2_500
# Twice as many as may be under way at once, so that no thread waits for its next one.
_PAGES_AHEAD = 128
# With pages of two items, offset 2 and page 2 (counted from 1) begin at the same item: so small a page cannot tell
# items from pages.
_LEAST_HALF = 3
# How some servers answer for a page past the end.
_PAST_THE_END = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})
_MAY_COUNT_PAGES = (
    "an offset leads to other items than it did: it may count pages; set api.page_size to as many items as the list has"
)
_GONE = (
    "items of the last reading are missing: they are gone, which counts when it is repeated in the next reading, or the"
    " list changes while it is read"
)
_V = TypeVar("_V")


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
        offset_counts_items: Whether the server was seen to count items, not pages, as is documented; set likewise.
        ends_at: The total at which the list was lately seen to end; afterwards that at which this traversal saw it or
            took it to end, ``None`` when its last page was not full.
        known_ids: What earlier traversals held, as hashes: the last one that was accepted, and one since that was not;
            ``None`` where no item has to be accounted for.
        may_read_again: Whether there is time for a second traversal.

    Attributes:
        last: The last page that this traversal read, be it empty or a repeated one.
        seen_ids: What the last whole traversal held, accepted or not.
    """

    name: str
    limit: int
    max_items: int
    max_threads: int
    complete_below: int = 0
    server_ignores_paging: bool = False
    offset_counts_items: bool = False
    ends_at: int | None = None
    known_ids: tuple[array[int], ...] | None = None
    may_read_again: Callable[[], bool] = lambda: True
    last: Page[Any] | None = field(default=None, init=False)
    seen_ids: array[int] | None = field(default=None, init=False)

    def fetch_all(self, fetch: Fetch[_V]) -> list[Page[_V]]:
        """Return the pages of a complete traversal; no item is on two of them.

        Where a header says that there is more, or may say so, it is counted in ``invalid`` of the first page.

        Raises:
            DecodeError: A page holds far more than was asked for.
            OneBelowTotalError: The list has one item less than its total.
            IncompleteError: Neither traversal is complete, or the list has no end, or is longer than it may be, or a
                page is not found while another was.
        """
        try:
            return self._fetch_all(fetch)
        except ApiError as error:
            if self.last is None or error.status not in _PAST_THE_END:
                raise
            message = f"{self.name}: the API answered {error.status} for a page, and 200 for another: it is not whole"
            raise IncompleteError(message) from None

    def _fetch_all(self, fetch: Fetch[_V]) -> list[Page[_V]]:
        first = self._traverse(fetch)
        was_whole = first.is_complete() and self._is_whole_by_pages(fetch, first)
        whole: ListTraversal[_V] | None = None
        if was_whole:
            self.seen_ids = first.ids
            if not self._may_lack_items(first):
                return self._with_doubts(first.pages)
            if not self.known_ids or first.totals != {None}:
                whole = first
            if not self.may_read_again():
                return self._stand_alone(whole)
        first_ids = first.ids
        del first  # what was made of the items is seldom needed any more, and would double the memory
        return self._read_again(fetch, first_ids, whole, was_whole=was_whole)

    def _read_again(
        self, fetch: Fetch[_V], first_ids: array[int], whole: ListTraversal[_V] | None, *, was_whole: bool
    ) -> list[Page[_V]]:
        """Return the pages of a second traversal, or of the first one.

        ``whole`` is the first one where it may stand by itself: its total fits, or nothing is known to be missing.
        """
        ends_at, self.ends_at = self.ends_at, None  # it may be what was wrong
        try:
            second = self._traverse(fetch)
            if second.is_complete() or (second.matches(first_ids) and len(second.ids) >= second.total):
                return self._confirmed(fetch, first_ids, second, whole, was_whole=was_whole)
            self._raise_incomplete(first_ids, second)
        except GigasError:
            if whole is None or self.seen_ids is not whole.ids:  # else the second one says nothing
                raise
        self.ends_at = ends_at
        return self._stand_alone(whole)

    def _confirmed(
        self,
        fetch: Fetch[_V],
        first_ids: array[int],
        second: ListTraversal[_V],
        whole: ListTraversal[_V] | None,
        *,
        was_whole: bool,
    ) -> list[Page[_V]]:
        if not self._is_whole_by_pages(fetch, second):
            raise IncompleteError(f"{self.name}: {_MAY_COUNT_PAGES}")
        self.seen_ids = second.ids
        # One that ended early, at a repeated page, lacks what it never asked for.
        is_witness = was_whole or not self.known_ids or second.matches(first_ids)
        if not self._may_lack_items(second) or (is_witness and second.holds(first_ids)):
            return self._with_doubts(second.pages)
        return self._stand_alone(whole if whole is not None and whole.holds(second.ids) else None)

    def _raise_incomplete(self, first_ids: array[int], second: ListTraversal[_V]) -> Never:
        if second.has_repeats:
            raise IncompleteError(f"{self.name}: pages repeat items of earlier pages, so that others may be missing")
        message = f"{self.name}: {len(second.ids)} items could be read, X-Total says {second.total}"
        if second.matches(first_ids) and len(second.totals) == 1 and len(second.ids) == second.total - 1:
            digest = blake2b(array("q", sorted(second.ids)).tobytes(), digest_size=16).digest()
            raise OneBelowTotalError(message, second.pages, second.total, digest)
        raise IncompleteError(f"{message}, or the list changes while it is read")

    def _stand_alone(self, traversal: ListTraversal[_V] | None) -> list[Page[_V]]:
        """Return the pages of a traversal that no second one confirms."""
        if traversal is None:
            raise IncompleteError(f"{self.name}: {_GONE}")
        return self._with_doubts(traversal.pages)

    def _may_lack_items(self, traversal: ListTraversal[Any]) -> bool:
        """Return whether an item may have slipped through between two pages."""
        if self.known_ids is None or self.server_ignores_paging or self.last is traversal.pages[0]:
            return False
        return not any(map(traversal.holds, self.known_ids)) if self.known_ids else traversal.totals == {None}

    def _is_whole_by_pages(self, fetch: Fetch[_V], traversal: ListTraversal[_V]) -> bool:
        """Return whether no item was skipped, even if offsets count pages.

        Where no total says that all were read, a page of half the size is asked for that must hold the last item of the
        first page, and none that was not read; what comes for the last items may come for any page behind the last. Of
        tiny pages that one may have the same number either way, and it is one of the last items. A total no larger than
        the first page may be that of the page alone.
        """
        first = traversal.pages[0]
        last = self.last or first
        is_answered = last is first or self.server_ignores_paging
        if self.offset_counts_items or is_answered or (first.total or 0) > first.count:
            return True
        is_repeated = last is NO_PAGE or last.count > 0  # what came for the page behind says so, too
        if first.total == first.count and (is_repeated or first.paging.per_page is not None) and first.count > 1:
            return True
        if len(traversal.pages) == 1 or first.ids == traversal.ids:
            return self._is_only_page(fetch, first)
        half, step = (first.count + 1) // 2, first.length(self.limit)
        items = step + sum(page.length(step) for page in traversal.pages[1:])
        is_tiny = half < _LEAST_HALF
        begin = (items - 1) // half * half if is_tiny else half
        page = fetch(begin, half, first.count + self.limit)
        if not is_tiny:
            self.offset_counts_items = first.ids[-1] in page.ids and set(page.ids) <= set(traversal.ids)
        else:
            self.offset_counts_items = set(page.ids) == set(traversal.ids[begin - items :])
        return self.offset_counts_items

    def _is_only_page(self, fetch: Fetch[_V], first: Page[_V]) -> bool:
        """Return whether there is no second page if offsets count pages."""
        if first.count == 1 and not (self.last and self.last.count):
            return True
        for offset in sorted({1, 2} - {first.count}):  # that of the second page was asked for already
            page = fetch(offset, self.limit, first.count + self.limit)
            if page.ids != first.ids:
                self.offset_counts_items = page.count > 0 and page.ids == first.ids[offset:]
                return page.count == 0 or (first.ids[-1] in page.ids and set(page.ids) <= set(first.ids))
        self.server_ignores_paging = self.server_ignores_paging or (first.count == 1 and first.total is None)
        return True

    def _with_doubts(self, pages: list[Page[_V]]) -> list[Page[_V]]:
        """Return the pages; count the headers by which there is more."""
        first, last = pages[0], self.last or pages[0]
        is_end_seen = last.count < (self.complete_below if last is first else first.count) or last.count == 0
        count = sum(page.count for page in pages)
        doubts = {
            name for page in pages for name in page.paging.contradicting(count, first.count, is_end_seen=is_end_seen)
        }
        # The next page that the first one speaks of may be one that no offset leads to.
        never_met = count == first.count and first.paging.says_more
        if last.paging.has_next or never_met or (last.paging.names_next and not is_end_seen):
            doubts.add("link")
        if not doubts:
            return pages
        return [replace(first, invalid={**first.invalid, **dict.fromkeys(doubts, 1)}), *pages[1:]]

    def _traverse(self, fetch: Fetch[_V]) -> ListTraversal[_V]:
        pages: list[Page[_V]] = []
        unread = 0
        for page in self._pages(fetch):
            pages.append(page)
            unread += page.invalid.get("id", 0)
            if page.count and not page.ids:
                break  # such as a list of errors, which comes for any page
        if unread:
            what = "an item has no id" if unread == 1 else f"{unread} items have no id"
            raise IncompleteError(f"{self.name}: {what} that can be read, so that the list is not whole")
        return ListTraversal(pages)

    def _pages(self, fetch: Fetch[_V]) -> Iterator[Page[_V]]:
        self.last = first = fetch(0, self.limit, _MAX_PAGE_ITEMS)
        yield first
        if first.total != self.ends_at:
            self.ends_at = None
        if self._is_whole(first):
            return
        read, step = [first], first.count if first.count == first.total else first.length(self.limit)
        # Up to a limit more: a server may repeat items, and one that ignores the limit may have got some new ones.
        at_most = first.count + self.limit

        def ask(offset: int) -> Page[_V]:
            return fetch(offset, step, at_most)

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
        yield from self._pages_past_total(fetch, ask, read, step)

    def _is_whole(self, first: Page[Any]) -> bool:
        """Return whether nothing can be behind the first page."""
        if first.count == 0:
            return True
        if self._may_go_on(first, first.count, first.count):
            return False
        if first.total is not None:
            # Where the size of a page is not told, the total may be that of this page.
            full = first.paging.per_page or self.complete_below
            is_full = first.count >= full or first.count == self.limit
            return first.count == first.total and (not is_full or first.total == self.ends_at)
        if first.count > self.limit:
            return self.server_ignores_paging
        return first.count < self.limit and first.count < self.complete_below

    def _may_go_on(self, page: Page[Any], count: int, step: int) -> bool:
        is_end_seen = page.count < self.complete_below
        return page.paging.says_more or any(page.paging.contradicting(count, step, is_end_seen=is_end_seen))

    def _pages_past_total(
        self, fetch: Fetch[_V], ask: Ask[_V], read: Sequence[Page[_V]], step: int
    ) -> Iterator[Page[_V]]:
        first = read[0]
        seen = {identity for page in read for identity in page.ids}
        offset = step + sum(page.length(step) for page in read[1:])
        for number in range(_MAX_PAGES_WITHOUT_TOTAL):
            try:
                self.last = page = ask(offset)
            except ApiError as error:
                if error.status not in _PAST_THE_END or first.total != offset:
                    raise
                self.last, self.ends_at = NO_PAGE, offset
                return
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
        """Return whether the first page, which also came for the second, is everything.

        A server may ignore the offset alone; so, unless its page is longer than was asked for, one is asked for that
        is shorter. Of one item there is no shorter page.
        """
        if first.count == 1:
            return True
        if not self.server_ignores_paging and first.count <= self.limit:
            shorter = fetch(0, (first.count + 1) // 2, _MAX_PAGE_ITEMS)
            if shorter.digest != first.digest:
                return False
        self.server_ignores_paging = True
        return True

    def _check_length(self, items: int, step: int) -> None:
        if items > self.max_items or items > _MAX_PAGES * step:
            raise IncompleteError(f"{self.name}: a list of {items} items in pages of {step} is too long")

    def _fetch_parallel(self, ask: Ask[_V], offsets: Sequence[int], total: int) -> list[Page[_V]]:
        """Fetch the pages at these offsets, in parallel."""
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

    def _submit(self, pool: ThreadPoolExecutor, ask: Ask[_V], offset: int) -> Future[Page[_V]]:
        try:
            return pool.submit(ask, offset)
        except RuntimeError:
            raise TransportError(self.name, "connection", "no thread can be started for its pages") from None
