"""The summary of one disk's backups, with the ten newest.

It knows neither the API's JSON nor any metric.
"""

from __future__ import annotations

import heapq
import math
import struct
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple, get_args

from gigas_exporter.backup_statuses import COUNTED_BY_FIELD, BackupOutcome, BackupStatuses
from gigas_exporter.model import Backup

_MIN_TYPICAL_SIZES = 3


class RecentBackup(NamedTuple):
    """One of the newest backups; ``created_at`` is UNIX seconds."""

    created_at: float
    size_bytes: int | None
    status: str
    outcome: BackupOutcome


@dataclass(frozen=True, slots=True)
class RecentBackups:
    """The ten newest backups of a disk that have a readable date.

    They are packed, since tuples would take three times the memory, and sorted only when iterated.

    Attributes:
        packed: Date, size (NaN if unknown) and outcome of each.
        statuses: The API's status of each, ``""`` without one.
    """

    packed: bytes = b""
    statuses: tuple[str, ...] = ()

    @classmethod
    def of(cls, backups: Iterable[RecentBackup]) -> RecentBackups:
        """Pack the ten newest of some backups."""
        newest = _newest(backups)
        rows = (
            _ROW.pack(each.created_at, math.nan if each.size_bytes is None else each.size_bytes, _CODES[each.outcome])
            for each in newest
        )
        return cls(b"".join(rows), tuple(sys.intern(each.status) for each in newest))

    def merged(self, other: RecentBackups) -> RecentBackups:
        """Return the backups of both, at least the ten newest."""
        both = RecentBackups(self.packed + other.packed, self.statuses + other.statuses)
        return both if len(both.statuses) <= 2 * MAX_RECENT else RecentBackups.of(both)

    def __iter__(self) -> Iterator[RecentBackup]:
        """Yield the ten newest, newest first."""
        rows = zip(_ROW.iter_unpack(self.packed), self.statuses, strict=True)
        yield from _newest(
            RecentBackup(created_at, None if math.isnan(size) else int(size), status, _OUTCOMES[code])
            for (created_at, size, code), status in rows
        )


def _newest(backups: Iterable[RecentBackup]) -> list[RecentBackup]:
    return heapq.nlargest(MAX_RECENT, backups, key=lambda backup: backup.created_at)


MAX_RECENT: Final = 10
_ROW: Final = struct.Struct("<ddB")
_OUTCOMES: Final[tuple[BackupOutcome, ...]] = get_args(BackupOutcome)
_CODES: Final = {outcome: code for code, outcome in enumerate(_OUTCOMES)}


