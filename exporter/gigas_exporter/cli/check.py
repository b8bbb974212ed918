"""``check``: one poll, and the verdict on every disk against the backup policy."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final, Literal

import click

from gigas_exporter import human
from gigas_exporter.cli.once import Once, poll_once
from gigas_exporter.cli.options import QUIET, GroupedCommand, read_settings, settings_options
from gigas_exporter.cli.output import escape_markdown, render
from gigas_exporter.cli.progress import progress
from gigas_exporter.cli.rows import DISKS, disk_record
from gigas_exporter.cli.standard_output import failing_with
from gigas_exporter.config import Settings
from gigas_exporter.errors import ConfigError, GigasError
from gigas_exporter.inventory import RESOURCES, Resource
from gigas_exporter.report import (
    DiskReport,
    Finding,
    Severity,
    count_findings,
    needs_attention,
    report_account,
    worst_first,
)

__all__ = ["check"]

_WELL, _FINDINGS, _UNCHECKED = 0, 1, 2
_NAGIOS: Final = {Severity.OK: 0, Severity.NOTICE: 0, Severity.WARNING: 1, Severity.CRITICAL: 2, Severity.UNKNOWN: 3}
_NAGIOS_WORDS: Final = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


@click.command(
    cls=GroupedCommand,
    epilog="""Exit status: 0 all well, 1 findings, 2 could not check.
With --nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

\b
Examples:
  gigas-exporter check
  gigas-exporter check --output csv > evidence-$(date +%Y-%m).csv""",
)
@click.option(
    "--output",
    type=click.Choice(["table", "json", "csv", "markdown"]),
    default="table",
    show_default=True,
    help="How the disks are written.",
)
@click.option(
    "--nagios", is_flag=True, help="One line and Nagios' four states. [env: GIGAS_NAGIOS]", envvar="GIGAS_NAGIOS"
)
@settings_options(("config", "poll", "api", "log"), defaults=QUIET)
@click.pass_context
def check(
    ctx: click.Context, /, output: Literal["table", "json", "csv", "markdown"], nagios: bool, **flags: Any
) -> None:
    """Poll once and judge every disk against the backup policy.

    Disks come worst first. Unprotected, detached and exempt disks are shown but are no findings.
    """
    try:
        settings = read_settings(flags, defaults=QUIET)
        once = _poll(settings, quiet=nagios)
    except GigasError as error:
        if nagios:
            with failing_with(_NAGIOS[Severity.UNKNOWN]):
                click.echo(f"GIGAS UNKNOWN - {_plain(str(error))}")
            ctx.exit(_NAGIOS[Severity.UNKNOWN])
        if isinstance(error, ConfigError):
            raise
        raise _UncheckedError(str(error)) from None
    reports = _reports(once)
    summary = _summary(reports, once)
    if nagios:
        state = _NAGIOS[_worst(reports, once)]
        data = _performance_data(reports, once)
        with failing_with(_NAGIOS[Severity.UNKNOWN]):
            click.echo(f"GIGAS {_NAGIOS_WORDS[state]} - {_plain(summary)} | {data}")
        ctx.exit(state)
    with failing_with(_UNCHECKED):
        # A program that reads the records must not find a sentence among them.
        click.echo(escape_markdown(summary) if output == "markdown" else summary, err=output in {"json", "csv"})
        if reports or output in {"json", "csv"}:
            if output in {"table", "markdown"}:
                click.echo()
            click.echo(render([disk_record(report) for report in reports], DISKS, output), nl=False)
    ctx.exit(_exit_status(reports, once))


class _UncheckedError(click.ClickException):
    """Nothing could be checked."""

    exit_code = _UNCHECKED


def _poll(settings: Settings, *, quiet: bool) -> Once:
    """Poll once, showing a person how far it is."""
    if quiet:
        return poll_once(settings)
    accounts = settings.accounts
    total = f" of {len(accounts) * len(RESOURCES)}" if accounts and settings.shard is None else ""
    done = itertools.count(1)
    with progress("reading disks, virtual machines and backups") as tell:

        def ended(account_id: str, resource: Resource, success: bool) -> None:
            outcome = "read" if success else "could not be read"
            tell(f"{next(done)}{total} lists: {resource.replace('_', ' ')} of account {account_id} {outcome}")

        return poll_once(settings, ended)


def _reports(once: Once) -> list[DiskReport]:
    wall, monotonic = once.clock.wall(), once.clock.monotonic()
    return worst_first(
        report
        for inventory in once.store.snapshot()
        for report in report_account(inventory, wall=wall, monotonic=monotonic)
    )


def _exit_status(reports: Sequence[DiskReport], once: Once) -> int:
    if once.unread or any(Finding.BACKUPS_UNREADABLE in report.findings for report in reports):
        return _UNCHECKED
    return _FINDINGS if any(map(needs_attention, reports)) else _WELL


def _worst(reports: Sequence[DiskReport], once: Once) -> Severity:
    """Return the worst of all; what is known to be critical goes before what could not be read."""
    severities = [report.severity for report in reports]
    return max([*severities, Severity.UNKNOWN if once.unread else Severity.OK])


def _summary(reports: Sequence[DiskReport], once: Once) -> str:
    """Return the verdict in one line: what needs somebody, what else is to be known, and what could not be read."""
    counts = count_findings(reports)
    urgent: list[str] = []
    other: list[str] = []
    for finding in Finding:
        if counts[finding]:
            words = f"{counts[finding]} {finding.words(counts[finding])}"
            (urgent if finding.severity >= Severity.WARNING else other).append(words)
    parts = [f"{_verdict(reports, once)}{': ' if urgent else ''}{', '.join(urgent)}"]
    if other:
        parts.append(f"also {', '.join(other)}")
    return human.printable("; ".join([*parts, *once.problems()]))


def _verdict(reports: Sequence[DiskReport], once: Once) -> str:
    total, wrong = len(reports), sum(map(needs_attention, reports))
    disks = "1 disk" if total == 1 else f"{total} disks"
    if total == 0:
        return "no disk could be checked" if once.unread else "there are no disks"
    if wrong:
        return f"{wrong} of {disks} {'needs' if wrong == 1 else 'need'} attention"
    if once.unread:
        return f"nothing is wrong with the {disks} that could be read"
    return "the only disk is well" if total == 1 else f"all {disks} are well"


def _plain(text: str) -> str:
    """Return text for Nagios, to which a bar begins the performance data."""
    return human.printable(" ".join(text.split())).replace("|", "/")


def _performance_data(reports: Sequence[DiskReport], once: Once) -> str:
    """Return what Nagios keeps to draw: ``U``, its word for a value that is not known, where not all could be read."""
    counts = count_findings(reports)
    ages = [age for each in reports if each.requirement.required and (age := each.age_seconds) is not None]
    disks_known = not any("disks" in resources for resources in once.unread.values())
    backups_known = not once.unread and not counts[Finding.BACKUPS_UNREADABLE]
    data = {
        "disks": len(reports) if disks_known else "U",
        "never_backed_up": counts[Finding.NEVER_BACKED_UP] if backups_known else "U",
        "missed": counts[Finding.BACKUP_MISSED] if backups_known else "U",
        "stale": counts[Finding.BACKUP_STALE] if backups_known else "U",
        "errors": counts[Finding.DISK_ERROR] if disks_known else "U",
        "locked_long": counts[Finding.LOCKED_LONG] if disks_known else "U",
        "oldest_required_backup": f"{max(ages):.0f}s" if ages and backups_known else "U",
    }
    return " ".join(f"{name}={value}" for name, value in data.items())
