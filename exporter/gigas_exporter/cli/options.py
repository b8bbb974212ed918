"""Options that several commands share, and help that groups them."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from gigas_exporter import formatting
from gigas_exporter.cli.messages import parameter_name, warn
from gigas_exporter.config import Settings, load_settings
from gigas_exporter.config.flags import FLAGS, Flag, unknown_variables
from gigas_exporter.decode import SIZE_UNITS, SizeUnit
from gigas_exporter.report import Finding

_SIZE_DIGITS: Final = 9
"""Decimal places of a size: a billionth of a GB is a byte."""

_MAY_BE_EMPTY: Final = "--mount-point"
"""The only option that accepts an empty value: a disk may have no mount point."""

ONCE: Final = {
    "poll.interval": "",
    "poll.max-staleness": "",
    "poll.backups-interval": "Time limit for reading backups disk by disk.",
}
"""Help of the polling flags in commands that poll once; an empty text hides the flag."""

QUIET: Final = {"log.level": "error"}
"""Defaults of commands that print their result: only errors are logged."""

F = TypeVar("F", bound=Callable[..., Any])

_WITHOUT_VARIABLE: Final = frozenset({"--account", "--dry-run", "--help", "--output", "--yes"})
"""Options that have no variable. ``--account`` overrides ``GIGAS_ACCOUNT_ID``; the others must be given explicitly."""

_GROUP_TITLES: Final[Mapping[str, str]] = {
    "config": "Configuration",
    "web": "Web",
    "poll": "Polling",
    "api": "Gigas API",
    "log": "Logs",
}


def _joined(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> str | None:
    return ",".join(values) if values else None


def compose(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Return several decorators as one."""

    def decorate(function: F) -> F:
        for each in reversed(decorators):
            function = each(function)
        return function

    return decorate


class SettingsOption(click.Option):
    """An option made from a :class:`.Flag`."""

    def __init__(self, _: Sequence[str], flag: Flag) -> None:
        declaration = f"--{flag.name}/--no-{flag.name}" if flag.kind == "boolean" else f"--{flag.name}"
        kind = click.Choice(flag.choices) if flag.choices else None
        default = f"default: {flag.default}; " if flag.default else ""
        is_repeatable = flag.name == "web.listen-address"
        super().__init__(
            [declaration, flag.parameter],
            metavar=None if flag.kind == "boolean" else flag.metavar,
            type=kind,
            default=None,
            multiple=is_repeatable,
            callback=_joined if is_repeatable else None,
            help=f"{flag.help} [{default}env: {flag.env}]",
            hidden=not flag.help,
        )
        self.flag = flag


class Parsed(click.types.StringParamType):
    """A type that parses text with a function, whose ``ValueError`` is the error message."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the text."""
        try:
            return self._parse(super().convert(value, param, ctx))
        except ValueError as error:
            self.fail(str(error), param, ctx)


NAME: Final = Parsed("name", str.strip)
"""An id or name, without surrounding spaces."""


def _parse_disk_id(text: str) -> str:
    """Return a disk's id. It must be a single path segment."""
    if "/" in text:
        raise ValueError("must be an id of letters, digits and . _ ~ -, such as 10003, without /")
    return text.strip()


def _parse_gibibytes(text: str) -> float:
    """Return a size in GiB."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError("must be a number of GiB above 0, without a unit, such as 40")
    return int(number) if number.is_integer() else number


def _parse_finding(text: str) -> Finding:
    """Return a finding by its name in the metrics."""
    if (finding := Finding.parse(text)) is None:
        names = [each.metric for each in Finding]
        hint = formatting.did_you_mean(text, names) or f": one of {', '.join(names)}"
        raise ValueError(f"must be a finding{hint}")
    return finding


DISK_ID: Final = Parsed("disk", _parse_disk_id)
FINDING: Final = Parsed("finding", _parse_finding)
GIBIBYTES: Final = Parsed("GiB", _parse_gibibytes)
"""A size in GiB; :func:`size_for_api` converts it to the API's unit."""


def size_for_api(gibibytes: float | None, unit: SizeUnit) -> float | None:
    """Convert a size to the API's unit; whole numbers become ``int``."""
    if gibibytes is None:
        return None
    size = round(gibibytes * SIZE_UNITS["GiB"] / SIZE_UNITS[unit], _SIZE_DIGITS)
    return int(size) if size.is_integer() else size


