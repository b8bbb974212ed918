"""One function for each kind of panel, and the question that it asks.

It owns what panels of a kind have in common. What is asked stands in `queries` and in the dashboards' own modules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dashboards.generate.style import (
    FINDING_NAMES,
    GOOD,
    PLAIN,
    Mappings,
    by_thresholds,
    setting,
    steps,
    threshold_setting,
    thresholds,
)
from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

__all__ = ["DATASOURCE", "Panel", "Query", "bars", "graph", "numbers", "target", "timeline", "with_words"]

DATASOURCE = common_model.DataSourceRef(type_val="prometheus", uid="${datasource}")

_POINTS = 500
"""Of each series over time: Grafana would ask for one a pixel, which on a wide screen costs thrice as much."""

Panel = build.Panel | stat.Panel | table.Panel | timeseries.Panel | statetimeline.Panel | bargauge.Panel
_OverTime = TypeVar("_OverTime", timeseries.Panel, statetimeline.Panel)


@dataclass(frozen=True, slots=True)
class Query:
    """One question to Prometheus.

    Attributes:
        legend: What its series are called, with ``{{label}}`` for a label's value.
        instant: Asked for the end of the range only.
    """

    expression: str
    legend: str = ""
    instant: bool = False


def target(query: Query, reference: str, as_table: bool = False) -> prometheus.Dataquery:
    """Return a query as a panel holds it, with the name by which transformations know it."""
    target = prometheus.Dataquery().ref_id(reference).datasource(DATASOURCE).expr(query.expression)
    target = target.legend_format(query.legend or "__auto")
    if as_table:
        target = target.format(PromQueryFormat.TABLE)
    return target.instant() if query.instant else target.range()


def numbers(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    levels: Sequence[model.Threshold] = (),
    no_value: str = "no disks",
    decimals: int | None = None,
    levels_by_name: Mapping[str, Sequence[model.Threshold]] | None = None,
    mappings: Mappings | None = None,
    text_size: int | None = None,
) -> stat.Panel:
    """Return a panel of single numbers as they are now; coloured only where levels say so.

    ``text_size`` is for words, which Grafana would write as large as numbers.
    """
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .thresholds(thresholds(levels or steps(PLAIN)))
        .color_scheme(by_thresholds())
        .no_value(no_value)
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .color_mode(common_model.BigValueColorMode.VALUE)
        .text_mode(
            common_model.BigValueTextMode.VALUE_AND_NAME if len(queries) > 1 else common_model.BigValueTextMode.AUTO
        )
        .orientation(common_model.VizOrientation.AUTO)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
    )
    if decimals is not None or unit == "dtdurations":
        panel = panel.decimals(1 if decimals is None else decimals)
    if mappings:
        panel = panel.mappings(mappings)
    if text_size is not None:
        panel = panel.text(common.VizTextDisplayOptions().value_size(text_size))
    for name, named_levels in (levels_by_name or {}).items():
        panel = panel.override_by_name(name, [threshold_setting(named_levels)])
    for index, query in enumerate(queries):
        panel = panel.with_target(target(Query(query.expression, query.legend, instant=True), chr(ord("A") + index)))
    return panel


def graph(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    levels: Sequence[model.Threshold] = (),
    dashed: str = "",
    stacked: bool = False,
    lowest: float | None = 0,
    highest: float | None = None,
    no_value: str = "no data in this range",
    colours: Mapping[str, str] | None = None,
) -> timeseries.Panel:
    """Return a graph over time.

    Series whose names fit the regular expression ``dashed``, such as limits, are drawn so. ``colours`` are those of
    series that mean something; the others have any, by their names.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .no_value(no_value)
        .color_scheme(build.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .max_data_points(_POINTS)
        .line_width(1)
        .fill_opacity(20 if stacked else 0)
        .show_points(common_model.VisibilityMode.AUTO)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_model.LegendDisplayMode.TABLE)
            .placement(common_model.LegendPlacement.RIGHT)
            .show_legend(True)
            .calcs(["lastNotNull"])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
    )
    if unit == "short":
        panel = panel.axis_soft_max(1)  # else a count that stays 0 has an axis up to 100
    if levels:
        panel = panel.thresholds(thresholds(levels)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_model.GraphThresholdsStyleMode.DASHED)
        )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL).group("A"))
    if lowest is not None:
        panel = panel.min(lowest)
    if highest is not None:
        panel = panel.max(highest)
    if dashed:
        style = {"fill": "dash", "dash": [8, 8]}
        panel = panel.override_by_regexp(dashed, [setting("custom.lineStyle", style)])
    for name, colour in (colours or {}).items():
        panel = panel.override_by_name(name, [setting("color", {"mode": "fixed", "fixedColor": colour})])
    for index, query in enumerate(queries):
        panel = panel.with_target(target(query, chr(ord("A") + index)))
    return panel


def with_words(panel: _OverTime) -> _OverTime:
    """Call series that have a finding's name by its words."""
    for finding, name in FINDING_NAMES.items():
        panel = panel.override_by_name(finding, [setting("displayName", name)])
    return panel


def timeline(
    title: str, description: str, *queries: Query, mappings: Mappings, no_value: str, unit: str = "short"
) -> statetimeline.Panel:
    """Return bands of states over time, one line a series."""
    panel = (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .mappings(mappings)
        .no_value(no_value)
        .color_scheme(by_thresholds())
        .thresholds(thresholds(steps(PLAIN)))
        .max_data_points(_POINTS)
        .merge_values(True)
        .show_value(common_model.VisibilityMode.AUTO)
        .row_height(0.8)
        .fill_opacity(80)
        .legend(
            common.VizLegendOptions()
            .show_legend(False)
            .display_mode(common_model.LegendDisplayMode.LIST)
            .placement(common_model.LegendPlacement.BOTTOM)
            .calcs([])
        )
    )
    for index, query in enumerate(queries):
        panel = panel.with_target(target(query, chr(ord("A") + index)))
    return panel


def bars(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    colours: Mapping[str, str] | None = None,
    no_value: str = "no disks",
) -> bargauge.Panel:
    """Return horizontal bars of single numbers; one colour, but for the bars that ``colours`` names."""
    panel = (
        bargauge.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .min(0)
        .no_value(no_value)
        .thresholds(thresholds(steps(GOOD)))
        .color_scheme(by_thresholds())
        .display_mode(common_model.BarGaugeDisplayMode.BASIC)
        .value_mode(common_model.BarGaugeValueMode.TEXT)
        .orientation(common_model.VizOrientation.HORIZONTAL)
        .text(common.VizTextDisplayOptions().title_size(12).value_size(20))
        .show_unfilled(True)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
    )
    for name, colour in (colours or {}).items():
        panel = panel.override_by_name(name, [threshold_setting(steps(colour))])
    for index, query in enumerate(queries):
        panel = panel.with_target(target(Query(query.expression, query.legend, instant=True), chr(ord("A") + index)))
    return panel
