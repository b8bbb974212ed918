"""Writing the alerts out: labels, selectors and links of one's own, what is remembered, and the operator's objects."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from alerts.test_alerts_promtool import labelled, run
from gigas_exporter.bundle import alerts as bundle
from gigas_exporter.bundle.alerts import (
    DASHBOARD_BASE,
    OPTIONAL,
    RULE_FILES,
    RUNBOOK_BASE,
    remembered,
    write_alerts,
)
from gigas_exporter.errors import ConfigError, GigasError
from support.programs import run_program, tool
from support.promql import selectors_of

SHIPPED = Path(__file__).resolve().parents[2] / "alerts"
EU = 'cluster="eu"'
GRAFANA = "https://grafana.example.com"


def write(directory: Path, **changes: Any) -> list[Path]:
    """Write all alerts, unchanged where nothing is said."""
    return write_alerts(directory, **{"format": "prometheus", "labels": {}, "with_optional": True, **changes})


def written(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield every rule of rule files or of PrometheusRules."""
    for path in sorted([*directory.glob("*.rules.yml"), *directory.glob("*.prometheusrule.yaml")]):
        whole = yaml.safe_load(path.read_text(encoding="utf-8"))
        for group in whole.get("spec", whole)["groups"]:
            yield from group["rules"]


def test_without_options_the_files_are_the_shipped_ones(tmp_path: Path) -> None:
    """Each file is what is shipped, to the byte, and without being asked for the optional one is not written."""
    write(tmp_path / "new" / "directory")
    for name in (*RULE_FILES, "alertmanager.example.yml", "runbooks/GigasDiskError.md"):
        assert (tmp_path / "new/directory" / name).read_bytes() == (SHIPPED / name).read_bytes()
    assert OPTIONAL not in {path.name for path in write(tmp_path / "other", with_optional=False)}


def test_optional_alerts_that_are_there_are_kept_up_to_date(tmp_path: Path) -> None:
    """An upgrade does not leave an old copy behind."""
    (tmp_path / OPTIONAL).write_text("old", encoding="utf-8")
    write(tmp_path, with_optional=False)
    assert (tmp_path / OPTIONAL).read_bytes() == (SHIPPED / OPTIONAL).read_bytes()


@pytest.mark.parametrize(
    ("selector", "matchers"),
    [
        (EU, {EU}),
        (f" {{ {EU} , }} ", {EU}),
        ('cluster=~"eu|us", env!="te\\"st"', {'cluster=~"eu|us"', 'env!="te\\"st"'}),
        ('a!~"x\\\\.[0-9]{2}"', {'a!~"x\\\\.[0-9]{2}"'}),
    ],
)
def test_a_selector_is_put_into_every_selector_of_every_rule(tmp_path: Path, selector: str, matchers: set[str]) -> None:
    """Every selector of every expression has the matchers, nothing else is changed, and promtool takes the rules."""
    write(tmp_path, selector=selector)
    shipped = list(written(SHIPPED))
    for before, after in zip(shipped, written(tmp_path), strict=True):
        names = {re.match(r"\w+", matcher)[0] for matcher in matchers}  # type: ignore[index]
        selectors = [each for each, _ in selectors_of(promql_parser.parse(after["expr"]))]
        counts = [len([m for m in each.matchers.matchers if m.name in names]) for each in selectors]
        assert set(counts) == {len(matchers)}
        assert len(counts) == len(selectors_of(promql_parser.parse(before["expr"])))
        assert {**after, "expr": ""} == {**before, "expr": ""}
        bare = after["expr"].replace(", ".join(sorted(matchers)), "").replace("{, ", "{").replace("{}", "")
        assert bare == before["expr"]
    run(tool("promtool"), "check", "rules", *(tmp_path / name for name in RULE_FILES))


def test_the_cases_hold_for_what_is_written(tmp_path: Path) -> None:
    """With more labels, and with a selector on series of that cluster, the alerts fire as before."""
    write(tmp_path, labels={"team": "storage"}, selector=EU)
    cases = labelled(SHIPPED / "tests/particular.test.yml", tmp_path / "series.yml", {"cluster": "eu"}, series=True)
    text = labelled(cases, tmp_path / "labels.yml", {"team": "storage"}).read_text(encoding="utf-8")
    (tmp_path / "labels.yml").write_text(text.replace(str(SHIPPED), str(tmp_path)), encoding="utf-8")
    run(tool("promtool"), "test", "rules", tmp_path / "labels.yml")


