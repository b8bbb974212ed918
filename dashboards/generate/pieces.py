"""What the panels of all dashboards have in common: colours, words for values, and one function for each kind of panel.

It owns looks. What is asked stands in `queries` and in the dashboards' own modules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

__all__ = [
    "BAD",
    "BUILT_IN_LIMITS",
    "DAY",
    "FLAG",
    "GOOD",
    "HOUR",
    "NOTICE",
    "PLAIN",
    "PROBLEMS",
    "SEVERITIES",
    "SEVERITY",
    "SHARE_OF_LIMIT",
    "SHARE_OF_LIMIT_CELL",
    "THE_EXPORTER",
    "THE_MACHINE",
    "WARN",
    "Column",
    "Panel",
    "Query",
    "bars",
    "graph",
    "judged",
    "numbers",
    "ranges",
    "steps",
    "table_of",
    "timeline",
    "words",
]

GOOD, NOTICE, WARN, BAD, PLAIN = "#0072B2", "#56B4E9", "#E69F00", "#D55E00", "text"
"""Blue to orange to vermilion (Okabe and Ito): told apart with any common colour vision, and never without a word."""

DATASOURCE = common_model.DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel = build.Panel | stat.Panel | table.Panel | timeseries.Panel | statetimeline.Panel | bargauge.Panel
Mappings = list[model.ValueMapping]


@dataclass(frozen=True, slots=True)
class BuiltInLimits:
    """The limits that no metric carries; the alert rules use the same.

    Attributes:
        disks_late_seconds: From when on the disks' data are late.
        disks_stale_seconds: `GigasDataStale`.
        backups_stale_polls: `GigasBackupsDataStale`, in backup polls.
        missed_share: `GigasDiskBackupMissed`, as a share of the policy's limit.
    """

    disks_late_seconds: float = 300
    disks_stale_seconds: float = 900
    backups_late_polls: float = 2
    backups_stale_polls: float = 4
    missed_share: float = 2


BUILT_IN_LIMITS = BuiltInLimits()


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


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: how the field is called, and how it looks.

    A label is text whatever it looks like: without that said, Grafana would write the id 1003 as '1.00 K'.

    Attributes:
        source: The field's name in the data: a label, or ``Value #A`` for the first query's value.
        coloured: Whether the colour of the value's threshold or words fills the cell.
        links: Whether the cell leads to the disk.
        leads_to: Where else the cell leads: a title and an address.
    """

    source: str
    title: str
    unit: str = ""
    width: int | None = None
    mappings: Mappings = field(default_factory=list)
    thresholds: Sequence[model.Threshold] = ()
    coloured: bool = False
    links: bool = False
    leads_to: tuple[str, str] | None = None
    filterable: bool = False
    decimals: int | None = None
    no_value: str = "–"


def steps(base: str, *others: tuple[float, str]) -> list[model.Threshold]:
    """Return thresholds: the base colour, then each colour from its value upwards."""
    return [model.Threshold(None, base), *(model.Threshold(value, colour) for value, colour in others)]


def judged(lowest: str, *others: tuple[float, str], unknown: str = PLAIN) -> list[model.Threshold]:
    """Return thresholds for numbers from 0 upwards; no value has the colour ``unknown``.

    Grafana gives no value the base colour, so that with a base that means something 'none required' would look bad, and
    'never read' well.
    """
    return steps(unknown, (0, lowest), *others)


def words(texts: Mapping[str, tuple[str, str | None]]) -> Mappings:
    """Return a mapping of single values to a text and a colour."""
    return [
        model.ValueMap(
            {
                value: model.ValueMappingResult(text=text, color=colour, index=index)
                for index, (value, (text, colour)) in enumerate(texts.items())
            }
        )
    ]


def ranges(*texts: tuple[float, float | None, str, str]) -> Mappings:
    """Return a mapping of ranges of values (from, to, both inclusive) to a text and a colour."""
    return [
        model.RangeMap(
            model.DashboardRangeMapOptions(
                from_val=lowest, to=highest, result=model.ValueMappingResult(text=text, color=colour, index=index)
            )
        )
        for index, (lowest, highest, text, colour) in enumerate(texts)
    ]


