"""A table in the width of a terminal.

It knows texts and columns; what they are about it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.cells import cell_len, set_cell_size

from gigas_exporter import formatting

Record = Mapping[str, Any]
"""One row: by name, a value that JSON can hold."""

_GAP = 2
_ELLIPSIS = "…"


def cut_end(text: str, width: int) -> str:
    """Return a text's beginning in so many cells."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + _ELLIPSIS


def cut_start(text: str, width: int) -> str:
    """Return the end of a text in so many cells, as for a path."""
    if cell_len(text) <= width:
        return text
    end = text
    while end and cell_len(end) > width - 1:
        end = end[1:]
    return _ELLIPSIS + end


def cut_list(text: str, width: int) -> str:
    """Return the first items of a list, and how many more there are."""
    items = text.split(", ")
    for shown in range(len(items), 0, -1):
        rest = f" +{len(items) - shown}" if shown < len(items) else ""
        candidate = ", ".join(items[:shown]) + rest
        if cell_len(candidate) <= width:
            return candidate
    rest = f" +{len(items) - 1}" if len(items) > 1 else ""
    return cut_end(items[0], width - len(rest)) + rest


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: The key in the record.
        title: What stands above it.
        show: Makes the text of a value.
        text: Makes the text of the whole record, where the value alone does not say it.
        style: Gives a colour for a record, such as ``bold red``; empty for none.
        right: Whether numbers are to line up at the right.
        min_width: To how few cells its texts may be cut; ``None`` when they must stay whole.
        cut: How they are cut.
        drop_priority: The columns with the highest number go first where there is no room; those with 0 never go.
        drop_if_same: Whether it goes before all others where its text is the same in every row.
    """

    name: str
    title: str
    show: Callable[[Any], str] = lambda value: "" if value is None else str(value)
    text: Callable[[Record], str] | None = None
    style: Callable[[Record], str] = lambda _: ""
    right: bool = False
    min_width: int | None = None
    cut: Callable[[str, int], str] = cut_end
    drop_priority: int = 0
    drop_if_same: bool = False

    def of(self, record: Record) -> str:
        """Return the text for a record, without what a terminal could obey."""
        return formatting.escape_control_chars(
            self.text(record) if self.text is not None else self.show(record.get(self.name))
        )


def render_table(records: Sequence[Record], columns: Sequence[Column], *, width: int | None, colour: bool) -> str:
    """Return the table as lines of at most so many cells.

    A column that is empty in every row and may give way is left out; what must stay whole may be wider than a line.
    """
    texts = {column.name: [column.of(record) for record in records] for column in columns}
    kept = [column for column in columns if not column.drop_priority or any(texts[column.name])]
    whole = {column.name: max(map(cell_len, (column.title, *texts[column.name]))) for column in kept}
    same = {column.name for column in kept if column.drop_if_same and len(set(texts[column.name])) == 1}
    widths = whole if width is None else _fit_widths(kept, whole, width, same)
    kept = [column for column in kept if column.name in widths]

    def line(cells: Sequence[str], styles: Sequence[str]) -> str:
        padded = []
        for column, text, style in zip(kept, cells, styles, strict=True):
            cut = column.cut(text, widths[column.name])
            space = " " * (widths[column.name] - cell_len(cut))
            written = _styled(cut, style) if colour else cut
            padded.append(space + written if column.right else written + space)
        return (" " * _GAP).join(padded).rstrip() + "\n"

    lines = [line([column.title for column in kept], ["bold"] * len(kept))]
    for row, record in enumerate(records):
        lines.append(line([texts[column.name][row] for column in kept], [column.style(record) for column in kept]))
    return "".join(lines)


def _fit_widths(
    columns: Sequence[Column], whole: Mapping[str, int], width: int, same: Collection[str]
) -> dict[str, int]:
    """Return the widths of the columns that have room."""
    widths = {
        column.name: whole[column.name]
        if column.min_width is None
        else min(whole[column.name], max(column.min_width, len(column.title)))
        for column in columns
    }
    yielding = sorted(
        (column for column in columns if column.drop_priority),
        key=lambda column: (column.name in same, column.drop_priority),
    )
    while _total(widths) > width and yielding:
        del widths[yielding.pop().name]
    spare = width - _total(widths)
    while spare > 0 and (cut := [name for name in widths if widths[name] < whole[name]]):
        widths[min(cut, key=widths.__getitem__)] += 1
        spare -= 1
    return widths


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def _styled(text: str, style: str) -> str:
    words = style.split()
    if not words or not text:
        return text
    colour = words[-1] if words[-1] != "bold" else None
    return click.style(text, fg=colour, bold="bold" in words or None)
