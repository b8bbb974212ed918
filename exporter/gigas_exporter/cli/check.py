"""``check``: one poll, and the verdict on every disk against the backup policy."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal

import click

from gigas_exporter.cli.once import Once, poll_once
from gigas_exporter.cli.options import GroupedCommand, read_settings, settings_options
from gigas_exporter.cli.output import render
from gigas_exporter.cli.rows import DISK_COLUMNS, disk_record
from gigas_exporter.config import Settings
from gigas_exporter.errors import ConfigError, GigasError
from gigas_exporter.report import DiskReport, Finding, Severity, count_findings, report_account, worst_first

__all__ = ["check"]

_WELL, _FINDINGS, _UNCHECKED = 0, 1, 2
_NAGIOS: Final = {Severity.OK: 0, Severity.NOTICE: 0, Severity.WARNING: 1, Severity.CRITICAL: 2, Severity.UNKNOWN: 3}
_NAGIOS_WORDS: Final = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


@click.command(
    cls=GroupedCommand,
    epilog="""\b
Exit status: 0 all well, 1 findings, 2 could not check. With --nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

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
@settings_options(("config", "poll", "api", "log"))
@click.pass_context
def check(
    ctx: click.Context, /, output: Literal["table", "json", "csv", "markdown"], nagios: bool, **flags: Any
) -> None:
    """Poll once and judge every disk against the backup policy.

    Disks come worst first. Unprotected, detached and exempt disks are shown but are no findings.
    """
    try:
        settings = read_settings(flags, quiet=True)
        with _progress(settings, enabled=not nagios) as progress:
            once = poll_once(settings, progress)
    except GigasError as error:
        if nagios:
            click.echo(f"GIGAS UNKNOWN - {error}")
            ctx.exit(_NAGIOS[Severity.UNKNOWN])
        if isinstance(error, ConfigError):
            raise
        raise _Unchecked(str(error)) from None
    reports = _reports(once)
    summary = _summary(reports, once)
    if nagios:
        state = _NAGIOS[_worst(reports, once)]
        click.echo(f"GIGAS {_NAGIOS_WORDS[state]} - {summary} | {_performance_data(reports)}")
        ctx.exit(state)
    # A program that reads the records must not find a sentence among them.
    click.echo(summary, err=output in {"json", "csv"})
    if output in {"table", "markdown"}:
        click.echo()
    click.echo(render([disk_record(report) for report in reports], DISK_COLUMNS, output), nl=False)
    ctx.exit(_exit_status(reports, once))


class _Unchecked(click.ClickException):
    """Nothing could be checked."""

    exit_code = _UNCHECKED


def _reports(once: Once) -> list[DiskReport]:
    wall, monotonic = once.clock.wall(), once.clock.monotonic()
    return worst_first(
        report
        for inventory in once.store.snapshot()
        for report in report_account(inventory, wall=wall, monotonic=monotonic)
    )


def _exit_status(reports: Sequence[DiskReport], once: Once) -> int:
    if once.unread or any(Finding.BACKUPS_UNREAD in report.findings for report in reports):
        return _UNCHECKED
    return _FINDINGS if any(report.severity >= Severity.WARNING for report in reports) else _WELL


def _worst(reports: Sequence[DiskReport], once: Once) -> Severity:
    """Return the worst of all; what is known to be critical goes before what could not be read."""
    severities = [report.severity for report in reports]
    return max([*severities, Severity.UNKNOWN if once.unread else Severity.OK])


def _summary(reports: Sequence[DiskReport], once: Once) -> str:
    counts = count_findings(reports)
    findings = [f"{counts[finding]} {finding.value}" for finding in Finding if counts[finding]]
    wrong = sum(1 for report in reports if report.severity >= Severity.WARNING)
    verdict = f"{wrong} of {len(reports)} disks need attention" if wrong else f"all {len(reports)} disks are well"
    unread = [
        f"account {account_id}: {' and '.join(sorted(resources))} could not be read"
        for account_id, resources in once.unread.items()
    ]
    return "; ".join([f"{verdict}" + (f": {', '.join(findings)}" if findings else ""), *unread])


def _performance_data(reports: Sequence[DiskReport]) -> str:
    counts = count_findings(reports)
    oldest = max((report.age_seconds or 0.0 for report in reports if report.requirement.required), default=0.0)
    data = {
        "disks": len(reports),
        "never_backed_up": counts[Finding.NEVER_BACKED_UP],
        "missed": counts[Finding.BACKUP_MISSED],
        "stale": counts[Finding.BACKUP_STALE],
        "errors": counts[Finding.ERROR],
    }
    return " ".join([*(f"{name}={count}" for name, count in data.items()), f"oldest_required_backup={oldest:.0f}s"])


@contextmanager
def _progress(settings: Settings, *, enabled: bool) -> Iterator[Any]:
    """Show on a terminal how far the poll is; the yielded function is told of each resource that was read."""
    if not enabled or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console  # noqa: PLC0415  # see output.py
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        names = ", ".join(each.account.id for each in settings.accounts[:3]) or "all accounts"
        task = progress.add_task(f"reading {names}")

        def tell(account_id: str, resource: str, success: bool) -> None:
            words = resource.replace("_", " ")
            progress.update(task, description=f"account {account_id}: {words} {'read' if success else 'not readable'}")

        yield tell
