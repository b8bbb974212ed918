"""The options of writing the alerts out, to the letter: what passes, what is refused, and what is never touched."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from gigas_exporter.bundle import alerts
from gigas_exporter.bundle.alerts import DASHBOARD_BASE, EXPORTER_LABELS, RULE_FILES, RUNBOOK_BASE, write_alerts
from gigas_exporter.bundle.promql import Matcher, parse_selector, select
from gigas_exporter.errors import ConfigError
from gigas_exporter.metrics.families import FAMILIES
from support.programs import tool

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "alerts"
RULES = [SHIPPED / name for name in RULE_FILES]
ANYTHING: Mapping[str, Any] = {
    "format": "prometheus",
    "labels": {},
    "selector": None,
    "runbook_base": None,
    "dashboard_base": None,
}
Rule = dict[str, Any]
Write = Callable[..., list[Path]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes the rules out with some options."""

    def into(directory: Path = tmp_path / "out", **options: Any) -> list[Path]:
        return write_alerts(directory, **{**ANYTHING, **options})

    return into


def rules_in(paths: list[Path]) -> Iterator[Rule]:
    """Yield every rule of rule files or of PrometheusRules."""
    for path in paths:
        if path.name.endswith((".rules.yml", ".prometheusrule.yaml")):
            whole = yaml.safe_load(path.read_text(encoding="utf-8"))
            for group in whole.get("spec", whole)["groups"]:
                yield from group["rules"]


def promtool(*arguments: str | Path) -> str:
    """Run promtool and return what it says; it must be content."""
    done = subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def selectors(node: Any) -> Iterator[Any]:
    """Yield every vector selector of a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for attribute in ("expr", "lhs", "rhs", "param", "selector", "vector_selector"):
        child = getattr(node, attribute, None)
        if isinstance(child, promql_parser.Expr):
            yield from selectors(child)
    for argument in getattr(node, "args", None) or ():
        yield from selectors(argument)


def matched(expression: str) -> list[tuple[str, set[str]]]:
    """Return of each vector selector its metric and its matchers as text."""
    found = []
    for selector in selectors(promql_parser.parse(expression)):
        matchers = selector.matchers.matchers
        found.append((selector.name or "", {f'{m.name}{operator(m)}"{m.value}"' for m in matchers}))
    return found


def operator(matcher: Any) -> str:
    """Return a parsed matcher's operator as it is written."""
    return {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}[str(matcher.op).rpartition(".")[2]]


def test_without_options_files_are_the_shipped_ones(write: Write, tmp_path: Path) -> None:
    """Rules, runbooks and the Alertmanager example pass through unchanged, into a directory that is made."""
    written = write(tmp_path / "new" / "one")
    sources = [*RULES, *SHIPPED.glob("runbooks/*.md"), *SHIPPED.glob("alertmanager.example.yml")]
    names = [path.relative_to(SHIPPED).as_posix() for path in sources]
    assert {path.name for path in RULES} == {path.name for path in SHIPPED.glob("*.rules.yml")}
    assert sorted(path.relative_to(tmp_path / "new" / "one").as_posix() for path in written) == sorted(names)
    for path in written:
        assert path.read_bytes() == (SHIPPED / path.relative_to(tmp_path / "new" / "one")).read_bytes()


def test_files_that_stand_there_are_replaced_and_others_stay(write: Write, tmp_path: Path) -> None:
    """A second writing replaces what the first wrote, leaves no temporary file, and touches nothing else."""
    (tmp_path / "mine.rules.yml").write_text("groups: []\n")
    before = write(tmp_path, labels={"team": "a"})
    assert write(tmp_path, labels={"team": "b"}) == before
    assert {rule["labels"]["team"] for rule in rules_in(before) if "alert" in rule} == {"b"}
    assert (tmp_path / "mine.rules.yml").read_text() == "groups: []\n"
    assert not list(tmp_path.rglob(".*"))


HARD_SELECTORS = [
    'cluster="eu"',
    '{cluster="eu", env!="test",}',
    "cluster='it''s'".replace("''", "\\'"),
    'job=~"gigas.*",instance!~"10[.].*"',
    'cluster="a\\"b\\\\c\\u00e9\\n"'.replace("\\n", ""),
    "cluster=`back\\slash`",
    'cluster=~"eu|us", zone=""',
    'cluster="{not} a [range]"',
]


