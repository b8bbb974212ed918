"""A dashboard as a whole: its variables, links and annotations, where its panels stand, and the JSON that is written.

It owns what is the same in every dashboard and the mending of what the SDK writes: ids that it leaves out, and
settings that Grafana no longer knows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.generate.panels import DATASOURCE, Panel
from dashboards.generate.queries import EXPORTER, FLEET
from dashboards.generate.style import BAD
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

__all__ = ["ACCOUNT", "DISK", "MACHINE", "TAG", "Line", "Variable", "dashboard_json"]

TAG = "gigas"
SCHEMA_VERSION = 39
"""What Grafana 10.4 to 13 all load and migrate by themselves."""

_COLUMNS = 24
_WIDE = 12
"""From how many columns on a graph has room for its legend at its side."""
_LISTED_AT_MOST = 1000
"""How many disks a drop-down offers. Links to a disk name its virtual machine, too, so that it is among them."""


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
        single: Whether exactly one can be chosen.
    """

    name: str
    label: str
    query: str
    regex: str = ""
    single: bool = False


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
MACHINE = Variable("virtual_machine", "Virtual machine", f"label_values({FLEET('gigas_disk_info')}, virtual_machine)")
_ITS_DISKS = FLEET("gigas_disk_info", 'virtual_machine=~"$virtual_machine"')
_DISKS = f"topk({_LISTED_AT_MOST}, {_ITS_DISKS})"
DISK = Variable(
    "disk_id",
    "Disk",
    f'query_result(label_join({_DISKS}, "text", " ", "virtual_machine", "mount_point", "disk_id"))',
    regex=r'/disk_id="(?<value>[^"]+)"[\s\S]*?,text="(?<text>[\s\S]+?)",virtual_machine="/',
    single=True,
)


def dashboard_json(
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
        .text_format("{{severity}} {{virtual_machine}} {{mount_point}} {{disk_id}}")
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
        .options([])
    )
    if variable.single:
        return builder.multi(False).include_all(False)
    everything = model.VariableOption(selected=True, text=["All"], value=["$__all"])
    return builder.multi(True).include_all(True).all_value(".+").current(everything)


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
        variable["skipUrlSync"] = False
        for noise in ("auto", "auto_count", "auto_min"):
            variable.pop(noise, None)
        variable.setdefault("hide", 0)
