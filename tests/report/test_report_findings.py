"""The table of findings, row by row, at both sides of each boundary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.inventory import (
    AccountInventory,
    BackupSnapshot,
    DiskSnapshot,
    MachineSnapshot,
    PollStatus,
    StalenessLimits,
    locked_since,
)
from gigas_exporter.model import Account, Disk, VirtualMachine
from gigas_exporter.policy import Requirement, Thresholds
from gigas_exporter.report import (
    METRIC_FINDINGS,
    DiskReport,
    Finding,
    Severity,
    account_errors,
    count_findings,
    finding_limit,
    judge_account,
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
ACCOUNT = AccountInventory(Account("4242"), StalenessLimits(900.0, 1800.0))


def summary(age: float | None = HOUR, usable: int = 1, **more: Any) -> BackupSummary:
    newest = None if age is None else NOW - age
    return BackupSummary(usable, more.pop("failed", 0), newest, 2**30, newest, TICK, **more)


NONE = summary(None, usable=0)


def inventory_of(
    disk: Disk = DISK,
    requirement: Requirement | None = REQUIRED,
    backups: BackupSummary | None = None,
    machine: VirtualMachine | None = None,
    **more: Any,
) -> AccountInventory:
    """Return an account with one disk of which this is known."""
    disks = DiskSnapshot({disk.id: disk}, {disk.id: TICK}, TICK)
    disks = replace(disks, locked_since=locked_since(disks.disks, None, NOW))
    found = replace(
        ACCOUNT,
        disks=disks,
        machines=None if machine is None else MachineSnapshot({machine.id: machine}, TICK),
        known_machines={} if machine is None else {machine.id: machine},
        backups=BackupSnapshot({} if backups is None else {disk.id: backups}, frozenset(), None, TICK),
        requirements={} if requirement is None else {disk.id: requirement},
    )
    return replace(found, **more)


def judge(*args: Any, **more: Any) -> DiskReport:
    """Return the report on one disk of which this is known."""
    (report,) = report_account(inventory_of(*args, **more), wall=NOW, monotonic=TICK + 1)
    return report


TABLE = [
    # finding, metric, words, severity
    (Finding.NEVER_BACKED_UP, "never_backed_up", "never backed up", Severity.CRITICAL),
    (Finding.BACKUP_MISSED, "backup_missed", "backup missed", Severity.CRITICAL),
    (Finding.DISK_ERROR, "disk_error", "disk error", Severity.CRITICAL),
    (Finding.NOT_UNDERSTOOD, "not_understood", "not understood", Severity.UNKNOWN),
    (Finding.BACKUPS_UNREADABLE, "backups_unreadable", "backups unreadable", Severity.UNKNOWN),
    (Finding.BACKUP_STALE, "backup_stale", "backup stale", Severity.WARNING),
    (Finding.LOCKED_LONG, "locked_long", "locked long", Severity.WARNING),
    (Finding.BACKUP_FAILED, "backup_failed", "last backup failed", Severity.WARNING),
    (Finding.UNPROTECTED, "unprotected", "unprotected", Severity.WARNING),
    (Finding.BACKUP_SHRANK, "backup_shrank", "backup shrank", Severity.NOTICE),
    (Finding.DETACHED, "detached", "detached", Severity.NOTICE),
]


@pytest.mark.parametrize(("finding", "metric", "words", "severity"), TABLE)
def test_names_words_and_severities(finding: Finding, metric: str, words: str, severity: Severity) -> None:
    """Each finding of the table has its metric, its words and its severity."""
    assert (finding.metric, finding.value, finding.severity) == (metric, words, severity)


def test_the_table_is_whole_and_worst_first() -> None:
    """The metric knows exactly the findings of the table, and they are ordered by severity."""
    assert tuple(finding for finding, *_ in TABLE) == METRIC_FINDINGS
    severities = [each.severity for each in Finding]
    assert severities == sorted(severities, reverse=True)
    assert all(finding.words(1) and finding.words(2) for finding in Finding)
    assert Finding.BACKUP_MISSED.words(2) == "backups missed"


@pytest.mark.parametrize(
    ("age", "findings"),
    [
        (0.0, ()),
        (-300.0, ()),
        (-301.0, (Finding.BACKUPS_UNREADABLE,)),
        (LIMIT, ()),
        (LIMIT + 1, (Finding.BACKUP_STALE,)),
        (2 * LIMIT, (Finding.BACKUP_STALE,)),
        (2 * LIMIT + 1, (Finding.BACKUP_MISSED,)),
    ],
)
def test_the_age_against_the_limit(age: float, findings: tuple[Finding, ...]) -> None:
    """At its limit a backup is in time, past it stale, past twice the limit missed; 5 min ahead it is unreadable."""
    report = judge(backups=summary(age))
    assert report.findings == findings
    assert report.age_seconds == (None if age < -300.0 else max(0.0, age))
    assert (report.age == "in the future") is (age < -300.0)
    assert report.share_of_limit == pytest.approx(float("inf") if age < -300.0 else max(0.0, age) / LIMIT)


@pytest.mark.parametrize(("hours", "findings"), [(77, (Finding.BACKUP_STALE,)), (79, (Finding.BACKUP_MISSED,))])
def test_the_missed_factor_is_configured(hours: float, findings: tuple[Finding, ...]) -> None:
    """Late becomes missed at ``thresholds.missed_factor`` times the limit."""
    thresholds = Thresholds(missed_factor=3)
    assert judge(backups=summary(hours * HOUR), thresholds=thresholds).findings == findings


@pytest.mark.parametrize(
    ("created_ago", "finding"),
    [
        (0.0, Finding.AWAITING),
        (-299.0, Finding.AWAITING),
        (-301.0, Finding.NEVER_BACKED_UP),
        (LIMIT - 1, Finding.AWAITING),
        (LIMIT, Finding.NEVER_BACKED_UP),
        (None, Finding.NEVER_BACKED_UP),
    ],
)
def test_a_new_disk_has_its_limits_time(created_ago: float | None, finding: Finding) -> None:
    """A required backup that is not there is a fault from the limit on; without a believable birth at once."""
    created = None if created_ago is None else NOW - created_ago
    report = judge(replace(DISK, created_at=created), backups=NONE)
    assert report.findings == (finding,)
    assert report.share_of_limit == float("inf")


@pytest.mark.parametrize(
    ("failed", "backups", "created_ago", "findings"),
    [
        (True, None, 9e9, (Finding.BACKUPS_UNREADABLE,)),
        (True, summary(), 9e9, (Finding.BACKUPS_UNREADABLE,)),
        (True, summary(27 * HOUR), 9e9, (Finding.BACKUPS_UNREADABLE, Finding.BACKUP_STALE)),
        (False, summary(None, usable=3), 9e9, (Finding.BACKUPS_UNREADABLE,)),
        (False, None, 9e9, (Finding.BACKUPS_UNREADABLE,)),
        (False, None, HOUR, (Finding.AWAITING,)),
    ],
    ids=["list failed", "failed now", "failed, and stale", "no readable date", "never asked", "new, never asked"],
)
def test_unreadable_backups(
    failed: bool, backups: BackupSummary | None, created_ago: float, findings: tuple[Finding, ...]
) -> None:
    """A disk's own list that failed, or backups without a readable date, are a finding where a backup is required."""
    disk = replace(DISK, created_at=NOW - created_ago)
    inventory = inventory_of(disk, backups=backups)
    assert inventory.backups is not None
    reading = replace(inventory.backups, failed_disks=frozenset({"17"} if failed else ()))
    (report,) = report_account(replace(inventory, backups=reading), wall=NOW, monotonic=TICK + 1)
    assert report.findings == findings
    (exempt,) = report_account(
        replace(inventory, backups=reading, requirements={"17": EXEMPT}), wall=NOW, monotonic=TICK + 1
    )
    assert exempt.findings == (Finding.EXEMPT,)


