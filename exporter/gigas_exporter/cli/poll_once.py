"""One poll of everything, and ``collect``, which writes it for node_exporter's textfile collector."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from gigas_exporter import logs
from gigas_exporter.cli.messages import warn
from gigas_exporter.cli.options import ONCE, QUIET, GroupedCommand, Parsed, read_settings, settings_options
from gigas_exporter.cli.standard_output import reported_errors
from gigas_exporter.clock import Clock, SystemClock
from gigas_exporter.config import Settings
from gigas_exporter.config.parsers import parse_duration
from gigas_exporter.files import write_atomic
from gigas_exporter.inventory import AccountInventory, Resource
from gigas_exporter.metrics import MetricsRenderer, Telemetry
from gigas_exporter.poller.account_source import ACCOUNTS_INCOMPLETE
from gigas_exporter.poller.service import Service
from gigas_exporter.poller.store import Store
from gigas_exporter.report import account_errors

_log = logs.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PollResult:
    """What one poll gave.

    Attributes:
        skipped: How many of the listed accounts discovery leaves out.
        is_account_list_incomplete: Whether there may be more accounts than were listed.
    """

    store: Store
    page: MetricsRenderer
    clock: Clock
    skipped: int = 0
    is_account_list_incomplete: bool = False

    @property
    def inventories(self) -> tuple[AccountInventory, ...]:
        """What is known of each account."""
        return self.store.snapshot()

    def errors(self) -> list[str]:
        """Return what could not be read, and why, in the words of the log."""
        now = self.clock.monotonic()
        errors = [error for inventory in self.inventories for error in account_errors(inventory, now)]
        return [*errors, ACCOUNTS_INCOMPLETE] if self.is_account_list_incomplete else errors

    def was_read(self, resource: Resource) -> bool:
        """Return whether a resource was read of every account."""
        outcomes = [inventory.outcomes.get(resource) for inventory in self.inventories]
        return all(outcome is not None and outcome.success for outcome in outcomes)


def poll_once(settings: Settings, progress: Callable[[str, Resource, bool], None] = lambda *_: None) -> PollResult:
    """Poll every account once.

    Raises:
        GigasError: The accounts could not be listed.
    """
    logs.configure(settings.log.level, settings.log.format)
    for warning in settings.warnings:
        _log.warning("Configuration warning", warning=warning)
    clock = SystemClock()
    telemetry = Telemetry()
    store = Store()
    service = Service(settings, store, telemetry, clock=clock)
    try:
        service.poll_once(progress)
    finally:
        service.stop()
    return PollResult(
        store,
        MetricsRenderer(store, telemetry, clock),
        clock,
        service.source.skipped,
        is_account_list_incomplete=service.source.is_incomplete,
    )


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
    help="How often this is run, such as 30m; the value of gigas_exporter_poll_interval_seconds.",
)
@settings_options(("config", "poll", "api", "log"), defaults=QUIET, words=ONCE)
@click.pass_context
def collect(ctx: click.Context, /, output: str, interval: float | None, **flags: Any) -> None:
    """Poll once and write the metrics to stdout or a file.

    Without process_*, python_* and the age of backups, which would freeze in a file; the timestamps are there. The
    exit status is 1 when an account could not be read; what could be is written all the same.
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
