"""Write the alert rules, their runbooks and the Alertmanager example.

It owns the changes that options make to them: labels, selectors, links, and the wrapping for the Prometheus operator.
The rules themselves are in their files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml

from gigas_exporter import REPOSITORY
from gigas_exporter.bundle import dump_yaml, write_files
from gigas_exporter.errors import ConfigError, GigasError
from gigas_exporter.files import bundled_directory
from gigas_exporter.metrics.families import FAMILIES

OPTIONAL = "gigas-optional.rules.yml"
RULE_FILES = ("gigas.rules.yml", OPTIONAL)

OLD_FILES = tuple(
    f"{stem}{suffix}"
    for stems, suffix in (
        (("gigas.recording", "gigas-disks", "gigas-exporter"), ".rules.yml"),
        (("gigas-recording", "gigas-disks", "gigas-exporter"), ".prometheusrule.yaml"),
    )
    for stem in stems
)
"""Rule files of earlier versions. Beside the new files, they would send each alert twice."""

RUNBOOK_BASE = f"{REPOSITORY}/blob/main/alerts/runbooks"
DASHBOARD_BASE = "http://localhost:3000"
"""The base URL of the links to Grafana in the shipped rules."""

_BASES = {"--runbook-base": RUNBOOK_BASE, "--dashboard-base": DASHBOARD_BASE}

_EXPORTER_LABELS = frozenset(label for family in FAMILIES for label in family.labels) | {"le"}
"""The labels that the exporter sets, each on some of its metrics only."""

_RULES_LABELS = frozenset({"alertname", "alertstate", "component", "severity"})
_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MATCHER = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\\n]|\\[\\"nt])*)"\s*')
_METRIC = re.compile(r"\b(up|gigas_\w+)\b(\{)?")
"""A metric in the shipped rules. None of their labels, functions and strings looks like one."""
_REMEMBERED = re.compile(r"^# (--(?:runbook-base|dashboard-base|label|selector)) (.+)$", re.MULTILINE)

Format = Literal["prometheus", "kubernetes"]
Rules = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _RuleOptions:
    """The changes to the rules."""

    labels: Mapping[str, str]
    selector: str
    bases: Mapping[str, str]
    """The base URLs given now or before, by option; the others keep their defaults."""

    def apply(self, text: str) -> str:
        """Apply the changes to the text of a rule file."""
        for option, default in _BASES.items():
            text = text.replace(default, self.bases.get(option, default))
        head, groups, rules = text.partition("groups:\n")
        given = [*self.bases.items(), *(("--label", f"{name}={value}") for name, value in self.labels.items())]
        given += [("--selector", self.selector)] if self.selector else []
        head += "".join(f"# {option} {value}\n" for option, value in given)
        if not self.labels and not self.selector:
            return head + groups + rules
        content = yaml.safe_load(text)
        for rule in (rule for group in content["groups"] for rule in group["rules"]):
            rule["labels"].update(self.labels)
            if self.selector:
                rule["expr"] = _METRIC.sub(self._select, rule["expr"])
        return head + dump_yaml(content)

    def _select(self, metric: re.Match[str]) -> str:
        return f"{metric[1]}{{{self.selector}{', ' if metric[2] else '}'}"


def write_alerts(
    directory: Path,
    *,
    format: Format,  # noqa: A002 - the name of the command's option
    labels: Mapping[str, str],
    selector: str | None = None,
    runbook_base: str | None = None,
    dashboard_base: str | None = None,
    with_optional: bool = False,
    replace: bool = False,
    on_removed: Callable[[Path], None] = lambda _: None,
) -> list[Path]:
    """Write rules and runbooks; return the files.

    Args:
        directory: Created if missing. Files of the same names are replaced, others stay.
        format: Rule files and the Alertmanager example, or one ``PrometheusRule`` per rule file.
        labels: Labels to add to every alert, instead of those remembered in the directory.
        selector: Matchers to add to every selector, such as ``cluster="eu"``, instead of those remembered.
        runbook_base: URL of the runbooks, instead of the one remembered or `RUNBOOK_BASE`.
        dashboard_base: URL of Grafana, instead of the one remembered or `DASHBOARD_BASE`.
        with_optional: Also write the optional alerts. Once written, they always are.
        replace: Remove the rule files of earlier versions instead of failing.
        on_removed: Called with each removed file.

    Raises:
        ConfigError: An argument is invalid; nothing was written.
        GigasError: The directory has rule files of an earlier version, and nothing was written; or it cannot be
            written to.
    """
    before = remembered(directory, format)
    given = zip(_BASES, (runbook_base, dashboard_base), strict=True)
    bases = {key: before.get(key, []) if url is None else [url] for key, url in given}
    labels = labels or parse_labels(before.get("--label", []))
    selectors = before.get("--selector", []) if selector is None else [selector]
    options = _RuleOptions(
        _validate_labels(labels),
        _validate_selector(selectors[-1], labels) if selectors else "",
        {option: _validate_base(option, urls[-1]) for option, urls in bases.items() if urls},
    )
    old = [path for name in OLD_FILES if _is_ours(path := directory / name)]
    if old and not replace:
        names = ", ".join(path.name for path in old)
        raise GigasError(f"{directory} has rule files of an earlier version: {names}; remove them, or give --replace")
    wanted = [
        name
        for name in RULE_FILES
        if with_optional or name != OPTIONAL or os.access(_target(directory, name, format), os.F_OK)
    ]
    contents = dict(_contents(bundled_directory("alerts"), wanted, options, format))
    paths = write_files(directory, contents, removed=old)
    for path in old:
        on_removed(path)
    return paths


def remembered(directory: Path, format: Format) -> Mapping[str, list[str]]:  # noqa: A002 - as above
    """Return the options with which a directory's rules were written."""
    try:
        text = _target(directory, RULE_FILES[0], format).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    found: dict[str, list[str]] = {}
    for option, value in _REMEMBERED.findall(text.partition("\ngroups:")[0].partition("\napiVersion:")[0]):
        found.setdefault(option, []).append(value)
    return found