@pytest.mark.parametrize("form", ["prometheus", "kubernetes"])
@pytest.mark.parametrize("selector", [None, *HARD_SELECTORS])
def test_promtool_takes_what_was_written(form: str, selector: str | None, write: Write, tmp_path: Path) -> None:
    """With every option at once, each rule is there and valid."""
    options = {"labels": {"team": "storage", "note": "'yes' }} # : {"}, "selector": selector}
    bases = {"runbook_base": "https://wiki.example.com/r/", "dashboard_base": "http://[::1]:3000/grafana"}
    written = [
        path for path in write(format=form, **options, **bases) if path.name.endswith(("rules.yml", "rule.yaml"))
    ]
    assert len(written) == len(RULES)
    for path in written:
        whole = yaml.safe_load(path.read_text(encoding="utf-8"))
        plain = tmp_path / f"{path.stem}.check.yml"
        plain.write_text(yaml.safe_dump(whole.get("spec", whole)))
        assert re.search(r"SUCCESS: [1-9]\d* rules found", promtool("check", "rules", plain))
    assert len(list(rules_in(written))) == len(list(rules_in(RULES)))


def test_labels_are_on_every_alert_and_on_nothing_else(write: Write) -> None:
    """Each alert keeps its labels and gets the new one; recorded series are as before."""
    written = write(labels={"team": "storage"})
    for before, after in zip(rules_in(RULES), rules_in(written), strict=True):
        if "alert" in before:
            assert after == {**before, "labels": {**before["labels"], "team": "storage"}}
        else:
            assert after == before


def test_links_begin_with_the_given_bases(write: Write) -> None:
    """Every link has its new base once, its end is as before, and templates in it survive."""
    written = write(runbook_base="https://wiki.example.com/r/", dashboard_base="https://grafana.example.com/sub")
    for before, after in zip(rules_in(RULES), rules_in(written), strict=True):
        if "alert" not in before:
            continue
        old, new = before["annotations"], after["annotations"]
        assert new["runbook_url"] == "https://wiki.example.com/r" + old["runbook_url"].removeprefix(RUNBOOK_BASE)
        assert new["dashboard_url"] == "https://grafana.example.com/sub" + old["dashboard_url"].removeprefix(
            DASHBOARD_BASE
        )
        assert old["runbook_url"].startswith(f"{RUNBOOK_BASE}/")
        assert old["dashboard_url"].startswith(f"{DASHBOARD_BASE}/")
        others = old.keys() - {"runbook_url", "dashboard_url"}
        assert {name: new[name] for name in others} == {name: old[name] for name in others}


@pytest.mark.parametrize("matcher", ['cluster="eu"', 'job="gigas"', 'job=~"gigas.*"', 'instance!~"a|b"'])
def test_selector_is_in_every_vector_selector(matcher: str, write: Write) -> None:
    """Each selector, of metrics and of recorded series, has the matcher once besides those that it had."""
    for before, after in zip(rules_in(RULES), rules_in(write(selector=matcher)), strict=True):
        expected = [(metric, matchers | {matcher}) for metric, matchers in matched(before["expr"])]
        assert expected
        assert matched(after["expr"]) == expected
        assert after["expr"].count(matcher) == len(expected)


def test_labels_that_are_selected_by_are_kept(write: Write) -> None:
    """Where rules aggregate or join, the selector's labels are kept, so that what is recorded can be selected too."""
    for before, after in zip(rules_in(RULES), rules_in(write(selector='cluster=~"eu|us"')), strict=True):
        plain = re.sub(r'\{cluster=~"eu\|us"\}|cluster=~"eu\|us", ', "", after["expr"])
        assert plain.replace(", cluster)", ")") == before["expr"]
        for clause in re.findall(r"\b(?:by|on) \(([^)]+)\)", after["expr"]):
            assert clause.endswith(", cluster")
        assert after.get("labels") == before.get("labels")


