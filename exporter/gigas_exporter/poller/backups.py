"""Read the backups of an account: in one sweep where the API has it, else disk by disk.

A sweep that lists no usable backup of a disk that must have one is not believed by itself: the disk's own list is read
too, before it counts as never backed up. Nothing is kept of a backup but its part of its disk's summary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Literal

from gigas_exporter.backup_summary import count_statuses, most_common_statuses
from gigas_exporter.clock import Clock, Deadline
from gigas_exporter.errors import (
    ApiError,
    AuthError,
    DecodeError,
    GigasError,
    IncompleteError,
    Reason,
    TransportError,
    strip_traceback,
)
from gigas_exporter.gigas import ReadClient
from gigas_exporter.gigas.paging_headers import PAGING_FIELDS
from gigas_exporter.gigas.ratelimit import DeadlineExceededError
from gigas_exporter.inventory import BackupSnapshot, BackupStatuses, BackupSummary, summarize_backups
from gigas_exporter.model import Backup
from gigas_exporter.poller.backup_owners import (
    MAY_BE_THEIRS,
    Claim,
    Owners,
    disputed_disks,
    own_backups,
    possible_owners,
)
from gigas_exporter.poller.parallel import HelperThreads
from gigas_exporter.poller.scheduler import poll_deadline

__all__ = ["BackupsPoll", "BackupsReader", "BackupsSource", "KnownDisks", "NewDeadline"]

BackupsSource = Literal["auto", "account", "disk"]
NewDeadline = Callable[[float], Deadline]

_NO_SWEEP = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
_SWEEP_REJECTED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN})
_FAILURE_LIMIT = 8
"""Abort reading disk by disk after this many consecutive failures."""
_WEIGHTS: Mapping[Reason, int] = {"timeout": 4, "connection": 1, "server": 1, "rate_limited": 1, "forbidden": 1}
"""How much a failure counts for that: a request without a response holds one of few slots for long."""
_MAX_CONFIRMED_DISKS = 200
"""How many disks without a backup are asked for by themselves in one poll."""


@dataclass(frozen=True, slots=True)
class KnownDisks:
    """The disks of an account.

    Attributes:
        machines: By disk, the virtual machine that it is attached to.
        required: Those that must have a backup.
        readable: Whether the last poll of the disks succeeded.
    """

    machines: Mapping[str, str | None]
    required: Collection[str]
    readable: bool = True

    @property
    def ids(self) -> Collection[str]:
        """All disks."""
        return self.machines.keys()


@dataclass(frozen=True, slots=True)
class BackupsPoll:
    """What a backups poll gave.

    Attributes:
        source: The way that was taken.
        invalid: By field, how many values could not be understood.
        first_failure: Why the first of ``reading.failed_disks`` could not be read.
    """

    source: Literal["account", "disk"]
    reading: BackupSnapshot
    invalid: Mapping[str, int]
    first_failure: GigasError | None = None


class BackupsReader:
    """Reads the backups of one account.

    Args:
        interval_seconds: The time that a whole poll may take when disks are asked one by one.
        concurrency: How many disks are asked at once.
        helpers: Where the threads for that come from.
    """

    def __init__(
        self,
        client: ReadClient,
        account_id: str,
        source: BackupsSource,
        words: BackupStatuses,
        *,
        interval_seconds: float,
        concurrency: int,
        clock: Clock,
        helpers: HelperThreads | None = None,
    ) -> None:
        self._client = client
        self._account_id = account_id
        self._source = source
        self._words = words
        self._interval = interval_seconds
        self._concurrency = concurrency
        self._clock = clock
        self._helpers = helpers or HelperThreads()
        self._asked_at: dict[str, float] = {}

    def read(
        self,
        known_disks: Callable[[Deadline], KnownDisks],
        previous: BackupSnapshot | None,
        new_deadline: NewDeadline,
    ) -> BackupsPoll:
        """Read all backups.

        Args:
            known_disks: Returns the account's disks, waiting for them within the deadline. It raises GigasError where
                they could not be read.
            previous: Where the summaries of disks that cannot be read now are taken from.
            new_deadline: Makes a deadline of so many seconds that ends with the exporter.

        Raises:
            GigasError: Nothing could be read.
        """
        if self._source != "disk":
            deadline = new_deadline(poll_deadline(self._interval))
            try:
                return self._sweep(known_disks, previous, deadline)
            except ApiError as error:
                if self._source == "account" or not self._may_ask_disks(error, known_disks, deadline):
                    raise
        deadline = new_deadline(max(self._interval, poll_deadline(self._interval)))
        return self._disk_by_disk(known_disks(deadline), previous, deadline)

    def _may_ask_disks(
        self, error: ApiError, known_disks: Callable[[Deadline], KnownDisks], deadline: Deadline
    ) -> bool:
        """Return whether a failed sweep means that there is none: 400 and 403 do where there are disks to be asked."""
        if error.status not in _SWEEP_REJECTED:
            return error.status in _NO_SWEEP
        try:
            disks = known_disks(deadline)
            return disks.readable and bool(disks.ids)
        except GigasError:
            return False

    def _sweep(
        self, known_disks: Callable[[Deadline], KnownDisks], previous: BackupSnapshot | None, deadline: Deadline
    ) -> BackupsPoll:
        began = self._clock.monotonic()
        listing = self._client.sweep_backups(self._account_id, self._summarize_page, deadline=deadline)
        invalid = Counter(listing.invalid)
        is_whole = not invalid["disk_id"]
        now = self._clock.monotonic()
        summaries: dict[str, BackupSummary] = {}
        counts: Counter[str | None] = Counter()
        statuses: Counter[str] = Counter()
        for page in listing.items:
            counts.update(page.counts)
            statuses.update(page.by_status)
            for disk_id, summary in page.summaries.items():
                merged = summaries[disk_id].merged(summary) if disk_id in summaries else summary
                summaries[disk_id] = replace(merged, read_at=now)
        # A backup that names no disk helps no disk; those whose disk was not understood are counted already.
        invalid["disk_id"] = max(invalid["disk_id"], counts[None])
        are_disks_known = True
        try:
            disks = known_disks(deadline)
        except GigasError:
            disks, are_disks_known = KnownDisks({}, frozenset()), False
        unbacked = [each for each in disks.ids if each in disks.required and not _has_usable(summaries.get(each))]
        is_named = not counts.keys().isdisjoint(disks.ids)
        owners = [page.owners for page in listing.items]
        lists = self._read_lists(unbacked, disks, deadline, limit=_MAX_CONFIRMED_DISKS, swept=owners, is_named=is_named)
        before: Mapping[str, BackupSummary] = previous.summaries if previous is not None else {}
        # What the own list of a disk said before counts where there was no time to ask again.
        confirmed = previous.confirmed if previous is not None else frozenset()
        own = {**{each: before[each] for each in unbacked if each in confirmed}, **lists.summaries}
        unsure = possible_owners(
            [each for each in unbacked if not _has_usable(own.get(each))],
            disks.machines,
            owners,
            is_named=is_named or any(lists.by_status.values()),
        )
        own = {each: mine for each, mine in own.items() if each not in unsure}
        failed = (set(unbacked) - set(own) - lists.gone) | lists.failed
        if not is_whole:
            # Backups whose disk is not understood may be of any disk: of those not listed nothing new is known.
            failed |= set(before) - set(summaries) - set(own)
            summaries = {**before, **summaries}
        failure = lists.first_failure
        if failed and failure is None and not is_whole:
            failure = DecodeError("disk_id", "of a backup is not understood")
        elif unsure and failure is None:
            failure = DecodeError("disk_id", MAY_BE_THEIRS)
        reading = BackupSnapshot(
            {**summaries, **{each: mine for each, mine in own.items() if mine.usable or each not in summaries}},
            frozenset(failed),
            full_scan_started_at=began if is_whole else None,
            read_at=now,
            by_status=most_common_statuses(statuses),
            unmatched_statuses=self._words.unmatched(most_common_statuses(statuses)),
            unassigned=sum(count for disk_id, count in counts.items() if disk_id not in disks.machines)
            if are_disks_known
            else None,
            confirmed=frozenset(own),
            error=None if failure is None else str(failure),
        )
        return BackupsPoll("account", reading, +(invalid + lists.invalid + _unclear_statuses(reading)), failure)

    def _summarize_page(self, backups: Sequence[Backup]) -> _BackupsPage:
        by_disk: dict[str | None, list[Backup]] = {}
        for backup in backups:
            by_disk.setdefault(backup.disk_id, []).append(backup)
        return _BackupsPage(
            {each: summarize_backups(some, self._words, 0.0) for each, some in by_disk.items() if each is not None},
            {each: len(some) for each, some in by_disk.items()},
            count_statuses(backups),
            Owners.of(backups),
        )

    def _disk_by_disk(self, disks: KnownDisks, previous: BackupSnapshot | None, deadline: Deadline) -> BackupsPoll:
        lists = self._read_lists(disks.ids, disks, deadline)
        failed = frozenset(disks.ids) - set(lists.summaries) - lists.gone
        if disks.ids and not lists.summaries and not lists.gone:
            raise lists.first_failure or TransportError("list_disk_backups", "timeout", "no time was left for any disk")
        before: Mapping[str, BackupSummary] = previous.summaries if previous is not None else {}
        kept = {each: before[each] for each in failed if each in before}
        confirmed = previous.confirmed if previous is not None else frozenset()
        reading = BackupSnapshot(
            {**kept, **lists.summaries},
            failed,
            full_scan_started_at=None,
            read_at=self._clock.monotonic(),
            by_status=most_common_statuses(lists.by_status),
            unmatched_statuses=self._words.unmatched(most_common_statuses(lists.by_status)),
            confirmed=frozenset(lists.summaries) | (confirmed & failed),
            error=None if lists.first_failure is None else str(lists.first_failure),
        )
        return BackupsPoll("disk", reading, lists.invalid + _unclear_statuses(reading), lists.first_failure)

    def _read_lists(
        self,
        disk_ids: Collection[str],
        disks: KnownDisks,
        deadline: Deadline,
        *,
        limit: int | None = None,
        swept: Iterable[Owners] = (),
        is_named: bool = False,
    ) -> _DiskLists:
        """Read the own lists of some of the disks, those first that were not asked for the longest time.

        Of those that were asked in one poll, those that failed come last the next time.
        """
        self._asked_at = {each: self._asked_at[each] for each in disk_ids if each in self._asked_at}
        wanted = sorted(disk_ids, key=lambda each: self._asked_at.get(each, float("-inf")))[:limit]
        breaker = _CircuitBreaker()

        def read(disk_id: str) -> _DiskBackups | GigasError | None:
            return self._read_list(disk_id, disks.ids, deadline, breaker)

        lists = _DiskLists()
        results = self._helpers.map(read, wanted, self._concurrency if deadline.may_retry() else 1)
        now = self._clock.monotonic()
        claims = {each: one.claim for each, one in results.items() if isinstance(one, _DiskBackups) and one.claim}
        disputed = disputed_disks(claims, disks.machines, swept, is_named=is_named)
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
        self, disk_id: str, listed: Collection[str], deadline: Deadline, breaker: _CircuitBreaker
    ) -> _DiskBackups | GigasError | None:
        if breaker.open or deadline.remaining() <= 0:
            return None
        asked_at = self._clock.monotonic()
        try:
            listing = self._client.list_disk_backups(self._account_id, disk_id, deadline=deadline)
            own, claim = own_backups(listing.items, disk_id, listed)
            summary = summarize_backups(own, self._words, self._clock.monotonic())
            if not summary.usable and not PAGING_FIELDS.isdisjoint(listing.invalid):
                raise IncompleteError("list_disk_backups: a disk's list may be incomplete by its headers")
        except DeadlineExceededError:  # it was not sent
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
class _BackupsPage:
    """What is kept of one page of backups; ``counts`` has backups by disk id, also by ``None``."""

    summaries: Mapping[str, BackupSummary]
    counts: Mapping[str | None, int]
    by_status: Mapping[str, int]
    owners: Owners


@dataclass(frozen=True, slots=True)
class _DiskBackups:
    """One disk's own list; no summary when the disk has been deleted since it was listed."""

    summary: BackupSummary | None
    invalid: Mapping[str, int]
    by_status: Mapping[str, int]
    claim: Claim | None = None


@dataclass(slots=True)
class _DiskLists:
    """What the own lists of some disks gave; a disk that is nowhere in it was not asked."""

    summaries: dict[str, BackupSummary] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    invalid: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    first_failure: GigasError | None = None


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


def _unclear_statuses(reading: BackupSnapshot) -> Counter[str]:
    """Return how many statuses were not understood; that depends on the words, which decoding does not know."""
    return Counter(status=sum(summary.unclear_statuses for summary in reading.summaries.values()))


def _has_usable(summary: BackupSummary | None) -> bool:
    return summary is not None and summary.usable > 0


def _status(error: GigasError) -> int | None:
    return error.status if isinstance(error, ApiError) else None
