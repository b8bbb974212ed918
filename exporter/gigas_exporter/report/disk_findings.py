"""Why each finding of a disk is there, and which command helps."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Final

from gigas_exporter import formatting
from gigas_exporter.policy import Thresholds
from gigas_exporter.report.disks import DiskReport
from gigas_exporter.report.explain import why_unreadable
from gigas_exporter.report.findings import Finding

_COMMANDS: Final[Mapping[Finding, str]] = {
    Finding.NEVER_BACKED_UP: "disks backup --account {account} {disk} --wait",
    Finding.BACKUP_MISSED: "disks backup --account {account} {disk} --wait",
    Finding.BACKUP_STALE: "disks backup --account {account} {disk} --wait",
    Finding.BACKUPS_UNREADABLE: "disks backups --account {account} {disk}",
    Finding.BACKUP_FAILED: "disks backups --account {account} {disk}",
    Finding.BACKUP_SHRANK: "disks backups --account {account} {disk}",
    Finding.NOT_UNDERSTOOD: "probe --account {account}",
    Finding.UNPROTECTED: "disks edit --account {account} {disk} --autobackup",
}
_SHOW: Final = "disks show --account {account} {disk}"
_LATE: Final = "Its newest usable backup is {age}. The limit is {limit}. After {missed} it counts as missed."
_WHY: Final[Mapping[Finding, str]] = {
    Finding.NEVER_BACKED_UP: "It must have a backup younger than {limit}, and has no usable one.",
    Finding.BACKUP_MISSED: _LATE,
    Finding.DISK_ERROR: "The API reports an error: {error_flag}.",
    Finding.NOT_UNDERSTOOD: "What the API sends for {fields} is not understood, and is needed to judge the disk.",
    Finding.BACKUPS_UNREADABLE: "Its backups cannot be judged: {unreadable}.",
    Finding.BACKUP_STALE: _LATE,
    Finding.LOCKED_LONG: "It has been locked for {locked} or more: an operation on it is still running, or hangs.",
    Finding.BACKUP_FAILED: "The newest attempt to back it up failed{failed_at}.",
    Finding.UNPROTECTED: "No rule of the backup policy requires a backup of it, and no rule says why it needs none.",
    Finding.BACKUP_SHRANK: "Its newest backup has {newest}, less than half of the usual {typical}.",
    Finding.DETACHED: "It is attached to no virtual machine.",
    Finding.AWAITING: "It is younger than its limit, {limit}, and has no usable backup yet.",
    Finding.EXEMPT: "The backup policy says why it needs no backup: {reason}.",
}


def command_for(finding: Finding | None, report: DiskReport) -> str:
    """Return the command that helps with a finding, else what shows the disk."""
    words = _SHOW if finding is None else _COMMANDS.get(finding, _SHOW)
    return "gigas-exporter " + words.format(account=shlex.quote(report.account.id), disk=shlex.quote(report.disk.id))


def explain_finding(finding: Finding, report: DiskReport, thresholds: Thresholds, error: str | None) -> str:
    """Return why a disk has a finding; ``error`` is that of its backups."""
    disk, summary, limit = report.disk, report.backups, report.requirement.max_age_seconds
    failed_at = formatting.format_timestamp(summary.failed_at) if summary is not None else ""
    return _WHY[finding].format(
        limit=formatting.format_limit(limit),
        missed=formatting.format_limit(limit and limit * thresholds.missed_factor),
        locked=formatting.format_limit(thresholds.locked_seconds),
        age=report.age if report.age_seconds is None else f"{report.age} old",
        error_flag=f"the status is {disk.status}" if disk.status_is_error else "error is set",
        fields=" and ".join(report.not_understood),
        unreadable=why_unreadable(report, error) or "the reason is not known",
        failed_at=f", {failed_at}" if failed_at else "",
        newest=formatting.format_size(summary.newest_size_bytes) if summary is not None else "",
        typical=formatting.format_size(summary.typical_size_bytes) if summary is not None else "",
        reason=report.requirement.reason,
    )
