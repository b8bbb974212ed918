"""Reading the backups of an account, in one sweep or disk by disk.

A sweep reads the account's list of backups. If it has no usable backup of a disk that must have one, or none that is
new enough, the disk's own list is read too before the disk counts as never backed up or late. Only a summary of each
disk's backups is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Literal, NamedTuple

from gigas_exporter.backup_statuses import count_statuses, most_common_statuses
from gigas_exporter.backup_summary import BackupSummary, summarize_backups
from gigas_exporter.clock import Clock, Deadline
from gigas_exporter.config import Settings
from gigas_exporter.errors import ApiError, DecodeError, GigasError, TransportError
from gigas_exporter.gigas import ReadClient
from gigas_exporter.inventory import BackupSnapshot
from gigas_exporter.model import Backup
from gigas_exporter.poller.backup_owners import MAY_BE_THEIRS, Owners, SweptOwners, possible_owners
from gigas_exporter.poller.late_disks import LateDisks
from gigas_exporter.poller.own_lists import DiskLists, KnownDisks, OwnListReader
from gigas_exporter.poller.scheduler import poll_deadline

NewDeadline = Callable[[float], Deadline]

_NO_SWEEP = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
_SWEEP_REJECTED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN})
NO_TIME = (
    "no time was left; raise api.max_requests_per_second, api.max_concurrency or poll.backups_interval if this goes on"
)
_MAX_OWN_LISTS = 200
"""How many own lists of disks without a usable backup are read in one poll."""


@dataclass(frozen=True, slots=True)
class BackupsPoll:
    """The result of a backups poll.

    Attributes:
        source: ``account`` for a sweep, ``disk`` for reading disk by disk.
        invalid: How many values of each field were not understood.
        failure: Why the first disk whose backups could not be read failed.
    """

    source: Literal["account", "disk"]
    reading: BackupSnapshot
    invalid: Mapping[str, int]
    failure: GigasError | None


class BackupsReader:
    """Reads the backups of one account."""

    def __init__(self, client: ReadClient, account_id: str, settings: Settings, *, clock: Clock) -> None:
        self._client = client
        self._account_id = account_id
        self._source = settings.poll.backups_source
        self._words = settings.status_words
        self._interval = settings.poll.backups_interval
        self._clock = clock
        self._own_lists = OwnListReader(client, account_id, settings, clock=clock)
        self._late_lists = LateDisks(self._own_lists, clock)

    def read(
        self,
        known_disks: Callable[[Deadline], KnownDisks],
        previous: BackupSnapshot | None,
        new_deadline: NewDeadline,
    ) -> BackupsPoll:
        """Read all backups.

        Args:
            known_disks: Returns the account's disks, and waits for them within the deadline. It raises GigasError if
                they could not be read.
            previous: The previous reading, used for disks that cannot be read now.
            new_deadline: Returns a deadline of so many seconds, which a shutdown ends.

        Raises:
            GigasError: Nothing could be read.
        """
        previous = previous or BackupSnapshot({}, frozenset(), None, 0.0)
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
        """Return whether to read disk by disk after the failed sweep."""
        if error.status not in _SWEEP_REJECTED:
            return error.status in _NO_SWEEP
        try:
            disks = known_disks(deadline)
            return disks.readable and bool(disks.ids)
        except GigasError:
            return False

    def _sweep(
        self, known_disks: Callable[[Deadline], KnownDisks], previous: BackupSnapshot, deadline: Deadline
    ) -> BackupsPoll:
        began = self._clock.monotonic()
        listing = self._client.sweep_backups(self._account_id, self._summarize_page, deadline=deadline)
        is_whole = not listing.invalid.get("disk_id")
        swept = _merged(listing.items, self._clock.monotonic())
        try:
            disks, are_disks_known = known_disks(deadline), True
        except GigasError:
            disks, are_disks_known = KnownDisks({}, {}), False
        unassigned = sum(count for disk_id, count in swept.counts.items() if disk_id not in disks.machines)
        owners = SweptOwners(swept.owners, is_named=not swept.counts.keys().isdisjoint(disks.machines))
        own, is_unsure = self._read_unbacked(swept.summaries, previous, disks, deadline, owners)
        late = self._late_lists.read(swept.summaries, previous, disks, deadline, owners)
        failed = own.failed | late.failed
        summaries, failure = swept.summaries, own.first_failure or (late.first_failure if late.failed else None)
        if not is_whole:
            # A backup whose disk is not understood may belong to any disk, so nothing new is known of unlisted disks.
            failed |= set(previous.summaries) - set(summaries) - set(own.summaries)
            summaries = {**previous.summaries, **summaries}
        if failed and failure is None and not is_whole:
            failure = DecodeError("disk_id", "of a backup is not understood")
        elif is_unsure and failure is None:
            failure = DecodeError("disk_id", MAY_BE_THEIRS)
        summaries = {each: summary for each, summary in summaries.items() if each not in late.failed}
        own_first = {each: mine for each, mine in own.summaries.items() if mine.usable or each not in summaries}
        reading = BackupSnapshot(
            {**summaries, **own_first, **late.summaries},
            frozenset(failed),
            sweep_started_at=began if is_whole else None,
            read_at=swept.read_at,
            by_status=most_common_statuses(swept.by_status),
            unassigned=unassigned if are_disks_known else None,
            own_lists_read=frozenset(own.summaries) | late.summaries.keys(),
        )
        # Backups that name no disk are counted as not understood; some of them may be counted already.
        invalid = Counter({**listing.invalid, "disk_id": max(listing.invalid.get("disk_id", 0), swept.counts[None])})
        return self._poll("account", reading, invalid + own.invalid, failure)

    def _read_unbacked(
        self,
        swept: Mapping[str, BackupSummary],
        previous: BackupSnapshot,
        disks: KnownDisks,
        deadline: Deadline,
        owners: SweptOwners,
    ) -> tuple[DiskLists, bool]:
        """Read the own lists of required disks without a usable backup in the account's list.

        Also return whether some of them may own backups that name no disk; those disks are ``failed``.
        """
        unbacked = [each for each in disks.ids if each in disks.required and not _has_usable(swept.get(each))]
        lists = self._own_lists.read(unbacked, disks, deadline, limit=_MAX_OWN_LISTS, swept=owners)
        # The previous reading of an own list counts if it cannot be read now.
        kept = {each: previous.summaries[each] for each in unbacked if each in previous.own_lists_read}
        own = kept | lists.summaries
        owners = replace(owners, is_named=owners.is_named or any(lists.by_status.values()))
        unsure = possible_owners([each for each in unbacked if not _has_usable(own.get(each))], disks.machines, owners)
        lists.summaries = {each: mine for each, mine in own.items() if each not in unsure}
        lists.failed |= set(unbacked) - set(lists.summaries) - lists.gone
        return lists, bool(unsure)

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

    def _disk_by_disk(self, disks: KnownDisks, previous: BackupSnapshot, deadline: Deadline) -> BackupsPoll:
        lists = self._own_lists.read(disks.ids, disks, deadline)
        failed = frozenset(disks.ids) - set(lists.summaries) - lists.gone
        if disks.ids and not lists.summaries and not lists.gone:
            raise lists.first_failure or TransportError("list_disk_backups", "timeout", NO_TIME)
        was_read = previous.own_lists_read - previous.failed_disks | previous.waiting_disks
        kept = {each: previous.summaries[each] for each in failed if each in previous.summaries}
        reading = BackupSnapshot(
            {**kept, **lists.summaries},
            failed,
            sweep_started_at=None,
            read_at=self._clock.monotonic(),
            by_status=most_common_statuses(lists.by_status),
            own_lists_read=frozenset(lists.summaries) | (previous.own_lists_read & failed),
            waiting_disks=(failed - lists.failed) & was_read,
        )
        return self._poll("disk", reading, lists.invalid, lists.first_failure)

    def _poll(
        self,
        source: Literal["account", "disk"],
        reading: BackupSnapshot,
        invalid: Counter[str],
        failure: GigasError | None,
    ) -> BackupsPoll:
        """Return the result, with the counts of statuses that are not understood."""
        unclear = Counter(status=sum(summary.unclear_statuses for summary in reading.summaries.values()))
        unmatched = self._words.unmatched(reading.by_status)
        error = None if failure is None else str(failure)
        reading = replace(reading, unmatched_statuses=unmatched, error=error)
        return BackupsPoll(source, reading, invalid + unclear, failure)


@dataclass(frozen=True, slots=True)
class _BackupsPage:
    """One page of backups, summarized; ``counts`` also has backups that name no disk, under ``None``."""

    summaries: Mapping[str, BackupSummary]
    counts: Mapping[str | None, int]
    by_status: Mapping[str, int]
    owners: Owners


class _Swept(NamedTuple):
    """The pages of a sweep, merged."""

    summaries: dict[str, BackupSummary]
    counts: Counter[str | None]
    by_status: Counter[str]
    owners: tuple[Owners, ...]
    read_at: float


def _merged(pages: Sequence[_BackupsPage], read_at: float) -> _Swept:
    swept = _Swept({}, Counter(), Counter(), tuple(page.owners for page in pages), read_at)
    for page in pages:
        swept.counts.update(page.counts)
        swept.by_status.update(page.by_status)
        for disk_id, summary in page.summaries.items():
            known = swept.summaries.get(disk_id)
            swept.summaries[disk_id] = replace(known.merged(summary) if known else summary, read_at=read_at)
    return swept


def _has_usable(summary: BackupSummary | None) -> bool:
    return summary is not None and summary.usable > 0
