"""The overview: is anything wrong now, can these numbers be trusted, is every disk restorable, what is worst."""

from __future__ import annotations

from dashboards.generate import queries as q
from dashboards.generate.alerts import alert_counts, alerts_about_disks, alerts_about_others
from dashboards.generate.dashboard import ACCOUNT, Line, dashboard_json
from dashboards.generate.data_freshness import data_freshness
from dashboards.generate.panels import Panel, Query, graph, numbers, with_words
from dashboards.generate.style import BAD, FINDINGS, GOOD, NOTICE, WARN, judged
from dashboards.generate.tables import THE_MACHINE, Column, its_account, table_of, the_disk

__all__ = ["NAME", "compliance_over_time", "disks_found", "overview", "within_policy"]

NAME = "gigas-overview"

_F = q.FLEET
_LISTED = 50


def disks_found(title: str, description: str, findings: str, colour: str) -> Panel:
    """Return how many disks have one of some findings."""
    return numbers(title, description, Query(f"sum({q.disks_with(findings)})"), levels=judged(GOOD, (1, colour)))


def compliance_over_time() -> Panel:
    """Return the share of the disks within policy, by account."""
    return graph(
        "Within policy",
        "Share of the disks that must have a backup whose newest is young enough, by account.",
        Query(q.account_named(_F("gigas_account_backup_compliance_ratio")), "{{name}} {{account_id}}"),
        unit="percentunit",
        highest=1,
        no_value="no disk must have a backup",
    )


def within_policy() -> Panel:
    """Return the share of the disks within policy, now and in the worst account."""
    return numbers(
        "Within policy",
        "Share of the disks that must have a backup whose newest usable one is young enough, in the account where it is"
        " lowest.",
        Query(f"min({_F('gigas_account_backup_compliance_ratio')})"),
        unit="percentunit",
        decimals=1,
        levels=judged(BAD, (0.9, WARN), (1, GOOD)),
        no_value="none required",
    )


def _wrong_now() -> Line:
    alerts = alert_counts(
        q.ALERTS,
        "Alerts of these rules that fire now, for the chosen exporters and accounts; an absent exporter can be seen in"
        " its own alert only.",
    )
    late = disks_found(
        "Backup late",
        "Disks whose newest usable backup is older than the policy allows, missed ones too.",
        "backup_stale|backup_missed",
        WARN,
    )
    never = disks_found(
        "Never backed up", "Disks that must have a backup and have no usable one.", "never_backed_up", BAD
    )
    panels = [
        (6, alerts),
        (3, disks_found("Disks in error", "Disks that report an error.", "disk_error", BAD)),
        (3, never),
        (3, late),
        (3, within_policy()),
        (3, disks_found("Unprotected", "Disks that nothing backs up and no rule exempts.", "unprotected", NOTICE)),
        (3, disks_found("Locked long", "Disks that are locked for longer than the limit.", "locked_long", WARN)),
    ]
    return Line(4, panels, "Is anything wrong now?")


def _fleet() -> Line:
    panels = [
        numbers("Disks", "All disks of the chosen accounts.", Query(f"sum({_F('gigas_account_disks')})")),
        numbers(
            "Virtual machines",
            "Machines that the API lists; no value where it does not allow that.",
            Query(f"count({_F('gigas_virtual_machine_info')})"),
            no_value="not listed",
        ),
        numbers(
            "Accounts",
            "Accounts that are watched.",
            Query(f"count({_F('gigas_account_info')})"),
            no_value="no exporter",
        ),
        numbers(
            "Provisioned",
            "Sum of the sizes of all disks.",
            Query(f"sum({_F('gigas_account_disk_size_bytes')})"),
            unit="bytes",
        ),
        numbers(
            "In newest backups",
            "Sum of the sizes of every disk's newest usable backup.",
            Query(f"sum({_F('gigas_account_backup_size_bytes')})"),
            unit="bytes",
            no_value="no backups",
        ),
        disks_found("Detached", "Disks that are attached to no virtual machine.", "detached", NOTICE),
    ]
    return Line(4, [(4, panel) for panel in panels], "The disks, and what is worst among them")


def _worst() -> list[Line]:
    by_urgency = [q.found(findings) for findings in q.FINDINGS_BY_URGENCY]
    findings = table_of(
        "Worst disks",
        f"What is found about the disks, the most urgent first, at most {_LISTED}. The numbers above count all. A"
        " click leads to the disk.",
        *(Query(f"topk({_LISTED}, {each})") for each in by_urgency),
        columns=[
            Column("finding", "Finding", mappings=FINDINGS, coloured=True, width=160, links=True),
            *the_disk(90),
            Column("limit", "Limit", width=90),
            Column("account_id", "Account ID", width=130),
        ],
        no_value="Nothing is found. The numbers above tell whether the disks were read.",
        at_most=_LISTED,
    )
    about_disks = alerts_about_disks(
        "Firing alerts about disks",
        f"The alerts about disks that fire now, worst severity first, at most {_LISTED}; how many fire in all stands at"
        " the top.",
        q.ALERTS,
    )
    alerts = Line(8, [(14, about_disks), (10, alerts_about_others(q.ALERTS))])
    return [_fleet(), Line(12, [(24, findings)]), alerts]


def _over_time() -> Line:
    counts = f"sum by (finding) ({_F('gigas_account_disks_with_finding')}) > 0"
    findings = with_words(
        graph(
            "Findings",
            "How many disks have each finding.",
            Query(counts, "{{finding}}"),
            unit="short",
            no_value="nothing was found",
        )
    )
    return Line(9, [(12, compliance_over_time()), (12, findings)], "Over time")


def _largest() -> Line:
    attached = _F("gigas_disk_size_bytes", 'virtual_machine_id!=""')
    its_machine = "on (instance, account_id, virtual_machine_id) group_right"
    # Only the largest are named: naming every machine costs. Thirty, where two exporters tell of each.
    largest = f"topk(30, sum without (disk_id) ({attached})) * {its_machine} {q.EXPORTER('gigas_disk_info')}"
    machines = table_of(
        "Largest virtual machines",
        "The fifteen machines with the most provisioned bytes; how many there are in all stands above. A click leads to"
        " a machine's disks.",
        Query(f"topk(15, max by (account_id, virtual_machine, virtual_machine_id) ({largest}))"),
        columns=[
            Column("virtual_machine", "Virtual machine", filterable=True, leads_to=THE_MACHINE),
            Column("Value", "Provisioned", unit="bytes", width=150),
            its_account()[1],
            Column("virtual_machine_id", "Machine ID", width=110, leads_to=THE_MACHINE),
        ],
        sort_by="Provisioned",
        no_value="No disk is attached to a machine.",
    )
    return Line(11, [(24, machines)])


def overview() -> str:
    """Return the dashboard's JSON."""
    return dashboard_json(
        NAME,
        "Gigas / Overview",
        "Is anything wrong with the disks and backups now, can the numbers be trusted, and what is worst.",
        lines=[_wrong_now(), data_freshness(), *_worst(), _over_time(), _largest()],
        variables=[ACCOUNT],
        alerts=f"count by (alertname, severity) ({q.firing(q.ALERTS)})",
    )
