"""Reading lists, and remembering what the next reading of each needs.

It owns what was learned of the server's pagination, and of each list until its account is dropped. It knows no
operation.
"""

from __future__ import annotations

import logging
import threading
from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import Any, TypeVar

from gigas_exporter.clock import Clock, Deadline
from gigas_exporter.decode import Decode
from gigas_exporter.errors import ApiError, GigasError, IncompleteError, strip_traceback
from gigas_exporter.gigas.api_requests import ApiRequest
from gigas_exporter.gigas.page_reader import PageReader, sum_invalid
from gigas_exporter.gigas.pages import PAGING_FIELDS, Page
from gigas_exporter.gigas.pagination import OneBelowTotalError, Paginator
from gigas_exporter.gigas.session import ApiSession
from gigas_exporter.gigas.settings import ApiSettings
from gigas_exporter.gigas.traversal import ListTraversal, PageSource, ServerPaging
from gigas_exporter.model import Account, Backup, Disk, VirtualMachine

_SMALL_PAGE = 20  # the pagination libraries that the API may use allow at least 20
_SMALL_PAGES_SECONDS = 900.0  # then the configured size is tried again: the rejection may have had another reason
_TOO_MANY_ITEMS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})

_log = logging.getLogger(__name__)  # not gigas_exporter.logs: this package is also a library

_T = TypeVar("_T")


