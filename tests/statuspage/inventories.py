"""Inventories made by hand, as tests of the status page need them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from gigas_exporter import inventory as polled
from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.model import Account, Disk, VirtualMachine
from gigas_exporter.policy import DEFAULT_POLICY
from gigas_exporter.report import DiskReport, report_account

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "\x1b[31m\x00\x9b\u202egnp.exe\u2028\ud800",
    "' onmouseover='alert(1)",
    "</style></title></textarea><h1>owned</h1>",
    "W" * 256,
)


def disks_of(count: int, hours: float = 1.0) -> dict[Disk, float]:
    """Return so many disks with the hours since their last backup: the later ones have older backups."""
    return {
        Disk(
            str(number), str(500 + number % 50), 2**30 * (number % 90 + 1), "built", False, False, False, True,
            f"/srv/{number}", created_at=0.0,
        ): hours * number / count
        for number in range(1, count + 1)
    }  # fmt: skip


def machine_of(machine_id: str, label: str | None = None) -> VirtualMachine:
    """Return a virtual machine."""
    return VirtualMachine(machine_id, label or f"vm-{machine_id}")


def account(
    hours_by_disk: Mapping[Disk, float],
    *,
    account_id: str = "4242",
    name: str | None = None,
    machines: Mapping[str, VirtualMachine] | None = None,
) -> polled.AccountInventory:
    """Return an account that was read whole a moment ago."""
    now, wall = time.monotonic(), time.time()
    disks = {disk.id: disk for disk in hours_by_disk}
    known = machines or {disk.virtual_machine_id: machine_of(disk.virtual_machine_id) for disk in hours_by_disk
                         if disk.virtual_machine_id}  # fmt: skip
    summaries = {
        disk.id: BackupSummary(7, 0, wall - hours * 3600, 2**30, wall - 7 * 86_400, now)
        for disk, hours in hours_by_disk.items()
    }
    return polled.AccountInventory(
        Account(account_id, name),
        polled.StalenessLimits(900.0, 1800.0),
        disks=polled.DiskSnapshot(disks, dict.fromkeys(disks, now), now),
        machines=polled.MachineSnapshot(known, now),
        backups=polled.BackupSnapshot(summaries, frozenset(), None, now),
        outcomes={"disks": polled.PollStatus(True, 0.1, wall), "backups": polled.PollStatus(True, 0.1, wall)},
    ).with_requirements(DEFAULT_POLICY)


def reports_of(inventories: Iterable[polled.AccountInventory]) -> list[DiskReport]:
    """Return what is to be said of each disk now."""
    wall, monotonic = time.time(), time.monotonic()
    return [report for each in inventories for report in report_account(each, wall=wall, monotonic=monotonic)]
