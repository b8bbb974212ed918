"""Every metric: name, type, help, labels, source, and its value.

A metric is defined here, or in ``exporter_families`` if it is about the exporter itself. Renderer, telemetry,
docs/metrics.md and tests use these definitions. This module knows neither exposition formats nor staleness.
"""

from __future__ import annotations

from operator import attrgetter
from typing import NamedTuple

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.inventory import AccountInventory
from gigas_exporter.metrics.exporter_families import ACCOUNT_LABELS, EXPORTER_FAMILIES
from gigas_exporter.metrics.family import Family, Gauge, Info
from gigas_exporter.model import Disk, VirtualMachine
from gigas_exporter.policy import Requirement

DISK_LABELS = ("account_id", "disk_id", "virtual_machine_id")
MACHINE_LABELS = ("account_id", "virtual_machine_id")

FINDING_LABELS = (*DISK_LABELS, "virtual_machine", "mount_point", "finding", "limit")

_POLLED = "As of the exporter's own last poll, not of the scrape."
_BACKUPS_POLLED = "As of the exporter's own last poll of the backups, not of the scrape."


UP: Gauge[AccountInventory] = Gauge(
    "gigas_up",
    "gauge",
    "Whether the last poll of the account's disk list succeeded (1) or failed (0). " + _POLLED,
    ACCOUNT_LABELS,
    "result of the disks poll",
    lambda inventory: inventory.outcomes["disks"].success if "disks" in inventory.outcomes else None,
)
ACCOUNT_INFO: Info[AccountInventory] = Info(
    "gigas_account_info",
    "gauge",
    "A watched account; its name is the configured one, or the domain of a discovered account.",
    (*ACCOUNT_LABELS, "name"),
    "configuration; `domain` of a discovered account",
    ("name",),
    lambda inventory: (inventory.account.name,),
)

ACCOUNT_FAMILIES: tuple[Gauge[AccountInventory] | Info[AccountInventory], ...] = (UP, ACCOUNT_INFO)
"""Read from a whole inventory."""


class AccountTotals(NamedTuple):
    """The totals of an account; ``None`` where not known."""

    disks: int | None
    disk_size_bytes: int | None
    backups: int | None
    backup_size_bytes: int | None
    backups_unassigned: int | None
    compliance_ratio: float | None


def _total(name: str, text: str, attribute: str, source: str) -> Gauge[AccountTotals]:
    return Gauge(name, "gauge", text, ACCOUNT_LABELS, source, attrgetter(attribute))


TOTALS_FAMILIES: tuple[Gauge[AccountTotals], ...] = (
    _total("gigas_account_disks", "Disks in the account's last whole list. " + _POLLED, "disks", "list of disks"),
    _total(
        "gigas_account_disk_size_bytes",
        "Total size of the account's disks, of those whose size is known. " + _POLLED,
        "disk_size_bytes",
        "sum of `gigas_disk_size_bytes`",
    ),
    _total(
        "gigas_account_backups",
        "Usable backups of the account's disks. " + _BACKUPS_POLLED,
        "backups",
        "list of backups",
    ),
    _total(
        "gigas_account_backup_size_bytes",
        "Total size of the newest usable backups of all disks, of those whose size is known. " + _BACKUPS_POLLED,
        "backup_size_bytes",
        "sum of `gigas_disk_backup_last_size_bytes`",
    ),
    _total(
        "gigas_account_backups_unassigned",
        "Listed backups that name no listed disk. " + _BACKUPS_POLLED,
        "backups_unassigned",
        "`disk_id` of the backups",
    ),
    _total(
        "gigas_account_backup_compliance_ratio",
        "Of the disks that must have a backup, the share whose newest usable one is within its limit. "
        + _BACKUPS_POLLED,
        "compliance_ratio",
        "list of backups; `backup_policy` of the configuration",
    ),
)
"""Read from the totals of an account."""

