"""One account's part of the exposition, rendered again only where what it shows has changed.

It owns which series an inventory gives at a moment, staleness included, and when the judgement is made anew: with the
data, and when time alone changes it. It knows nothing of the page around it.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Mapping, Sequence

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.inventory import RESOURCES, AccountInventory, Outcome
from gigas_exporter.metrics.backup_age import AgeTemplate
from gigas_exporter.metrics.exporter_families import ACCOUNT, INTERVAL_FAMILIES, POLL, POLL_FAMILIES, POLL_INVALID_ITEMS
from gigas_exporter.metrics.families import (
    ACCOUNT_FAMILIES,
    BACKUP_FAMILIES,
    BACKUPS_BY_STATUS,
    BACKUPS_READ_FAMILIES,
    DISK,
    DISK_FAMILIES,
    DISK_FINDING,
    DISK_INFO,
    DISKS_UNDECIDED,
    DISKS_WITH_FINDING,
    MACHINE,
    MACHINE_FAMILIES,
    REQUIREMENT_FAMILIES,
    TOTALS_FAMILIES,
    AccountTotals,
)
from gigas_exporter.metrics.render import FamilyGroup, Segment, labels_text
from gigas_exporter.model import Disk, VirtualMachine
from gigas_exporter.policy import Requirement
from gigas_exporter.report import (
    METRIC_FINDINGS,
    NEED_BACKUPS,
    Finding,
    Judgement,
    doubt_of_empty,
    finding_limit,
    judge_account,
    machine_name,
)


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


_NOTHING = Judgement({}, {}, False, 0, 0, float("inf"))


class FindingsRenderer:
    """The series of one account that its judgement gives; used by one thread at a time.

    Attributes:
        valid_until: UNIX seconds at which time alone may change what is shown.
    """

    def __init__(self, segments: dict[str, Segment]) -> None:
        self.valid_until = float("inf")
        self._judgement = _NOTHING
        self._judged: tuple[object, ...] = ()
        self._locked_since: Mapping[str, float] = {}
        self._judged_at = 0.0
        self._expires_at = float("inf")
        self._names: Sequence[str] = ()
        self._named: tuple[object, ...] = ()
        self._shown_for: tuple[object, ...] = ()
        self._info: FamilyGroup[tuple[Disk, str]] = FamilyGroup((DISK_INFO,), segments)
        self._findings: FamilyGroup[tuple[str | None, ...]] = FamilyGroup((DISK_FINDING,), segments)
        self._counts: FamilyGroup[int] = FamilyGroup((DISKS_WITH_FINDING,), segments)
        self._undecided: FamilyGroup[int] = FamilyGroup((DISKS_UNDECIDED,), segments)
        self._totals: FamilyGroup[AccountTotals] = FamilyGroup(TOTALS_FAMILIES, segments)
        self._statuses: FamilyGroup[int] = FamilyGroup((BACKUPS_BY_STATUS,), segments)
        self._invalid: FamilyGroup[int] = FamilyGroup((POLL_INVALID_ITEMS,), segments)

    def show(
        self,
        inventory: AccountInventory,
        labels: Sequence[str],
        summaries: Sequence[BackupSummary | None],
        *,
        now: float,
        wall: float,
    ) -> None:
        """Render what is found at the monotonic time ``now``, which is ``wall`` in UNIX seconds.

        There is one label text, and one summary of backups, for each disk.
        """
        listed = inventory.current_disks(now)
        # Without the names of the machines every alert would begin anew with the next poll.
        is_shown = listed is not None and "virtual_machines" in inventory.outcomes
        is_doubted = bool(doubt_of_empty(inventory, now))
        disks: Mapping[str, Disk] = listed if listed is not None and is_shown else {}
        self._judge(inventory, summaries, is_shown=is_shown, now=now, wall=wall)
        self._show_disks(inventory, disks, labels)
        account = labels_text(ACCOUNT, (inventory.account.id,))
        self._show_counts(account, is_shown=is_shown and not is_doubted)
        self._show_totals(inventory, account, listed, summaries, now)
        self._show_invalid(inventory, listed or {}, is_doubted=is_doubted)

    def _judge(
        self,
        inventory: AccountInventory,
        summaries: Sequence[BackupSummary | None],
        *,
        is_shown: bool,
        now: float,
        wall: float,
    ) -> None:
        """Judge anew where the data, or what time makes of it, is not what it was."""
        reading = inventory.disks
        if reading is None or not is_shown:
            self._judgement, self._judged, self.valid_until = _NOTHING, (), float("inf")
            return
        judged = reading.disks, inventory.backups, inventory.requirements, inventory.thresholds
        is_same = _are_same(judged, self._judged) and reading.locked_since == self._locked_since
        if is_same and now < self._expires_at and self._judged_at <= wall < self.valid_until:
            return
        self._judgement = judge_account(inventory, summaries, wall=wall, monotonic=now)
        self._judged, self._locked_since = judged, reading.locked_since
        self._judged_at, self.valid_until = wall, self._judgement.valid_until
        self._expires_at = inventory.next_expiry(now)

    def _show_disks(self, inventory: AccountInventory, disks: Mapping[str, Disk], labels: Sequence[str]) -> None:
        named = (disks, inventory.known_machines)
        if not _are_same(named, self._named):
            self._names = [machine_name(disk, inventory.known_machines) for disk in disks.values()]
            self._named = named
        shown_for = (self._judgement, self._names, labels)
        if _are_same(shown_for, self._shown_for):
            return
        self._shown_for = shown_for
        shown = labels if disks else ()
        self._info.show(shown, list(zip(disks.values(), self._names, strict=True)))
        found, series = [], []
        for disk, name, label in zip(disks.values(), self._names, shown, strict=True):
            for finding in self._judgement.findings.get(disk.id, ()):
                if finding not in _DESCRIBING:
                    limit = finding_limit(finding, inventory.requirements.get(disk.id), inventory.thresholds)
                    found.append(label)
                    series.append((name, disk.mount_point, finding.metric, limit))
        self._findings.show(found, series)

    def _show_counts(self, account: str, *, is_shown: bool) -> None:
        counts = Counter(finding for findings in self._judgement.findings.values() for finding in findings)
        shown = [
            finding
            for finding in METRIC_FINDINGS
            if is_shown and (self._judgement.is_backups_known or finding not in NEED_BACKUPS)
        ]
        labels = [f"{account},{labels_text(('finding',), (finding.metric,))}" for finding in shown]
        self._counts.show(labels, [counts[finding] for finding in shown])
        undecided = Counter(field for fields in self._judgement.undecided.values() for field in fields)
        fields = sorted(undecided) if is_shown else []
        labels = [f"{account},{labels_text(('field',), (field,))}" for field in fields]
        self._undecided.show(labels, [undecided[field] for field in fields])

    def _show_totals(
        self,
        inventory: AccountInventory,
        account: str,
        disks: Mapping[str, Disk] | None,
        summaries: Sequence[BackupSummary | None],
        now: float,
    ) -> None:
        reading, judgement = inventory.current_backups(now), self._judgement
        known = [summary for summary in summaries if summary is not None]
        is_known = disks is not None and reading is not None
        totals = AccountTotals(
            disks=len(disks) if disks is not None else None,
            disk_size_bytes=_sum([disk.size_bytes for disk in disks.values()]) if disks is not None else None,
            backups=sum([summary.usable for summary in known]) if is_known else None,
            backup_size_bytes=_sum([summary.newest_size_bytes for summary in known if summary.usable])
            if is_known
            else None,
            backups_unassigned=reading.unassigned if reading is not None else None,
            compliance_ratio=judgement.compliant / judgement.required
            if judgement.is_backups_known and judgement.required
            else None,
        )
        self._totals.show([account], [totals])
        statuses = reading.by_status if reading is not None else {}
        labels = [f"{account},{labels_text(('status',), (status,))}" for status in statuses]
        self._statuses.show(labels, list(statuses.values()))

    def _show_invalid(self, inventory: AccountInventory, disks: Mapping[str, Disk], *, is_doubted: bool) -> None:
        """Show what was not understood in the last polls, with the fields that decide and are missing.

        An empty list of disks that is not believed counts as a total that is not right.
        """
        missing = Counter(
            field
            for disk_id, fields in self._judgement.undecided.items()
            if (disk := disks.get(disk_id)) is not None
            for field in fields
            if field in disk.missing
        )
        labels, counts = [], []
        for resource, outcome in inventory.outcomes.items():
            invalid = Counter(outcome.invalid)
            if resource == "disks":
                invalid.update(missing, total=int(is_doubted))
            for field, count in sorted(invalid.items()):
                if count:
                    labels.append(labels_text((*POLL, "field"), (inventory.account.id, resource, field)))
                    counts.append(count)
        self._invalid.show(labels, counts)


_DESCRIBING = frozenset(Finding) - frozenset(METRIC_FINDINGS)


def _are_same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return len(one) == len(other) and all(map(operator.is_, one, other))


def _sum(sizes: Sequence[int | None]) -> int | None:
    """Return the sum of what is known; of no disks that is 0, of disks of which nothing is known nothing."""
    known = [size for size in sizes if size is not None]
    return sum(known) if known or not sizes else None
