"""One disk and its machine: what it is, what happened to it, and how its backups went.

Everything is about the one disk that is chosen, so that nothing here needs a bound; where two exporters watch it, the
larger value counts.
"""

from __future__ import annotations

from dashboards.generate import queries as q
from dashboards.generate.alerts import alert_counts, alerts_about_disks
from dashboards.generate.dashboard import ACCOUNT, DISK, MACHINE, Line, dashboard_json
from dashboards.generate.panels import Panel, Query, graph, numbers, timeline, with_words
from dashboards.generate.style import BAD, DAY, FINDINGS, FLAG, GOOD, HOUR, NOTICE, WARN, judged, words
from dashboards.generate.tables import Column, table_of

__all__ = ["NAME", "disk"]

NAME = "gigas-disk"

_D = q.DISK
_TITLE = "${disk_id:text}"
_ALERTS = q.Scope(f'alertname=~"Gigas.*", {_D.matchers}')


def _max(metric: str) -> str:
    return f"max({_D(metric)})"


def _now() -> Line:
    age = numbers(
        "Newest backup",
        "Age of the newest usable backup.",
        Query(q.backup_age(_D)),
        unit="dtdurations",
        no_value="none",
    )
    share = numbers(
        "Of limit",
        "That age as a share of what the policy allows.",
        Query(f"{q.backup_age(_D)} / min({_D('gigas_disk_backup_max_age_seconds')})"),
        unit="percentunit",
        decimals=0,
        levels=judged(GOOD, (1, WARN)),
        no_value="no limit, or no backup",
    )
    last = numbers(
        "Last attempt",
        "Whether the newest attempt to back the disk up that can be seen went well.",
        Query(_max("gigas_disk_backup_last_failed")),
        mappings=words({"0": ("well", GOOD), "1": ("failed", WARN)}),
        no_value="not known",
    )
    usable = numbers(
        "Usable backups",
        "How many backups the disk can be restored from.",
        Query(f"min({_D('gigas_disk_backups')})"),
        no_value="not read",
    )
    size = numbers(
        "Size", "Provisioned size.", Query(_max("gigas_disk_size_bytes")), unit="bytes", no_value="no such disk"
    )
    alerts = alert_counts(_ALERTS, "Alerts about this disk that fire now.")
    return Line(4, [(5, alerts), (4, age), (4, share), (4, last), (4, usable), (3, size)], f"{_TITLE}: now")


def _findings() -> Panel:
    return table_of(
        "Findings",
        "What the exporter finds about this disk now, and the limit that was passed.",
        Query(f"max by (finding, limit) ({_D('gigas_disk_finding')})"),
        columns=[
            Column("finding", "Finding", mappings=FINDINGS, coloured=True),
            Column("limit", "Limit", width=100),
        ],
        sort_by="Finding",
        no_value="Nothing is found.",
    )


def _what_it_is() -> list[Line]:
    def of(metric: str, factor: str = "") -> Query:
        return Query(f"{factor}max by ({q.BY_DISK}) ({_D(metric)})")

    facts = table_of(
        "What it is",
        "What the API says of the disk, and what the policy asks of it.",
        Query(_D("gigas_disk_info")),
        Query(f"max by ({q.BY_DISK}, status) ({_D('gigas_disk_status')})"),
        of("gigas_disk_size_bytes"),
        of("gigas_disk_created_timestamp_seconds", "1000 * "),
        of("gigas_disk_updated_timestamp_seconds", "1000 * "),
        of("gigas_disk_swap"),
        of("gigas_disk_autobackup"),
        of("gigas_disk_backup_required"),
        of("gigas_disk_backup_max_age_seconds"),
        of("gigas_disk_backup_last_timestamp_seconds", "1000 * "),
        of("gigas_disk_backup_exempt"),
        of("gigas_disk_backups_poll_success"),
        columns=[
            Column("virtual_machine", "Virtual machine", filterable=True, links=True),
            Column("mount_point", "Mount point", filterable=True, links=True),
            Column("disk_id", "Disk ID", width=80, links=True),
            Column("status", "Status", width=90),
            Column("Value #C", "Size", unit="bytes", width=80),
            Column("Value #J", "Newest backup", unit="dateTimeAsSystem", width=170, no_value="none"),
            Column("Value #I", "Limit", unit="dtdurations", width=120, no_value="–"),
            Column("Value #H", "Required", mappings=FLAG, width=85),
            Column("Value #K", "Exempt", mappings=FLAG, width=70),
            Column("Value #L", "Backups read", mappings=FLAG, width=105),
            Column("Value #G", "Autobackup", mappings=FLAG, width=95),
            Column("Value #F", "Swap", mappings=FLAG, width=60),
            Column("Value #D", "Made", unit="dateTimeAsSystem", width=170, no_value="not known"),
            Column("Value #E", "Changed", unit="dateTimeAsSystem", width=170, no_value="not known"),
            Column("account_id", "Account ID", width=90),
            Column("virtual_machine_id", "Machine ID", width=90),
            Column("data_store_id", "Data store", width=90),
            Column("data_store_group_id", "Store group", width=95),
        ],
        sort_by="Virtual machine",
        descending=False,
        no_value="No such disk now. It may be gone, or its account may not have been read for long.",
    )
    machines = q.FLEET("gigas_virtual_machine_info")
    machine = table_of(
        "Its virtual machine",
        "What the API says of the machine that the disk is attached to.",
        Query(f"{machines} and on (account_id, virtual_machine_id) {_D('gigas_disk_info')}"),
        columns=[
            Column("label", "Virtual machine"),
            Column("hostname", "Host name"),
            Column("status", "Status", width=65),
            Column("type", "Type", width=55),
            Column("virtual_machine_id", "Machine ID", width=95),
        ],
        sort_by="Virtual machine",
        descending=False,
        no_value="Attached to none, or the API does not list machines.",
    )
    alerts = alerts_about_disks("Its firing alerts", "What fires for this disk now, worst severity first.", _ALERTS, "")
    return [Line(6, [(24, facts)]), Line(7, [(6, _findings()), (10, alerts), (8, machine)])]


