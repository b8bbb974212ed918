"""The renderer against the client library's writer and parsers, for whatever an inventory may hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition, parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gigas_exporter import inventory as polled
from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.metrics import exporter_families, families
from gigas_exporter.metrics.family import Info
from gigas_exporter.metrics.render import value_text
from gigas_exporter.model import Account, Disk, VirtualMachine
from gigas_exporter.policy import DEFAULT_POLICY
from gigas_exporter.report import report_account

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
def _inventories(draw: st.DrawFn, account_ids: st.SearchStrategy[str] = IDS) -> polled.AccountInventory:
    account_id = draw(account_ids)
    disks, machines = draw(DISKS), draw(MACHINES)
    first_seen = {disk_id: draw(READ_TIMES) for disk_id in disks}
    disks_reading = polled.DiskSnapshot(disks, first_seen, draw(READ_TIMES))
    backups_reading = polled.BackupSnapshot(
        draw(SUMMARIES),
        draw(st.frozensets(IDS, max_size=2)),
        draw(st.none() | READ_TIMES),
        draw(READ_TIMES),
        draw(st.dictionaries(TEXTS, st.integers(0, 9), max_size=2)),
        unassigned=draw(st.integers(0, 9)),
    )
    invalid = st.dictionaries(TEXTS, st.integers(0, 9), max_size=2)
    outcomes = st.builds(polled.PollStatus, st.booleans(), st.floats(0, 99), TIMES, invalid=invalid)
    return polled.AccountInventory(
        Account(account_id, draw(MAYBE)),
        polled.StalenessLimits.of(900, 60, 300),
        draw(st.none() | st.just(disks_reading)),
        draw(st.none() | st.builds(polled.MachineSnapshot, st.just(machines), READ_TIMES)),
        draw(st.none() | st.just(backups_reading)),
        {},
        draw(st.dictionaries(st.sampled_from(polled.RESOURCES), outcomes)),
        draw(st.dictionaries(st.sampled_from(polled.RESOURCES), st.floats(1, 9999))),
    ).with_requirements(DEFAULT_POLICY)


FLEETS = st.lists(_inventories(), max_size=3, unique_by=lambda inventory: inventory.account.id).map(tuple)


class _Plain:
    """What was read, written by the client library: a custom collector, straight from the definitions."""

    families: Final[tuple[Any, ...]] = (
        *(*families.ACCOUNT_FAMILIES, *families.MACHINE_FAMILIES, *families.DISK_FAMILIES, families.DISK_INFO),
        *(*families.REQUIREMENT_FAMILIES, *families.BACKUP_FAMILIES, families.BACKUPS_BY_STATUS),
        *(*exporter_families.POLL_FAMILIES, *exporter_families.INTERVAL_FAMILIES),
    )

    def __init__(self, inventories: Iterable[polled.AccountInventory], now: float, wall: float) -> None:
        self._inventories = tuple(inventories)
        self._now, self._wall = now, wall

    def collect(self) -> Iterator[Metric]:
        for family in self.families:
            metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for inventory in self._inventories:
                for labels, subject in self._subjects(family, inventory):
                    texts = family.values(subject) if isinstance(family, Info) else ()
                    value: Any = 1 if isinstance(family, Info) else family.value(subject)
                    if family is families.BACKUP_AGE and value is not None and math.isfinite(value):
                        value = max(0, math.floor(self._wall) - math.floor(value))
                    if texts is not None and value is not None and math.isfinite(value):
                        metric.add_metric([inventory.account.id, *labels, *[text or "" for text in texts]], value)
            if metric.samples:
                yield metric

    def _subjects(self, family: Any, inventory: polled.AccountInventory) -> Iterator[tuple[Sequence[str], Any]]:
        now = self._now
        if family in families.ACCOUNT_FAMILIES:
            yield (), inventory
        elif family in families.MACHINE_FAMILIES:
            yield from (((machine.id,), machine) for machine in (inventory.current_machines(now) or {}).values())
        elif family in exporter_families.POLL_FAMILIES:
            yield from (((resource,), outcome) for resource, outcome in inventory.outcomes.items())
        elif family in exporter_families.INTERVAL_FAMILIES:
            yield from (((resource,), seconds) for resource, seconds in inventory.intervals.items())
        elif family is families.BACKUPS_BY_STATUS:
            backups = inventory.current_backups(now)
            yield from (((status,), count) for status, count in (backups.by_status if backups else {}).items())
        elif inventory.current_disks(now) is not None:
            yield from self._of_disks(family, inventory)

    def _of_disks(self, family: Any, inventory: polled.AccountInventory) -> Iterator[tuple[Sequence[str], Any]]:
        if family is families.DISK_INFO and "virtual_machines" not in inventory.outcomes:
            return
        for report in report_account(inventory, wall=self._wall, monotonic=self._now):
            disk = report.disk
            subject: Any = (disk, report.machine_name) if family is families.DISK_INFO else disk
            if family in families.REQUIREMENT_FAMILIES:
                subject = inventory.requirements[disk.id]
            elif family in families.BACKUP_FAMILIES:
                subject = inventory.backup_summary(disk.id, self._now)
            if subject is not None:
                yield (disk.id, disk.virtual_machine_id or ""), subject


def _read(parsed: Iterable[Metric]) -> dict[Any, float]:
    """Return all series, and the help, the type and the number of series of the families of :class:`_Plain`."""
    found: dict[Any, float] = {}
    names = {family.name for family in _Plain.families}
    for metric in parsed:
        for sample in metric.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found
            found[key] = float(sample.value)
        found[metric.name, metric.documentation, metric.type] = len(metric.samples)
    return {key: value for key, value in found.items() if key[0] in names}


@given(fleet=FLEETS)
def test_page_reads_like_the_client_librarys(
    new_scene: Callable[[], Any], fleet: tuple[polled.AccountInventory, ...]
) -> None:
    """Any fleet that was read gives the same series, types and help as the library writes, in both formats."""
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
    new_scene: Callable[[], Any], fleets: list[list[polled.AccountInventory]], same_disks: bool
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
        polled.AccountInventory(
            Account("4242", "x\udc00y"),
            polled.StalenessLimits.of(900, 60, 300),
            polled.DiskSnapshot(disks, {"1": READ_AT}, READ_AT),
            outcomes={"virtual_machines": polled.PollStatus(False, 1.0, None)},
        )
    )
    text = scene.text()
    assert 'mount_point="/a\ufffdb"' in text
    assert 'status="\ufffd"' in text
    assert 'name="x\ufffdy"' in text
    assert scene.values("gigas_disk_info") == {"1": 1.0}
