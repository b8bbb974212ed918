"""Make accounts with realistic machines, disks and problems.

In each account, the disks other than swap get one scenario each, in the order of :data:`SCENARIOS`; the first of them
stays healthy. A small account has only the first few scenarios. Times are relative to the start.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from gigas_exporter.simulator.records import AccountRecord, BackupRecord, DiskRecord, MachineRecord, Schedule, System
from gigas_exporter.simulator.schedule import DAY

FIRST_ACCOUNT = 4242
_DOMAINS: Final = ("production", "staging", "office")
FIRST_DISK = 10_001
_FIRST_MACHINE = 501
CANARY = "canary-initial-password"
"""Part of every ``initial_password``; an output that contains it leaks a secret."""

FAILING = 0.005
"""Probability that a healthy disk's backup fails after the start."""

_YOUNG_SHARE = 0.02
_FIRST_MACHINES = 7

_DEBIAN = System("linux", "debian", 21)
_UBUNTU = System("linux", "ubuntu", 22)
_ROCKY = System("linux", "rocky", 23)
_WINDOWS = System("windows", "windows-2022", 31)


@dataclass(frozen=True, slots=True)
class _Role:
    """A machine's name, system, data disks (mount point, GB) and memory."""

    name: str
    system: System
    data: tuple[tuple[str, int], ...]
    memory_mb: int


_ROLES = (
    _Role("db", _DEBIAN, (("/var/lib/postgresql", 200), ("/srv/db", 500), ("/var/backups", 250)), 16_384),
    _Role("web", _UBUNTU, (("/var/www", 40), ("/var/log", 20)), 4096),
    _Role("app", _UBUNTU, (("/opt/app", 40), ("/var/log", 30)), 8192),
    _Role("mail", _DEBIAN, (("/var/vmail", 300), ("/var/spool", 50)), 8192),
    _Role("files", _ROCKY, (("/srv/nfs", 1000), ("/srv/samba", 800), ("/home", 200)), 8192),
    _Role("cache", _DEBIAN, (("/var/lib/redis", 30),), 16_384),
    _Role("ci", _UBUNTU, (("/var/lib/docker", 120), ("/home/runner", 60)), 8192),
    _Role("erp", _WINDOWS, (("D:", 250), ("E:", 100)), 16_384),
    _Role("monitoring", _DEBIAN, (("/var/lib/prometheus", 150),), 8192),
)
_ROOT_SIZES = (20, 20, 30, 40, 60)


def make_disk(
    account: AccountRecord,
    number: int,
    *,
    machine: MachineRecord | None,
    mount: tuple[str | None, int],
    chance: random.Random,
    start: float,
) -> DiskRecord:
    """Make a healthy disk, with daily backups unless it is swap.

    ``mount`` is the mount point and the size in GB, ``start`` is in simulated UNIX seconds.
    """
    mount_point, size_gb = mount
    is_swap = mount_point is None
    age = chance.uniform(1, account.retention) if chance.random() < _YOUNG_SHARE else chance.uniform(10, 900)
    offset = chance.uniform(1500, DAY - 300)
    created = int(start - offset - age * DAY)
    schedule = None
    if not is_swap:
        base_kb = int(size_gb * chance.uniform(0.15, 0.7) * (1 << 20))
        schedule = Schedule(start - offset, base_kb, first=-min(account.retention - 1, int(age)), failing=FAILING)
    store = chance.randrange(6)
    return DiskRecord(
        number=number,
        account=account,
        machine=machine.number if machine else None,
        size_gb=size_gb,
        system=machine.system if machine else _DEBIAN,
        mount_point=mount_point,
        is_swap=is_swap,
        autobackup=not is_swap,
        primary=mount_point in {"/", "C:"},
        store=11 + store,
        store_group=1 + store // 3,
        created_at=created,
        updated_at=int(chance.uniform(created, start)),
        fstab=machine is None or machine.system.name == "linux",
        schedule=schedule,
    )


def _make_machine(
    account: AccountRecord, number: int, position: int, chance: random.Random, start: float
) -> tuple[MachineRecord, _Role]:
    role = _ROLES[position % len(_ROLES)]
    label = f"{role.name}-{position // len(_ROLES) + 1:02d}"
    machine = account.machines[number] = MachineRecord(
        number=number,
        label=label,
        hostname=f"{label}.{account.domain}",
        system=role.system,
        status="offline" if chance.random() < 0.03 else "online",  # noqa: PLR2004 - a share that is used only here
        type="standard",
        memory_mb=role.memory_mb,
        cpus=chance.choice((1, 2, 2, 4, 8)),
        location=1 + account.position % 2,
        created_at=int(start - chance.uniform(900, 1200) * DAY),
        initial_password=f"{CANARY}-{number}-{chance.randrange(1 << 32):08x}",
    )
    return machine, role


