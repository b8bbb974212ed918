"""Read the backups of an account: one sweep where the API has it, else disk by disk.

This module owns what becomes of a disk whose backups cannot be read, so that it harms no other. Nothing is kept of a
backup but what it adds to its disk's summary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Literal

from gigas_exporter.clock import Budget, Clock
from gigas_exporter.errors import (
    ApiError,
    AuthError,
    ConfigError,
    DecodeError,
    GigasError,
    TransportError,
    without_frames,
)
from gigas_exporter.gigas import ReadClient
from gigas_exporter.inventory import BackupsReading, BackupStatusWords, BackupSummary, summarise
from gigas_exporter.model import Backup
from gigas_exporter.poller.loop import poll_deadline

__all__ = ["BackupsPoll", "BackupsReader", "BackupsSource"]

BackupsSource = Literal["auto", "account", "disk"]

_NO_SWEEP = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
_HOPELESS_AFTER = 8
"""So many disks in a row without an answer, and the API is taken to be down: the rest is not asked this time."""

_Summaries = Mapping[str, BackupSummary]


@dataclass(frozen=True, slots=True)
class BackupsPoll:
    """What a backups poll gave.

    Attributes:
        source: The way that was taken.
        invalid: By field, how many values could not be understood.
        first_failure: Why the first of ``reading.failed_disks`` could not be read.
    """

    source: Literal["account", "disk"]
    reading: BackupsReading
    invalid: Mapping[str, int]
    first_failure: GigasError | None = None


class BackupsReader:
    """Reads the backups of one account.

    Args:
        interval_seconds: The time that a whole poll may take when disks are asked one by one.
        concurrency: How many disks are asked at once.
    """

    def __init__(
        self,
        client: ReadClient,
        account_id: str,
        source: BackupsSource,
        words: BackupStatusWords,
        *,
        interval_seconds: float,
        concurrency: int,
        clock: Clock,
    ) -> None:
        self._client = client
        self._account_id = account_id
        self._source = source
        self._words = words
        self._interval = interval_seconds
        self._concurrency = concurrency
        self._clock = clock

    def read(
        self,
        disk_ids: Callable[[Budget], Iterable[str]],
        previous: BackupsReading | None,
        new_budget: Callable[[float], Budget],
    ) -> BackupsPoll:
        """Read all backups.

        Args:
            disk_ids: Gives the account's disks, waiting for them inside the budget; only called disk by disk.
            previous: Where the summaries of disks that cannot be read now are taken from.
            new_budget: Makes a budget of so many seconds that ends with the exporter.

        Raises:
            GigasError: Nothing could be read.
        """
        if self._source != "disk":
            try:
                return self._sweep(previous, new_budget(poll_deadline(self._interval)))
            except ApiError as error:
                if self._source == "account" or error.status not in _NO_SWEEP:
                    raise
        budget = new_budget(max(self._interval, poll_deadline(self._interval)))
        return self._disk_by_disk(disk_ids(budget), previous, budget)

    def _sweep(self, previous: BackupsReading | None, budget: Budget) -> BackupsPoll:
        began = self._clock.monotonic()
        listing = self._client.sweep_backups(self._account_id, self._digest, budget=budget)
        invalid = Counter(listing.invalid)
        is_whole = not invalid["disk_id"]
        # A backup that names no disk helps nobody; those whose disk is not understood are counted already.
        invalid["disk_id"] = max(invalid["disk_id"], sum(page.without_disk for page in listing.items))
        summaries: dict[str, BackupSummary] = {}
        for page in listing.items:
            for disk_id, summary in page.summaries.items():
                known = summaries.get(disk_id)
                summaries[disk_id] = summary if known is None else known.merged(summary)
        now = self._clock.monotonic()
        summaries = {disk_id: replace(summary, read_at=now) for disk_id, summary in summaries.items()}
        if is_whole:
            reading = BackupsReading(summaries, frozenset(), swept_at=began, read_at=now)
            return BackupsPoll("account", reading, +invalid)
        # The backups whose disk is not understood may be of any that is not named: of those nothing new is known.
        known_before: _Summaries = previous.summaries if previous is not None else {}
        unread = frozenset(known_before) - frozenset(summaries)
        reading = BackupsReading({**known_before, **summaries}, unread, swept_at=None, read_at=now)
        return BackupsPoll("account", reading, +invalid, DecodeError("disk_id", "of a backup is not understood"))

    def _digest(self, backups: Sequence[Backup]) -> _Page:
        by_disk: dict[str, list[Backup]] = {}
        without_disk = 0
        for backup in backups:
            if backup.disk_id is None:
                without_disk += 1
            else:
                by_disk.setdefault(backup.disk_id, []).append(backup)
        return _Page({disk_id: summarise(some, self._words, 0.0) for disk_id, some in by_disk.items()}, without_disk)

    def _disk_by_disk(self, disk_ids: Iterable[str], previous: BackupsReading | None, budget: Budget) -> BackupsPoll:
        order = _failed_last(disk_ids, previous)
        hope = _Hope()

        def read(disk_id: str) -> _Listed | GigasError | None:
            return self._read_disk(disk_id, budget, hope)

        with ThreadPoolExecutor(self._concurrency, thread_name_prefix="backups") as pool:
            results = dict(zip(order, pool.map(read, order), strict=True))
        listed = {disk_id: result for disk_id, result in results.items() if isinstance(result, _Listed)}
        failed = frozenset(results) - frozenset(listed)
        first_failure = next((result for result in results.values() if isinstance(result, GigasError)), None)
        if order and not listed:
            raise first_failure or TransportError("list_disk_backups", "timeout", "no time was left for any disk")
        known: _Summaries = previous.summaries if previous is not None else {}
        summaries = {disk_id: known[disk_id] for disk_id in failed if disk_id in known}
        invalid: Counter[str] = Counter()
        for disk_id, result in listed.items():
            invalid.update(result.invalid)
            if result.summary is not None:
                summaries[disk_id] = result.summary
        reading = BackupsReading(summaries, failed, swept_at=None, read_at=self._clock.monotonic())
        return BackupsPoll("disk", reading, invalid, first_failure)

    def _read_disk(self, disk_id: str, budget: Budget, hope: _Hope) -> _Listed | GigasError | None:
        if hope.lost or budget.remaining() <= 0:
            return None
        try:
            listing = self._client.list_disk_backups(self._account_id, disk_id, budget=budget)
        except GigasError as error:
            if _status(error) == HTTPStatus.NOT_FOUND and self._is_gone(disk_id, budget):
                return _Listed(None, {})
            hope.failed(error)
            return without_frames(error)
        hope.answered()
        return _Listed(summarise(listing.items, self._words, self._clock.monotonic()), listing.invalid)

    def _is_gone(self, disk_id: str, budget: Budget) -> bool:
        try:
            self._client.get_disk(self._account_id, disk_id, budget=budget)
        except GigasError as error:
            return _status(error) == HTTPStatus.NOT_FOUND
        return False


@dataclass(frozen=True, slots=True)
class _Page:
    """What one page of backups adds: summaries by disk, and how many backups name no disk."""

    summaries: _Summaries
    without_disk: int


@dataclass(frozen=True, slots=True)
class _Listed:
    """One disk's backups as read; no summary when the disk has gone since it was listed."""

    summary: BackupSummary | None
    invalid: Mapping[str, int]


class _Hope:
    """Whether it makes sense to ask for the next disk; written by several threads, and exact enough without a lock."""

    def __init__(self) -> None:
        self._unanswered_in_a_row = 0
        self.lost = False

    def answered(self) -> None:
        self._unanswered_in_a_row = 0

    def failed(self, error: GigasError) -> None:
        if error.reason in {"timeout", "connection", "server", "rate_limited"}:
            self._unanswered_in_a_row += 1
        if self._unanswered_in_a_row >= _HOPELESS_AFTER or isinstance(error, AuthError | ConfigError):
            self.lost = True


def _status(error: GigasError) -> int | None:
    return error.status if isinstance(error, ApiError) else None


def _failed_last(disk_ids: Iterable[str], previous: BackupsReading | None) -> list[str]:
    """Order the disks, longest unread first, but after all others those that failed last time.

    So a few that always fail can neither use up the time of the others nor their hope.
    """
    if previous is None:
        return list(disk_ids)

    def turn(disk_id: str) -> tuple[bool, float]:
        summary = previous.summaries.get(disk_id)
        return disk_id in previous.failed_disks, summary.read_at if summary is not None else 0.0

    return sorted(disk_ids, key=turn)
