"""Render records as a table, JSON, YAML, CSV or Markdown.

This module does not know what the records describe. All formats escape terminal control characters.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import click
import yaml
from rich.cells import cell_len, set_cell_size

from gigas_exporter import formatting

Format = Literal["table", "json", "yaml", "csv", "markdown"]

_FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")  # also the full-width forms, which spreadsheets accept
_MARKDOWN = re.compile(r"([\\|`*_<>\[\]~$&])")

Item = TypeVar("Item")
Record = dict[str, Any]
"""One row: names and JSON values."""

_GAP = 2
_ELLIPSIS = "…"


def cut_end(text: str, width: int) -> str:
    """Cut the end of a text to fit ``width`` cells."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + _ELLIPSIS


def cut_start(text: str, width: int) -> str:
    """Cut the start of a text, such as a path, to fit ``width`` cells."""
    if cell_len(text) <= width:
        return text
    end = text
    while end and cell_len(end) > width - 1:
        end = end[1:]
    return _ELLIPSIS + end


def cut_list(text: str, width: int) -> str:
    """Cut a comma-separated list to its first items and the number of the others."""
    items = text.split(", ")
    for shown in range(len(items), 0, -1):
        rest = f" +{len(items) - shown}" if shown < len(items) else ""
        candidate = ", ".join(items[:shown]) + rest
        if cell_len(candidate) <= width:
            return candidate
    rest = f" +{len(items) - 1}" if len(items) > 1 else ""
    return cut_end(items[0], width - len(rest)) + rest


@dataclass(frozen=True, slots=True)
class Column(Generic[Item]):
    """One column of a table.

    Attributes:
        title: The heading.
        show: Returns the value of an item; ``None`` leaves the cell empty.
        style: Returns the arguments of :func:`click.style` for an item.
        right: Whether to align the texts to the right.
        min_width: The least width to which texts may be cut; ``None`` if they must not be cut.
        cut: Cuts a text to a width.
        drop_priority: Columns with higher numbers are dropped first if the table is too wide; 0 is never dropped.
        drop_if_same: Whether to drop the column before all others if its text is the same in every row.
    """

    title: str
    show: Callable[[Item], object]
    style: Callable[[Item], Mapping[str, Any]] = lambda _: {}
    right: bool = False
    min_width: int | None = None
    cut: Callable[[str, int], str] = cut_end
    drop_priority: int = 0
    drop_if_same: bool = False

    def text_of(self, item: Item) -> str:
        """Return the text of an item, with control characters escaped."""
        value = self.show(item)
        return formatting.escape_control_chars("" if value is None else str(value))


@dataclass(frozen=True, slots=True)
class Table(Generic[Item]):
    """The columns and fields of one kind of items.

    Attributes:
        columns: For tables and Markdown.
        fields: For JSON, YAML and CSV: names, and functions that return JSON values.
    """

    columns: tuple[Column[Item], ...]
    fields: Mapping[str, Callable[[Item], Any]]

    def record(self, item: Item) -> Record:
        """Return the fields of an item."""
        return {name: read(item) for name, read in self.fields.items()}


def render(items: Sequence[Item], table: Table[Item], form: Format) -> str:
    """Return the items in a format, ending in a line break.

    A table fits the terminal; if standard output is not a terminal, it is as wide as its content.
    """
    match form:
        case "json":
            return render_json([table.record(item) for item in items])
        case "yaml":
            return _yaml([table.record(item) for item in items])
        case "csv":
            return _csv(items, table)
        case "markdown":
            return _markdown(items, table.columns)
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else None
    colour = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return render_table(items, table.columns, width=width, colour=colour)


def render_document(value: object, form: Literal["json", "yaml"]) -> str:
    """Return a value as JSON or YAML, with unprintable characters escaped."""
    return render_json(value) if form == "json" else _yaml(value)


