"""The lint rules of mixtool and pint that the alerts are held to, none excluded."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest

from gigas_exporter.bundle.alerts import RULE_FILES
from gigas_exporter.metrics.families import FAMILIES
from support.promql import selectors_of, walk

COMES_FROM_ELSEWHERE = {"up"}
TARGET = {"job", "instance"}
SHORT_FOR = ("", "0s", "1m")
METRIC_LABELS = {family.name: family.labels for family in FAMILIES} | {
    f"{family.name}_bucket": (*family.labels, "le") for family in FAMILIES if family.type == "histogram"
}
FINDINGS = {
    *("never_backed_up", "backup_missed", "disk_error", "not_understood", "backups_unreadable", "backup_stale"),
    *("locked_long", "backup_failed", "unprotected", "backup_shrank", "detached"),
}


def _selectors(expression: str) -> list[Any]:
    return [selector for selector, _ in selectors_of(promql.parse(expression))]


def _metric(selector: Any) -> str:
    return str(selector.name)


def _labels_of_metric(name: str) -> set[str]:
    return TARGET | set(METRIC_LABELS.get(name, ()))


def _is_vector(node: Any) -> bool:
    if isinstance(node, promql.NumberLiteral):
        return False
    if isinstance(node, promql.Call) and node.func.name == "time":
        return False
    if isinstance(node, promql.BinaryExpr):
        return _is_vector(node.lhs) or _is_vector(node.rhs)
    return _is_vector(node.expr) if isinstance(node, promql.ParenExpr | promql.UnaryExpr) else True


def _result_labels(node: Any) -> set[str]:
    """Return the labels of what an expression returns."""
    if isinstance(node, promql.VectorSelector):
        return _labels_of_metric(_metric(node))
    if isinstance(node, promql.AggregateExpr):
        assert node.modifier is not None
        assert node.modifier.type is promql.AggModifierType.Without
        return _result_labels(node.expr) - set(node.modifier.labels)
    if isinstance(node, promql.Call):
        if node.func.name in {"absent", "time"}:
            return set()
        labels = _result_labels(next(each for each in node.args if _is_vector(each)))
        return labels - {"le"} if node.func.name == "histogram_quantile" else labels
    if isinstance(node, promql.BinaryExpr):
        return _result_labels(node.lhs if _is_vector(node.lhs) else node.rhs)
    return set() if isinstance(node, promql.NumberLiteral) else _result_labels(_inner(node))


def _inner(node: Any) -> Any:
    return getattr(node, "expr", None) or getattr(node, "vector_selector", None) or node.selector


def _labels_of(rule: dict[str, Any]) -> set[str]:
    """The labels that texts of an alert read."""
    texts = [*rule["annotations"].values(), *rule["labels"].values()]
    return {label for text in texts for label in re.findall(r"\$labels\.(\w+)", text)}


Keeps = Callable[[str, dict[str, Any]], object]
_EACH_KEEPS: dict[str, Keeps] = {
    # of mixtool
    "its name is CamelCase and has at most 40 characters": (
        lambda name, _: re.fullmatch(r"(?:[A-Z][a-z0-9]+)+", name) and len(name) <= 40
    ),
    "its severity is known": lambda _, rule: rule["labels"]["severity"] in {"critical", "warning", "info"},
    "its summary is a plain sentence": (
        lambda _, rule: re.fullmatch(r"[A-Z][^{}\n]*\.", rule["annotations"]["summary"])
    ),
    "its description is a sentence that is filled in": (
        lambda _, rule: re.fullmatch(r"(?s)(?=.*\{\{)[A-Z{].*\.", rule["annotations"]["description"])
    ),
    # of pint
    "no label holds a value, which would make another alert of each evaluation": (
        lambda _, rule: not re.search(r"\$value|\.Value", str(rule["labels"]))
    ),
    "its expression compares or reads absence": (
        lambda _, rule: re.search(r"[=!<>]=|[<>]|\babsent\(|\bunless\b", rule["expr"])
    ),
    # ours
    "it has a summary, a description, a runbook, a dashboard and the command that helps": (
        lambda _, rule: all(
            rule["annotations"].get(name)
            for name in ("summary", "description", "runbook_url", "dashboard_url", "command")
        )
    ),
}


@pytest.mark.parametrize("keeps", _EACH_KEEPS.values(), ids=_EACH_KEEPS)
def test_each_alert_keeps_the_rule(alerts: dict[str, Any], rules: list[dict[str, Any]], keeps: Keeps) -> None:
    """Every rule is an alert, since no dashboard needs a recorded series, and each keeps what is said of it."""
    assert len(alerts) == len(rules)
    assert [name for name, rule in alerts.items() if not keeps(name, rule)] == []


# ---------------------------------------------------------------- mixtool


def test_groups_are_small_and_their_names_short(groups: list[dict[str, Any]]) -> None:
    """A group has at most 20 rules and a name of at most 40 characters, which no other has."""
    assert all(len(group["rules"]) <= 20 and len(group["name"]) <= 40 for group in groups)
    assert len({group["name"] for group in groups}) == len(groups)


# ---------------------------------------------------------------- pint


def test_absent_waits_for_more_than_two_scrapes(alerts: dict[str, Any]) -> None:
    """A rule that reads absence has a `for`."""
    found = {name: rule["for"] for name, rule in alerts.items() if "absent(" in rule["expr"]}
    assert found == {"GigasExporterAbsent": "15m"}


def test_no_text_reads_a_label_that_an_alert_lacks(alerts: dict[str, Any]) -> None:
    """Every label in a text is on the series that the expression returns, or one of the target."""
    for name, rule in alerts.items():
        kept = _result_labels(promql.parse(rule["expr"])) | {"job", "instance"}
        if name == "GigasInvalidData":  # two kinds of alert, and the text asks which
            kept |= {"field", "resource"}
        assert _labels_of(rule) <= kept, name


def test_aggregations_have_a_for(alerts: dict[str, Any]) -> None:
    """An alert about an aggregation waits, since a restart or a lost scrape changes sums at once."""
    aggregated = [
        name
        for name, rule in alerts.items()
        if re.search(r"\b(?:sum|max|min|count|group) (?:by|without)", rule["expr"])
    ]
    assert aggregated
    assert [name for name in aggregated if alerts[name].get("for", "") in SHORT_FOR] == []


def test_no_matcher_is_a_regex_where_equality_would_do(rules: list[dict[str, Any]]) -> None:
    """A regular expression stands only where one is needed."""
    matchers = [
        matcher
        for rule in rules
        for selector in _selectors(rule["expr"])
        for matcher in selector.matchers.matchers
        if str(matcher.op) in {"MatchOp.Re", "MatchOp.NotRe"}
    ]
    assert matchers
    assert [matcher.value for matcher in matchers if not re.search(r"[.*+?()\[\]|]", matcher.value)] == []


def test_every_series_that_is_read_is_produced(rules: list[dict[str, Any]]) -> None:
    """No rule reads a metric that the exporter has not."""
    produced = set(METRIC_LABELS)
    read = {_metric(selector) for rule in rules for selector in _selectors(rule["expr"])}
    assert read - produced == COMES_FROM_ELSEWHERE


def test_every_label_that_is_matched_or_listed_is_one_of_the_metric(rules: list[dict[str, Any]]) -> None:
    """No matcher and no `ignoring` names a label that none of its series can have."""
    for rule in rules:
        for selector in _selectors(rule["expr"]):
            names = {each.name for each in selector.matchers.matchers}
            assert names <= _labels_of_metric(_metric(selector)), rule["alert"]


def test_no_two_rules_are_the_same(rules: list[dict[str, Any]]) -> None:
    """No name stands twice, and no expression does."""
    names = [rule["alert"] for rule in rules]
    assert len(set(names)) == len(names)
    expressions = ["".join(rule["expr"].split()) for rule in rules]
    assert len(set(expressions)) == len(expressions)


def test_every_rule_has_an_owner(alerts: dict[str, Any], directory: Path) -> None:
    """Each file names its owner as pint reads it, and each alert whose part it is about."""
    for name in RULE_FILES:
        assert (directory / name).read_text(encoding="utf-8").startswith("# pint file/owner gigas-exporter\n")
    assert {rule["labels"]["component"] for rule in alerts.values()} == {"disk", "account", "exporter"}


# ---------------------------------------------------------------- ours


def test_every_operator_between_vectors_says_what_it_matches(rules: list[dict[str, Any]]) -> None:
    """It has `on` or `ignoring`, and both sides have the same labels left: labels of others cannot part them."""
    checked = 0
    for rule in rules:
        for node, _ in walk(promql.parse(rule["expr"])):
            if not isinstance(node, promql.BinaryExpr) or not (_is_vector(node.lhs) and _is_vector(node.rhs)):
                continue
            matching = node.modifier.matching if node.modifier is not None else None
            assert matching is not None, rule["alert"]
            checked += 1
            if matching.type is promql.LabelModifierType.Include:
                # Only where one side has no labels at all, as absent() has none.
                assert (rule["alert"], *matching.labels) in {
                    ("GigasExporterAbsent",),
                    ("GigasAccountUnwatched",),
                }
            elif str(node.op) != "or":
                left, right = (_result_labels(each) - set(matching.labels) for each in (node.lhs, node.rhs))
                assert left == right, (rule["alert"], str(node.op), left ^ right)
    assert checked > 20


def test_an_alert_is_read_in_a_few_lines(alerts: dict[str, Any]) -> None:
    """An expression reads nothing but the exporter's metrics: a median of at most 4 lines, and never more than 12."""
    lines = [len(rule["expr"].strip().splitlines()) for rule in alerts.values()]
    assert statistics.median(lines) <= 4
    assert max(lines) <= 12
    assert all(len(line) <= 120 for rule in alerts.values() for line in rule["expr"].splitlines())


def test_a_message_tells_since_when_or_which_limit(alerts: dict[str, Any]) -> None:
    """An alert about something that passed a limit says which; one about what lasts, its `for`."""
    of_the_policy = {
        *("GigasDiskBackupMissed", "GigasDiskNeverBackedUp", "GigasDiskBackupStale", "GigasDiskLockedTooLong"),
    }
    at_once = {"GigasDiskBackupFailed", "GigasDiskUnprotected"}
    for name, rule in alerts.items():
        text = rule["annotations"]["description"]
        if name in of_the_policy:
            assert "{{ $labels.limit }}" in text
        elif "the limit is" not in text and name not in at_once and " offset " not in rule["expr"]:
            assert f"for at least {rule['for'].removesuffix('m')} minutes" in text, name


def test_every_finding_but_what_decides_has_its_alert(rules: list[dict[str, Any]]) -> None:
    """Each finding of a disk is read by one alert; what is not understood, by its account's."""
    read = re.findall(r'finding="(\w+)"', "\n".join(str(rule["expr"]) for rule in rules))
    assert set(read) == FINDINGS
