"""Messages besides the output: usage errors, warnings, progress, and the line for Nagios."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click
from click.core import ParameterSource

from gigas_exporter import formatting
from gigas_exporter.disclosure import is_typo, without_value

_OPTION_NAME: Final = re.compile(r"--[a-z]{1,16}([.-][a-z]{1,16}){0,4}")  # looks like a name, not like a secret
_EXTRA_ARGUMENTS: Final = re.compile(r"Got unexpected extra arguments? \(.*\)\.?", re.DOTALL)
_NAGIOS_WORDS: Final = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
NAGIOS_UNKNOWN: Final = 3
_FALSE: Final = frozenset({"", "0", "false", "f", "no", "n", "off"})


def warn(message: str) -> None:
    """Write one line to stderr, without control characters."""
    click.echo(f"gigas-exporter: {_one_line(message)}", err=True)


def _one_line(text: str) -> str:
    return formatting.escape_control_chars(" ".join(text.split()))


@contextmanager
def progress(words: str) -> Iterator[Callable[[str], None]]:
    """Show a status line on a terminal during the block; yield a function that replaces it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415  # slow to import, and only needed here
    from rich.text import Text  # noqa: PLC0415

    console = Console(stderr=True)

    def line(words: str) -> Text:
        return Text(formatting.escape_control_chars(words), no_wrap=True, overflow="ellipsis")

    with console.status(line(words)) as status:
        yield lambda words: status.update(line(words))


def is_nagios_asked_for() -> bool:
    """Return whether Nagios' format was asked for, even if the command line is invalid."""
    by_variable = os.environ.get("GIGAS_CHECK_NAGIOS", "").strip().lower() not in _FALSE
    return sys.argv[1:2] == ["check"] and ("--nagios" in sys.argv or by_variable)


def nagios_line(status: int, text: str) -> str:
    """Return the line without performance data; a ``|`` in the text would start them."""
    return f"GIGAS {_NAGIOS_WORDS[status]} - {_one_line(text).replace('|', '/')}"


class CommandGroup(click.Group):
    """A command group that suggests names for typos."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            if elsewhere := self._elsewhere(ctx, args[0]):
                raise click.UsageError(f"no such command: {args[0]}; did you mean {elsewhere}?", ctx)
            if not is_typo(args[0], known):
                raise click.UsageError(f"no such command; must be one of {', '.join(known)}", ctx)
            raise click.UsageError(f"no such command: {args[0]}{formatting.did_you_mean(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)

    def _elsewhere(self, ctx: click.Context, given: str) -> str | None:
        """Return the option or the subcommand with that name."""
        if any(f"--{given}" in param.opts for param in self.get_params(ctx)):
            return f"--{given}"
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if isinstance(command, click.Group) and given in command.commands:
                return f"{name} {given}"
        return None


def parameter_name(param: click.Parameter) -> str:
    """Return what users call an option or argument."""
    return max(param.opts, key=len) if isinstance(param, click.Option) else param.human_readable_name


def usage_message(error: click.UsageError) -> str:
    """Return the error, preceded by its option or variable."""
    if isinstance(error, click.NoSuchOption):
        known = tuple(_names(error.ctx))
        hint = formatting.did_you_mean(error.option_name, known, cutoff=0.7)
        is_shown = is_typo(error.option_name, known) or _OPTION_NAME.fullmatch(error.option_name)
        return f"no such option{f': {error.option_name}' if is_shown else ''}{hint}"
    if isinstance(error, click.BadOptionUsage):
        needs_value = error.message.endswith("requires an argument.")
        return f"{error.option_name}: {'needs a value' if needs_value else 'takes no value'}"
    param = _parameter(error)
    if param is None:
        return _EXTRA_ARGUMENTS.sub("too many arguments", error.format_message())
    name = parameter_name(param)
    if isinstance(error, click.MissingParameter):
        return f"{name}: is missing"
    if error.ctx is not None and error.ctx.get_parameter_source(param.name or "") is ParameterSource.ENVIRONMENT:
        name = str(param.envvar)
    return f"{name}: {_requirement(param.type, error.message) or without_value(error.message.removesuffix('.'))}"


def _rejected_value(message: str) -> str:
    """Return ``x`` of click's message ``'x' is not a number``."""
    return message.partition("' is ")[0].lstrip("'")


def _requirement(kind: click.ParamType, message: str) -> str | None:  # type: ignore[type-arg]  # generic in newer versions only
    """Return what a value must be, worded as in the errors of the configuration."""
    if isinstance(kind, click.Choice):
        choices = list(map(str, kind.choices))
        return f"must be one of {', '.join(choices)}{formatting.did_you_mean(_rejected_value(message), choices)}"
    if isinstance(kind, click.Path):
        if message.endswith(" is a directory."):
            return "must be a file, not a directory"
        return "must be a directory, not a file" if message.endswith(" is a file.") else None
    if isinstance(kind, click.types.BoolParamType):
        return "must be true or false"
    if isinstance(kind, click.IntRange | click.FloatRange):
        least = f"above {kind.min:g}" if kind.min_open else f"of at least {kind.min:g}"
        limits = least if kind.max is None else f"{least} and at most {kind.max}"
        return f"must be a {'whole ' if isinstance(kind, click.IntRange) else ''}number {limits}"
    return "must be a whole number" if isinstance(kind, click.types.IntParamType) else None


def _parameter(error: click.UsageError) -> click.Parameter | None:
    """Return the parameter that an error is about."""
    if not isinstance(error, click.BadParameter) or error.param is not None or error.ctx is None:
        return getattr(error, "param", None)
    return next((param for param in error.ctx.command.params if error.param_hint in param.opts), None)


def _names(ctx: click.Context | None) -> Iterator[str]:
    for param in ctx.command.get_params(ctx) if ctx is not None else ():
        if isinstance(param, click.Option) and not param.hidden:
            yield from (*param.opts, *param.secondary_opts)
