"""The tables of disks and of backups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final

from gigas_exporter import formatting
from gigas_exporter.cli.output import Column, Table, cut_list, cut_start
from gigas_exporter.model import Backup
from gigas_exporter.report import DiskReport, Finding, Severity, is_ahead

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


def _style(report: DiskReport) -> Mapping[str, Any]:
    return _STYLES[report.severity]


def _age_style(report: DiskReport) -> Mapping[str, Any]:
    """Return the colour of the worst finding about the age of the backup."""
    found = [finding.severity for finding in report.findings if finding in _ABOUT_AGE]
    return _STYLES[max(found, default=Severity.OK)]


def _whole(seconds: float | None) -> float | None:
    """Return whole seconds as ``int``."""
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
"""The fields of a disk; ages in seconds, sizes in bytes, timestamps in RFC 3339."""

DISKS: Final = Table(
    columns=(
        Column("VERDICT", lambda report: report.verdict, style=_style, min_width=18, cut=cut_list),
        Column("VM", _DISK_FIELDS["virtual_machine"], min_width=8, drop_priority=1),
        Column("MOUNT POINT", lambda report: report.disk.mount_point, min_width=11, cut=cut_start, drop_priority=2),
        Column("DISK", lambda report: report.disk.id, right=True),
        Column("ACCOUNT", _DISK_FIELDS["account"], min_width=8, drop_priority=3, drop_if_same=True),
        Column("SIZE", lambda report: formatting.format_size(report.disk.size_bytes), right=True, drop_priority=6),
        Column("STATUS", lambda report: report.status, min_width=8, drop_priority=7),
        Column("BACKUP AGE", lambda report: report.age, style=_age_style, right=True),
        Column(
            "LIMIT",
            lambda report: formatting.format_limit(report.requirement.max_age_seconds),
            right=True,
            drop_priority=4,
        ),
        Column("BACKUPS", _DISK_FIELDS["backups"], right=True, drop_priority=8),
        Column("WHY EXEMPT", lambda report: report.requirement.reason, min_width=12, drop_priority=5),
    ),
    fields=_DISK_FIELDS,
)


_OTHER_BACKUP_FIELDS: Final = (
    *("status", "backup_type", "size_bytes", "locked", "operating_system", "operating_system_distro", "template_id"),
)


def backups_table(wall: float) -> Table[Backup]:
    """Return the table of backups, with their ages at ``wall`` (UNIX seconds)."""

    def age(backup: Backup) -> int | None:
        created = backup.date_created
        return None if created is None or is_ahead(created, wall) else max(0, round(wall - created))

    def age_in_words(backup: Backup) -> str:
        if backup.date_created is None:
            return ""
        seconds = age(backup)
        return "in the future" if seconds is None else formatting.format_age(seconds)

    def created(backup: Backup) -> str | None:
        return formatting.format_timestamp(backup.date_created) or None

    return Table(
        columns=(
            Column("BACKUP", lambda backup: backup.id, right=True),
            Column("CREATED", created, drop_priority=1),
            Column("AGE", age_in_words, right=True),
            Column("STATUS", lambda backup: backup.status, min_width=10),
            Column("SIZE", lambda backup: formatting.format_size(backup.size_bytes), right=True, drop_priority=2),
            Column("TYPE", lambda backup: backup.backup_type, min_width=10, drop_priority=3),
            Column(
                "LOCKED",
                lambda backup: None if backup.locked is None else ("no", "yes")[backup.locked],
                drop_priority=5,
            ),
            Column("OS", lambda backup: backup.operating_system, min_width=8, drop_priority=4),
        ),
        fields={
            "backup_id": lambda backup: backup.id,
            "disk_id": lambda backup: backup.disk_id,
            "date_created": created,
            "age_seconds": age,
            **{name: attrgetter(name) for name in _OTHER_BACKUP_FIELDS},
        },
    )
