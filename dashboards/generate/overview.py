"""The overview: is anything wrong now, can these numbers be trusted, is every disk restorable, what is worst."""

from __future__ import annotations

from dashboards.generate import firing
from dashboards.generate import queries as q
from dashboards.generate.document import ACCOUNT, Line, chosen_disks, document, their_machines
from dashboards.generate.looks import (
    BAD,
    FLAG,
    GOOD,
    NOTICE,
    PROBLEMS,
    SHARE_OF_LIMIT_CELL,
    WARN,
    judged,
)
from dashboards.generate.panels import Query, graph, numbers
from dashboards.generate.tables import THE_MACHINE, Column, its_account, table_of, the_disk
from dashboards.generate.trust import trust

__all__ = ["NAME", "overview"]

NAME = "gigas-overview"

_F = q.FLEET
_DISKS = _F("gigas_disk_info")
_WORST = 50


def _count(expression: str) -> str:
    return q.or_zero(f"count({expression})", _DISKS)


def _wrong_now() -> Line:
    alerts = firing.counts(
        q.ALERTS,
        "Alerts of these rules that fire now, for the chosen exporters and accounts; an absent exporter can be seen in"
        " its own alert only.",
    )
    error = numbers(
        "Disks in error",
        "Disks whose error flag the platform has raised.",
        Query(f"sum({_F('gigas_disk_error')})"),
        levels=judged(GOOD, (1, BAD)),
    )
    never = numbers(
        "Never backed up",
        "Disks that must have a backup and have no usable one. Disks just made count too; the alert gives them time.",
        Query(_count(q.never_backed_up(_F))),
        levels=judged(GOOD, (1, BAD)),
    )
    late = numbers(
        "Backup late",
        "Disks whose newest usable backup is older than the policy allows.",
        Query(_count(f"({q.of_limit(_F)}) > 1")),
        levels=judged(GOOD, (1, WARN)),
    )
    within = numbers(
        "Within policy",
        "Share of the disks that must have a backup whose newest usable one is young enough. No value: the policy asks"
        " for no backup, or nothing was read yet.",
        Query(q.within_policy(_F)),
        unit="percentunit",
        decimals=1,
        levels=judged(BAD, (0.9, WARN), (1, GOOD)),
        no_value="none required",
    )
    unprotected = numbers(
        "Unprotected",
        "Disks that are no swap, that no automatic backup covers and that the policy neither asks about nor exempts.",
        Query(_count(q.unprotected(_F))),
        levels=judged(GOOD, (1, NOTICE)),
    )
    locked = numbers(
        "Locked",
        "Disks that the platform has locked, as it does while it works on them.",
        Query(f"sum({_F('gigas_disk_locked')})"),
    )
    panels = [(6, alerts), (3, error), (3, never), (3, late), (3, within), (3, unprotected), (3, locked)]
    return Line(4, panels, "Is anything wrong now?")


def _worst() -> list[Line]:
    w = q.WORST

    def of_the_worst(expression: str) -> Query:
        return Query(f"max by ({q.BY_DISK}) ({expression})")

    first = Query(q.account_named(q.named(f"max by ({q.BY_DISK}, virtual_machine_id) ({q.problem(w)})", w)))
    status = Query(f"max by ({q.BY_DISK}, status) ({w('gigas_disk_status')})")
    disks = table_of(
        "Worst disks",
        f"The disks with the worst problems, at most {_WORST}; how many there are in all stands beside it as 'Disks"
        " with a problem'. A click leads to the disk. Of limit: the age of the newest backup as a share of what the"
        " policy allows.",
        first,
        status,
        of_the_worst(w("gigas_disk_backup_age_seconds")),
        of_the_worst(q.of_limit(w)),
        of_the_worst(w("gigas_disk_size_bytes")),
        of_the_worst(w("gigas_disk_locked")),
        of_the_worst(w("gigas_disk_autobackup")),
        columns=[
            Column("Value #A", "Problem", mappings=PROBLEMS, coloured=True, width=160, links=True),
            *the_disk(90),
            Column("Value #E", "Size", unit="bytes", width=90),
            Column("status", "Status", width=100),
            Column("Value #C", "Last backup", unit="dtdurations", width=150, no_value="none"),
            Column(
                "Value #D",
                "Of limit",
                unit="percentunit",
                width=90,
                decimals=0,
                thresholds=SHARE_OF_LIMIT_CELL,
                coloured=True,
                no_value="–",
            ),
            Column("Value #F", "Locked", mappings=FLAG, width=80),
            Column("Value #G", "Autobackup", mappings=FLAG, width=100),
            *its_account(130),
        ],
        sort_by="Problem",
        no_value="No disk is known to have a problem. The numbers above tell whether the disks were read.",
    )
    fleet = [
        (
            4,
            numbers(
                "Disks with a problem",
                "Disks that have at least one of the problems that the table below tells of, locked ones too.",
                Query(_count(q.problem(_F))),
                levels=judged(GOOD, (1, NOTICE)),
            ),
        ),
        (4, numbers("Disks", "All disks of the chosen accounts.", Query(f"count({_DISKS})"))),
        (
            4,
            numbers(
                "Virtual machines",
                "Machines that the API lists; no value where it does not allow that.",
                Query(f"count({_F('gigas_virtual_machine_info')})"),
                no_value="not listed",
            ),
        ),
        (
            4,
            numbers(
                "Accounts",
                "Accounts that are watched.",
                Query(f"count({_F('gigas_account_info')})"),
                no_value="no exporter",
            ),
        ),
        (
            4,
            numbers(
                "Provisioned",
                "Sum of the sizes of all disks.",
                Query(f"sum({_F('gigas_disk_size_bytes')})"),
                unit="bytes",
            ),
        ),
        (
            4,
            numbers(
                "In newest backups",
                "Sum of the sizes of every disk's newest usable backup.",
                Query(f"sum({_F('gigas_disk_backup_last_size_bytes')})"),
                unit="bytes",
                no_value="no backups",
            ),
        ),
    ]
    about_disks = firing.about_disks(
        "Firing alerts about disks",
        f"The alerts about disks that fire now, worst first, at most {_WORST}; how many fire in all stands at the top.",
        q.ALERTS,
    )
    alerts = Line(8, [(14, about_disks), (10, firing.about_others(q.ALERTS))])
    return [Line(4, fleet, "The fleet, and what is worst in it"), Line(12, [(24, disks)]), alerts]


