"""The judgement on each disk: what is found about it, in words for people, worst first.

This is the one place that judges. ``check``, the status page, ``disks``, the metrics and through them the alerts and
dashboards all tell what is found here, in these words.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.human import format_duration
from gigas_exporter.inventory import AccountInventory
from gigas_exporter.model import Account, Disk, VirtualMachine
from gigas_exporter.policy import Requirement, Thresholds

__all__ = [
    "METRIC_FINDINGS",
    "NEED_BACKUPS",
    "DiskReport",
    "Finding",
    "Judgement",
    "Severity",
    "account_errors",
    "count_findings",
    "explain_not_understood",
    "explain_statuses",
    "finding_limit",
    "judge_account",
    "machine_name",
    "needs_attention",
    "report_account",
    "worst_first",
]

_NOT_REQUIRED = Requirement(required=False)
_MAX_AHEAD_SECONDS = 300.0
"""A date that lies further ahead than two clocks may differ says nothing."""

_SHRUNK_TO = 0.5
_NEVER = float("inf")


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
    DISK_ERROR = "disk error"
    NOT_UNDERSTOOD = "not understood"
    BACKUPS_UNREADABLE = "backups unreadable"
    BACKUP_STALE = "backup stale"
    LOCKED_LONG = "locked long"
    BACKUP_FAILED = "last backup failed"
    UNPROTECTED = "unprotected"
    BACKUP_SHRANK = "backup shrank"
    DETACHED = "detached"
    AWAITING = "awaiting first backup"
    EXEMPT = "exempt"

    @property
    def metric(self) -> str:
        """What the label ``finding`` says; those that only describe a disk have no series."""
        return self.name.lower()

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return _SEVERITIES[self]

    def words(self, count: int) -> str:
        """Return what is said of so many disks that have it, such as ``backups missed`` of two."""
        one, more = _COUNTED.get(self, (self.value, self.value))
        return one if count == 1 else more


_SEVERITIES: Final[Mapping[Finding, Severity]] = {
    Finding.NEVER_BACKED_UP: Severity.CRITICAL,
    Finding.BACKUP_MISSED: Severity.CRITICAL,
    Finding.DISK_ERROR: Severity.CRITICAL,
    Finding.NOT_UNDERSTOOD: Severity.UNKNOWN,
    Finding.BACKUPS_UNREADABLE: Severity.UNKNOWN,
    Finding.BACKUP_STALE: Severity.WARNING,
    Finding.LOCKED_LONG: Severity.WARNING,
    Finding.BACKUP_FAILED: Severity.WARNING,
    Finding.UNPROTECTED: Severity.WARNING,
    Finding.BACKUP_SHRANK: Severity.NOTICE,
    Finding.DETACHED: Severity.NOTICE,
    Finding.AWAITING: Severity.OK,
    Finding.EXEMPT: Severity.OK,
}
_COUNTED: Final[Mapping[Finding, tuple[str, str]]] = {
    Finding.BACKUP_MISSED: ("backup missed", "backups missed"),
    Finding.DISK_ERROR: ("disk error", "disk errors"),
    Finding.BACKUPS_UNREADABLE: ("with backups unreadable", "with backups unreadable"),
    Finding.BACKUP_STALE: ("backup stale", "backups stale"),
    Finding.BACKUP_FAILED: ("last backup failed", "last backups failed"),
    Finding.BACKUP_SHRANK: ("backup shrank", "backups shrank"),
}
_RANK: Final = {finding: rank for rank, finding in enumerate(Finding)}
_AGAINST_LIMIT: Final = frozenset({Finding.NEVER_BACKED_UP, Finding.BACKUP_MISSED, Finding.BACKUP_STALE})

METRIC_FINDINGS: Final = tuple(finding for finding in Finding if finding not in {Finding.AWAITING, Finding.EXEMPT})
"""The findings that are series of ``gigas_disk_finding``."""

NEED_BACKUPS: Final = _AGAINST_LIMIT | {
    Finding.BACKUPS_UNREADABLE,
    Finding.BACKUP_FAILED,
    Finding.BACKUP_SHRANK,
}
"""The findings of which nothing is known while the backups of the whole account are unread."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is found about the disks of one account at one moment.

    Attributes:
        findings: By disk id, worst first; a disk about which nothing is found is missing.
        undecided: By id of the disks that are ``not understood``, the fields that are not.
        is_backups_known: Whether the backups of the account as a whole are known.
        required: How many disks must have a backup.
        compliant: How many of those have one that is within its limit.
        valid_until: UNIX seconds at which time alone may change a finding.
    """

    findings: Mapping[str, tuple[Finding, ...]]
    undecided: Mapping[str, tuple[str, ...]]
    is_backups_known: bool
    required: int
    compliant: int
    valid_until: float


def judge_account(inventory: AccountInventory, *, wall: float, monotonic: float) -> Judgement:
    """Judge every disk of an account; nothing is found while its disks are not known."""
    judge = _Judge(inventory, wall, monotonic)
    findings: dict[str, tuple[Finding, ...]] = {}
    for disk in (inventory.current_disks(monotonic) or {}).values():
        found = judge.judge(disk)
        if found:
            findings[disk.id] = found
    return Judgement(
        findings, judge.undecided, judge.is_backups_known, judge.required, judge.compliant, judge.valid_until
    )


class _Judge:
    """Judges the disks of one account at one moment, and notes what else that tells."""

    def __init__(self, inventory: AccountInventory, wall: float, monotonic: float) -> None:
        reading = inventory.current_backups(monotonic)
        self._inventory = inventory
        self._wall = wall
        self._monotonic = monotonic
        self._failed: frozenset[str] = reading.failed_disks if reading is not None else frozenset()
        self._locked_since = inventory.disks.locked_since if inventory.disks is not None else {}
        self._locked_seconds = inventory.thresholds.locked_seconds
        self._missed_factor = inventory.thresholds.missed_factor
        self.is_backups_known = reading is not None
        self.undecided: dict[str, tuple[str, ...]] = {}
        self.required = 0
        self.compliant = 0
        self.valid_until = _NEVER

    def judge(self, disk: Disk) -> tuple[Finding, ...]:
        """Return what is found about a disk, worst first."""
        requirement = self._inventory.requirements.get(disk.id, _NOT_REQUIRED)
        summary = self._inventory.backup_summary(disk.id, self._monotonic) if self.is_backups_known else None
        found: list[Finding] = []
        unknown = requirement.undecided + self._by_policy(disk, requirement, summary, found)
        if "error" in disk.unknown:
            unknown = ("error", *unknown)
        if unknown:
            found.append(Finding.NOT_UNDERSTOOD)
            self.undecided[disk.id] = unknown
        if disk.has_error:
            found.append(Finding.DISK_ERROR)
        if disk.locked and self._is_past(self._locked_since.get(disk.id, self._wall) + self._locked_seconds):
            found.append(Finding.LOCKED_LONG)
        if summary is not None and summary.last_failed:
            found.append(Finding.BACKUP_FAILED)
        if summary is not None and _has_shrunk(summary):
            found.append(Finding.BACKUP_SHRANK)
        if disk.virtual_machine_id is None and "virtual_machine_id" not in disk.unknown:
            found.append(Finding.DETACHED)
        if len(found) > 1:
            found.sort(key=_RANK.__getitem__)
        return tuple(found)

    def _by_policy(
        self, disk: Disk, requirement: Requirement, summary: BackupSummary | None, found: list[Finding]
    ) -> tuple[str, ...]:
        """Judge a disk by what the policy asks; return what is not understood of its backups and decides."""
        limit = requirement.max_age_seconds
        if limit is not None:
            self.required += 1
            return self._against_limit(disk, limit, summary, found) if self.is_backups_known else ()
        if requirement.is_exempt:
            found.append(Finding.EXEMPT)
        elif disk.is_swap is not True:
            found.append(Finding.UNPROTECTED)
        return ()

    def _against_limit(
        self, disk: Disk, limit: float, summary: BackupSummary | None, found: list[Finding]
    ) -> tuple[str, ...]:
        """Judge a disk that must have a backup; return what is not understood of its backups and decides."""
        if disk.id in self._failed:
            found.append(Finding.BACKUPS_UNREADABLE)
        if summary is None or summary.usable == 0:
            return self._without_backup(disk, limit, summary, found)
        newest_at = summary.newest_at
        if newest_at is None or not self._is_past(newest_at - _MAX_AHEAD_SECONDS):
            if not found:
                found.append(Finding.BACKUPS_UNREADABLE)
            return ()
        lateness = self._lateness(newest_at, limit)
        if lateness is None:
            self.compliant += 1
            return ()
        found.append(lateness)
        unclear_at = summary.unclear_at
        decides = unclear_at is not None and self._lateness(unclear_at, limit) is not lateness
        return (BACKUP_STATUS,) if decides else ()

    def _without_backup(
        self, disk: Disk, limit: float, summary: BackupSummary | None, found: list[Finding]
    ) -> tuple[str, ...]:
        """Judge a disk that must have a backup, of which no usable one is known."""
        created = disk.created_at
        if created is not None and self._is_past(created - _MAX_AHEAD_SECONDS) and not self._is_past(created + limit):
            # Whatever backup it may have is younger than the disk, and so within the limit.
            found.append(Finding.AWAITING)
            return ()
        if summary is None:
            if not found:  # it is not known whether it has one: it came after the last poll of the backups
                found.append(Finding.BACKUPS_UNREADABLE)
            return ()
        if summary.unclear_at is None:
            found.append(Finding.NEVER_BACKED_UP)
            return ()
        lateness = self._lateness(summary.unclear_at, limit)
        if lateness is not None:
            found.append(lateness)
        return (BACKUP_STATUS,)

    def _lateness(self, newest_at: float, limit: float) -> Finding | None:
        """Return what an age means against the limit; at exactly its limit a backup is in time."""
        if not self._is_past(newest_at + limit, at=False):
            return None
        is_missed = self._is_past(newest_at + self._missed_factor * limit, at=False)
        return Finding.BACKUP_MISSED if is_missed else Finding.BACKUP_STALE

    def _is_past(self, moment: float, *, at: bool = True) -> bool:
        """Return whether a moment has come; ``at`` tells whether it has at that very moment."""
        wall = self._wall
        if moment < wall or (at and moment == wall):
            return True
        self.valid_until = min(self.valid_until, moment)
        return False


BACKUP_STATUS: Final = "backup status"
"""The name under which the status of a backup is among what is not understood."""


def _has_shrunk(summary: BackupSummary) -> bool:
    newest, typical = summary.newest_size_bytes, summary.typical_size_bytes
    return newest is not None and typical is not None and newest < _SHRUNK_TO * typical


def finding_limit(finding: Finding, requirement: Requirement | None, thresholds: Thresholds) -> str:
    """Return the limit that a finding says was passed, as a person writes it; empty where it has none."""
    if finding is Finding.LOCKED_LONG:
        return format_duration(thresholds.locked_seconds)
    limit = requirement.max_age_seconds if requirement is not None and finding in _AGAINST_LIMIT else None
    return "" if limit is None else format_duration(limit)


def machine_name(disk: Disk, machines: Mapping[str, VirtualMachine]) -> str:
    """Return what a person calls a disk's virtual machine: its label, else its hostname, else its id."""
    machine_id = disk.virtual_machine_id
    if machine_id is None:
        return "unknown" if "virtual_machine_id" in disk.unknown else "detached"
    machine = machines.get(machine_id)
    return (machine and (machine.label or machine.hostname)) or f"VM {machine_id}"


