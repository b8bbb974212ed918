"""The simulated accounts, and the events that change them.

Not thread-safe: callers hold the cloud's lock. The state is that of the time to which it was last advanced.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from gigas_exporter.simulator.fleet import FIRST_DISK, apply_scenarios, make_account, make_disk
from gigas_exporter.simulator.records import AccountRecord, BackupRecord, DiskRecord, Schedule
from gigas_exporter.simulator.schedule import BACKUP_IDS_PER_DISK, DAY, Timeline, backup_count, backups_of, draw

_HOUR = 3600.0
_LIFE_OF_EPHEMERAL = 4 * _HOUR
_GAP_OF_EPHEMERAL = 1 * _HOUR
_MAINTENANCE_EVERY = 1200.0
_MAINTENANCE_LASTS = 240.0
_EVENTS_FROM = 12
"""Smaller accounts have no events, which lock disks for a while, and add and remove a scratch disk."""
_FIRST_HAND_MADE = 2_000_000
_LONG_AGO = 10_000


class CloudState:
    """All accounts at one time.

    Attributes:
        now: Real time, in UNIX seconds.
        scenarios: Scenarios by disk id, without healthy disks.
        sequence: Numbers for events and background operations.
        backup_ids: Ids for stored backups.
    """

    def __init__(
        self, timeline: Timeline, disks: int, accounts: int, *, retention: int, eventful: bool, hostile: bool = True
    ) -> None:
        self.timeline = timeline
        self.now = self._target = timeline.start
        self.accounts: dict[int, AccountRecord] = {}
        self.disks: dict[int, DiskRecord] = {}
        self.scenarios: dict[int, str] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self.sequence = itertools.count(1)
        self._ends: dict[int, tuple[tuple[int, int], list[int]]] = {}
        self._orders: dict[int, tuple[int, list[DiskRecord]]] = {}
        machines = 0
        for position in range(accounts):
            share = disks // accounts + (position < disks % accounts)
            account = make_account(
                position,
                share,
                disks_before=len(self.disks),
                machines_before=machines,
                seed=timeline.seed,
                start=timeline.start,
                retention=retention,
            )
            machines += len(account.machines)
            self.accounts[account.number] = account
            self.disks.update(account.disks)
            if eventful:
                self.scenarios |= apply_scenarios(list(account.disks.values()), timeline.start, hostile=hostile)
        self._disk_ids = itertools.count(FIRST_DISK + len(self.disks))
        self.backup_ids = itertools.count(_FIRST_HAND_MADE)
        if eventful:
            for account in self.accounts.values():
                self._start_events(account)

    # Time

    @property
    def simulated(self) -> float:
        """Simulated time, in UNIX seconds."""
        return self.timeline.simulated(self.now)

    def advance(self, now: float) -> None:
        """Run the due events. If the clock goes back, they are not undone."""
        self._target = now
        while self._events and self._events[0][0] <= now:
            due, _, event = heapq.heappop(self._events)
            self.now = due
            event()
        self.now = now

    def later(self, seconds: float, event: Callable[[], None]) -> None:
        """Call a function after some simulated seconds."""
        if seconds <= 0:
            event()
            return
        delay = seconds / self.timeline.speed
        heapq.heappush(self._events, (self.now + delay, next(self.sequence), event))

    def _start_events(self, account: AccountRecord) -> None:
        if len(account.disks) < _EVENTS_FROM:
            return
        for number, scenario in self.scenarios.items():
            if scenario == "ephemeral" and number in account.disks:
                self.later(_LIFE_OF_EPHEMERAL / 2, partial(self._remove_ephemeral, account, number))
        self.later(_MAINTENANCE_EVERY, partial(self._run_maintenance, account, 1))

    def _run_maintenance(self, account: AccountRecord, turn: int) -> None:
        """Lock a healthy disk for a while."""
        order = self.ordered(account)
        disk = order[draw(self.timeline.seed, account.number, turn) % len(order)] if order else None
        if disk is not None and not disk.locked and disk.number not in self.scenarios:
            self.lock_for(disk, _MAINTENANCE_LASTS, disk.status)
        delay = _MAINTENANCE_EVERY / self.timeline.speed
        behind = math.floor((self._target - self.now) / delay)
        turns = max(1, behind - _LONG_AGO)
        self.later(_MAINTENANCE_EVERY * turns, partial(self._run_maintenance, account, turn + turns))

    def _remove_ephemeral(self, account: AccountRecord, number: int) -> None:
        self.remove_disk(number)
        self.later(_GAP_OF_EPHEMERAL, partial(self._add_ephemeral, account))

    def _add_ephemeral(self, account: AccountRecord) -> None:
        disk = self.new_disk(account, mount_point="/scratch", size_gb=50)
        self.later(_LIFE_OF_EPHEMERAL, partial(self._remove_ephemeral, account, disk.number))

    # Disks

    def ordered(self, account: AccountRecord) -> list[DiskRecord]:
        """Return the account's disks in the order of listing."""
        changes, order = self._orders.get(account.number, (-1, []))
        if changes != account.changes:
            order = list(account.disks.values())
            self._orders[account.number] = (account.changes, order)
        return order

    def new_disk(self, account: AccountRecord, mount_point: str | None, size_gb: int) -> DiskRecord:
        """Add a disk to the account's last machine."""
        number = next(self._disk_ids)
        chance = random.Random(draw(self.timeline.seed, number))  # noqa: S311 - a demo fleet, not a secret
        machine = next(reversed(account.machines.values()), None)
        disk = make_disk(
            account, number, machine=machine, mount=(mount_point, size_gb), chance=chance, start=self.simulated
        )
        disk.created_at = disk.updated_at = int(self.now)
        if disk.schedule is not None:
            disk.schedule.anchor, disk.schedule.first = self.simulated + chance.uniform(0.5, 8) * _HOUR, 0
        self.disks[number] = account.disks[number] = disk
        account.changes += 1
        return disk

    def remove_disk(self, number: int) -> None:
        """Delete a disk and its backups, if the disk exists."""
        disk = self.disks.pop(number, None)
        if disk is not None:
            del disk.account.disks[number]
            disk.account.changes += 1

    def lock_for(self, disk: DiskRecord, seconds: float, status: str, then: Callable[[], None] | None = None) -> None:
        """Lock a disk for some simulated seconds, then call ``then``."""
        before, operation = disk.status, next(self.sequence)

        def finish() -> None:
            if disk.operation == operation:
                disk.locked, disk.status, disk.operation = False, before, 0
                disk.touch(self.now)
            if then is not None:
                then()

        disk.locked, disk.status, disk.operation = True, status, operation
        disk.touch(self.now)
        self.later(seconds, finish)

    # Backups

    def backups_of(self, disk: DiskRecord) -> list[BackupRecord]:
        """Return a disk's backups as of now."""
        return backups_of(disk, self.timeline, self.simulated)

    def backup_ends(self, account: AccountRecord) -> list[int]:
        """Return the index at which each disk's backups end in the account's list; cached."""
        counted = (account.changes, int(self.now))
        if self._ends.get(account.number, (None,))[0] != counted:
            self._ends[account.number] = counted, self.cumulative_counts(self.ordered(account))
        return self._ends[account.number][1]

    def slice_of(
        self, disks: Sequence[DiskRecord], ends: Sequence[int], begin: int, end: int
    ) -> list[tuple[DiskRecord, BackupRecord]]:
        """Return a slice of the list of these disks' backups."""
        found: list[tuple[DiskRecord, BackupRecord]] = []
        place = bisect.bisect_right(ends, begin)
        while place < len(disks) and begin < end:
            first = ends[place - 1] if place else 0
            disk = disks[place]
            part = slice(begin - first, min(end, ends[place]) - first)
            found.extend((disk, backup) for backup in self.backups_of(disk)[part])
            begin = ends[place]
            place += 1
        return found

    def cumulative_counts(self, disks: Iterable[DiskRecord]) -> list[int]:
        """Return the index at which each disk's backups end in the list of all."""
        simulated = self.simulated
        return list(itertools.accumulate(backup_count(disk, simulated) for disk in disks))

    def find_backup(self, account: AccountRecord, number: int) -> tuple[DiskRecord, BackupRecord] | None:
        """Return a backup of the account with its disk, if it exists."""
        scheduled_for = account.disks.get(number // BACKUP_IDS_PER_DISK)
        # Few disks have stored backups, so searching them is cheap.
        candidates = [scheduled_for] if scheduled_for is not None else [d for d in self.ordered(account) if d.kept]
        found = ((disk, backup) for disk in candidates for backup in self.backups_of(disk) if backup.number == number)
        return next(found, None)

    def remove_backups(self, disk: DiskRecord) -> None:
        """Delete the disk's backups, including a running one."""
        disk.kept = None
        disk.account.changes += 1
        if disk.schedule is not None:
            due = math.floor((self.simulated - disk.schedule.anchor) / DAY)
            disk.schedule.first = max(disk.schedule.first, due + 1)

    def switch_autobackup(self, disk: DiskRecord, *, on: bool) -> None:
        """Turn daily backups on or off; finished backups are kept."""
        if on == disk.autobackup:
            return
        disk.autobackup = on
        disk.kept = [backup for backup in self.backups_of(disk) if not (backup.automatic and backup.locked)]
        disk.account.changes += 1
        base_kb = max(64, (disk.size_gb << 20) // 4)
        disk.schedule = Schedule(self.simulated + DAY, base_kb, first=0) if on else None

    def new_backup(
        self, disk: DiskRecord, created_at: float | None, status: str, size_kb: int | None, *, automatic: bool = False
    ) -> BackupRecord:
        """Store a backup, by default a manual one."""
        made_at = self.now if created_at is None else created_at
        backup = BackupRecord(next(self.backup_ids), disk.number, int(made_at), status, size_kb, automatic)
        disk.kept = [*(disk.kept or ()), backup]
        disk.account.changes += 1
        return backup
