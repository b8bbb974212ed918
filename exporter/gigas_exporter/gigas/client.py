"""The API's reading operations as methods.

It owns which path and which decoder each operation has. It raises only errors of :mod:`gigas_exporter.errors`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

from gigas_exporter.clock import Clock, Deadline, SystemClock
from gigas_exporter.decode import Decode, Decoder, InvalidFields, decode_json
from gigas_exporter.errors import DecodeError
from gigas_exporter.gigas.api_requests import ApiRequest, account_path, disk_path, filters
from gigas_exporter.gigas.connect import TrustStore
from gigas_exporter.gigas.credentials import Credential
from gigas_exporter.gigas.http_response import RawResponse
from gigas_exporter.gigas.list_reader import ListReader, OnList
from gigas_exporter.gigas.login import LoginStates
from gigas_exporter.gigas.page_reader import Listing, check_status, sum_invalid
from gigas_exporter.gigas.ratelimit import RateLimiter
from gigas_exporter.gigas.session import ApiSession
from gigas_exporter.gigas.settings import ApiSettings, Observer
from gigas_exporter.model import Account, Backup, Disk, VirtualMachine

DEFAULT_DEADLINE_SECONDS = 300.0
"""How long a call without a deadline may take in all."""

# Limits on the length of a list: twice the 100,000 disks that are supported in one account, and their 700,000 backups
# of a week with room for more. Minimal items take 400 bytes each once decoded, so 80 MB; a sweep of backups keeps only
# the reduced value of each page.
_MAX_ITEMS = 200_000
_MAX_BACKUPS = 1_000_000

_T = TypeVar("_T")
_R = TypeVar("_R")
_Item = TypeVar("_Item", Account, Backup, Disk, VirtualMachine)


class ReadClient:
    """Reads from the API; safe for several threads.

    Its logins ask for read-only tokens.

    Args:
        settings: The API's address, and limits on its use.
        credential: What authenticates the client.
        observer: Is told of each request, retry and token.
        clock: The source of time.
        limiter: Limits on concurrency and rate, shared with other clients of the same API; its own by default.
        trust: The certificate authorities to trust, shared likewise.
        login_states: Tokens and rejections of logins, shared likewise.
        login_retry_seconds: The wait after a login's first rejection; the exporter passes the poll interval.
        on_response: Called from any thread with each response before it is decoded, except those of logins.
        on_list: Called from any thread after each list, with its invalid values by field, or why it is not accepted.

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
        on_list: OnList | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._session = ApiSession(
            settings,
            credential,
            readonly=self._readonly,
            observer=observer or Observer(),
            clock=self._clock,
            limiter=limiter,
            trust=trust,
            login_states=login_states,
            login_retry_seconds=login_retry_seconds,
            on_response=on_response,
        )
        self._decoder = Decoder(settings.decoding)
        self._lists = ListReader(self._session, settings, self._clock, on_list)
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the calls that were given no deadline; start no further request."""
        self._closed.set()
        self._session.close()

    def reload_credential(self) -> None:
        """Read the credential's secret again before the next request.

        A rejected login may be sent once more. The token in use stays if the secret is the same.
        """
        self._session.auth.reload()

    def forget(self, account_id: str) -> None:
        """Drop what is cached of an account."""
        self._lists.forget(account_path(account_id) + "/")

    def list_accounts(self, *, deadline: Deadline | None = None) -> Listing[Account]:
        """List the credential's accounts (Gigas docs, page Accounts)."""
        return self._list("list_accounts", "/accounts", {}, self._decoder.account, deadline)

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
        return self._list("list_disks", account_path(account_id, "disks"), query, self._decoder.disk, deadline)

    def has_found_disks(self, account_id: str) -> bool:
        """Return whether any page of an account's disks was ever read."""
        return account_path(account_id, "disks") in self._lists.found

    def get_disk(self, account_id: str, disk_id: str, *, deadline: Deadline | None = None) -> Disk:
        """Read one disk (Gigas docs, page Disk)."""
        return self._get(ApiRequest("get_disk", "GET", disk_path(account_id, disk_id), decode=Decoder.disk), deadline)

    def list_disk_backups(
        self, account_id: str, disk_id: str, *, min_disk_size: float | None = None, deadline: Deadline | None = None
    ) -> Listing[Backup]:
        """List one disk's backups (Gigas docs, page Disk)."""
        path, query = disk_path(account_id, disk_id, "backups"), filters(min_disk_size=min_disk_size)
        return self._list("list_disk_backups", path, query, self._decoder.backup, deadline, kept_as=None)

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
        path = account_path(account_id, "backups")
        return self._list(
            "list_backups", path, query, self._decoder.backup, deadline, kept_as="backups", max_items=_MAX_BACKUPS
        )

    def sweep_backups(
        self, account_id: str, reduce: Callable[[Sequence[Backup]], _R], *, deadline: Deadline | None = None
    ) -> Listing[_R]:
        """List all backups of an account, each page reduced.

        The result has one item per page, and no backup is on two pages. A reduced page is cached until the page
        changes. So ``reduce`` must depend on the backups alone, and a client must always be given the same function.
        """
        request: ApiRequest[Any] = ApiRequest("list_backups", "GET", account_path(account_id, "backups"))

        def make(items: dict[str, Backup]) -> _R:
            return reduce(tuple(items.values()))

        deadline = self._deadline(deadline)
        pages = self._lists.read(
            request, self._decoder.backup, make, deadline, kept_as="reduced", max_items=_MAX_BACKUPS
        )
        return Listing(tuple(page.value for page in pages), sum_invalid(pages), pages[0].has_content)

    def get_backup(self, account_id: str, backup_id: str, *, deadline: Deadline | None = None) -> Backup:
        """Read one backup (Gigas docs, page Backup)."""
        path = account_path(account_id, "backup", backup_id)
        return self._get(ApiRequest("get_backup", "GET", path, decode=Decoder.backup), deadline)

    def list_virtual_machines(self, account_id: str, *, deadline: Deadline | None = None) -> Listing[VirtualMachine]:
        """List virtual machines (Gigas docs, page Virtual Machines)."""
        path = account_path(account_id, "virtual_machines")
        return self._list("list_virtual_machines", path, {}, self._decoder.virtual_machine, deadline)

    def _deadline(self, deadline: Deadline | None) -> Deadline:
        return deadline if deadline is not None else Deadline(self._clock, DEFAULT_DEADLINE_SECONDS, self._closed)

    def _get(self, request: ApiRequest[_T], deadline: Deadline | None) -> _T:
        def interpret(response: RawResponse) -> _T:
            check_status(response, request.operation)
            raw = decode_json(response.body, request.operation)
            item = request.decode(self._decoder, raw, InvalidFields(self._lists.logged_fields[request.operation]))
            if item is None:
                raise DecodeError("id", f"the response to {request.operation} holds no readable id")
            return item

        return self._session.call(request, self._deadline(deadline), interpret)

    def _list(
        self,
        operation: str,
        path: str,
        query: Mapping[str, str],
        decode: Decode[_Item],
        deadline: Deadline | None,
        *,
        kept_as: str | None = "items",
        max_items: int = _MAX_ITEMS,
    ) -> Listing[_Item]:
        request: ApiRequest[Any] = ApiRequest(operation, "GET", path, query)
        deadline = self._deadline(deadline)
        pages = self._lists.read(request, decode, dict, deadline, kept_as=kept_as, max_items=max_items)
        items = tuple(item for page in pages for item in page.value.values())
        return Listing(items, sum_invalid(pages), pages[0].has_content)