@dataclass(frozen=True)
class DiskReport:
    """One disk, all that is known of it, and what is found.

    Attributes:
        machine_name: What a person calls its virtual machine; ``detached`` without one, ``unknown`` where its id is.
        backups: ``None`` when its backups are not known.
        age_seconds: Of the newest usable backup; ``None`` when there is none or its date cannot be read.
        findings: Worst first.
        not_understood: The fields that decide and are not understood.
        is_judged: Whether all was known that the judgement needs of the account as a whole.
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
        """That of the worst finding."""
        return max((finding.severity for finding in self.findings), default=Severity.OK)

    @cached_property
    def verdict(self) -> str:
        """The findings in words, each field that is not understood by its name."""
        words = [finding.value for finding in self.findings]
        if self.not_understood:
            place = words.index(Finding.NOT_UNDERSTOOD.value)
            words[place] = f"not understood: {' and '.join(self.not_understood)}"
        if not self.is_judged:
            words.append("backups not read")
        return ", ".join(words) or "well"

    @cached_property
    def share_of_limit(self) -> float:
        """The age over the limit; infinity for a required backup that is not there, 0 where none is required."""
        limit = self.requirement.max_age_seconds
        if limit is None:
            return 0.0
        return _NEVER if self.age_seconds is None else self.age_seconds / limit


def report_account(inventory: AccountInventory, *, wall: float, monotonic: float) -> list[DiskReport]:
    """Return the judgement on every disk of an account; nothing when its disks were not read, or too long ago."""
    judgement = judge_account(inventory, wall=wall, monotonic=monotonic)
    reports = []
    for disk in (inventory.current_disks(monotonic) or {}).values():
        summary = inventory.backup_summary(disk.id, monotonic) if judgement.is_backups_known else None
        newest_at = summary.newest_at if summary is not None else None
        requirement = inventory.requirements.get(disk.id, _NOT_REQUIRED)
        reports.append(
            DiskReport(
                inventory.account,
                disk,
                machine_name(disk, inventory.known_machines),
                requirement,
                summary,
                None if newest_at is None else max(0.0, wall - newest_at),
                judgement.findings.get(disk.id, ()),
                judgement.undecided.get(disk.id, ()),
                judgement.is_backups_known or not requirement.required,
            )
        )
    return reports


def account_errors(inventory: AccountInventory, monotonic: float) -> list[str]:
    """Return what cannot be told of an account as a whole, in the words of the log."""
    who = f"account {inventory.account.id}"
    by_error: dict[str, list[str]] = {}
    for resource in ("disks", "backups"):
        outcome = inventory.outcomes.get(resource)
        if outcome is not None and not outcome.success:
            by_error.setdefault(outcome.error or "", []).append(resource)
    errors = [f"{who}: {' and '.join(resources)} could not be read: {error}" for error, resources in by_error.items()]
    machines = inventory.outcomes.get("virtual_machines")
    if machines is not None and not machines.success and _asks_for_labels(inventory):
        errors.append(f"{who}: virtual machines could not be read: {machines.error}")
    errors.extend(
        f"{who}: the list of {resource.replace('_', ' ')} was shorter than its total"
        for resource, outcome in inventory.outcomes.items()
        if outcome.invalid.get("total")
    )
    is_known = inventory.current_disks(monotonic) is not None
    if is_known and inventory.backups is not None and inventory.current_backups(monotonic) is None:
        errors.append(f"{who}: backups were read too long ago to judge by")
    return errors


def _asks_for_labels(inventory: AccountInventory) -> bool:
    return any("virtual_machine_label" in asked.undecided for asked in inventory.requirements.values())


def explain_not_understood(reports: Iterable[DiskReport]) -> list[str]:
    """Return which fields that decide are not understood, of how many disks, and what to do."""
    found = [(field, field in report.disk.missing) for report in reports for field in report.not_understood]
    counts, missing = Counter(field for field, _ in found), Counter(field for field, is_missing in found if is_missing)
    sentences = []
    for field, count in sorted(counts.items()):
        what = "is missing from" if missing[field] == count else "is not understood of"
        disks = "1 disk" if count == 1 else f"{count} disks"
        advice = _ADVICE.get(field, f"gigas-exporter probe shows what the API sends, api.fields says where {field} is")
        sentences.append(f"{field.replace('_', ' ')} {what} {disks} ({advice})")
    return sentences


_ADVICE: Final[Mapping[str, str]] = {
    "error": "gigas-exporter probe shows what the API sends; api.fields says where error is, or with null that there"
    " is none",
    "virtual_machine_label": "backup_policy matches on it, and the virtual machine is not among those that were read",
    BACKUP_STATUS: "gigas-exporter probe shows what the API sends; backup_status says what it means",
}


def explain_statuses(inventories: Iterable[AccountInventory]) -> list[str]:
    """Return which statuses of backups match no word, which makes them usable, as one sentence where there are any."""
    statuses = sorted(
        {
            status
            for inventory in inventories
            if inventory.backups is not None
            for status in inventory.backups.unmatched_statuses
        }
    )
    if not statuses:
        return []
    shown = ", ".join(statuses[:_MAX_STATUSES_SHOWN]) + (", …" if len(statuses) > _MAX_STATUSES_SHOWN else "")
    return [f"statuses of backups that match no word of backup_status, so that a text counts as usable: {shown}"]


_MAX_STATUSES_SHOWN: Final = 5


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
