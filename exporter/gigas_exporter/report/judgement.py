"""Judge the disks: the only place that decides which findings a disk has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.formatting import format_hours
from gigas_exporter.inventory import AccountInventory
from gigas_exporter.model import Disk, VirtualMachine
from gigas_exporter.policy import NOT_REQUIRED, Requirement, Thresholds
from gigas_exporter.report.findings import AGAINST_LIMIT, RANK, Finding

BACKUP_STATUS: Final = "backup status"
"""The name of a backup's status among the fields that are not understood."""
DISK_STATUS: Final = "disk status"
"""The name of a disk's status among them; it may mean an error although the flag ``error`` is not set."""
DISK_FIELDS: Final = frozenset(each.name for each in fields(Disk)) | {"disk_size"}
"""The documented fields of a disk. Any other field that is not understood may mean that the disk has an error."""

MAX_AHEAD_SECONDS = 300.0
"""How far two clocks may differ; a date further in the future is not used."""

_SHRUNK_FACTOR = 0.5
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Judgement:
    """One account's findings at one moment.

    Attributes:
        findings: By disk id, worst first; disks without findings are absent.
        undecided: By id of each disk that is ``not understood``, the fields that are not understood.
        is_backups_known: Whether the backups of the account as a whole are known.
        required: How many disks must have a backup.
        compliant: How many of those have one within its limit.
        valid_until: When time alone may change a finding, UNIX seconds.
    """

    findings: Mapping[str, tuple[Finding, ...]]
    undecided: Mapping[str, tuple[str, ...]]
    is_backups_known: bool
    required: int
    compliant: int
    valid_until: float


def judge_account(
    inventory: AccountInventory, summaries: Sequence[BackupSummary | None], *, wall: float, monotonic: float
) -> Judgement:
    """Judge every disk of an account; ``summaries`` has one item per disk.

    There are no findings while the disks are not known.
    """
    judge = _Judge(inventory, wall, monotonic)
    findings: dict[str, tuple[Finding, ...]] = {}
    disks = inventory.current_disks(monotonic) or {}
    for disk, summary in zip(disks.values(), summaries, strict=True):
        found = judge.judge(disk, summary if judge.is_backups_known else None)
        if found:
            findings[disk.id] = found
    return Judgement(
        findings, judge.undecided, judge.is_backups_known, judge.required, judge.compliant, judge.valid_until
    )


def is_ahead(timestamp: float, wall: float) -> bool:
    """Return whether a date is too far in the future to be used."""
    return timestamp - wall > MAX_AHEAD_SECONDS


class _Judge:
    """Judges the disks of one account at one moment."""

    def __init__(self, inventory: AccountInventory, wall: float, monotonic: float) -> None:
        snapshot = inventory.current_backups(monotonic)
        self._inventory = inventory
        self._wall = wall
        self._failed = snapshot.failed_disks - snapshot.waiting_disks if snapshot is not None else frozenset[str]()
        self._locked_since = inventory.disks.locked_since if inventory.disks is not None else {}
        self._locked_seconds = inventory.thresholds.locked_seconds
        self._missed_factor = inventory.thresholds.missed_factor
        self.is_backups_known = snapshot is not None
        self.undecided: dict[str, tuple[str, ...]] = {}
        self.required = 0
        self.compliant = 0
        self.valid_until = _NEVER

    def judge(self, disk: Disk, summary: BackupSummary | None) -> tuple[Finding, ...]:
        """Return a disk's findings, worst first."""
        requirement = self._inventory.requirements.get(disk.id, NOT_REQUIRED)
        found: list[Finding] = []
        unknown = requirement.undecided + self._by_policy(disk, requirement, summary, found)
        if "status" in disk.unknown and not disk.has_error:
            unknown = (DISK_STATUS, *unknown)
        if disk.unknown:
            unknown = (*sorted(disk.unknown & {"error"} | disk.unknown - DISK_FIELDS), *unknown)
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
            found.sort(key=RANK.__getitem__)
        return tuple(found)

    def _by_policy(
        self, disk: Disk, requirement: Requirement, summary: BackupSummary | None, found: list[Finding]
    ) -> tuple[str, ...]:
        """Judge a disk by the policy; return the undecided fields."""
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
        """Judge a disk that must have a backup; return the undecided fields."""
        if disk.id in self._failed:
            found.append(Finding.BACKUPS_UNREADABLE)
        if summary is None or summary.usable == 0:
            return self._without_backup(disk, limit, summary, found)
        newest_at = summary.newest_at
        if newest_at is None or not self._is_past(newest_at - MAX_AHEAD_SECONDS):
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
        # A backup without a readable date may be newer.
        return (*((BACKUP_STATUS,) if decides else ()), *(("date_created",) if summary.undated else ()))

    def _without_backup(
        self, disk: Disk, limit: float, summary: BackupSummary | None, found: list[Finding]
    ) -> tuple[str, ...]:
        """Judge a required disk without known usable backups; return the undecided fields."""
        created = disk.created_at
        if created is not None and self._is_past(created - MAX_AHEAD_SECONDS) and not self._is_past(created + limit):
            # Any backup that it may have is younger than the disk, and so within the limit.
            found.append(Finding.AWAITING)
            return ()
        if summary is None:
            if not found:  # not known whether it has one, such as for a disk newer than the last backups poll
                found.append(Finding.BACKUPS_UNREADABLE)
            return ()
        unclear_at = summary.unclear_at if summary.unclear_at is not None else summary.locked_or_empty_at
        if unclear_at is None:
            found.append(Finding.NEVER_BACKED_UP)
            return ()
        lateness = self._lateness(unclear_at, limit)
        if lateness is not None:
            found.append(lateness)
        return (BACKUP_STATUS,)

    def _lateness(self, newest_at: float, limit: float) -> Finding | None:
        """Return stale or missed for a newest backup of this date, ``None`` within the limit."""
        if not self._is_past(newest_at + limit, inclusive=False):
            return None
        is_missed = self._is_past(newest_at + self._missed_factor * limit, inclusive=False)
        return Finding.BACKUP_MISSED if is_missed else Finding.BACKUP_STALE

    def _is_past(self, timestamp: float, *, inclusive: bool = True) -> bool:
        """Return whether a time has passed, or with ``inclusive`` has come; else limit ``valid_until`` to it."""
        wall = self._wall
        if timestamp < wall or (inclusive and timestamp == wall):
            return True
        self.valid_until = min(self.valid_until, timestamp)
        return False


def _has_shrunk(summary: BackupSummary) -> bool:
    newest, typical = summary.newest_size_bytes, summary.typical_size_bytes
    return newest is not None and typical is not None and newest < _SHRUNK_FACTOR * typical


def finding_limit(finding: Finding, requirement: Requirement | None, thresholds: Thresholds) -> str:
    """Return the limit that was exceeded, in hours; empty for none."""
    if finding is Finding.LOCKED_LONG:
        return format_hours(thresholds.locked_seconds)
    limit = requirement.max_age_seconds if requirement is not None and finding in AGAINST_LIMIT else None
    return "" if limit is None else format_hours(limit)


def machine_name(disk: Disk, machines: Mapping[str, VirtualMachine]) -> str:
    """Return the name of a disk's virtual machine for people."""
    machine_id = disk.virtual_machine_id
    if machine_id is None:
        return "unknown" if "virtual_machine_id" in disk.unknown else "detached"
    machine = machines.get(machine_id)
    return (machine and (machine.label or machine.hostname)) or f"VM {machine_id}"
