"""One disk and its machine: what it is, what happened to it, and how its backups went."""

from __future__ import annotations

from dashboards.generate import firing
from dashboards.generate import queries as q
from dashboards.generate.document import ACCOUNT, DISK, MACHINE, Line, chosen_disks, document, their_machines
from dashboards.generate.looks import (
    BAD,
    DAY,
    FLAG,
    GOOD,
    HOUR,
    NOTICE,
    PROBLEMS,
    SHARE_OF_LIMIT,
    ranges,
    words,
)
from dashboards.generate.panels import Query, graph, numbers, timeline
from dashboards.generate.tables import Column, table_of

__all__ = ["NAME", "disk"]

NAME = "gigas-disk"

_D = q.DISK
_DRAWN = 25
_W = q.DRAWN
_LEGEND = "{{label}} {{mount_point}} {{disk_id}}"
_BOUND_SAID = f" With more than {_DRAWN} disks chosen, the {_DRAWN} largest."
_ALERTS = q.Scope(f'alertname=~"Gigas.*", {q.FLEET.matchers}, disk_id=~"$disk_id", disk_id!=""')


def _drawn(metric: str) -> str:
    """Return a metric over time for the drawn disks, by disk: a move to another machine is no break."""
    return q.named(f"max by ({q.BY_DISK}) ({_W(metric)})", _W, at="end")


def _now() -> Line:
    panels = [
        (
            5,
            firing.counts(_ALERTS, "Alerts for the chosen disks that fire now."),
        ),
        (
            4,
            numbers(
                "Problem",
                "The worst that is wrong with the chosen disks.",
                Query(q.or_zero(f"max({q.problem(_D)})", _D("gigas_disk_info"))),
                mappings=[*PROBLEMS, *words({"0": ("none", GOOD)})],
                text_size=28,
                no_value="no such disk",
            ),
        ),
        (
            4,
            numbers(
                "Newest backup",
                "Age of the newest usable backup; of the oldest of them with several disks.",
                Query(f"max({_D('gigas_disk_backup_age_seconds')})"),
                unit="dtdurations",
                no_value="none",
            ),
        ),
        (
            4,
            numbers(
                "Of limit",
                "That age as a share of what the policy allows.",
                Query(f"max({q.of_limit(_D)})"),
                unit="percentunit",
                decimals=0,
                levels=SHARE_OF_LIMIT,
                no_value="no limit, or no backup",
            ),
        ),
        (
            4,
            numbers(
                "Usable backups",
                "How many backups the disk can be restored from; the fewest with several disks.",
                Query(f"min({_D('gigas_disk_backups')})"),
                no_value="not read",
            ),
        ),
        (
            3,
            numbers(
                "Size",
                "Provisioned size, the sum with several disks.",
                Query(f"sum({_D('gigas_disk_size_bytes')})"),
                unit="bytes",
                no_value="no such disk",
            ),
        ),
    ]
    return Line(4, panels, "Now")


def _what_it_is() -> list[Line]:
    def of(metric: str, factor: str = "") -> Query:
        return Query(f"{factor}max by ({q.BY_DISK}) ({_W(metric)})")

    disks = table_of(
        "What it is",
        "What the API says of the disk, and what the policy asks of it." + _BOUND_SAID,
        Query(q.account_named(q.named(_W("gigas_disk_info"), _W))),
        Query(f"max by ({q.BY_DISK}, status) ({_W('gigas_disk_status')})"),
        of("gigas_disk_size_bytes"),
        of("gigas_disk_created_timestamp_seconds", "1000 * "),
        of("gigas_disk_updated_timestamp_seconds", "1000 * "),
        of("gigas_disk_swap"),
        of("gigas_disk_autobackup"),
        of("gigas_disk_backup_required"),
        of("gigas_disk_backup_max_age_seconds"),
        of("gigas_disk_backup_last_timestamp_seconds", "1000 * "),
        of("gigas_disk_backup_exempt"),
        columns=[
            Column("label", "Virtual machine", filterable=True, links=True),
            Column("mount_point", "Mount point", filterable=True, links=True),
            Column("disk_id", "Disk ID", width=80, links=True),
            Column("status", "Status", width=90),
            Column("Value #C", "Size", unit="bytes", width=80),
            Column("Value #J", "Newest backup", unit="dateTimeAsSystem", width=170, no_value="none"),
            Column("Value #I", "Limit", unit="dtdurations", width=120, no_value="–"),
            Column("Value #H", "Required", mappings=FLAG, width=85),
            Column("Value #K", "Exempt", mappings=FLAG, width=70),
            Column("Value #G", "Autobackup", mappings=FLAG, width=95),
            Column("Value #F", "Swap", mappings=FLAG, width=60),
            Column("Value #D", "Made", unit="dateTimeAsSystem", width=170, no_value="not known"),
            Column("Value #E", "Changed", unit="dateTimeAsSystem", width=170, no_value="not known"),
            Column("name", "Account", width=110),
            Column("account_id", "Account ID", width=90),
            Column("virtual_machine_id", "Machine ID", width=90),
            Column("data_store_id", "Data store", width=90),
            Column("data_store_group_id", "Store group", width=95),
        ],
        sort_by="Virtual machine",
        descending=False,
        no_value="No such disk now. It may be gone, or its account may not have been read for long.",
    )
    machine = _W("gigas_disk_info", q.ATTACHED)
    known = q.NAMED("gigas_virtual_machine_info")
    without = f"group by ({q.BY_MACHINE}) ({machine}) unless on ({q.BY_MACHINE}) {known}"
    unnamed = f'label_replace({without}, "label", "VM $1", "virtual_machine_id", "(.+)")'
    machines = table_of(
        "Its virtual machine",
        "What the API says of the machine that the disk is attached to." + _BOUND_SAID,
        Query(f"{known} and on ({q.BY_MACHINE}) ({machine}) or {unnamed}"),
        Query(f"sum by ({q.BY_MACHINE}) ({q.NAMED('gigas_disk_size_bytes')} and on ({q.BY_MACHINE}) ({machine}))"),
        Query(f"count by ({q.BY_MACHINE}) ({q.NAMED('gigas_disk_info')} and on ({q.BY_MACHINE}) ({machine}))"),
        columns=[
            Column("label", "Virtual machine"),
            Column("hostname", "Host name"),
            Column("status", "Status", width=65),
            Column("type", "Type", width=55),
            Column("Value #C", "Disks", width=55),
            Column("Value #B", "All its disks", unit="bytes", width=95),
            Column("virtual_machine_id", "Machine ID", width=95),
        ],
        sort_by="Virtual machine",
        descending=False,
        no_value="Attached to none, or the API does not list machines.",
    )
    alerts = firing.about_disks(
        "Its firing alerts", "What fires for the chosen disks now, worst first, at most 50.", _ALERTS
    )
    return [Line(7, [(24, disks)]), Line(7, [(14, alerts), (10, machines)])]


