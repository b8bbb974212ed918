"""Print the past of an eventful fleet as OpenMetrics with timestamps, for `promtool tsdb create-blocks-from`.

    python fleet_history.py --end 1764000000 --hours 30 --step 300 --disks 0

It renders what the exporter exposes of snapshots that are made up here: backups that come daily, come late or never, a
disk in error, one that moved, one deleted, one just made, names with quotes and newlines. With ``--disks N`` that many
healthy and unhealthy disks stand beside them, for measuring. What Prometheus adds to a scrape, and the alerts, it
writes by itself.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gigas_exporter import inventory as polled
from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.clock import SystemClock
from gigas_exporter.errors import Reason
from gigas_exporter.metrics import MetricsRenderer, Telemetry
from gigas_exporter.model import Account, Disk, VirtualMachine
from gigas_exporter.policy import DEFAULT_POLICY
from gigas_exporter.poller.store import Store

HOUR = 3600
DAY = 24 * HOUR
GIB = 2**30
INSTANCE = 'job="gigas",instance="exporter:10063"'
NEIGHBOUR = 'job="node",instance="node:9100"'
INTERVALS: Mapping[polled.Resource, float] = {"disks": 60.0, "backups": 300.0, "virtual_machines": 60.0}
OPERATIONS = ("list_disks", "list_backups", "list_virtual_machines")
SECONDS = (0.05, 0.2, 0.4, 0.5, 0.85)
"""How long requests take, one after the other: 0.4 s in the mean."""


@dataclass(frozen=True, slots=True)
class Past:
    """What a disk went through; hours are counted back from the end.

    Attributes:
        backup_hours: Age of the newest backup at the end; ``None``: never backed up.
        is_clear: Whether its ``error`` is understood.
        moved_hours: When it moved to machine 502.
    """

    number: str
    machine: str = "501"
    mount: str = "/"
    size: int = 20
    account: str = "4242"
    status: str = "built"
    swap: bool = False
    autobackup: bool = True
    backup_hours: float | None = 3
    is_clear: bool = True
    readable: bool = True
    failed: int = 0
    error_hours: float = 0
    locked: bool = False
    moved_hours: float | None = None
    made_hours: float = 1000
    gone_hours: float = -1
    shrunk: bool = False


FLEET = (
    Past("1001"),
    Past("1002", mount="/srv/late", backup_hours=30, size=200),
    Past("1003", machine="502", mount="/srv/missed", backup_hours=60, failed=2, size=500),
    Past("1004", machine="502", mount="/srv/never", backup_hours=None, size=80),
    Past("1005", machine="502", mount="/srv/broken", error_hours=3, status="error"),
    Past("1006", machine="503", locked=True, status="locked"),
    Past("1007", machine="503", mount="/scratch", autobackup=False, backup_hours=None),
    Past("1008", machine="503", mount="swap", swap=True, autobackup=False, backup_hours=None, size=4),
    Past("1009", machine="", mount="/old", autobackup=False),
    Past("1010", moved_hours=6, mount="/srv/moved"),
    Past("1011", gone_hours=4, mount="/srv/gone"),
    Past("1012", made_hours=2, mount="/srv/new", backup_hours=1),
    Past("1013", machine="504", readable=False),
    Past("1014", machine="504", mount="/srv/unclear", is_clear=False),
    Past("1015", machine="666", mount='/srv/"quoted\\ \n<b>Ünï', shrunk=True),
    Past("2001", account="77", machine="901", mount="/"),
    Past("2002", account="77", machine="901", mount="/data", backup_hours=27),
)
MACHINES = {
    ("4242", "501"): "web-1",
    ("4242", "502"): "db-1",
    ("4242", "503"): "batch-1",
    ("4242", "504"): "mail-1",
    ("4242", "666"): 'evil "vm\\ \n</script>',
}
"""What the API names; 901 is none of them."""


def crowd(disks: int) -> Iterator[Past]:
    """Yield that many disks in twenty accounts: nine in ten well, the rest with something wrong."""
    for number in range(disks):
        turn = number % 40
        yield Past(
            str(100_000 + number),
            account=str(5000 + number % 20),
            machine=str(10_000 + number // 3),
            mount=("/", "/srv/data", "/home")[number % 3],
            size=20 + number % 300,
            backup_hours={0: 30, 1: 60, 2: None}.get(turn, 1 + number % 24),
            locked=turn == 3,
            error_hours=5 if turn == 4 and number % 80 == 4 else 0,
            autobackup=turn != 5,
        )


class Moment(SystemClock):
    """A clock that stands still."""

    seconds = 0.0

    def wall(self) -> float:
        """Return the moment."""
        return self.seconds

    def monotonic(self) -> float:
        """Return the same."""
        return self.seconds


class Fleet:
    """The disks of all accounts; account 77 has not answered for half an hour at the end."""

    def __init__(self, disks: int, end: float) -> None:
        self.end = end
        many = tuple(crowd(disks))
        self._names = {"4242": "production", "77": None} | {each.account: f"customer {each.account}" for each in many}
        self.account_ids = tuple(self._names)
        self._disks = {
            account: [each for each in (*FLEET, *many) if each.account == account] for account in self._names
        }
        labels = MACHINES | {(each.account, each.machine): f"vm-{each.machine}" for each in many}
        self._machines: dict[str, dict[str, VirtualMachine]] = {account: {} for account in self._names}
        for (account, number), label in labels.items():
            self._machines[account][number] = VirtualMachine(number, label, label, "kvm", "on")

    def broke_at(self, account: str, resource: polled.Resource) -> float:
        """Return from when on polls fail."""
        return self.end - HOUR / 2 if account == "77" and resource != "backups" else float("inf")

    def inventory(self, account: str, now: float) -> polled.AccountInventory:
        """Return what is known of an account at a time."""
        alive = [
            each
            for each in self._disks[account]
            if self.end - each.made_hours * HOUR <= now <= self.end - each.gone_hours * HOUR
        ]
        disks = {each.number: self._disk(each, now) for each in alive}
        since = {each.number: self.end - DAY for each in alive if each.locked}
        summaries = {each.number: self._summary(each, now) for each in alive}
        unread = frozenset(each.number for each in alive if not each.readable)
        known = {number: summary for number, summary in summaries.items() if summary is not None}
        statuses = {"completed": 80, "failed": 2}
        return polled.AccountInventory(
            Account(account, self._names[account]),
            polled.StalenessLimits(HOUR, HOUR),
            polled.DiskSnapshot(disks, dict.fromkeys(disks, 0.0), now, since),
            polled.MachineSnapshot(self._machines[account], now),
            polled.BackupSnapshot(
                known, unread, now - 1, now, statuses, unassigned=1, own_lists_read=frozenset(summaries)
            ),
            outcomes={resource: self._outcome(account, resource, now) for resource in polled.RESOURCES},
            intervals=INTERVALS,
        ).with_requirements(DEFAULT_POLICY)

    def _outcome(self, account: str, resource: polled.Resource, now: float) -> polled.PollStatus:
        broke_at = self.broke_at(account, resource)
        invalid = {"created_at": 3} if resource == "disks" else {}
        read_at = broke_at if now >= broke_at else now - INTERVALS[resource] / 2
        return polled.PollStatus(now < broke_at, 0.8, read_at, invalid=invalid)

    def _disk(self, past: Past, now: float) -> Disk:
        has_error = past.error_hours > 0 and now >= self.end - past.error_hours * HOUR
        has_moved = past.moved_hours is not None and now >= self.end - past.moved_hours * HOUR
        return Disk(
            past.number,
            "502" if has_moved else past.machine or None,
            past.size * GIB,
            "built" if past.error_hours and not has_error else past.status,
            has_error,
            past.locked,
            past.swap,
            past.autobackup,
            past.mount,
            data_store_id="11",
            data_store_group_id="2",
            created_at=self.end - past.made_hours * HOUR,
            updated_at=self.end - 2 * HOUR,
            unknown=frozenset() if past.is_clear else frozenset({"error"}),
        )

    def _summary(self, past: Past, now: float) -> BackupSummary | None:
        if past.backup_hours is None:
            return None
        last = self.end - past.backup_hours * HOUR
        newest = last if now >= last else last - DAY * -((now - last) // DAY)
        share = 0.1 if past.shrunk and now >= last else 0.5 + (now - self.end) / (1000 * HOUR)
        size = past.size * GIB
        return BackupSummary(
            7,
            past.failed,
            newest,
            int(size * share),
            newest - 6 * DAY,
            now,
            typical_size_bytes=size // 2,
            failed_at=now - HOUR if past.failed else None,
        )


def count(telemetry: Telemetry, fleet: Fleet, begin: float, end: float) -> None:
    """Count what happens in a time: two requests of each operation a minute, of which every tenth fails, and polls."""
    for tick in range(int(begin // 30), int(end // 30)):
        is_tenth = tick % 10 == 0
        code = ("503", "timeout")[tick // 10 % 2] if is_tenth else "200"
        for operation in OPERATIONS:
            telemetry.request(operation, code, SECONDS[tick % len(SECONDS)])
            if is_tenth:
                telemetry.retry(operation)
        for account, resource in itertools.product(fleet.account_ids, polled.RESOURCES):
            if tick * 30 % INTERVALS[resource] == 0:
                failure: Reason | None = "timeout" if tick * 30 >= fleet.broke_at(account, resource) else None
                telemetry.poll(account, resource, failure)
            if is_tenth and resource == "disks":
                telemetry.invalid(account, resource, "created_at", 1)


def exposed(fleet: Fleet, moments: Iterable[int]) -> Iterator[tuple[str, str, str, int]]:
    """Yield what the exporter exposes at each moment: name, labels, value, time."""
    telemetry = Telemetry()
    telemetry.reload(True, fleet.end - 40 * HOUR)
    telemetry.discovery(True)
    telemetry.accounts(len(fleet.account_ids), 0, 1)
    for account in fleet.account_ids:
        telemetry.account(account)
    telemetry.login_blocked(fleet.account_ids, False)
    moment, store = Moment(), Store()
    renderer = MetricsRenderer(store, telemetry, moment)
    store.subscribe(renderer.refresh)
    before = None
    for now in moments:
        count(telemetry, fleet, now - HOUR if before is None else before, now)
        telemetry.token(fleet.account_ids, now + HOUR)
        moment.seconds, before = now, now
        known = {account: fleet.inventory(account, now) for account in fleet.account_ids}
        store.replace(lambda _, known=known: known)  # type: ignore[misc]
        for name, labels, value in _SERIES.findall(renderer.textfile().decode()):
            yield name, f"{INSTANCE},{labels}" if labels else INSTANCE, value, now


_SERIES = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


def scraped(end: float, now: int) -> Iterator[tuple[str, str, float]]:
    """Yield what is no metric of the exporter's accounts: its process's, and what Prometheus adds to a scrape."""
    for name, of_exporter, of_neighbour in (
        ("up", 1, 0),
        ("process_resident_memory_bytes", 60e6, 9e9),
        ("process_open_fds", 17, 999),
        ("process_start_time_seconds", end - 40 * HOUR, end - HOUR),
        ("process_cpu_seconds_total", now / 50, now / 2),
        ("scrape_samples_scraped", 900, 9000),
        ("scrape_duration_seconds", 0.02, 9),
    ):
        yield name, INSTANCE, of_exporter
        # A neighbour that is no exporter and is down: no panel may show it, whatever is chosen.
        yield name, NEIGHBOUR, of_neighbour


def alerts(end: float, now: int) -> Iterator[tuple[str, str, float]]:
    """Yield what the alert rules leave: which alerts fire, and since when they hold."""
    past_of = {past.number: past for past in FLEET}
    for alert, severity, account, disk, hours in (
        ("GigasDiskError", "critical", "4242", "1005", 2.9),
        ("GigasDiskBackupMissed", "critical", "4242", "1003", 20),
        ("GigasDiskNeverBackedUp", "critical", "4242", "1004", 25),
        ("GigasDiskBackupStale", "warning", "4242", "1002", 3),
        ("GigasDiskUnprotected", "info", "4242", "1007", 25),
        ("GigasApiFailing", "warning", "77", "", 0.25),
    ):
        since = end - hours * HOUR
        if now < since:
            continue
        labels = f'{INSTANCE},alertname="{alert}",severity="{severity}",account_id="{account}"'
        if past := past_of.get(disk):
            machine = MACHINES[account, past.machine]
            labels += f',disk_id="{disk}",virtual_machine="{machine}",mount_point="{past.mount}"'
        yield "ALERTS", f'{labels},alertstate="firing"', 1
        yield "ALERTS_FOR_STATE", labels, since


def main() -> None:
    """Write the samples of every series, oldest first."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--end", type=int, required=True)
    arguments.add_argument("--hours", type=float, required=True)
    arguments.add_argument("--step", type=int, required=True)
    arguments.add_argument("--disks", type=int, default=0)
    chosen = arguments.parse_args()
    moments = range(chosen.end - int(chosen.hours * HOUR), chosen.end + 1, chosen.step)
    write = sys.stdout.write
    for name, labels, text, now in exposed(Fleet(chosen.disks, chosen.end), moments):
        write(f"{name}{{{labels}}} {text} {now}\n")
    for now in moments:
        for name, labels, value in (*scraped(chosen.end, now), *alerts(chosen.end, now)):
            write(f"{name}{{{labels}}} {value} {now}\n")
    write("# EOF\n")


if __name__ == "__main__":
    main()
