"""What fires now: how many alerts of which severity, and which disks, accounts and exporters they are about.

It owns how alerts are shown. Which ones a dashboard shows is its own: it gives their scope.
"""

from __future__ import annotations

from dashboards.generate import queries as q
from dashboards.generate.document import Variable, chosen_disks
from dashboards.generate.looks import GOOD, SEVERITIES, SEVERITY, judged
from dashboards.generate.panels import Panel, Query, numbers
from dashboards.generate.tables import THE_EXPORTER, Column, table_of, the_disk

__all__ = ["about_disks", "about_others", "alarmed", "counts"]

_LISTED = 50
_BY_DISK = f"alertname, severity, {q.BY_DISK}"
_OF_DISKS = 'disk_id!=""'
_SEVERITY = Column("Value #A", "Severity", width=90, coloured=True, mappings=SEVERITY)
_FOR = Column("Value #B", "For", unit="s", decimals=1, width=90)


def counts(alerts: q.Scope, description: str) -> Panel:
    """Return how many of the alerts fire, by severity."""
    of_severity = {name: q.firing(alerts, f'severity="{name}"') for name in SEVERITIES}
    return numbers(
        "Alerts firing",
        f"{description} 0 also when the rules are not loaded in this Prometheus.",
        *(Query(f"count({expression}) or vector(0)", name) for name, expression in of_severity.items()),
        levels_by_name={name: judged(GOOD, (1, colour)) for name, colour in SEVERITIES.items()},
    )


def alarmed(alerts: q.Scope) -> Variable:
    """Return the hidden variable that stands for the disks about which the worst alerts fire."""
    return chosen_disks("alarmed", _worst(alerts, _BY_DISK, _OF_DISKS))


def _worst(alerts: q.Scope, by: str, extra: str) -> str:
    return f"topk({_LISTED}, max by ({by}) ({q.ranked(alerts, extra)}))"


def _worst_first(alerts: q.Scope, by: str, extra: str) -> tuple[str, str]:
    """Return the weights of the worst alerts, and for how many seconds each has held."""
    worst = _worst(alerts, by, extra)
    return worst, f"time() - min by ({by}) ({alerts('ALERTS_FOR_STATE', extra)}) and ({worst})"


def about_disks(title: str, description: str, alerts: q.Scope) -> Panel:
    """Return the alerts about disks, worst first; a click leads to the disk."""
    worst, since = _worst_first(alerts, _BY_DISK, _OF_DISKS)
    return table_of(
        title,
        description,
        Query(q.named(worst, q.ALARMED)),
        Query(since),
        columns=[
            _SEVERITY,
            Column("alertname", "Alert", links=True, filterable=True, width=200),
            _FOR,
            *the_disk(),
            Column("account_id", "Account ID", width=90),
        ],
        sort_by="Severity",
        no_value="No alert about a disk fires, or the rules are not loaded.",
    )


def about_others(alerts: q.Scope) -> Panel:
    """Return the alerts about accounts and exporters, worst first; a click leads to the exporter."""
    worst, since = _worst_first(alerts, f"alertname, severity, {q.BY_ACCOUNT}", 'disk_id=""')
    return table_of(
        "Other firing alerts",
        f"The alerts about accounts and exporters that fire now, worst first, at most {_LISTED}.",
        Query(worst),
        Query(since),
        columns=[
            _SEVERITY,
            Column("alertname", "Alert", filterable=True, leads_to=THE_EXPORTER),
            _FOR,
            Column("account_id", "Account ID", width=90),
            Column("instance", "Instance", leads_to=THE_EXPORTER),
        ],
        sort_by="Severity",
        no_value="No other alert fires, or the rules are not loaded.",
    )
