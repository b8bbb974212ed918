"""Print the past of an eventful fleet as OpenMetrics with timestamps, for `promtool tsdb create-blocks-from`.

    python fleet_history.py --end 1764000000 --hours 30 --step 300 --disks 0

It plays what the exporter would have exposed over the last hours: backups that come daily, come late or never, a disk
in error, one that moved, one deleted, one just made, names with quotes and newlines. With ``--disks N`` that many
healthy and unhealthy disks stand beside them, for measuring. It is a program of its own, so that the tests need
import nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HOUR = 3600
GIB = 2**30
INSTANCE = 'job="gigas",instance="exporter:10063"'
NEIGHBOUR = 'job="node",instance="node:9100"'
ACCOUNTS = {"4242": "production", "77": ""}
OPERATIONS = ("list_disks", "list_backups", "list_virtual_machines")
REASONS = ("timeout", "connection", "auth", "forbidden", "rate_limited", "server", "invalid", "incomplete", "other")
RESOURCES = {"disks": 60, "backups": 300, "virtual_machines": 60}


@dataclass(frozen=True, slots=True)
class Past:
    """What a disk went through; hours are counted back from the end.

    Attributes:
        backup_hours: Age of the newest backup at the end; ``None``: never backed up.
        moved_hours: When it moved to machine 502.
        locked_until: How long ago its lock ended; 0: locked still.
    """

    number: str
    machine: str = "501"
    mount: str = "/"
    size: int = 20
    account: str = "4242"
    status: str = "built"
    swap: bool = False
    autobackup: bool = True
    required: bool = True
    backup_hours: float | None = 3
    known: bool = True
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
    Past("1007", machine="503", mount="/scratch", autobackup=False, required=False, backup_hours=None),
    Past("1008", machine="503", mount="swap", swap=True, autobackup=False, required=False, backup_hours=None, size=4),
    Past("1009", machine="", mount="/old", autobackup=False, required=False),
    Past("1010", moved_hours=6, mount="/srv/moved"),
    Past("1011", gone_hours=4, mount="/srv/gone"),
    Past("1012", made_hours=2, mount="/srv/new", backup_hours=1),
    Past("1013", machine="504", readable=False),
    Past("1014", machine="504", mount="/srv/unread", known=False),
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


def escaped(text: str) -> str:
    """Return a label's value as the exposition writes it."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def labels(**values: str) -> str:
    """Return a label set, with the labels of the scrape."""
    return ",".join([INSTANCE, *(f'{name}="{escaped(value)}"' for name, value in values.items())])


Value = Callable[[float], float | None]
Series = tuple[str, str, Value]


def always(value: float) -> Value:
    """Return a value that never changes."""
    return lambda _: value


def growing(seconds: float, share: float = 1) -> Value:
    """Return a counter that grows by a share of one every so many seconds."""
    return lambda t: t // seconds * share


def disk_series(past: Past, end: float) -> Iterator[Series]:
    """Yield the series of a disk: name, labels, and its value at a time."""
    for machine, alive in _attachments(past, end):
        own = labels(account_id=past.account, disk_id=past.number, virtual_machine_id=machine)
        info = f'{own},virtual_machine="{escaped(machine_name(past, machine))}",mount_point="{escaped(past.mount)}"'
        info += ',data_store_id="11",data_store_group_id="2"'
        for name, more, value in _facts(past, end):
            text = info if name == "gigas_disk_info" else f"{own},{more}" if more else own
            yield name, text, _while(alive, value)
        named = f'{own},virtual_machine="{escaped(machine_name(past, machine))}",mount_point="{escaped(past.mount)}"'
        for finding, limit, value in _findings(past, end):
            its = f'{named},finding="{finding}",limit="{limit}"'
            yield "gigas_disk_finding", its, _while(alive, _if_found(value))


def machine_name(past: Past, machine: str) -> str:
    """Return what a disk's machine is called: its label, else its id."""
    return MACHINES.get((past.account, machine), f"VM {machine}") if machine else "detached"


def _if_found(value: Value) -> Value:
    return lambda t: 1 if value(t) else None


def _attachments(past: Past, end: float) -> Iterator[tuple[str, Callable[[float], bool]]]:
    made, gone = end - past.made_hours * HOUR, end - past.gone_hours * HOUR
    if past.moved_hours is None:
        yield past.machine, lambda t: made <= t <= gone
        return
    moved = end - past.moved_hours * HOUR
    yield past.machine, lambda t: t < moved
    yield "502", lambda t: t >= moved


def _while(alive: Callable[[float], bool], value: Callable[[float], float | None]) -> Callable[[float], float | None]:
    return lambda t: value(t) if alive(t) else None


