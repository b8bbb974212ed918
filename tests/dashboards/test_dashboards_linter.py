"""The rules of Grafana's dashboard-linter, each of them, none excluded, told anew: it is a Go program.

Where the original looks at some kinds of panels only, these look at all. The rule about titles and descriptions is in
test_dashboards_structure.py, which asks more.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import promql_parser
import pytest

from dashboards.conftest import Json, expressions_of, panels_of
from support.promql import selectors_of, walk

RATE_INTERVAL = timedelta(milliseconds=4_321)
RATES = {"rate", "irate", "increase"}
# The part of Grafana's list (valueFormats/categories.ts) that is used here.
UNITS = {
    "string",
    "short",
    "percentunit",
    "bytes",
    "s",
    "m",
    "h",
    "d",
    "dtdurations",
    "dateTimeFromNow",
    "dateTimeAsSystem",
    "ops",
    "reqps",
    "cps",
}


def variable_of(dashboard: Json, name: str) -> Json:
    (variable,) = [each for each in dashboard["templating"]["list"] if each["name"] == name]
    return dict(variable)


def queries_of(dashboard: Json) -> list[Json]:
    return [each for each in dashboard["templating"]["list"] if each["type"] == "query"]


def parsed(expression: str) -> Any:
    """Return a query's syntax tree, with `$__rate_interval` as a duration that nobody would write."""
    milliseconds = int(RATE_INTERVAL.total_seconds() * 1000)
    filled = expression.replace("$__rate_interval", f"{milliseconds}ms").replace("$__range", "1d")
    return promql_parser.parse(filled)


def test_template_datasource_rule(dashboard: Json) -> None:
    """The data source can be chosen, and is called as usual."""
    (variable,) = [each for each in dashboard["templating"]["list"] if each["type"] == "datasource"]
    assert (variable["name"], variable["label"], variable["query"]) == ("datasource", "Data source", "prometheus")


@pytest.mark.parametrize("name", ["job", "instance"])
def test_template_job_and_instance_rules(dashboard: Json, name: str) -> None:
    """Job and instance are queries to the chosen data source, several can be chosen, and all means any."""
    variable = variable_of(dashboard, name)
    assert variable["datasource"]["uid"] == "${datasource}"
    assert variable["type"] == "query"
    assert variable["label"] == name.title()
    assert variable["multi"]
    assert variable["includeAll"]
    assert variable["allValue"] == ".+"


def test_template_label_promql_rule(dashboard: Json) -> None:
    """Every variable asks by a function of the data source, with a valid selector or expression within."""
    for variable in queries_of(dashboard):
        match = re.fullmatch(r"(label_values|query_result)\((.+)\)", variable["query"]["query"])
        assert match, variable["name"]
        expression = match[2].rpartition(", ")[0] if match[1] == "label_values" else match[2]
        assert parsed(expression) is not None


def test_template_on_time_change_reload_rule(dashboard: Json) -> None:
    """Variables follow the time range."""
    assert {variable["refresh"] for variable in queries_of(dashboard)} == {2}


def test_panel_datasource_rule(dashboard: Json) -> None:
    """Panels, their queries, variables and annotations use the chosen data source."""
    users = [*panels_of(dashboard), *queries_of(dashboard), *dashboard["annotations"]["list"]]
    users += [target for panel in panels_of(dashboard) for target in panel["targets"]]
    assert {user["datasource"]["uid"] for user in users} == {"${datasource}"}


def test_panel_units_rule(dashboard: Json) -> None:
    """Panels and columns have units that Grafana knows."""
    for panel in panels_of(dashboard):
        units = {panel["fieldConfig"]["defaults"]["unit"]}
        for override in panel["fieldConfig"]["overrides"]:
            units |= {each["value"] for each in override["properties"] if each["id"] == "unit"}
        assert units <= UNITS, panel["title"]


def test_panel_no_targets_rule(dashboard: Json) -> None:
    """Every panel asks something."""
    assert all(panel["targets"] for panel in panels_of(dashboard))


def test_target_logql_rules(dashboard: Json) -> None:
    """Nothing asks Loki, so that the linter's two rules about LogQL have nothing to find."""
    types = {target["datasource"]["type"] for panel in panels_of(dashboard) for target in panel["targets"]}
    assert types == {"prometheus"}


def test_target_promql_rule(dashboard: Json) -> None:
    """Every expression is valid PromQL and asks for something."""
    for expression in expressions_of(dashboard):
        assert selectors_of(parsed(expression)), expression


def test_target_rate_interval_rule(dashboard: Json) -> None:
    """Rates are taken over the interval that Grafana computes."""
    for expression in expressions_of(dashboard):
        for node, above in walk(parsed(expression)):
            if isinstance(node, promql_parser.MatrixSelector):
                assert above[-1].func.name not in RATES or node.range == RATE_INTERVAL, expression


@pytest.mark.parametrize("label", ["job", "instance"])
def test_target_job_and_instance_rules(dashboard: Json, label: str) -> None:
    """Every selector heeds what was chosen."""
    for expression in expressions_of(dashboard):
        for selector, _ in selectors_of(parsed(expression)):
            matchers = [(each.name, str(each.op), each.value) for each in selector.matchers.matchers]
            assert (label, str(promql_parser.MatchOp.Re), f"${label}") in matchers, selector.name


def test_target_counter_agg_rule(dashboard: Json) -> None:
    """Counters are only looked at through rate, irate or increase."""
    for expression in expressions_of(dashboard):
        for selector, above in selectors_of(parsed(expression)):
            if selector.name and selector.name.endswith("_total"):
                assert isinstance(above[-1], promql_parser.MatrixSelector), expression
                assert above[-2].func.name in RATES, expression


def test_uneditable_dashboard(dashboard: Json) -> None:
    """What is provisioned from a file is not edited in the browser."""
    assert dashboard["editable"] is False
