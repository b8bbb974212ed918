"""What is wrong with which disk: the troubles that make a fleet worth watching from its first second.

The first disks of each account that are no swap get one story each, in the order of :data:`SCENARIOS`, so that a small
fleet has the first few. The times are relative to the world's start.
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
    """What a story changes, and when the world starts."""

    disk: DiskRecord
    schedule: Schedule
    start: float


Story = Callable[[_Context], None]


def _healthy(_scene: _Context) -> None:
    """Nothing is wrong."""


def _stopped(hours: float) -> Story:
    def story(scene: _Context) -> None:
        """The last backup is old; none follows."""
        scene.schedule.anchor, scene.schedule.last = scene.start - hours * _HOUR, 0

    return story


def _never(scene: _Context) -> None:
    """Autobackup is on, but there is no backup."""
    scene.disk.schedule = None
    scene.disk.created_at = min(scene.disk.created_at, int(scene.start - 90 * DAY))


def _error(scene: _Context) -> None:
    """The platform reports an error."""
    scene.disk.error, scene.disk.status, scene.disk.updated_at = True, "error", int(scene.start - 2 * _HOUR)


def _unprotected(scene: _Context) -> None:
    """Autobackup is off, with one manual backup."""
    scene.disk.autobackup, scene.disk.schedule = False, None
    scene.disk.kept = [
        BackupRecord(
            scene.disk.number * 10 + _OLD_HAND_MADE,
            scene.disk.number,
            int(scene.start - 20 * DAY),
            "completed",
            4_200_000,
            False,
        )
    ]


def _locked(scene: _Context) -> None:
    """An operation began hours ago and does not end."""
    scene.disk.locked, scene.disk.updated_at = True, int(scene.start - 5 * _HOUR)


def _failed(scene: _Context) -> None:
    """Backups fail, and many later ones will."""
    scene.schedule.anchor, scene.schedule.failing, scene.schedule.outcomes = (
        scene.start - 2400,
        0.5,
        {0: "failed", -3: "failed"},
    )


def _unfinished(scene: _Context) -> None:
    """The last backup is under way and never ends."""
    scene.schedule.anchor, scene.schedule.outcomes = scene.start - 3600, {0: "running"}


def _detached(scene: _Context) -> None:
    """The disk is attached to no virtual machine."""
    scene.disk.machine = None


def _hostile(scene: _Context) -> None:
    """People name things as they like."""
    scene.disk.mount_point = HOSTILE_MOUNT_POINT
    if scene.disk.machine is not None:
        scene.disk.account.machines[scene.disk.machine].label = HOSTILE_LABEL


def _shrunk(scene: _Context) -> None:
    """The last backup is much too small."""
    scene.schedule.shrunk_from = 0


def _new(scene: _Context) -> None:
    """A new disk, before its first backup."""
    scene.disk.created_at = scene.disk.updated_at = int(scene.start - 1200)
    scene.schedule.anchor, scene.schedule.first = scene.start + 3 * _HOUR, 0


SCENARIOS: tuple[tuple[str, Story], ...] = (
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
    """Let the disks of one account live through the stories; return disk id → story, without the healthy ones.

    Without ``hostile``, the disk of that story keeps its plain names.
    """
    told: dict[int, str] = {}
    candidates = [disk for disk in disks if disk.schedule is not None and not disk.is_swap]
    for (name, story), disk in zip(SCENARIOS, candidates, strict=False):
        schedule = disk.schedule
        if schedule is None or name == HEALTHY or (name == "hostile" and not hostile):
            continue
        disk.created_at = min(disk.created_at, int(start - 30 * DAY))
        disk.schedule = schedule = replace(schedule, first=-6)
        story(_Context(disk, schedule, start))
        told[disk.number] = name
    return told
