"""Writing out the alert rules, their runbooks and the Alertmanager example, fitted to the place where they go.

It owns what may be changed on the way: labels, selectors, links, and the wrapping for the Prometheus operator. What the
rules say stands in their files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml

from gigas_exporter import REPOSITORY
from gigas_exporter.bundle.promql import Matcher, parse_selector, select
from gigas_exporter.errors import ConfigError, GigasError
from gigas_exporter.files import bundled_directory, write_whole

__all__ = ["DASHBOARD_BASE", "EXPORTER_LABELS", "RULE_FILES", "RUNBOOK_BASE", "write_alerts"]

RULE_FILES = ("gigas.recording.rules.yml", "gigas-disks.rules.yml", "gigas-exporter.rules.yml")
"""In the order in which they are to be evaluated."""

RUNBOOK_BASE = f"{REPOSITORY}/blob/main/alerts/runbooks"
DASHBOARD_BASE = "http://localhost:3000"
"""What the links in the shipped rules begin with."""

EXPORTER_LABELS = frozenset(
    {"account_id", "code", "data_store_group_id", "data_store_id", "disk_id", "field", "hostname", "label", "le"}
    | {"mount_point", "name", "operation", "python_implementation", "python_version", "reason", "resource", "status"}
    | {"type", "version", "virtual_machine_id"}
)
"""The labels that the exporter sets, each on some of its metrics only."""

_RULES_LABELS = frozenset({"alertname", "alertstate", "component", "severity", "virtual_machine"})
_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Rules = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Fitting:
    """What is changed in the rules."""

    labels: Mapping[str, str]
    matchers: tuple[Matcher, ...]
    runbook_base: str
    dashboard_base: str

    @property
    def changes_nothing(self) -> bool:
        """Whether the rules are wanted as they are shipped."""
        bases = (self.runbook_base, self.dashboard_base)
        return not self.labels and not self.matchers and bases == (RUNBOOK_BASE, DASHBOARD_BASE)

    def group(self, group: Rules) -> Rules:
        return {**group, "rules": [self._rule(rule) for rule in group["rules"]]}

    def _rule(self, rule: Rules) -> Rules:
        fitted = dict(rule)
        if self.matchers:
            fitted["expr"] = select(rule["expr"], self.matchers)
        if "alert" in rule:
            fitted["labels"] = {**rule["labels"], **self.labels}
            fitted["annotations"] = {name: self._annotation(name, text) for name, text in rule["annotations"].items()}
        return fitted

    def _annotation(self, name: str, text: str) -> str:
        if name == "runbook_url":
            return self.runbook_base + text.removeprefix(RUNBOOK_BASE)
        if name == "dashboard_url":
            return self.dashboard_base + text.removeprefix(DASHBOARD_BASE)
        return text


def write_alerts(
    directory: Path,
    *,
    format: Literal["prometheus", "kubernetes"],  # noqa: A002 - what the command's option is called
    labels: Mapping[str, str],
    selector: str | None,
    runbook_base: str | None,
    dashboard_base: str | None,
) -> list[Path]:
    """Write rules and runbooks into a directory, and return the files.

    Args:
        directory: Made where it is not there; files of the same names are replaced, others stay.
        format: Rule files and the Alertmanager example, or one ``PrometheusRule`` a rule file.
        labels: More labels of every alert.
        selector: Matchers such as ``cluster="eu"`` for every selector; series and alerts then keep these labels.
        runbook_base: Where the runbooks are, instead of `RUNBOOK_BASE`.
        dashboard_base: Where Grafana is, instead of `DASHBOARD_BASE`.

    Raises:
        ConfigError: An argument makes no valid rules, and nothing was written; or the directory cannot be written to.
    """
    fitting = _Fitting(
        _checked_labels(labels),
        () if selector is None else _checked_selector(selector),
        RUNBOOK_BASE if runbook_base is None else _checked_base("--runbook-base", runbook_base),
        DASHBOARD_BASE if dashboard_base is None else _checked_base("--dashboard-base", dashboard_base),
    )
    # Another value would hide the alerts from the rules, which read with the selector what is pending and firing.
    for each in fitting.matchers:
        if each.label in labels:
            raise ConfigError(f"--label {each.label}: the alerts keep this label from --selector {each}")
    contents = dict(_contents(bundled_directory("alerts"), fitting, kubernetes=format == "kubernetes"))
    paths = [directory / name for name in contents]
    try:
        for path, content in zip(paths, contents.values(), strict=True):
            _make_directory(path.parent)
            write_whole(path, content)
    except GigasError as error:
        raise ConfigError(str(error)) from None
    return paths


def _contents(source: Path, fitting: _Fitting, *, kubernetes: bool) -> Iterator[tuple[str, bytes]]:
    """Yield each file's name and content."""
    for name in RULE_FILES:
        text = _shipped(source / name)
        rules = yaml.safe_load(text)
        rules = {"groups": [fitting.group(group) for group in rules["groups"]]}
        if kubernetes:
            resource = name.removesuffix(".rules.yml").replace(".", "-")
            yield f"{resource}.prometheusrule.yaml", _text(_prometheus_rule(resource, rules)).encode()
        elif fitting.changes_nothing:
            yield name, text.encode()
        else:
            yield name, (_heading(text) + _text(rules)).encode()
    if not kubernetes:  # there, whatever is YAML is taken for an object
        yield "alertmanager.example.yml", _shipped(source / "alertmanager.example.yml").encode()
    for runbook in sorted((source / "runbooks").glob("*.md")):
        yield f"runbooks/{runbook.name}", runbook.read_bytes()


