"""A dashboard as a whole: its variables, links and annotations, where its panels stand, and the JSON that is written.

It owns what is the same in every dashboard and the mending of what the SDK writes: ids that it leaves out, and
settings that Grafana no longer knows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.generate.looks import BAD
from dashboards.generate.panels import DATASOURCE, Panel
from dashboards.generate.queries import (
    ATTACHED,
    BY_MACHINE,
    EXPORTER,
    FLEET,
    MACHINES,
    Scope,
    machine_names,
    machines_of,
)
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

__all__ = ["ACCOUNT", "DISK", "MACHINE", "TAG", "Line", "Variable", "chosen_disks", "document", "their_machines"]

TAG = "gigas"
HIDDEN = 2
SCHEMA_VERSION = 39
"""What Grafana 10.4 to 13 all load and migrate by themselves."""

_COLUMNS = 24
_WIDE = 12
"""From how many columns on a graph has room for its legend at its side."""
_LISTED_AT_MOST = 1000
"""How many machines or disks a drop-down offers: the largest. The choice 'All' means all, listed or not."""


@dataclass(frozen=True, slots=True)
class Line:
    """Panels side by side, each with its width in 24ths, all of one height; a title begins a new section."""

    height: int
    panels: Sequence[tuple[int, Panel]]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Variable:
    """A drop-down that a query fills.

    Attributes:
        regex: How text and value are read from a series, for a ``query_result``. Grafana writes the labels in the
            order of the alphabet and escapes nothing, so that a name may hold quotes and line ends.
        all_value: What 'All' stands for; ``.*`` also fits a label that is empty or missing, and costs older versions of
            Prometheus nothing, where ``.+`` has them walk through all ten thousand ids.
        hidden: Not shown and never in an address: stands for all that its query finds. So the panels that show a few
            disks of many ask Prometheus for these few, instead of sifting ten thousand at every point of a graph.
    """

    name: str
    label: str
    query: str
    regex: str = ""
    all_value: str = ".+"
    hidden: bool = False


def _machines_by_size() -> str:
    sizes = f"sum by ({BY_MACHINE}) ({FLEET('gigas_disk_size_bytes', ATTACHED)})"
    unnamed = f'label_replace({sizes}, "label", "VM", "", "")'
    names = f"{sizes} * on ({BY_MACHINE}) group_left (label) {machine_names()}"
    return f"topk({_LISTED_AT_MOST}, {names} or on ({BY_MACHINE}) {unnamed})"


def _disks_by_size() -> str:
    size = MACHINES("gigas_disk_size_bytes")
    mounted = f"{size} * on (job, instance, account_id, disk_id) group_left (mount_point) {MACHINES('gigas_disk_info')}"
    return f"topk({_LISTED_AT_MOST}, {mounted})"


_BUILD = "gigas_exporter_build_info"
JOB = Variable("job", "Job", f"label_values({_BUILD}, job)")
INSTANCE = Variable("instance", "Instance", f'label_values({_BUILD}{{job=~"$job"}}, instance)')
ACCOUNT = Variable(
    "account_id",
    "Account",
    "query_result(label_join(label_replace("
    f'{EXPORTER("gigas_account_info")}, "name", "account", "name", ""), "text", " ", "name", "account_id"))',
    regex=r'/account_id="(?<value>[^"]+)"[\s\S]*?,text="(?<text>[\s\S]+)"\}/',
)
MACHINE = Variable(
    "virtual_machine",
    "Virtual machine",
    f'query_result(label_join({_machines_by_size()}, "text", " ", "label", "virtual_machine_id"))',
    regex=r'/,text="(?<text>[\s\S]+)",virtual_machine_id="(?<value>[^"]+)"/',
    all_value=".*",
)
DISK = Variable(
    "disk_id",
    "Disk",
    f'query_result(label_join({_disks_by_size()}, "text", " ", "mount_point", "disk_id"))',
    regex=r'/disk_id="(?<value>[^"]+)"[\s\S]*?,text="(?<text>[\s\S]+?)"(?:,virtual_machine_id="[^"]*")?\}/',
    all_value=".*",
)


def chosen_disks(name: str, expression: str) -> Variable:
    """Return a hidden variable that stands for the ids of the disks that an expression finds."""
    return Variable(name, name, f"query_result({expression})", regex='/disk_id="([^"]+)"/', all_value="", hidden=True)


def their_machines(*scopes: Scope) -> Variable:
    """Return the hidden variable that `queries.named` reads: the ids of the machines that the disks are attached to."""
    return Variable(
        "machines",
        "machines",
        f"query_result({machines_of(*scopes)})",
        regex='/virtual_machine_id="([^"]+)"/',
        all_value="",
        hidden=True,
    )


def document(
    uid: str,
    title: str,
    description: str,
    *,
    lines: Sequence[Line],
    variables: Sequence[Variable],
    alerts: str,
    time_from: str = "now-24h",
) -> str:
    """Return a dashboard as the text of its JSON file; the series of the query ``alerts`` are its annotations."""
    builder = (
        build.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .refresh("1m")
        .time(time_from, "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(
            build.DashboardLink("Gigas")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
        .annotation(_annotation(alerts))
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for variable in (JOB, INSTANCE, *variables):
        builder = builder.with_variable(_variable(variable))
    whole: dict[str, Any] = json.loads(JSONEncoder().encode(builder.build()))
    whole["panels"] = _laid_out(lines)
    _mend(whole)
    return json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _annotation(expression: str) -> build.AnnotationQuery:
    return (
        build.AnnotationQuery()
        .name("Firing alerts")
        .datasource(DATASOURCE)
        .enable(True)
        .hide(False)
        .icon_color(BAD)
        .expr(expression)
        .title_format("{{alertname}}")
        .text_format("{{severity}} {{label}} {{mount_point}} {{disk_id}}")
        .tag_keys("severity")
        .step("60s")
        .target(prometheus.Dataquery().ref_id("Anno").datasource(DATASOURCE).expr(expression).range())
    )


def _variable(variable: Variable) -> build.QueryVariable:
    builder = (
        build.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(DATASOURCE)
        .query(
            {
                "qryType": 1 if variable.query.startswith("label_values") else 3,
                "query": variable.query,
                "refId": "PrometheusVariableQueryEditor-VariableQuery",
            }
        )
        .definition(variable.query)
        .regex(variable.regex)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        .multi(True)
        .include_all(True)
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
        .options([])
    )
    if variable.hidden:
        return builder.hide(model.VariableHide.HIDE_VARIABLE)
    return builder.all_value(variable.all_value)


def _laid_out(lines: Sequence[Line]) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    top = 0
    for line in lines:
        if line.title:
            panels.append(
                {
                    "type": "row",
                    "title": line.title,
                    "collapsed": False,
                    "panels": [],
                    "gridPos": {"h": 1, "w": _COLUMNS, "x": 0, "y": top},
                }
            )
            top += 1
        left = 0
        for width, panel in line.panels:
            built: dict[str, Any] = json.loads(JSONEncoder().encode(panel.datasource(DATASOURCE).build()))
            if built["type"] == "timeseries" and width < _WIDE:
                built["options"]["legend"] |= {"displayMode": "list", "placement": "bottom"}
            built["gridPos"] = {"h": line.height, "w": width, "x": left, "y": top}
            panels.append(built)
            left += width
        if left != _COLUMNS:
            raise ValueError(f"the line at {top} is {left} wide, not {_COLUMNS}")
        top += line.height
    for number, panel_json in enumerate(panels, start=1):
        panel_json["id"] = number
    return panels


def _mend(whole: dict[str, Any]) -> None:
    """Add what the SDK leaves out and drop what Grafana does not know or no longer knows."""
    whole["id"] = None
    whole["version"] = 1
    whole["schemaVersion"] = SCHEMA_VERSION
    for placed in (*whole["links"], *whole["annotations"]["list"]):
        placed.pop("placement", None)
    for panel in whole["panels"]:
        panel.pop("transparent", None)
        panel.pop("repeatDirection", None)
        panel.get("options", {}).pop("footer", None)
    for variable in whole["templating"]["list"]:
        variable["skipUrlSync"] = variable.get("hide", 0) == HIDDEN
        for noise in ("auto", "auto_count", "auto_min"):
            variable.pop(noise, None)
        variable.setdefault("hide", 0)