def _over_time() -> list[Line]:
    share = graph(
        "Within policy",
        "Share of the disks that must have a backup whose newest is young enough, by account. From the recording"
        " rules.",
        Query(q.recorded_within_policy(), "{{name}} {{account_id}}"),
        unit="percentunit",
        highest=1,
        no_value="no disk must have a backup, or the recording rules are not loaded",
    )
    problems = graph(
        "Problems",
        "How many disks were in error, had no backup though they must have one, had a late one, had backups that could"
        " not be read, or were locked. From the recording rules.",
        Query(f"sum({_F('account:gigas_disk_error:sum')})", "in error"),
        Query(f"sum({_F('account:gigas_disk_never_backed_up:count')})", "never backed up"),
        Query(f"sum({_F('account:gigas_disk_backup_over_limit:count')})", "backup late"),
        Query(f"sum({_F('account:gigas_disk_backups_unreadable:count')})", "backups not readable"),
        Query(f"sum({_F('account:gigas_disk_locked:sum')})", "locked"),
        unit="short",
        colours={
            "in error": BAD,
            "never backed up": BAD,
            "backup late": WARN,
            "backups not readable": WARN,
            "locked": NOTICE,
        },
        dashed="/never|not readable/",
        no_value="no disks, or the recording rules are not loaded",
    )
    return [Line(9, [(12, share), (12, problems)], "Over time")]


def _largest() -> Line:
    size = f"sum by ({q.BY_MACHINE}) ({_F('gigas_disk_size_bytes', q.ATTACHED)})"
    label = f'label_replace(topk(15, {size}), "label", "VM $1", "virtual_machine_id", "(.+)")'
    names = f"topk(15, {size}) * on ({q.BY_MACHINE}) group_left (label) {q.machine_names()}"
    disks = f"count by ({q.BY_MACHINE}) ({_DISKS} and on ({q.BY_MACHINE}) topk(15, {size}))"
    machines = table_of(
        "Largest virtual machines",
        "The fifteen machines with the most provisioned bytes; how many there are in all stands above. A click leads to"
        " a machine's disks.",
        Query(q.account_named(f"{names} or on ({q.BY_MACHINE}) {label}")),
        Query(disks),
        columns=[
            Column("label", "Virtual machine", filterable=True, leads_to=THE_MACHINE),
            Column("Value #A", "Provisioned", unit="bytes", width=150),
            Column("Value #B", "Disks", width=100),
            Column("name", "Account", filterable=True),
            Column("account_id", "Account ID", width=110),
            Column("virtual_machine_id", "Machine ID", width=110, leads_to=THE_MACHINE),
        ],
        sort_by="Provisioned",
        no_value="No disk is attached to a machine.",
    )
    return Line(11, [(24, machines)])


def overview() -> str:
    """Return the dashboard's JSON."""
    return document(
        NAME,
        "Gigas / Overview",
        "Is anything wrong with the disks and backups now, can the numbers be trusted, and what is worst.",
        lines=[_wrong_now(), trust(), *_worst(), *_over_time(), _largest()],
        variables=[
            ACCOUNT,
            chosen_disks("worst", q.worst(_F, _WORST)),
            firing.alarmed(q.ALERTS),
            their_machines(q.WORST, q.ALARMED),
        ],
        alerts=f"count by (alertname, severity) ({q.firing(q.ALERTS)})",
    )