def _mounts(role: _Role, position: int, chance: random.Random) -> list[tuple[str | None, int]]:
    windows = role.system.name == "windows"
    mounts: list[tuple[str | None, int]] = [("C:" if windows else "/", chance.choice(_ROOT_SIZES))]
    # The first machines have little swap, since scenarios need other disks.
    wants_swap = position == 0 if position < _FIRST_MACHINES else chance.random() < 0.6  # noqa: PLR2004 - a share that is used only here
    if wants_swap and not windows:
        mounts.append((None, max(1, role.memory_mb >> 11)))
    mounts.extend(role.data[: chance.randint(1, len(role.data))])
    return mounts


def make_account(
    position: int, disks: int, *, disks_before: int, machines_before: int, seed: int, start: float, retention: int
) -> AccountRecord:
    """Make an account whose ids follow those of the accounts before."""
    chance = random.Random(f"{seed}/{position}")  # noqa: S311 - a demo fleet, not a secret
    domain = _DOMAINS[position] if position < len(_DOMAINS) else f"customer-{position + 1}"
    account = AccountRecord(FIRST_ACCOUNT + position, position, domain, retention)
    disk_ids, machine_ids = (
        itertools.count(FIRST_DISK + disks_before),
        itertools.count(_FIRST_MACHINE + machines_before),
    )
    while len(account.disks) < disks:
        place = len(account.machines)
        machine, role = _make_machine(account, next(machine_ids), place, chance, start)
        for mount in _mounts(role, place, chance)[: disks - len(account.disks)]:
            disk = make_disk(account, next(disk_ids), machine=machine, mount=mount, chance=chance, start=start)
            account.disks[disk.number] = disk
    return account


HOSTILE_MOUNT_POINT = '/srv/"quoted"\\back\nnext line/ñandú-日本-🚀{a="b"}'
HOSTILE_LABEL = "legacy \"erp\" \\ 'prod'\n# HELP café <script>alert(1)</script> 🚀"

_HOUR = 3600.0


Scenario = Callable[[DiskRecord, Schedule, float], None]
"""Changes a disk and its schedule; the third argument is the start, in UNIX seconds."""


def _healthy(_disk: DiskRecord, _schedule: Schedule, _start: float) -> None:
    """Nothing is wrong."""


def _stopped(hours: float) -> Scenario:
    def scenario(_disk: DiskRecord, schedule: Schedule, start: float) -> None:
        """The last backup is old, and none follows."""
        schedule.anchor, schedule.last = start - hours * _HOUR, 0

    return scenario


def _never(disk: DiskRecord, _schedule: Schedule, start: float) -> None:
    """Autobackup is on, but the disk has no backup."""
    disk.schedule = None
    disk.created_at = min(disk.created_at, int(start - 90 * DAY))


def _error(disk: DiskRecord, _schedule: Schedule, start: float) -> None:
    """The platform reports an error."""
    disk.error, disk.status, disk.updated_at = True, "error", int(start - 2 * _HOUR)


def _unprotected(disk: DiskRecord, _schedule: Schedule, start: float) -> None:
    """Autobackup is off; the disk has one manual backup."""
    disk.autobackup, disk.schedule = False, None
    made_at = int(start - 20 * DAY)
    disk.kept = [BackupRecord(disk.number * 10 + 1, disk.number, made_at, "completed", 4_200_000, False)]


def _locked(disk: DiskRecord, _schedule: Schedule, start: float) -> None:
    """An operation began five hours ago and does not end."""
    disk.locked, disk.updated_at = True, int(start - 5 * _HOUR)


def _failed(_disk: DiskRecord, schedule: Schedule, start: float) -> None:
    """Two backups failed, the last one included, and half of the later ones will."""
    schedule.anchor, schedule.failing, schedule.outcomes = start - 2400, 0.5, {0: "failed", -3: "failed"}


def _unfinished(_disk: DiskRecord, schedule: Schedule, start: float) -> None:
    """The last backup is running and never ends."""
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
    """Apply the scenarios to the disks of an account; return the scenarios by disk id.

    Without ``hostile``, that scenario is left out.
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