def _facts(past: Past, end: float) -> Iterator[tuple[str, str, Callable[[float], float | None]]]:
    errs = end - past.error_hours * HOUR if past.error_hours else 0
    yield "gigas_disk_info", "", lambda _: 1
    yield "gigas_disk_status", f'status="{past.status}"', lambda t: 1 if past.status == "built" or t >= errs else None
    if past.status != "built":
        yield "gigas_disk_status", 'status="built"', lambda t: 1 if t < errs else None
    yield "gigas_disk_size_bytes", "", lambda _: past.size * GIB
    yield "gigas_disk_error", "", lambda t: float(past.error_hours > 0 and t >= errs)
    yield "gigas_disk_locked", "", lambda _: float(past.locked)
    yield "gigas_disk_swap", "", lambda _: float(past.swap)
    yield "gigas_disk_autobackup", "", lambda _: float(past.autobackup)
    yield "gigas_disk_created_timestamp_seconds", "", lambda _: end - past.made_hours * HOUR
    yield "gigas_disk_updated_timestamp_seconds", "", lambda _: end - 2 * HOUR
    yield "gigas_disk_backup_required", "", lambda _: float(past.required)
    yield "gigas_disk_backup_exempt", "", always(float(past.swap))
    if past.required:
        yield "gigas_disk_backup_max_age_seconds", "", lambda _: 26 * HOUR
    if not past.known:
        return
    yield "gigas_disk_backups_poll_success", "", lambda _: float(past.readable)
    yield "gigas_disk_backups_failed", "", lambda _: past.failed
    yield "gigas_disk_backup_last_failed", "", always(float(past.failed > 0))
    hours = past.backup_hours
    yield "gigas_disk_backups", "", lambda _: 0 if hours is None else 7
    if hours is None:
        return
    newest = end - hours * HOUR

    def made_at(t: float) -> float:
        return newest if t >= newest else newest - 24 * HOUR * -((t - newest) // (24 * HOUR))

    yield "gigas_disk_backup_last_timestamp_seconds", "", made_at
    yield "gigas_disk_backup_age_seconds", "", lambda t: t - made_at(t)
    yield (
        "gigas_disk_backup_last_size_bytes",
        "",
        lambda t: past.size * GIB * (0.1 if past.shrunk and t >= newest else 0.5 + (t - end) / (1000 * HOUR)),
    )
    yield "gigas_disk_backup_typical_size_bytes", "", always(past.size * GIB * 0.5)
    yield "gigas_disk_backup_oldest_timestamp_seconds", "", lambda t: made_at(t) - 6 * 24 * HOUR


def _findings(past: Past, end: float) -> Iterator[tuple[str, str, Value]]:
    """Yield the findings that a disk ever has: which, the limit that was passed, and whether it holds at a time."""
    facts = {name: value for name, _, value in _facts(past, end)}

    def age(t: float) -> float:
        value = facts.get("gigas_disk_backup_age_seconds", always(0))(t)
        return (value or 0) if past.required else 0

    limit = 26 * HOUR
    for finding, whether in (
        ("never_backed_up", lambda _: past.required and past.known and past.backup_hours is None),
        ("backup_missed", lambda t: age(t) > 2 * limit),
        ("disk_error", lambda t: facts["gigas_disk_error"](t) == 1),
        ("backups_unreadable", lambda _: past.known and not past.readable),
        ("backup_stale", lambda t: limit < age(t) <= 2 * limit),
        ("locked_long", lambda _: past.locked),
        ("backup_failed", lambda _: past.failed > 0),
        ("unprotected", lambda _: not (past.required or past.autobackup or past.swap)),
        ("backup_shrank", lambda _: past.shrunk),
        ("detached", lambda _: past.machine == ""),
    ):
        limited = {"never_backed_up": "26h", "backup_missed": "26h", "backup_stale": "26h", "locked_long": "2h"}
        yield finding, limited.get(finding, ""), _as_number(whether)


FINDINGS = (
    *("never_backed_up", "backup_missed", "disk_error", "not_understood", "backups_unreadable", "backup_stale"),
    *("locked_long", "backup_failed", "unprotected", "backup_shrank", "detached"),
)
SUMS = {
    "gigas_account_disk_size_bytes": "gigas_disk_size_bytes",
    "gigas_account_backups": "gigas_disk_backups",
    "gigas_account_backup_size_bytes": "gigas_disk_backup_last_size_bytes",
}
"""What the exporter adds up by account, from which metric of its disks."""


def account_sums(account: str, disks: tuple[Past, ...], end: float) -> Iterator[Series]:
    """Yield the counts and sums of an account's disks."""
    there = [(past, alive) for past in disks for _, alive in _attachments(past, end)]
    values = [
        ({name: value for name, _, value in _facts(past, end)}, dict(_found(past, end)), alive) for past, alive in there
    ]
    own = labels(account_id=account)

    def total(of: Callable[[Facts, Facts], Value | None]) -> Value:
        read = [(value, alive) for facts, found, alive in values if (value := of(facts, found)) is not None]
        return lambda t: sum(value(t) or 0 for value, alive in read if alive(t))

    yield "gigas_account_disks", own, total(lambda facts, _: always(1))
    for name, metric in SUMS.items():
        yield name, own, total(_fact(metric))
    for finding in FINDINGS:
        text = labels(account_id=account, finding=finding)
        yield (
            "gigas_account_disks_with_finding",
            text,
            total(_having(finding)),
        )
    required = total(lambda facts, _: facts["gigas_disk_backup_required"])
    over = total(lambda _, found: _any(found, ("never_backed_up", "backup_missed", "backup_stale")))
    if required(end):
        yield "gigas_account_backup_compliance_ratio", own, lambda t: 1 - (over(t) or 0) / (required(t) or 1)
    for status, count in (("completed", 80.0), ("failed", 2.0)):
        yield "gigas_account_backups_by_status", labels(account_id=account, status=status), always(count)
    yield "gigas_account_backups_unassigned", own, always(1)


Facts = dict[str, Value]


def _as_number(whether: Callable[[float], bool]) -> Value:
    return lambda t: float(whether(t))


def _fact(metric: str) -> Callable[[Facts, Facts], Value | None]:
    return lambda facts, _: facts.get(metric)


def _having(finding: str) -> Callable[[Facts, Facts], Value | None]:
    return lambda _, found: found[finding] if finding in found else always(0)


def _found(past: Past, end: float) -> Iterator[tuple[str, Value]]:
    for finding, _, value in _findings(past, end):
        yield finding, value


def _any(found: Facts, names: tuple[str, ...]) -> Value:
    return lambda t: float(any(found[name](t) for name in names))


def account_series(account: str, name: str, end: float) -> Iterator[Series]:
    """Yield the series of an account and of its polls; account 77 has not answered for half an hour."""
    answers = account != "77"
    broke = end - HOUR / 2
    yield "gigas_up", labels(account_id=account), lambda t: float(answers or t < broke)
    yield "gigas_account_info", labels(account_id=account, name=name), lambda _: 1
    expiry = "gigas_exporter_api_token_expiry_timestamp_seconds"
    yield expiry, labels(account_id=account), lambda t: t + HOUR
    for resource, interval in RESOURCES.items():
        ok = answers or resource == "backups"
        yield from _poll_series(account, resource, interval, end + HOUR if ok else broke)
    yield "gigas_exporter_login_blocked", labels(account_id=account), always(0)
    odd = labels(account_id=account, resource="disks", field="created_at")
    yield "gigas_exporter_poll_invalid_items", odd, always(3)
    yield "gigas_account_disks_undecided", labels(account_id=account, field="created_at"), always(1)
    yield "gigas_exporter_invalid_items_total", odd, lambda t: t // 600


def _poll_series(account: str, resource: str, interval: float, broke: float) -> Iterator[Series]:
    own = labels(account_id=account, resource=resource)
    yield "gigas_exporter_poll_success", own, lambda t: float(t < broke)
    last = "gigas_exporter_poll_last_success_timestamp_seconds"
    yield last, own, lambda t: t - interval / 2 if t < broke else broke
    yield "gigas_exporter_poll_duration_seconds", own, always(0.8)
    yield "gigas_exporter_poll_interval_seconds", own, always(interval)
    yield "gigas_exporter_polls_total", own, growing(interval)
    for reason in REASONS:
        failed = f'{own},reason="{reason}"'
        timeouts: Value = (lambda t: max(0, t - broke) // 60) if reason == "timeout" else always(0)
        yield "gigas_exporter_poll_failures_total", failed, timeouts


def machine_series() -> Iterator[Series]:
    """Yield the machines that the API named; 901 is none of them."""
    for (account, machine), label in MACHINES.items():
        own = labels(
            account_id=account, virtual_machine_id=machine, label=label, hostname=label, type="kvm", status="on"
        )
        yield "gigas_virtual_machine_info", own, lambda _: 1


def exporter_series(end: float) -> Iterator[Series]:
    """Yield the exporter's own series and those that Prometheus adds to a scrape."""
    bounds = (0.1, 0.5, 1, 5)
    for operation in OPERATIONS:
        own = labels(operation=operation)
        name = "gigas_exporter_api_request_duration_seconds"
        for index, bound in enumerate(bounds):
            yield f"{name}_bucket", f'{own},le="{float(bound)}"', growing(60, (index + 1) / 5)
        yield f"{name}_bucket", f'{own},le="+Inf"', lambda t: t // 60
        yield f"{name}_count", own, lambda t: t // 60
        yield f"{name}_sum", own, lambda t: t // 60 * 0.4
        for code, share in (("200", 0.9), ("503", 0.06), ("timeout", 0.04)):
            total = f'{own},code="{code}"'
            yield "gigas_exporter_api_requests_total", total, growing(60, share)
        yield "gigas_exporter_api_retries_total", own, lambda t: t // 600
    build = labels(version="0.1.0", python_version="3.11.4")
    yield "gigas_exporter_build_info", build, lambda _: 1
    for name, value in (
        ("gigas_exporter_config_last_reload_successful", 1.0),
        ("gigas_exporter_discovery_success", 1.0),
        ("gigas_exporter_config_last_reload_success_timestamp_seconds", end - 40 * HOUR),
        ("gigas_exporter_log_lines_dropped_total", 0.0),
        ("gigas_exporter_accounts", 2.0),
        ("gigas_exporter_accounts_unpolled", 0.0),
        ("gigas_exporter_accounts_skipped", 1.0),
        ("process_resident_memory_bytes", 60e6),
        ("process_open_fds", 17.0),
        ("process_start_time_seconds", end - 40 * HOUR),
        ("scrape_samples_scraped", 900.0),
        ("scrape_duration_seconds", 0.02),
        ("up", 1.0),
    ):
        yield name, INSTANCE, always(value)
    yield "process_cpu_seconds_total", INSTANCE, lambda t: t / 50
    # A neighbour that is no exporter and is down: no panel may show it, whatever is chosen.
    yield "up", NEIGHBOUR, always(0)
    yield "process_resident_memory_bytes", NEIGHBOUR, always(9e9)
    yield "process_open_fds", NEIGHBOUR, always(999)
    yield "process_start_time_seconds", NEIGHBOUR, always(end - HOUR)
    yield "process_cpu_seconds_total", NEIGHBOUR, lambda t: t / 2
    yield "scrape_samples_scraped", NEIGHBOUR, always(9000)
    yield "scrape_duration_seconds", NEIGHBOUR, always(9)


def _since(moment: float) -> Value:
    return lambda t: 1 if t >= moment else None


def _active(alert: str, since: float) -> Iterator[Series]:
    """Yield since when an alert holds, as Prometheus writes it beside the alert."""
    yield "ALERTS_FOR_STATE", alert.replace('alertstate="firing",', ""), lambda t: since if t >= since else None


def alert_series(end: float) -> Iterator[Series]:
    """Yield what the alert rules would have left: the series that annotations read."""
    past_of = {past.number: past for past in FLEET}
    for alert, severity, disk, since in (
        ("GigasDiskError", "critical", "1005", 2.9),
        ("GigasDiskBackupMissed", "critical", "1003", 20),
        ("GigasDiskNeverBackedUp", "critical", "1004", 25),
        ("GigasDiskBackupStale", "warning", "1002", 3),
        ("GigasDiskUnprotected", "info", "1007", 25),
    ):
        past = past_of[disk]
        names = {"virtual_machine": machine_name(past, past.machine), "mount_point": past.mount}
        more = {"account_id": "4242", "disk_id": disk, **names}
        own = labels(alertname=alert, alertstate="firing", severity=severity, **more)
        yield "ALERTS", own, _since(end - since * HOUR)
        yield from _active(own, end - since * HOUR)
    failing = labels(alertname="GigasApiFailing", alertstate="firing", severity="warning", account_id="77")
    yield "ALERTS", failing, _since(end - HOUR / 4)
    yield from _active(failing, end - HOUR / 4)


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
            required=turn != 5,
        )


def fleet_series(end: float, disks: int) -> Iterator[Series]:
    """Yield every series of the fleet."""
    many = tuple(crowd(disks))
    accounts = {**ACCOUNTS, **{past.account: f"customer {past.account}" for past in many}}
    for account, name in accounts.items():
        yield from account_series(account, name, end)
    for past in (*FLEET, *many):
        yield from disk_series(past, end)
    for account in accounts:
        yield from account_sums(account, tuple(past for past in (*FLEET, *many) if past.account == account), end)
    for account, machine in sorted({(past.account, past.machine) for past in many}):
        own = labels(
            account_id=account,
            virtual_machine_id=machine,
            label=f"vm-{machine}",
            hostname=f"vm-{machine}",
            type="kvm",
            status="on",
        )
        yield "gigas_virtual_machine_info", own, lambda _: 1
    yield from machine_series()
    yield from exporter_series(end)
    yield from alert_series(end)


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
    for name, text, value in fleet_series(chosen.end, chosen.disks):
        write("".join(f"{name}{{{text}}} {v} {t}\n" for t in moments if (v := value(t)) is not None))
    write("# EOF\n")


if __name__ == "__main__":
    main()