def _history() -> list[Line]:
    findings = with_words(
        timeline(
            "Findings over time",
            "When each finding held.",
            Query(f"max by (finding) ({_D('gigas_disk_finding')})", "{{finding}}"),
            mappings=words({"1": ("found", WARN)}),
            no_value="nothing was found in this range",
        )
    )
    states = timeline(
        "Status, error and lock",
        "Which status the disk had when, and when it was in error or locked.",
        Query(f"max by (status) ({_D('gigas_disk_status')})", "status {{status}}"),
        Query(f"{_max('gigas_disk_error')} > 0", "error"),
        Query(f"{_max('gigas_disk_locked')} > 0", "locked"),
        mappings=words({"1": ("yes", NOTICE)}),
        no_value="no such disk in this range",
    )
    age = graph(
        "Age of the newest backup, and the limit",
        "The age falls to nothing with every backup; above its dashed limit the disk is not protected as the policy"
        " asks.",
        Query(f"{q.backup_age(_D)} / {HOUR}", "age"),
        Query(f"{_max('gigas_disk_backup_max_age_seconds')} / {HOUR}", "limit"),
        unit="h",
        dashed="/^limit$/",
        no_value="no backup in this range",
    )
    return [Line(8, [(12, findings), (12, states)], f"{_TITLE}: what happened"), Line(9, [(24, age)])]


def _amounts() -> Line:
    counts = graph(
        "Backups",
        "Usable and failed backups that the API lists.",
        Query(_max("gigas_disk_backups"), "usable"),
        Query(_max("gigas_disk_backups_failed"), "failed"),
        unit="short",
        colours={"failed": BAD},
        no_value="not read in this range",
    )
    sizes = graph(
        "Size of the newest backup",
        "A backup much smaller than the typical size, which is dashed, may be incomplete.",
        Query(_max("gigas_disk_backup_last_size_bytes"), "newest"),
        Query(_max("gigas_disk_backup_typical_size_bytes"), "usual"),
        unit="bytes",
        dashed="/^usual$/",
        no_value="no backup in this range",
    )
    reach = graph(
        "Age of the oldest backup",
        "How far back the disk can be restored.",
        Query(f"(time() - {_max('gigas_disk_backup_oldest_timestamp_seconds')}) / {DAY}", "oldest"),
        unit="d",
        no_value="no backup in this range",
    )
    return Line(9, [(8, counts), (8, sizes), (8, reach)], f"{_TITLE}: its backups")


def disk() -> str:
    """Return the dashboard's JSON."""
    return dashboard_json(
        NAME,
        "Gigas / Disk",
        "One disk and its virtual machine: what it is, what happened, and how its backups went.",
        lines=[_now(), *_what_it_is(), *_history(), _amounts()],
        variables=[ACCOUNT, MACHINE, DISK],
        alerts=f"count by (alertname, severity) ({q.firing(_ALERTS)})",
        time_from="now-7d",
    )
