"""The lint rules of mixtool and pint that the alerts are held to, none excluded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest

from gigas_exporter.bundle.alerts import RULE_FILES
from gigas_exporter.metrics.families import FAMILIES

COMES_FROM_ELSEWHERE = {"up", "ALERTS", "ALERTS_FOR_STATE"}
SHORT_FOR = ("", "0s", "1m")
SETS = {"and", "or", "unless"}
COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}


def _nodes(node: Any) -> Iterator[Any]:
    """Yield an expression and all that is in it."""
    yield node
    inner = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "param", "vector_selector")]
    for each in [*inner, *getattr(node, "args", ())]:
        if each is not None and not isinstance(each, str | float):
            yield from _nodes(each)


def _selectors(expression: str) -> list[Any]:
    return [node for node in _nodes(promql.parse(expression)) if isinstance(node, promql.VectorSelector)]


def _metric(selector: Any) -> str:
    return str(selector.name)


def _labels_of(rule: dict[str, Any]) -> set[str]:
    """The labels that texts of an alert read."""
    texts = [*rule["annotations"].values(), *rule["labels"].values()]
    return {label for text in texts for label in re.findall(r"\$labels\.(\w+)", text)}


# ---------------------------------------------------------------- mixtool


def test_groups_are_small_and_their_names_short(groups: list[dict[str, Any]]) -> None:
    """A group has at most 20 rules and a name of at most 40 characters, which no other has."""
    assert all(len(group["rules"]) <= 20 and len(group["name"]) <= 40 for group in groups)
    assert len({group["name"] for group in groups}) == len(groups)


def test_names_are_camel_case_and_short(alerts: dict[str, Any]) -> None:
    """An alert's name is CamelCase and has at most 40 characters."""
    assert [name for name in alerts if not re.fullmatch(r"(?:[A-Z][a-z0-9]+)+", name) or len(name) > 40] == []


def test_severities_are_known(alerts: dict[str, Any]) -> None:
    """Severity is critical, warning or info."""
    assert {rule["labels"]["severity"] for rule in alerts.values()} <= {"critical", "warning", "info"}


def test_summaries_are_plain_sentences(alerts: dict[str, Any]) -> None:
    """A summary has no template, begins with a capital and ends with a full stop."""
    for rule in alerts.values():
        summary = rule["annotations"]["summary"]
        assert re.fullmatch(r"[A-Z][^{}\n]*\.", summary), summary


def test_descriptions_are_templated_sentences(alerts: dict[str, Any]) -> None:
    """A description is filled in, begins with a capital and ends with a full stop."""
    for rule in alerts.values():
        description = rule["annotations"]["description"]
        assert "{{" in description
        assert re.match(r"[A-Z{]", description)
        assert description.endswith("."), description


# ---------------------------------------------------------------- pint


def test_absent_waits_for_more_than_two_scrapes(alerts: dict[str, Any]) -> None:
    """A rule that reads absence has a `for`."""
    found = {name: rule["for"] for name, rule in alerts.items() if "absent(" in rule["expr"]}
    assert found == {"GigasExporterAbsent": "15m"}


def test_no_value_stands_in_a_label(alerts: dict[str, Any]) -> None:
    """A label that holds a value would make another alert of each evaluation."""
    assert [
        name for name, rule in alerts.items() if "$value" in str(rule["labels"]) or ".Value" in str(rule["labels"])
    ] == []


def test_no_text_reads_a_label_that_was_aggregated_away(alerts: dict[str, Any], rules: list[dict[str, Any]]) -> None:
    """Every label in a text is kept by the expression or joined into it, there or where it was recorded."""
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    for name, rule in alerts.items():
        expressions = [rule["expr"], *(recorded.get(_metric(each), "") for each in _selectors(rule["expr"]))]
        outermost = re.findall(r"(?:by|on|group_left) \(([^)]*)\)", "\n".join(expressions))
        kept = {label.strip() for labels in outermost for label in labels.split(",")}
        assert _labels_of(rule) <= kept, name


