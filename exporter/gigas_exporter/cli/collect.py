"""``collect``: one poll, written as an exposition for node_exporter's textfile collector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gigas_exporter import human
from gigas_exporter.cli.once import poll_once
from gigas_exporter.cli.options import QUIET, GroupedCommand, read_settings, settings_options
from gigas_exporter.cli.standard_output import write_bytes
from gigas_exporter.files import write_whole

__all__ = ["collect"]


@click.command(
    cls=GroupedCommand,
    epilog="""\b
Example, from cron or a timer:
  gigas-exporter collect --output /var/lib/prometheus/node-exporter/gigas.prom""",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    default="-",
    metavar="FILE",
    help="Write there, whole or not at all; - is stdout, as without it.",
)
@settings_options(("config", "poll", "api", "log"), defaults=QUIET)
@click.pass_context
def collect(ctx: click.Context, /, output: str, **flags: Any) -> None:
    """Poll once and write the metrics to stdout or a file.

    Without process_*, python_* and the age of backups, which would freeze in a file; the timestamps are there. The
    exit status is 1 when an account could not be read; what could be is written all the same.
    """
    result = poll_once(read_settings(flags, defaults=QUIET))
    exposition = result.page.textfile()
    if output == "-":
        write_bytes(exposition)
    else:
        write_whole(Path(output), exposition)
    errors = result.errors()
    for error in errors:
        click.echo(f"gigas-exporter: {human.printable(error)}", err=True)
    ctx.exit(1 if errors else 0)
