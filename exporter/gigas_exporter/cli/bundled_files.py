"""``dashboards`` and ``alerts``: write the files that ship with the exporter."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import click

from gigas_exporter.bundle.alerts import DASHBOARD_BASE, parse_labels, remembered, write_alerts
from gigas_exporter.bundle.dashboards import write_dashboards
from gigas_exporter.cli.messages import parameter_name, warn
from gigas_exporter.cli.options import F, GroupedCommand, compose, env_var_used_for, output_option

_DIRECTORY = click.Path(path_type=Path, file_okay=False, readable=False)


def _shared_options(form: str, *, form_help: str, label_help: str) -> Callable[[F], F]:
    """Return a decorator that adds the options of both commands."""
    return compose(
        click.argument("directory", type=_DIRECTORY),
        output_option(form, "kubernetes", names=("--format", "form"), help=form_help),
        click.option("--label", multiple=True, metavar="K=V", help=f"{label_help}; repeatable."),
    )


@click.command(
    cls=GroupedCommand,
    epilog="""\b
Examples:
  gigas-exporter dashboards /var/lib/grafana-dashboards
  gigas-exporter dashboards manifests/ --format kubernetes""",
)
@_shared_options(
    "grafana",
    form_help="Grafana's own JSON, or ConfigMaps for its sidecar.",
    label_help="Label to add to each ConfigMap",
)
def dashboards(directory: Path, form: Literal["grafana", "kubernetes"], label: tuple[str, ...]) -> None:
    """Write the Grafana dashboards into DIRECTORY."""
    _warn_of_variables()
    paths = write_dashboards(directory, format=form, labels=parse_labels(label))
    _print_result(paths, f"point a dashboard provider of Grafana to {directory.resolve()}, or import the files")


@click.command(
    cls=GroupedCommand,
    epilog="""\b
Examples:
  gigas-exporter alerts /etc/prometheus/gigas --with-optional
  gigas-exporter alerts manifests/ --format kubernetes
  gigas-exporter alerts gigas/ --runbook-base https://wiki.example.com/gigas""",
)
@_shared_options(
    "prometheus",
    form_help="Rule files, or PrometheusRule objects for the Prometheus operator.",
    label_help="Label to add to each alert",
)
@click.option(
    "--selector", metavar="S", help="Label matchers to add to every selector in the rules, such as 'cluster=\"eu\"'."
)
@click.option("--runbook-base", metavar="URL", help="Base URL of the published runbooks.")
@click.option(
    "--dashboard-base",
    metavar="URL",
    help="Base URL of Grafana. The files remember all options but --format and --replace.",
)
@click.option("--with-optional", is_flag=True, help="Also write the optional alerts.")
@click.option("--replace", is_flag=True, help="Remove rule files of earlier versions.")
def alerts(
    directory: Path,
    *,
    form: Literal["prometheus", "kubernetes"],
    label: tuple[str, ...],
    selector: str | None,
    runbook_base: str | None,
    dashboard_base: str | None,
    with_optional: bool,
    replace: bool,
) -> None:
    """Write the alert rules and runbooks into DIRECTORY."""
    _warn_of_variables()
    is_interactive = sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
    if dashboard_base is None and is_interactive and "--dashboard-base" not in remembered(directory, form):
        dashboard_base = click.prompt(
            "Address of Grafana, for the links in the alerts", default=DASHBOARD_BASE, err=True
        )
    paths = write_alerts(
        directory,
        format=form,
        labels=parse_labels(label),
        selector=selector,
        runbook_base=runbook_base,
        dashboard_base=dashboard_base,
        with_optional=with_optional,
        replace=replace,
        on_removed=lambda path: click.echo(f"removed: {path}", err=True),
    )
    rules = f"{directory.resolve()}/*.rules.yml".replace("'", "''")
    _print_result(paths, f"set rule_files: ['{rules}'] in prometheus.yml and reload Prometheus")


def _warn_of_variables() -> None:
    """Warn about options that come from the environment."""
    for option in click.get_current_context().command.params:
        if variable := env_var_used_for(str(option.name)):
            warn(f"{parameter_name(option)} is taken from {variable}")


def _print_result(paths: Iterable[Path], next_step: str) -> None:
    """Print the written files, and what to do next with them."""
    for path in paths:
        click.echo(path)
    if objects := [path for path in paths if path.suffix == ".yaml"]:
        next_step = f"kubectl apply {' '.join(f'-f {shlex.quote(str(path))}' for path in objects)}"
    click.echo(f"next: {next_step}", err=True)
