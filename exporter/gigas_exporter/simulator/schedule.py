"""Compute a disk's automatic backups from its schedule and the time.

They are computed for each request instead of stored, so that 100,000 disks with 700,000 backups take little memory, and
the clock may jump.

There are two times, both in UNIX seconds. Dates are in *real* time, which an exporter compares with its own clock.
Schedules are in *simulated* time, which runs ``speed`` times as fast after the start: a daily backup is made every
24 h / ``speed``. Before the start both times are the same, so that earlier backups are a day apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gigas_exporter.simulator.records import BackupRecord, DiskRecord, Schedule

DAY = 86_400.0
BACKUP_IDS_PER_DISK = 10_000_000
"""The id of an automatic backup is its disk's id times this, plus its slot and a bias; stored ones have lower ids."""

_SLOT_BIAS = 1_000
_PENDING_SHARE = 0.2
_UNDER_WAY = frozenset({"pending", "running"})
_SHRUNK = 0.05
_MASK = (1 << 64) - 1


def draw(*parts: int) -> int:
    """Return 64 pseudo-random bits that depend only on the parts (SplitMix64).

    The parts are, say, the seed, a disk and a slot. So nothing is stored, and the order of requests has no effect.
    """
    state = 0x9E3779B97F4A7C15
    for part in parts:
        state = ((state ^ (part & _MASK)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


@dataclass(frozen=True, slots=True)
class Timeline:
    """Converts between real and simulated time."""

    seed: int
    start: float
    speed: float

    def simulated(self, real: float) -> float:
        """Return the simulated time of a real one."""
        return real if real <= self.start else self.start + (real - self.start) * self.speed

    def real(self, simulated: float) -> float:
        """Return the real time of a simulated one."""
        return simulated if simulated <= self.start else self.start + (simulated - self.start) / self.speed


def _window(disk: DiskRecord, schedule: Schedule, simulated: float) -> range:
    newest = math.floor((simulated - schedule.anchor) / DAY)
    if schedule.last is not None:
        newest = min(newest, schedule.last)
    return range(max(schedule.first, newest - disk.account.retention + 1), newest + 1)


def _slot_backup(disk: DiskRecord, schedule: Schedule, slot: int, timeline: Timeline, simulated: float) -> BackupRecord:
    made_at = schedule.anchor + slot * DAY
    luck = draw(timeline.seed, disk.number, slot)
    status = (schedule.outcomes or {}).get(slot)
    if status is None:
        duration = 300 + luck % 900
        elapsed = simulated - made_at
        if elapsed < duration:
            status = "pending" if elapsed < duration * _PENDING_SHARE else "running"
        elif slot > 0 and luck >> 11 < schedule.failing * (1 << 53):
            status = "failed"
        else:
            status = "completed"
    size = None
    if status == "completed":
        grown = schedule.base_kb * (1 + 0.002 * slot) * (0.99 + 0.02 * (luck >> 40) / (1 << 24))
        if schedule.shrunk_from is not None and slot >= schedule.shrunk_from:
            grown *= _SHRUNK
        size = max(64, min(int(grown), disk.size_gb << 20))
    return BackupRecord(
        number=disk.number * BACKUP_IDS_PER_DISK + _SLOT_BIAS + slot,
        disk=disk.number,
        created_at=int(timeline.real(made_at)),
        status=status,
        size_kb=size,
        automatic=True,
        locked=status in _UNDER_WAY,
    )


def backup_count(disk: DiskRecord, simulated: float) -> int:
    """Return how many backups of the disk are listed."""
    scheduled = len(_window(disk, disk.schedule, simulated)) if disk.schedule is not None else 0
    if not disk.kept:
        return scheduled
    automatic = sum(backup.automatic for backup in disk.kept)
    return len(disk.kept) - automatic + min(disk.account.retention, automatic + scheduled)


def backups_of(disk: DiskRecord, timeline: Timeline, simulated: float) -> list[BackupRecord]:
    """Return the disk's backups after rotation, stored ones first."""
    schedule = disk.schedule
    scheduled = (
        [_slot_backup(disk, schedule, slot, timeline, simulated) for slot in _window(disk, schedule, simulated)]
        if schedule is not None
        else []
    )
    if not disk.kept:
        return scheduled
    automatic = [backup for backup in disk.kept if backup.automatic]
    gone = {backup.number for backup in automatic[: max(0, len(automatic) + len(scheduled) - disk.account.retention)]}
    return [backup for backup in disk.kept if backup.number not in gone] + scheduled
