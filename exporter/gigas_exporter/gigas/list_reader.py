"""Reads lists, and remembers of them what the next reading needs.

It owns what was seen of the server's way of paging, and of each list until its account is dropped. It knows no
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
from gigas_exporter.gigas.pages import PAGING_FIELDS, OneBelowTotalError, Page
from gigas_exporter.gigas.pagination import Paginator
from gigas_exporter.gigas.session import ApiSession
from gigas_exporter.gigas.settings import ApiSettings
from gigas_exporter.model import Account, Backup, Disk, VirtualMachine

_SMALL_PAGE = 20  # the pagers that may be behind the API allow 20 and more
_SMALL_PAGES_SECONDS = 900.0  # then the configured size is tried again: the rejection may have had another reason
_TOO_MANY_ITEMS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})

_log = logging.getLogger(__name__)  # not gigas_exporter.logs: this package is also a library

_T = TypeVar("_T")


class PageSize:
    """The page size of one API, shared by threads.

    Args:
        configured: What is tried first.
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
"""How long a list that is as long as it was is taken to end where it did; what is served may be that old anyway."""

_FUTURE_TOLERANCE_SECONDS = 300.0
# How often in a row a list must come out one below its total before the total is taken to be wrong.
_POLLS_BELOW_TOTAL = 3
_NO_SHORTFALL = (0, b"", 0)
# How often in a row a whole traversal may be refused because items are missing.
_MAX_REFUSALS = 2
# Whether a date lies ahead depends on when it is read, and whether a header fits on all pages: a page with such a field
# is decoded each time.
_UNCACHED_FIELDS = frozenset({"created_at", "updated_at", "date_created", *PAGING_FIELDS})

OnList = Callable[[ApiRequest[Any], Mapping[str, int] | GigasError], None]
"""What a list gave: by field, how many values could not be understood, or why it is not accepted."""
_Key = tuple[str, frozenset[tuple[str, str]], str | None]
_R = TypeVar("_R")
_Item = TypeVar("_Item", Account, Backup, Disk, VirtualMachine)


@dataclass(slots=True)
class _Memory:
    """What is remembered of one list.

    Attributes:
        is_kept: Whether anything is kept of a list that came out well.
        pages: Those of its last traversal, by the digest of their body.
        end: The total at which it was seen to end, with nothing behind its full last page, and since when.
        shortfall: The total and the ids' digest when it came out one item below its total, and how often in a row.
        had_items: Whether it had items when it was last read: a 204 after that may be a passing fault.
        accepted: What it held then, as hashes; ``None`` where no item has to be accounted for.
        refused: What a whole traversal held since then, which was not accepted, as items were missing.
        refusals: How often in a row that was so.
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
        if self.accepted is None or self.refusals >= _MAX_REFUSALS:  # a list that always changes must be readable
            return None
        return tuple(ids for ids in (self.accepted, self.refused) if ids)

    def on_refused(self, ids: array[int] | None) -> None:
        if ids is not None:
            self.refused, self.refusals = ids, self.refusals + 1

    def on_accepted(self, ids: array[int]) -> None:
        self.refused, self.refusals = None, 0
        if self.accepted is not None and ids:  # an empty list may be a fault that is not believed
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
        elif known is None or total != known[0]:  # else nobody looked behind it, and what is known is as old as it was
            self.end = total, now

    def settle(self, name: str, read: Callable[[], list[Page[_R]]]) -> list[Page[_R]]:
        """Return what was read, unless earlier readings contradict it.

        A list that is one below its total is taken the third time in a row with the same items: then the total must be
        wrong. One without content after items is taken the second time in a row.
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
        found: The paths of lists of which at least one page was read with success.
        logged_fields: By operation, the fields of which it was logged that they are not understood: once, not with each
            item and poll.
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
        self._ignores_paging: set[str] = set()
        self._counts_items: set[str] = set()
        self.found: set[str] = set()
        self.logged_fields: defaultdict[str, set[str]] = defaultdict(set)

    def forget(self, path: str) -> None:
        """Drop what is cached of all lists below a path.

        Reads of them must have been stopped; those cache nothing more.
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
            request: Without limit and offset.
            decode: Decodes one item.
            make: Makes the value of a page of its items by id.
            deadline: Ends the reading.
            kept_as: What pages are kept as for the next time, unless the list is filtered. ``None``: keep nothing of a
                list that came out well, and do not ask for a page after one that is shorter than this API's longest
                page so far. Used for disks' own lists.
            max_items: How long the list may be.
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
        """Return a list's pages; note what they show of the server."""
        began = self._clock.monotonic()
        paginator = Paginator(
            request.operation,
            page_size,
            max_items,
            self._max_threads,
            complete_below=0 if memory.is_kept else self._largest_page,
            server_ignores_paging=request.operation in self._ignores_paging,
            offset_counts_items=request.operation in self._counts_items,
            ends_at=memory.known_end(self._clock.monotonic()),
            known_ids=memory.known_ids(),
            may_read_again=lambda: deadline.remaining() > self._clock.monotonic() - began,
        )

        def fetch(offset: int, limit: int, at_most: int) -> Page[_R]:
            query = {**request.query, "limit": str(limit), "offset": str(offset)}
            interpret = partial(reader.read, at_most=at_most)
            try:
                page = self._session.call(replace(request, query=query), deadline, interpret)
            except GigasError as error:
                # Of pages that fail side by side, each would else keep its answer until all of them are let go.
                raise strip_traceback(error) from None
            self._largest_page = max(self._largest_page, page.count)
            if memory.is_kept:
                self.found.add(request.path)
            return page

        try:
            pages: list[Page[_R]] = paginator.fetch_all(fetch)
        except GigasError:
            memory.on_refused(paginator.seen_ids)
            raise
        finally:
            if paginator.server_ignores_paging:
                self._ignores_paging.add(request.operation)
            if paginator.offset_counts_items:
                self._counts_items.add(request.operation)
        memory.set_end(paginator.ends_at, self._clock.monotonic())
        return pages