def test_series_of_another_cluster_are_not_seen(tmp_path: Path) -> None:
    """With a selector, the cases of another cluster fire nothing, but that the selected one has no exporter."""
    write(tmp_path, selector=EU)
    cases = labelled(SHIPPED / "tests/particular.test.yml", tmp_path / "us.yml", {"cluster": "us"}, series=True)
    content = yaml.safe_load(cases.read_text(encoding="utf-8").replace(str(SHIPPED), str(tmp_path)))
    for test in content["tests"]:
        test["alert_rule_test"] = [
            {**expected, "exp_alerts": []}
            for expected in test["alert_rule_test"]
            if expected["alertname"] != "GigasExporterAbsent"
        ]
    cases.write_text(yaml.safe_dump(content), encoding="utf-8")
    run(tool("promtool"), "test", "rules", cases)


def test_labels_and_links_are_those_asked_for(tmp_path: Path) -> None:
    """Labels stand on every alert, and links begin with the bases."""
    labels = {"team": "storage", "site": 'a "b": c'}
    write(tmp_path, labels=labels, runbook_base="https://wiki.example.com/runbooks/", dashboard_base=f"{GRAFANA}/x")
    for rule in written(tmp_path):
        assert labels.items() <= rule["labels"].items()
        assert rule["annotations"]["runbook_url"] == f"https://wiki.example.com/runbooks/{rule['alert']}.md"
        assert rule["annotations"]["dashboard_url"].startswith(f"{GRAFANA}/x/d/gigas-")
    run(tool("promtool"), "check", "rules", *(tmp_path / name for name in RULE_FILES))


@pytest.mark.parametrize("form", ["prometheus", "kubernetes"])
def test_what_was_given_is_remembered_where_rules_are_written(tmp_path: Path, form: str) -> None:
    """An update keeps who is told, which site is meant and where links lead; others take their place."""
    wiki = "https://wiki.example.com"
    write(tmp_path, format=form, dashboard_base=GRAFANA)
    assert remembered(tmp_path, form) == {"--dashboard-base": [GRAFANA]}  # type: ignore[arg-type]
    labels = {"team": "storage", "note": "a=b # c"}
    write(tmp_path, format=form, labels=labels, selector='site="a"', runbook_base=wiki)
    first = list(written(tmp_path))
    assert first[0]["annotations"]["dashboard_url"].startswith(f"{GRAFANA}/d/")
    write(tmp_path, format=form)
    assert list(written(tmp_path)) == first
    write(tmp_path, format=form, labels={"team": "ops"}, selector='site="b"', dashboard_base=DASHBOARD_BASE)
    for rule in written(tmp_path):
        assert rule["labels"]["team"] == "ops"
        assert "note" not in rule["labels"]
        assert 'site="b"' in rule["expr"]
        assert 'site="a"' not in rule["expr"]
        assert rule["annotations"]["dashboard_url"].startswith(f"{DASHBOARD_BASE}/d/")
        assert rule["annotations"]["runbook_url"].startswith(f"{wiki}/")


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("prometheus", {"gigas.recording.rules.yml", "gigas-disks.rules.yml", "gigas-exporter.rules.yml"}),
        ("kubernetes", {"gigas-recording.prometheusrule.yaml", "gigas-disks.prometheusrule.yaml"}),
    ],
)
def test_rule_files_of_earlier_versions_are_named_and_replaced_on_demand(
    tmp_path: Path, form: str, names: set[str]
) -> None:
    """Beside them nothing is written; with --replace they go, and a stranger's file of that name stays."""
    for name in names:
        (tmp_path / name).write_text("groups: [{rules: [{expr: gigas_up}]}]", encoding="utf-8")
    with pytest.raises(GigasError) as raised:
        write(tmp_path, format=form)
    assert not isinstance(raised.value, ConfigError), "that would be exit 2"
    assert all(name in str(raised.value) for name in names)
    assert "--replace" in str(raised.value)
    assert {path.name for path in tmp_path.iterdir()} == names
    stranger = tmp_path / "gigas-exporter.prometheusrule.yaml"
    stranger.write_text("mine: true", encoding="utf-8")
    removed: list[Path] = []
    write(tmp_path, format=form, replace=True, on_removed=removed.append)
    assert {path.name for path in removed} == names
    assert not names & {path.name for path in tmp_path.iterdir()}
    assert stranger.exists()


