"""Writing the alerts out: labels, selectors and links of one's own, and the Prometheus operator's objects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from alerts.test_alerts_lint import _selectors
from gigas_exporter.bundle.alerts import RULE_FILES, write_alerts
from gigas_exporter.bundle.alerts_reference import alerts_reference
from gigas_exporter.bundle.promql import parse_selector, select
from gigas_exporter.errors import ConfigError
from support.programs import tool

EU = 'cluster="eu"'


def write(directory: Path, **changes: Any) -> list[Path]:
    """Write the alerts, unchanged where nothing is said."""
    options: dict[str, Any] = {"format": "prometheus", "labels": {}, "selector": None}
    return write_alerts(directory, **{**options, "runbook_base": None, "dashboard_base": None, **changes})


def promtool(*arguments: str | Path) -> None:
    """Run promtool, and fail with what it says."""
    done = subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, (done.stdout + done.stderr)[:3000]


def written(directory: Path) -> list[dict[str, Any]]:
    """Read the rules that were written."""
    files = [yaml.safe_load((directory / name).read_text(encoding="utf-8")) for name in RULE_FILES]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ("up", 'up{cluster="eu"}'),
        ("up{}", 'up{cluster="eu"}'),
        ('up{job="by"} == 0', 'up{cluster="eu", job="by"} == 0'),
        ('{__name__=~"gigas_.+"}', '{cluster="eu", __name__=~"gigas_.+"}'),
        ("a:b:c offset 1h", 'a:b:c{cluster="eu"} offset 1h'),
        ("rate(x_total[5m])", 'rate(x_total{cluster="eu"}[5m])'),
        ("max_over_time(x[2d:1h] offset -5m)", 'max_over_time(x{cluster="eu"}[2d:1h] offset -5m)'),
        ("sum by (job, le) (x)", 'sum by (job, le, cluster) (x{cluster="eu"})'),
        ("sum(x) by (job)", 'sum(x{cluster="eu"}) by (job, cluster)'),
        ("SUM BY (cluster) (x)", 'SUM BY (cluster) (x{cluster="eu"})'),
        ("sum without (a) (x)", 'sum without (a) (x{cluster="eu"})'),
        ("sum by () (x)", 'sum by () (x{cluster="eu"})'),
        (
            "x * on (job) group_left (name) y or on () z",
            'x{cluster="eu"} * on (job, cluster) group_left (name) y{cluster="eu"} or on () z{cluster="eu"}',
        ),
        ("x > bool ignoring (le) y", 'x{cluster="eu"} > bool ignoring (le) y{cluster="eu"}'),
        ("x * on (job) group_left y", 'x{cluster="eu"} * on (job, cluster) group_left y{cluster="eu"}'),
        ("vector(1e3) + 0x1F + Inf - .5", "vector(1e3) + 0x1F + Inf - .5"),
        (
            'label_replace(x, "a", "$1 {b}", "c", \'(d)\')',
            'label_replace(x{cluster="eu"}, "a", "$1 {b}", "c", \'(d)\')',
        ),
        ('x{a="}", b=`"{`} # y{', 'x{cluster="eu", a="}", b=`"{`} # y{'),
        ("time() - x @ end()", 'time() - x{cluster="eu"} @ end()'),
        ("topk by (job) (1, x) atan2 y", 'topk by (job, cluster) (1, x{cluster="eu"}) atan2 y{cluster="eu"}'),
    ],
)
def test_a_selector_is_put_where_series_are_selected_and_nowhere_else(expression: str, selected: str) -> None:
    """Strings, ranges, functions, keywords and lists of labels are no selectors."""
    assert select(expression, parse_selector(EU)) == selected


@pytest.mark.parametrize(
    "selector", [EU, f"{{{EU}}}", ' cluster = "eu" , ', 'cluster=~"eu|us", env!="test"', "a!~`x.`"]
)
def test_a_selector_is_put_into_every_selector_of_every_rule(tmp_path: Path, selector: str) -> None:
    """Every selector of every expression has the matchers, and promtool still takes the rules."""
    write(tmp_path, selector=selector)
    wanted = parse_selector(selector)
    for rule in written(tmp_path):
        for each in _selectors(rule["expr"]):
            assert len([one for one in each.matchers.matchers if one.name in {m.label for m in wanted}]) == len(wanted)
    promtool("check", "rules", *(tmp_path / name for name in RULE_FILES))


def test_without_options_the_rules_are_the_shipped_ones(tmp_path: Path, rules: list[dict[str, Any]]) -> None:
    """What is written means what is shipped, and nothing is left out."""
    paths = write(tmp_path / "new" / "directory")
    assert written(tmp_path / "new" / "directory") == rules
    names = {path.relative_to(tmp_path / "new" / "directory").as_posix() for path in paths}
    assert {*RULE_FILES, "alertmanager.example.yml", "runbooks/GigasDiskError.md"} <= names
    assert all(path.is_file() for path in paths)


def _changed_tests(source: Path, target: Path, labels: dict[str, str], series_label: str | None) -> None:
    """Copy promtool's tests, with labels that the alerts have more, and a label that every series has more."""
    content = yaml.load(source.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    for test in content["tests"]:
        for series in test["input_series"] if series_label else ():
            series["series"] = series["series"].replace("{", f"{{{series_label}, ", 1)
        for expected in test.get("alert_rule_test", ()):
            for alert in expected["exp_alerts"]:
                with_job = "job" in alert["exp_labels"]
                more = {"cluster": "eu"} if series_label and (with_job or "Absent" in expected["alertname"]) else {}
                alert["exp_labels"] |= labels | more
    target.write_text(yaml.dump(content, Dumper=yaml.CSafeDumper), encoding="utf-8")


@pytest.mark.parametrize("selector", [None, EU])
def test_the_shipped_tests_hold_for_what_is_written(directory: Path, tmp_path: Path, selector: str | None) -> None:
    """With more labels, and with a selector on series of that cluster, the alerts fire as before."""
    write(tmp_path, labels={"team": "storage"}, selector=selector)
    (tmp_path / "tests").mkdir()
    target = tmp_path / "tests/exporter.test.yml"
    _changed_tests(directory / "tests/exporter.test.yml", target, {"team": "storage"}, selector)
    promtool("test", "rules", target)


def test_disks_of_two_clusters_stay_apart(directory: Path, tmp_path: Path) -> None:
    """With a selector, series of another cluster are not seen, and a disk's alert keeps its cluster."""
    write(tmp_path, selector=EU)
    (tmp_path / "tests").mkdir()
    content = yaml.load((directory / "tests/disks.test.yml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    test = next(each for each in content["tests"] if each["name"] == "fires: GigasDiskError")
    theirs = [{**each, "series": each["series"].replace("{", '{cluster="us", ', 1)} for each in test["input_series"]]
    for each in test["input_series"]:
        each["series"] = each["series"].replace("{", f"{{{EU}, ", 1)
    test["input_series"] += theirs
    test["alert_rule_test"][1]["exp_alerts"][0]["exp_labels"]["cluster"] = "eu"
    target = tmp_path / "tests/two.test.yml"
    target.write_text(yaml.safe_dump({**content, "tests": [test]}), encoding="utf-8")
    promtool("test", "rules", target)


def test_labels_and_links_are_those_asked_for(tmp_path: Path) -> None:
    """Labels stand on every alert and no record; links begin with the bases."""
    write(
        tmp_path,
        labels={"team": "storage", "site": 'a "b": c'},
        runbook_base="https://wiki.example.com/runbooks/",
        dashboard_base="https://example.com/grafana",
    )
    for rule in written(tmp_path):
        if "record" in rule:
            assert set(rule.get("labels", {})) <= {"alertname"}
        else:
            assert rule["labels"]["team"] == "storage"
            assert rule["labels"]["site"] == 'a "b": c'
            assert rule["annotations"]["runbook_url"] == f"https://wiki.example.com/runbooks/{rule['alert']}.md"
            assert rule["annotations"]["dashboard_url"].startswith("https://example.com/grafana/d/gigas-")
    promtool("check", "rules", *(tmp_path / name for name in RULE_FILES))


def test_the_operator_gets_the_same_rules(tmp_path: Path, rules: list[dict[str, Any]]) -> None:
    """Each file is one PrometheusRule whose spec promtool takes for a rule file."""
    paths = [path for path in write(tmp_path, format="kubernetes") if path.suffix != ".md"]
    found = []
    for path in paths:
        resource = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert (resource["apiVersion"], resource["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
        assert path.name == f"{resource['metadata']['name']}.prometheusrule.yaml"
        found += [rule for group in resource["spec"]["groups"] for rule in group["rules"]]
        spec = tmp_path / f"{path.stem}.rules.yml"
        spec.write_text(yaml.safe_dump(resource["spec"]), encoding="utf-8")
        promtool("check", "rules", spec)
    assert found == rules


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": {"1st": "x"}}, "--label 1st: "),
        ({"labels": {"__team": "x"}}, "--label __team: "),
        ({"labels": {"severity": "page"}}, "--label severity: the alerts have this label already"),
        (
            {"labels": {"cluster": "prod"}, "selector": 'cluster=~"eu|us"'},
            '--label cluster: the alerts keep this label from --selector cluster=~"eu|us"',
        ),
        ({"labels": {"team": "{{ $value }}"}}, "--label team: the value must not hold a template"),
        ({"selector": ""}, "--selector : it names no label"),
        ({"selector": "cluster"}, "--selector cluster: write it as"),
        ({"selector": "cluster=eu"}, "--selector cluster=eu: write it as"),
        ({"selector": 'a="b" c="d"'}, '--selector a="b" c="d": a comma is missing'),
        ({"selector": '__name__="up"'}, '--selector __name__="up": it must not say which metric'),
        ({"selector": 'a=~"("'}, '--selector a=~"(": "(" is no regular expression'),
        ({"selector": r'a="\d"'}, r'--selector a="\d": \d is no escape sequence'),
        ({"selector": 'a="b"} or {c="d"'}, "--selector "),
        ({"runbook_base": "wiki/runbooks"}, "--runbook-base wiki/runbooks: write it as"),
        ({"runbook_base": "https://wiki.example.com/a b"}, "--runbook-base "),
        ({"dashboard_base": "https://[::1"}, "--dashboard-base "),
        ({"dashboard_base": "https://g.example.com/{{ x }}"}, "--dashboard-base "),
    ],
)
def test_what_makes_no_valid_rules_is_refused_in_one_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """A bad argument names the option and what is wrong, and nothing is written."""
    with pytest.raises(ConfigError) as caught:
        write(tmp_path / "out", **changes)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """A file in the way is an error of one line."""
    (tmp_path / "out").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot create"):
        write(tmp_path / "out")


def test_the_page_of_the_alerts_is_generated(directory: Path, alerts: dict[str, Any]) -> None:
    """docs/alerts.md is what the command writes now, with a row for each alert."""
    done = subprocess.run(
        [sys.executable, "-m", "gigas_exporter.bundle.alerts_reference"], capture_output=True, check=True, timeout=60
    )
    text = (directory.parent / "docs/alerts.md").read_text(encoding="utf-8")
    assert done.stdout.decode() == text == alerts_reference()
    for name, rule in alerts.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
        assert f"| {rule['labels']['severity']} |" in row
        assert rule["for"] in row


def test_written_expressions_parse(tmp_path: Path) -> None:
    """A second parser of PromQL takes every expression too."""
    write(tmp_path, selector=EU)
    assert all(promql.parse(rule["expr"]) is not None for rule in written(tmp_path))