def test_aggregations_have_a_for(alerts: dict[str, Any]) -> None:
    """An alert about an aggregation waits, since a restart or a lost scrape changes sums at once."""
    aggregated = [name for name, rule in alerts.items() if re.search(r"\b(?:sum|max|min|count|group) by", rule["expr"])]
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
    """No rule reads a metric that the exporter has not, or a recorded series that nothing records."""
    produced = {family.name for family in FAMILIES} | {rule["record"] for rule in rules if "record" in rule}
    produced |= {f"{family.name}_bucket" for family in FAMILIES if family.type == "histogram"}
    read = {_metric(selector) for rule in rules for selector in _selectors(rule["expr"])}
    assert read - produced == COMES_FROM_ELSEWHERE


def test_every_alert_compares(alerts: dict[str, Any]) -> None:
    """An alert's expression filters: it compares or reads absence."""
    for name, rule in alerts.items():
        assert re.search(r"[=!<>]=|[<>]|\babsent\(", rule["expr"]), name


def test_no_two_rules_are_the_same(rules: list[dict[str, Any]]) -> None:
    """No name stands twice, but for conditions of different alerts, and no expression does."""
    names = [(rule.get("alert") or rule["record"], rule.get("labels", {}).get("alertname")) for rule in rules]
    assert len(set(names)) == len(names)
    expressions = ["".join(rule["expr"].split()) for rule in rules]
    assert len(set(expressions)) == len(expressions)


def test_every_rule_has_an_owner(alerts: dict[str, Any], directory: Path) -> None:
    """Each file names its owner as pint reads it, and each alert whose part it is about."""
    for name in RULE_FILES:
        assert (directory / name).read_text(encoding="utf-8").startswith("# pint file/owner gigas-exporter\n")
    assert {rule["labels"]["component"] for rule in alerts.values()} == {"disk", "account", "exporter"}


# ---------------------------------------------------------------- ours


@pytest.mark.parametrize("annotation", ["summary", "description", "runbook_url", "dashboard_url"])
def test_every_alert_says_what_is_needed(alerts: dict[str, Any], annotation: str) -> None:
    """Each alert has a summary, a description, a runbook and a dashboard."""
    assert [name for name, rule in alerts.items() if not rule["annotations"].get(annotation)] == []


def test_records_are_named_by_level_metric_and_operations(rules: list[dict[str, Any]]) -> None:
    """A recorded series is level:metric:operations, and its outermost clause keeps job and instance."""
    for rule in rules:
        if "record" in rule:
            pattern = r"(?:disk|virtual_machine|account|instance):gigas_\w+:\w+"
            assert re.fullmatch(pattern, rule["record"]), rule["record"]
            clauses = re.findall(r"\bby \(([^)]*)\)", rule["expr"])
            assert all(clause.startswith("job, instance") for clause in clauses), rule["record"]


def _condition(alert: str, group: list[dict[str, Any]]) -> dict[str, Any] | None:
    return next((rule for rule in group if rule.get("labels", {}).get("alertname") == alert), None)


def test_every_alert_of_a_disk_is_aggregated_to_the_disk(alerts: dict[str, Any], groups: list[dict[str, Any]]) -> None:
    """The machine is joined in afterwards, so that a move neither restarts a `for` nor looks like a loss."""
    for name, rule in alerts.items():
        if rule["labels"]["component"] == "disk":
            (group,) = (each["rules"] for each in groups if _condition(name, each["rules"]))
            condition = _condition(name, group)
            assert condition is not None
            assert not re.search(r"(?:by|on) \([^)]*virtual_machine", condition["expr"]), name
            named = condition["record"].replace(":now", ":named")
            assert rule["expr"] == f'{named}{{alertname="{name}"}} >= 0'
            (naming,) = (each for each in group if each.get("record") == named)
            others = [each for each in group if "record" not in each]
            assert group == [*group[: group.index(naming)], naming, *others], "the alerts come after the names"
            assert group.index(condition) < group.index(naming)
            assert "group_left (virtual_machine_id, virtual_machine, mount_point)" in naming["expr"]
