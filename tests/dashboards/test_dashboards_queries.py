"""Every query, asked of a real Prometheus as its panel would ask it, for all, one and two of everything."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest

from dashboards.conftest import ALL, Json, Prometheus, Selection, panel_of, panels_of
from support.programs import run_program, tool

MOST_SERIES = 1000

MAY_BE_EMPTY = {
    **{
        ("gigas-overview", "Other firing alerts", reference, selection): "of an account that fails, a warning fires"
        for selection, references in {"all": "AC", "one": "ABCD", "two": "AC"}.items()
        for reference in references
    },
    **{
        ("gigas-disk", "Its firing alerts", reference, selection): "the chosen disk has an alert of one severity"
        for selection, references in {"all": "BC", "one": "BC", "two": "AC"}.items()
        for reference in references
    },
    **{
        ("gigas-backups", title, "B", selection): "every disk has the value that stands in the table"
        for title in ("Most overdue disks", "Never backed up", "Unprotected")
        for selection in ("all", "one", "two")
    },
    ("gigas-exporter", "Polls a minute", "B", "one"): "the chosen account answers: no poll of it failed",
    **{
        ("gigas-disk", "Status, error and lock", reference, selection): "the chosen disk is in no error and not locked"
        for reference in ("B", "C")
        for selection in ("all", "one", "two")
    },
}
"""Queries that rightly find nothing in this fleet, each with the reason: dashboard, panel, query, selection."""


def test_every_panel_query_finds_something(dashboard: Json, selection: Selection, prometheus: Prometheus) -> None:
    """No panel is empty in a fleet that has one of everything, none shows NaN, and none asks for too much."""
    empty = set()
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            expression = selection.expand(target["expr"], dashboard)
            series = prometheus.now(expression) if target["instant"] else prometheus.over(expression)
            assert len(series) <= MOST_SERIES
            shown = [value for each in series for _, value in each.get("values") or [each["value"]]]
            assert "NaN" not in shown, (panel["title"], target["refId"])
            if not series:
                empty.add((dashboard["uid"], panel["title"], target["refId"], selection.name))
    assert empty == {key for key in MAY_BE_EMPTY if key[0] == dashboard["uid"] and key[3] == selection.name}


def test_every_annotation_finds_the_alerts(dashboard: Json, selection: Selection, prometheus: Prometheus) -> None:
    """Firing alerts are drawn, also for the disks and accounts that were chosen."""
    (annotation,) = dashboard["annotations"]["list"]
    series = prometheus.over(selection.expand(annotation["expr"], dashboard))
    alerts = {each["metric"]["alertname"] for each in series}
    disk_alert = {"GigasDiskBackupStale"} if selection.name == "two" else {"GigasDiskBackupMissed"}
    about_chosen = disk_alert if dashboard["uid"] == "gigas-disk" else {"GigasDiskError", "GigasDiskUnprotected"}
    assert alerts >= about_chosen
    assert all(alert.startswith("Gigas") for alert in alerts)


OFFERED = {"account_id": {"production 4242": "4242", "account 77": "77"}}
"""What the drop-downs offer when nothing is chosen: text to value."""


def offered(variable: Json, found: list[Json]) -> dict[str, str]:
    """Return what a drop-down offers, text to value, read as Grafana's Prometheus data source reads it."""
    expression = re.compile(variable["regex"].strip("/").replace("(?<", "(?P<"))
    rows = {}
    for series in found:
        labels = {key: value for key, value in sorted(series["metric"].items()) if key != "__name__"}
        text = ",".join(f'{key}="{value}"' for key, value in labels.items())
        match = expression.search(f"{series['metric'].get('__name__', '')}{{{text}}} 1 1764000000000")
        assert match, text
        rows[match["text"]] = match["value"]
    return rows


def test_drop_downs_offer_names(dashboard: Json, selection: Selection, prometheus: Prometheus) -> None:
    """Drop-downs show what accounts, machines and disks are called, and hand on their ids."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query" or variable["query"]["query"].startswith("label_values("):
            continue
        inner = variable["query"]["query"].removeprefix("query_result(").removesuffix(")")
        found = prometheus.now(selection.expand(inner, dashboard))
        assert len(found) <= MOST_SERIES
        assert found, variable["name"]
        label = variable["name"]
        choices = offered(variable, found)
        assert set(choices.values()) == {each["metric"][label] for each in found}
        if selection.name == "all":
            assert choices == OFFERED.get(variable["name"], choices)
            assert all(value in text for text, value in choices.items())


def age_of(disk_id: str, dashboards: dict[str, Json], prometheus: Prometheus) -> list[Json]:
    """Return what the graph of the newest backup's age draws for one chosen disk."""
    dashboard = dashboards["gigas-disk"]
    expression = panel_of(dashboard, "Age of the newest backup, ")["targets"][0]["expr"].replace("$disk_id", disk_id)
    return prometheus.over(re.sub(r"\$(job|instance|account_id)", ".+", expression))


@pytest.mark.parametrize(("disk_id", "points"), [("1011", 200), ("1010", 250)], ids=["deleted", "moved"])
def test_a_disk_is_one_line_whatever_becomes_of_it(
    disk_id: str, points: int, dashboards: dict[str, Json], prometheus: Prometheus
) -> None:
    """One that was deleted within the range is still drawn when it is chosen, one that moved goes on as the same."""
    (series,) = age_of(disk_id, dashboards, prometheus)
    assert len(series["values"]) > points


def test_two_exporters_of_an_account_halve_no_table(dashboards: dict[str, Json], tmp_path: Path) -> None:
    """The largest machines are fifteen, each with its size, also where two exporters tell of each."""
    overview = dashboards["gigas-overview"]
    panel = panel_of(overview, "Largest virtual machines")
    series = []
    for exporter, number in itertools.product("ab", range(1, 21)):
        labels = (
            f'job="gigas", instance="{exporter}", account_id="1", disk_id="{number}", virtual_machine_id="{number}"'
        )
        series += [
            {"series": f"gigas_disk_size_bytes{{{labels}}}", "values": str(number)},
            {"series": f'gigas_disk_info{{{labels}, virtual_machine="VM {number}"}}', "values": "1"},
        ]
    expected = [
        {"labels": f'{{account_id="1", virtual_machine="VM {number}", virtual_machine_id="{number}"}}', "value": number}
        for number in range(6, 21)
    ]
    asked = {
        "expr": ALL.expand(panel["targets"][0]["expr"], overview),
        "eval_time": "0m",
        "exp_samples": expected,
    }
    cases = tmp_path / "cases.yml"
    cases.write_text(json.dumps({"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [asked]}]}))
    run_program(tool("promtool"), "test", "rules", cases, seconds=60)
