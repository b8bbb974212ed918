"""The verdict on a disk, case by case, at both sides of each boundary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gigas_exporter.inventory import (
    AccountInventory,
    BackupsReading,
    BackupSummary,
    DisksReading,
    MachinesReading,
    StalenessLimits,
)
from gigas_exporter.model import Account, Disk, VirtualMachine
from gigas_exporter.policy import Requirement
from gigas_exporter.report import (
    DiskReport,
    Finding,
    Severity,
    count_findings,
    needs_attention,
    report_account,
    worst_first,
)

NOW, TICK = 1_900_000_000.0, 5000.0
HOUR = 3600.0
LIMIT = 26 * HOUR
REQUIRED = Requirement(required=True, max_age_seconds=LIMIT)
EXEMPT = Requirement(required=False, reason="scratch")
FREE = Requirement(required=False)
DISK = Disk(
    "17", "501", 2**30, "built", error=False, locked=False, is_swap=False, autobackup=True, mount_point="/srv",
    created_at=NOW - 90 * 86_400, updated_at=NOW - 90 * 86_400,
)  # fmt: skip


def summary(age: float | None = HOUR, usable: int = 1, failed: int = 0) -> BackupSummary:
    newest = None if age is None else NOW - age
    return BackupSummary(usable, failed, newest, 2**30, newest, TICK)


def judge(
    disk: Disk = DISK,
    requirement: Requirement | None = REQUIRED,
    backups: BackupSummary | None = None,
    machine: VirtualMachine | None = None,
    **reading: Any,
) -> DiskReport:
    """Return the verdict on one disk of which this is known."""
    inventory = AccountInventory(
        Account("4242"),
        StalenessLimits(900.0, 1800.0),
        disks=DisksReading({disk.id: disk}, {disk.id: TICK}, TICK),
        machines=None if machine is None else MachinesReading({machine.id: machine}, TICK),
        backups=BackupsReading({} if backups is None else {disk.id: backups}, frozenset(), None, TICK),
        requirements={} if requirement is None else {disk.id: requirement},
    )
    (report,) = report_account(replace(inventory, **reading), wall=NOW, monotonic=TICK + 1)
    return report


@pytest.mark.parametrize(
    ("age", "findings"),
    [
        (0.0, ()),
        (-60.0, ()),
        (LIMIT, ()),
        (LIMIT + 1, (Finding.BACKUP_STALE,)),
        (2 * LIMIT, (Finding.BACKUP_STALE,)),
        (2 * LIMIT + 1, (Finding.BACKUP_MISSED,)),
    ],
)
def test_the_age_against_the_limit(age: float, findings: tuple[Finding, ...]) -> None:
    """At its limit a backup is in time, past it stale, past twice the limit missed; one from ahead is of now."""
    report = judge(backups=summary(age))
    assert report.findings == findings
    assert report.age_seconds == max(0.0, age)
    assert report.share_of_limit == pytest.approx(max(0.0, age) / LIMIT)


@pytest.mark.parametrize(
    ("created_ago", "finding"),
    [
        (0.0, Finding.AWAITING),
        (LIMIT - 1, Finding.AWAITING),
        (LIMIT, Finding.NEVER_BACKED_UP),
        (None, Finding.NEVER_BACKED_UP),
    ],
)
def test_a_new_disk_has_its_limits_time(created_ago: float | None, finding: Finding) -> None:
    """A required backup that is not there is a fault from the limit on; without a known birth at once."""
    created = None if created_ago is None else NOW - created_ago
    report = judge(replace(DISK, created_at=created), backups=summary(None, usable=0))
    assert report.findings == (finding,)
    assert report.share_of_limit == float("inf")


@pytest.mark.parametrize(
    ("locked", "unchanged", "found"),
    [
        (True, 2 * HOUR, True),
        (True, 2 * HOUR - 1, False),
        (True, None, False),
        (False, 9 * HOUR, False),
        (None, 9 * HOUR, False),
    ],
)
def test_locked_long(locked: bool | None, unchanged: float | None, found: bool) -> None:
    """A lock is long when the disk was last changed two hours ago; what is not known is no finding."""
    disk = replace(DISK, locked=locked, updated_at=None if unchanged is None else NOW - unchanged)
    assert (Finding.LOCKED_LONG in judge(disk, backups=summary()).findings) == found


@pytest.mark.parametrize(
    ("requirement", "backups", "finding"),
    [
        (REQUIRED, None, Finding.BACKUPS_UNREAD),
        (REQUIRED, summary(None, usable=3), Finding.BACKUPS_UNREAD),
        (FREE, None, None),
        (EXEMPT, None, Finding.EXEMPT),
    ],
)
def test_what_is_not_known_is_not_well(
    requirement: Requirement, backups: BackupSummary | None, finding: Finding | None
) -> None:
    """Unread backups, or ones without a date, are a finding only where the policy asks for backups."""
    assert judge(requirement=requirement, backups=backups).findings == (() if finding is None else (finding,))


@pytest.mark.parametrize(
    ("disk", "requirement", "findings"),
    [
        (replace(DISK, autobackup=False), FREE, (Finding.UNPROTECTED,)),
        (replace(DISK, autobackup=None), FREE, (Finding.UNPROTECTED,)),
        (replace(DISK, autobackup=False), None, (Finding.UNPROTECTED,)),
        (replace(DISK, autobackup=False, is_swap=True), FREE, ()),
        (replace(DISK, autobackup=False), EXEMPT, (Finding.EXEMPT,)),
        (replace(DISK, autobackup=False), REQUIRED, ()),
        (DISK, FREE, ()),
        (replace(DISK, virtual_machine_id=None), REQUIRED, (Finding.DETACHED,)),
        (replace(DISK, error=True), REQUIRED, (Finding.ERROR,)),
        (replace(DISK, error=None), REQUIRED, ()),
    ],
)
def test_who_is_protected_and_who_is_exempt(
    disk: Disk, requirement: Requirement | None, findings: tuple[Finding, ...]
) -> None:
    """Unprotected is what nobody backs up and nobody exempted with a reason; swap needs none."""
    assert judge(disk, requirement, summary()).findings == findings


def test_findings_come_worst_first() -> None:
    """A disk with everything wrong says the worst first, and is as bad as that."""
    disk = replace(DISK, error=True, locked=True, virtual_machine_id=None)
    report = judge(disk, backups=summary(27 * HOUR, failed=2))
    assert report.findings == (
        Finding.ERROR,
        Finding.BACKUP_STALE,
        Finding.LOCKED_LONG,
        Finding.BACKUP_FAILED,
        Finding.DETACHED,
    )
    assert report.severity is Severity.CRITICAL
    assert needs_attention(report)


@pytest.mark.parametrize("finding", list(Finding), ids=lambda finding: finding.name)
def test_every_finding_has_a_weight_and_words(finding: Finding) -> None:
    """The order of the findings is that of their severity, but for what is unknown; each has words for one and many."""
    severities = [each.severity for each in Finding]
    assert severities == sorted(severities, reverse=True)
    assert finding.words(1)
    assert finding.words(2)
    assert (finding.words(1) == finding.words(2)) == (
        finding not in {Finding.BACKUP_MISSED, Finding.ERROR, Finding.BACKUP_STALE}
    )


def test_attention_begins_at_a_warning() -> None:
    """Notices are shown and trouble nobody; what could not be read does."""
    assert not needs_attention(judge(replace(DISK, autobackup=False), FREE, summary()))
    assert not needs_attention(judge(backups=summary()))
    assert needs_attention(judge(backups=summary(27 * HOUR)))
    assert needs_attention(judge())


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        (None, "VM 501"),
        (VirtualMachine("501", "db-01", "db.example"), "db-01"),
        (VirtualMachine("501", "", "db.example"), "db.example"),
        (VirtualMachine("501"), "VM 501"),
        (VirtualMachine("502", "other"), "VM 501"),
    ],
)
def test_what_a_machine_is_called(machine: VirtualMachine | None, name: str) -> None:
    """Its label, else its hostname, else its id."""
    assert judge(machine=machine).machine_name == name
    assert judge(replace(DISK, virtual_machine_id=None)).machine_name == ""


def test_the_worst_disk_comes_first() -> None:
    """By the worst finding, then by how far past the limit, then by name; a loose limit outweighs no tight one."""
    tight = Requirement(required=True, max_age_seconds=HOUR)
    reports = [
        judge(replace(DISK, id="well"), backups=summary(HOUR)),
        judge(replace(DISK, id="late"), backups=summary(40 * HOUR)),
        judge(replace(DISK, id="later than its limit"), tight, summary(1.9 * HOUR)),
        judge(replace(DISK, id="unread")),
        judge(replace(DISK, id="never"), backups=summary(None, usable=0)),
        judge(replace(DISK, id="missed"), backups=summary(60 * HOUR)),
        judge(replace(DISK, id="exempt"), EXEMPT),
        judge(replace(DISK, id="b", error=True), backups=summary()),
        judge(replace(DISK, id="a", error=True), backups=summary()),
        judge(replace(DISK, id="almost late"), backups=summary(25 * HOUR)),
    ]
    order = ["never", "missed", "a", "b", "unread", "later than its limit", "late", "exempt", "almost late", "well"]
    assert [report.disk.id for report in worst_first(reports)] == order
    assert count_findings(reports)[Finding.ERROR] == 2


def test_old_readings_are_no_verdict() -> None:
    """Disks that were never read, or too long ago, are not judged at all; old backups are unread."""
    inventory = AccountInventory(Account("4242"), StalenessLimits(900.0, 1800.0))
    assert report_account(inventory, wall=NOW, monotonic=TICK) == []
    read = replace(inventory, disks=DisksReading({"17": DISK}, {"17": TICK}, TICK), requirements={"17": REQUIRED})
    assert report_account(read, wall=NOW, monotonic=TICK + 900) == []
    old = BackupsReading({"17": replace(summary(), read_at=TICK - 1800)}, frozenset(), None, TICK)
    (report,) = report_account(replace(read, backups=old), wall=NOW, monotonic=TICK + 1)
    assert report.findings == (Finding.BACKUPS_UNREAD,)
    assert report.age_seconds is None
