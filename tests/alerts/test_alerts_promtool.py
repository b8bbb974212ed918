"""The rules under promtool and vmalert-tool: they are valid, and every written case holds, with further labels, too."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from gigas_exporter.bundle.alerts import RULE_FILES
from support.programs import field_tool, run_program, tool

TABLE = {
    # alert: file, for, keeps firing, severity
    "GigasDiskError": ("default", "5m", "15m", "critical"),
    "GigasDiskBackupMissed": ("default", "15m", "15m", "critical"),
    "GigasDiskNeverBackedUp": ("default", "15m", "15m", "critical"),
    "GigasInventoryShrank": ("default", "15m", "15m", "critical"),
    "GigasExporterDown": ("default", "10m", None, "critical"),
    "GigasExporterAbsent": ("default", "15m", None, "critical"),
    "GigasDataStale": ("default", "5m", "5m", "critical"),
    "GigasNothingWatched": ("default", "15m", "5m", "critical"),
    "GigasDiskBackupStale": ("default", "15m", "15m", "warning"),
    "GigasDiskBackupFailed": ("default", "5m", "15m", "warning"),
    "GigasBackupsUnreadable": ("default", "30m", "15m", "warning"),
    "GigasDiskLockedTooLong": ("default", "15m", "15m", "warning"),
    "GigasDiskDisappeared": ("default", "5m", "15m", "warning"),
    "GigasApiFailing": ("default", "10m", "5m", "warning"),
    "GigasBackupsDataStale": ("default", "5m", "5m", "warning"),
    "GigasInvalidData": ("default", "15m", "15m", "warning"),
    "GigasConfigReloadFailed": ("default", "15m", "5m", "warning"),
    "GigasDiskUnprotected": ("default", "1h", "15m", "info"),
    "GigasDiskAutobackupTurnedOff": ("optional", "5m", "15m", "warning"),
    "GigasDiskBackupsDropped": ("optional", "30m", "15m", "warning"),
    "GigasDiskBackupShrank": ("optional", "15m", "15m", "warning"),
    "GigasApiSlow": ("optional", "15m", "15m", "warning"),
    "GigasApiErrors": ("optional", "15m", "15m", "warning"),
    "GigasDiscoveryFailing": ("optional", "30m", "5m", "warning"),
    "GigasAccountUnwatched": ("optional", "30m", None, "warning"),
    "GigasDiskDetached": ("optional", "1h", "15m", "info"),
}
CASES = sorted((Path(__file__).resolve().parents[2] / "alerts/tests").glob("*.test.yml"))
each_case_file = pytest.mark.parametrize("cases", CASES, ids=lambda path: path.name.partition(".")[0])


def run(*command: str | Path) -> None:
    """Run a program, and fail with what it says; with more memory, Go takes a third less of the processor's time."""
    environ = {**os.environ, "GOGC": "400"}
    run_program(*command, seconds=300, env=environ)


