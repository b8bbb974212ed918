"""A simulated estate over time, minute by minute, and its series as promtool's unit tests write them.

It says what an exporter would expose through outages, restarts, and disks that come, go and move. It knows no alert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DAY", "HOUR", "LIMIT_SECONDS", "Account", "Disk", "Estate", "Span", "Timeline", "always", "at", "span"]

HOUR = 60
DAY = 24 * HOUR
LIMIT_SECONDS = 26 * 3600
MACHINES = {"501": ("web-1", "web-1.example.com"), "502": ("", "db-1.example.com")}

Timeline = Callable[[int], Any]
Labels = Mapping[str, str]
Span = tuple[int, int]
Key = tuple[str, tuple[tuple[str, str], ...]]

_INVENTORY = ("gigas_disk", "gigas_virtual_machine")
_BACKUPS_READ = "gigas_disk_backups_poll_success"
_BACKUPS = ("gigas_disk_backup_last", "gigas_disk_backup_age", "gigas_disk_backups")


def at(before: Any, minute: int, after: Any) -> Timeline:
    """One value, and from a minute on another."""
    return lambda now: after if now >= minute else before


def span(inside: Any, first: int, end: int, outside: Any) -> Timeline:
    """One value within some minutes, and another before and after."""
    return lambda now: inside if first <= now < end else outside


def always(value: Any) -> Timeline:
    """The same value for ever."""
    return lambda _: value


_ALWAYS, _NONE, _FIRST_MACHINE, _ABSENT = always(1), always(0), always("501"), always(None)


@dataclass
class Disk:
    """A disk in good order; ``values`` says otherwise where it is not."""

    disk_id: str
    mount_point: str = "/srv"
    machine: Timeline = _FIRST_MACHINE
    present: Timeline = _ALWAYS
    values: dict[str, Timeline] = field(default_factory=dict)

    def series(self, minute: int, labels: Labels) -> Iterator[tuple[str, Labels, float]]:
        """Yield what an exporter shows of it."""
        if not self.present(minute):
            return
        labels = {**labels, "disk_id": self.disk_id, "virtual_machine_id": self.machine(minute)}
        yield "gigas_disk_info", {**labels, "mount_point": self.mount_point, "data_store_id": "1"}, 1
        healthy = {
            "gigas_disk_error": 0,
            "gigas_disk_locked": 0,
            "gigas_disk_swap": 0,
            "gigas_disk_autobackup": 1,
            "gigas_disk_size_bytes": 20 << 30,
            "gigas_disk_created_timestamp_seconds": -40 * 86400,
            "gigas_disk_backups": 7,
            "gigas_disk_backups_failed": 0,
            "gigas_disk_backups_poll_success": 1,
            "gigas_disk_backup_last_timestamp_seconds": -3600,
            "gigas_disk_backup_last_size_bytes": 4 << 30,
            "gigas_disk_backup_required": 1,
            "gigas_disk_backup_exempt": 0,
            "gigas_disk_backup_max_age_seconds": LIMIT_SECONDS,
        }
        values = {name: self.values.get(name, always(value))(minute) for name, value in healthy.items()}
        last = values["gigas_disk_backup_last_timestamp_seconds"]
        values["gigas_disk_backup_age_seconds"] = None if last is None else max(0, minute * 60 - last)
        for name, value in values.items():
            if value is not None:
                yield name, labels, value


@dataclass
class Account:
    """An account; while the API is down its last data is served for a quarter of an hour, its backups for half one.

    Where polls are rare, the disks are served for two of them.

    Attributes:
        slower_by: Minutes that its first polls take longer than another account's.
        poll_seconds: The interval of polls that the exporter tells; what it shows changes each minute nonetheless.
        machines_read: Whether the virtual machines could be read; ``None`` while that was not tried yet.
        machines: Label and hostname of each virtual machine; ``None`` while it is not there.
        present: Whether the account is watched.
    """

    account_id: str
    disks: list[Disk]
    api_down: Span | None = None
    backups_down: Span | None = None
    slower_by: int = 0
    poll_seconds: int = 60
    machines_read: Timeline = _ALWAYS
    machines: Mapping[str, Timeline] = field(
        default_factory=lambda: {each: always(its) for each, its in MACHINES.items()}
    )
    present: Timeline = _ALWAYS
    invalid_items: Timeline = _NONE

    def series(self, minute: int, since_start: int) -> Iterator[tuple[str, Labels, float]]:
        """Yield what an exporter shows of it so many minutes after its start."""
        if not self.present(minute):
            return
        since_start -= self.slower_by
        labels = {"account_id": self.account_id}
        yield "gigas_account_info", {**labels, "name": ""}, 1
        disks_read = self._last_read(minute, since_start - 1, self.api_down)
        backups_read = self._last_read(minute, since_start - 2, self.backups_down or self.api_down)
        yield from self._polls(minute, since_start, {"disks": disks_read, "backups": backups_read})
        blind = disks_read is None or minute - disks_read > max(15, self.poll_seconds // 30)
        blind_for_backups = blind or backups_read is None or minute - backups_read > 30
        if not blind:
            for machine, line in self.machines.items() if self.machines_read(minute) else ():
                if names := line(minute):
                    told = {"label": names[0], "hostname": names[1], "type": "linux", "status": "on"}
                    yield "gigas_virtual_machine_info", {**labels, "virtual_machine_id": machine, **told}, 1
            # What the API says of the disks is what it said when they were last read; only ages go on.
            for disk in self.disks:
                for name, its, value in disk.series(disks_read or 0, labels):
                    aged = name == "gigas_disk_backup_age_seconds"
                    if name == _BACKUPS_READ:
                        if since_start >= 2:
                            yield name, its, value if backups_read == minute else 0
                    elif not (blind_for_backups and name.startswith(_BACKUPS)):
                        yield name, its, value + (minute - (disks_read or 0)) * 60 if aged else value

    def _polls(
        self, minute: int, since_start: int, read: Mapping[str, int | None]
    ) -> Iterator[tuple[str, Labels, float]]:
        labels = {"account_id": self.account_id}
        for resource, seconds in (("disks", self.poll_seconds), ("backups", 300)):
            its = {**labels, "resource": resource}
            yield "gigas_exporter_poll_interval_seconds", its, seconds
            last = read[resource]
            if since_start >= 1:
                yield "gigas_exporter_poll_success", its, int(last == minute)
            if last is not None:
                yield "gigas_exporter_poll_last_success_timestamp_seconds", its, last * 60
        if since_start >= 1 and (machines_read := self.machines_read(minute)) is not None:
            yield "gigas_exporter_poll_success", {**labels, "resource": "virtual_machines"}, machines_read
        if since_start >= 1:
            yield "gigas_up", labels, int(read["disks"] == minute)
        its = {**labels, "resource": "disks", "field": "disk_size"}
        yield "gigas_exporter_invalid_items_total", its, self.invalid_items(minute)

    def _last_read(self, minute: int, since_first: int, down: Span | None) -> int | None:
        if since_first < 0:
            return None
        first = minute - since_first
        if down is None or not down[0] <= minute < down[1]:
            return minute
        return down[0] - 1 if down[0] - 1 >= first else None


@dataclass
class Estate:
    """Exporters that watch accounts, and a Prometheus that scrapes them each minute.

    Attributes:
        exporter_down: Minutes in which the exporters do not answer; afterwards they start afresh.
        lives: Minutes after which they start afresh again and again from then on.
        prometheus_down: Minutes of which Prometheus has nothing.
        exporters_gone: Minutes in which there is no target at all.
        others: Targets that are no exporters, and whether they answer.
        watching: Whether any account is watched.
        discovery: Whether the accounts can be listed; ``None`` where they are configured.
    """

    accounts: list[Account]
    minutes: int
    instances: tuple[str, ...] = ("exporter:10063",)
    exporter_down: Span | None = None
    lives: int | None = None
    prometheus_down: Span | None = None
    exporters_gone: Span | None = None
    others: Mapping[str, int] = field(default_factory=dict)
    watching: Timeline = _ALWAYS
    discovery: Timeline = _ABSENT
    reload_successful: Timeline = _ALWAYS
    failing_requests: Timeline = _NONE
    slow_requests: Timeline = _NONE

    def _scrape(self, minute: int) -> dict[Key, float]:
        found: dict[Key, float] = {
            _key("up", {"job": "other", "instance": instance}): up for instance, up in self.others.items()
        }
        if self.exporters_gone is not None and self.exporters_gone[0] <= minute < self.exporters_gone[1]:
            return found
        for instance in self.instances:
            target = {"job": "gigas", "instance": instance}
            down = self.exporter_down is not None and self.exporter_down[0] <= minute < self.exporter_down[1]
            found[_key("up", target)] = int(not down)
            if not down:
                for name, labels, value in self._page(minute):
                    found[_key(name, {**target, **labels})] = value
        return found

    def _page(self, minute: int) -> Iterator[tuple[str, Labels, float]]:
        restarted = self.exporter_down is not None and minute >= self.exporter_down[1]
        start = self.exporter_down[1] if restarted and self.exporter_down else -60
        if restarted and self.lives is not None:
            start = minute - (minute - start) % self.lives
        yield "gigas_exporter_build_info", {"version": "1.0.0"}, 1
        yield "gigas_exporter_config_last_reload_successful", {}, self.reload_successful(minute)
        if (listed := self.discovery(minute)) is not None:
            yield "gigas_exporter_discovery_success", {}, listed
        yield "process_start_time_seconds", {}, start * 60
        requests = 10 * (minute - start)
        failed, slow = self.failing_requests(minute), self.slow_requests(minute)
        operation = {"operation": "list_disks"}
        yield "gigas_exporter_api_requests_total", {**operation, "code": "200"}, requests - failed
        yield "gigas_exporter_api_requests_total", {**operation, "code": "503"}, failed
        for bound, count in (("0.5", requests - slow), ("5", requests - slow), ("10", requests), ("+Inf", requests)):
            yield "gigas_exporter_api_request_duration_seconds_bucket", {**operation, "le": bound}, count
        for account in self.accounts if self.watching(minute) else ():
            yield from account.series(minute, minute - start)

    def input_series(self) -> list[dict[str, str]]:
        """Return the series in the notation of promtool."""
        scrapes = [
            None
            if self.prometheus_down is not None and self.prometheus_down[0] <= minute < self.prometheus_down[1]
            else self._scrape(minute)
            for minute in range(self.minutes + 1)
        ]
        keys = dict.fromkeys(key for scrape in scrapes if scrape is not None for key in scrape)
        return [{"series": _text(key), "values": _values([_sample(scrape, key) for scrape in scrapes])} for key in keys]


def _key(name: str, labels: Labels) -> Key:
    return name, tuple(labels.items())


def _text(key: Key) -> str:
    name, labels = key
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in labels) + "}"


def _sample(scrape: Mapping[Key, float] | None, key: Key) -> float | str:
    return "_" if scrape is None else scrape.get(key, "stale")


def _values(samples: list[float | str]) -> str:
    """Write samples down, as runs where they rise evenly.

    What was never there is not marked as stale, and neither is what ended while Prometheus was down: it never knew.
    """
    tokens: list[str] = []
    position, there = 0, False
    while position < len(samples):
        sample = samples[position]
        end = position + 1
        if isinstance(sample, str):
            while end < len(samples) and samples[end] == sample:
                end += 1
            there &= sample == "stale"
            if there:
                tokens.append("stale")
                position += 1
                there = False
            if end > position:
                tokens.append(f"_x{end - position}")
        else:
            there = True
            following = samples[end] if end < len(samples) else None
            step = following - sample if isinstance(following, int | float) else 0
            while end < len(samples) and samples[end] == sample + step * (end - position):
                end += 1
            tokens.append(f"{sample:g}" if end - position == 1 else f"{sample}{step:+}x{end - position - 1}")
        position = end
    return " ".join(tokens)