PROBLEMS = ranges(
    (7, 7.99, "Disk error", BAD),
    (6, 6.99, "Never backed up", BAD),
    (5, 5.99, "Backup missed", BAD),
    (4, 5, "Backup late", WARN),
    (2, 2, "Backups unreadable", WARN),
    (1, 1.99, "Locked", NOTICE),
)
"""The words for `queries.problem`, worst first."""

FLAG = words({"0": ("no", None), "1": ("yes", None)})

_SHARES = ((1.0, WARN), (BUILT_IN_LIMITS.missed_share, BAD))
SHARE_OF_LIMIT = judged(GOOD, *_SHARES)
"""Thresholds for `queries.of_limit`: late from the limit on, missed from twice the limit on, as the alerts say."""

SHARE_OF_LIMIT_CELL = judged(GOOD, *_SHARES, unknown="transparent")
"""The same where the colour fills a cell."""

SEVERITIES = {"critical": BAD, "warning": WARN, "info": NOTICE}
SEVERITY = words({str(3 - rank): (name, colour) for rank, (name, colour) in enumerate(SEVERITIES.items())})
"""The words for `queries.ranked`."""

HOUR, DAY = 3600, 86400
"""In graphs ages are counted in hours or days, and not in seconds, for round numbers at the axis."""


def _target(query: Query, reference: str, as_table: bool = False) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id(reference).datasource(DATASOURCE).expr(query.expression)
    target = target.legend_format(query.legend or "__auto")
    if as_table:
        target = target.format(PromQueryFormat.TABLE)
    return target.instant() if query.instant else target.range()


def _thresholds(levels: Sequence[model.Threshold]) -> build.ThresholdsConfig:
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(list(levels))


def _by_thresholds() -> build.FieldColor:
    return build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS)


def _property(name: str, value: object) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val=name, value=value)


def _threshold_property(levels: Sequence[model.Threshold]) -> model.DynamicConfigValue:
    """Return the property of an override that sets thresholds."""
    return _property("thresholds", model.ThresholdsConfig(model.ThresholdsMode.ABSOLUTE, list(levels)))


_KEPT = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${__url_time_range}"
"""What every link keeps: the data source, the exporter and the time."""


def _of_row(*labels: str) -> str:
    return "&".join(f"var-{name}=${{__data.fields.{field}}}" for name, field in (each.split("=") for each in labels))


THE_DISK = (
    "Show this disk",
    f"/d/gigas-disk/?{_of_row('account_id=account_id', 'disk_id=disk_id')}&var-virtual_machine=$__all&{_KEPT}",
)
_ITS_DISKS = _of_row("account_id=account_id", "virtual_machine=virtual_machine_id")
THE_MACHINE = ("Show its disks", f"/d/gigas-disk/?{_ITS_DISKS}&var-disk_id=$__all&{_KEPT}")
THE_EXPORTER = ("Show the exporter", f"/d/gigas-exporter/?var-account_id=$__all&{_KEPT}")


def _link(title: str, address: str) -> dict[str, object]:
    return {"title": title, "url": address, "targetBlank": False}


