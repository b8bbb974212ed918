"""A line on a person's terminal while a command waits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gigas_exporter import formatting


@contextmanager
def progress(words: str) -> Iterator[Callable[[str], None]]:
    """Show words on a terminal until the block ends; yield what replaces them."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415  # costs what only a terminal needs
    from rich.text import Text  # noqa: PLC0415

    console = Console(stderr=True)

    def line(words: str) -> Text:
        return Text(formatting.escape_control_chars(words), no_wrap=True, overflow="ellipsis")

    with console.status(line(words)) as status:
        yield lambda words: status.update(line(words))