@pytest.mark.parametrize(
    ("disk", "requirement", "findings"),
    [
        (replace(DISK, autobackup=False), FREE, (Finding.UNPROTECTED,)),
        (DISK, FREE, (Finding.UNPROTECTED,)),
        (replace(DISK, is_swap=None), FREE, (Finding.UNPROTECTED,)),
        (DISK, None, (Finding.UNPROTECTED,)),
        (replace(DISK, autobackup=False, is_swap=True), FREE, ()),
        (replace(DISK, autobackup=False), EXEMPT, (Finding.EXEMPT,)),
        (replace(DISK, autobackup=False), REQUIRED, ()),
        (replace(DISK, virtual_machine_id=None), REQUIRED, (Finding.DETACHED,)),
        (replace(DISK, virtual_machine_id=None, unknown=frozenset({"virtual_machine_id"})), REQUIRED, ()),
        (replace(DISK, error=True), REQUIRED, (Finding.DISK_ERROR,)),
        (replace(DISK, status_is_error=True), REQUIRED, (Finding.DISK_ERROR,)),
        (replace(DISK, error=None), REQUIRED, ()),
        (replace(DISK, error=None, unknown=frozenset({"error"})), REQUIRED, (Finding.NOT_UNDERSTOOD,)),
        (replace(DISK, error=None, unknown=frozenset({"error"})), EXEMPT, (Finding.NOT_UNDERSTOOD, Finding.EXEMPT)),
        (DISK, replace(REQUIRED, undecided=("autobackup",)), (Finding.NOT_UNDERSTOOD,)),
    ],
)
def test_the_disk_and_its_requirement(
    disk: Disk, requirement: Requirement | None, findings: tuple[Finding, ...]
) -> None:
    """Errors, unknown fields that decide, and who is unprotected, exempt or detached."""
    assert judge(disk, requirement, summary()).findings == findings


