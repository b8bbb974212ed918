"""Whether the numbers can be trusted: who answers, how old the data are, and what could not be read."""

from __future__ import annotations

from dashboards.generate import queries as q
from dashboards.generate.dashboard import Line
from dashboards.generate.panels import Panel, Query, numbers
from dashboards.generate.style import BAD, BUILT_IN_LIMITS, GOOD, WARN, judged

__all__ = ["data_freshness", "exporters_down"]

_F = q.FLEET


def exporters_down() -> Panel:
    """Return how many exporters do not answer."""
    return numbers(
        "Exporters down",
        "Exporters that do not answer Prometheus: scrape targets that were one within the range.",
        Query(f"sum({q.up()} == bool 0)"),
        levels=judged(GOOD, (1, BAD), unknown=BAD),
        no_value="no exporter",
    )


def data_freshness() -> Line:
    """Return the numbers that tell whether the others are true."""
    interval = _F("gigas_exporter_poll_interval_seconds", 'resource="backups"')
    disks_read = _F("gigas_exporter_poll_last_success_timestamp_seconds", 'resource="disks"')
    backups_read = _F("gigas_exporter_poll_last_success_timestamp_seconds", 'resource="backups"')
    limits = BUILT_IN_LIMITS
    panels = [
        (
            4,
            exporters_down(),
        ),
        (
            4,
            numbers(
                "Accounts not answering",
                "Accounts whose disks could not be read in the last poll. Their last good data go on being shown for a"
                " while.",
                Query(f"sum({_F('gigas_up')} == bool 0)"),
                levels=judged(GOOD, (1, WARN)),
                no_value="not polled",
            ),
        ),
        (
            4,
            numbers(
                "Disk data age",
                "How long ago the disks of the account that is furthest behind were last read.",
                Query(f"max(time() - {disks_read})"),
                unit="s",
                levels=judged(GOOD, (limits.disks_late_seconds, WARN), (limits.disks_stale_seconds, BAD)),
                no_value="never read",
            ),
        ),
        (
            4,
            numbers(
                "Backup data age, in polls",
                "How many backup polls ago the backups of the account that is furthest behind were last read; 1 is as"
                " it should be.",
                Query(f"max((time() - {backups_read}) / {interval})"),
                decimals=1,
                levels=judged(GOOD, (limits.backups_late_polls, WARN), (limits.backups_stale_polls, BAD)),
                no_value="never read",
            ),
        ),
        (
            4,
            numbers(
                "Not understood",
                "Disks of which a field that decides could not be understood; they are judged by the strictest rule.",
                Query(f"sum({q.disks_with('not_understood')})"),
                levels=judged(GOOD, (1, WARN)),
                no_value="not read",
            ),
        ),
        (
            4,
            numbers(
                "Backups not readable",
                "Disks whose backups cannot be judged: their list fails, or their dates are missing or lie ahead.",
                Query(f"sum({q.disks_with('backups_unreadable')})"),
                levels=judged(GOOD, (1, WARN)),
                no_value="not read",
            ),
        ),
    ]
    return Line(4, panels, "Can I trust these numbers?")
