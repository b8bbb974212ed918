"""The backups: how old against what is allowed, which are missing, how many there are and how they grow."""

from __future__ import annotations

from dashboards.generate import queries as q
from dashboards.generate.dashboard import ACCOUNT, Line, dashboard_json
from dashboards.generate.overview import compliance_over_time, disks_found, within_policy
from dashboards.generate.panels import Panel, Query, bars, graph, numbers
from dashboards.generate.style import BAD, FINDINGS, NOT_KNOWN, WARN
from dashboards.generate.tables import Column, its_account, table_of, the_disk

__all__ = ["NAME", "backups"]

NAME = "gigas-backups"

_F = q.FLEET
_LISTED = 50
_HOUR = 3600
_ACCOUNT_ID = its_account()[1]


def _state() -> Line:
    required = numbers(
        "Required",
        "Disks that must have a backup, as the policy says.",
        Query(f"sum({_F('gigas_disk_backup_required')})"),
    )
    usable = numbers(
        "Usable backups",
        "All usable backups of all disks.",
        Query(f"sum({_F('gigas_account_backups')})"),
        no_value="not read",
    )
    panels = [
        within_policy(),
        required,
        disks_found("Stale", "Disks whose newest usable backup is too old, but not missed yet.", "backup_stale", WARN),
        disks_found("Missed", "Disks whose newest usable backup is so old that one was missed.", "backup_missed", BAD),
        disks_found("Never backed up", "Disks that must have a backup and have none.", "never_backed_up", BAD),
        disks_found("Unreadable", "Disks whose backups cannot be judged.", "backups_unreadable", WARN),
        disks_found("Last backup failed", "Disks whose newest attempt failed.", "backup_failed", WARN),
        usable,
    ]
    return Line(4, [(3, panel) for panel in panels], "Is every disk restorable that must be?")


def _count(of: str) -> str:
    """Return how many there are; 0 only where the backups are known."""
    return f"count({of}) or 0 * sum({_F('gigas_account_backups')})"


def _ages() -> Line:
    # A query over every disk costs, so that a panel has three of them at most.
    last, limit = _F("gigas_disk_backup_last_timestamp_seconds"), q.EXPORTER("gigas_disk_backup_max_age_seconds")
    of_age = [
        Query(_count(f"{last} > time() - {24 * _HOUR}"), "< 1 d"),
        Query(_count(f"{last} <= time() - {24 * _HOUR} > time() - {48 * _HOUR}"), "1–2 d"),
        Query(_count(f"{last} <= time() - {48 * _HOUR}"), "≥ 2 d"),
    ]
    of_limit = [
        Query(_count(f"(time() - {last}) / {limit} > 0.9 <= 1"), "90–100 %"),
        Query(f"sum({q.disks_with('backup_stale|backup_missed')})", "over"),
    ]
    panels: list[tuple[int, Panel]] = [
        (
            7,
            bars(
                "Age of the newest backup",
                "How many disks have their newest usable backup of which age; those without one are not counted here.",
                *of_age,
                no_value="not read",
            ),
        ),
        (
            7,
            bars(
                "Age against the limit",
                "Of how many disks the newest backup has used up nine tenths of what the policy allows, or more than"
                " all of it; how many must have one stands above.",
                *of_limit,
                colours={"90–100 %": WARN, "over": BAD},
                no_value="not read",
            ),
        ),
        (10, compliance_over_time()),
    ]
    return Line(9, panels, "How old")


def _overdue() -> Panel:
    found = q.found("backup_stale|backup_missed")
    last = q.EXPORTER("gigas_disk_backup_last_timestamp_seconds")
    return table_of(
        "Most overdue disks",
        f"The disks whose newest backup is older than the policy allows, the oldest first, at most {_LISTED}.",
        Query(f"topk({_LISTED}, {q.with_value(found, f'(time() - {last})')})"),
        Query(f"topk({_LISTED}, {q.without_value(found, last)})"),
        columns=[
            Column("finding", "Finding", mappings=FINDINGS, coloured=True, width=160),
            *the_disk(),
            Column("Value #A", "Last backup", unit="dtdurations", width=170, mappings=NOT_KNOWN),
            Column("limit", "Limit", width=100),
            _ACCOUNT_ID,
        ],
        sort_by="Last backup",
        no_value="No backup is known to be too old.",
    )