def test_what_is_not_understood_says_which_field() -> None:
    """The fields that decide stand in the verdict, and other findings stay."""
    disk = replace(DISK, error=None, unknown=frozenset({"error"}))
    report = judge(disk, replace(REQUIRED, undecided=("autobackup",)), summary(60 * HOUR))
    assert report.findings == (Finding.BACKUP_MISSED, Finding.NOT_UNDERSTOOD)
    assert report.not_understood == ("error", "autobackup")
    assert report.verdict == "backup missed, not understood: error and autobackup"


@pytest.mark.parametrize(
    ("backups", "findings"),
    [
        (summary(60 * HOUR, unclear=1, unclear_at=NOW - HOUR), (Finding.BACKUP_MISSED, Finding.NOT_UNDERSTOOD)),
        (summary(60 * HOUR, unclear=1, unclear_at=float("inf")), (Finding.BACKUP_MISSED, Finding.NOT_UNDERSTOOD)),
        (summary(90 * HOUR, unclear=1, unclear_at=NOW - 80 * HOUR), (Finding.BACKUP_MISSED,)),
        (summary(HOUR, unclear=1, unclear_at=NOW), ()),
        (summary(None, 0, unclear=1, unclear_at=NOW - HOUR), (Finding.NOT_UNDERSTOOD,)),
        (summary(None, 0, unclear=1, unclear_at=NOW - 60 * HOUR), (Finding.BACKUP_MISSED, Finding.NOT_UNDERSTOOD)),
    ],
)
def test_a_backup_whose_status_is_not_understood(backups: BackupSummary, findings: tuple[Finding, ...]) -> None:
    """It decides where it would make another finding of it if it were usable; a disk is then not 'never backed up'."""
    report = judge(backups=backups)
    assert report.findings == findings
    assert report.not_understood == (("backup status",) if Finding.NOT_UNDERSTOOD in findings else ())


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
def test_locked_when_first_seen(locked: bool | None, unchanged: float | None, found: bool) -> None:
    """A disk that was locked when first seen is locked since it was last changed, or since now."""
    disk = replace(DISK, locked=locked, updated_at=None if unchanged is None else NOW - unchanged)
    assert (Finding.LOCKED_LONG in judge(disk, backups=summary()).findings) == found
    brief = judge(disk, backups=summary(), thresholds=Thresholds(locked_seconds=10 * HOUR))
    assert Finding.LOCKED_LONG not in brief.findings


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([(True, 0), (True, 60)], {"17": NOW - 99}),
        ([(False, 0), (True, 60), (True, 120)], {"17": NOW + 60}),
        ([(True, 0), (False, 60), (True, 120)], {"17": NOW + 120}),
        ([(False, 0), (True, 60), (None, 120), (True, 180)], {"17": NOW + 60}),
        ([(None, 0), (True, 60)], {"17": NOW - 99}),
        ([(True, 0), (False, 60)], {}),
    ],
)
def test_since_when_a_disk_is_locked(seen: list[tuple[bool | None, float]], expected: dict[str, float]) -> None:
    """Since the poll that first saw it locked after it was unlocked; ``updated_at`` counts only before that."""
    reading = None
    for locked, later in seen:
        disks = {"17": replace(DISK, locked=locked, updated_at=NOW - 99)}
        reading = DiskSnapshot(disks, {}, TICK, locked_since(disks, reading, NOW + later))
    assert reading is not None
    assert reading.locked_since == expected