def render_json(value: object) -> str:
    """Return a value as JSON, with unprintable characters escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text) + "\n"


def _yaml(value: object) -> str:
    """Return a value as YAML, in ASCII if it has an unprintable character."""
    text = yaml.dump(value, Dumper=_YamlDumper, sort_keys=False, allow_unicode=True)
    as_written = text.encode(sys.stdout.encoding, "replace").decode(sys.stdout.encoding)
    if as_written == text and all(char.isprintable() or char == "\n" for char in text):
        return text
    return yaml.dump(value, Dumper=_YamlDumper, sort_keys=False, allow_unicode=False)


class _YamlDumper(yaml.SafeDumper):
    """Writes lists of strings in flow style, several strings a line."""

    def represent_sequence(
        self, tag: str, sequence: Iterable[Any], flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        items = list(sequence)
        are_strings = all(isinstance(each, str) for each in items)
        return super().represent_sequence(tag, items, flow_style=are_strings or flow_style)


def escape_markdown(text: str) -> str:
    """Escape a text so that Markdown shows it unchanged."""
    return _MARKDOWN.sub(r"\\\1", formatting.escape_control_chars(text))


def _markdown(items: Sequence[Item], columns: Sequence[Column[Item]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cells) + " |\n"

    rows = [line(column.title for column in columns), line("---:" if column.right else "---" for column in columns)]
    rows.extend(line(escape_markdown(column.text_of(item)) for column in columns) for item in items)
    return "".join(rows)


def _csv(items: Sequence[Item], table: Table[Item]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.fields)
    for item in items:
        writer.writerow(map(_csv_cell, table.record(item).values()))
    return stream.getvalue()


def _csv_cell(value: Any) -> str:
    """Return a cell; a quote precedes what a spreadsheet would evaluate as a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "; ".join(map(str, value))
    if not isinstance(value, str):
        return str(value)
    return formatting.escape_control_chars("'" + value if value.startswith(_FORMULA_STARTS) else value)


def render_table(items: Sequence[Item], columns: Sequence[Column[Item]], *, width: int | None, colour: bool) -> str:
    """Return the table in lines of at most ``width`` cells.

    An empty column that may be dropped is left out. Lines are longer if the columns cannot be cut or dropped enough.
    """
    texts = {column.title: [column.text_of(item) for item in items] for column in columns}
    kept = [column for column in columns if not column.drop_priority or any(texts[column.title])]
    uncut = {column.title: max(map(cell_len, (column.title, *texts[column.title]))) for column in kept}
    same = {column.title for column in kept if column.drop_if_same and len(set(texts[column.title])) == 1}
    widths = uncut if width is None else _fit_widths(kept, uncut, width, same)
    kept = [column for column in kept if column.title in widths]

    def line(cells: Sequence[str], styles: Sequence[Mapping[str, Any]]) -> str:
        padded = []
        for column, text, style in zip(kept, cells, styles, strict=True):
            cut = column.cut(text, widths[column.title])
            space = " " * (widths[column.title] - cell_len(cut))
            written = click.style(cut, **style) if colour and style and cut else cut
            padded.append(space + written if column.right else written + space)
        return (" " * _GAP).join(padded).rstrip() + "\n"

    lines = [line([column.title for column in kept], [{"bold": True}] * len(kept))]
    for row, item in enumerate(items):
        lines.append(line([texts[column.title][row] for column in kept], [column.style(item) for column in kept]))
    return "".join(lines)


def _fit_widths(
    columns: Sequence[Column[Any]], uncut: Mapping[str, int], width: int, same: Collection[str]
) -> dict[str, int]:
    """Return the widths of the columns that fit."""
    widths = {
        column.title: uncut[column.title]
        if column.min_width is None
        else min(uncut[column.title], max(column.min_width, len(column.title)))
        for column in columns
    }
    droppable = sorted(
        (column for column in columns if column.drop_priority),
        key=lambda column: (column.title in same, column.drop_priority),
    )
    while _total(widths) > width and droppable:
        del widths[droppable.pop().title]
    spare = width - _total(widths)
    while spare > 0 and (cut := [name for name in widths if widths[name] < uncut[name]]):
        widths[min(cut, key=widths.__getitem__)] += 1
        spare -= 1
    return widths


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)