DISKS_WITH_FINDING: Gauge[int] = Gauge(
    "gigas_account_disks_with_finding",
    "gauge",
    "Disks of the account with the finding; absent while that is not known. " + _POLLED,
    (*ACCOUNT_LABELS, "finding"),
    "count of `gigas_disk_finding`",
    int,
)
DISKS_UNDECIDED: Gauge[int] = Gauge(
    "gigas_account_disks_undecided",
    "gauge",
    "Disks of the account that cannot be judged because this field of the disk, its backups or its virtual machine "
    "is not known; absent if there are none. " + _POLLED,
    (*ACCOUNT_LABELS, "field"),
    "the fields behind the finding `not_understood`",
    int,
)
BACKUPS_BY_STATUS: Gauge[int] = Gauge(
    "gigas_account_backups_by_status",
    "gauge",
    "Listed backups by status in the words of the API: the 20 most common, the rest as other. " + _BACKUPS_POLLED,
    (*ACCOUNT_LABELS, "status"),
    "`status` of the backups",
    int,
)
DISK_INFO: Info[tuple[Disk, str]] = Info(
    "gigas_disk_info",
    "gauge",
    "A disk, with the name of its virtual machine and its data store; absent until the first poll of the virtual "
    "machines. " + _POLLED,
    (*DISK_LABELS, "virtual_machine", "mount_point", "data_store_id", "data_store_group_id"),
    "`label` or `hostname` of the virtual machine, else its id, detached or unknown; `mount_point`, `data_store_id`, "
    "`data_store_group_id`",
    ("virtual_machine", "mount_point", "data_store_id", "data_store_group_id"),
    lambda named: (named[1], named[0].mount_point, named[0].data_store_id, named[0].data_store_group_id),
)
DISK_FINDING: Info[tuple[str | None, ...]] = Info(
    "gigas_disk_finding",
    "gauge",
    "A finding about a disk, with the limit that was exceeded, if any. As of the exporter's own last poll; a finding "
    "that time alone causes appears within a minute.",
    FINDING_LABELS,
    "the disk, its backups, `backup_policy` and `thresholds` of the configuration",
    ("virtual_machine", "mount_point", "finding", "limit"),
    tuple,
)
DISK_STATUS: Info[Disk] = Info(
    "gigas_disk_status",
    "gauge",
    "The current status of the disk, in the words of the API. " + _POLLED,
    (*DISK_LABELS, "status"),
    "`status`",
    ("status",),
    lambda disk: None if disk.status is None else (disk.status,),
)


def _disk(name: str, text: str, attribute: str, source: str | None = None) -> Gauge[Disk]:
    return Gauge(name, "gauge", f"{text} {_POLLED}", DISK_LABELS, source or f"`{attribute}`", attrgetter(attribute))


DISK_FAMILIES: tuple[Gauge[Disk] | Info[Disk], ...] = (
    DISK_STATUS,
    _disk("gigas_disk_size_bytes", "Size of the disk.", "size_bytes", "`disk_size` × 2^30"),
    _disk("gigas_disk_error", "Whether the disk has an error (1) or not (0).", "has_error", "`error`, `status`"),
    _disk("gigas_disk_locked", "Whether an operation holds the disk locked (1) or not (0).", "locked"),
    _disk("gigas_disk_swap", "Whether the disk is swap space (1) or not (0).", "is_swap"),
    _disk("gigas_disk_autobackup", "Whether automatic backups are on (1) or off (0).", "autobackup"),
    _disk("gigas_disk_created_timestamp_seconds", "When the disk was created, UNIX time.", "created_at"),
    _disk("gigas_disk_updated_timestamp_seconds", "When the disk was last changed, UNIX time.", "updated_at"),
)
"""Read from a disk."""


def _backup(name: str, text: str, attribute: str, source: str) -> Gauge[BackupSummary]:
    return Gauge(name, "gauge", f"{text} {_BACKUPS_POLLED}", DISK_LABELS, source, attrgetter(attribute))


