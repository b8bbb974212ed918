"""``check``: poll once and evaluate every disk."""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import click
from click.core import ParameterSource

from gigas_exporter import formatting
from gigas_exporter.cli.accounts import account_option, account_settings, find_accounts
from gigas_exporter.cli.messages import NAGIOS_UNKNOWN, nagios_line, progress
from gigas_exporter.cli.options import ONCE, QUIET, GroupedCommand, output_option, settings_options
from gigas_exporter.cli.output import escape_markdown, render
from gigas_exporter.cli.poll_once import PollResult, poll_once
from gigas_exporter.cli.records import DISKS
from gigas_exporter.config import Settings
from gigas_exporter.config.settings import Shard
from gigas_exporter.errors import ConfigError
from gigas_exporter.inventory import RESOURCES, Resource
from gigas_exporter.report import (
    DiskReport,
    Finding,
    Severity,
    count_findings,
    explain_all,
    needs_attention,
    report_account,
    worst_first,
)

_Format = Literal["table", "json", "csv", "markdown"]

EXIT_OK, EXIT_FINDINGS, EXIT_UNCHECKED = 0, 1, 2
_NAGIOS: Final = {
    Severity.OK: 0,
    Severity.NOTICE: 0,
    Severity.WARNING: 1,
    Severity.CRITICAL: 2,
    Severity.UNKNOWN: NAGIOS_UNKNOWN,
}
_MIN_ROWS: Final = 5


@click.command(
    cls=GroupedCommand,
    epilog="""Exit status: 0 all well, 1 a disk needs attention, 2 something could not be checked or was not
understood, whatever else was found. With --nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

\b
Examples:
  gigas-exporter check
  gigas-exporter check --quiet || echo "look at the backups"
  gigas-exporter check --output csv > evidence-$(date +%Y-%m).csv""",
)
@output_option("table", "json", "csv", "markdown")
@click.option(
    "--all", "show_all", is_flag=True, help="Show every disk in the table, not only those that need attention."
)
@click.option("--quiet", is_flag=True, help="Print nothing when the exit status is 0.")
@account_option("accounts", multiple=True, help="Check only this account, by id or name; repeatable.")
@click.option("--nagios", is_flag=True, help="Print one line and exit as a Nagios plugin does.")
@settings_options(("config", "poll", "api", "log"), defaults=QUIET, help_texts=ONCE)
@click.pass_context
def check(
    ctx: click.Context,
    /,
    *,
    output: _Format,
    show_all: bool,
    quiet: bool,
    accounts: tuple[str, ...],
    nagios: bool,
    **flags: Any,
) -> None:
    """Poll once and check every disk against the backup policy.

    The table lists the disks that need attention, worst first; the other formats list every disk.
    """
    if nagios and ctx.get_parameter_source("output") is ParameterSource.COMMANDLINE:
        raise ConfigError("--nagios and --output cannot be used together")
    settings = account_settings(accounts, flags)
    if accounts:
        settings = replace(settings, accounts=find_accounts(settings, accounts), discovery=None, shard=None)
    summary = _Summary(_poll(settings, show_progress=not (nagios or quiet)), settings.shard)
    state = _NAGIOS[summary.severity] if nagios else summary.exit_status
    if quiet and state == EXIT_OK:
        ctx.exit(EXIT_OK)
    if nagios:
        click.echo(f"{nagios_line(state, summary.line)} | {summary.performance_data()}")
    else:
        _print(summary, output, show_all=show_all)
    ctx.exit(state)


def _poll(settings: Settings, *, show_progress: bool) -> PollResult:
    if not show_progress:
        return poll_once(settings)
    accounts = settings.accounts
    total = f" of {len(accounts) * len(RESOURCES)}" if accounts and settings.shard is None else ""
    done = itertools.count(1)
    with progress("reading disks, virtual machines and backups") as show:

        def ended(account_id: str, resource: Resource, success: bool) -> None:
            outcome = "done" if success else "failed"
            show(f"reading lists, {next(done)}{total}: {resource.replace('_', ' ')} of account {account_id}: {outcome}")

        return poll_once(settings, ended)


def _print(summary: _Summary, output: _Format, *, show_all: bool) -> None:
    # Standard output of json and csv is for programs, so the summary goes to stderr.
    line = escape_markdown(summary.line) if output == "markdown" else summary.line
    click.echo(line, err=output in {"json", "csv"})
    reports: Sequence[DiskReport] = summary.reports
    if output == "table" and not show_all:
        reports = _visible(summary)
    if reports or output in {"json", "csv"}:
        if output in {"table", "markdown"}:
            click.echo()
        click.echo(render(reports, DISKS, output), nl=False)
    if reports and len(reports) < len(summary.reports):
        click.echo(f"\nnot shown: {_not_shown(summary, len(reports))} (--all shows every disk)")


