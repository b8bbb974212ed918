"""The verdict on each disk: what is wrong with it now, in words for people, worst first.

``check`` and the status page tell the same story because both tell this one. It is about one moment: what takes
history to see, such as a disk that was backed up yesterday and is not today, is the alerts' part.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from gigas_exporter.inventory import AccountInventory, BackupSummary
from gigas_exporter.model import Account, Disk, VirtualMachine
from gigas_exporter.policy import Requirement

__all__ = [
    "DiskReport",
    "Finding",
    "Severity",
    "count_findings",
    "needs_attention",
    "report_account",
    "worst_first",
]

MISSED_FACTOR = 2
"""So many times its limit, and a backup was not late but missed; the alerts use the same."""

LOCKED_LONG_SECONDS = 2 * 3600.0

_NOT_REQUIRED = Requirement(required=False)


class Severity(enum.IntEnum):
    """How much a finding matters; higher is worse."""

    OK = 0
    NOTICE = 1
    WARNING = 2
    UNKNOWN = 3
    CRITICAL = 4


class Finding(enum.Enum):
    """What can be found about a disk, worst first; the value is the word that every output uses for it."""

    NEVER_BACKED_UP = "never backed up"
    BACKUP_MISSED = "backup missed"
    ERROR = "disk error"
    BACKUPS_UNREAD = "backups unread"
    BACKUP_STALE = "backup stale"
    LOCKED_LONG = "locked long"
    BACKUP_FAILED = "failed backups"
    UNPROTECTED = "unprotected"
    DETACHED = "detached"
    AWAITING = "awaiting first backup"
    EXEMPT = "exempt"

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return _SEVERITIES[self]

    def words(self, count: int) -> str:
        """Return what is said of so many disks that have it, such as ``backups missed`` of two."""
        one, more = _COUNTED.get(self, (self.value, self.value))
        return one if count == 1 else more


_SEVERITIES: Mapping[Finding, Severity] = {
    Finding.NEVER_BACKED_UP: Severity.CRITICAL,
    Finding.BACKUP_MISSED: Severity.CRITICAL,
    Finding.ERROR: Severity.CRITICAL,
    Finding.BACKUPS_UNREAD: Severity.UNKNOWN,
    Finding.BACKUP_STALE: Severity.WARNING,
    Finding.LOCKED_LONG: Severity.WARNING,
    Finding.BACKUP_FAILED: Severity.NOTICE,
    Finding.UNPROTECTED: Severity.NOTICE,
    Finding.DETACHED: Severity.NOTICE,
    Finding.AWAITING: Severity.OK,
    Finding.EXEMPT: Severity.OK,
}
_COUNTED: Mapping[Finding, tuple[str, str]] = {
    Finding.BACKUP_MISSED: ("backup missed", "backups missed"),
    Finding.ERROR: ("disk error", "disk errors"),
    Finding.BACKUPS_UNREAD: ("with backups unread", "with backups unread"),
    Finding.BACKUP_STALE: ("backup stale", "backups stale"),
    Finding.BACKUP_FAILED: ("with failed backups", "with failed backups"),
}
_RANK = {finding: rank for rank, finding in enumerate(Finding)}


@dataclass(frozen=True)
class DiskReport:
    """One disk, all that is known of it, and what is found.

    Attributes:
        backups: ``None`` when its backups could not be read lately.
        age_seconds: Of the newest usable backup; ``None`` when there is none or its date cannot be read.
        findings: Worst first.
    """

    account: Account
    disk: Disk
    machine: VirtualMachine | None
    requirement: Requirement
    backups: BackupSummary | None
    age_seconds: float | None
    findings: tuple[Finding, ...]

    @cached_property
    def severity(self) -> Severity:
        """That of the worst finding."""
        return max((finding.severity for finding in self.findings), default=Severity.OK)

    @cached_property
    def machine_name(self) -> str:
        """What a person calls the disk's virtual machine: its label, else its hostname, else its id."""
        if self.machine is not None:
            name = self.machine.label or self.machine.hostname
            if name:
                return name
        return f"VM {self.disk.virtual_machine_id}" if self.disk.virtual_machine_id else ""

    @cached_property
    def share_of_limit(self) -> float:
        """The age over the limit; infinity for a required backup that is not there, 0 where none is required."""
        limit = self.requirement.max_age_seconds
        if limit is None:
            return 0.0
        return float("inf") if self.age_seconds is None else self.age_seconds / limit


