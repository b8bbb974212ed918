"""The backups: how old against what is allowed, which are missing, how many there are and how they grow."""

from __future__ import annotations

from dashboards.generate import backups_tables as tables
from dashboards.generate import queries as q
from dashboards.generate.document import ACCOUNT, MACHINE, Line, document
from dashboards.generate.looks import BAD, BUILT_IN_LIMITS, GOOD, WARN, judged, steps
from dashboards.generate.panels import Panel, Query, bars, graph, numbers

__all__ = ["NAME", "backups"]

NAME = "gigas-backups"

_M = q.MACHINES
_DISKS = _M("gigas_disk_info")
_HOUR = 3600
_DRAWN = 20
_RECORDED = "Whole accounts, with all their machines, from the recording rules."
_NOT_RECORDED = "the recording rules are not loaded"


def _count(expression: str) -> str:
    return q.or_zero(f"count({expression})", _DISKS)


def _state() -> Line:
    missed = BUILT_IN_LIMITS.missed_share
    panels = [
        (
            3,
            numbers(
                "Within policy",
                "Share of the disks that must have a backup whose newest usable one is young enough.",
                Query(q.within_policy(_M)),
                unit="percentunit",
                decimals=1,
                levels=judged(BAD, (0.9, WARN), (1, GOOD)),
                no_value="none required",
            ),
        ),
        (
            3,
            numbers(
                "Required",
                "Disks that must have a backup, as the policy says.",
                Query(f"sum({_M('gigas_disk_backup_required')})"),
            ),
        ),
        (
            3,
            numbers(
                "Late",
                "Disks whose newest usable backup is older than the policy allows, missed ones too.",
                Query(_count(f"({q.of_limit(_M)}) > 1")),
                levels=judged(GOOD, (1, WARN)),
            ),
        ),
        (
            3,
            numbers(
                "Missed",
                f"Disks whose newest usable backup is older than {missed:g} times what the policy allows.",
                Query(_count(f"({q.of_limit(_M)}) > {missed:g}")),
                levels=judged(GOOD, (1, BAD)),
            ),
        ),
        (
            3,
            numbers(
                "Never backed up",
                "Disks that must have a backup and have no usable one; all of them, also those"
                " that the table leaves out.",
                Query(_count(q.never_backed_up(_M))),
                levels=judged(GOOD, (1, BAD)),
            ),
        ),
        (
            3,
            numbers(
                "Not known",
                "Disks that must have a backup and whose backups were not read yet, or too long ago.",
                Query(_count(q.unknown(_M))),
                levels=judged(GOOD, (1, WARN)),
            ),
        ),
        (
            3,
            numbers(
                "Usable backups",
                "All usable backups of all disks.",
                Query(f"sum({_M('gigas_disk_backups')})"),
                no_value="not read",
            ),
        ),
        (
            3,
            numbers(
                "Failed backups",
                "Listed backups whose status says that they failed.",
                Query(f"sum({_M('gigas_disk_backups_failed')})"),
                levels=judged(GOOD, (1, WARN)),
                no_value="not read",
            ),
        ),
    ]
    return Line(4, panels, "Is every disk restorable that must be?")


