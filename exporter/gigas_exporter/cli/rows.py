"""A disk and a backup as rows, in every command the same."""

from __future__ import annotations

from typing import Final

from gigas_exporter import human
from gigas_exporter.cli.output import Column, Record
from gigas_exporter.model import Backup
from gigas_exporter.report import DiskReport, Severity

__all__ = ["BACKUP_COLUMNS", "DISK_COLUMNS", "backup_record", "disk_record"]

_STYLES: Final = {
    Severity.CRITICAL: "bold red",
    Severity.WARNING: "yellow",
    Severity.UNKNOWN: "magenta",
    Severity.NOTICE: "cyan",
    Severity.OK: "",
}


def _style(record: Record) -> str:
    return _STYLES[Severity[str(record["severity"]).upper()]]


DISK_COLUMNS: Final = (
    Column("verdict", "VERDICT", style=_style),
    Column("virtual_machine", "VM"),
    Column("mount_point", "MOUNT POINT"),
    Column("disk_id", "DISK", right=True),
    Column("account", "ACCOUNT"),
    Column("size_bytes", "SIZE", human.size, right=True),
    Column("status", "STATUS"),
    Column("backup_age_seconds", "LAST BACKUP", human.age, style=_style, right=True),
    Column("max_age_seconds", "LIMIT", human.age, right=True),
    Column("backups", "BACKUPS", right=True),
)

BACKUP_COLUMNS: Final = (
    Column("backup_id", "BACKUP", right=True),
    Column("date_created", "CREATED"),
    Column("age_seconds", "AGE", human.age, right=True),
    Column("status", "STATUS"),
    Column("backup_type", "TYPE"),
    Column("size_bytes", "SIZE", human.size, right=True),
    Column("locked", "LOCKED"),
    Column("operating_system", "OS"),
)


def disk_record(report: DiskReport) -> Record:
    """Return what is known of a disk; ages in seconds, sizes in bytes, moments in RFC 3339."""
    disk, summary = report.disk, report.backups
    return {
        "verdict": ", ".join(finding.value for finding in report.findings) or "well",
        "severity": report.severity.name.lower(),
        "findings": [finding.value for finding in report.findings],
        "account": report.account.name or report.account.id,
        "account_id": report.account.id,
        "disk_id": disk.id,
        "virtual_machine_id": disk.virtual_machine_id,
        "virtual_machine": report.machine_name or None,
        "mount_point": disk.mount_point,
        "size_bytes": disk.size_bytes,
        "status": disk.status,
        "error": disk.error,
        "locked": disk.locked,
        "is_swap": disk.is_swap,
        "autobackup": disk.autobackup,
        "add_to_linux_fstab": disk.add_to_linux_fstab,
        "data_store_id": disk.data_store_id,
        "data_store_group_id": disk.data_store_group_id,
        "created_at": human.moment(disk.created_at) or None,
        "updated_at": human.moment(disk.updated_at) or None,
        "required": report.requirement.required,
        "reason": report.requirement.reason,
        "max_age_seconds": report.requirement.max_age_seconds,
        "backup_age_seconds": None if report.age_seconds is None else round(report.age_seconds),
        "last_backup": human.moment(summary.newest_at if summary is not None else None) or None,
        "last_backup_size_bytes": summary.newest_size_bytes if summary is not None else None,
        "backups": summary.usable if summary is not None else None,
        "failed_backups": summary.failed if summary is not None else None,
    }


def backup_record(backup: Backup, wall: float) -> Record:
    """Return what is known of a backup at ``wall`` (UNIX seconds)."""
    created = backup.date_created
    return {
        "backup_id": backup.id,
        "disk_id": backup.disk_id,
        "date_created": human.moment(created) or None,
        "age_seconds": None if created is None else max(0, round(wall - created)),
        "status": backup.status,
        "backup_type": backup.backup_type,
        "size_bytes": backup.size_bytes,
        "locked": backup.locked,
        "operating_system": backup.operating_system,
        "operating_system_distro": backup.operating_system_distro,
        "template_id": backup.template_id,
    }
