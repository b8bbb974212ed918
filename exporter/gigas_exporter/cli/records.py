"""Disks and backups as rows of tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from gigas_exporter import formatting
from gigas_exporter.cli.output import Column, Record, Table, cut_start
from gigas_exporter.model import Backup
from gigas_exporter.report import DiskReport, Finding, Severity, is_ahead, status_in_words

_STYLES: Final[Mapping[Severity, Mapping[str, Any]]] = {
    Severity.CRITICAL: {"fg": "red", "bold": True},
    Severity.WARNING: {"fg": "yellow"},
    Severity.UNKNOWN: {"fg": "magenta"},
    Severity.NOTICE: {"fg": "cyan"},
    Severity.OK: {},
}
_ABOUT_AGE: Final = {
    Finding.NEVER_BACKED_UP,
    Finding.BACKUP_MISSED,
    Finding.BACKUP_STALE,
    Finding.BACKUPS_UNREADABLE,
}


def _style(record: Record) -> Mapping[str, Any]:
    return _STYLES[Severity[str(record["severity"]).upper()]]


def _age_style(record: Record) -> Mapping[str, Any]:
    """Return the colour of what was found about the backups."""
    found = [finding.severity for each in record["findings"] if (finding := Finding(each)) in _ABOUT_AGE]
    return _STYLES[max(found, default=Severity.OK)]


def _backup_age(record: Record) -> str:
    if record["backups"] is None:
        return "not read"
    if record["backup_age_seconds"] is None and record["last_backup"] is None:
        return "none" if record["backups"] == 0 else "unknown"
    return _age(record["backup_age_seconds"])


def _age(seconds: float | None) -> str:
    """Return the age of what has a date; without one, that lies ahead."""
    return "in the future" if seconds is None else formatting.format_age(seconds)


def _backup_row_age(record: Record) -> str:
    return "" if record["date_created"] is None else _age(record["age_seconds"])


def _status(record: Record) -> str:
    return status_in_words(record["status"], locked=record["locked"])


def _yes_or_no(value: bool | None) -> str:
    return "" if value is None else ("no", "yes")[value]


def _whole(seconds: float | None) -> float | None:
    """Return seconds, without a ``.0`` at the end."""
    return int(seconds) if seconds is not None and seconds.is_integer() else seconds


_DISK_FIELDS: Final[Mapping[str, Callable[[DiskReport], Any]]] = {
    "verdict": lambda report: report.verdict,
    "severity": lambda report: report.severity.name.lower(),
    "findings": lambda report: [finding.value for finding in report.findings],
    "not_understood": lambda report: list(report.not_understood),
    "account": lambda report: report.account.name or report.account.id,
    "account_id": lambda report: report.account.id,
    "disk_id": lambda report: report.disk.id,
    "virtual_machine_id": lambda report: report.disk.virtual_machine_id,
    "virtual_machine": lambda report: report.machine_name if report.disk.virtual_machine_id else None,
    "mount_point": lambda report: report.disk.mount_point,
    "size_bytes": lambda report: report.disk.size_bytes,
    "status": lambda report: report.disk.status,
    "error": lambda report: report.disk.error,
    "locked": lambda report: report.disk.locked,
    "is_swap": lambda report: report.disk.is_swap,
    "autobackup": lambda report: report.disk.autobackup,
    "add_to_linux_fstab": lambda report: report.disk.add_to_linux_fstab,
    "data_store_id": lambda report: report.disk.data_store_id,
    "data_store_group_id": lambda report: report.disk.data_store_group_id,
    "created_at": lambda report: formatting.format_timestamp(report.disk.created_at) or None,
    "updated_at": lambda report: formatting.format_timestamp(report.disk.updated_at) or None,
    "required": lambda report: report.requirement.required,
    "reason": lambda report: report.requirement.reason,
    "max_age_seconds": lambda report: _whole(report.requirement.max_age_seconds),
    "backup_age_seconds": lambda report: None if report.age_seconds is None else round(report.age_seconds),
    "last_backup": lambda report: (
        formatting.format_timestamp(report.backups.newest_at if report.backups is not None else None) or None
    ),
    "last_backup_size_bytes": lambda report: report.backups.newest_size_bytes if report.backups is not None else None,
    "backups": lambda report: report.backups.usable if report.backups is not None else None,
    "failed_backups": lambda report: report.backups.failed if report.backups is not None else None,
}
"""What is known of a disk; ages in seconds, sizes in bytes, moments in RFC 3339."""

DISKS: Final = Table(
    columns=(
        Column("verdict", "VERDICT", style=_style, min_width=18),
        Column("virtual_machine", "VM", min_width=8, drop_priority=1),
        Column("mount_point", "MOUNT POINT", min_width=11, cut=cut_start, drop_priority=2),
        Column("disk_id", "DISK", right=True),
        Column("account", "ACCOUNT", min_width=8, drop_priority=3, drop_if_same=True),
        Column("size_bytes", "SIZE", formatting.format_size, right=True, drop_priority=6),
        Column("status", "STATUS", text=_status, min_width=8, drop_priority=7),
        Column("backup_age_seconds", "BACKUP AGE", text=_backup_age, style=_age_style, right=True),
        Column("max_age_seconds", "LIMIT", formatting.format_limit, right=True, drop_priority=4),
        Column("backups", "BACKUPS", right=True, drop_priority=8),
        Column("reason", "WHY EXEMPT", min_width=12, drop_priority=5),
    ),
    fields=tuple(_DISK_FIELDS),
)

_OTHER_BACKUP_FIELDS: Final = (
    *("status", "backup_type", "size_bytes", "locked", "operating_system", "operating_system_distro", "template_id"),
)

BACKUPS: Final = Table(
    columns=(
        Column("backup_id", "BACKUP", right=True),
        Column("date_created", "CREATED", drop_priority=1),
        Column("age_seconds", "AGE", text=_backup_row_age, right=True),
        Column("status", "STATUS", min_width=10),
        Column("size_bytes", "SIZE", formatting.format_size, right=True, drop_priority=2),
        Column("backup_type", "TYPE", min_width=10, drop_priority=3),
        Column("locked", "LOCKED", _yes_or_no, drop_priority=5),
        Column("operating_system", "OS", min_width=8, drop_priority=4),
    ),
    fields=("backup_id", "disk_id", "date_created", "age_seconds", *_OTHER_BACKUP_FIELDS),
)


def disk_record(report: DiskReport) -> Record:
    """Return what is known of a disk."""
    return {name: read(report) for name, read in _DISK_FIELDS.items()}


def backup_record(backup: Backup, wall: float) -> Record:
    """Return a backup's row at ``wall`` (UNIX seconds)."""
    created = backup.date_created
    return {
        "backup_id": backup.id,
        "disk_id": backup.disk_id,
        "date_created": formatting.format_timestamp(created) or None,
        "age_seconds": None if created is None or is_ahead(created, wall) else max(0, round(wall - created)),
        **{name: getattr(backup, name) for name in _OTHER_BACKUP_FIELDS},
    }