def test_operations_match_also_where_targets_have_more_labels() -> None:
    """No operation pairs series that kept a target's other labels with some that lost them: none would be found."""

    def keeps(node: Any) -> bool | None:
        """Return whether the result has the target's other labels; ``None`` for a number."""
        if isinstance(node, promql_parser.VectorSelector):
            return ":" not in (node.name or "") and not (node.name or "").startswith("ALERTS")
        if isinstance(node, promql_parser.NumberLiteral | promql_parser.StringLiteral):
            return None
        if isinstance(node, promql_parser.AggregateExpr):
            keeps(node.expr)
            by_nothing_else = node.modifier is not None and "By" in str(node.modifier.type)
            picks = str(node.op) in {"topk", "bottomk"}
            return keeps(node.expr) if picks else not by_nothing_else
        if isinstance(node, promql_parser.Call):
            kept = [kept for kept in map(keeps, node.args) if kept is not None]
            return kept[0] if kept else None
        if isinstance(node, promql_parser.BinaryExpr):
            left, right = keeps(node.lhs), keeps(node.rhs)
            matching = node.modifier.matching if node.modifier is not None else None
            if left is not None and right is not None and matching is None:
                assert left == right, expression
            return right if left is None else left
        inner = getattr(node, "expr", None) or getattr(node, "vector_selector", None) or node.selector
        return keeps(inner)

    for rule in rules_in(RULES):
        expression = rule["expr"]
        keeps(promql_parser.parse(expression))


SERIES = """
  - {series: 'up{%s}', values: '1+0x90'}
  - {series: 'gigas_exporter_build_info{%s, version="1"}', values: '1+0x90'}
  - {series: 'gigas_up{%s, account_id="1"}', values: '1+0x90'}
  - {series: 'gigas_disk_info{%s, account_id="1", disk_id="2", virtual_machine_id="3"}', values: '1+0x90'}
  - {series: 'gigas_disk_error{%s, account_id="1", disk_id="2", virtual_machine_id="3"}', values: '1+0x90'}
"""


def test_written_rules_fire_for_the_selected_cluster_only(write: Write, tmp_path: Path) -> None:
    """Of two clusters with equal targets the chosen one alerts, with the labels that were asked for, as they are."""
    written = write(selector='cluster="eu"', labels={"note": "call }} me", "team": "storage"})
    rules = [path for path in written if path.name.endswith(".rules.yml")]
    series = "".join(
        SERIES.replace("%s", f'job="gigas", instance="a", cluster="{cluster}"') for cluster in ("eu", "us")
    )
    firing = (
        'count by (alertname, cluster, team, note) (ALERTS{alertname=~"GigasDiskError|GigasExporter.*", '
        'alertstate="firing"})'
    )
    labels = '{alertname="GigasDiskError", cluster="eu", note="call }} me", team="storage"}'
    (tmp_path / "cluster.test.yml").write_text(
        f"rule_files: [{', '.join(map(str, rules))}]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n"
        f"  input_series:{series}"
        f"  promql_expr_test:\n  - expr: '{firing}'\n    eval_time: 90m\n"
        f"    exp_samples: [{{labels: '{labels}', value: 1}}]\n"
    )
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "cluster.test.yml")


