"""The renderer against the client library's writer and parsers, for whatever an inventory may hold."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition, parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.inventory import (
    RESOURCES,
    AccountInventory,
    BackupSnapshot,
    DiskSnapshot,
    MachineSnapshot,
    Outcome,
    StalenessLimits,
)
from gigas_exporter.metrics import exporter_families, families
from gigas_exporter.metrics.family import Gauge, Info
from gigas_exporter.metrics.render import value_text
from gigas_exporter.model import Account, Disk, VirtualMachine
from gigas_exporter.policy import DEFAULT_POLICY
from gigas_exporter.report import (
    METRIC_FINDINGS,
    NEED_BACKUPS,
    DiskReport,
    doubt_of_empty,
    finding_limit,
    report_account,
)

write_openmetrics: Callable[[CollectorRegistry], bytes] = exposition.generate_latest
read_openmetrics: Callable[[str], Iterable[Metric]] = parser.text_string_to_metric_families

READ_AT = 1000.0
"""Where the monotonic clock of the tests stands."""

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ['"', "\\", "\n", "\\n", '\\"', "}", "{", "=", '",x="', "# EOF", "%d", "%", "%%s", "\r", "\0", "é", "\u2028", " a "]
)
IDS = st.sampled_from(["1", "2", "3", "4"]) | TEXTS.filter(bool)
MAYBE = st.none() | TEXTS
FLAGS = st.none() | st.booleans()
TIMES = st.none() | st.floats(0, 4e9) | st.integers(0, 4_000_000_000).map(float) | st.floats()
SIZES = st.none() | st.integers(0, 2**63)
READ_TIMES = st.sampled_from([READ_AT, READ_AT - 500, READ_AT - 2000])


def _by_id(items: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.lists(items, max_size=5).map(lambda some: {item.id: item for item in some})


DISKS = _by_id(
    st.builds(Disk, IDS, MAYBE, SIZES, MAYBE, FLAGS, FLAGS, FLAGS, FLAGS, MAYBE, FLAGS, MAYBE, MAYBE, TIMES, TIMES)
)
MACHINES = _by_id(st.builds(VirtualMachine, IDS, MAYBE, MAYBE, MAYBE, MAYBE))
SUMMARIES = st.dictionaries(
    IDS, st.builds(BackupSummary, st.integers(0, 99), st.integers(0, 9), TIMES, SIZES, TIMES, READ_TIMES), max_size=5
)


@st.composite
def _inventories(draw: st.DrawFn, account_ids: st.SearchStrategy[str] = IDS) -> AccountInventory:
    account_id = draw(account_ids)
    disks, machines = draw(DISKS), draw(MACHINES)
    first_seen = {disk_id: draw(READ_TIMES) for disk_id in disks}
    disks_reading = DiskSnapshot(disks, first_seen, draw(READ_TIMES))
    backups_reading = BackupSnapshot(
        draw(SUMMARIES),
        draw(st.frozensets(IDS, max_size=2)),
        draw(st.none() | READ_TIMES),
        draw(READ_TIMES),
        draw(st.dictionaries(TEXTS, st.integers(0, 9), max_size=2)),
        unassigned=draw(st.integers(0, 9)),
    )
    invalid = st.dictionaries(TEXTS, st.integers(0, 9), max_size=2)
    outcomes = st.builds(Outcome, st.booleans(), st.floats(0, 99), TIMES, invalid=invalid)
    return AccountInventory(
        Account(account_id, draw(MAYBE)),
        StalenessLimits.of(900, 60, 300),
        draw(st.none() | st.just(disks_reading)),
        draw(st.none() | st.builds(MachineSnapshot, st.just(machines), READ_TIMES)),
        draw(st.none() | st.just(backups_reading)),
        {},
        draw(st.dictionaries(st.sampled_from(RESOURCES), outcomes)),
        draw(st.dictionaries(st.sampled_from(RESOURCES), st.floats(1, 9999))),
    ).with_requirements(DEFAULT_POLICY)


FLEETS = st.lists(_inventories(), max_size=3, unique_by=lambda inventory: inventory.account.id).map(tuple)


class _Plain:
    """The same page written the slow way: a custom collector of the client library, straight from the definitions."""

    def __init__(self, inventories: Iterable[AccountInventory], now: float, wall: float) -> None:
        self._inventories = tuple(inventories)
        self._now = now
        self._wall = wall

    def collect(self) -> Iterator[Metric]:
        for family in families.FAMILIES:
            if not isinstance(family, Gauge | Info):
                continue
            metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for inventory in self._inventories:
                for labels, subject in self._subjects(family, inventory):
                    self._add(metric, family, labels, subject)
            if metric.samples:
                yield metric

    def _add(self, metric: GaugeMetricFamily, family: Any, labels: Sequence[str], subject: Any) -> None:
        if isinstance(family, Info):
            texts = family.values(subject)
            if texts is not None:
                metric.add_metric([*labels, *[text or "" for text in texts]], 1)
            return
        value = family.value(subject)
        if value is None or not math.isfinite(value):
            return
        if family is families.BACKUP_AGE:
            value = max(0, math.floor(self._wall) - math.floor(value))
        metric.add_metric(labels, value)

    def _subjects(self, family: Any, inventory: AccountInventory) -> Iterator[tuple[Sequence[str], Any]]:
        if family in _JUDGED:
            yield from _judged_subjects(family, inventory, self._now, self._wall)
        else:
            yield from self._read_subjects(family, inventory)

    def _read_subjects(self, family: Any, inventory: AccountInventory) -> Iterator[tuple[Sequence[str], Any]]:
        account_id, now = inventory.account.id, self._now
        if family in families.ACCOUNT_FAMILIES:
            yield (account_id,), inventory
        elif family in families.MACHINE_FAMILIES:
            for machine in (inventory.current_machines(now) or {}).values():
                yield (account_id, machine.id), machine
        elif family in exporter_families.POLL_FAMILIES or family in exporter_families.INTERVAL_FAMILIES:
            polls: Any = inventory.outcomes if family in exporter_families.POLL_FAMILIES else inventory.intervals
            for resource, subject in polls.items():
                yield (account_id, resource), subject
        else:
            for disk in (inventory.current_disks(now) or {}).values():
                subject = self._of_disk(family, inventory, disk)
                if subject is not None:
                    yield (account_id, disk.id, disk.virtual_machine_id or ""), subject

    def _of_disk(self, family: Any, inventory: AccountInventory, disk: Disk) -> Any:
        if family in families.DISK_FAMILIES:
            return disk
        if family in families.REQUIREMENT_FAMILIES:
            return inventory.requirements[disk.id]
        if family is not families.BACKUPS_READ:
            return inventory.backup_summary(disk.id, self._now)
        outcome, reading, disks = inventory.outcomes.get("backups"), inventory.backups, inventory.disks
        if outcome is None:
            return None
        if not outcome.success or reading is None or disks is None or disk.id in reading.failed_disks:
            return False
        return disk.id in reading.summaries or (
            reading.full_scan_started_at is not None and disks.first_seen[disk.id] <= reading.full_scan_started_at
        )


_JUDGED = (
    *families.TOTALS_FAMILIES,
    families.DISK_INFO,
    families.DISK_FINDING,
    families.DISKS_WITH_FINDING,
    families.DISKS_UNDECIDED,
    families.BACKUPS_BY_STATUS,
    exporter_families.POLL_INVALID_ITEMS,
)


def _judged_subjects(
    family: Any, inventory: AccountInventory, now: float, wall: float
) -> Iterator[tuple[Sequence[str], Any]]:
    account_id = inventory.account.id
    if family in families.TOTALS_FAMILIES:
        yield (account_id,), _totals(inventory, now, wall)
    elif family is families.DISK_FINDING:
        yield from _found(inventory, now, wall)
    elif family is families.DISK_INFO:
        for report in _judged(inventory, now, wall) or ():
            disk = report.disk
            yield (account_id, disk.id, disk.virtual_machine_id or ""), (disk, report.machine_name)
    elif family is families.DISKS_UNDECIDED:
        reports = _judged(inventory, now, wall) or ()
        counts = Counter(field for report in reports for field in report.not_understood)
        yield from (((account_id, field), count) for field, count in counts.items())
    else:
        yield from _counted(family, inventory, now, wall)


def _judged(inventory: AccountInventory, now: float, wall: float) -> list[DiskReport] | None:
    """Return the reports on the disks, ``None`` while they may not be judged."""
    if inventory.current_disks(now) is None or "virtual_machines" not in inventory.outcomes:
        return None
    return report_account(inventory, wall=wall, monotonic=now)


def _totals(inventory: AccountInventory, now: float, wall: float) -> families.AccountTotals:
    disks, reading, reports = (
        inventory.current_disks(now),
        inventory.current_backups(now),
        _judged(inventory, now, wall),
    )
    summaries = [] if disks is None or reading is None else [inventory.backup_summary(each, now) for each in disks]
    known = [summary for summary in summaries if summary is not None]
    sizes = None if disks is None else [disk.size_bytes for disk in disks.values()]
    newest = [summary.newest_size_bytes for summary in known if summary.usable]
    is_known = disks is not None and reading is not None
    required = [report for report in reports or () if report.requirement.required]
    within = [
        report
        for report in required
        if report.backups is not None
        and report.backups.usable
        and report.backups.newest_at is not None
        and report.backups.newest_at - wall <= 300
        and not wall - report.backups.newest_at > (report.requirement.max_age_seconds or 0)
    ]
    return families.AccountTotals(
        None if disks is None else len(disks),
        _sum(sizes),
        sum(summary.usable for summary in known) if is_known else None,
        _sum(newest) if is_known else None,
        None if reading is None else reading.unassigned,
        len(within) / len(required) if required and reading is not None else None,
    )


def _sum(sizes: list[int | None] | None) -> int | None:
    if sizes is None or (sizes and all(size is None for size in sizes)):
        return None
    return sum(size or 0 for size in sizes)


def _counted(
    family: Any, inventory: AccountInventory, now: float, wall: float
) -> Iterator[tuple[tuple[str, ...], int]]:
    account_id = inventory.account.id
    if family is families.BACKUPS_BY_STATUS:
        reading = inventory.current_backups(now)
        for status, count in (reading.by_status if reading is not None else {}).items():
            yield (account_id, status), count
    elif family is exporter_families.POLL_INVALID_ITEMS:
        for resource, outcome in inventory.outcomes.items():
            is_doubted = resource == "disks" and bool(doubt_of_empty(inventory, now))
            for field, count in {**outcome.invalid, **({"total": 1} if is_doubted else {})}.items():
                if count:
                    yield (account_id, resource, field), count
    elif (reports := _judged(inventory, now, wall)) is not None and not doubt_of_empty(inventory, now):
        for finding in METRIC_FINDINGS:
            if inventory.current_backups(now) is not None or finding not in NEED_BACKUPS:
                yield (account_id, finding.metric), sum(finding in report.findings for report in reports)


def _found(inventory: AccountInventory, now: float, wall: float) -> Iterator[tuple[tuple[str, ...], Any]]:
    for report in _judged(inventory, now, wall) or ():
        for finding in report.findings:
            if finding in METRIC_FINDINGS:
                disk = report.disk
                limit = finding_limit(finding, report.requirement, inventory.thresholds)
                identity = (inventory.account.id, disk.id, disk.virtual_machine_id or "")
                yield identity, (report.machine_name, disk.mount_point, finding.metric, limit)


def _read(parsed: Iterable[Metric]) -> dict[Any, float]:
    found: dict[Any, float] = {}
    for metric in parsed:
        for sample in metric.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found
            found[key] = float(sample.value)
        found[metric.name, metric.documentation, metric.type] = len(metric.samples)
    return found


@given(fleet=FLEETS)
def test_page_reads_like_the_client_librarys(new_scene: Callable[[], Any], fleet: tuple[AccountInventory, ...]) -> None:
    """Any fleet gives the same series, types and help as the client library writes, in both formats."""
    scene = new_scene()
    scene.show(*fleet)
    registry = CollectorRegistry()
    registry.register(_Plain(fleet, scene.clock.monotonic(), scene.clock.wall()))
    text = scene.text().split("# HELP gigas_exporter_build_info")[0]
    assert _read(parse_text(text)) == _read(parse_text(generate_latest(registry).decode()))
    openmetrics = scene.text(openmetrics=True).split("# HELP gigas_exporter_build_info")[0]
    assert openmetrics == text
    slow = write_openmetrics(registry).decode()
    assert _read(read_openmetrics(openmetrics + "# EOF\n")) == _read(read_openmetrics(slow))


@given(
    fleets=st.lists(
        st.lists(_inventories(st.sampled_from("ab")), max_size=2, unique_by=lambda i: i.account.id), max_size=4
    ),
    same_disks=st.booleans(),
)
def test_what_is_kept_never_shows(
    new_scene: Callable[[], Any], fleets: list[list[AccountInventory]], same_disks: bool
) -> None:
    """After any history the page is what a new page would be."""
    old = new_scene()
    for fleet in fleets:
        shown = [replace(each, disks=fleets[0][0].disks) if same_disks and fleets[0] else each for each in fleet]
        shown = [replace(each, requirements={}, known_machines={}).with_requirements(DEFAULT_POLICY) for each in shown]
        old.show(*shown)
        new = new_scene()
        new.show(*shown)
        assert old.page.textfile() == new.page.textfile()
        end = "# HELP gigas_exporter_build_info"
        assert old.text().split(end)[0] == new.text(gzip=True).split(end)[0]
        assert old.text(gzip=True).split(end)[0] == new.text().split(end)[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "1"),
        (False, "0"),
        (7, "7"),
        (2**60, "1152921504606846976"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (1699999000.5, "1699999000.5"),
        (1e300, "1e+300"),
        (5e-324, "5e-324"),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (None, None),
    ],
)
def test_values_are_written_shortest(value: float | None, text: str | None) -> None:
    """A number is written so that it reads back the same; what is none is not written."""
    assert value_text(value) == text
    assert text is None or float(text) == value


def test_a_lone_surrogate_loses_nothing_else(scene: Any) -> None:
    """A half character in a name is replaced; the rest of the page stands."""
    disks = {"1": Disk("1", mount_point="/a\ud800b", status="\udfff")}
    scene.show(
        AccountInventory(
            Account("4242", "x\udc00y"),
            StalenessLimits.of(900, 60, 300),
            DiskSnapshot(disks, {"1": READ_AT}, READ_AT),
            outcomes={"virtual_machines": Outcome(False, 1.0, None)},
        )
    )
    text = scene.text()
    assert 'mount_point="/a\ufffdb"' in text
    assert 'status="\ufffd"' in text
    assert 'name="x\ufffdy"' in text
    assert scene.values("gigas_disk_info") == {"1": 1.0}
