"""What is wrong with which disk from the start.

The first disks of each account that are no swap get one scenario each, in the order of :data:`SCENARIOS`: a small
account has the first few. Times are relative to the start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gigas_exporter.simulator.records import BackupRecord, DiskRecord, Schedule
from gigas_exporter.simulator.schedule import DAY

__all__ = ["HOSTILE_LABEL", "HOSTILE_MOUNT_POINT", "SCENARIOS", "apply_scenarios"]

HOSTILE_MOUNT_POINT = '/srv/"quoted"\\back\nnext line/ñandú-日本-🚀{a="b"}'
HOSTILE_LABEL = "legacy \"erp\" \\ 'prod'\n# HELP café <script>alert(1)</script> 🚀"

_HOUR = 3600.0
HEALTHY = "healthy"
_OLD_HAND_MADE = 1


@dataclass(frozen=True, slots=True)
class _Context:
    """What a scenario changes, and the start in UNIX seconds."""

    disk: DiskRecord
    schedule: Schedule
    start: float


Scenario = Callable[[_Context], None]


def _healthy(_context: _Context) -> None:
    """Nothing is wrong."""


def _stopped(hours: float) -> Scenario:
    def scenario(context: _Context) -> None:
        """The last backup is old; none follows."""
        context.schedule.anchor, context.schedule.last = context.start - hours * _HOUR, 0

    return scenario


def _never(context: _Context) -> None:
    """Autobackup is on, but there is no backup."""
    context.disk.schedule = None
    context.disk.created_at = min(context.disk.created_at, int(context.start - 90 * DAY))


def _error(context: _Context) -> None:
    """The platform reports an error."""
    context.disk.error, context.disk.status, context.disk.updated_at = True, "error", int(context.start - 2 * _HOUR)


def _unprotected(context: _Context) -> None:
    """Autobackup is off, with one manual backup."""
    context.disk.autobackup, context.disk.schedule = False, None
    context.disk.kept = [
        BackupRecord(
            context.disk.number * 10 + _OLD_HAND_MADE,
            context.disk.number,
            int(context.start - 20 * DAY),
            "completed",
            4_200_000,
            False,
        )
    ]


def _locked(context: _Context) -> None:
    """An operation began five hours ago and does not end."""
    context.disk.locked, context.disk.updated_at = True, int(context.start - 5 * _HOUR)


def _failed(context: _Context) -> None:
    """Backups fail, and many later ones will."""
    context.schedule.anchor, context.schedule.failing, context.schedule.outcomes = (
        context.start - 2400,
        0.5,
        {0: "failed", -3: "failed"},
    )


def _unfinished(context: _Context) -> None:
    """The last backup is under way and never ends."""
    context.schedule.anchor, context.schedule.outcomes = context.start - 3600, {0: "running"}


def _detached(context: _Context) -> None:
    """The disk is attached to no virtual machine."""
    context.disk.machine = None


def _hostile(context: _Context) -> None:
    """Its names have quotes, a backslash, a line break and other scripts."""
    context.disk.mount_point = HOSTILE_MOUNT_POINT
    if context.disk.machine is not None:
        context.disk.account.machines[context.disk.machine].label = HOSTILE_LABEL


def _shrunk(context: _Context) -> None:
    """The last backup is much too small."""
    context.schedule.shrunk_from = 0


def _new(context: _Context) -> None:
    """A new disk, before its first backup."""
    context.disk.created_at = context.disk.updated_at = int(context.start - 1200)
    context.schedule.anchor, context.schedule.first = context.start + 3 * _HOUR, 0


SCENARIOS: tuple[tuple[str, Scenario], ...] = (
    (HEALTHY, _healthy),
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
    """Apply the scenarios to disks of one account; return disk id → scenario, without the healthy ones.

    Without ``hostile``, the disk of that scenario keeps its plain names.
    """
    applied: dict[int, str] = {}
    candidates = [disk for disk in disks if disk.schedule is not None and not disk.is_swap]
    for (name, scenario), disk in zip(SCENARIOS, candidates, strict=False):
        schedule = disk.schedule
        if schedule is None or name == HEALTHY or (name == "hostile" and not hostile):
            continue
        disk.created_at = min(disk.created_at, int(start - 30 * DAY))
        disk.schedule = schedule = replace(schedule, first=-6)
        scenario(_Context(disk, schedule, start))
        applied[disk.number] = name
    return applied