def report_account(inventory: AccountInventory, *, wall: float, monotonic: float) -> list[DiskReport]:
    """Return the verdict on every disk of an account; nothing when its disks were not read, or too long ago."""
    disks = inventory.current_disks(monotonic) or {}
    machines = inventory.current_machines(monotonic) or {}
    reports = []
    for disk in disks.values():
        summary = inventory.backup_summary(disk.id, monotonic)
        newest_at = summary.newest_at if summary is not None else None
        age = None if newest_at is None else max(0.0, wall - newest_at)
        requirement = inventory.requirements.get(disk.id, _NOT_REQUIRED)
        findings = _findings(disk, requirement, summary, age, wall)
        machine = machines.get(disk.virtual_machine_id or "")
        reports.append(
            DiskReport(
                inventory.account,
                disk,
                machine,
                requirement,
                summary,
                age,
                tuple(sorted(findings, key=_RANK.__getitem__)),
            )
        )
    return reports


def worst_first(reports: Iterable[DiskReport]) -> list[DiskReport]:
    """Order by the worst finding, then by how far the newest backup is past its limit, then by name."""

    def badness(report: DiskReport) -> tuple[int, int, float, str, str, str]:
        rank = _RANK[report.findings[0]] if report.findings else len(_RANK)
        place = report.machine_name, report.disk.mount_point or "", report.disk.id
        return -report.severity, rank, -report.share_of_limit, *place

    return sorted(reports, key=badness)


def count_findings(reports: Iterable[DiskReport]) -> Counter[Finding]:
    """Return how many disks have each finding."""
    return Counter(finding for report in reports for finding in report.findings)


def needs_attention(report: DiskReport) -> bool:
    """Return whether somebody should do something about a disk, or find out about it."""
    return report.severity >= Severity.WARNING


def _findings(
    disk: Disk, requirement: Requirement, summary: BackupSummary | None, age: float | None, wall: float
) -> list[Finding]:
    findings = []
    if disk.error:
        findings.append(Finding.ERROR)
    # How long a disk has been locked the API does not say; that it was not changed since is the nearest that it does.
    if disk.locked and disk.updated_at is not None and wall - disk.updated_at >= LOCKED_LONG_SECONDS:
        findings.append(Finding.LOCKED_LONG)
    if requirement.max_age_seconds is not None:
        findings.extend(_against_limit(disk, requirement.max_age_seconds, summary, age, wall))
    elif requirement.reason is not None:
        findings.append(Finding.EXEMPT)
    elif disk.is_swap is not True and disk.autobackup is not True:
        findings.append(Finding.UNPROTECTED)
    if summary is not None and summary.failed:
        findings.append(Finding.BACKUP_FAILED)
    if disk.virtual_machine_id is None:
        findings.append(Finding.DETACHED)
    return findings


def _against_limit(
    disk: Disk, limit: float, summary: BackupSummary | None, age: float | None, wall: float
) -> list[Finding]:
    if summary is None:
        return [Finding.BACKUPS_UNREAD]
    if summary.usable == 0:
        is_new = disk.created_at is not None and wall - disk.created_at < limit
        return [Finding.AWAITING if is_new else Finding.NEVER_BACKED_UP]
    if age is None:
        return [Finding.BACKUPS_UNREAD]
    if age > MISSED_FACTOR * limit:
        return [Finding.BACKUP_MISSED]
    return [Finding.BACKUP_STALE] if age > limit else []
