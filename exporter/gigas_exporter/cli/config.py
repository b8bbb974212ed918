"""``config check``: validate a configuration file, and say what was understood."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gigas_exporter.config import describe, load_settings
from gigas_exporter.errors import ConfigError
from gigas_exporter.web import load_web_config

__all__ = ["config"]


@click.group()
def config() -> None:
    """Validate a configuration file."""


@config.command(
    epilog="""\b
Example:
  gigas-exporter config check /etc/gigas-exporter.yml --disks 500"""
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--disks",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    show_envvar=True,
    envvar="GIGAS_DISKS",
    help="Size of the fleet for which the API requests an hour are worked out.",
)
@click.pass_context
def check(ctx: click.Context, /, file: Path, disks: int) -> None:
    """Validate FILE; every error is shown with its path in the file."""
    try:
        settings = load_settings(file, {}, os.environ)
        if settings.web.config_file is not None:
            load_web_config(settings.web.config_file)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem if problem.startswith(f"{file}:") else f"{file}: {problem}", err=True)
        ctx.exit(2)
    for warning in settings.warnings:
        click.echo(f"{file}: warning: {warning}", err=True)
    click.echo(f"{file}: valid")
    for line in describe(settings, disks=disks):
        click.echo(f"  {line}")
