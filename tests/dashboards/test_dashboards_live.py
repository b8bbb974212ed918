"""The whole way: the real exporter polls the simulated cloud, a real Prometheus scrapes it, the dashboards ask.

Prometheus has watched for seconds only, and without the alerts: what needs a past or alerts is
tested over a fleet's past elsewhere, and is declared here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from dashboards.conftest import Json, Prometheus, Selection, expressions_of
from gigas_exporter.metrics.families import FAMILIES

EMPTY_AFTER_SECONDS = {
    ("gigas-overview", "Firing alerts about disks"): "no alert rules are loaded",
    ("gigas-overview", "Other firing alerts"): "no alert rules are loaded",
    ("gigas-disk", "Its firing alerts"): "no alert rules are loaded",
    ("gigas-overview", "Worst disks"): "the demo has no finding of one of the severities",
    ("gigas-backups", "Backups by status"): "what no backup of the demo has is not told",
    ("gigas-backups", "Backups that shrank"): "no backup of the demo shrank",
    ("gigas-backups", "Most overdue disks"): "the chosen disks are well",
    ("gigas-disk", "Findings"): "nothing is found about the chosen disk",
    ("gigas-disk", "Findings over time"): "nothing is found about the chosen disk",
    ("gigas-disk", "Status, error and lock"): "the chosen disk is in no error",
    ("gigas-exporter", "Reload, list of accounts"): "the demo's accounts are configured",
    ("gigas-exporter", "Accounts"): "nothing is discovered, so that nothing is left out",
    ("gigas-exporter", "Logins that wait"): "the demo has API keys, which need no login",
    ("gigas-exporter", "Next login token to expire"): "the demo has API keys, which do not expire",
    ("gigas-exporter", "Polls a minute"): "no poll failed",
    ("gigas-exporter", "Share of failed requests"): "no request failed",
    ("gigas-exporter", "Values not understood, a minute"): "all values were understood",
    ("gigas-exporter", "Values not understood in the last poll"): "all values were understood",
}
"""Panels of which a query may find nothing here, each with the reason."""

FROM_ELSEWHERE = re.compile(r"up|scrape_\w+|ALERTS(_FOR_STATE)?|process_\w+")


def choices(live: Prometheus, how_many: int) -> Mapping[str, tuple[str, ...]]:
    """Return what to choose: that many disks that have backups, with their accounts and machines; one disk always."""
    required = "and on (account_id, disk_id) gigas_disk_backup_max_age_seconds"
    aged = "and on (account_id, disk_id) gigas_disk_backup_age_seconds"
    found = live.now(f'gigas_disk_info{{virtual_machine_id!=""}} {aged} {required}')
    disks = [each["metric"] for each in found[: max(1, how_many)]]
    one = {"disk_id": (disks[0]["disk_id"],)}
    if not how_many:
        return one
    return one | {
        "account_id": tuple(sorted({disk["account_id"] for disk in disks})),
        "virtual_machine": tuple(sorted({disk["virtual_machine"] for disk in disks})),
    }


@pytest.mark.parametrize("how_many", [0, 1, 2], ids=["all", "one", "two"])
def test_real_exporter_fills_the_panels(dashboard: Json, how_many: int, live: Prometheus) -> None:
    """What the exporter exposes is what the dashboards ask for, whatever is chosen."""
    selection = Selection("live", choices(live, how_many))
    empty = set()
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = selection.expand(target["expr"], dashboard)
            series = live.now(expression) if target["instant"] else live.over(expression, hours=0.25)
            if not series and "NaN * (" not in expression:  # which asks for disks without a value: here all have it
                empty.add((dashboard["uid"], panel["title"]))
    some_disks_only = {("gigas-backups", "Never backed up"), ("gigas-backups", "Unprotected")}
    assert empty - EMPTY_AFTER_SECONDS.keys() <= (some_disks_only if how_many else set())


def test_dashboards_name_only_metrics_that_exist(dashboards: dict[str, Json]) -> None:
    """Each selector names a metric of the exporter, or one that Prometheus or the client library makes."""
    known = {family.name for family in FAMILIES}
    for dashboard in dashboards.values():
        for expression in expressions_of(dashboard, variables=True):
            for name in re.findall(r"([A-Za-z_:]+)\{", expression):
                base = re.sub(r"_(bucket|sum|count)$", "", name)
                assert base in known or name in known or FROM_ELSEWHERE.fullmatch(name), name


def test_every_metric_is_used(dashboards: dict[str, Json]) -> None:
    """No metric is exposed that no dashboard shows, but for the age: the time says it, which `collect` writes, too."""
    text = "\n".join("\n".join(expressions_of(each, variables=True)) for each in dashboards.values())
    unused = [each.name for each in FAMILIES if not re.search(rf"\b{each.name}(_bucket)?\{{", text)]
    assert unused == ["gigas_disk_backup_age_seconds"]
