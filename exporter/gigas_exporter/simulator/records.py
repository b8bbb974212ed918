"""The records that the simulated cloud stores, small enough for 100,000 disks.

Ids are numbers here and text in the model; sizes are in the API's units, GB and KB. Records convert themselves to the
model; :mod:`.json_encoding` converts them to JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gigas_exporter.model import Backup, Disk, VirtualMachine

GIBIBYTE = 1 << 30
KIBIBYTE = 1 << 10


@dataclass(frozen=True, slots=True)
class System:
    """An operating system that virtual machines are built from."""

    name: str
    distro: str
    template_id: int


@dataclass(slots=True)
class BackupRecord:
    """A backup."""

    number: int
    disk: int
    created_at: int
    status: str
    size_kb: int | None
    automatic: bool
    locked: bool = False


@dataclass(slots=True)
class Schedule:
    """When a disk's automatic backups are made (see :mod:`.schedule`).

    Attributes:
        anchor: Simulated time of slot 0; one slot a day follows.
        first: The first slot that makes a backup.
        last: The last one; ``None`` if the schedule has no end.
        base_kb: Size of the backup of slot 0.
        failing: Probability that the backup of a slot after 0 fails.
        outcomes: Fixed statuses, by slot.
        shrunk_from: The first slot whose backup has only a twentieth of the usual size.
    """

    anchor: float
    base_kb: int
    first: int = -6
    last: int | None = None
    failing: float = 0.0
    outcomes: dict[int, str] | None = None
    shrunk_from: int | None = None


@dataclass(slots=True)
class MachineRecord:
    """A virtual machine."""

    number: int
    label: str
    hostname: str
    system: System
    status: str
    type: str
    memory_mb: int
    cpus: int
    location: int
    created_at: int
    initial_password: str

    @property
    def model(self) -> VirtualMachine:
        """The machine in the model, without its password."""
        return VirtualMachine(str(self.number), self.label, self.hostname, self.type, self.status)


@dataclass(slots=True)
class DiskRecord:
    """A disk.

    Attributes:
        kept: The stored backups; ``None`` if all are computed from the schedule.
        operation: Number of the background operation that locked the disk; 0 for none.
        encoded: The disk's JSON, cached until :meth:`touch`.
    """

    number: int
    account: AccountRecord = field(repr=False)
    machine: int | None
    size_gb: int
    system: System
    mount_point: str | None
    is_swap: bool
    autobackup: bool
    primary: bool
    store: int
    store_group: int
    created_at: int
    updated_at: int
    status: str = "built"
    error: bool = False
    locked: bool = False
    fstab: bool = True
    schedule: Schedule | None = None
    kept: list[BackupRecord] | None = None
    operation: int = 0
    encoded: bytes | None = None

    def touch(self, now: float) -> None:
        """Set the time of the last change, and drop the cached JSON."""
        self.updated_at = int(now)
        self.encoded = None

    @property
    def model(self) -> Disk:
        """The disk in the model."""
        return Disk(
            id=str(self.number),
            virtual_machine_id=None if self.machine is None else str(self.machine),
            size_bytes=self.size_gb * GIBIBYTE,
            status=self.status,
            error=self.error,
            locked=self.locked,
            is_swap=self.is_swap,
            autobackup=self.autobackup,
            mount_point=self.mount_point,
            add_to_linux_fstab=self.fstab,
            data_store_id=str(self.store),
            data_store_group_id=str(self.store_group),
            created_at=float(self.created_at),
            updated_at=float(self.updated_at),
            status_is_error=self.status == "error",
        )

    def backup_model(self, backup: BackupRecord) -> Backup:
        """Return a backup in the model."""
        return Backup(
            id=str(backup.number),
            disk_id=str(self.number),
            date_created=float(backup.created_at),
            status=backup.status,
            operating_system=self.system.name,
            operating_system_distro=self.system.distro,
            template_id=str(self.system.template_id),
            size_bytes=None if backup.size_kb is None else backup.size_kb * KIBIBYTE,
            locked=backup.locked,
            backup_type="gigas-automatic" if backup.automatic else "gigas",
        )


@dataclass(slots=True)
class AccountRecord:
    """An account with its machines and disks, in the order of listing.

    Attributes:
        position: Its index among the accounts, which determines the style.
        changes: Number of changes to the list of disks or the number of backups.
        retention: How many automatic backups of a disk are kept.
    """

    number: int
    position: int
    domain: str
    retention: int
    machines: dict[int, MachineRecord] = field(default_factory=dict, repr=False)
    disks: dict[int, DiskRecord] = field(default_factory=dict, repr=False)
    changes: int = 0