def test_a_lock_from_ahead_or_without_a_date_begins_now() -> None:
    """An ``updated_at`` that lies ahead or is missing says nothing of the past."""
    for updated_at in (NOW + 9e6, None):
        disks = {"17": replace(DISK, locked=True, updated_at=updated_at)}
        assert locked_since(disks, None, NOW) == {"17": NOW}


@pytest.mark.parametrize(
    ("more", "finding"),
    [
        ({"failed_at": NOW}, Finding.BACKUP_FAILED),
        ({"failed": 9}, None),
        ({"typical_size_bytes": 2**31 + 2}, Finding.BACKUP_SHRANK),
        ({"typical_size_bytes": 2**31}, None),
        ({"typical_size_bytes": None}, None),
    ],
)
def test_failed_and_shrunk_backups(more: dict[str, Any], finding: Finding | None) -> None:
    """The newest attempt that failed is a finding, older ones are none; so is half of the typical size."""
    assert judge(backups=summary(**more)).findings == (() if finding is None else (finding,))
    exempt = judge(requirement=EXEMPT, backups=summary(**more)).findings
    assert (finding in exempt) == (finding is not None)


def test_findings_come_worst_first() -> None:
    """A disk with everything wrong says the worst first, and is as bad as that."""
    disk = replace(DISK, error=True, locked=True, virtual_machine_id=None)
    report = judge(disk, backups=summary(27 * HOUR, failed_at=NOW))
    assert report.findings == (
        Finding.DISK_ERROR,
        Finding.BACKUP_STALE,
        Finding.LOCKED_LONG,
        Finding.BACKUP_FAILED,
        Finding.DETACHED,
    )
    assert report.severity is Severity.CRITICAL
    assert needs_attention(report)
    assert report.verdict == "disk error, backup stale, locked long, last backup failed, detached"


@pytest.mark.parametrize("backups", ["never read", "stale"])
def test_an_account_without_backups_says_it_once(backups: str) -> None:
    """No disk has a finding that needs backups, none is called well that needs one, and the account says why."""
    old = BackupSnapshot({"17": summary(90 * HOUR)}, frozenset({"17"}), None, TICK - 1800)
    failed = PollStatus(False, 1.0, None, error="list_backups: no answer")
    inventory = inventory_of().with_outcome("backups", failed)
    inventory = replace(inventory, backups=None if backups == "never read" else old)
    (report,) = report_account(inventory, wall=NOW, monotonic=TICK + 1)
    assert report.findings == ()
    assert report.verdict == "backups not read"
    assert not report.is_judged
    errors = account_errors(inventory, TICK + 1)
    assert errors[0] == "account 4242: backups could not be read: list_backups: no answer"
    assert len(errors) == (1 if backups == "never read" else 2)
    (exempt,) = report_account(replace(inventory, requirements={"17": EXEMPT}), wall=NOW, monotonic=TICK + 1)
    assert exempt.is_judged


def test_account_errors_group_what_failed_alike() -> None:
    """Disks and backups that failed for one reason are one sentence; machines are enrichment and none."""
    failed = PollStatus(False, 1.0, None, error="no answer")
    inventory = ACCOUNT.with_outcome("disks", failed).with_outcome("backups", failed)
    inventory = inventory.with_outcome("virtual_machines", failed)
    assert account_errors(inventory, TICK) == ["account 4242: disks and backups could not be read: no answer"]
    assert account_errors(inventory_of(backups=summary()), TICK + 1) == []