def _ages() -> Line:
    age, share = _M("gigas_disk_backup_age_seconds"), f"({q.of_limit(_M)})"
    of_age = [
        Query(_count(f"{age} < {_HOUR}"), "< 1 h"),
        Query(_count(f"{age} >= {_HOUR} < {6 * _HOUR}"), "1–6 h"),
        Query(_count(f"{age} >= {6 * _HOUR} < {12 * _HOUR}"), "6–12 h"),
        Query(_count(f"{age} >= {12 * _HOUR} < {24 * _HOUR}"), "12–24 h"),
        Query(_count(f"{age} >= {24 * _HOUR} < {48 * _HOUR}"), "1–2 d"),
        Query(_count(f"{age} >= {48 * _HOUR} < {168 * _HOUR}"), "2–7 d"),
        Query(_count(f"{age} >= {168 * _HOUR}"), "≥ 7 d"),
    ]
    of_limit = [
        Query(_count(f"{share} <= 0.5"), "≤ 50 %"),
        Query(_count(f"{share} > 0.5 <= 0.9"), "50–90 %"),
        Query(_count(f"{share} > 0.9 <= 1"), "90–100 %"),
        Query(_count(f"{share} > 1 <= {BUILT_IN_LIMITS.missed_share:g}"), "late"),
        Query(_count(f"{share} > {BUILT_IN_LIMITS.missed_share:g}"), "missed"),
    ]
    over_time = graph(
        "Within policy",
        f"Share of the disks that must have a backup whose newest is young enough, by account. {_RECORDED}",
        Query(q.recorded_within_policy(), "{{name}} {{account_id}}"),
        unit="percentunit",
        highest=1,
        no_value=f"no disk must have a backup, or {_NOT_RECORDED}",
    )
    panels: list[tuple[int, Panel]] = [
        (
            7,
            bars(
                "Age of the newest backup",
                "How many disks have their newest usable backup of which age; those without one are not counted here.",
                *of_age,
            ),
        ),
        (
            7,
            bars(
                "Age against the limit",
                "How many of the disks that must have a backup have used up how much of what the policy allows.",
                *of_limit,
                colours={"late": WARN, "missed": BAD},
            ),
        ),
        (10, over_time),
    ]
    return Line(9, panels, "How old")


def _against_limit() -> list[Line]:
    share, last = (f"max by ({q.BY_DISK}) ({q.of_limit(q.OVERDUE, at)})" for at in ("", "end"))
    drawn = f"{share} and on ({q.BY_DISK}) topk({_DRAWN}, {last})"
    sawtooth = graph(
        "Age against the limit, most overdue disks",
        f"Age of the newest backup as a share of what the policy allows, for the {_DRAWN} disks that are most overdue"
        " at the end of the range. It should fall to nothing with every backup and never cross the line.",
        Query(q.named(drawn, q.OVERDUE, at="end"), "{{label}} {{mount_point}} {{disk_id}}"),
        unit="percentunit",
        levels=steps(GOOD, (1, WARN), (BUILT_IN_LIMITS.missed_share, BAD)),
        no_value="no disk has a limit",
    )
    return [
        Line(10, [(24, sawtooth)]),
        Line(10, [(24, tables.overdue())]),
        Line(9, [(12, tables.never_backed_up()), (12, tables.unprotected())]),
    ]


def _amounts() -> list[Line]:
    sizes = graph(
        "Newest backups' size",
        f"Sum of the sizes of every disk's newest usable backup, the ten largest accounts. {_RECORDED}",
        Query(q.largest_accounts("account:gigas_disk_backup_last_size_bytes:sum", 10), "{{name}} {{account_id}}"),
        unit="bytes",
        stacked=True,
        no_value=f"no backups, or {_NOT_RECORDED}",
    )
    counts = graph(
        "Usable backups",
        "How many usable backups there are, the ten accounts with the most. It falls when backups are deleted."
        f" {_RECORDED}",
        Query(q.largest_accounts("account:gigas_disk_backups:sum", 10), "{{name}} {{account_id}}"),
        unit="short",
        stacked=True,
        no_value=f"not read, or {_NOT_RECORDED}",
    )
    failed = graph(
        "Failed backups",
        f"How many listed backups say that they failed, the ten accounts with the most. {_RECORDED}",
        Query(q.largest_accounts("account:gigas_disk_backups_failed:sum", 10), "{{name}} {{account_id}}"),
        unit="short",
        no_value=f"not read, or {_NOT_RECORDED}",
    )
    return [
        Line(8, [(8, counts), (8, sizes), (8, failed)], "How many, how large, how far back"),
        Line(10, [(12, tables.growth()), (12, tables.oldest())]),
    ]


def backups() -> str:
    """Return the dashboard's JSON."""
    return document(
        NAME,
        "Gigas / Backups",
        "Which disks are backed up as the policy asks, which are not, and how their backups grow.",
        lines=[_state(), _ages(), *_against_limit(), *_amounts()],
        variables=[
            ACCOUNT,
            MACHINE,
            *tables.CHOSEN,
        ],
        alerts=f"count by (alertname, severity) ({q.firing(q.ALERTS)})",
        time_from="now-7d",
    )
