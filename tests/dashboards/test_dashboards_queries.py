"""Every query, asked of a real Prometheus as its panel would ask it, for all, one and two of everything."""

from __future__ import annotations

import re
from typing import Any, Protocol

import pytest

Json = dict[str, Any]
NAMES = ("gigas-overview", "gigas-backups", "gigas-disk", "gigas-exporter")
MOST_SERIES = 1000

MAY_BE_EMPTY = {
    ("gigas-backups", "Unprotected", "A", "one"): "all disks of the chosen machine must have backups",
    ("gigas-backups", "Unprotected", "A", "two"): "all disks of the chosen machines must have backups",
    ("gigas-overview", "Other firing alerts", "A", "one"): "the chosen account answers: nothing fires but for disks",
    ("gigas-overview", "Other firing alerts", "B", "one"): "the chosen account answers: nothing fires but for disks",
    ("gigas-exporter", "Polls a minute", "B", "one"): "the chosen account answers: no poll of it failed",
}
"""Queries that rightly find nothing in this fleet, each with the reason: dashboard, panel, query, selection."""


class Server(Protocol):
    """What is asked of the fixture."""

    def now(self, expression: str) -> list[Json]: ...
    def over(self, expression: str) -> list[Json]: ...


class Chosen(Protocol):
    """What is asked of the fixture."""

    name: str

    def expand(self, expression: str, dashboard: Json, prometheus: Server) -> str: ...


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def panels_of(dashboard: Json) -> list[Json]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_every_panel_query_finds_something(
    name: str, selection: Chosen, dashboards: dict[str, Json], prometheus: Server
) -> None:
    """No panel is empty in a fleet that has one of everything, and none asks for too much."""
    empty = set()
    for panel in panels_of(dashboards[name]):
        for target in panel["targets"]:
            expression = selection.expand(target["expr"], dashboards[name], prometheus)
            series = prometheus.now(expression) if target["instant"] else prometheus.over(expression)
            assert len(series) <= MOST_SERIES
            if not series:
                empty.add((name, panel["title"], target["refId"], selection.name))
    assert empty == {key for key in MAY_BE_EMPTY if key[0] == name and key[3] == selection.name}


def test_every_annotation_finds_the_alerts(
    name: str, selection: Chosen, dashboards: dict[str, Json], prometheus: Server
) -> None:
    """Firing alerts are drawn, also for the disks and accounts that were chosen."""
    (annotation,) = dashboards[name]["annotations"]["list"]
    series = prometheus.over(selection.expand(annotation["expr"], dashboards[name], prometheus))
    alerts = {each["metric"]["alertname"] for each in series}
    about_chosen = {"GigasDiskBackupMissed"} if name == "gigas-disk" else {"GigasDiskError", "GigasDiskUnprotected"}
    assert alerts >= about_chosen
    assert all(alert.startswith("Gigas") for alert in alerts)


OFFERED = {
    "account_id": {"production 4242": "4242", "account 77": "77"},
    "virtual_machine": {
        "web-1 501": "501",
        "db-1 502": "502",
        "batch-1 503": "503",
        "mail-1 504": "504",
        'evil "vm\\ \n</script> 666': "666",
        "VM 901": "901",
    },
}
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


def test_drop_downs_offer_names(name: str, selection: Chosen, dashboards: dict[str, Json], prometheus: Server) -> None:
    """Drop-downs show what accounts, machines and disks are called, and hand on their ids."""
    for variable in dashboards[name]["templating"]["list"]:
        if variable["type"] != "query" or variable["query"]["query"].startswith("label_values("):
            continue
        inner = variable["query"]["query"].removeprefix("query_result(").removesuffix(")")
        found = prometheus.now(selection.expand(inner, dashboards[name], prometheus))
        assert len(found) <= MOST_SERIES
        assert found or (variable["hide"] and selection.name != "all"), variable["name"]
        machine = "virtual_machine_id"
        label = {"virtual_machine": machine, "machines": machine, "account_id": "account_id"}.get(
            variable["name"], "disk_id"
        )
        if variable["hide"]:
            assert all(re.search(variable["regex"].strip("/"), f'{label}="{each["metric"][label]}"') for each in found)
            continue
        choices = offered(variable, found)
        assert set(choices.values()) == {each["metric"][label] for each in found}
        if selection.name == "all":
            assert choices == OFFERED.get(variable["name"], choices)
            assert all(value in text for text, value in choices.items())


def age_of(disk_id: str, dashboards: dict[str, Json], prometheus: Server) -> list[Json]:
    """Return what the graph of the newest backup's age draws for one chosen disk."""
    dashboard = dashboards["gigas-disk"]
    panel = next(each for each in panels_of(dashboard) if each["title"].startswith("Age of the newest"))
    hidden = next(each for each in dashboard["templating"]["list"] if each["name"] == "drawn")["query"]["query"]
    chosen = {"disk_id": disk_id, "virtual_machine": ".*", "job": ".+", "instance": ".+", "account_id": ".+"}
    chosen |= {"__range": "86400s"}
    for variable, value in chosen.items():
        hidden = hidden.replace(f"${variable}", value)
    (found,) = prometheus.now(hidden.removeprefix("query_result(").removesuffix(")"))
    expression = panel["targets"][0]["expr"].replace("$drawn", found["metric"]["disk_id"])
    return prometheus.over(re.sub(r"\$(job|instance|account_id|machines)", ".+", expression))


def test_gone_disk_keeps_its_history(dashboards: dict[str, Json], prometheus: Server) -> None:
    """A disk that was deleted within the range is still drawn when it is chosen."""
    (series,) = age_of("1011", dashboards, prometheus)
    assert series["metric"]["mount_point"] == "/srv/gone"


def test_moved_disk_is_one_line(dashboards: dict[str, Json], prometheus: Server) -> None:
    """A disk that moved to another machine goes on being the same disk, under its machine's present name."""
    (series,) = age_of("1010", dashboards, prometheus)
    assert series["metric"]["label"] == "db-1"
    assert len(series["values"]) > 250
