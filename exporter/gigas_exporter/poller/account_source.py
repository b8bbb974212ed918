"""Which accounts to watch: those configured, or those discovered and not skipped.

It does not know how accounts are polled.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from gigas_exporter.clock import Clock, Deadline, StopEvent
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.errors import ApiError, DecodeError, GigasError
from gigas_exporter.gigas import Credential, ReadClient
from gigas_exporter.gigas.pages import PAGING_FIELDS
from gigas_exporter.logs import get_logger
from gigas_exporter.model import Account
from gigas_exporter.poller.scheduler import poll_deadline

_log = get_logger(__name__)

_SHOWN = 5
_RETRY_MISSING_SECONDS = 3600.0  # the API may list an account before it finds its disks
ACCOUNTS_INCOMPLETE = (
    "the list of accounts may be incomplete according to its headers (gigas-exporter probe shows them)"
)


def discover(
    client: ReadClient, credential: Credential, deadline: Deadline | None = None
) -> tuple[tuple[AccountSettings, ...], bool]:
    """List the accounts; also return whether the list may be incomplete.

    Raises:
        GigasError: The accounts could not be listed, or the list is empty. An empty list is an error because it likely
            means that the credential lost its rights; the known accounts then stay watched.
    """
    listing = client.list_accounts(deadline=deadline)
    if not listing.items and listing.invalid.get("id"):
        raise DecodeError("id", "the response to list_accounts holds no readable id")
    if not listing.items:
        raise GigasError("list_accounts: the API lists no account for this credential")
    is_incomplete = not PAGING_FIELDS.isdisjoint(listing.invalid)
    return tuple(AccountSettings(account, credential) for account in listing.items), is_incomplete


class AccountSource:
    """The accounts of this process under one configuration.

    Args:
        client: Lists the accounts; ``None`` if they are configured.

    Attributes:
        stop: Set to abort its requests; their results are then ignored.
        listed: Whether the accounts are known: configured, or discovered at least once.
        is_failing: Whether the last discovery failed.
        is_incomplete: Whether the last list may be incomplete according to its headers.
    """

    def __init__(self, settings: Settings, clock: Clock, client: ReadClient | None, stop: StopEvent) -> None:
        self._settings = settings
        self._clock = clock
        self._client = client
        self.stop = stop
        self._lock = threading.Lock()
        self._excluded: frozenset[str] = frozenset()
        self._hosts: frozenset[str | None] = frozenset()
        self._missing: dict[str, tuple[str | None, str | None]] = {}
        self._retry_missing_at: dict[str, float] = {}
        self._listed: Mapping[str, AccountSettings] = {}
        self.credential = settings.discovery
        self.listed = settings.discovery is None
        self.is_failing = False
        self.is_incomplete = False

    @property
    def skipped(self) -> int:
        """How many accounts discovery skips."""
        return len(self._excluded) + len(self._missing)

    def list(self) -> dict[str, AccountSettings]:
        """Return the configured accounts, or discover them.

        Raises:
            GigasError: The accounts could not be listed, or there are none.
        """
        if self._client is None or self.credential is None:
            return self._owned(self._settings.accounts)
        try:
            accounts, is_incomplete = discover(self._client, self.credential, self._deadline())
        except GigasError as error:
            if not self.stop.is_set():
                log = _log.debug if self.is_failing else _log.warning
                log("Cannot list accounts", reason=error.reason, error=str(error))
                self.is_failing = True
            raise
        if is_incomplete and not self.is_incomplete:
            _log.warning(ACCOUNTS_INCOMPLETE)
        self.is_incomplete = is_incomplete
        owned = self._owned(accounts)
        if self.is_failing or not self.listed:
            log = _log.warning if self.is_failing else _log.info
            log("Accounts listed", accounts=len(accounts))
            if not owned:
                _log.warning("The shard owns none of the accounts, so that nothing is watched here")
        self._hosts = frozenset(each.account.api_host for each in accounts)
        excluded = frozenset(each for each in owned if self._settings.discovery_filter.excludes(owned[each].account))
        if new := excluded - self._excluded:
            _log.info("Accounts skipped by status or product", accounts=len(new), among=", ".join(sorted(new)[:_SHOWN]))
        with self._lock:
            self._missing = {each: was for each, was in self._missing.items() if each in owned}
            self._excluded = excluded
            self._listed = owned
            skipped = excluded | set(self._missing)
        self.is_failing = False
        return {account_id: each for account_id, each in owned.items() if account_id not in skipped}

    def find_missing(self) -> dict[str, AccountSettings]:
        """Try skipped accounts again; return those whose disks no longer answer 404.

        An account is tried after an hour, or when its status or product has changed. It is not watched until then.
        """
        found: dict[str, AccountSettings] = {}
        deadline = self._deadline()
        with self._lock:
            skipped = {each: (self._listed[each], was) for each, was in self._missing.items() if each in self._listed}
        for account_id, (settings, was) in skipped.items():
            has_changed = was != _status_and_product(settings.account)
            is_due = has_changed or self._clock.monotonic() >= self._retry_missing_at[account_id]
            if is_due and account_id not in self._excluded and not self._is_still_missing(settings.account, deadline):
                found[account_id] = settings
        with self._lock:
            self._missing = {each: was for each, was in self._missing.items() if each not in found}
        return found

    def _is_still_missing(self, account: Account, deadline: Deadline) -> bool:
        """Return whether the account stays skipped: its disks answer 404, or no time is left."""
        if self._client is None:
            return False
        try:
            self._client.list_disks(account.id, deadline=deadline)
        except GigasError as error:
            if deadline.remaining() <= 0:
                return True
            is_not_found = isinstance(error, ApiError) and error.status == HTTPStatus.NOT_FOUND
            return is_not_found and self.skip_missing(account)
        return False

    def skip_missing(self, account: Account) -> bool:
        """Skip an account whose disks were never found; return whether it is skipped.

        If the accounts' APIs are on several hosts, one on another host than ``api.url`` is not skipped: its disks may
        be there.
        """
        here = urlsplit(self._settings.api.url).hostname
        is_elsewhere = account.api_host not in {None, here} and len(self._hosts) > 1
        if self.credential is None or is_elsewhere:
            return False
        with self._lock:
            log = _log.debug if account.id in self._retry_missing_at else _log.warning
            self._missing[account.id] = _status_and_product(account)
            self._retry_missing_at[account.id] = self._clock.monotonic() + _RETRY_MISSING_SECONDS
        log("Account skipped: its disks are not found (status 404)", account=account.id)
        return True

    def _deadline(self) -> Deadline:
        return Deadline(self._clock, poll_deadline(self._settings.poll.interval), self.stop)

    def _owned(self, accounts: tuple[AccountSettings, ...]) -> dict[str, AccountSettings]:
        return {each.account.id: each for each in accounts if self._settings.owns(each.account.id)}


def _status_and_product(account: Account) -> tuple[str | None, str | None]:
    return account.status, account.product_id
