"""What the platform stores, small enough for 100,000 disks.

Ids are numbers in here and text outside; sizes are in the platform's own units. The records know how to become the
domain's objects, which are the truth that tests compare with; they know neither HTTP nor the wire's spellings.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gigas_exporter.model import Backup, Disk, VirtualMachine

__all__ = ["AccountRecord", "BackupRecord", "DiskRecord", "MachineRecord", "Schedule", "System"]

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
    """A stored backup, unlike one worked out on schedule."""

    number: int
    disk: int
    created_at: int
    status: str
    size_kb: int | None
    automatic: bool
    locked: bool = False


@dataclass(slots=True)
class Schedule:
    """When the platform makes a disk's automatic backups, and how they turn out; see :mod:`.schedule`.

    Attributes:
        anchor: Nominal time of slot 0; one slot a day follows.
        first: The first slot that makes a backup.
        last: The last one, ``None`` when the schedule goes on.
        base_kb: Size of the backup of slot 0.
        failing: Chance that a backup of the slots after 0 fails.
        outcomes: Statuses that certain slots have for ever.
        shrunk_from: The slot from which on backups are a twentieth of their size.
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
        """The machine in the domain's type, without its password."""
        return VirtualMachine(str(self.number), self.label, self.hostname, self.type, self.status)


@dataclass(slots=True)
class DiskRecord:
    """A disk.

    Attributes:
        operation: The operation in the background that has locked the disk, 0 for none.
        encoded: Its JSON, once it was asked for, until :meth:`touch`.
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
        """Note that the disk changed."""
        self.updated_at = int(now)
        self.encoded = None

    @property
    def model(self) -> Disk:
        """The disk as the domain sees it."""
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

    def backup_truth(self, backup: BackupRecord) -> Backup:
        """Return a backup in the domain's type."""
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
    """An account and what it holds, each kind in the order of its listing.

    Attributes:
        position: Which account of the world it is, from 0; some habits of the platform go by it.
        changes: Counts the changes that make other disks or other numbers of backups be listed.
        retention: How many automatic backups of a disk the platform keeps.
    """

    number: int
    position: int
    domain: str
    retention: int
    machines: dict[int, MachineRecord] = field(default_factory=dict, repr=False)
    disks: dict[int, DiskRecord] = field(default_factory=dict, repr=False)
    changes: int = 0
