"""``config check``: validate a configuration file, and say what was understood."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import click

from gigas_exporter import human
from gigas_exporter.config import Settings, describe, load_settings
from gigas_exporter.config.describe import describe_shards, secret_of
from gigas_exporter.errors import ConfigError
from gigas_exporter.gigas import SecretFile
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
@click.option(
    "--shards",
    type=click.IntRange(min=1),
    show_envvar=True,
    envvar="GIGAS_SHARDS",
    help="Also show which accounts each of this many exporters would read (--shard).",
)
@click.pass_context
def check(ctx: click.Context, /, file: Path, disks: int, shards: int | None) -> None:
    """Validate FILE; every error is shown with its path in the file."""
    try:
        settings = load_settings(file, {}, os.environ)
        if settings.web.config_file is not None:
            load_web_config(settings.web.config_file)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(_located(file, problem), err=True)
        ctx.exit(2)
    for warning in (*settings.warnings, *_readable_secrets(settings)):
        location, colon, words = _located(file, warning).partition(": ")
        click.echo(f"{location}{colon}warning: {words}", err=True)
    click.echo(f"{file}: valid")
    for line in (*describe(settings, disks=disks), *(describe_shards(settings, shards) if shards else ())):
        click.echo(f"  {human.printable(line)}")


def _located(file: Path, text: str) -> str:
    return human.printable(text if text.startswith(f"{file}:") else f"{file}: {text}")


def _readable_secrets(settings: Settings) -> Iterator[str]:
    """Yield a warning for each secret file that other users of this machine can read."""
    credentials = [each.credential for each in settings.accounts]
    if settings.discovery is not None:
        credentials.append(settings.discovery)
    for credential in credentials:
        secret = secret_of(credential)
        if not isinstance(secret, SecretFile):
            continue
        with contextlib.suppress(OSError):
            mode = stat.S_IMODE(secret.path.stat().st_mode)
            if mode & stat.S_IROTH:
                yield f"{secret.path}: other users can read this secret (mode {mode:04o}); chmod 600 {secret.path}"
