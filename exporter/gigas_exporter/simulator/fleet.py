"""Make accounts with virtual machines of about three disks each, with realistic names."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import Final

from gigas_exporter.simulator.records import AccountRecord, DiskRecord, MachineRecord, Schedule, System
from gigas_exporter.simulator.schedule import DAY

FIRST_ACCOUNT = 4242
_DOMAINS: Final = ("production", "staging", "office")
FIRST_DISK = 10_001
_FIRST_MACHINE = 501
CANARY = "canary-initial-password"
"""Part of every ``initial_password``; found anywhere else, a secret leaked."""

FAILING = 0.005
"""Chance that a healthy disk's backup after the start fails."""

_YOUNG_SHARE = 0.02
_FIRST_MACHINES = 7

_DEBIAN = System("linux", "debian", 21)
_UBUNTU = System("linux", "ubuntu", 22)
_ROCKY = System("linux", "rocky", 23)
_WINDOWS = System("windows", "windows-2022", 31)


@dataclass(frozen=True, slots=True)
class _Role:
    """What a machine is for: its name, system, and data disks as mount point and GB."""

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
    """Make a healthy disk: backed up every day unless it is swap, which has no mount point here.

    ``mount`` is the mount point and the size in GB, ``start`` simulated UNIX seconds.
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
        status="offline" if chance.random() < 0.03 else "online",  # noqa: PLR2004 - a share that stands here alone
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
    # The first machines have little swap: scenarios need other disks.
    wants_swap = position == 0 if position < _FIRST_MACHINES else chance.random() < 0.6  # noqa: PLR2004 - see there
    if wants_swap and not windows:
        mounts.append((None, max(1, role.memory_mb >> 11)))
    mounts.extend(role.data[: chance.randint(1, len(role.data))])
    return mounts


def make_account(
    position: int, disks: int, *, disks_before: int, machines_before: int, seed: int, start: float, retention: int
) -> AccountRecord:
    """Make an account of so many disks; ids continue after those of the accounts before."""
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
