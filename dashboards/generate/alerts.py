"""What fires now: how many alerts of which severity, and which disks, accounts and exporters they are about.

It owns how alerts are shown. Which ones a dashboard shows is its own: it gives their scope.
"""

from __future__ import annotations

from dashboards.generate import queries as q
from dashboards.generate.panels import Panel, Query, numbers
from dashboards.generate.style import GOOD, SEVERITIES, SEVERITY, judged
from dashboards.generate.tables import THE_EXPORTER, Column, table_of, the_disk

__all__ = ["alert_counts", "alerts_about_disks", "alerts_about_others"]

_LISTED = 50
_OF_DISKS = 'disk_id!=""'
_OF_OTHERS = 'disk_id=""'
_SEVERITY = Column("severity", "Severity", width=90, coloured=True, mappings=SEVERITY)
_FOR = Column(f"Value #{chr(ord('A') + len(SEVERITIES))}", "For", unit="s", decimals=1, width=90)


def alert_counts(alerts: q.Scope, description: str) -> Panel:
    """Return how many of the alerts fire, by severity."""
    of_severity = {name: q.firing(alerts, f'severity="{name}"') for name in SEVERITIES}
    return numbers(
        "Alerts firing",
        f"{description} 0 also when the rules are not loaded in this Prometheus.",
        *(Query(f"count({expression}) or vector(0)", name) for name, expression in of_severity.items()),
        levels_by_name={name: judged(GOOD, (1, colour)) for name, colour in SEVERITIES.items()},
    )


def _queries(alerts: q.Scope, extra: str) -> list[Query]:
    """Return the firing alerts, worst severity first, and for how many seconds each has held."""
    of_severity = [q.firing(alerts, f'severity="{name}", {extra}'.removesuffix(", ")) for name in SEVERITIES]
    # Both have the same labels, so that the second selector says for both which alerts are meant.
    since = f"(time() - {q.EXPORTER('ALERTS_FOR_STATE')}) and ignoring (alertstate) {q.firing(alerts, extra)}"
    return [Query(f"topk({_LISTED}, {each})") for each in (*of_severity, since)]


def alerts_about_disks(title: str, description: str, alerts: q.Scope, extra: str = _OF_DISKS) -> Panel:
    """Return the alerts about disks, worst severity first; a click leads to the disk."""
    return table_of(
        title,
        description,
        *_queries(alerts, extra),
        columns=[
            _SEVERITY,
            Column("alertname", "Alert", links=True, filterable=True, width=200),
            _FOR,
            *the_disk(),
            Column("account_id", "Account ID", width=90),
        ],
        no_value="No such alert fires, or the rules are not loaded.",
        at_most=_LISTED,
    )


def alerts_about_others(alerts: q.Scope) -> Panel:
    """Return the alerts about accounts and exporters, worst severity first; a click leads to the exporter."""
    return table_of(
        "Other firing alerts",
        f"The alerts about accounts and exporters that fire now, worst severity first, at most {_LISTED}.",
        *_queries(alerts, _OF_OTHERS),
        columns=[
            _SEVERITY,
            Column("alertname", "Alert", filterable=True, leads_to=THE_EXPORTER),
            _FOR,
            Column("account_id", "Account ID", width=90),
            Column("instance", "Instance", leads_to=THE_EXPORTER),
        ],
        no_value="No other alert fires, or the rules are not loaded.",
        at_most=_LISTED,
    )
