"""One account's part of the exposition, rendered again only where what it shows has changed.

It owns which series an inventory gives at a moment, staleness included. It knows nothing of the page around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.inventory import RESOURCES, AccountInventory, Outcome
from gigas_exporter.metrics.backup_age import AgeTemplate
from gigas_exporter.metrics.exporter_families import ACCOUNT, INTERVAL_FAMILIES, POLL, POLL_FAMILIES
from gigas_exporter.metrics.families import (
    ACCOUNT_FAMILIES,
    BACKUP_FAMILIES,
    BACKUPS_READ_FAMILIES,
    DISK,
    DISK_FAMILIES,
    MACHINE,
    MACHINE_FAMILIES,
    REQUIREMENT_FAMILIES,
)
from gigas_exporter.metrics.group import FamilyGroup, Segment
from gigas_exporter.metrics.judged import FindingsRenderer
from gigas_exporter.metrics.render import labels_text
from gigas_exporter.model import Disk, VirtualMachine
from gigas_exporter.policy import Requirement


class AccountRenderer:
    """One account's rendered series; not thread-safe.

    Attributes:
        segments: By family name; a family without series is missing.
        ages: The ages of the newest backups, to be filled in at the scrape.
        expires_at: The monotonic time at which something shown becomes too old.
        due_at: The monotonic time at which a finding may come or go by time alone.
    """

    def __init__(self) -> None:
        self.segments: dict[str, Segment] = {}
        self.ages = AgeTemplate()
        self.expires_at = float("inf")
        self.due_at = float("inf")
        self._inventory: AccountInventory | None = None
        self._known_disks: Mapping[str, Disk] = {}
        self._disk_labels: Sequence[str] = ()
        self._summaries: Sequence[BackupSummary | None] = ()
        segments = self.segments
        self._account: FamilyGroup[AccountInventory] = FamilyGroup(ACCOUNT_FAMILIES, segments)
        self._disks: FamilyGroup[Disk] = FamilyGroup(DISK_FAMILIES, segments)
        self._backups: FamilyGroup[BackupSummary] = FamilyGroup(BACKUP_FAMILIES, segments)
        self._backups_read: FamilyGroup[bool] = FamilyGroup(BACKUPS_READ_FAMILIES, segments)
        self._requirements: FamilyGroup[Requirement] = FamilyGroup(REQUIREMENT_FAMILIES, segments)
        self._machines: FamilyGroup[VirtualMachine] = FamilyGroup(MACHINE_FAMILIES, segments)
        self._polls: FamilyGroup[Outcome] = FamilyGroup(POLL_FAMILIES, segments)
        self._intervals: FamilyGroup[float] = FamilyGroup(INTERVAL_FAMILIES, segments)
        self._judged = FindingsRenderer(segments)

    def show(self, inventory: AccountInventory, now: float, wall: float) -> None:
        """Render what the inventory says at the monotonic time ``now``, which is ``wall`` in UNIX seconds."""
        if inventory is self._inventory and now < min(self.expires_at, self.due_at):
            return
        account_id = inventory.account.id
        self._account.render([labels_text(ACCOUNT, (account_id,))], [inventory])
        self._show_disks(account_id, inventory, inventory.current_disks(now) or {}, now)
        self._judged.show(inventory, self._disk_labels, self._summaries, now=now, wall=wall)
        self.due_at = now + max(0.0, self._judged.valid_until - wall)
        machines = list((inventory.current_machines(now) or {}).values())
        self._machines.show([labels_text(MACHINE, (account_id, machine.id)) for machine in machines], machines)
        resources = [labels_text(POLL, (account_id, resource)) for resource in RESOURCES]
        self._polls.show(resources, [inventory.outcomes.get(resource) for resource in RESOURCES])
        self._intervals.show(resources, [inventory.intervals.get(resource) for resource in RESOURCES])
        self._inventory, self.expires_at = inventory, inventory.next_expiry(now)

    def _show_disks(self, account_id: str, inventory: AccountInventory, disks: Mapping[str, Disk], now: float) -> None:
        labels = self._disk_labels
        if disks is not self._known_disks:
            labels = [labels_text(DISK, (account_id, disk.id, disk.virtual_machine_id)) for disk in disks.values()]
            labels = self._disk_labels if labels == self._disk_labels else labels
        self._disks.show(labels, list(disks.values()))
        self._requirements.show(labels, [inventory.requirements.get(disk_id) for disk_id in disks])
        self._backups_read.show(labels, _backups_read(inventory, disks))
        summaries = [inventory.backup_summary(disk_id, now) for disk_id in disks]
        if summaries != self._summaries or labels is not self._disk_labels:
            self._backups.show(labels, summaries)
            self.ages = AgeTemplate.of(labels, summaries)
        self._known_disks, self._disk_labels, self._summaries = disks, labels, summaries


def _backups_read(inventory: AccountInventory, disks: Mapping[str, Disk]) -> list[bool | None]:
    """Return for each disk whether the last backups poll read its backups, ``None`` when none has ended yet."""
    outcome, reading, listed = inventory.outcomes.get("backups"), inventory.backups, inventory.disks
    if outcome is None:
        return [None] * len(disks)
    if not outcome.success or reading is None or listed is None:
        return [False] * len(disks)
    full_scan_started_at = reading.full_scan_started_at if reading.full_scan_started_at is not None else float("-inf")
    return [
        disk_id not in reading.failed_disks
        and (disk_id in reading.summaries or listed.first_seen.get(disk_id, float("inf")) <= full_scan_started_at)
        for disk_id in disks
    ]