class PageSize:
    """The page size of one API, shared by threads.

    Args:
        configured: The size to try first.
    """

    def __init__(self, configured: int, clock: Clock) -> None:
        self._configured = max(1, configured)
        self._smaller = min(_SMALL_PAGE, self._configured // 2)
        self._clock = clock
        self._small_until = 0.0
        self._rejects_small: set[str] = set()

    def try_sizes(self, operation: str, fetch_all: Callable[[int], _T]) -> _T:
        """Read a list, with smaller pages after a rejection."""
        is_small = self._clock.monotonic() < self._small_until
        size = self._smaller if is_small and self._smaller else self._configured
        try:
            result = fetch_all(size)
        except ApiError as error:
            is_hopeless = size == self._smaller or not self._smaller or operation in self._rejects_small
            if error.status not in _TOO_MANY_ITEMS or is_hopeless:
                raise
        else:
            self._rejects_small.discard(operation)
            return result
        try:
            result = fetch_all(self._smaller)
        except ApiError as error:
            if error.status in _TOO_MANY_ITEMS:
                self._rejects_small.add(operation)
            raise
        if not self._small_until:
            _log.warning("The API accepts only smaller pages: set api.page_size", extra={"page_size": self._smaller})
        self._small_until = self._clock.monotonic() + _SMALL_PAGES_SECONDS
        return result


LIST_END_TTL_SECONDS = 900.0
"""How long a list of the same length is assumed to end where it did. Data may be that old before it is dropped."""

_FUTURE_TOLERANCE_SECONDS = 300.0
# After how many polls in a row with one item less than the total the total is assumed to be wrong.
_POLLS_BELOW_TOTAL = 3
_NO_SHORTFALL = (0, b"", 0)
# How often in a row a complete traversal may be refused because items are missing.
_MAX_REFUSALS = 2
# Whether a date is in the future depends on the time, and whether a header fits depends on the other pages. So pages
# with such a field are decoded each time.
_UNCACHED_FIELDS = frozenset({"created_at", "updated_at", "date_created", *PAGING_FIELDS})

OnList = Callable[[ApiRequest[Any], Mapping[str, int] | GigasError], None]
"""Called with the result of a reading: how many values of each field were not understood, or the error."""
_Key = tuple[str, frozenset[tuple[str, str]], str | None]
_R = TypeVar("_R")
_Item = TypeVar("_Item", Account, Backup, Disk, VirtualMachine)


@dataclass(slots=True)
class _Memory:
    """What is remembered of one list.

    Attributes:
        is_kept: Whether anything is remembered after a successful reading.
        pages: The pages of the last reading, by the digest of their body.
        end: The total at which the list ended, with nothing after its full last page, and when that was seen.
        shortfall: If the list had one item less than its total: the total, a digest of the ids, how often in a row.
        had_items: Whether the last reading had items: a 204 after that may be a temporary fault.
        accepted: Hashes of the items of the last reading; ``None`` if items need not be accounted for.
        refused: Hashes of the items of a complete traversal since then that was refused because items were missing.
        refusals: How often in a row that happened.
    """

    is_kept: bool
    pages: Mapping[bytes, Page[Any]] = field(default_factory=dict)
    end: tuple[int, float] | None = None
    shortfall: tuple[int, bytes, int] = _NO_SHORTFALL
    had_items: bool = False
    accepted: array[int] | None = None
    refused: array[int] | None = None
    refusals: int = 0

    def known_ids(self) -> tuple[array[int], ...] | None:
        if self.accepted is None or self.refusals >= _MAX_REFUSALS:  # else a list that always changes is never read
            return None
        return tuple(ids for ids in (self.accepted, self.refused) if ids)

    def on_refused(self, ids: array[int] | None) -> None:
        if ids is not None:
            self.refused, self.refusals = ids, self.refusals + 1

    def on_accepted(self, ids: array[int]) -> None:
        self.refused, self.refusals = None, 0
        if self.accepted is not None and ids:  # an empty list may be a fault of the API
            self.accepted = ids

    def known_end(self, now: float) -> int | None:
        end = self.end
        if end is not None and now >= end[1] + LIST_END_TTL_SECONDS:
            end = self.end = None
        return None if end is None else end[0]

    def set_end(self, total: int | None, now: float) -> None:
        known = self.end
        if total is None:
            self.end = None
        elif known is None or total != known[0]:  # else the end was assumed, and its time must not change
            self.end = total, now

    def settle(self, name: str, read: Callable[[], list[Page[_R]]]) -> list[Page[_R]]:
        """Return what ``read`` returns, unless earlier readings contradict it.

        A list with one item less than its total is accepted the third time in a row with the same items, because then
        the total must be wrong. A list without content that had items before is accepted the second time in a row.
        """
        try:
            pages = read()
        except OneBelowTotalError as error:
            total, digest, count = self.shortfall
            count = count + 1 if (total, digest) == (error.total, error.digest) else 1
            self.shortfall = error.total, error.digest, count
            if count < _POLLS_BELOW_TOTAL:
                raise
            self.had_items = True
            first, *rest = error.pages
            return [replace(first, invalid={**first.invalid, "total": 1}), *rest]
        except GigasError:
            self.shortfall = _NO_SHORTFALL
            raise
        self.shortfall = _NO_SHORTFALL
        had_items, self.had_items = self.had_items, any(page.count for page in pages)
        if had_items and not self.had_items and not pages[0].has_content:
            raise IncompleteError(f"{name}: status 204 where there were items before; it counts when it is repeated")
        return pages


class ListReader:
    """Reads the lists of one client; safe for several threads.

    Attributes:
        found: The paths of the lists of which at least one page was read.
        logged_fields: By operation, the fields whose values were logged as not understood; each is logged once.
    """

    def __init__(self, session: ApiSession, settings: ApiSettings, clock: Clock, on_list: OnList | None = None) -> None:
        self._session = session
        self._on_list = on_list or (lambda *_: None)
        self._clock = clock
        self._page_size = PageSize(settings.page_size, clock)
        self._max_threads = max(1, settings.max_concurrency)
        self._lock = threading.Lock()
        self._memories: dict[_Key, _Memory] = {}
        self._largest_page = 0
        self._servers: defaultdict[str, ServerPaging] = defaultdict(ServerPaging)
        self.found: set[str] = set()
        self.logged_fields: defaultdict[str, set[str]] = defaultdict(set)

    def forget(self, path: str) -> None:
        """Forget all lists below a path.

        Their readings must have been stopped; these remember nothing more.
        """
        with self._lock:
            self._memories = {key: memory for key, memory in self._memories.items() if not key[0].startswith(path)}

    def read(
        self,
        request: ApiRequest[Any],
        decode: Decode[_Item],
        make: Callable[[dict[str, _Item]], _R],
        deadline: Deadline,
        *,
        kept_as: str | None,
        max_items: int,
    ) -> list[Page[_R]]:
        """Return the pages of a list.

        Args:
            request: The request, without limit and offset.
            decode: Decodes one item.
            make: Makes the value of a page from its items by id.
            deadline: Ends the reading.
            kept_as: The kind of value under which pages are kept for the next reading, unless the list is filtered.
                ``None`` keeps nothing after a successful reading, and ends the list at a page that is shorter than the
                longest page of this API so far; it is used for disks' own lists.
            max_items: The most items that the list may have.
        """
        key = request.path, frozenset(request.query.items()), kept_as
        with self._lock:
            is_accounted = kept_as == "items" and not request.query
            memory = _Memory(kept_as is not None, accepted=array("q") if is_accounted else None)
            if not deadline.stop.is_set():
                memory = self._memories.setdefault(key, memory)
        reader = PageReader(
            request.operation,
            decode,
            make,
            memory.pages,
            latest=self._clock.wall() + _FUTURE_TOLERANCE_SECONDS,
            logged_fields=self.logged_fields[request.operation],
            ended=deadline.stop,
        )
        traverse = partial(self._traverse, request, reader, memory=memory, deadline=deadline, max_items=max_items)
        try:
            pages = memory.settle(request.operation, lambda: self._page_size.try_sizes(request.operation, traverse))
        except GigasError as error:
            self._on_list(request, error)
            raise
        finally:
            if not memory.is_kept and memory.shortfall == _NO_SHORTFALL:
                with self._lock:
                    self._memories.pop(key, None)
        self._on_list(request, sum_invalid(pages))
        memory.on_accepted(array("q", chain.from_iterable(page.ids for page in pages)))
        if memory.is_kept and not request.query:
            memory.pages = {page.digest: page for page in pages if not _UNCACHED_FIELDS & page.invalid.keys()}
        return pages

    def _traverse(
        self,
        request: ApiRequest[Any],
        reader: PageReader[Any, _R],
        page_size: int,
        *,
        memory: _Memory,
        deadline: Deadline,
        max_items: int,
    ) -> list[Page[_R]]:
        """Return the pages of a list that was read whole."""

        def fetch(offset: int, limit: int, at_most: int) -> Page[_R]:
            query = {**request.query, "limit": str(limit), "offset": str(offset)}
            interpret = partial(reader.read, at_most=at_most)
            try:
                page = self._session.call(replace(request, query=query), deadline, interpret)
            except GigasError as error:
                # The traceback keeps the response in memory until the errors of all pages are dropped.
                raise strip_traceback(error) from None
            self._largest_page = max(self._largest_page, page.count)
            if memory.is_kept:
                self.found.add(request.path)
            return page

        began = self._clock.monotonic()
        source = PageSource(
            request.operation,
            page_size,
            max_items,
            self._max_threads,
            complete_below=0 if memory.is_kept else self._largest_page,
            server=self._servers[request.operation],
            fetch=fetch,
        )
        paginator = Paginator(
            source,
            ends_at=memory.known_end(began),
            known_ids=memory.known_ids(),
            may_read_again=lambda: deadline.remaining() > self._clock.monotonic() - began,
        )
        try:
            traversal: ListTraversal[_R] = paginator.read()
        except GigasError:
            memory.on_refused(paginator.seen_ids)
            raise
        memory.set_end(traversal.ends_at, self._clock.monotonic())
        return traversal.pages