def _visible(summary: _Summary) -> Sequence[DiskReport]:
    """Return as many of the disks that need attention as fit the terminal."""
    urgent = [report for report in summary.reports if needs_attention(report)]
    if not sys.stdout.isatty():
        return urgent
    columns, lines = shutil.get_terminal_size()
    taken = -(-len(summary.line) // max(1, columns)) + 5  # two empty lines, header, "not shown", prompt
    return urgent[: max(_MIN_ROWS, lines - taken)]


def _not_shown(summary: _Summary, shown: int) -> str:
    urgent = sum(map(needs_attention, summary.reports))
    others = len(summary.reports) - urgent
    if urgent > shown:
        more = f"{urgent - shown} more need{'s' * (urgent - shown == 1)} attention"
        return f"{more}, {others} need{'s' * (others == 1)} none" if others else more
    return f"{formatting.format_count(others, 'disk')} that need{'s' * (others == 1)} no attention"


class _Summary:
    """The result of one poll over all disks."""

    def __init__(self, result: PollResult, shard: Shard | None) -> None:
        wall, monotonic = result.clock.wall(), result.clock.monotonic()
        self.reports = worst_first(
            report
            for inventory in result.inventories
            for report in report_account(inventory, wall=wall, monotonic=monotonic)
        )
        self._result = result
        self._shard = shard
        self._errors = result.errors()
        if not result.inventories:
            self._errors.append("no account is polled: the shard has none, or discovery skips all")
        self._counts = count_findings(self.reports)

    @property
    def severity(self) -> Severity:
        """The worst severity. A critical finding outranks a list that could not be read."""
        severities = [report.severity for report in self.reports]
        return max([*severities, Severity.UNKNOWN if self._errors else Severity.OK])

    @property
    def exit_status(self) -> int:
        """2 if anything could not be checked or was not understood, even with other findings."""
        if self._errors or any(self._counts[each] for each in Finding if each.severity is Severity.UNKNOWN):
            return EXIT_UNCHECKED
        return EXIT_FINDINGS if any(map(needs_attention, self.reports)) else EXIT_OK

    @property
    def line(self) -> str:
        """One line: what needs attention, what else was found, what is not known."""
        urgent: list[str] = []
        other: list[str] = []
        for finding in Finding:
            if count := self._counts[finding]:
                words = f"{count} {finding.words(count)}"
                (urgent if finding.severity >= Severity.WARNING else other).append(words)
        parts = [f"{self._headline()}{': ' if urgent else ''}{', '.join(urgent)}"]
        if other:
            parts.append(f"for information: {', '.join(other)}")
        parts += self._errors
        parts += explain_all(self.reports, self._result.inventories)
        if self._shard is not None:
            parts.append(f"only the accounts of shard {self._shard.index}/{self._shard.count} were checked")
        if skipped := self._result.skipped:
            parts.append(f"{skipped} {'account is' if skipped == 1 else 'accounts are'} skipped by discovery")
        return formatting.escape_control_chars("; ".join(parts))

    def _headline(self) -> str:
        total, wrong = len(self.reports), sum(map(needs_attention, self.reports))
        unjudged = sum(not report.is_judged for report in self.reports)
        if total == 0:
            return "no disk could be checked" if self._errors else "the API lists no disks"
        if wrong:
            return f"{wrong} of {formatting.format_count(total, 'disk')} {'needs' if wrong == 1 else 'need'} attention"
        if unjudged:
            return f"the backups of {unjudged} of {formatting.format_count(total, 'disk')} could not be checked"
        if self._errors:
            return f"nothing is wrong with the {formatting.format_count(total, 'disk')} that could be read"
        return "the only disk is well" if total == 1 else f"all {total} disks are well"

    def performance_data(self) -> str:
        """Return Nagios' performance data: ``U`` for a value that was not fully read."""
        counts = self._counts
        ages = [age for each in self.reports if each.requirement.required and (age := each.age_seconds) is not None]
        # An empty list of disks counts as unknown while there are errors.
        disks_known = self._result.was_read("disks") and bool(self.reports or not self._errors)
        backups_known = disks_known and self._result.was_read("backups") and not counts[Finding.BACKUPS_UNREADABLE]
        data = {
            "disks": len(self.reports) if disks_known else "U",
            "never_backed_up": counts[Finding.NEVER_BACKED_UP] if backups_known else "U",
            "missed": counts[Finding.BACKUP_MISSED] if backups_known else "U",
            "stale": counts[Finding.BACKUP_STALE] if backups_known else "U",
            "errors": counts[Finding.DISK_ERROR] if disks_known else "U",
            "locked_long": counts[Finding.LOCKED_LONG] if disks_known else "U",
            "unprotected": counts[Finding.UNPROTECTED] if disks_known else "U",
            "not_understood": counts[Finding.NOT_UNDERSTOOD] if disks_known else "U",
            "oldest_required_backup": f"{max(ages):.0f}s" if ages and backups_known else "U",
        }
        return " ".join(f"{name}={value}" for name, value in data.items())
