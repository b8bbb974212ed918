"""What is wrong with which disk from the start.

Of each account, the disks that are no swap, but for the first, get one scenario each, in the order of
:data:`SCENARIOS`: a small account has the first few. Times are relative to the start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gigas_exporter.simulator.records import BackupRecord, DiskRecord, Schedule
from gigas_exporter.simulator.schedule import DAY

HOSTILE_MOUNT_POINT = '/srv/"quoted"\\back\nnext line/ñandú-日本-🚀{a="b"}'
HOSTILE_LABEL = "legacy \"erp\" \\ 'prod'\n# HELP café <script>alert(1)</script> 🚀"

_HOUR = 3600.0


Scenario = Callable[[DiskRecord, Schedule, float], None]
"""Changes a disk and its schedule; the number is the start in UNIX seconds."""


def _healthy(_disk: DiskRecord, _schedule: Schedule, _start: float) -> None:
    """Nothing is wrong."""


def _stopped(hours: float) -> Scenario:
    def scenario(_disk: DiskRecord, schedule: Schedule, start: float) -> None:
        """The last backup is old; none follows."""
        schedule.anchor, schedule.last = start - hours * _HOUR, 0

    return scenario


def _never(disk: DiskRecord, _schedule: Schedule, start: float) -> None:
    """Autobackup is on, but there is no backup."""
    disk.schedule = None
    disk.created_at = min(disk.created_at, int(start - 90 * DAY))


def _error(disk: DiskRecord, _schedule: Schedule, start: float) -> None:
    """The platform reports an error."""
    disk.error, disk.status, disk.updated_at = True, "error", int(start - 2 * _HOUR)


def _unprotected(disk: DiskRecord, _schedule: Schedule, start: float) -> None:
    """Autobackup is off, with one manual backup."""
    disk.autobackup, disk.schedule = False, None
    made_at = int(start - 20 * DAY)
    disk.kept = [BackupRecord(disk.number * 10 + 1, disk.number, made_at, "completed", 4_200_000, False)]


def _locked(disk: DiskRecord, _schedule: Schedule, start: float) -> None:
    """An operation began five hours ago and does not end."""
    disk.locked, disk.updated_at = True, int(start - 5 * _HOUR)


def _failed(_disk: DiskRecord, schedule: Schedule, start: float) -> None:
    """Backups fail, and many later ones will."""
    schedule.anchor, schedule.failing, schedule.outcomes = start - 2400, 0.5, {0: "failed", -3: "failed"}


def _unfinished(_disk: DiskRecord, schedule: Schedule, start: float) -> None:
    """The last backup is under way and never ends."""
    schedule.anchor, schedule.outcomes = start - 3600, {0: "running"}


def _detached(disk: DiskRecord, _schedule: Schedule, _start: float) -> None:
    """The disk is attached to no virtual machine."""
    disk.machine = None


def _hostile(disk: DiskRecord, _schedule: Schedule, _start: float) -> None:
    """Its names have quotes, a backslash, a line break and other scripts."""
    disk.mount_point = HOSTILE_MOUNT_POINT
    if disk.machine is not None:
        disk.account.machines[disk.machine].label = HOSTILE_LABEL


def _shrunk(_disk: DiskRecord, schedule: Schedule, _start: float) -> None:
    """The last backup is much too small."""
    schedule.shrunk_from = 0


def _new(disk: DiskRecord, schedule: Schedule, start: float) -> None:
    """A new disk, before its first backup."""
    disk.created_at = disk.updated_at = int(start - 1200)
    schedule.anchor, schedule.first = start + 3 * _HOUR, 0


SCENARIOS: tuple[tuple[str, Scenario], ...] = (
    ("stale", _stopped(30)),
    ("never", _never),
    ("error", _error),
    ("unprotected", _unprotected),
    ("locked", _locked),
    ("failed", _failed),
    ("missed", _stopped(75)),
    ("unfinished", _unfinished),
    ("detached", _detached),
    ("hostile", _hostile),
    ("shrunk", _shrunk),
    ("new", _new),
    ("ephemeral", _healthy),
)


def apply_scenarios(disks: list[DiskRecord], start: float, *, hostile: bool = True) -> dict[int, str]:
    """Apply the scenarios to disks of one account; return disk id → scenario.

    Without ``hostile``, the disk of that scenario keeps its plain names.
    """
    applied: dict[int, str] = {}
    candidates = [disk for disk in disks if disk.schedule is not None and not disk.is_swap]
    for (name, scenario), disk in zip(SCENARIOS, candidates[1:], strict=False):
        schedule = disk.schedule
        if schedule is None or (name == "hostile" and not hostile):
            continue
        disk.created_at = min(disk.created_at, int(start - 30 * DAY))
        disk.schedule = schedule = replace(schedule, first=-6)
        scenario(disk, schedule, start)
        applied[disk.number] = name
    return applied
