"""The PromQL that several dashboards share: which series are meant, what is wrong with a disk, what it is called.

It owns expressions as text and knows nothing of panels. Every selector goes through a `Scope`, so that none forgets
the variables that the reader chose.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ALARMED",
    "ALERTS",
    "ATTACHED",
    "BY_ACCOUNT",
    "BY_DISK",
    "BY_MACHINE",
    "CHANGED",
    "DISK",
    "DRAWN",
    "EXPORTER",
    "FLEET",
    "MACHINES",
    "NAMED",
    "NEVER",
    "OLDEST",
    "OVERDUE",
    "UNPROTECTED",
    "WORST",
    "Scope",
    "account_named",
    "firing",
    "largest",
    "largest_accounts",
    "machine_names",
    "machines_of",
    "named",
    "never_backed_up",
    "of_exporters",
    "of_limit",
    "or_zero",
    "problem",
    "ranked",
    "recorded_within_policy",
    "unknown",
    "unprotected",
    "up",
    "within_policy",
    "worst",
]

ATTACHED = 'virtual_machine_id!=""'
BY_ACCOUNT = "job, instance, account_id"
BY_MACHINE = f"{BY_ACCOUNT}, virtual_machine_id"
BY_DISK = f"{BY_ACCOUNT}, disk_id"
"""A disk's identity. The machine is no part of it: a disk that moves stays the same disk."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The series that the variables of a dashboard select; called with a metric, it gives the selector."""

    matchers: str

    def __call__(self, metric: str, extra: str = "", at: str = "") -> str:
        """Return the selector of ``metric``, with more matchers and an ``@`` modifier where given."""
        matchers = f"{self.matchers}, {extra}" if extra else self.matchers
        return f"{metric}{{{matchers}}}{f' @ {at}()' if at else ''}"


EXPORTER = Scope('job=~"$job", instance=~"$instance"')
FLEET = Scope(f'{EXPORTER.matchers}, account_id=~"$account_id"')
WORST = Scope(f'{FLEET.matchers}, disk_id=~"$worst"')
OVERDUE = Scope(f'{FLEET.matchers}, disk_id=~"$overdue"')
OLDEST = Scope(f'{FLEET.matchers}, disk_id=~"$oldest"')
NEVER = Scope(f'{FLEET.matchers}, disk_id=~"$never"')
UNPROTECTED = Scope(f'{FLEET.matchers}, disk_id=~"$unprotected"')
CHANGED = Scope(f'{FLEET.matchers}, disk_id=~"$changed"')
DRAWN = Scope(f'{FLEET.matchers}, disk_id=~"$drawn"')
ALARMED = Scope(f'{FLEET.matchers}, disk_id=~"$alarmed"')
NAMED = Scope(f'{FLEET.matchers}, virtual_machine_id=~"$machines"')
"""The machines of the disks that hidden variables stand for: ten thousand machines cost most of what naming costs."""
MACHINES = Scope(f'{FLEET.matchers}, virtual_machine_id=~"$virtual_machine"')
DISK = Scope(f'{MACHINES.matchers}, disk_id=~"$disk_id"')
ALERTS = Scope(f'alertname=~"Gigas.*", {EXPORTER.matchers}, account_id=~"$account_id|"')
"""The alerts of the chosen exporters and accounts, and those that are about no account."""


def of_exporters(metric: str) -> str:
    """Return a metric that every scrape has, of exporters only: 'All' jobs are all that Prometheus scrapes."""
    return f"{EXPORTER(metric)} and on (job, instance) {EXPORTER('gigas_exporter_build_info')}"


def up() -> str:
    """Return whether the targets answer that were exporters at any time in the range."""
    seen = f"last_over_time({EXPORTER('gigas_exporter_build_info')}[$__range])"
    return f"({EXPORTER('up')} and on (job, instance) {seen})"


def firing(alerts: Scope, extra: str = "") -> str:
    """Return those of the alerts that fire."""
    return alerts("ALERTS", 'alertstate="firing"' + (f", {extra}" if extra else ""))


def ranked(alerts: Scope, extra: str) -> str:
    """Return those of the alerts that fire as numbers for `looks.SEVERITY`."""
    ranks = ((3, "critical"), (2, "warning"), (1, "info"))
    return " or ".join(f"{rank} * " + firing(alerts, f'severity="{name}", {extra}') for rank, name in ranks)


def or_zero(count: str, of: str) -> str:
    """Return ``count``, or 0 while ``of`` has series: 'none' is a number, 'not known' is no value at all."""
    return f"({count}) or 0 * count({of})"


def of_limit(scope: Scope, at: str = "") -> str:
    """Return the age of each disk's newest backup as a share of what the policy allows."""
    age = scope("gigas_disk_backup_age_seconds", at=at)
    return f"{age} / {scope('gigas_disk_backup_max_age_seconds', at=at)}"


def never_backed_up(scope: Scope) -> str:
    """Return the disks that must have a backup and have none, as zeros."""
    return f"({scope('gigas_disk_backups')} == 0) and ({scope('gigas_disk_backup_required')} == 1)"


