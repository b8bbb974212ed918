"""Wrong usage in words: which option, what is wrong with it, and the nearest that is right."""

from __future__ import annotations

from collections.abc import Iterator

import click
from click.core import ParameterSource

from gigas_exporter import formatting

__all__ = ["CommandGroup", "usage_message"]


class CommandGroup(click.Group):
    """A command group that suggests names for typos."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            raise click.UsageError(f"no such command: {args[0]}{formatting.did_you_mean(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)


def usage_message(error: click.UsageError) -> str:
    """Return what is wrong: of a value, after the option or the variable that it came from."""
    if isinstance(error, click.NoSuchOption):
        hint = formatting.did_you_mean(error.option_name, tuple(_names(error.ctx)), cutoff=0.7)
        return f"no such option: {error.option_name}{hint}"
    param = error.param if isinstance(error, click.BadParameter) else None
    if param is None or isinstance(error, click.MissingParameter):
        return error.format_message()
    name = max(param.opts, key=len) if isinstance(param, click.Option) else param.human_readable_name
    if error.ctx is not None and error.ctx.get_parameter_source(param.name or "") is ParameterSource.ENVIRONMENT:
        name = str(param.envvar)
    message = error.message.removesuffix(".")
    if isinstance(param.type, click.Choice):
        given = message.partition("' is ")[0].lstrip("'")
        message += formatting.did_you_mean(given, param.type.choices)
    return f"{name}: {message}"


def _names(ctx: click.Context | None) -> Iterator[str]:
    """Yield the names of the current command's options."""
    for param in ctx.command.get_params(ctx) if ctx is not None else ():
        if isinstance(param, click.Option) and not param.hidden:
            yield from (*param.opts, *param.secondary_opts)