class GroupedCommand(click.Command):
    """A command that groups its options under headings and rejects repeated ones.

    The variables of the command's own options contain its name, so that a variable for one command does not affect
    another: ``GIGAS_DISKS_LIST_MOUNT_POINT`` sets ``disks list --mount-point``.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; reject repeated options and empty values."""
        for option in self.params:
            name = parameter_name(option)
            if not isinstance(option, click.Argument | SettingsOption) and name not in _WITHOUT_VARIABLE:
                option.envvar = _variable_for(ctx, name.lstrip("-"))
        try:
            values, _, given = self.make_parser(ctx).parse_args(list(args))
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise
        for parameter, times in Counter(given).items():
            if times > 1 and isinstance(parameter, click.Option) and not parameter.multiple:
                raise click.UsageError(f"{'/'.join((*parameter.opts, *parameter.secondary_opts))} is given twice", ctx)
            name = parameter_name(parameter)
            is_empty = not all(text.strip() for text in _texts(values[str(parameter.name)]))
            if is_empty and name != _MAY_BE_EMPTY and not ctx.resilient_parsing:  # such as an unset "$DIRECTORY"
                raise click.UsageError(f"{name}: is empty", ctx)
        left = super().parse_args(ctx, args)
        # Only file names may hold bytes that the locale's encoding cannot decode. SettingsOptions are checked later.
        for parameter in self.params:
            is_text = isinstance(parameter.type, click.types.StringParamType)
            texts = _texts(ctx.params[str(parameter.name)]) if is_text else []
            if not isinstance(parameter, SettingsOption) and re.search("[\ud800-\udfff]", "".join(texts)):
                words = f"is not text in this locale's encoding, {sys.getfilesystemencoding()}"
                raise click.BadParameter(words, ctx, parameter)
        return left

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; with ``--quiet``, warn only if it does not exit with 0."""
        if not ctx.params.get("quiet"):
            self._warn_of_variables(ctx)
            return super().invoke(ctx)
        try:
            return super().invoke(ctx)
        except Exception as error:
            if getattr(error, "exit_code", None) != 0:
                self._warn_of_variables(ctx)
            raise

    def _warn_of_variables(self, ctx: click.Context) -> None:
        """Warn about variables with the command's name that match none of its options."""
        known = {str(option.envvar) for option in self.params if option.envvar is not None}
        for warning in unknown_variables(os.environ, known, _variable_for(ctx, "")) if known else ():
            warn(f"warning: {warning}")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each group of options, the command's own first."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                group = parameter.flag.group if isinstance(parameter, SettingsOption) else ""
                sections.setdefault(_GROUP_TITLES.get(group, "Options"), []).append((record[0], _help_of(parameter)))
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def _variable_for(ctx: click.Context, name: str) -> str:
    """Return the variable that sets a command's own option."""
    return "_".join(("GIGAS", *ctx.command_path.split()[1:], name)).replace("-", "_").upper()


def _texts(value: object) -> list[str]:
    """Return the strings in a parameter's value, which may be a list."""
    return [each for each in (value if isinstance(value, list | tuple) else (value,)) if isinstance(each, str)]


def _help_of(option: click.Option) -> str:
    """Return an option's help in the style of the settings' options."""
    facts = []
    if option.show_default:
        default = option.default
        if option.secondary_opts:
            default = (option.opts if default else option.secondary_opts)[0].lstrip("-")
        facts.append(f"default: {default}")
    if option.envvar is not None:
        facts.append(f"env: {option.envvar}")
    return f"{option.help} [{'; '.join(facts)}]" if facts else str(option.help)


def output_option(
    *formats: str,
    names: Sequence[str] = ("--output",),
    help: str = "Output format.",  # noqa: A002  (click's word)
) -> Callable[[F], F]:
    """Return a decorator that adds ``--output``; the first format is the default."""
    metavar = "|".join(formats)
    return click.option(
        *names, type=click.Choice(formats), metavar=metavar, default=formats[0], show_default=True, help=help
    )


def settings_options(
    groups: Collection[str] = tuple(_GROUP_TITLES),
    without: Collection[str] = (),
    defaults: Mapping[str, str] = MappingProxyType({}),
    help_texts: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[F], F]:
    """Return a decorator that adds flags of some groups, passed as ``**flags``.

    ``defaults`` and ``help_texts`` replace what the help shows of flags, by name; an empty text hides the flag. The
    defaults are applied by :func:`read_settings`.
    """
    flags = [
        replace(flag, default=defaults.get(flag.name, flag.default), help=help_texts.get(flag.name, flag.help))
        for flag in FLAGS
        if flag.group in groups and flag.name not in without
    ]
    return compose(*[click.option(cls=SettingsOption, flag=flag) for flag in flags])


def read_settings(
    flags: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    *,
    defaults: Mapping[str, str] = MappingProxyType({}),
    needs_account: bool = True,
) -> Settings:
    """Load the settings from flags (by parameter name), environment and file.

    ``defaults`` (by flag name) apply to what none of these sets; ``needs_account`` is the option of
    :func:`~gigas_exporter.config.load.load_settings`.
    """
    by_parameter = {flag.parameter: flag.name for flag in FLAGS}
    given = {by_parameter[name]: value for name, value in flags.items() if value is not None}
    return load_settings(None, given, os.environ if environ is None else environ, defaults, needs_account=needs_account)


def env_var_used_for(name: str) -> str | None:
    """Return the environment variable that gave a parameter, if one did."""
    context = click.get_current_context()
    if context.get_parameter_source(name) is not ParameterSource.ENVIRONMENT:
        return None
    return next(str(parameter.envvar) for parameter in context.command.params if parameter.name == name)