def test_the_operator_gets_the_same_rules(tmp_path: Path) -> None:
    """Each file is one PrometheusRule with a name that Kubernetes takes, and no other YAML is written."""
    objects = [path for path in write(tmp_path, format="kubernetes") if path.suffix != ".md"]
    assert [path.name for path in objects] == ["gigas.prometheusrule.yaml", "gigas-optional.prometheusrule.yaml"]
    for path in objects:
        resource = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert (resource["apiVersion"], resource["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
        assert path.name == f"{resource['metadata']['name']}.prometheusrule.yaml"
        assert resource["metadata"]["labels"]["app.kubernetes.io/name"] == "gigas-exporter"
    assert sorted(map(str, written(tmp_path))) == sorted(map(str, written(SHIPPED)))


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
        ({"labels": {"finding": "1"}}, TAKEN),
        ({"labels": {"job": "x"}}, TAKEN),
        ({"labels": {"team": ""}}, PRINTABLE),
        ({"labels": {"team": "a\nb"}}, PRINTABLE),
        ({"labels": {"team": "{{ $value }}"}}, "the value must not contain a template"),
        ({"labels": {"cluster": "x"}, "selector": EU}, "--label cluster: the alerts have this label from --selector"),
        ({"selector": "cluster"}, MATCHERS),
        ({"selector": "cluster=eu"}, MATCHERS),
        ({"selector": 'cluster="eu" env="x"'}, MATCHERS),
        ({"selector": 'cluster=="eu"'}, MATCHERS),
        ({"selector": 'cluster="eu'}, MATCHERS),
        ({"selector": 'a-b="eu"'}, MATCHERS),
        ({"selector": ',cluster="eu"'}, MATCHERS),
        ({"selector": 'cluster="eu"} or up{a="b"'}, MATCHERS),
        ({"selector": 'cluster="a\nb"'}, MATCHERS),
        ({"selector": 'cluster="\\q"'}, MATCHERS),
        ({"selector": ""}, "it names no label"),
        ({"selector": "{}"}, "it names no label"),
        ({"selector": 'cluster=~"("'}, '"(" is not a regular expression'),
        ({"selector": 'cluster!~"(?=a)"'}, "that Prometheus accepts"),
        ({"selector": 'cluster=~"a++"'}, "that Prometheus accepts"),
        ({"selector": 'account_id="4242"'}, TARGETS),
        ({"selector": 'alertname="X"'}, TARGETS),
        ({"selector": '__name__="up"'}, TARGETS),
        ({"runbook_base": "wiki"}, f"--runbook-base wiki: {ADDRESS}"),
        ({"runbook_base": "ftp://wiki/x"}, ADDRESS),
        ({"runbook_base": ""}, ADDRESS),
        ({"runbook_base": "https://"}, ADDRESS),
        ({"dashboard_base": "https://x/?a=b"}, f"--dashboard-base https://x/?a=b: {ADDRESS}"),
        ({"dashboard_base": "https://x/{{ .A }}"}, ADDRESS),
        ({"dashboard_base": "https://x/a b"}, ADDRESS),
        ({"dashboard_base": "https://x/a\n"}, ADDRESS),
        ({"dashboard_base": "https://[x/"}, ADDRESS),
        ({"dashboard_base": "https://x:99999/"}, ADDRESS),
        ({"dashboard_base": "https://me:hunter2@x/"}, "must not contain a user or password"),
    ],
)
def test_bad_option_is_one_line_and_writes_nothing(options: dict[str, Any], problem: str, tmp_path: Path) -> None:
    """What promtool or readers would stumble over is refused before the first file."""
    with pytest.raises(ConfigError) as raised:
        write(tmp_path, **options)
    message = str(raised.value)
    assert problem in message
    assert "hunter2" not in message
    assert len(message.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A file in place of the directory, or a directory in place of a file, is named."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(GigasError, match=f"^cannot write into {tmp_path}/taken: File exists$") as parent:
        write(tmp_path / "taken")
    (tmp_path / "gigas.rules.yml").mkdir()
    with pytest.raises(GigasError, match=r"gigas\.rules\.yml: Is a directory$") as file:
        write(tmp_path)
    assert not {type(parent.value), type(file.value)} & {ConfigError}, "that would be exit 2"


def test_installation_without_rules_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing was shipped, nothing is written and that is no success."""
    monkeypatch.setattr(bundle, "bundled_directory", lambda _: tmp_path)
    with pytest.raises(ConfigError, match=f"^this installation has no {RULE_FILES[0]}$"):
        write(tmp_path / "out")


def _command(directory: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "gigas_exporter", "alerts", str(directory), *options]


def test_the_command_says_what_to_do_next(tmp_path: Path) -> None:
    """It lists the files, then says how to load them; with old files beside, it exits 1 and says what they are."""
    done = run_program(*_command(tmp_path))
    assert f"{tmp_path}/gigas.rules.yml\n" in done.stdout
    assert done.stderr == f"next: set rule_files: ['{tmp_path}/*.rules.yml'] in prometheus.yml and reload Prometheus\n"
    (tmp_path / "gigas-disks.rules.yml").write_text("gigas_up", encoding="utf-8")
    refused = run_program(*_command(tmp_path), check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "gigas-disks.rules.yml" in refused.stderr
    done = run_program(*_command(tmp_path, "--replace"))
    assert done.stderr.startswith(f"removed: {tmp_path}/gigas-disks.rules.yml\nnext: ")


def test_the_next_command_names_what_was_written_as_a_shell_reads_it(tmp_path: Path) -> None:
    """A path with a space is quoted, and what else lies in the directory is not applied."""
    place = tmp_path / "al x"
    done = run_program(*_command(place, "--format", "kubernetes"))
    assert shlex.split(done.stderr) == ["next:", "kubectl", "apply", "-f", f"{place}/gigas.prometheusrule.yaml"]


def test_options_from_the_environment_are_said(tmp_path: Path) -> None:
    """A variable that changes each rule is named; an option on the command line is not."""
    variables = {"GIGAS_ALERTS_SELECTOR": 'cluster="eu"', "GIGAS_ALERTS_LABEL": "team=a"}
    done = run_program(*_command(tmp_path, "--dashboard-base", GRAFANA), env=os.environ | variables)
    assert set(done.stderr.splitlines()[:-1]) == {
        "gigas-exporter: --selector is taken from GIGAS_ALERTS_SELECTOR",
        "gigas-exporter: --label is taken from GIGAS_ALERTS_LABEL",
    }


def test_a_person_is_asked_for_the_address_of_grafana_once(tmp_path: Path) -> None:
    """At a terminal the command asks, and the second time it knows."""
    for answer in (f"{GRAFANA}\n", None):
        ours, theirs = pty.openpty()
        try:
            process = subprocess.Popen(_command(tmp_path), stdin=theirs, stdout=subprocess.PIPE, stderr=theirs)
            if answer:
                os.write(ours, answer.encode())
            process.communicate(timeout=60)
            assert process.returncode == 0
            said = os.read(ours, 4096).decode()
        finally:
            os.close(ours)
            os.close(theirs)
        assert ("Address of Grafana" in said) is (answer is not None)
        (first, *_) = written(tmp_path)
        assert first["annotations"]["dashboard_url"].startswith(f"{GRAFANA}/d/")


def test_the_page_of_the_alerts_has_each_alert(alerts: dict[str, Any]) -> None:
    """docs/alerts.md has a section for each alert."""
    text = (SHIPPED.parent / "docs/alerts.md").read_text(encoding="utf-8")
    for name, rule in alerts.items():
        section = text.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
        assert rule["expr"].strip() in section
        assert rule["for"] in section
        assert rule["labels"]["severity"] in section
        assert f"{RUNBOOK_BASE}/{name}.md" not in section, "links stay within the repository"