@dataclass(frozen=True, slots=True)
class BackupSummary:
    """The summary of one disk's backups.

    Attributes:
        usable: How many backups are usable.
        failed: How many are reported as failed.
        newest_at: ``date_created`` of the newest usable backup, UNIX seconds.
        newest_size_bytes: Size of that backup.
        oldest_at: ``date_created`` of the oldest usable backup, UNIX seconds.
        read_at: When they were read, by the monotonic clock.
        typical_size_bytes: Median of ``older_sizes``, from three sizes on.
        unclear: How many backups are unclear, and so not usable.
        unclear_at: ``date_created`` of the newest unclear backup, if it is newer than the newest usable one; infinity
            if an unclear one has no readable date.
        failed_at: ``date_created`` of the newest failed backup, if it is newer than the newest usable one.
        older_sizes: Known sizes of all usable backups except the newest.
        unclear_statuses: How many of ``unclear`` are so because of their status.
        locked_or_empty_at: ``date_created`` of the newest backup that only a good status would make usable; infinity
            if one has no readable date.
        undated: How many usable backups have no readable date.
        recent: The newest backups, usable or not.
    """

    usable: int
    failed: int
    newest_at: float | None
    newest_size_bytes: int | None
    oldest_at: float | None
    read_at: float
    typical_size_bytes: int | None = None
    unclear: int = 0
    unclear_at: float | None = None
    failed_at: float | None = None
    older_sizes: tuple[int, ...] = ()
    unclear_statuses: int = 0
    locked_or_empty_at: float | None = None
    undated: int = 0
    recent: RecentBackups = RecentBackups()

    @property
    def last_failed(self) -> bool:
        """Whether the newest attempt that can be seen failed."""
        # A failed backup without a readable date counts only where no backup is usable.
        return self.failed_at is not None or (self.failed > 0 and self.usable == 0)

    def merged(self, other: BackupSummary) -> BackupSummary:
        """Return the summary of both sets of backups, which must be disjoint."""
        newer, older = (self, other) if (self.newest_at or 0) >= (other.newest_at or 0) else (other, self)
        sizes = self.older_sizes + other.older_sizes
        if older.newest_size_bytes is not None:
            sizes += (older.newest_size_bytes,)
        return BackupSummary(
            self.usable + other.usable,
            self.failed + other.failed,
            newer.newest_at,
            newer.newest_size_bytes,
            min((at for at in (self.oldest_at, other.oldest_at) if at is not None), default=None),
            min(self.read_at, other.read_at),
            typical_size_bytes=_typical(sizes),
            unclear=self.unclear + other.unclear,
            unclear_at=_latest(self.unclear_at, other.unclear_at, after=newer.newest_at),
            failed_at=_latest(self.failed_at, other.failed_at, after=newer.newest_at),
            older_sizes=sizes,
            unclear_statuses=self.unclear_statuses + other.unclear_statuses,
            locked_or_empty_at=_latest(self.locked_or_empty_at, other.locked_or_empty_at),
            undated=self.undated + other.undated,
            recent=self.recent.merged(other.recent),
        )


def summarize_backups(backups: Iterable[Backup], words: BackupStatuses, read_at: float) -> BackupSummary:
    """Summarize one disk's backups; one without a date is never the newest."""
    counts: Counter[BackupOutcome] = Counter()
    newest: Backup | None = None
    newest_at = oldest_at = failed_at = unclear_at = locked_or_empty_at = None
    sizes: list[int] = []
    recent: list[RecentBackup] = []
    unclear_statuses = undated = 0
    for backup in backups:
        outcome = words.outcome(backup)
        counts[outcome] += 1
        created = backup.date_created
        if created is not None:
            recent.append(RecentBackup(created, backup.size_bytes, backup.status or "", outcome))
        if outcome == "usable":
            undated += created is None
            if created is not None and (newest_at is None or created > newest_at):
                newest, backup, newest_at = backup, newest, created  # noqa: PLW2901  # the other one is older
            if created is not None and (oldest_at is None or created < oldest_at):
                oldest_at = created
            if backup is not None and backup.size_bytes is not None:
                sizes.append(backup.size_bytes)
        elif outcome == "failed":
            failed_at = _latest(failed_at, created)
        elif outcome == "locked_or_empty":
            locked_or_empty_at = _latest(locked_or_empty_at, float("inf") if created is None else created)
        elif outcome == "unclear":
            unclear_at = _latest(unclear_at, float("inf") if created is None else created)
            unclear_statuses += backup.unknown.isdisjoint(COUNTED_BY_FIELD)
    return BackupSummary(
        counts["usable"],
        counts["failed"],
        newest_at,
        newest.size_bytes if newest else None,
        oldest_at,
        read_at,
        typical_size_bytes=_typical(sizes),
        unclear=counts["unclear"],
        unclear_at=_latest(unclear_at, after=newest_at),
        failed_at=_latest(failed_at, after=newest_at),
        older_sizes=tuple(sizes),
        unclear_statuses=unclear_statuses,
        locked_or_empty_at=locked_or_empty_at,
        undated=undated,
        recent=RecentBackups.of(recent),
    )


def _latest(*moments: float | None, after: float | None = None) -> float | None:
    """Return the latest known moment, if any is later than ``after``."""
    return max((at for at in moments if at is not None and (after is None or at > after)), default=None)


def _typical(sizes: Sequence[int]) -> int | None:
    return round(median(sizes)) if len(sizes) >= _MIN_TYPICAL_SIZES else None
