"""Rows as a table, JSON, YAML, CSV or Markdown.

It knows nothing of what the rows are about. Whatever the format, nothing that a terminal could obey comes out.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from gigas_exporter import formatting
from gigas_exporter.cli.standard_output import can_write
from gigas_exporter.cli.table import Column, Record, render_table

Format = Literal["table", "json", "yaml", "csv", "markdown"]

_FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")  # also the wide forms, which spreadsheets take for the same
_MARKDOWN = re.compile(r"([\\|`*_<>\[\]~$&])")


@dataclass(frozen=True, slots=True)
class Table:
    """What rows of one kind hold.

    Attributes:
        columns: What tables and Markdown show.
        fields: All names of a record, in order; CSV has a column for each.
    """

    columns: tuple[Column, ...]
    fields: tuple[str, ...]


def render(records: Sequence[Record], table: Table, form: Format) -> str:
    """Return the records in one of the formats, ending in a line break.

    Tables fit the terminal, and are as wide as they come where standard output is none.
    """
    match form:
        case "json":
            return render_json(records)
        case "yaml":
            return render_yaml([dict(record) for record in records])
        case "csv":
            return _csv(records, table.fields)
        case "markdown":
            return _markdown(records, table.columns)
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else None
    colour = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return render_table(records, table.columns, width=width, colour=colour)


def render_json(value: object) -> str:
    """Return a value as JSON, with what cannot be printed escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text) + "\n"


def render_yaml(value: object) -> str:
    """Return a value as YAML, in ASCII where a character cannot be printed."""
    text = yaml.dump(value, Dumper=_YamlDumper, sort_keys=False, allow_unicode=True)
    if can_write(text) and all(char.isprintable() or char == "\n" for char in text):
        return text
    return yaml.dump(value, Dumper=_YamlDumper, sort_keys=False, allow_unicode=False)


class _YamlDumper(yaml.SafeDumper):
    """Writes a list of words in lines, not each word in a line of its own."""

    def represent_sequence(
        self, tag: str, sequence: Iterable[Any], flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        items = list(sequence)
        in_lines = all(isinstance(each, str) for each in items)
        return super().represent_sequence(tag, items, flow_style=in_lines or flow_style)


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", formatting.escape_control_chars(text))


def _markdown(records: Sequence[Record], columns: Sequence[Column]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cells) + " |\n"

    rows = [line(column.title for column in columns), line("---:" if column.right else "---" for column in columns)]
    rows.extend(line(escape_markdown(column.of(record)) for column in columns) for record in records)
    return "".join(rows)


def _csv(records: Sequence[Record], fields: Sequence[str]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(fields)
    for record in records:
        writer.writerow([_csv_cell(record.get(name)) for name in fields])
    return stream.getvalue()


def _csv_cell(value: Any) -> str:
    """Return a cell; what a spreadsheet would run gets a quote before it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "; ".join(map(str, value))
    if not isinstance(value, str):
        return str(value)
    return formatting.escape_control_chars("'" + value if value.startswith(_FORMULA_STARTS) else value)