def _history() -> list[Line]:
    status = timeline(
        "Status",
        "Which status the disk had when; one line for each status it had." + _BOUND_SAID,
        Query(
            q.named(f"max by ({q.BY_DISK}, status) ({_W('gigas_disk_status')})", _W, at="end"),
            f"{_LEGEND}: {{{{status}}}}",
        ),
        mappings=words({"1": ("yes", NOTICE)}),
        no_value="no such disk in this range",
    )
    flags = timeline(
        "Error and lock",
        "When the platform had the disk in error or locked." + _BOUND_SAID,
        Query(_drawn("gigas_disk_error"), f"{_LEGEND}: error"),
        Query(f"2 * ({_drawn('gigas_disk_locked')})", f"{_LEGEND}: locked"),
        mappings=ranges((0, 0, "no", "transparent"), (1, 1, "error", BAD), (2, 2, "locked", NOTICE)),
        no_value="no such disk in this range",
    )
    age = graph(
        "Age of the newest backup, and the limit",
        "The age falls to nothing with every backup; above its dashed limit the disk is not protected as the policy"
        " asks." + _BOUND_SAID,
        Query(f"{_drawn('gigas_disk_backup_age_seconds')} / {HOUR}", _LEGEND),
        Query(f"{_drawn('gigas_disk_backup_max_age_seconds')} / {HOUR}", f"limit of {_LEGEND}"),
        unit="h",
        dashed="/^limit of /",
        no_value="no backup in this range",
    )
    return [Line(8, [(12, status), (12, flags)], "What happened"), Line(9, [(24, age)])]


def _amounts() -> list[Line]:
    counts = graph(
        "Backups",
        "Usable and failed backups that the API lists." + _BOUND_SAID,
        Query(_drawn("gigas_disk_backups"), f"{_LEGEND}: usable"),
        Query(_drawn("gigas_disk_backups_failed"), f"{_LEGEND}: failed"),
        unit="short",
        no_value="not read in this range",
    )
    sizes = graph(
        "Size of the newest backup",
        "A backup much smaller than the ones before may be incomplete." + _BOUND_SAID,
        Query(_drawn("gigas_disk_backup_last_size_bytes"), _LEGEND),
        unit="bytes",
        no_value="no backup in this range",
    )
    reach = graph(
        "Age of the oldest backup",
        "How far back the disk can be restored." + _BOUND_SAID,
        Query(f"(time() - {_drawn('gigas_disk_backup_oldest_timestamp_seconds')}) / {DAY}", _LEGEND),
        unit="d",
        no_value="no backup in this range",
    )
    return [Line(9, [(8, counts), (8, sizes), (8, reach)], "Its backups")]


def disk() -> str:
    """Return the dashboard's JSON."""
    return document(
        NAME,
        "Gigas / Disk",
        "One disk and its virtual machine: what it is, what happened, and how its backups went.",
        lines=[_now(), *_what_it_is(), *_history(), *_amounts()],
        variables=[
            ACCOUNT,
            MACHINE,
            DISK,
            chosen_disks("drawn", q.largest(_D, _DRAWN)),
            firing.alarmed(_ALERTS),
            their_machines(_W, q.ALARMED),
        ],
        alerts=f"topk(50, count by (alertname, severity, account_id, disk_id) ({q.firing(_ALERTS)}))",
        time_from="now-7d",
    )
