"""Deciding whether a list was read whole, however the server paginates.

It knows neither the transport nor what an item is.

A traversal of a list is complete if it has as many items as ``X-Total``, or if there is no total, and no item is on two
pages. If the first traversal is not complete, the list is read once more. The second one is accepted if it is complete,
or if both have exactly the same items, each once, and no fewer than the total. If both have the same items, one fewer
than the total, :class:`OneBelowTotalError` is raised; the client accepts such a list at the third poll in a row.
Everything else is incomplete, because an item may have moved to a page that was read before. A list whose pages repeat
items of earlier pages is never whole.

If an item is deleted between two requests, the items behind it move up, and one of them is on no page, even if the
total fits. So an item of the last accepted reading counts as gone only when two traversals in a row lack it; they may
belong to two polls. Without a total, the first reading of a list always takes two traversals. If the second one fails,
or lacks items of the first, the first one is accepted if its total fits, or if no known item is missing. Lists of
backups are exempt, because their items come and go all the time.

If a header says that there is more, or is not understood and the end of the list was not seen, the list stays as it was
read, and the header is counted. Without a total, each traversal checks whether an offset counts items, until one finds
that it does.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Generic, Never, TypeVar

from gigas_exporter.errors import ApiError, GigasError, IncompleteError
from gigas_exporter.gigas.pages import NO_PAGE, Page
from gigas_exporter.gigas.traversal import PAST_THE_END, ListTraversal, PageSource

# With pages of two items, offset 2 and page 2 (counted from 1) begin at the same item: so small a page cannot tell
# items from pages.
_LEAST_HALF = 3
_MAY_COUNT_PAGES = (
    "an offset leads to other items than it did: it may count pages; set api.page_size to as many items as the list has"
)
_GONE = (
    "items of the last reading are missing: they are gone, which counts when it is repeated in the next reading, or the"
    " list changes while it is read"
)
_V = TypeVar("_V")


class OneBelowTotalError(IncompleteError):
    """Both traversals had the same items, one less than the total.

    Attributes:
        pages: The pages of the second traversal.
        total: ``X-Total``.
        digest: A digest of the ids.
    """

    def __init__(self, message: str, pages: list[Page[Any]], total: int, digest: bytes) -> None:
        super().__init__(message)
        self.pages = pages
        self.total = total
        self.digest = digest


@dataclass(slots=True)
class Paginator(Generic[_V]):
    """Reads one list.

    Args:
        source: The list.
        ends_at: The total at which it was lately seen to end.
        known_ids: Hashes of the items of earlier traversals: the last one that was accepted, and one since then that
            was not; ``None`` if items need not be accounted for.
        may_read_again: Returns whether there is time for a second traversal.

    Attributes:
        seen_ids: Hashes of the items of the last complete traversal, accepted or not.
    """

    source: PageSource[_V]
    ends_at: int | None
    known_ids: tuple[array[int], ...] | None
    may_read_again: Callable[[], bool]
    seen_ids: array[int] | None = field(default=None, init=False)

    def read(self) -> ListTraversal[_V]:
        """Return a complete traversal; no item is on two of its pages.

        A header that says that there is more, or may say so, is counted in ``invalid`` of the first page.

        Raises:
            DecodeError: A page holds far more items than were asked for.
            OneBelowTotalError: The list has one item less than its total.
            IncompleteError: Neither traversal is complete, or the list has no end, or is longer than it may be, or a
                page is not found while another was.
        """
        try:
            return self._count_contradictions(self._read())
        except ApiError as error:
            if not self.source.has_page or error.status not in PAST_THE_END:
                raise
            message = f"the API answered {error.status} for a page, and 200 for another: it is not whole"
            raise IncompleteError(f"{self.source.name}: {message}") from None

    def _read(self) -> ListTraversal[_V]:
        first = self.source.traverse(self.ends_at)
        whole: ListTraversal[_V] | None = None  # the first one, where it may be accepted by itself
        was_whole = first.is_complete() and self._is_whole_by_pages(first)
        if was_whole:
            self.seen_ids = first.ids
            if not self._may_lack_items(first):
                return first
            if not self.known_ids or first.totals != {None}:
                whole = first
            if not self.may_read_again():
                return self._unconfirmed(whole)
        first_ids = first.ids
        del first  # its items are seldom needed any more, and would double the memory
        try:
            second = self.source.traverse(None)  # where it ends may be what was wrong
            if second.is_complete() or (second.matches(first_ids) and len(second.ids) >= second.total):
                return self._confirmed(first_ids, second, whole, was_whole=was_whole)
            self._raise_incomplete(first_ids, second)
        except GigasError:
            if whole is None or self.seen_ids is not whole.ids:  # else nothing contradicts the first one
                raise
        return self._unconfirmed(whole)

    def _confirmed(
        self, first_ids: array[int], second: ListTraversal[_V], whole: ListTraversal[_V] | None, *, was_whole: bool
    ) -> ListTraversal[_V]:
        if not self._is_whole_by_pages(second):
            raise IncompleteError(f"{self.source.name}: {_MAY_COUNT_PAGES}")
        self.seen_ids = second.ids
        # A traversal that ended early, at a repeated page, lacks items that it never asked for.
        is_witness = was_whole or not self.known_ids or second.matches(first_ids)
        if not self._may_lack_items(second) or (is_witness and second.holds(first_ids)):
            return second
        return self._unconfirmed(whole if whole is not None and whole.holds(second.ids) else None)

    def _unconfirmed(self, traversal: ListTraversal[_V] | None) -> ListTraversal[_V]:
        """Return a traversal that no second one confirms."""
        if traversal is None:
            raise IncompleteError(f"{self.source.name}: {_GONE}")
        return traversal

    def _raise_incomplete(self, first_ids: array[int], second: ListTraversal[_V]) -> Never:
        name = self.source.name
        if second.has_repeats:
            raise IncompleteError(f"{name}: pages repeat items of earlier pages, so that others may be missing")
        message = f"{name}: {len(second.ids)} items could be read, X-Total says {second.total}"
        if second.matches(first_ids) and len(second.totals) == 1 and len(second.ids) == second.total - 1:
            digest = blake2b(array("q", sorted(second.ids)).tobytes(), digest_size=16).digest()
            raise OneBelowTotalError(message, second.pages, second.total, digest)
        raise IncompleteError(f"{message}, or the list changes while it is read")

    def _may_lack_items(self, traversal: ListTraversal[_V]) -> bool:
        """Return whether an item may have moved between two requests."""
        first, last = traversal.pages[0], traversal.last
        if self.known_ids is None or first.count <= self.source.server.unpaged_items or last is first:
            return False
        if self.known_ids:
            return not any(map(traversal.holds, self.known_ids))
        is_only_item = first.count == 1 < self.source.limit and last.ids == first.ids
        return traversal.totals == {None} and not is_only_item

    def _is_whole_by_pages(self, traversal: ListTraversal[_V]) -> bool:
        """Return whether no item was skipped, even if offsets count pages.

        If no total says that all items were read, a page of half the size is requested. It must hold the last item of
        the first page, and no item that was not read. A page of the last items proves nothing: it may be the answer for
        any page past the end. With tiny pages, the page of half the size may have the same number either way, so one of
        the last items is requested. A total no larger than the first page may be that of the page alone.
        """
        source, server = self.source, self.source.server
        first, last = traversal.pages[0], traversal.last
        is_answered = last is first or first.count <= server.unpaged_items
        if server.offset_counts_items or is_answered or (first.total or 0) > first.count:
            return True
        is_repeated = last is NO_PAGE or last.count > 0  # then the page past the end says so, too
        if first.total == first.count and (is_repeated or first.paging.per_page is not None) and first.count > 1:
            return True
        if len(traversal.pages) == 1 or first.ids == traversal.ids:
            return self._is_only_page(traversal)
        half, step = (first.count + 1) // 2, first.length(source.limit)
        items = step + sum(page.length(step) for page in traversal.pages[1:])
        is_tiny = half < _LEAST_HALF
        begin = (items - 1) // half * half if is_tiny else half
        page = source.fetch(begin, half, first.count + source.limit)
        if is_tiny:
            counts_items = set(page.ids) == set(traversal.ids[begin - items :])
        else:
            counts_items = first.ids[-1] in page.ids and set(page.ids) <= set(traversal.ids)
        server.offset_counts_items |= counts_items
        return counts_items

    def _is_only_page(self, traversal: ListTraversal[_V]) -> bool:
        """Return whether there is no second page if offsets count pages."""
        source, first = self.source, traversal.pages[0]
        if first.count == 1 and not traversal.last.count:
            return True
        for offset in sorted({1, 2} - {first.count}):  # the second page was requested already
            page = source.fetch(offset, source.limit, first.count + source.limit)
            if page.ids != first.ids:
                source.server.offset_counts_items |= page.count > 0 and page.ids == first.ids[offset:]
                return page.count == 0 or (first.ids[-1] in page.ids and set(page.ids) <= set(first.ids))
        return True

    def _count_contradictions(self, traversal: ListTraversal[_V]) -> ListTraversal[_V]:
        """Count the headers that say that there is more."""
        pages, last = traversal.pages, traversal.last
        first = pages[0]
        is_end_seen = last.count < (self.source.complete_below if last is first else first.count) or last.count == 0
        count = sum(page.count for page in pages)
        found = {
            name for page in pages for name in page.paging.contradicting(count, first.count, is_end_seen=is_end_seen)
        }
        # The next page that the first one names may be one that no offset leads to.
        is_next_unread = count == first.count and first.paging.says_more
        if last.paging.has_next or is_next_unread or (last.paging.names_next and not is_end_seen):
            found.add("link")
        if found:
            pages[0] = replace(first, invalid={**first.invalid, **dict.fromkeys(found, 1)})
        return traversal