def _disks_with(title: str, description: str, finding: str) -> Panel:
    size = q.EXPORTER("gigas_disk_size_bytes")
    found = q.found(finding)
    return table_of(
        title,
        f"{description} The largest first, at most {_LISTED}.",
        Query(f"topk({_LISTED}, {q.with_value(found, size)})"),
        Query(f"topk({_LISTED}, {q.without_value(found, size)})"),
        columns=[*the_disk(), Column("Value #A", "Size", unit="bytes", width=80, mappings=NOT_KNOWN), _ACCOUNT_ID],
        sort_by="Size",
        no_value="No such disk is known. The numbers at the top tell whether the backups were read.",
    )


def _shrank() -> Panel:
    found = q.found("backup_shrank")
    size = q.EXPORTER("gigas_disk_backup_last_size_bytes")
    return table_of(
        "Backups that shrank",
        "The disks whose newest backup has less than half of the typical size, which is the median of the others; at"
        f" most {_LISTED}. It may be incomplete.",
        Query(f"bottomk({_LISTED}, {q.with_value(found, size)})"),
        columns=[*the_disk(), Column("Value", "Newest backup", unit="bytes", width=120), _ACCOUNT_ID],
        sort_by="Newest backup",
        descending=False,
        no_value="No backup is known to have shrunk.",
    )


def _oldest() -> Panel:
    oldest = f"bottomk({_LISTED}, {_F('gigas_disk_backup_oldest_timestamp_seconds')})"
    return table_of(
        "Oldest backups",
        f"How far back the disks can be restored: the {_LISTED} disks with the oldest usable backup.",
        Query(f"time() - {q.named(oldest)}"),
        columns=[*the_disk(), Column("Value", "Oldest backup", unit="dtdurations", width=130), _ACCOUNT_ID],
        sort_by="Oldest backup",
        no_value="No disk is known to have a backup.",
    )


def _by_account(title: str, description: str, metric: str, unit: str) -> Panel:
    return graph(
        title,
        f"{description}, the ten accounts with the most.",
        Query(q.account_named(f"topk(10, {_F(metric)})"), "{{name}} {{account_id}}"),
        unit=unit,
        stacked=True,
        no_value="not read",
    )


def _amounts() -> list[Line]:
    statuses = graph(
        "Backups by status",
        "Listed backups by the API's own word.",
        Query(f"sum by (status) ({_F('gigas_account_backups_by_status')})", "{{status}}"),
        Query(f"sum({_F('gigas_account_backups_unassigned')})", "of no listed disk"),
        unit="short",
        no_value="not read",
    )
    counts = _by_account("Usable backups", "How many usable backups there are", "gigas_account_backups", "short")
    sizes = _by_account(
        "Newest backups' size",
        "Sum of the sizes of every disk's newest usable backup",
        "gigas_account_backup_size_bytes",
        "bytes",
    )
    return [
        Line(8, [(8, counts), (8, sizes), (8, statuses)], "How many, how large, how far back"),
        Line(10, [(12, _shrank()), (12, _oldest())]),
    ]


def backups() -> str:
    """Return the dashboard's JSON."""
    never = _disks_with("Never backed up", "Disks that must have a backup and have no usable one.", "never_backed_up")
    bare = _disks_with("Unprotected", "Disks that nothing backs up and that no rule exempts.", "unprotected")
    tables = [Line(10, [(24, _overdue())]), Line(9, [(12, never), (12, bare)])]
    return dashboard_json(
        NAME,
        "Gigas / Backups",
        "Which disks are backed up as the policy asks, which are not, and how their backups grow.",
        lines=[_state(), _ages(), *tables, *_amounts()],
        variables=[ACCOUNT],
        alerts=f"count by (alertname, severity) ({q.firing(q.ALERTS)})",
        time_from="now-7d",
    )