def labelled(
    cases: Path, target: Path, labels: Mapping[str, str], *, series: bool = False, external: bool = False
) -> Path:
    """Copy a file of cases with labels on every expected alert, on every series, or as external labels."""
    content = yaml.load(cases.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    content["rule_files"] = [str((cases.parent / name).resolve()) for name in content["rule_files"]]
    more = "".join(f', {name}="{value}"' for name, value in labels.items())
    for test in content["tests"]:
        if external:
            test["external_labels"] = dict(labels)
        for each in test["input_series"] if series else ():
            each["series"] = each["series"].replace("}", f"{more}}}")
        for expected in test["alert_rule_test"] if not external else ():
            # An alert about the absence of a series has none of its labels.
            if not (series and expected["alertname"] == "GigasExporterAbsent"):
                for alert in expected["exp_alerts"]:
                    alert["exp_labels"] = {**alert["exp_labels"], **labels}
    target.write_text(yaml.dump(content, Dumper=yaml.CSafeDumper), encoding="utf-8")
    return target


def test_promtool_accepts_the_rules(directory: Path) -> None:
    """Prometheus' own tool finds nothing wrong, lints included."""
    run(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *(directory / name for name in RULE_FILES))


def test_every_alert_is_there_with_its_file_time_and_severity(
    alerts: dict[str, Any], groups: list[dict[str, Any]]
) -> None:
    """The alerts are those that were decided on."""
    optional = {
        rule["alert"] for group in groups if group["name"].startswith("gigas-optional") for rule in group["rules"]
    }
    found = {
        name: (
            "optional" if name in optional else "default",
            rule["for"],
            rule.get("keep_firing_for"),
            rule["labels"]["severity"],
        )
        for name, rule in alerts.items()
    }
    assert found == TABLE


def test_cases_hold_as_they_are_written(directory: Path) -> None:
    """Also those about series that are absent, which have no further label; all of them under Prometheus 3, below."""
    run(tool("promtool"), "test", "rules", directory / "tests/exporter.test.yml")


@each_case_file
def test_every_case_holds_where_series_have_another_label(cases: Path, tmp_path: Path) -> None:
    """A label that every series has more, as an agent or an operator adds it, is kept and changes nothing else."""
    run(tool("promtool"), "test", "rules", labelled(cases, tmp_path / "cases.yml", {"tenant": "t"}, series=True))


def test_cases_hold_with_external_labels(tmp_path: Path, directory: Path) -> None:
    """Prometheus' external labels change nothing."""
    cases = directory / "tests/particular.test.yml"
    run(tool("promtool"), "test", "rules", labelled(cases, tmp_path / "cases.yml", {"tenant": "t"}, external=True))


@pytest.mark.field
@each_case_file
def test_every_case_holds_under_prometheus_3(cases: Path, tmp_path: Path) -> None:
    """The unit tests pass under promtool 3, with a further label, too."""
    run(field_tool("promtool"), "test", "rules", cases)
    more = labelled(cases, tmp_path / "cases.yml", {"tenant": "t"}, series=True)
    run(field_tool("promtool"), "test", "rules", more)


@pytest.mark.field
@each_case_file
def test_every_case_holds_under_vmalert(cases: Path, tmp_path: Path) -> None:
    """The unit tests pass under VictoriaMetrics' tool, with an external label, too."""
    command = (field_tool("vmalert-tool"), "unittest", "--disableAlertgroupLabel")
    run(*command, "--files", cases)
    more = labelled(cases, tmp_path / "cases.yml", {"tenant": "t"})
    run(*command, "--files", more, "--external.label", "tenant=t")


def _tests() -> Iterable[dict[str, Any]]:
    for path in CASES:
        yield from yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["tests"]


def test_every_alert_is_shown_to_fire_and_to_be_quiet(alerts: dict[str, Any]) -> None:
    """No alert passes its cases by never firing, or by firing always."""
    seen = {
        (expected["alertname"], bool(expected["exp_alerts"]))
        for test in _tests()
        if not test["name"].startswith("a healthy exporter")
        for expected in test["alert_rule_test"]
    }
    assert {(name, fires) for name in alerts for fires in (True, False)} <= seen


def test_every_alert_is_calm_through_what_happens_every_week(alerts: dict[str, Any]) -> None:
    """Each alert is looked at after a new disk, a restart, an outage and a deletion; three may tell of the outage."""
    (calm,) = (test for test in _tests() if test["name"].startswith("a healthy exporter"))
    looked: dict[str, set[str]] = {}
    for expected in calm["alert_rule_test"]:
        assert expected["exp_alerts"] == []
        looked.setdefault(expected["eval_time"], set()).add(expected["alertname"])
    missing = set().union(*(alerts.keys() - names for names in looked.values()))
    assert len(looked) == 5
    assert missing == {"GigasApiFailing", "GigasDataStale", "GigasBackupsDataStale", "GigasDiskDisappeared"}


def test_the_cases_can_be_read() -> None:
    """They stay at what a person reads."""
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in CASES) < 2100