def test_kubernetes_objects_have_names_and_labels(write: Write, tmp_path: Path) -> None:
    """One PrometheusRule a rule file, with a name that Kubernetes takes and all rules; no Alertmanager file."""
    written = write(format="kubernetes", labels={"team": "storage"})
    objects = [path for path in written if path.suffix != ".md"]
    assert [path.suffixes for path in objects] == [[".prometheusrule", ".yaml"]] * len(RULES)
    for path, source in zip(objects, RULES, strict=True):
        whole = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert (whole["apiVersion"], whole["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", whole["metadata"]["name"])
        assert whole["metadata"]["labels"]["app.kubernetes.io/name"] == "gigas-exporter"
        groups = yaml.safe_load(source.read_text(encoding="utf-8"))["groups"]
        assert [group["name"] for group in whole["spec"]["groups"]] == [group["name"] for group in groups]
    assert not {path.name for path in objects} & {f"{path.stem}.yaml" for path in (ROOT / "dashboards").glob("*.json")}


def test_comment_at_the_head_of_a_file_stays(write: Write) -> None:
    """The lines that say what a file is, and whose, are there also when its rules were changed."""
    written = write(labels={"team": "storage"})
    for path in written:
        if path.name.endswith(".rules.yml"):
            head = (SHIPPED / path.name).read_text(encoding="utf-8").partition("groups:")[0]
            assert head.startswith("# pint file/owner")
            assert path.read_text(encoding="utf-8").startswith(head)


def test_labels_that_the_exporter_sets_are_known() -> None:
    """The labels that nobody else may set are those of the metrics, and the buckets'."""
    assert {label for family in FAMILIES for label in family.labels} | {"le"} == EXPORTER_LABELS


TAKEN = "the alerts have this label already"
PRINTABLE = "the value is empty or cannot be printed"
ADDRESS = "write it as https://host/path"
MATCHERS = 'write it as label="value", with =, !=, =~ or !~, and commas between'
TARGETS = "only labels of targets can be selected"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"labels": {"1a": "x"}}, "--label 1a: a label's name has letters"),
        ({"labels": {"a-b": "x"}}, "--label a-b: a label's name has letters"),
        ({"labels": {"__a": "x"}}, "--label __a: a label's name has letters"),
        ({"labels": {"severity": "info"}}, TAKEN),
        ({"labels": {"disk_id": "1"}}, TAKEN),
        ({"labels": {"job": "x"}}, TAKEN),
        ({"labels": {"team": ""}}, PRINTABLE),
        ({"labels": {"team": "a\nb"}}, PRINTABLE),
        ({"labels": {"team": "{{ $value }}"}}, "the value must not hold a template"),
        ({"selector": "cluster"}, MATCHERS),
        ({"selector": "cluster=eu"}, MATCHERS),
        ({"selector": 'cluster="eu" env="x"'}, "a comma is missing"),
        ({"selector": 'cluster=="eu"'}, MATCHERS),
        ({"selector": 'cluster="eu'}, MATCHERS),
        ({"selector": 'a-b="eu"'}, MATCHERS),
        ({"selector": ',cluster="eu"'}, MATCHERS),
        ({"selector": 'cluster="eu"} or up{a="b"'}, "a comma is missing"),
        ({"selector": ""}, "it names no label"),
        ({"selector": "{}"}, "it names no label"),
        ({"selector": 'cluster="a\nb"'}, "cannot be printed"),
        ({"selector": 'cluster="\\q"'}, "\\q is no escape sequence"),
        ({"selector": 'cluster="\\\'"'}, "\\' is no escape sequence"),
        ({"selector": 'cluster="\\777"'}, "is no escape sequence"),
        ({"selector": 'cluster="\\ud800"'}, "is no escape sequence"),
        ({"selector": 'cluster="\\U00110000"'}, "is no escape sequence"),
        ({"selector": 'cluster=~"("'}, '"(" is no regular expression'),
        ({"selector": 'cluster!~"(?=a)"'}, "Go's regular expressions"),
        ({"selector": 'cluster=~"a++"'}, "Go's regular expressions"),
        ({"selector": 'account_id="4242"'}, TARGETS),
        ({"selector": 'alertname="X"'}, TARGETS),
        ({"selector": '__address__="x"'}, TARGETS),
        ({"selector": '__name__="up"'}, "it must not say which metric is read"),
        ({"runbook_base": "wiki"}, f"--runbook-base wiki: {ADDRESS}"),
        ({"runbook_base": "ftp://wiki/x"}, ADDRESS),
        ({"runbook_base": ""}, ADDRESS),
        ({"runbook_base": "https://"}, ADDRESS),
        ({"dashboard_base": "https://x/?a=b"}, f"--dashboard-base https://x/?a=b: {ADDRESS}"),
        ({"dashboard_base": "https://x/#a"}, ADDRESS),
        ({"dashboard_base": "https://x/{{ .A }}"}, ADDRESS),
        ({"dashboard_base": "https://x/a b"}, ADDRESS),
        ({"dashboard_base": "https://x/a\n"}, ADDRESS),
        ({"dashboard_base": "https://[x/"}, ADDRESS),
        ({"dashboard_base": "https://x:99999/"}, ADDRESS),
        ({"dashboard_base": "https://me:hunter2@x/"}, "no user and no password"),
    ],
)
def test_bad_option_is_one_line_and_writes_nothing(
    options: dict[str, Any], problem: str, write: Write, tmp_path: Path
) -> None:
    """What promtool or readers would stumble over is refused before the first file."""
    with pytest.raises(ConfigError) as raised:
        write(**options)
    message = str(raised.value)
    assert problem in message
    assert "hunter2" not in message
    assert len(message.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


CLUSTER = (Matcher("c", "=", '"1"'),)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("up", 'up{c="1"}'),
        ("up{}", 'up{c="1"}'),
        ('up{a="}{", b=`"`}', 'up{c="1", a="}{", b=`"`}'),
        ('{__name__="up"}', '{c="1", __name__="up"}'),
        ("rate(a:b_total[5m:30s] offset 1d)", 'rate(a:b_total{c="1"}[5m:30s] offset 1d)'),
        ("up @ start() + up @ 1.5e3", 'up{c="1"} @ start() + up{c="1"} @ 1.5e3'),
        ("sum by (up) (up)", 'sum by (up, c) (up{c="1"})'),
        ("sum(up) by (up, c)", 'sum(up{c="1"}) by (up, c)'),
        ("count WITHOUT (a, b) (up)", 'count WITHOUT (a, b) (up{c="1"})'),
        ("a and on () b", 'a{c="1"} and on () b{c="1"}'),
        ("a * on (x) group_left b", 'a{c="1"} * on (x, c) group_left b{c="1"}'),
        ("a / ignoring (x) group_right (y) b", 'a{c="1"} / ignoring (x) group_right (y) b{c="1"}'),
        ("a > bool 0x1F or -Inf unless nan", 'a{c="1"} > bool 0x1F or -Inf unless nan'),
        ('label_replace(a, "up", "$1", "up", "(.+)")', 'label_replace(a{c="1"}, "up", "$1", "up", "(.+)")'),
        ("a # up is not meant\n+ b", 'a{c="1"} # up is not meant\n+ b{c="1"}'),
        ("time() - 5 * 1h", "time() - 5 * 1h"),
        ("topk by (x) (1, a)", 'topk by (x, c) (1, a{c="1"})'),
    ],
)
def test_matchers_go_into_selectors_and_nowhere_else(before: str, after: str) -> None:
    """Strings, comments, label lists, ranges, functions and words of the language stay as they are."""
    assert select(before, CLUSTER) == after


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a='x\\'y'", ["'x\\'y'"]),
        ('{a="\\x41\\102\\u0043\\U00000044"}', ['"\\x41\\102\\u0043\\U00000044"']),
        ('a="b", c=~`\\d+[[:alpha:]]` ,', ['"b"', "`\\d+[[:alpha:]]`"]),
    ],
)
def test_values_of_matchers_stay_as_they_were_written(text: str, values: list[str]) -> None:
    """Quotes and escapes of each kind are taken, and what was read is read again from how it is written."""
    found = parse_selector(text)
    assert [each.value for each in found] == values
    assert parse_selector(", ".join(map(str, found))) == found


def test_file_in_place_of_the_directory_is_one_line(write: Write, tmp_path: Path) -> None:
    """What cannot be written to is named."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError) as raised:
        write(tmp_path / "taken")
    assert str(raised.value) == f"cannot create {tmp_path / 'taken'}: File exists"


def test_directory_in_place_of_a_file_is_one_line(write: Write, tmp_path: Path) -> None:
    """A file that cannot be replaced is named."""
    (tmp_path / "gigas-disks.rules.yml").mkdir()
    with pytest.raises(ConfigError) as raised:
        write(tmp_path)
    assert str(raised.value) == f"cannot write {tmp_path / 'gigas-disks.rules.yml'}: Is a directory"


def test_installation_without_rules_says_so(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing was shipped, nothing is written and that is no success."""
    monkeypatch.setattr(alerts, "bundled_directory", lambda _: tmp_path)
    with pytest.raises(ConfigError, match=f"^this installation has no {RULE_FILES[0]}$"):
        write()
