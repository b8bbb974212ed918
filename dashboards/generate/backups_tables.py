"""The tables of the backups' dashboard: which disks are overdue, bare, shrinking, and how far back each goes.

Each shows the disks of a hidden variable, which stands for the first few that a query finds.
"""

from __future__ import annotations

from dashboards.generate import queries as q
from dashboards.generate.document import Variable, chosen_disks, their_machines
from dashboards.generate.looks import SHARE_OF_LIMIT_CELL, WARN, judged
from dashboards.generate.panels import Panel, Query
from dashboards.generate.tables import Column, its_account, table_of, the_disk

__all__ = ["CHOSEN", "growth", "never_backed_up", "oldest", "overdue", "unprotected"]

_M = q.MACHINES
_TOP = 50


def overdue() -> Panel:
    """Return the disks that have used up most of what the policy allows."""
    share = f"max by ({q.BY_DISK}) ({q.of_limit(q.OVERDUE)})"
    return table_of(
        "Most overdue disks",
        f"The {_TOP} disks that have used up most of what the policy allows. The numbers at the top count all.",
        Query(q.account_named(q.named(share, q.OVERDUE))),
        Query(f"max by ({q.BY_DISK}) ({q.OVERDUE('gigas_disk_backup_age_seconds')})"),
        Query(f"max by ({q.BY_DISK}) ({q.OVERDUE('gigas_disk_backup_max_age_seconds')})"),
        columns=[
            Column(
                "Value #A",
                "Of limit",
                unit="percentunit",
                decimals=0,
                width=90,
                thresholds=SHARE_OF_LIMIT_CELL,
                coloured=True,
            ),
            *the_disk(),
            Column("Value #B", "Last backup", unit="dtdurations", width=170),
            Column("Value #C", "Limit", unit="dtdurations", width=130),
            *its_account(),
        ],
        sort_by="Of limit",
        no_value="No disk that must have a backup is known to have one.",
    )


def never_backed_up() -> Panel:
    """Return the disks that must have a backup and have none."""
    return table_of(
        "Never backed up",
        f"Disks that must have a backup and have no usable one, the largest first, at most {_TOP}; the number at the"
        " top counts all.",
        Query(q.account_named(q.named(f"max by ({q.BY_DISK}) ({q.NEVER('gigas_disk_size_bytes')})", q.NEVER))),
        Query(f"1000 * max by ({q.BY_DISK}) ({q.NEVER('gigas_disk_created_timestamp_seconds')})"),
        columns=[
            *the_disk(),
            Column("Value #A", "Size", unit="bytes", width=80),
            Column("Value #B", "Disk made", unit="dateTimeFromNow", width=115, no_value="not known"),
            *its_account(),
        ],
        sort_by="Size",
        no_value="No such disk is known. The numbers at the top tell whether the backups were read.",
    )


def unprotected() -> Panel:
    """Return the disks that nothing backs up."""
    return table_of(
        "Unprotected",
        f"Disks that are no swap, that no automatic backup covers and that the policy neither asks about nor exempts,"
        f" the largest first, at most {_TOP}; the overview counts all.",
        Query(
            q.account_named(q.named(f"max by ({q.BY_DISK}) ({q.UNPROTECTED('gigas_disk_size_bytes')})", q.UNPROTECTED))
        ),
        columns=[
            *the_disk(),
            Column("Value", "Size", unit="bytes", width=80),
            *its_account(),
        ],
        sort_by="Size",
        no_value="No such disk is known.",
    )


def _growth(scope: q.Scope) -> str:
    size = scope("gigas_disk_backup_last_size_bytes")
    return f"{size} / ({size} offset 1d)"


def growth() -> Panel:
    """Return the disks whose newest backup differs most from the one of a day ago."""
    return table_of(
        "Growth since yesterday",
        f"The {_TOP} disks whose newest backup differs most in size from the newest one of a day ago. A backup that"
        " shrank much may be incomplete.",
        Query(q.account_named(q.named(_growth(q.CHANGED), q.CHANGED))),
        Query(f"max by ({q.BY_DISK}) ({q.CHANGED('gigas_disk_backup_last_size_bytes')})"),
        columns=[
            *the_disk(),
            Column(
                "Value #A",
                "Of yesterday",
                unit="percentunit",
                decimals=0,
                width=105,
                coloured=True,
                thresholds=judged(WARN, (0.5, "transparent"), unknown="transparent"),
            ),
            Column("Value #B", "Size now", unit="bytes", width=85),
            *its_account(),
        ],
        sort_by="Of yesterday",
        descending=False,
        no_value="No backup of a day ago to compare with.",
    )


def oldest() -> Panel:
    """Return the disks with the oldest backups."""
    age = f"time() - max by ({q.BY_DISK}) ({q.OLDEST('gigas_disk_backup_oldest_timestamp_seconds')})"
    return table_of(
        "Oldest backups",
        f"How far back the disks can be restored: the {_TOP} disks with the oldest usable backup.",
        Query(q.account_named(q.named(age, q.OLDEST))),
        Query(f"max by ({q.BY_DISK}) ({q.OLDEST('gigas_disk_backups')})"),
        columns=[
            *the_disk(),
            Column("Value #A", "Oldest backup", unit="dtdurations", width=130),
            Column("Value #B", "Usable", width=70),
            *its_account(),
        ],
        sort_by="Oldest backup",
        no_value="No disk is known to have a backup.",
    )


CHOSEN: tuple[Variable, ...] = (
    chosen_disks("overdue", f"topk({_TOP}, {q.of_limit(_M)})"),
    chosen_disks("oldest", f"bottomk({_TOP}, {_M('gigas_disk_backup_oldest_timestamp_seconds')})"),
    chosen_disks("never", f"topk({_TOP}, {_M('gigas_disk_size_bytes')} and ({q.never_backed_up(_M)}))"),
    chosen_disks("unprotected", f"topk({_TOP}, {_M('gigas_disk_size_bytes')} and ({q.unprotected(_M)}))"),
    chosen_disks("changed", f"topk({_TOP}, abs({_growth(_M)} - 1))"),
    their_machines(q.OVERDUE, q.OLDEST, q.NEVER, q.UNPROTECTED, q.CHANGED),
)
"""The hidden variables of these tables."""
