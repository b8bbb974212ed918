"""The rules under promtool: they are valid, every alert has every case, and every case holds."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from alerts.generate_cases import CASES, case_files
from gigas_exporter.bundle.alerts import RULE_FILES
from support.programs import tool

TABLE = {
    # alert: for, keeps firing, severity
    "GigasExporterDown": ("10m", None, "critical"),
    "GigasExporterAbsent": ("15m", None, "critical"),
    "GigasNothingWatched": ("15m", None, "critical"),
    "GigasDiscoveryFailing": ("30m", None, "warning"),
    "GigasAccountUnwatched": ("30m", None, "warning"),
    "GigasApiFailing": ("10m", None, "warning"),
    "GigasDataStale": ("5m", None, "critical"),
    "GigasBackupsDataStale": ("5m", None, "warning"),
    "GigasBackupsUnreadable": ("30m", None, "warning"),
    "GigasDiskError": ("5m", "15m", "critical"),
    "GigasDiskLockedTooLong": ("15m", None, "warning"),
    "GigasDiskBackupStale": ("15m", "15m", "warning"),
    "GigasDiskBackupMissed": ("15m", "15m", "critical"),
    "GigasDiskNeverBackedUp": ("15m", "15m", "critical"),
    "GigasDiskBackupFailed": ("5m", None, "warning"),
    "GigasDiskUnprotected": ("1h", None, "info"),
    "GigasDiskAutobackupTurnedOff": ("5m", None, "warning"),
    "GigasDiskBackupsDropped": ("30m", None, "warning"),
    "GigasDiskBackupShrank": ("15m", None, "warning"),
    "GigasDiskBackupInFuture": ("15m", None, "warning"),
    "GigasDiskDetached": ("24h", None, "info"),
    "GigasDiskDisappeared": ("5m", None, "warning"),
    "GigasInventoryShrank": ("15m", None, "critical"),
    "GigasApiSlow": ("15m", None, "warning"),
    "GigasApiErrors": ("15m", None, "warning"),
    "GigasInvalidData": ("15m", None, "warning"),
    "GigasConfigReloadFailed": ("15m", None, "warning"),
}


def _promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=300)


def test_promtool_accepts_the_rules(directory: Path) -> None:
    """Prometheus' own tool finds nothing wrong, lints included."""
    done = _promtool("check", "rules", "--lint=all", "--lint-fatal", *(directory / name for name in RULE_FILES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_there_with_its_time_and_severity(alerts: dict[str, Any]) -> None:
    """The alerts are those that were decided on."""
    found = {
        name: (rule["for"], rule.get("keep_firing_for"), rule["labels"]["severity"]) for name, rule in alerts.items()
    }
    assert found == TABLE


def test_every_case_holds(directory: Path) -> None:
    """Promtool's unit tests pass."""
    files = sorted((directory / "tests").glob("*.test.yml"))
    assert files
    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(lambda file: _promtool("test", "rules", file), files):
            assert done.returncode == 0, (done.stdout + done.stderr)[:4000]


def test_the_written_cases_are_those_that_are_generated(directory: Path) -> None:
    """What is committed is what tests/alerts/generate_cases.py writes now."""
    wanted = case_files(directory)
    found = {path.name: path.read_text(encoding="utf-8") for path in (directory / "tests").iterdir()}
    assert sorted(found) == sorted(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []


def _covered(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield each alert and case that a written test looks at."""
    for path in (directory / "tests").glob("*.test.yml"):
        for test in yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["tests"]:
            case = test["name"].partition(":")[0]
            for expected in test.get("alert_rule_test", ()):
                yield expected["alertname"], case
            for expected in test.get("promql_expr_test", ()):
                for alert in re.findall(r'alertname="(\w+)"', expected["expr"]):
                    yield alert, case


def test_every_alert_has_every_case(directory: Path, alerts: dict[str, Any]) -> None:
    """Each alert fires, does not, stands at its boundary, and is held against everything that it must not mistake."""
    covered = set(_covered(directory))
    assert [(alert, case) for alert in alerts for case in CASES if (alert, case) not in covered] == []


def test_every_alert_is_shown_to_fire(directory: Path, alerts: dict[str, Any]) -> None:
    """No alert passes its cases by never firing."""
    fired = {
        expected["alertname"]
        for path in (directory / "tests").glob("*.test.yml")
        for test in yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["tests"]
        for expected in test.get("alert_rule_test", ())
        if expected["exp_alerts"] and test["name"].startswith("fires:")
    }
    assert fired == set(alerts)
