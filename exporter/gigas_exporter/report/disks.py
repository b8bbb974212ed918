"""A report on each disk: its data and its findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.formatting import format_age
from gigas_exporter.inventory import AccountInventory
from gigas_exporter.model import Account, Disk
from gigas_exporter.policy import NOT_REQUIRED, Requirement
from gigas_exporter.report.findings import RANK, Finding, Severity
from gigas_exporter.report.judgement import is_ahead, judge_account, machine_name


@dataclass(frozen=True)
class DiskReport:
    """One disk, with its findings.

    Attributes:
        machine_name: Its virtual machine's label, hostname or id; ``detached`` without one, ``unknown`` if not known.
        backups: ``None`` if its backups are not known.
        age_seconds: Age of the newest usable backup; ``None`` if there is none, or its date is unreadable or in the
            future.
        findings: Worst first.
        not_understood: The fields that decide and are not understood.
        is_judged: Whether the judgement is complete: the account's backups are known, or the disk needs none.
    """

    account: Account
    disk: Disk
    machine_name: str
    requirement: Requirement
    backups: BackupSummary | None
    age_seconds: float | None
    findings: tuple[Finding, ...]
    not_understood: tuple[str, ...] = ()
    is_judged: bool = True

    @cached_property
    def severity(self) -> Severity:
        """The severity of the worst finding."""
        return max((finding.severity for finding in self.findings), default=Severity.OK)

    @cached_property
    def verdict(self) -> str:
        """The findings in words, with the names of fields that are not understood."""
        words = [finding.value for finding in self.findings]
        if self.not_understood:
            index = words.index(Finding.NOT_UNDERSTOOD.value)
            words[index] = f"not understood: {' and '.join(self.not_understood)}"
        if not self.is_judged:
            words.append("backups not read")
        return ", ".join(words) or "well"

    @property
    def age(self) -> str:
        """The age of the newest usable backup in words, or why there is none."""
        if self.backups is None:
            return "not read"
        if self.age_seconds is not None:
            return format_age(self.age_seconds)
        if self.backups.newest_at is not None:
            return "in the future"
        return "unknown" if self.backups.usable else "none"

    @property
    def status(self) -> str:
        """The disk's status and lock, such as ``built, locked``."""
        return ", ".join(filter(None, (self.disk.status, "locked" if self.disk.locked else None)))

    @cached_property
    def share_of_limit(self) -> float:
        """The age divided by the limit: infinity without a known age, 0 without a limit."""
        limit = self.requirement.max_age_seconds
        if limit is None:
            return 0.0
        return float("inf") if self.age_seconds is None else self.age_seconds / limit


def report_account(inventory: AccountInventory, *, wall: float, monotonic: float) -> list[DiskReport]:
    """Return a report on every disk; none if the data of the disks is stale."""
    disks = inventory.current_disks(monotonic) or {}
    summaries = [inventory.backup_summary(disk_id, monotonic) for disk_id in disks]
    judgement = judge_account(inventory, summaries, wall=wall, monotonic=monotonic)
    reports = []
    for disk, known in zip(disks.values(), summaries, strict=True):
        summary = known if judgement.is_backups_known else None
        newest_at = summary.newest_at if summary is not None else None
        requirement = inventory.requirements.get(disk.id, NOT_REQUIRED)
        reports.append(
            DiskReport(
                inventory.account,
                disk,
                machine_name(disk, inventory.known_machines),
                requirement,
                summary,
                None if newest_at is None or is_ahead(newest_at, wall) else max(0.0, wall - newest_at),
                judgement.findings.get(disk.id, ()),
                judgement.undecided.get(disk.id, ()),
                judgement.is_backups_known or not requirement.required,
            )
        )
    return reports


def worst_first(reports: Iterable[DiskReport]) -> list[DiskReport]:
    """Sort by worst finding, age divided by limit, and name."""

    def sort_key(report: DiskReport) -> tuple[int, int, float, str, str, str]:
        rank = RANK[report.findings[0]] if report.findings else len(RANK)
        name = report.machine_name, report.disk.mount_point or "", report.disk.id
        return -report.severity, rank, -report.share_of_limit, *name

    return sorted(reports, key=sort_key)


def count_findings(reports: Iterable[DiskReport]) -> Counter[Finding]:
    """Return how many disks have each finding."""
    return Counter(finding for report in reports for finding in report.findings)


def needs_attention(report: DiskReport) -> bool:
    """Return whether the severity is warning or worse."""
    return report.severity >= Severity.WARNING
