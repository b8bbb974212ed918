"""One account's part of the exposition, rendered again only where what it shows has changed.

It owns which series an inventory gives at a moment, staleness included. It knows nothing of the page around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Generic, TypeVar

from gigas_exporter.inventory import RESOURCES, AccountInventory, BackupSummary, Outcome
from gigas_exporter.metrics.ages import AgePart
from gigas_exporter.metrics.compression import deflate
from gigas_exporter.metrics.families import (
    ACCOUNT,
    ACCOUNT_FAMILIES,
    BACKUP_FAMILIES,
    BACKUPS_READ_FAMILIES,
    DISK,
    DISK_FAMILIES,
    INTERVAL_FAMILIES,
    MACHINE,
    MACHINE_FAMILIES,
    POLL,
    POLL_FAMILIES,
    REQUIREMENT_FAMILIES,
)
from gigas_exporter.metrics.family import Info, Measure
from gigas_exporter.metrics.render import encode, info_lines, labels_text, measure_lines
from gigas_exporter.model import Disk, VirtualMachine
from gigas_exporter.policy import Requirement

__all__ = ["AccountPart", "Segment"]

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Segment:
    """The series of one family and one account: as text, and as a piece of a deflate stream."""

    text: bytes
    deflated: bytes


class _Group(Generic[S]):
    """The families that are read from the same kind of subject, and which of them were shown last."""

    def __init__(self, families: Sequence[Measure[S] | Info[S]], segments: dict[str, Segment]) -> None:
        self._families = families
        self._segments = segments
        self._labels: Sequence[str] = ()
        self._subjects: Sequence[S | None] = ()

    def show(self, labels: Sequence[str], subjects: Sequence[S | None]) -> None:
        """Render the subjects with these label texts, unless they are shown already; an absent one has no series."""
        if subjects == self._subjects and labels == self._labels:
            return
        self.render(labels, subjects)
        self._labels, self._subjects = labels, subjects

    def render(self, labels: Sequence[str], subjects: Sequence[S | None]) -> None:
        """Do the same without asking whether they are those shown already, where that costs more than it saves."""
        present = [subject is not None for subject in subjects]
        if not all(present):
            labels = list(compress(labels, present))
        values = [subject for subject in subjects if subject is not None]
        for family in self._families:
            lines = (
                info_lines(family, labels, values)
                if isinstance(family, Info)
                else measure_lines(family, labels, values)
            )
            self._keep(family.name, encode(lines))

    def _keep(self, name: str, text: bytes) -> None:
        known = self._segments.get(name)
        if known is not None and known.text == text:
            return
        if text:
            self._segments[name] = Segment(text, deflate(text))
        else:
            self._segments.pop(name, None)


class AccountPart:
    """The rendered series of one account; used by one thread at a time.

    Attributes:
        segments: By family name; a family without series is missing.
        ages: The ages of the newest backups, to be filled in at the scrape.
        expires_at: The monotonic time at which something shown becomes too old.
    """

    def __init__(self) -> None:
        self.segments: dict[str, Segment] = {}
        self.ages = AgePart()
        self.expires_at = float("inf")
        self._inventory: AccountInventory | None = None
        self._known_disks: Mapping[str, Disk] = {}
        self._disk_labels: Sequence[str] = ()
        self._summaries: Sequence[BackupSummary | None] = ()
        segments = self.segments
        self._account: _Group[AccountInventory] = _Group(ACCOUNT_FAMILIES, segments)
        self._disks: _Group[Disk] = _Group(DISK_FAMILIES, segments)
        self._backups: _Group[BackupSummary] = _Group(BACKUP_FAMILIES, segments)
        self._backups_read: _Group[bool] = _Group(BACKUPS_READ_FAMILIES, segments)
        self._requirements: _Group[Requirement] = _Group(REQUIREMENT_FAMILIES, segments)
        self._machines: _Group[VirtualMachine] = _Group(MACHINE_FAMILIES, segments)
        self._polls: _Group[Outcome] = _Group(POLL_FAMILIES, segments)
        self._intervals: _Group[float] = _Group(INTERVAL_FAMILIES, segments)

    def show(self, inventory: AccountInventory, now: float) -> None:
        """Render what the inventory says at the monotonic time ``now``."""
        if inventory is self._inventory and now < self.expires_at:
            return
        account_id = inventory.account.id
        self._account.render([labels_text(ACCOUNT, (account_id,))], [inventory])
        self._show_disks(account_id, inventory, inventory.current_disks(now) or {}, now)
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
            self.ages = AgePart.of(labels, summaries)
        self._known_disks, self._disk_labels, self._summaries = disks, labels, summaries


def _backups_read(inventory: AccountInventory, disks: Mapping[str, Disk]) -> list[bool | None]:
    """Return for each disk whether the last backups poll read its backups, ``None`` when none has ended yet."""
    outcome, reading, listed = inventory.outcomes.get("backups"), inventory.backups, inventory.disks
    if outcome is None:
        return [None] * len(disks)
    if not outcome.success or reading is None or listed is None:
        return [False] * len(disks)
    swept_at = reading.swept_at if reading.swept_at is not None else float("-inf")
    return [
        disk_id not in reading.failed_disks
        and (disk_id in reading.summaries or listed.first_seen.get(disk_id, float("inf")) <= swept_at)
        for disk_id in disks
    ]
