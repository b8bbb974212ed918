"""Tables: their columns, how series become rows, and where a click on a row leads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dashboards.generate.panels import Query, target
from dashboards.generate.style import (
    PLAIN,
    Mappings,
    by_thresholds,
    setting,
    steps,
    threshold_setting,
    thresholds,
)
from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model

__all__ = ["THE_EXPORTER", "THE_MACHINE", "THE_STATUS_PAGE", "Column", "its_account", "table_of", "the_disk"]

_KEPT = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${__url_time_range}"
"""What every link keeps: the data source, the exporter and the time."""


def _of_row(*labels: str) -> str:
    return "&".join(f"var-{name}=${{__data.fields.{field}}}" for name, field in (each.split("=") for each in labels))


THE_DISK = (
    "Show this disk",
    f"/d/gigas-disk/?{_of_row('account_id=account_id', 'disk_id=disk_id', 'virtual_machine=virtual_machine')}&{_KEPT}",
)
_ITS_DISKS = _of_row("account_id=account_id", "virtual_machine=virtual_machine")
THE_MACHINE = ("Show its disks", f"/d/gigas-disk/?{_ITS_DISKS}&{_KEPT}")
THE_STATUS_PAGE = ("Open the exporter's status page", "http://${__data.fields.instance}/")
THE_EXPORTER = ("Show the exporter", f"/d/gigas-exporter/?var-account_id=$__all&{_KEPT}")


def _link(title: str, address: str) -> dict[str, object]:
    return {"title": title, "url": address, "targetBlank": False}


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


def the_disk(id_width: int = 80) -> list[Column]:
    """Return the columns that say which disk a row is about."""
    return [
        Column("virtual_machine", "Virtual machine", links=True, filterable=True),
        Column("mount_point", "Mount point", links=True, filterable=True),
        Column("disk_id", "Disk ID", width=id_width, links=True),
    ]


def its_account(name_width: int = 105, id_width: int = 95) -> list[Column]:
    """Return the columns that say whose a row is."""
    return [
        Column("name", "Account", width=name_width, filterable=True),
        Column("account_id", "Account ID", width=id_width),
    ]


def table_of(
    title: str,
    description: str,
    *queries: Query,
    columns: Sequence[Column],
    no_value: str,
    sort_by: str = "",
    descending: bool = True,
    at_most: int | None = None,
) -> table.Panel:
    """Return a table whose rows are the queries' series, joined where their labels agree.

    Fields that no column names are left out; the columns stand in the order given. Without ``sort_by`` the rows have
    the order in which Prometheus returns the series, those of the first query first; ``at_most`` so many are shown.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .unit("string")
        .no_value(no_value)
        .thresholds(thresholds(steps(PLAIN)))
        .color_scheme(by_thresholds())
        .show_header(True)
        .cell_height(common_model.TableCellHeight.SM)
    )
    if sort_by:
        panel = panel.sort_by([common.TableSortByFieldState().display_name(sort_by).desc(descending)])
    for column in columns:
        panel = panel.override_by_name(column.title, _column_properties(column))
    for index, query in enumerate(queries):
        asked = Query(query.expression, query.legend, instant=True)
        panel = panel.with_target(target(asked, chr(ord("A") + index), as_table=True))
    if len(queries) > 1:
        panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    if at_most is not None:
        panel = panel.with_transformation(model.DataTransformerConfig(id_val="limit", options={"limitField": at_most}))
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
        properties.append(setting("unit", column.unit or "short"))
    if column.decimals is not None or column.unit == "dtdurations":
        properties.append(setting("decimals", 1 if column.decimals is None else column.decimals))
    if column.width is not None:
        properties.append(setting("custom.width", column.width))
    if column.mappings:
        properties.append(setting("mappings", column.mappings))
        if not column.unit:
            properties.append(setting("custom.align", "left"))  # it is a word, not a number
    if column.thresholds:
        properties.append(threshold_setting(column.thresholds))
    if column.coloured:
        properties.append(setting("custom.cellOptions", {"type": "color-background", "mode": "basic"}))
    leads_to = THE_DISK if column.links else column.leads_to
    if leads_to:
        properties.append(setting("links", [_link(*leads_to)]))
    if column.filterable:
        properties.append(setting("custom.filterable", True))
    properties.append(setting("noValue", column.no_value))
    return properties
