"""The API's reading operations as methods.

It owns which answer belongs to which operation. Only errors of :mod:`gigas_exporter.errors` leave it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from gigas_exporter.clock import Clock, Deadline, SystemClock
from gigas_exporter.decode import Decode, Decoder, InvalidFields, decode_json
from gigas_exporter.errors import DecodeError, GigasError, strip_traceback
from gigas_exporter.gigas.api_requests import ApiRequest, account_path, disk_path, filters
from gigas_exporter.gigas.credentials import Credential
from gigas_exporter.gigas.list_caches import ListEndCache, NoContentCache, PageCache, ShortfallCache
from gigas_exporter.gigas.login import LoginStates
from gigas_exporter.gigas.observer import NullObserver, Observer
from gigas_exporter.gigas.page_reader import Listing, PageReader, check_status, sum_invalid
from gigas_exporter.gigas.page_size import PageSize
from gigas_exporter.gigas.pagination import OneBelowTotalError, Page, Paginator
from gigas_exporter.gigas.ratelimit import RateLimiter
from gigas_exporter.gigas.session import ApiSession
from gigas_exporter.gigas.settings import ApiSettings
from gigas_exporter.gigas.tls import TrustStore
from gigas_exporter.gigas.transport import RawResponse
from gigas_exporter.model import Account, Backup, Disk, VirtualMachine

DEFAULT_DEADLINE_SECONDS = 300.0
"""How long a call without a deadline may take in all."""

_FUTURE_TOLERANCE_SECONDS = 300.0
# How long a list may be: twice the 100,000 disks that are supported in one account, and the 700,000 backups that those
# have in a week with room for more. Bare items take 400 bytes each once they are decoded, so 80 MB; of backups a sweep
# keeps only what it reduces each page to.
_MAX_ITEMS = 200_000
_MAX_BACKUPS = 1_000_000

_T = TypeVar("_T")
_R = TypeVar("_R")
_Item = TypeVar("_Item", Account, Backup, Disk, VirtualMachine)


class _Reading(NamedTuple):
    """How a list is read.

    Attributes:
        kept_as: What its pages are kept as for the next time; None keeps nothing of the list.
        complete_below: A page of fewer items than this many is the last one.
    """

    kept_as: str | None = "items"
    complete_below: int = 0
    max_items: int = _MAX_ITEMS


class ReadClient:
    """Reads from the API; its logins ask for tokens that can change nothing. Used by several threads at once.

    Args:
        settings: Where the API is and how much of it may be used.
        credential: Who is asking.
        observer: Hears of each request, retry and token.
        clock: Where the time comes from.
        limiter: Concurrency and rate shared with other clients of the same API; its own by default.
        trust: The authorities that TLS trusts, shared in the same way.
        login_states: Tokens and rejections of logins, shared in the same way.
        login_retry_seconds: How long a login is not sent again after its first rejection; the poll interval.
        on_response: Called with each response before it is decoded, from any thread; never with that of a login.

    Raises:
        ConfigError: A setting cannot be used.
    """

    _readonly = True

    def __init__(
        self,
        settings: ApiSettings,
        credential: Credential,
        *,
        observer: Observer | None = None,
        clock: Clock | None = None,
        limiter: RateLimiter | None = None,
        trust: TrustStore | None = None,
        login_states: LoginStates | None = None,
        login_retry_seconds: float = 60.0,
        on_response: Callable[[ApiRequest[Any], RawResponse], None] | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._session = ApiSession(
            settings,
            credential,
            readonly=self._readonly,
            observer=observer or NullObserver(),
            clock=self._clock,
            limiter=limiter,
            trust=trust,
            login_states=login_states,
            login_retry_seconds=login_retry_seconds,
            on_response=on_response,
        )
        self._decoder = Decoder(settings.decoding)
        self._page_size = PageSize(settings.page_size, self._clock)
        self._max_threads = max(1, settings.max_concurrency)
        self._pages = PageCache()
        self._ends = ListEndCache(self._clock)
        self._shortfalls = ShortfallCache()
        self._without_content = NoContentCache()
        self._closed = threading.Event()
        self._largest_page = 0
        self._unpaged: set[str] = set()
        self._counts_items: set[str] = set()
        self._found: set[str] = set()
        self._logged_fields: dict[str, set[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what is under way without a deadline of its own, and close the connections as they become idle."""
        self._closed.set()
        self._session.close()

    def reload_credential(self) -> None:
        """Read the credential's secret again before the next request; a rejected login may be sent once more.

        The token in use stays where the secret is the same.
        """
        self._session.auth.reload()

    def forget(self, account_id: str) -> None:
        """Let go of what is kept of an account; work on it that has been stopped keeps nothing any more."""
        for cache in (self._pages, self._ends, self._shortfalls, self._without_content):
            cache.drop(account_path(account_id) + "/")

    def list_accounts(self, *, deadline: Deadline | None = None) -> Listing[Account]:
        """List the credential's accounts (Gigas docs, page Accounts)."""
        return self._list(ApiRequest("list_accounts", "GET", "/accounts"), self._decoder.account, deadline)

    def list_disks(
        self,
        account_id: str,
        *,
        data_store_id: str | None = None,
        virtual_machine_id: str | None = None,
        is_swap: bool | None = None,
        mount_point: str | None = None,
        data_store_group_id: str | None = None,
        primary: bool | None = None,
        deadline: Deadline | None = None,
    ) -> Listing[Disk]:
        """List an account's disks (Gigas docs, page Disk).

        ``mount_point`` matches the disks whose mount point contains it.
        """
        query = filters(
            data_store_id=data_store_id,
            virtual_machine_id=virtual_machine_id,
            is_swap=is_swap,
            mount_point=mount_point,
            data_store_group_id=data_store_group_id,
            primary=primary,
        )
        request: ApiRequest[Any] = ApiRequest("list_disks", "GET", account_path(account_id, "disks"), query)
        return self._list(request, self._decoder.disk, deadline)

    def has_found_disks(self, account_id: str) -> bool:
        """Return whether a list of an account's disks was ever answered with success, whole or not."""
        return account_path(account_id, "disks") in self._found

    def get_disk(self, account_id: str, disk_id: str, *, deadline: Deadline | None = None) -> Disk:
        """Read one disk (Gigas docs, page Disk)."""
        return self._get(ApiRequest("get_disk", "GET", disk_path(account_id, disk_id), decode=Decoder.disk), deadline)

    def list_disk_backups(
        self, account_id: str, disk_id: str, *, min_disk_size: float | None = None, deadline: Deadline | None = None
    ) -> Listing[Backup]:
        """List one disk's backups (Gigas docs, page Disk)."""
        path = disk_path(account_id, disk_id, "backups")
        request: ApiRequest[Any] = ApiRequest("list_disk_backups", "GET", path, filters(min_disk_size=min_disk_size))
        # Asked for each disk of an account: no page is kept, and one that is small for this API is not looked behind.
        how = _Reading(kept_as=None, complete_below=self._largest_page)
        return self._list(request, self._decoder.backup, deadline, how)

    def list_backups(
        self,
        account_id: str,
        *,
        min_disk_size: float | None = None,
        disk_id: str | None = None,
        operating_system: str | None = None,
        operating_system_distro: str | None = None,
        locked: bool | None = None,
        deadline: Deadline | None = None,
    ) -> Listing[Backup]:
        """List an account's backups (Gigas docs, page Backup)."""
        query = filters(
            min_disk_size=min_disk_size,
            disk_id=disk_id,
            operating_system=operating_system,
            operating_system_distro=operating_system_distro,
            locked=locked,
        )
        request: ApiRequest[Any] = ApiRequest("list_backups", "GET", account_path(account_id, "backups"), query)
        return self._list(request, self._decoder.backup, deadline, _Reading(max_items=_MAX_BACKUPS))

    def sweep_backups(
        self, account_id: str, reduce: Callable[[Sequence[Backup]], _R], *, deadline: Deadline | None = None
    ) -> Listing[_R]:
        """List all backups of an account, keeping only what ``reduce`` makes of each page.

        The result has one item per page, and no backup is on two pages. What was made of a page is kept until the page
        changes, and ``reduce`` is not called for it again; so it must depend on the backups alone, and always be the
        same function for one client.
        """
        request: ApiRequest[Any] = ApiRequest("list_backups", "GET", account_path(account_id, "backups"))

        def make(items: dict[str, Backup]) -> _R:
            return reduce(tuple(items.values()))

        how = _Reading(kept_as="reduced", max_items=_MAX_BACKUPS)
        pages = self._read_pages(request, self._decoder.backup, make, deadline, how)
        return Listing(tuple(page.value for page in pages), sum_invalid(pages), pages[0].has_content)

    def get_backup(self, account_id: str, backup_id: str, *, deadline: Deadline | None = None) -> Backup:
        """Read one backup (Gigas docs, page Backup)."""
        path = account_path(account_id, "backup", backup_id)
        return self._get(ApiRequest("get_backup", "GET", path, decode=Decoder.backup), deadline)

    def list_virtual_machines(self, account_id: str, *, deadline: Deadline | None = None) -> Listing[VirtualMachine]:
        """List virtual machines (Gigas docs, page Virtual Machines)."""
        request: ApiRequest[Any] = ApiRequest(
            "list_virtual_machines", "GET", account_path(account_id, "virtual_machines")
        )
        return self._list(request, self._decoder.virtual_machine, deadline)

    def _deadline(self, deadline: Deadline | None) -> Deadline:
        return deadline if deadline is not None else Deadline(self._clock, DEFAULT_DEADLINE_SECONDS, self._closed)

    def _logged(self, request: ApiRequest[Any]) -> set[str]:
        """Return the fields of which it was logged that they are not understood: once, not with each disk and poll."""
        return self._logged_fields.setdefault(request.operation, set())

    def _get(self, request: ApiRequest[_T], deadline: Deadline | None) -> _T:
        def interpret(answer: RawResponse) -> _T:
            check_status(answer, request.operation)
            raw = decode_json(answer.body, request.operation)
            item = request.decode(self._decoder, raw, InvalidFields(self._logged(request)))
            if item is None:
                raise DecodeError("id", f"the response to {request.operation} holds no readable id")
            return item

        return self._session.call(request, self._deadline(deadline), interpret)

    def _list(
        self,
        request: ApiRequest[Any],
        decode: Decode[_Item],
        deadline: Deadline | None,
        how: _Reading = _Reading(),  # noqa: B008  (frozen)
    ) -> Listing[_Item]:
        pages = self._read_pages(request, decode, dict, deadline, how)
        items = tuple(item for page in pages for item in page.value.values())
        return Listing(items, sum_invalid(pages), pages[0].has_content)

    def _read_pages(
        self,
        request: ApiRequest[Any],
        decode: Decode[_Item],
        make: Callable[[dict[str, _Item]], _R],
        deadline: Deadline | None,
        how: _Reading,
    ) -> list[Page[_R]]:
        deadline = self._deadline(deadline)
        key = (request.path, how.kept_as)
        reader = PageReader(
            request.operation,
            decode,
            make,
            self._pages.get(key),
            latest=self._clock.wall() + _FUTURE_TOLERANCE_SECONDS,
            logged_fields=self._logged(request),
            ended=deadline.stop,
        )
        pages = self._fetch_list(request, reader, deadline, how)
        if how.kept_as is not None:
            self._pages.put(key, pages, deadline.stop)
        return pages

    def _fetch_list(
        self, request: ApiRequest[Any], reader: PageReader[Any, Any], deadline: Deadline, how: _Reading
    ) -> list[Page[Any]]:
        def fetch(offset: int, limit: int, at_most: int) -> Page[Any]:
            query = {**request.query, "limit": str(limit), "offset": str(offset)}
            interpret = partial(reader.read, at_most=at_most)
            try:
                page = self._session.call(replace(request, query=query), deadline, interpret)
            except GigasError as error:
                # Of pages that fail side by side, each would else keep its answer until all of them are let go.
                raise strip_traceback(error) from None
            self._on_page(request, page)
            return page

        key = (request.path, frozenset(request.query.items()))

        def fetch_all(page_size: int) -> list[Page[Any]]:
            paginator = Paginator(
                request.operation,
                page_size,
                how.max_items,
                self._max_threads,
                complete_below=how.complete_below,
                server_ignores_paging=request.operation in self._unpaged,
                offset_counts_items=request.operation in self._counts_items,
                ends_at=self._ends.get(key),
            )
            pages: list[Page[Any]] = paginator.fetch_all(fetch)
            if how.kept_as is not None:
                self._ends.put(key, paginator.ends_at, deadline.stop)
            self._learn_paging(request.operation, paginator)
            return pages

        try:
            result = self._page_size.try_sizes(request.operation, fetch_all)
        except OneBelowTotalError as error:
            if not self._shortfalls.is_confirmed(key, error, deadline.stop):
                raise
            first, *rest = error.pages
            return [replace(first, invalid={**first.invalid, "total": 1}), *rest]
        except GigasError:
            self._shortfalls.reset(key)
            raise
        self._shortfalls.reset(key)
        if how.kept_as is not None:
            self._without_content.check(key, result, request.operation)
        return result

    def _learn_paging(self, operation: str, paginator: Paginator) -> None:
        if paginator.server_ignores_paging:
            self._unpaged.add(operation)
        if paginator.offset_counts_items:
            self._counts_items.add(operation)

    def _on_page(self, request: ApiRequest[Any], page: Page[Any]) -> None:
        self._largest_page = max(self._largest_page, page.count)
        if request.operation == "list_disks":
            self._found.add(request.path)
