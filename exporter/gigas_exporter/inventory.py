"""All that is known of one account, as an immutable snapshot.

It owns what changes with a poll's result, and when data is too old to be served. It knows neither the API nor any
metric.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, get_args

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.model import Account, Disk, VirtualMachine
from gigas_exporter.policy import Policy, Requirement, Thresholds

Resource = Literal["disks", "backups", "virtual_machines"]
RESOURCES: tuple[Resource, ...] = get_args(Resource)


@dataclass(frozen=True, slots=True)
class PollStatus:
    """How the last poll of one resource ended.

    Attributes:
        success: Whether the resource was read whole.
        duration_seconds: How long the poll took.
        last_success_at: When a poll last succeeded, UNIX seconds; ``None`` if none has.
        failing_since: When the first of the consecutive failures happened, by the monotonic clock.
        error: Why the last poll failed, in the same sentence for log, ``check`` and status page.
        invalid: Number of values by field that were not understood in the last poll with a result.
    """

    success: bool
    duration_seconds: float
    last_success_at: float | None
    failing_since: float | None = None
    error: str | None = None
    invalid: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DiskSnapshot:
    """The disks as last read whole.

    Attributes:
        disks: By disk id.
        first_seen: By disk id, when the poll that first saw the disk began, by the monotonic clock.
        read_at: When the poll ended, by the monotonic clock.
        locked_since: By id of each locked disk, since when it has been locked, as far as known; UNIX seconds.
    """

    disks: Mapping[str, Disk]
    first_seen: Mapping[str, float]
    read_at: float
    locked_since: Mapping[str, float] = field(default_factory=dict)


def locked_since(disks: Mapping[str, Disk], previous: DiskSnapshot | None, wall: float) -> dict[str, float]:
    """Estimate since when each locked disk has been locked, UNIX seconds.

    Args:
        disks: By disk id, as read now.
        previous: The snapshot before, if any. A disk that was locked there keeps its time; one that was unlocked there
            is locked since ``wall``; any other since its ``updated_at``, or since ``wall`` without one.
        wall: When the disks were read, UNIX seconds.
    """
    known: Mapping[str, Disk] = previous.disks if previous is not None else {}
    earlier: Mapping[str, float] = previous.locked_since if previous is not None else {}
    since: dict[str, float] = {}
    for disk in disks.values():
        if disk.locked is False or (disk.locked is None and disk.id not in earlier):
            continue
        if disk.id in earlier:
            since[disk.id] = earlier[disk.id]
        elif disk.id in known and known[disk.id].locked is False:
            since[disk.id] = wall
        else:
            since[disk.id] = wall if disk.updated_at is None else min(disk.updated_at, wall)
    return since


@dataclass(frozen=True, slots=True)
class MachineSnapshot:
    """The virtual machines as last read whole.

    Attributes:
        machines: By id.
        read_at: When the poll ended, by the monotonic clock.
    """

    machines: Mapping[str, VirtualMachine]
    read_at: float


@dataclass(frozen=True, slots=True)
class BackupSnapshot:
    """The backups as last read.

    Attributes:
        summaries: By disk id, for each disk that has backups or whose own list was read.
        failed_disks: Disks whose backups the last poll could not read; their summary, if any, is an older one.
        sweep_started_at: When a successful sweep began, by the monotonic clock: a disk that was known by then and has
            no summary has no backup. ``None`` if own lists were read instead, or a backup's disk was not understood.
        read_at: When the poll ended, by the monotonic clock.
        by_status: Number of backups by status, at most 20 statuses and ``other``; ``""`` counts those without one.
        unmatched_statuses: Those of ``by_status`` that match no configured word, or say more than a good word.
        unassigned: Number of backups that name no listed disk; ``None`` if it is unknown which disks are listed.
        own_lists_read: Disks whose own list was read, so that their summaries are complete.
        error: Why the first failed request for one of ``failed_disks`` failed; ``None`` if none was sent.
        waiting_disks: Those of ``failed_disks`` that were not asked, and whose previous reading did not fail: it counts
            until it is too old.
    """

    summaries: Mapping[str, BackupSummary]
    failed_disks: frozenset[str]
    sweep_started_at: float | None
    read_at: float
    by_status: Mapping[str, int] = field(default_factory=dict)
    unmatched_statuses: tuple[str, ...] = ()
    unassigned: int | None = 0
    own_lists_read: frozenset[str] = frozenset()
    error: str | None = None
    waiting_disks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class StalenessLimits:
    """How long snapshots are served, in seconds."""

    disks: float
    backups: float

    @classmethod
    def of(cls, max_staleness: float, interval: float, backups_interval: float) -> StalenessLimits:
        """Return the limits, which always leave time for the next polls."""
        return cls(max(max_staleness, 2 * interval), max(max_staleness, 6 * backups_interval))


@dataclass(frozen=True, slots=True)
class AccountInventory:
    """Everything known of one account.

    Attributes:
        disks: ``None`` until the disks were read.
        machines: ``None`` until the virtual machines were read.
        backups: ``None`` until a backups poll ended with a result.
        requirements: What the policy asks of each disk of ``disks``, by disk id.
        outcomes: How the last poll of each resource ended; a resource is missing until its first poll has.
        intervals: The configured seconds between polls of each resource.
        known_machines: By id, the last known state of each virtual machine that a disk refers to, however old.
        thresholds: Limits on how long a disk may stay locked or without a backup.
    """

    account: Account
    limits: StalenessLimits
    disks: DiskSnapshot | None = None
    machines: MachineSnapshot | None = None
    backups: BackupSnapshot | None = None
    requirements: Mapping[str, Requirement] = field(default_factory=dict)
    outcomes: Mapping[Resource, PollStatus] = field(default_factory=dict)
    intervals: Mapping[Resource, float] = field(default_factory=dict)
    known_machines: Mapping[str, VirtualMachine] = field(default_factory=dict)
    thresholds: Thresholds = field(default_factory=Thresholds)

    def with_outcome(self, resource: Resource, outcome: PollStatus) -> AccountInventory:
        """Return a copy with the outcome of ``resource``."""
        return replace(self, outcomes={**self.outcomes, resource: outcome})

    def with_requirements(self, policy: Policy) -> AccountInventory:
        """Return a copy with each disk's requirement and virtual machine.

        A mapping that has not changed stays the same object, so that a change can be found by identity.
        """
        disks: Mapping[str, Disk] = self.disks.disks if self.disks is not None else {}
        listed: Mapping[str, VirtualMachine] = self.machines.machines if self.machines is not None else {}
        machines: dict[str, VirtualMachine] = {}
        for machine_id in {disk.virtual_machine_id for disk in disks.values()}:
            machine = listed.get(machine_id or "") or self.known_machines.get(machine_id or "")
            if machine is not None:
                machines[machine.id] = machine
        requirements = policy.requirements(self.account.id, disks, machines)
        return replace(
            self,
            known_machines=self.known_machines if machines == self.known_machines else machines,
            requirements=self.requirements if requirements == self.requirements else requirements,
        )

    def current_disks(self, now: float) -> Mapping[str, Disk] | None:
        """Return the disks, ``None`` when they are too old."""
        snapshot = self.disks
        if snapshot is None or now >= snapshot.read_at + self.limits.disks:
            return None
        return snapshot.disks

    def current_machines(self, now: float) -> Mapping[str, VirtualMachine] | None:
        """Return the virtual machines, ``None`` when they or the disks are too old."""
        if self.machines is None or self.current_disks(now) is None:
            return None
        return self.machines.machines if now < self.machines.read_at + self.limits.disks else None

    def current_backups(self, now: float) -> BackupSnapshot | None:
        """Return the backups, ``None`` when they are too old."""
        snapshot = self.backups
        return None if snapshot is None or now >= snapshot.read_at + self.limits.backups else snapshot

    def backup_summary(self, disk_id: str, now: float) -> BackupSummary | None:
        """Return a disk's backups, ``None`` when not known or too old.

        Only its own list can confirm that a disk with a required backup has none.
        """
        snapshot, disks = self.backups, self.disks
        if snapshot is None:
            return None
        summary = snapshot.summaries.get(disk_id)
        requirement = self.requirements.get(disk_id)
        if (summary is None or not summary.usable) and requirement is not None and requirement.required:
            is_partial = snapshot.sweep_started_at is not None or disk_id in snapshot.failed_disks
            if is_partial and disk_id not in snapshot.own_lists_read:
                return None
        if summary is None and snapshot.sweep_started_at is not None and disks is not None:
            swept = disks.first_seen.get(disk_id, float("inf")) <= snapshot.sweep_started_at
            summary = BackupSummary(0, 0, None, None, None, snapshot.read_at) if swept else None
        if summary is None or now >= summary.read_at + self.limits.backups:
            return None
        return summary

    def next_expiry(self, now: float) -> float:
        """Return the monotonic time when the next data becomes too old."""
        expiries: list[float] = []
        if self.disks is not None:
            expiries.append(self.disks.read_at + self.limits.disks)
        if self.machines is not None:
            expiries.append(self.machines.read_at + self.limits.disks)
        if self.backups is not None:
            expiries.append(self.backups.read_at + self.limits.backups)
            expiries.extend({summary.read_at + self.limits.backups for summary in self.backups.summaries.values()})
        return min((expiry for expiry in expiries if expiry > now), default=float("inf"))


class SnapshotSource(Protocol):
    """Where inventories come from."""

    @property
    def version(self) -> int:
        """A number that has grown once :meth:`snapshot` shows a change."""
        ...

    def snapshot(self) -> tuple[AccountInventory, ...]:
        """Return all inventories of one moment, ordered by account id."""
        ...
