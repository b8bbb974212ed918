"""Reading disks' own lists of backups, and deciding which are believed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from typing import TypeVar

from gigas_exporter.backup_statuses import count_statuses
from gigas_exporter.backup_summary import BackupSummary, summarize_backups
from gigas_exporter.clock import Clock, Deadline
from gigas_exporter.config import Settings
from gigas_exporter.errors import (
    ApiError,
    AuthError,
    DecodeError,
    GigasError,
    IncompleteError,
    Reason,
    strip_traceback,
)
from gigas_exporter.gigas import ReadClient
from gigas_exporter.gigas.pages import PAGING_FIELDS
from gigas_exporter.gigas.ratelimit import DeadlineExceededError
from gigas_exporter.poller.backup_owners import Claim, SweptOwners, disputed_disks, own_backups

_FAILURE_LIMIT = 8
"""Reading disk by disk stops after consecutive failures of this weight."""
_WEIGHTS: Mapping[Reason, int] = {"timeout": 4, "connection": 1, "server": 1, "rate_limited": 1, "forbidden": 1}
"""The weight of a failure; a request without a response weighs most, because it holds one of few slots for long."""
_MAX_WITNESSES = 3
"""If backups name no disk, so many other disks of the same machines are asked, and so many of other machines."""


@dataclass(frozen=True, slots=True)
class KnownDisks:
    """The disks of an account.

    Attributes:
        machines: The virtual machine that each disk is attached to.
        required: The longest age of the newest backup, in seconds, of each disk that must have one.
        readable: Whether the last poll of the disks succeeded.
        only: The disks whose backups are wanted; ``None`` means all.
    """

    machines: Mapping[str, str | None]
    required: Mapping[str, float]
    readable: bool = True
    only: Collection[str] | None = None

    @property
    def ids(self) -> Collection[str]:
        """The disks whose backups are wanted."""
        return self.machines.keys() if self.only is None else self.only


class OwnListReader:
    """Reads disks' own lists of backups."""

    def __init__(self, client: ReadClient, account_id: str, settings: Settings, *, clock: Clock) -> None:
        self._client = client
        self._account_id = account_id
        self._words = settings.status_words
        self._concurrency = settings.api.max_concurrency
        self._clock = clock
        self._asked_at: dict[str, float] = {}

    def read(
        self,
        disk_ids: Collection[str],
        disks: KnownDisks,
        deadline: Deadline,
        *,
        limit: int | None = None,
        swept: SweptOwners = SweptOwners(),  # noqa: B008  (frozen)
    ) -> DiskLists:
        """Read disks' own lists, the longest unread first.

        A list that failed comes after those that were read in the same poll.
        """
        self._asked_at = {each: at for each, at in self._asked_at.items() if each in disks.ids}
        wanted = sorted(disk_ids, key=lambda each: self._asked_at.get(each, float("-inf")))[:limit]
        breaker = _CircuitBreaker()

        def read_one(disk_id: str) -> _DiskBackups | GigasError | None:
            return self._read_list(disk_id, disks.machines, deadline, breaker)

        lists = DiskLists()
        results = map_parallel(read_one, wanted, self._concurrency if deadline.may_retry() else 1)
        now = self._clock.monotonic()
        claims = _claims(results)
        if witnesses := _witnesses(claims, results, disks.machines, swept):
            claims |= _claims(map_parallel(read_one, witnesses, self._concurrency))
        disputed = disputed_disks(claims, disks.machines, swept)
        for disk_id in wanted:
            result = results[disk_id]
            if disk_id in disputed:
                result = DecodeError("disk_id", disputed[disk_id])
            if isinstance(result, _DiskBackups):
                lists.invalid.update(result.invalid)
                lists.by_status.update(result.by_status)
                if result.summary is None:
                    lists.gone.add(disk_id)
                else:
                    lists.summaries[disk_id] = result.summary
            elif result is not None:
                lists.failed.add(disk_id)
                self._asked_at[disk_id] = now
                lists.first_failure = lists.first_failure or result
        return lists

    def _read_list(
        self, disk_id: str, machines: Mapping[str, str | None], deadline: Deadline, breaker: _CircuitBreaker
    ) -> _DiskBackups | GigasError | None:
        if breaker.open or deadline.remaining() <= 0:
            return None
        asked_at = self._clock.monotonic()
        try:
            listing = self._client.list_disk_backups(self._account_id, disk_id, deadline=deadline)
            own, claim = own_backups(listing.items, disk_id, machines)
            summary = summarize_backups(own, self._words, self._clock.monotonic())
            if not summary.usable and not PAGING_FIELDS.isdisjoint(listing.invalid):
                raise IncompleteError("list_disk_backups: a disk's list may be incomplete according to its headers")
        except DeadlineExceededError:  # the request was not sent
            return None
        except GigasError as error:
            self._asked_at[disk_id] = asked_at
            if _status(error) == HTTPStatus.NOT_FOUND and self._is_gone(disk_id, deadline):
                return _DiskBackups(None, {}, {})
            breaker.on_failure(error)
            return strip_traceback(error)
        self._asked_at[disk_id] = asked_at
        breaker.on_success()
        return _DiskBackups(summary, listing.invalid, count_statuses(own), claim)

    def _is_gone(self, disk_id: str, deadline: Deadline) -> bool:
        try:
            self._client.get_disk(self._account_id, disk_id, deadline=deadline)
        except GigasError as error:
            return _status(error) == HTTPStatus.NOT_FOUND
        return False