def numbers(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    levels: Sequence[model.Threshold] = (),
    no_value: str = "no data",
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
        .thresholds(_thresholds(levels or steps(PLAIN)))
        .color_scheme(_by_thresholds())
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
        panel = panel.override_by_name(name, [_threshold_property(named_levels)])
    for index, query in enumerate(queries):
        panel = panel.with_target(_target(Query(query.expression, query.legend, instant=True), chr(ord("A") + index)))
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
    points: int | None = None,
    colours: Mapping[str, str] | None = None,
) -> timeseries.Panel:
    """Return a graph over time.

    Series whose names fit the regular expression ``dashed``, such as limits, are drawn so. ``points`` bounds how many
    points each series has, where the query is a costly one. ``colours`` are those of series that mean something;
    the others have any, by their names.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .no_value(no_value)
        .color_scheme(build.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
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
    if levels:
        panel = panel.thresholds(_thresholds(levels)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_model.GraphThresholdsStyleMode.DASHED)
        )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL).group("A"))
    if lowest is not None:
        panel = panel.min(lowest)
    if highest is not None:
        panel = panel.max(highest)
    if points is not None:
        panel = panel.max_data_points(points)
    if dashed:
        style = {"fill": "dash", "dash": [8, 8]}
        panel = panel.override_by_regexp(dashed, [_property("custom.lineStyle", style)])
    for name, colour in (colours or {}).items():
        panel = panel.override_by_name(name, [_property("color", {"mode": "fixed", "fixedColor": colour})])
    for index, query in enumerate(queries):
        panel = panel.with_target(_target(query, chr(ord("A") + index)))
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
        .color_scheme(_by_thresholds())
        .thresholds(_thresholds(steps(PLAIN)))
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
        panel = panel.with_target(_target(query, chr(ord("A") + index)))
    return panel


def bars(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    colours: Mapping[str, str] | None = None,
    no_value: str = "no data",
) -> bargauge.Panel:
    """Return horizontal bars of single numbers; one colour, but for the bars that ``colours`` names."""
    panel = (
        bargauge.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .min(0)
        .no_value(no_value)
        .thresholds(_thresholds(steps(GOOD)))
        .color_scheme(_by_thresholds())
        .display_mode(common_model.BarGaugeDisplayMode.BASIC)
        .value_mode(common_model.BarGaugeValueMode.TEXT)
        .orientation(common_model.VizOrientation.HORIZONTAL)
        .text(common.VizTextDisplayOptions().title_size(14).value_size(20))
        .show_unfilled(True)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
    )
    for name, colour in (colours or {}).items():
        panel = panel.override_by_name(name, [_threshold_property(steps(colour))])
    for index, query in enumerate(queries):
        panel = panel.with_target(_target(Query(query.expression, query.legend, instant=True), chr(ord("A") + index)))
    return panel


def table_of(
    title: str,
    description: str,
    *queries: Query,
    columns: Sequence[Column],
    sort_by: str,
    no_value: str,
    descending: bool = True,
) -> table.Panel:
    """Return a table whose rows are the queries' series, joined where their labels agree.

    Fields that no column names are left out; the columns stand in the order given.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .unit("string")
        .no_value(no_value)
        .thresholds(_thresholds(steps(PLAIN)))
        .color_scheme(_by_thresholds())
        .show_header(True)
        .cell_height(common_model.TableCellHeight.SM)
        .sort_by([common.TableSortByFieldState().display_name(sort_by).desc(descending)])
    )
    for column in columns:
        panel = panel.override_by_name(column.title, _column_properties(column))
    for index, query in enumerate(queries):
        asked = Query(query.expression, query.legend, instant=True)
        panel = panel.with_target(_target(asked, chr(ord("A") + index), as_table=True))
    if len(queries) > 1:
        panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    kept = {column.source: index for index, column in enumerate(columns)}
    titles = {column.source: column.title for column in columns}
    if "Value #A" in kept:  # so the field is called when no other query found anything
        kept["Value"], titles["Value"] = kept["Value #A"], titles["Value #A"]
    return panel.with_transformation(
        model.DataTransformerConfig(
            id_val="filterFieldsByName",
            options={"include": {"names": list(kept)}},
        )
    ).with_transformation(
        model.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {},
                "indexByName": kept,
                "renameByName": titles,
            },
        )
    )


def _column_properties(column: Column) -> list[model.DynamicConfigValue]:
    properties = []
    if column.unit or column.source.startswith("Value"):
        properties.append(_property("unit", column.unit or "short"))
    if column.decimals is not None or column.unit == "dtdurations":
        properties.append(_property("decimals", 1 if column.decimals is None else column.decimals))
    if column.width is not None:
        properties.append(_property("custom.width", column.width))
    if column.mappings:
        properties.append(_property("mappings", column.mappings))
        properties.append(_property("custom.align", "left"))  # it is a word, not a number
    if column.thresholds:
        properties.append(_threshold_property(column.thresholds))
    if column.coloured:
        properties.append(_property("custom.cellOptions", {"type": "color-background", "mode": "basic"}))
    leads_to = THE_DISK if column.links else column.leads_to
    if leads_to:
        properties.append(_property("links", [_link(*leads_to)]))
    if column.filterable:
        properties.append(_property("custom.filterable", True))
    properties.append(_property("noValue", column.no_value))
    return properties