def _shipped(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"this installation has no {path.name}") from None


def _heading(text: str) -> str:
    """Return the comment that a file begins with."""
    lines = text.splitlines(keepends=True)
    return "".join(takewhile(lambda line: line.startswith("#"), lines))


def _prometheus_rule(name: str, rules: Rules) -> Rules:
    labels = {"app.kubernetes.io/name": "gigas-exporter", "app.kubernetes.io/part-of": "gigas-exporter"}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": metadata, "spec": rules}


class _Dumper(yaml.SafeDumper):
    """Writes expressions as blocks, as people do."""


def _present_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _present_text)


def _text(content: Rules) -> str:
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=2**31, allow_unicode=True))


def _checked_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in labels.items():
        if _LABEL_NAME.fullmatch(name) is None or name.startswith("__"):
            raise ConfigError(
                f"--label {name}: a label's name has letters, digits and _, and begins with no digit or __"
            )
        if name in {"job", "instance"} | EXPORTER_LABELS | _RULES_LABELS:
            raise ConfigError(f"--label {name}: the alerts have this label already")
        if "{{" in value:
            raise ConfigError(f"--label {name}: the value must not hold a template")
        if not value or not value.isprintable():
            raise ConfigError(f"--label {name}: the value is empty or cannot be printed")
    return labels


def _checked_selector(selector: str) -> tuple[Matcher, ...]:
    try:
        matchers = parse_selector(selector)
    except ValueError as error:
        raise ConfigError(f"--selector {' '.join(selector.split())}: {error}") from None
    for each in matchers:
        if each.label in EXPORTER_LABELS | _RULES_LABELS or each.label.startswith("__"):
            raise ConfigError(
                f"--selector {each}: only labels of targets can be selected, such as job or cluster; "
                "Alertmanager's routes choose among accounts and disks"
            )
    return matchers


def _checked_base(option: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        well = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        well = False
    if "@" in url:
        raise ConfigError(f"{option}: every alert carries it, so it must hold no user and no password")
    if not well or not url.isprintable() or re.search(r"[\s{}\"'<>?#]", url):
        raise ConfigError(f"{option} {' '.join(url.split())}: write it as https://host/path")
    return url.rstrip("/")


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot create {path}: {error.strerror or type(error).__name__}") from None
