"""``serve``: poll and serve."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from gigas_exporter.app import ExporterApp
from gigas_exporter.cli.options import GroupedCommand, read_settings, settings_options
from gigas_exporter.clock import SystemClock


@click.command(
    cls=GroupedCommand,
    epilog="""\b
Examples:
  GIGAS_ACCOUNT_ID=4242 GIGAS_API_KEY_FILE=/etc/gigas.key gigas-exporter serve
  gigas-exporter serve --config.file gigas.yml --web.config.file web.yml

One account can be given by the environment: GIGAS_ACCOUNT_ID with GIGAS_API_KEY, GIGAS_TOKEN, or GIGAS_LOGIN
and GIGAS_PASSWORD; each secret also as ..._FILE. No secret is ever accepted on the command line.""",
)
@settings_options()
def serve(**flags: Any) -> None:
    """Poll the Gigas API and serve metrics.

    SIGHUP reloads configuration and secrets. SIGTERM stops the exporter after the scrapes in progress.
    """
    ExporterApp(partial(read_settings, flags), clock=SystemClock()).run()
