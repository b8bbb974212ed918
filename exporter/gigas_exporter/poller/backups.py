"""Read the backups of an account: in one sweep where the API has it, else disk by disk.

A sweep that lists no usable backup of a disk that must have one is not believed by itself: the disk's own list is read
too, before it counts as never backed up, and where the newest one is too old. Nothing is kept of a backup but its part
of its disk's summary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Literal

from gigas_exporter.backup_statuses import count_statuses, most_common_statuses
from gigas_exporter.backup_summary import BackupSummary, summarize_backups
from gigas_exporter.clock import Clock, Deadline
from gigas_exporter.config import Settings
from gigas_exporter.errors import ApiError, DecodeError, GigasError, TransportError
from gigas_exporter.gigas import ReadClient
from gigas_exporter.inventory import BackupSnapshot
from gigas_exporter.model import Backup
from gigas_exporter.poller.backup_owners import MAY_BE_THEIRS, Owners, possible_owners
from gigas_exporter.poller.late_disks import LateDisks
from gigas_exporter.poller.own_lists import KnownDisks, OwnListReader
from gigas_exporter.poller.parallel import HelperThreads
from gigas_exporter.poller.scheduler import poll_deadline

NewDeadline = Callable[[float], Deadline]

_NO_SWEEP = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
_SWEEP_REJECTED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN})
_MAX_CONFIRMED_DISKS = 200
"""How many disks without a backup are asked for by themselves in one poll."""


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
        helpers: The threads that ask several disks at once.
    """

    def __init__(
        self, client: ReadClient, account_id: str, settings: Settings, *, clock: Clock, helpers: HelperThreads
    ) -> None:
        self._client = client
        self._account_id = account_id
        self._source = settings.poll.backups_source
        self._words = settings.status_words
        self._interval = settings.poll.backups_interval
        self._clock = clock
        self._own_lists = OwnListReader(client, account_id, settings, clock=clock, helpers=helpers)
        self._late_lists = LateDisks(self._own_lists, clock)

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
            disks, are_disks_known = KnownDisks({}, {}), False
        unbacked = [each for each in disks.ids if each in disks.required and not _has_usable(summaries.get(each))]
        is_named = not counts.keys().isdisjoint(disks.ids)
        owners = [page.owners for page in listing.items]
        lists = self._own_lists.read(
            unbacked, disks, deadline, limit=_MAX_CONFIRMED_DISKS, swept=owners, is_named=is_named
        )
        before: Mapping[str, BackupSummary] = previous.summaries if previous is not None else {}
        late = self._late_lists.read(summaries, previous, disks, deadline, owners, is_named=is_named)
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
        own_first = {each: mine for each, mine in own.items() if mine.usable or each not in summaries}
        reading = BackupSnapshot(
            {**summaries, **own_first, **late},
            frozenset(failed),
            full_scan_started_at=began if is_whole else None,
            read_at=now,
            by_status=most_common_statuses(statuses),
            unmatched_statuses=self._words.unmatched(most_common_statuses(statuses)),
            unassigned=sum(count for disk_id, count in counts.items() if disk_id not in disks.machines)
            if are_disks_known
            else None,
            confirmed=frozenset(own) | late.keys(),
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
        lists = self._own_lists.read(disks.ids, disks, deadline)
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


@dataclass(frozen=True, slots=True)
class _BackupsPage:
    """What is kept of one page of backups; ``counts`` has backups by disk id, also by ``None``."""

    summaries: Mapping[str, BackupSummary]
    counts: Mapping[str | None, int]
    by_status: Mapping[str, int]
    owners: Owners


def _unclear_statuses(reading: BackupSnapshot) -> Counter[str]:
    """Return how many statuses were not understood; that depends on the words, which decoding does not know."""
    return Counter(status=sum(summary.unclear_statuses for summary in reading.summaries.values()))


def _has_usable(summary: BackupSummary | None) -> bool:
    return summary is not None and summary.usable > 0