def parse_labels(pairs: Iterable[str]) -> Mapping[str, str]:
    """Parse labels written as ``name=value``; raise :class:`.ConfigError` for others."""
    labels: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ConfigError(f"--label {pair}: write it as NAME=VALUE")
        if labels.setdefault(name, value) != value:
            raise ConfigError(f"--label {name}: is given twice with different values; keep one")
    return labels


def _is_ours(path: Path) -> bool:
    try:
        return b"gigas_" in path.read_bytes()
    except OSError:
        return False


def _target(directory: Path, name: str, format: Format) -> Path:  # noqa: A002 - as above
    return directory / (f"{_resource(name)}.prometheusrule.yaml" if format == "kubernetes" else name)


def _resource(name: str) -> str:
    return name.removesuffix(".rules.yml")


def _contents(source: Path, names: list[str], options: _RuleOptions, format: Format) -> Iterator[tuple[str, bytes]]:  # noqa: A002
    for name in names:
        content = options.apply(_shipped(source / name))
        if format == "kubernetes":
            head = "".join(line for line in content.splitlines(keepends=True) if _REMEMBERED.match(line))
            content = head + dump_yaml(_prometheus_rule(_resource(name), yaml.safe_load(content)))
        yield _target(Path(), name, format).name, content.encode()
    if format == "prometheus":  # for Kubernetes, every YAML file must be an object
        yield "alertmanager.example.yml", _shipped(source / "alertmanager.example.yml").encode()
    for runbook in sorted((source / "runbooks").glob("*.md")):
        yield f"runbooks/{runbook.name}", runbook.read_bytes()


def _shipped(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"this installation has no {path.name}") from None


def _prometheus_rule(name: str, rules: Rules) -> Rules:
    labels = {"app.kubernetes.io/name": "gigas-exporter", "app.kubernetes.io/part-of": "gigas-exporter"}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": metadata, "spec": rules}


def _validate_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in labels.items():
        if _LABEL_NAME.fullmatch(name) is None or name.startswith("__"):
            raise ConfigError(
                f"--label {name}: a label's name has letters, digits and _, and must not begin with a digit or __"
            )
        if name in {"job", "instance"} | _EXPORTER_LABELS | _RULES_LABELS:
            raise ConfigError(f"--label {name}: the alerts have this label already")
        if "{{" in value:
            raise ConfigError(f"--label {name}: the value must not contain a template")
        if not value or not value.isprintable():
            raise ConfigError(f"--label {name}: the value is empty or cannot be printed")
    return labels


def _validate_selector(selector: str, labels: Mapping[str, str]) -> str:
    """Return the matchers in the form that each selector gets."""
    problem = f"--selector {' '.join(selector.split())}: "
    given = selector.strip().removeprefix("{").removesuffix("}").strip()
    if not re.fullmatch(rf"({_MATCHER.pattern},)*", f"{given}," if given and given[-1] != "," else given):
        raise ConfigError(f'{problem}write it as label="value", with =, !=, =~ or !~, and commas between')
    matchers = []
    for name, operator, value in _MATCHER.findall(given):
        if name in _EXPORTER_LABELS | _RULES_LABELS or name.startswith("__"):
            raise ConfigError(
                f"{problem}only labels of targets can be selected, such as job or cluster; "
                "Alertmanager's routes choose among accounts and disks"
            )
        if operator in {"=~", "!~"} and not _is_regex(value):
            raise ConfigError(f'{problem}"{value}" is not a regular expression that Prometheus accepts')
        if name in labels:
            raise ConfigError(f"--label {name}: the alerts have this label from --selector")
        matchers.append(f'{name}{operator}"{value}"')
    if not matchers:
        raise ConfigError(f"{problem}it names no label")
    return ", ".join(matchers)


def _is_regex(value: str) -> bool:
    """Return whether an expression is valid in Python and has no syntax that Go rejects."""
    value = value.replace("\\\\", "\\")
    try:
        re.compile(value)
    except re.error:
        return False
    return not re.search(r"\(\?[=!<#>(]|[*+?}]\+", value)


def _validate_base(option: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if "@" in url:
        raise ConfigError(f"{option}: every alert contains it, so it must not contain a user or password")
    if not valid or not url.isprintable() or re.search(r"[\s{}\"'<>?#]", url):
        raise ConfigError(f"{option} {' '.join(url.split())}: write it as https://host/path")
    return url.rstrip("/")