BACKUPS = _backup(
    "gigas_disk_backups",
    "Usable backups of the disk: neither failed, unfinished nor doubtful.",
    "usable",
    "list of backups, by `status`",
)
BACKUPS_FAILED = _backup(
    "gigas_disk_backups_failed",
    "Listed backups of the disk whose status says that they failed.",
    "failed",
    "list of backups, by `status`",
)
BACKUPS_READ: Gauge[bool] = Gauge(
    "gigas_disk_backups_poll_success",
    "gauge",
    "Whether the disk's backups were read in the last poll of the backups (1) or not (0). " + _BACKUPS_POLLED,
    DISK_LABELS,
    "result of the backups poll",
    bool,
)
BACKUP_LAST = _backup(
    "gigas_disk_backup_last_timestamp_seconds",
    "When the newest usable backup was made, UNIX time.",
    "newest_at",
    "`date_created` of the newest usable backup",
)
BACKUP_AGE: Gauge[BackupSummary] = Gauge(
    "gigas_disk_backup_age_seconds",
    "gauge",
    "Time since the newest usable backup was made, computed at the scrape from the exporter's own last poll of the "
    "backups; never below 0.",
    DISK_LABELS,
    "now − `date_created` of the newest usable backup",
    attrgetter("newest_at"),
)
BACKUP_LAST_SIZE = _backup(
    "gigas_disk_backup_last_size_bytes",
    "Size of the newest usable backup.",
    "newest_size_bytes",
    "`backup_size` × 1024 of the newest usable backup",
)
BACKUP_OLDEST = _backup(
    "gigas_disk_backup_oldest_timestamp_seconds",
    "When the oldest usable backup was made, UNIX time.",
    "oldest_at",
    "`date_created` of the oldest usable backup",
)
BACKUP_LAST_FAILED = _backup(
    "gigas_disk_backup_last_failed",
    "Whether the newest listed attempt at a backup failed (1) or not (0).",
    "last_failed",
    "list of backups, by `status` and `date_created`",
)
BACKUP_TYPICAL_SIZE = _backup(
    "gigas_disk_backup_typical_size_bytes",
    "Median size of the usable backups except the newest; absent with fewer than three of them.",
    "typical_size_bytes",
    "`backup_size` of the backups",
)
BACKUP_FAMILIES = (
    BACKUPS,
    BACKUPS_FAILED,
    BACKUP_LAST,
    BACKUP_LAST_SIZE,
    BACKUP_OLDEST,
    BACKUP_LAST_FAILED,
    BACKUP_TYPICAL_SIZE,
)
"""Read from the summary of a disk's backups; the age, which changes with time, is apart."""

BACKUPS_READ_FAMILIES = (BACKUPS_READ,)
"""Read from whether the disk's backups were read in the last poll."""

REQUIREMENT_FAMILIES: tuple[Gauge[Requirement], ...] = (
    Gauge(
        "gigas_disk_backup_required",
        "gauge",
        "Whether the backup policy requires backups of the disk (1) or not (0). " + _POLLED,
        DISK_LABELS,
        "`backup_policy` of the configuration",
        attrgetter("required"),
    ),
    Gauge(
        "gigas_disk_backup_exempt",
        "gauge",
        "Whether a rule of the backup policy exempts the disk and says why (1) or not (0). A disk for which backups "
        "are neither required nor exempt is unprotected, unless it is swap. " + _POLLED,
        DISK_LABELS,
        "`backup_policy` of the configuration: a rule with `required: false` and a `reason`",
        lambda requirement: not requirement.required and requirement.reason is not None,
    ),
    Gauge(
        "gigas_disk_backup_max_age_seconds",
        "gauge",
        "Maximum age of the newest usable backup, by the backup policy; absent if no backup is required. " + _POLLED,
        DISK_LABELS,
        "`backup_policy` of the configuration",
        lambda requirement: requirement.max_age_seconds if requirement.required else None,
    ),
)
"""Read from what the policy requires of a disk."""

MACHINE_INFO: Info[VirtualMachine] = Info(
    "gigas_virtual_machine_info",
    "gauge",
    "A virtual machine, with its names. " + _POLLED,
    (*MACHINE_LABELS, "label", "hostname", "type", "status"),
    "`label`, `hostname`, `type`, `status` of the virtual machine",
    ("label", "hostname", "type", "status"),
    attrgetter("label", "hostname", "type", "status"),
)
MACHINE_FAMILIES: tuple[Info[VirtualMachine], ...] = (MACHINE_INFO,)
"""Read from a virtual machine."""

FAMILIES: tuple[Family, ...] = (
    *ACCOUNT_FAMILIES,
    *TOTALS_FAMILIES,
    DISKS_WITH_FINDING,
    DISKS_UNDECIDED,
    BACKUPS_BY_STATUS,
    DISK_INFO,
    DISK_FINDING,
    *DISK_FAMILIES,
    BACKUPS,
    BACKUPS_FAILED,
    BACKUPS_READ,
    BACKUP_LAST,
    BACKUP_AGE,
    BACKUP_LAST_SIZE,
    BACKUP_OLDEST,
    BACKUP_LAST_FAILED,
    BACKUP_TYPICAL_SIZE,
    *REQUIREMENT_FAMILIES,
    *MACHINE_FAMILIES,
    *EXPORTER_FAMILIES,
)
"""All metrics, in the order of the documentation; ``process_*`` and ``python_*`` come from prometheus-client."""
