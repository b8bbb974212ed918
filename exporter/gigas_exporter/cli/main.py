"""The root command, and the messages and exit statuses of errors.

Each command's module is imported only when it runs, so that ``serve`` does not load rich and other table code.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Final

import click
from click.shell_completion import CompletionItem

from gigas_exporter import __version__, formatting
from gigas_exporter.cli import LONG_RUNNING
from gigas_exporter.cli.messages import (
    NAGIOS_UNKNOWN,
    CommandGroup,
    is_nagios_asked_for,
    nagios_line,
    usage_message,
    warn,
)
from gigas_exporter.cli.standard_output import OutputError, standard_output
from gigas_exporter.errors import ConfigError, GigasError

_NAME: Final = "gigas-exporter"
FAILURE: Final = 1
WRONG_USE: Final = 2
_UNCHECKED: Final = 2
_INTERRUPTED: Final = 130
_NO_THREAD: Final = "can't start new thread"  # the text of a RuntimeError; Python has no class for it

_COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "serve": ("serve", "Poll the Gigas API and serve metrics."),
    "demo": ("demo", "Run the exporter against a simulated cloud."),
    "simulate": ("demo", "Serve only the simulated API, for other programs to poll."),
    "collect": ("collect", "Poll once and write the metrics to stdout or a file."),
    "check": ("check", "Poll once and check every disk against the backup policy."),
    "probe": ("probe", "Report what the API returns and what is not understood."),
    "disks": ("disks", "Show and change disks."),
    "config": ("config", "Write, validate and show the configuration."),
    "dashboards": ("bundled_files", "Write the Grafana dashboards into DIRECTORY."),
    "alerts": ("bundled_files", "Write the alert rules and runbooks into DIRECTORY."),
}


def _import_without_gc(name: str) -> ModuleType:
    """Import a module with garbage collection off, which saves a quarter of the start-up time."""
    if name in sys.modules:
        return sys.modules[name]
    gc.disable()
    try:
        module = importlib.import_module(name)
        gc.freeze()
    finally:
        gc.enable()
    return module


class _LazyGroup(CommandGroup):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the command names in the order in which users need them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command."""
        if cmd_name not in _COMMANDS:
            return None
        module = _import_without_gc(f"gigas_exporter.cli.{_COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete command names without importing any command."""
        found = [
            CompletionItem(name, help=words) for name, (_, words) in _COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in _COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="""\b
Try it without an account:
  gigas-exporter demo

\b
Shell completion, in the shell's start-up file:
  bash   eval "$(_GIGAS_EXPORTER_COMPLETE=bash_source gigas-exporter)"
  zsh    eval "$(_GIGAS_EXPORTER_COMPLETE=zsh_source gigas-exporter)"
  fish   _GIGAS_EXPORTER_COMPLETE=fish_source gigas-exporter | source""",
)
@click.version_option(__version__, prog_name="gigas-exporter")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Prometheus exporter and monitoring agent for the disks of the Gigas cloud.

    It tells you which disks have no usable backup, before you need one.
    """
    if ctx.invoked_subcommand not in LONG_RUNNING:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def main() -> int:
    """Run the command line and return its exit status."""
    try:
        with standard_output():
            return _run()
    except OutputError as error:
        is_help = not {"-h", "--help"}.isdisjoint(sys.argv)
        status = FAILURE if is_help else NAGIOS_UNKNOWN if is_nagios_asked_for() else _failure()
        return status if error.reader_left else _fail(str(error), status)


def _run() -> int:
    """Run the command; report errors to people or Nagios."""
    try:
        status = cli.main(prog_name=_NAME, standalone_mode=False)
    except OutputError:
        raise
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return WRONG_USE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # also defects and bare RuntimeErrors
        message, status = _message_and_status(error)
        if not is_nagios_asked_for():
            return _fail(message, status)
        click.echo(nagios_line(NAGIOS_UNKNOWN, message))
        return NAGIOS_UNKNOWN
    return status if isinstance(status, int) else 0


def _message_and_status(error: BaseException) -> tuple[str, int]:
    place = formatting.error_location(error)
    # The text of an unexpected exception may hold a secret, so only its type and location are printed.
    message, status = f"internal error, please report it: {type(error).__name__} at {place}", _failure()
    match error:
        case click.UsageError(ctx=context):
            path = context.command_path if context is not None else _NAME
            message, status = f"{usage_message(error)} (see: {path} --help)", WRONG_USE
        case click.ClickException():
            message, status = error.format_message(), error.exit_code
        case GigasError():
            message, status = str(error), WRONG_USE if isinstance(error, ConfigError) else _failure()
        case click.Abort() | KeyboardInterrupt():
            message, status = "interrupted", _INTERRUPTED
        case RuntimeError() if str(error) == _NO_THREAD:
            message = "cannot start a thread: the limit on processes or memory is reached"
        case OSError(errno=int(number)):
            message = f"system error at {place}: {os.strerror(number)}"
    return message, status


def _failure() -> int:
    """Return the exit status of a failure: 2 for ``check``, where 1 means findings."""
    return _UNCHECKED if sys.argv[1:2] == ["check"] else FAILURE


def _fail(message: str, status: int) -> int:
    """Print an error in one line; return the exit status."""
    with contextlib.suppress(OSError):
        warn(message)
    return status
