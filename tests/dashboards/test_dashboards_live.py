"""The whole way: the real exporter polls the simulated cloud, a real Prometheus scrapes it, the dashboards ask.

Prometheus has watched for seconds only, with the recording rules and without the alerts: what needs a past or alerts is
tested over a fleet's past elsewhere, and is declared here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from gigas_exporter.metrics.families import FAMILIES

Json = dict[str, Any]
RULES = Path(__file__).resolve().parent / "rules" / "gigas.recording.rules.yml"
NAMES = ("gigas-overview", "gigas-backups", "gigas-disk", "gigas-exporter")

EMPTY_AFTER_SECONDS = {
    ("gigas-overview", "Firing alerts about disks"): "no alert rules are loaded",
    ("gigas-overview", "Other firing alerts"): "no alert rules are loaded",
    ("gigas-disk", "Its firing alerts"): "no alert rules are loaded",
    ("gigas-backups", "Growth since yesterday"): "Prometheus was not there yesterday",
    ("gigas-exporter", "Reload, list of accounts"): "the demo's accounts are configured",
    ("gigas-exporter", "Next login token to expire"): "the demo has API keys, which do not expire",
    ("gigas-exporter", "Polls a minute"): "no poll failed",
    ("gigas-exporter", "Share of failed requests"): "no request failed",
    ("gigas-exporter", "Values not understood, a minute"): "all values were understood",
}
"""Panels of which a query may find nothing here, each with the reason."""

FROM_ELSEWHERE = re.compile(r"up|scrape_\w+|ALERTS(_FOR_STATE)?|process_\w+")


class Server(Protocol):
    """What is asked of the fixture."""

    def now(self, expression: str) -> list[Json]: ...
    def over(self, expression: str, hours: float = 24) -> list[Json]: ...


class Chosen(Protocol):
    """What is asked of the fixture."""

    def expand(self, expression: str, dashboard: Json, prometheus: Server) -> str: ...


def choices(live: Server, how_many: int) -> Mapping[str, tuple[str, ...]]:
    """Return what to choose: that many disks that have backups, with their accounts and machines."""
    found = live.now('gigas_disk_backup_age_seconds{virtual_machine_id!=""} and gigas_disk_backup_max_age_seconds')
    disks = [each["metric"] for each in found[:how_many]]
    return {
        "disk_id": tuple(sorted({disk["disk_id"] for disk in disks})),
        "account_id": tuple(sorted({disk["account_id"] for disk in disks})),
        "virtual_machine": tuple(sorted({disk["virtual_machine_id"] for disk in disks})),
    }


@pytest.mark.parametrize("how_many", [0, 1, 2], ids=["all", "one", "two"])
@pytest.mark.parametrize("name", NAMES)
def test_real_exporter_fills_the_panels(
    name: str, how_many: int, dashboards: dict[str, Json], live: Server, everything: Any
) -> None:
    """What the exporter exposes is what the dashboards ask for, whatever is chosen."""
    selection: Chosen = type(everything)("live", choices(live, how_many) if how_many else {})
    dashboard = dashboards[name]
    empty = set()
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = selection.expand(target["expr"], dashboard, live)
            series = live.now(expression) if target["instant"] else live.over(expression, hours=0.25)
            if not series:
                empty.add((name, panel["title"]))
    some_disks_only = {("gigas-backups", "Never backed up"), ("gigas-backups", "Unprotected")}
    some_disks_only |= {("gigas-overview", "Worst disks")}
    assert empty - EMPTY_AFTER_SECONDS.keys() <= (some_disks_only if how_many else set())


def test_dashboards_name_only_metrics_that_exist(dashboards: dict[str, Json]) -> None:
    """Each selector names a metric of the exporter, or one that Prometheus or the client library makes."""
    known = {family.name for family in FAMILIES}
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    known |= {rule["record"] for group in rules["groups"] for rule in group["rules"]}
    for dashboard in dashboards.values():
        for expression in asked(dashboard):
            for name in re.findall(r"([A-Za-z_:]+)\{", expression):
                base = re.sub(r"_(bucket|sum|count)$", "", name)
                assert base in known or name in known or FROM_ELSEWHERE.fullmatch(name), name


def test_every_metric_is_used(dashboards: dict[str, Json]) -> None:
    """No metric is exposed that no dashboard shows."""
    text = "\n".join(expression for dashboard in dashboards.values() for expression in asked(dashboard))
    unused = [each.name for each in FAMILIES if not re.search(rf"\b{each.name}(_bucket)?\{{", text)]
    assert unused == []


def asked(dashboard: Json) -> list[str]:
    """Return every expression of a dashboard."""
    targets = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    variables = [each["query"]["query"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    return targets + variables + [each["expr"] for each in dashboard["annotations"]["list"]]
