"""Render one account's part of the exposition, but only what changed.

It decides which series an inventory has at a given time, staleness included, and when the disks are judged again: when
the data changes, and when time alone changes a finding. It knows nothing of the rest of the exposition.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.inventory import RESOURCES, AccountInventory
from gigas_exporter.metrics.exporter_families import (
    ACCOUNT_LABELS,
    INTERVAL_FAMILIES,
    POLL_FAMILIES,
    POLL_INVALID_ITEMS,
    POLL_LABELS,
)
from gigas_exporter.metrics.families import (
    ACCOUNT_FAMILIES,
    BACKUP_AGE,
    BACKUP_FAMILIES,
    BACKUPS_BY_STATUS,
    BACKUPS_READ_FAMILIES,
    DISK_FAMILIES,
    DISK_FINDING,
    DISK_INFO,
    DISK_LABELS,
    DISKS_UNDECIDED,
    DISKS_WITH_FINDING,
    MACHINE_FAMILIES,
    MACHINE_LABELS,
    REQUIREMENT_FAMILIES,
    TOTALS_FAMILIES,
    AccountTotals,
)
from gigas_exporter.metrics.family import Gauge
from gigas_exporter.metrics.render import SegmentRenderer, encode, labels_text
from gigas_exporter.model import Disk
from gigas_exporter.report import (
    METRIC_FINDINGS,
    NEED_BACKUPS,
    Judgement,
    doubt_of_empty,
    finding_limit,
    judge_account,
    machine_name,
)

_NOTHING = Judgement({}, {}, False, 0, 0, float("inf"))


@dataclass(frozen=True, slots=True)
class AgeTemplate:
    """The ages of one account's newest backups, which change every second.

    Attributes:
        template: The series, with ``%d`` for each age.
        newest: When each newest backup was made, in whole UNIX seconds, in the order of the series.
    """

    template: bytes = b""
    newest: tuple[int, ...] = ()

    @classmethod
    def of(cls, identities: Sequence[str], summaries: Sequence[BackupSummary | None]) -> AgeTemplate:
        """Return the template for the disks with these label texts."""
        lines, newest = [], []
        for labels, summary in zip(identities, summaries, strict=True):
            at = BACKUP_AGE.value(summary) if summary is not None else None
            if at is not None and math.isfinite(at):
                lines.append(labels)
                newest.append(math.floor(at))
        name = BACKUP_AGE.name
        template = "".join([f"{name}{{{labels}}}".replace("%", "%%") + " %d\n" for labels in lines])
        return cls(encode(template), tuple(newest))

    def at(self, second: int) -> bytes:
        """Return the series as of a UNIX second; a future backup has age 0."""
        return self.template % tuple([second - newest if newest < second else 0 for newest in self.newest])


class AccountRenderer(SegmentRenderer):
    """One account's rendered series; not thread-safe.

    Attributes:
        ages: The ages of the newest backups, to be filled in at the scrape.
        expires_at: The monotonic time at which some of the data becomes stale.
        due_at: The monotonic time at which a finding may come or go by time alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ages = AgeTemplate()
        self.expires_at = float("inf")
        self.due_at = float("inf")
        self._inventory: AccountInventory | None = None
        self._disks: Mapping[str, Disk] = {}
        self._disk_labels: Sequence[str] = ()

    def update_inventory(self, inventory: AccountInventory, now: float, wall: float) -> None:
        """Render an inventory at the monotonic time ``now`` and UNIX time ``wall``."""
        if inventory is self._inventory and now < min(self.expires_at, self.due_at):
            return
        account_id = inventory.account.id
        self.update(ACCOUNT_FAMILIES, [labels_text(ACCOUNT_LABELS, (account_id,))], [inventory])
        disks = inventory.current_disks(now) or {}
        if disks is not self._disks:
            self._disks = disks
            self._disk_labels = [
                labels_text(DISK_LABELS, (account_id, disk.id, disk.virtual_machine_id)) for disk in disks.values()
            ]
        labels = self._disk_labels
        self.update(DISK_FAMILIES, labels, list(disks.values()))
        self.update(REQUIREMENT_FAMILIES, labels, [inventory.requirements.get(disk_id) for disk_id in disks])
        self.update(BACKUPS_READ_FAMILIES, labels, _backups_read(inventory, disks))
        summaries = [inventory.backup_summary(disk_id, now) for disk_id in disks]
        if self.update(BACKUP_FAMILIES, labels, summaries):
            self.ages = AgeTemplate.of(labels, summaries)
        self.update_findings(inventory, labels, summaries, now=now, wall=wall)
        machines = list((inventory.current_machines(now) or {}).values())
        self.update(
            MACHINE_FAMILIES, [labels_text(MACHINE_LABELS, (account_id, machine.id)) for machine in machines], machines
        )
        resources = [labels_text(POLL_LABELS, (account_id, resource)) for resource in RESOURCES]
        self.update(POLL_FAMILIES, resources, [inventory.outcomes.get(resource) for resource in RESOURCES])
        self.update(INTERVAL_FAMILIES, resources, [inventory.intervals.get(resource) for resource in RESOURCES])
        self._inventory, self.expires_at = inventory, inventory.next_expiry(now)

    def update_findings(
        self,
        inventory: AccountInventory,
        labels: Sequence[str],
        summaries: Sequence[BackupSummary | None],
        *,
        now: float,
        wall: float,
    ) -> None:
        """Judge the disks, and render findings, counts and totals.

        ``labels`` and ``summaries`` have one item per disk.
        """
        listed = inventory.current_disks(now)
        # Findings are labelled with the machine's name. If it came later, every alert would start again.
        is_shown = listed is not None and "virtual_machines" in inventory.outcomes
        is_doubted = bool(doubt_of_empty(inventory, now))
        judgement = judge_account(inventory, summaries, wall=wall, monotonic=now) if is_shown else _NOTHING
        self.due_at = now + max(0.0, judgement.valid_until - wall)
        account = labels_text(ACCOUNT_LABELS, (inventory.account.id,))
        self._update_disks(inventory, judgement, listed if listed is not None and is_shown else {}, labels)
        self._update_counts(account, judgement, is_shown=is_shown and not is_doubted)
        self._update_totals(inventory, account, judgement, summaries, now)
        self._update_invalid(inventory, judgement, listed or {}, is_doubted=is_doubted)

    def _update_disks(
        self, inventory: AccountInventory, judgement: Judgement, disks: Mapping[str, Disk], labels: Sequence[str]
    ) -> None:
        shown = labels if disks else ()
        named = [(disk, machine_name(disk, inventory.known_machines)) for disk in disks.values()]
        self.update((DISK_INFO,), shown, named)
        found, series = [], []
        for (disk, name), label in zip(named, shown, strict=True):
            for finding in judgement.findings.get(disk.id, ()):
                if finding in METRIC_FINDINGS:
                    limit = finding_limit(finding, inventory.requirements.get(disk.id), inventory.thresholds)
                    found.append(label)
                    series.append((name, disk.mount_point, finding.metric, limit))
        self.update((DISK_FINDING,), found, series)

    def _update_counts(self, account: str, judgement: Judgement, *, is_shown: bool) -> None:
        counts = Counter(finding for findings in judgement.findings.values() for finding in findings)
        known = [each for each in METRIC_FINDINGS if judgement.is_backups_known or each not in NEED_BACKUPS]
        by_finding = {finding.metric: counts[finding] for finding in known} if is_shown else {}
        self._update_by(account, "finding", DISKS_WITH_FINDING, by_finding)
        undecided = Counter(field for fields in judgement.undecided.values() for field in fields)
        self._update_by(account, "field", DISKS_UNDECIDED, dict(sorted(undecided.items())) if is_shown else {})

    def _update_by(self, account: str, label: str, family: Gauge[int], counts: Mapping[str, int]) -> None:
        """Render a family with one label besides the account's."""
        labels = [f"{account},{labels_text((label,), (value,))}" for value in counts]
        self.update((family,), labels, list(counts.values()))

    def _update_totals(
        self,
        inventory: AccountInventory,
        account: str,
        judgement: Judgement,
        summaries: Sequence[BackupSummary | None],
        now: float,
    ) -> None:
        disks, snapshot = inventory.current_disks(now), inventory.current_backups(now)
        known = [summary for summary in summaries if summary is not None]
        has_both = disks is not None and snapshot is not None
        totals = AccountTotals(
            disks=len(disks) if disks is not None else None,
            disk_size_bytes=_sum([disk.size_bytes for disk in disks.values()]) if disks is not None else None,
            backups=sum([summary.usable for summary in known]) if has_both else None,
            backup_size_bytes=_sum([each.newest_size_bytes for each in known if each.usable]) if has_both else None,
            backups_unassigned=snapshot.unassigned if snapshot is not None else None,
            compliance_ratio=judgement.compliant / judgement.required
            if judgement.is_backups_known and judgement.required
            else None,
        )
        self.update(TOTALS_FAMILIES, [account], [totals])
        self._update_by(account, "status", BACKUPS_BY_STATUS, snapshot.by_status if snapshot is not None else {})

    def _update_invalid(
        self, inventory: AccountInventory, judgement: Judgement, disks: Mapping[str, Disk], *, is_doubted: bool
    ) -> None:
        """Render how many values the last polls did not understand.

        An empty list of disks that is not trusted counts as an invalid ``total``.
        """
        missing = Counter(
            field
            for disk_id, fields in judgement.undecided.items()
            for field in fields
            if disk_id in disks and field in disks[disk_id].missing
        )
        counts: dict[str, int] = {}
        for resource, outcome in inventory.outcomes.items():
            invalid = Counter(outcome.invalid)
            if resource == "disks":
                invalid.update(missing, total=int(is_doubted))
            for field, count in sorted(invalid.items()):
                if count:
                    counts[labels_text((*POLL_LABELS, "field"), (inventory.account.id, resource, field))] = count
        self.update((POLL_INVALID_ITEMS,), list(counts), list(counts.values()))


def _backups_read(inventory: AccountInventory, disks: Mapping[str, Disk]) -> list[bool | None]:
    """Return for each disk whether the last poll read its backups."""
    outcome, snapshot, listed = inventory.outcomes.get("backups"), inventory.backups, inventory.disks
    if outcome is None:
        return [None] * len(disks)
    if not outcome.success or snapshot is None or listed is None:
        return [False] * len(disks)
    sweep_started_at = snapshot.sweep_started_at if snapshot.sweep_started_at is not None else float("-inf")
    return [
        disk_id not in snapshot.failed_disks
        and (disk_id in snapshot.summaries or listed.first_seen.get(disk_id, float("inf")) <= sweep_started_at)
        for disk_id in disks
    ]


def _sum(sizes: Sequence[int | None]) -> int | None:
    """Return the sum of the known sizes, ``None`` if there are only unknown ones."""
    known = [size for size in sizes if size is not None]
    return sum(known) if known or not sizes else None