def test_limits_are_written_as_a_person_does() -> None:
    """The limit that was passed stands with the finding, where it has one."""
    thresholds = Thresholds(locked_seconds=90 * 60)
    assert finding_limit(Finding.BACKUP_STALE, REQUIRED, thresholds) == "26h"
    assert finding_limit(Finding.BACKUP_MISSED, REQUIRED, thresholds) == "26h"
    assert finding_limit(Finding.NEVER_BACKED_UP, REQUIRED, thresholds) == "26h"
    assert finding_limit(Finding.LOCKED_LONG, REQUIRED, thresholds) == "1h30m"
    assert finding_limit(Finding.DISK_ERROR, REQUIRED, thresholds) == ""
    assert finding_limit(Finding.BACKUP_STALE, None, thresholds) == ""


@pytest.mark.parametrize(
    ("disk", "backups", "until"),
    [
        (DISK, summary(HOUR), NOW + 25 * HOUR),
        (DISK, summary(27 * HOUR), NOW + 25 * HOUR),
        (DISK, summary(60 * HOUR), float("inf")),
        (DISK, summary(-400), NOW + 100),
        (replace(DISK, created_at=NOW - HOUR), NONE, NOW + 25 * HOUR),
        (replace(DISK, locked=True, updated_at=NOW - HOUR), summary(60 * HOUR), NOW + HOUR),
    ],
)
def test_a_judgement_says_until_when_it_holds(disk: Disk, backups: BackupSummary, until: float) -> None:
    """The next moment at which time alone may bring another finding is known."""
    inventory = inventory_of(disk, backups=backups)
    summaries = [inventory.backup_summary(disk.id, TICK + 1)]
    judgement = judge_account(inventory, summaries, wall=NOW, monotonic=TICK + 1)
    assert judgement.valid_until == until


def test_attention_begins_at_a_warning() -> None:
    """Notices trouble nobody; what is unprotected, and what could not be read, does."""
    assert needs_attention(judge(replace(DISK, autobackup=False), FREE, summary()))
    assert not needs_attention(judge(backups=summary()))
    assert not needs_attention(judge(replace(DISK, virtual_machine_id=None), backups=summary()))
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
    """Its label, else its hostname, else its id; and there is a word for none, and for one that is not known."""
    assert judge(machine=machine).machine_name == name
    detached = replace(DISK, virtual_machine_id=None)
    assert judge(detached).machine_name == "detached"
    assert judge(replace(detached, unknown=frozenset({"virtual_machine_id"}))).machine_name == "unknown"


def test_the_worst_disk_comes_first() -> None:
    """By the worst finding, then by how far past the limit, then by name; a loose limit outweighs no tight one."""
    tight = Requirement(required=True, max_age_seconds=HOUR)
    reports = [
        judge(replace(DISK, id="well"), backups=summary(HOUR)),
        judge(replace(DISK, id="late"), backups=summary(40 * HOUR)),
        judge(replace(DISK, id="later than its limit"), tight, summary(1.9 * HOUR)),
        judge(replace(DISK, id="unread")),
        judge(replace(DISK, id="never"), backups=NONE),
        judge(replace(DISK, id="missed"), backups=summary(60 * HOUR)),
        judge(replace(DISK, id="exempt"), EXEMPT),
        judge(replace(DISK, id="b", error=True), backups=summary()),
        judge(replace(DISK, id="a", error=True), backups=summary()),
        judge(replace(DISK, id="almost late"), backups=summary(25 * HOUR)),
    ]
    order = ["never", "missed", "a", "b", "unread", "later than its limit", "late", "exempt", "almost late", "well"]
    assert [report.disk.id for report in worst_first(reports)] == order
    assert count_findings(reports)[Finding.DISK_ERROR] == 2


def test_old_readings_are_not_judged() -> None:
    """Disks that were never read, or too long ago, are not judged at all; one disk's old backups are unreadable."""
    assert report_account(ACCOUNT, wall=NOW, monotonic=TICK) == []
    read = replace(ACCOUNT, disks=DiskSnapshot({"17": DISK}, {"17": TICK}, TICK), requirements={"17": REQUIRED})
    assert report_account(read, wall=NOW, monotonic=TICK + 900) == []
    old = BackupSnapshot({"17": replace(summary(), read_at=TICK - 1800)}, frozenset(), None, TICK)
    (report,) = report_account(replace(read, backups=old), wall=NOW, monotonic=TICK + 1)
    assert report.findings == (Finding.BACKUPS_UNREADABLE,)
    assert report.age_seconds is None
