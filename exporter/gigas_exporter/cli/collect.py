"""``collect``: poll once, for node_exporter's textfile collector."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from gigas_exporter.cli.messages import warn
from gigas_exporter.cli.options import ONCE, QUIET, GroupedCommand, Parsed, read_settings, settings_options
from gigas_exporter.cli.poll_once import poll_once
from gigas_exporter.cli.standard_output import reported_errors
from gigas_exporter.config.parsers import parse_duration
from gigas_exporter.files import write_atomic


def _parse_interval(text: str) -> float:
    seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError("must be at least 1s")
    return seconds


@click.command(
    cls=GroupedCommand,
    epilog="""\b
Example, from cron or a timer:
  gigas-exporter collect --output /var/lib/prometheus/node-exporter/gigas.prom""",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, readable=False, allow_dash=True),
    default="-",
    metavar="FILE",
    help="Write to FILE atomically; - is stdout (default).",
)
@click.option(
    "--interval",
    type=Parsed("duration", _parse_interval),
    help="How often the command runs, such as 30m; exported as gigas_exporter_poll_interval_seconds.",
)
@settings_options(("config", "poll", "api", "log"), defaults=QUIET, help_texts=ONCE)
@click.pass_context
def collect(ctx: click.Context, /, output: str, interval: float | None, **flags: Any) -> None:
    """Poll once and write the metrics to stdout or a file.

    The output has no process_* and python_* metrics, and no age of backups, which would freeze in a file; use their
    timestamps. If an account could not be read, the command writes the others and exits with status 1.
    """
    settings = read_settings(flags, defaults=QUIET)
    if interval is not None:
        settings = replace(
            settings, poll=settings.poll.model_copy(update={"interval": interval, "backups_interval": interval})
        )
    result = poll_once(settings)
    exposition = result.page.textfile()
    if output == "-":
        with reported_errors():  # UTF-8, whatever the encoding of standard output
            sys.stdout.flush()
            sys.stdout.buffer.write(exposition)
            sys.stdout.buffer.flush()
    else:
        write_atomic(Path(output), exposition)
    errors = result.errors()
    for error in errors:
        warn(error)
    ctx.exit(1 if errors else 0)
