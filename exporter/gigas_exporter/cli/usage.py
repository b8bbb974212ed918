"""Wrong usage in words: which option, what is wrong with it, and the nearest that is right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import click
from click.core import ParameterSource

from gigas_exporter import formatting
from gigas_exporter.disclosure import is_slip, without_value

_WORDS: Final = re.compile(r"--[a-z]{1,16}([.-][a-z]{1,16}){0,4}")  # an option of another program, and no value
_EXTRA_ARGUMENTS: Final = re.compile(r"Got unexpected extra arguments? \(.*\)\.?", re.DOTALL)


class CommandGroup(click.Group):
    """A command group that suggests names for typos."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            if not is_slip(args[0], known):
                raise click.UsageError(f"no such command; there are {', '.join(known)}", ctx)
            raise click.UsageError(f"no such command: {args[0]}{formatting.did_you_mean(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)


def usage_message(error: click.UsageError) -> str:
    """Return what is wrong: of a value, after the option or the variable that it came from."""
    if isinstance(error, click.NoSuchOption):
        known = tuple(_names(error.ctx))
        hint = formatting.did_you_mean(error.option_name, known, cutoff=0.7)
        is_shown = is_slip(error.option_name, known) or _WORDS.fullmatch(error.option_name)
        return f"no such option{f': {error.option_name}' if is_shown else ''}{hint}"
    param = _parameter(error)
    if param is None or isinstance(error, click.MissingParameter):
        return _EXTRA_ARGUMENTS.sub("there are more arguments than the command takes", error.format_message())
    name = max(param.opts, key=len) if isinstance(param, click.Option) else param.human_readable_name
    if error.ctx is not None and error.ctx.get_parameter_source(param.name or "") is ParameterSource.ENVIRONMENT:
        name = str(param.envvar)
    message = without_value(error.message.removesuffix("."))
    if isinstance(param.type, click.Choice):
        given = error.message.partition("' is ")[0].lstrip("'")
        message += formatting.did_you_mean(given, param.type.choices)
    return f"{name}: {message}"


def _parameter(error: click.UsageError) -> click.Parameter | None:
    """Return the parameter that an error is about; a command names its own as ``param_hint``."""
    if not isinstance(error, click.BadParameter) or error.param is not None or error.ctx is None:
        return getattr(error, "param", None)
    return next((param for param in error.ctx.command.params if error.param_hint in param.opts), None)


def _names(ctx: click.Context | None) -> Iterator[str]:
    """Yield the names of the current command's options."""
    for param in ctx.command.get_params(ctx) if ctx is not None else ():
        if isinstance(param, click.Option) and not param.hidden:
            yield from (*param.opts, *param.secondary_opts)
