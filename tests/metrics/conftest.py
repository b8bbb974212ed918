"""What the metrics tests share: a clock moved by hand, a fleet, a reader of pages."""

from __future__ import annotations

import gzip as gzip_format
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gigas_exporter import inventory as polled
from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.clock import SystemClock
from gigas_exporter.metrics import MetricsRenderer, Telemetry
from gigas_exporter.model import Account, Disk, VirtualMachine
from gigas_exporter.policy import DEFAULT_POLICY
from support.inventories import KnownInventories

NOW = 1_700_000_000.0
GIB = 2**30


@dataclass
class HandClock(SystemClock):
    """A clock that moves only when told to."""

    wall_seconds: float = NOW
    monotonic_seconds: float = 1000.0

    def wall(self) -> float:
        return self.wall_seconds

    def monotonic(self) -> float:
        return self.monotonic_seconds

    def move(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.wall_seconds += seconds
        self.monotonic_seconds += seconds


Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass
class Scene:
    """A page over a source, with everything that can be moved by hand."""

    clock: HandClock = field(default_factory=HandClock)
    source: KnownInventories = field(default_factory=KnownInventories)
    telemetry: Telemetry = field(default_factory=Telemetry)

    def __post_init__(self) -> None:
        self.page = MetricsRenderer(self.source, self.telemetry, self.clock)

    def show(self, *inventories: polled.AccountInventory) -> None:
        """Publish inventories as a poll does."""
        self.source.put(*inventories)
        self.page.refresh()

    def text(self, *, openmetrics: bool = False, gzip: bool = False) -> str:
        """Return what a scrape gets, unpacked."""
        exposition = self.page.render(openmetrics=openmetrics, gzip=gzip)
        body = b"".join(exposition.chunks)
        return (gzip_format.decompress(body) if gzip else body).decode()

    def series(self, *, openmetrics: bool = False) -> Series:
        """Return every series of the page, read by the client library's parser."""
        parse = parse_openmetrics if openmetrics else parse_text
        found: Series = {}
        for family in parse(self.text(openmetrics=openmetrics)):
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                assert key not in found, f"{key} is there twice"
                found[key] = sample.value
        return found

    def values(self, name: str) -> dict[str, float]:
        """Return a metric's values by disk, or by virtual machine, resource or account where it has no disk."""
        lines = [line for line in self.text().splitlines() if line.startswith((f"{name}{{", f"{name} "))]
        found = {}
        for family in parse_text("\n".join([*lines, ""])):  # to read the others would take seconds
            for sample in family.samples:
                by = sample.labels
                kinds = ("disk_id", "virtual_machine_id", "resource", "account_id")
                found[next((by[kind] for kind in kinds if kind in by), "")] = sample.value
        return found


@pytest.fixture
def scene() -> Scene:
    """A page without any account."""
    return Scene()


def _fleet(account_id: str = "4242", read_at: float = 1000.0) -> polled.AccountInventory:
    disks = {
        "101": Disk(
            "101", "501", 20 * GIB, "ok", False, False, False, True, "/", True, "1", "9", NOW - 9e6, NOW - 3600.5
        ),
        "102": Disk("102", "501", 2 * GIB, "ok", False, False, True, False, None, None, "1", "9", NOW - 9e6, None),
        "103": Disk("103", None, 500 * GIB, 'lost "it"\n', True, True, False, True, "C:\\srv\\100%d", None, None, None),
        "104": Disk("104", unknown=frozenset({"error"})),
    }
    machines = {"501": VirtualMachine("501", "web ñ", "web-1.example.com", "standard", "online")}
    summaries = {
        "101": BackupSummary(7, 1, NOW - 7200.25, 5 * GIB + 512, NOW - 6e5, read_at, typical_size_bytes=12 * GIB),
        "103": BackupSummary(0, 2, None, None, None, read_at),
    }
    return polled.AccountInventory(
        Account(account_id, "production"),
        polled.StalenessLimits.of(900, 60, 300),
        polled.DiskSnapshot(disks, dict.fromkeys(disks, read_at - 5), read_at),
        polled.MachineSnapshot(machines, read_at),
        polled.BackupSnapshot(
            summaries,
            frozenset(),
            read_at - 1,
            read_at,
            {"built": 7, 'a "new" word': 1},
            ('a "new" word',),
            1,
            frozenset(disks),
        ),
        {},
        {resource: polled.PollStatus(True, 1.25, NOW - 1, invalid={"status": 2}) for resource in polled.RESOURCES},
        {"disks": 60.0, "backups": 300.0, "virtual_machines": 60.0},
    ).with_requirements(DEFAULT_POLICY)


@pytest.fixture(scope="session")
def fleet() -> Callable[..., polled.AccountInventory]:
    """Make an account of four disks: well, swap, broken, and with nothing known but its id."""
    return _fleet


@pytest.fixture(scope="session")
def new_scene() -> Callable[[], Scene]:
    """Make further pages, for tests that need more than one."""
    return Scene