@dataclass(frozen=True, slots=True)
class _DiskBackups:
    """One disk's own list; ``summary`` is ``None`` if the disk has been deleted."""

    summary: BackupSummary | None
    invalid: Mapping[str, int]
    by_status: Mapping[str, int]
    claim: Claim | None = None


@dataclass(slots=True)
class DiskLists:
    """The own lists of several disks; disks that were not asked are in none of the fields."""

    summaries: dict[str, BackupSummary] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    invalid: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    first_failure: GigasError | None = None


def _claims(results: Mapping[str, _DiskBackups | GigasError | None]) -> dict[str, Claim]:
    return {each: one.claim for each, one in results.items() if isinstance(one, _DiskBackups) and one.claim}


def _witnesses(
    claims: Mapping[str, Claim], asked: Collection[str], machines: Mapping[str, str | None], swept: SweptOwners
) -> list[str]:
    """Return other disks to ask, if some backups name no disk.

    The list of another disk of the same machine may name that disk as the owner; the account's list, if it was read,
    does that already. The list of a disk of another machine may have the same backups, which then belong to neither
    disk; lists of several machines, if they were read, are compared already.
    """
    claimed = {machines.get(each) for each, claim in claims.items() if claim.ids}
    attached = claimed - {None}
    unasked = {each: machine for each, machine in machines.items() if each not in asked}
    same = (each for each, machine in unasked.items() if machine in attached and not swept.pages)
    others = (each for each, machine in unasked.items() if machine not in attached and claimed and len(attached) <= 1)
    return [*islice(same, _MAX_WITNESSES), *islice(others, _MAX_WITNESSES)]


class _CircuitBreaker:
    """Circuit breaker for reading disk by disk. Updated without a lock; off by one is harmless."""

    def __init__(self) -> None:
        self._consecutive_failures = 0
        self.open = False

    def on_success(self) -> None:
        self._consecutive_failures = 0

    def on_failure(self, error: GigasError) -> None:
        self._consecutive_failures += _WEIGHTS.get(error.reason, 0)
        if self._consecutive_failures >= _FAILURE_LIMIT or isinstance(error, AuthError):
            self.open = True


def _status(error: GigasError) -> int | None:
    return error.status if isinstance(error, ApiError) else None


_helpers = threading.BoundedSemaphore(12)
"""How many threads may help the callers of the whole process at once."""

_T = TypeVar("_T")
_R = TypeVar("_R")


def map_parallel(function: Callable[[_T], _R], items: Iterable[_T], concurrency: int) -> dict[_T, _R]:
    """Return what ``function`` returns for each item, at most ``concurrency`` at once.

    The caller's own thread always works; helpers do where there are any. The first item is tried alone: against a
    server that hangs, no more than one request waits.
    """
    lock, pending = threading.Lock(), iter(items)
    results: dict[_T, _R] = {}
    errors: list[Exception] = []

    def work() -> None:
        try:
            while not errors:
                with lock:
                    item = next(pending)
                results[item] = function(item)
        except StopIteration:
            pass
        except Exception as error:  # noqa: BLE001  # raised again in the caller's thread
            errors.append(error)

    for item in pending:
        results[item] = function(item)
        break
    threads: list[threading.Thread] = []
    while len(threads) < concurrency - 1 and (thread := _start_helper(work)) is not None:
        threads.append(thread)
    work()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def _start_helper(work: Callable[[], None]) -> threading.Thread | None:
    """Start a thread, unless there are enough or none can start."""
    if not _helpers.acquire(blocking=False):
        return None

    def run() -> None:
        try:
            work()
        finally:
            _helpers.release()

    thread = threading.Thread(target=run, name="backups", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        _helpers.release()
        return None
    return thread
