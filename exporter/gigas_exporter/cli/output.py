"""Rows for people and for programs: a table that fits the terminal, JSON, YAML, CSV, Markdown.

It knows nothing of what the rows are about.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from gigas_exporter import human

__all__ = ["Column", "Format", "Record", "is_terminal", "render"]

Format = Literal["table", "json", "yaml", "csv", "markdown"]
Record = Mapping[str, Any]
"""One row: by name, a value that JSON can hold."""

_UNBOUNDED_WIDTH = 100_000
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: The key in the record.
        title: What stands above it.
        show: Makes the text of a value.
        style: Gives a colour for a record, as rich names it.
        right: Whether numbers are to line up at the right.
    """

    name: str
    title: str
    show: Callable[[Any], str] = lambda value: "" if value is None else str(value)
    style: Callable[[Record], str] = lambda _: ""
    right: bool = False


def is_terminal() -> bool:
    """Return whether a person reads standard output as it is written."""
    return sys.stdout.isatty()


def render(records: Sequence[Record], columns: Sequence[Column], form: Format) -> str:
    """Return the records in one of the formats, ending in a line break.

    Tables and Markdown show the columns; JSON and YAML hold all of each record; CSV all that is not nested.
    """
    if form == "json":
        return json.dumps(records, indent=2, ensure_ascii=False) + "\n"
    if form == "yaml":
        return yaml.safe_dump(list(map(dict, records)), sort_keys=False, allow_unicode=True)
    if form == "csv":
        return _csv(records, columns)
    return _markdown(records, columns) if form == "markdown" else _table(records, columns)


def _texts(record: Record, columns: Iterable[Column]) -> list[str]:
    return [human.printable(column.show(record.get(column.name))) for column in columns]


def _table(records: Sequence[Record], columns: Sequence[Column]) -> str:
    # rich costs 7 MB and 100 ms, which the exporter itself must not pay
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="ellipsis", no_wrap=True)
    for record in records:
        texts = _texts(record, columns)
        table.add_row(*(Text(text, style=column.style(record)) for text, column in zip(texts, columns, strict=True)))
    stream = io.StringIO()
    terminal = is_terminal()
    console = Console(file=stream, force_terminal=terminal or None, width=None if terminal else _UNBOUNDED_WIDTH)
    with console.capture() as capture:
        console.print(table)
    return "".join(line.rstrip() + "\n" for line in capture.get().splitlines())


def _markdown(records: Sequence[Record], columns: Sequence[Column]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cells) + " |\n"

    def safe(text: str) -> str:
        for char in "\\|`*_<>[]":
            text = text.replace(char, "\\" + char)
        return text

    rows = [line(column.title for column in columns), line("---:" if column.right else "---" for column in columns)]
    rows.extend(line(map(safe, _texts(record, columns))) for record in records)
    return "".join(rows)


def _csv(records: Sequence[Record], columns: Sequence[Column]) -> str:
    names = [name for name, value in records[0].items() if not isinstance(value, Mapping)] if records else []
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names or [column.name for column in columns])
    for record in records:
        writer.writerow([_csv_cell(record.get(name)) for name in names])
    return stream.getvalue()


def _csv_cell(value: Any) -> str:
    """Return the text of a cell; what a spreadsheet would run as a formula gets a quote before it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "; ".join(map(str, value))
    if not isinstance(value, str):
        return str(value)
    return "'" + value if value.startswith(_FORMULA_STARTS) else value