def unknown(scope: Scope) -> str:
    """Return the disks that must have a backup and of whose backups nothing is known, as ones."""
    return f"({scope('gigas_disk_backup_required')} == 1) unless {scope('gigas_disk_backups')}"


def unprotected(scope: Scope) -> str:
    """Return the disks that nothing backs up: no swap, no automatic backup known of, neither demanded nor exempt."""
    return (
        f"({scope('gigas_disk_backup_required')} == 0) unless ({scope('gigas_disk_autobackup')} == 1)"
        f" unless ({scope('gigas_disk_swap')} == 1) unless ({scope('gigas_disk_backup_exempt')} == 1)"
    )


def within_policy(scope: Scope, by: str = "") -> str:
    """Return the share of the disks that must have a backup whose newest one is young enough.

    A disk has a limit exactly when it must have a backup; one without a backup, or without word of any, counts as 0.
    """
    limit = scope("gigas_disk_backup_max_age_seconds")
    grouping = f" by ({by})" if by else ""
    return f"avg{grouping} ({scope('gigas_disk_backup_age_seconds')} <= bool {limit} or 0 * {limit})"


def recorded_within_policy() -> str:
    """Return the share within policy by account over time, from the recording rules: it reads every disk."""
    return account_named(FLEET("account:gigas_disk_backup_within_limit:ratio"))


def problem(scope: Scope) -> str:
    """Return the worst that is wrong with each disk, as a number that `looks.PROBLEMS` puts into words.

    A late backup counts 3 more than its age as a share of the limit, so that the latest come first.
    ``or`` keeps the first that holds: all metrics of a disk have the same labels.
    """
    return " or ".join(
        (
            f"7 * ({scope('gigas_disk_error')} == 1)",
            f"6 + ({never_backed_up(scope)})",
            f"3 + clamp_max({of_limit(scope)} > 1, 2.99)",
            f"2 + ({scope('gigas_disk_backups_poll_success')} == 0)",
            f"1 * ({scope('gigas_disk_locked')} == 1)",
        )
    )


def account_named(expression: str) -> str:
    """Return ``expression``, whose series are accounts', with the account's ``name``."""
    return f"({expression}) * on ({BY_ACCOUNT}) group_left (name) {FLEET('gigas_account_info')}"


def worst(scope: Scope, limit: int) -> str:
    """Return the disks with the worst problems, at most ``limit``."""
    return f"topk({limit}, {problem(scope)})"


def machine_names(scope: Scope = FLEET, at: str = "") -> str:
    """Return a 1 for every machine that the API named, with its ``label``."""
    return scope("gigas_virtual_machine_info", 'label!=""', at)


def machines_of(*scopes: Scope) -> str:
    """Return a 1 for every machine to which a disk is attached at either end of the range."""
    disks = " or ".join(
        scope("gigas_disk_info", ATTACHED) + earlier for scope in scopes for earlier in ("", " offset $__range")
    )
    return f"group by (virtual_machine_id) ({disks})"


def _names(scope: Scope, at: str) -> str:
    """Return a 1 for each disk with ``label`` (of its machine) and ``mount_point``; the machine's name may be unknown.

    The names of machines are enrichment: a disk whose machine has none is called by the machine's id, not left out.
    """
    info = scope("gigas_disk_info", at=at)
    unnamed = f'label_replace({info}, "label", "VM $1", "virtual_machine_id", "(.+)")'
    detached = f'label_replace({unnamed}, "label", "detached", "virtual_machine_id", "")'
    named_by_api = f"{info} * on ({BY_MACHINE}) group_left (label) {machine_names(NAMED, at)}"
    return f"{named_by_api} or on ({BY_DISK}) {detached}"


def named(expression: str, scope: Scope, at: str = "") -> str:
    """Return ``expression``, one series a disk, with the labels ``label`` and ``mount_point``.

    Args:
        expression: What is to be named.
        scope: Where the names are looked up.
        at: ``end`` to look the names up once at the end of the range, for a graph; a disk gone by then is named by
            what it was called at the start.
    """
    names = f"{_names(scope, 'end')} or on ({BY_DISK}) ({_names(scope, 'start')})" if at else _names(scope, "")
    return f"({expression}) * on ({BY_DISK}) group_left (label, mount_point) ({names})"


def largest_accounts(recorded: str, limit: int) -> str:
    """Return a roll-up of accounts over time, for those in which it is largest at either end of the range."""
    chosen = " or ".join(FLEET(recorded, at=at) for at in ("end", "start"))
    return account_named(f"{FLEET(recorded)} and topk({limit}, {chosen})")


def largest(scope: Scope, limit: int) -> str:
    """Return at most ``limit`` disks, the largest that were there at the end or the start of the range.

    For a drop-down: Grafana asks it for the end of the range only. A disk that was deleted meanwhile, or that moved,
    is among them, and when a reader chose it, it is the only one.
    """
    candidates = " or ".join(
        f"topk({limit}, max by ({BY_DISK}) ({scope(metric)}{earlier}))"
        for earlier in ("", " offset $__range")
        for metric in ("gigas_disk_size_bytes", "gigas_disk_info")
    )
    return f"topk({limit}, {candidates})"
