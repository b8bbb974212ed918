"""``config``: write, validate and show the configuration."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import click

from gigas_exporter import formatting
from gigas_exporter.cli.config.summary import describe, describe_shards, effective_settings, secret_of
from gigas_exporter.cli.messages import CommandGroup
from gigas_exporter.cli.options import GroupedCommand, output_option, read_settings, settings_options
from gigas_exporter.cli.output import render_document
from gigas_exporter.config import Settings, load_settings
from gigas_exporter.errors import ConfigError
from gigas_exporter.files import read_text, write_atomic
from gigas_exporter.gigas import Credential, SecretFile
from gigas_exporter.validation_errors import path_of
from gigas_exporter.web import load_web_config
from gigas_exporter.yaml_loader import Location, load_yaml

__all__ = ["config"]


@click.group(cls=CommandGroup)
def config() -> None:
    """Write, validate and show the configuration."""


@config.command(
    cls=GroupedCommand,
    epilog="""\b
Example:
  gigas-exporter config check gigas-exporter.yml --disks 500""",
)
@click.argument(
    "file", type=click.Path(path_type=Path, dir_okay=False, readable=False), required=False, envvar="GIGAS_CONFIG_FILE"
)
@click.option(
    "--disks",
    type=click.IntRange(min=1),
    metavar="N",
    default=100,
    show_default=True,
    help="Number of disks for which to estimate the API requests per hour.",
)
@click.option(
    "--shards",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also show which accounts each of N exporters would read (--shard).",
)
@click.pass_context
def check(ctx: click.Context, /, file: Path | None, disks: int, shards: int | None) -> None:
    """Validate FILE; show every error with its line and path.

    The default is the file that GIGAS_CONFIG_FILE names. Without a file, the environment is validated.
    """
    try:
        settings = load_settings(file, {}, os.environ)
        _check_web_config(file, settings)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(_located(file, problem), err=True)
        ctx.exit(2)
    for warning in (*settings.warnings, *_readable_secrets(file, settings)):
        if file is None or warning.startswith("environment variable "):
            location, words = "", formatting.escape_control_chars(warning)
        else:
            location, _, words = _located(file, warning).partition(": ")
        click.echo(f"{location}{': ' if location else ''}warning: {words}", err=True)
    click.echo(f"{file or 'environment'}: valid")
    option = "" if file is None else f" --config.file {shlex.quote(str(file))}"
    click.echo(f"  all settings: gigas-exporter config show{option}")
    for line in (*describe(settings, disks=disks), *(describe_shards(settings, shards) if shards else ())):
        click.echo(f"  {formatting.escape_control_chars(line)}")


@config.command(
    cls=GroupedCommand,
    epilog="""\b
Examples:
  gigas-exporter config init
  gigas-exporter config init /etc/gigas-exporter/gigas-exporter.yml""",
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, readable=False), required=False)
def init(file: Path | None) -> None:
    """Write a commented configuration to FILE or stdout.

    An existing FILE is not overwritten.
    """
    template = (Path(__file__).parent / "template.yml").read_text(encoding="utf-8")
    if file is None:
        click.echo(template, nl=False)
        return
    if os.access(file, os.F_OK):  # unlike Path.exists it raises nothing
        raise ConfigError(f"{file}: exists already; name another file, or remove it")
    write_atomic(file, template.encode(), mode=0o640)
    click.echo(f"{file}: written; next, set the accounts and run: gigas-exporter config check {file}")


@config.command(
    cls=GroupedCommand,
    epilog="""\b
Example:
  gigas-exporter config show --config.file gigas-exporter.yml""",
)
@output_option("yaml", "json")
@settings_options()
def show(output: Literal["yaml", "json"], **flags: Any) -> None:
    """Show the settings in force, without secrets.

    They are the settings of serve with the same flags, environment and file.
    """
    click.echo(render_document(effective_settings(read_settings(flags)), output), nl=False)


def _located(file: Path | None, text: str) -> str:
    return formatting.escape_control_chars(text if file is None or text.startswith(f"{file}:") else f"{file}: {text}")


def _check_web_config(file: Path | None, settings: Settings) -> None:
    """Validate the web configuration that a file names; its problems get the line of the name."""
    if settings.web.config_file is None:
        return
    try:
        load_web_config(settings.web.config_file)
    except ConfigError as error:
        line = _lines(file).get(("web", "config_file"))
        place = "" if line is None else f"{file}:{line}: web.config_file: "
        raise ConfigError(str(error), tuple(f"{place}{problem}" for problem in error.problems)) from None


def _lines(file: Path | None) -> dict[Location, int]:
    lines: dict[Location, int] = {}
    if file is not None and file.is_file():  # a pipe cannot be read again
        load_yaml(read_text(file, str(file)), str(file), lines)
    return lines


def _readable_secrets(file: Path | None, settings: Settings) -> Iterator[str]:
    """Yield a warning for each secret file that others can read."""
    lines = _lines(file)
    credentials: dict[Location, Credential] = {
        ("accounts", index): each.credential for index, each in enumerate(settings.accounts)
    }
    if settings.discovery is not None:
        credentials[("credential",)] = settings.discovery
    for place, credential in credentials.items():
        _, secret = secret_of(credential)
        if not isinstance(secret, SecretFile):
            continue
        mode = stat.S_IMODE(secret.path.stat().st_mode)
        if mode & stat.S_IROTH:
            words = f"other users can read {secret.path} (mode {mode:04o}); chmod 600 {secret.path}"
            key = next((each for each in lines if each[:-1] == place and str(each[-1]).endswith("_file")), None)
            yield words if key is None else f"{file}:{lines[key]}: {path_of(key)}: {words}"
