"""``dashboards`` and ``alerts``: write out what ships with the exporter, fitted to the place where it goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import click

from gigas_exporter.bundle.alerts import write_alerts
from gigas_exporter.bundle.dashboards import write_dashboards
from gigas_exporter.errors import ConfigError

__all__ = ["alerts", "dashboards"]

_DIRECTORY = click.Path(path_type=Path, file_okay=False)


def _labels(pairs: Iterable[str]) -> Mapping[str, str]:
    labels = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ConfigError(f"--label {pair}: write it as NAME=VALUE")
        labels[name] = value
    return labels


@click.command(
    epilog="""\b
Examples:
  gigas-exporter dashboards /var/lib/grafana/dashboards
  gigas-exporter dashboards manifests/ --format kubernetes"""
)
@click.argument("directory", type=_DIRECTORY)
@click.option(
    "--format",
    "form",
    type=click.Choice(["grafana", "kubernetes"]),
    default="grafana",
    show_default=True,
    show_envvar=True,
    envvar="GIGAS_FORMAT",
    help="Grafana's own JSON, or ConfigMaps for its sidecar.",
)
@click.option(
    "--label",
    multiple=True,
    metavar="K=V",
    show_envvar=True,
    envvar="GIGAS_LABEL",
    help="Another label on each ConfigMap; may be given several times.",
)
def dashboards(directory: Path, form: Literal["grafana", "kubernetes"], label: tuple[str, ...]) -> None:
    """Write the Grafana dashboards into DIRECTORY."""
    _tell(write_dashboards(directory, format=form, labels=_labels(label)))


@click.command(
    epilog="""\b
Examples:
  gigas-exporter alerts /etc/prometheus/gigas --label team=storage
  gigas-exporter alerts manifests/ --format kubernetes --runbook-base https://wiki.example.com/runbooks"""
)
@click.argument("directory", type=_DIRECTORY)
@click.option(
    "--format",
    "form",
    type=click.Choice(["prometheus", "kubernetes"]),
    default="prometheus",
    show_default=True,
    show_envvar=True,
    envvar="GIGAS_FORMAT",
    help="Rule files, or PrometheusRule objects for the Prometheus operator.",
)
@click.option(
    "--label",
    multiple=True,
    metavar="K=V",
    show_envvar=True,
    envvar="GIGAS_LABEL",
    help="Another label on each alert; may be given several times.",
)
@click.option(
    "--selector",
    metavar="S",
    show_envvar=True,
    envvar="GIGAS_SELECTOR",
    help="Label matchers for each selector of each expression, such as 'cluster=\"eu\"'.",
)
@click.option(
    "--runbook-base",
    metavar="URL",
    show_envvar=True,
    envvar="GIGAS_RUNBOOK_BASE",
    help="Where the runbooks are published.",
)
@click.option(
    "--dashboard-base",
    metavar="URL",
    show_envvar=True,
    envvar="GIGAS_DASHBOARD_BASE",
    help="Where Grafana answers.",
)
def alerts(
    directory: Path,
    *,
    form: Literal["prometheus", "kubernetes"],
    label: tuple[str, ...],
    selector: str | None,
    runbook_base: str | None,
    dashboard_base: str | None,
) -> None:
    """Write the alert rules, recording rules and runbooks into DIRECTORY."""
    paths = write_alerts(
        directory,
        format=form,
        labels=_labels(label),
        selector=selector,
        runbook_base=runbook_base,
        dashboard_base=dashboard_base,
    )
    _tell(paths)


def _tell(paths: Iterable[Path]) -> None:
    for path in paths:
        click.echo(path)
