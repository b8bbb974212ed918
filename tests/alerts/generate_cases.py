"""Write alerts/tests/*.test.yml, promtool's unit tests of every alert.

``python tests/alerts/generate_cases.py [DIRECTORY]``. What makes an alert true is said in
``triggers``, what an exporter shows meanwhile in ``estate``; here both are brought together into the cases that every
alert has.
"""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import yaml

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from alerts.estate import HOUR, LIMIT_SECONDS, Account, Disk, Estate, always, at, span
from alerts.particular_cases import day_cases, particular_cases, size_cases
from alerts.triggers import TRIGGERS, Trigger, estate
from gigas_exporter.bundle.alerts import DASHBOARD_BASE, RUNBOOK_BASE

__all__ = ["CASES", "case_files"]

CASES = (
    "fires",
    "does not fire",
    "boundary",
    "API down for an hour and back",
    "exporter restarted",
    "Prometheus restarted",
    "new disk",
    "deleted disk",
    "moved disk",
    "two exporters",
    "two accounts",
)

RULES = ("gigas.recording.rules.yml", "gigas-disks.rules.yml", "gigas-exporter.rules.yml")
_GROUPS = {
    "gigas.recording.rules.yml": ("gigas-virtual-machines", "gigas-accounts"),
    "gigas-disks.rules.yml": ("gigas-disks", "gigas-sizes", "gigas-backups", "gigas-backup-warnings"),
    "gigas-exporter.rules.yml": ("gigas-exporter",),
}
_ABOUT_EXPORTER = {name for name, trigger in TRIGGERS.items() if trigger.dashboard == "gigas-exporter"} | {
    name for name, trigger in TRIGGERS.items() if trigger.level in {"exporter", "none"}
}
_HEADER = "# Written by tests/alerts/generate_cases.py; change it there.\n"

Test = dict[str, Any]


def _labels(alert: str, trigger: Trigger, instance: str = "exporter:10063") -> dict[str, str]:
    labels: dict[str, str] = {"severity": trigger.severity}
    labels["component"] = "exporter" if trigger.level == "none" else trigger.level
    if trigger.level != "none":
        labels |= {"job": "gigas"} if trigger.of_job else {"job": "gigas", "instance": instance}
    if trigger.level in {"account", "disk"}:
        labels["account_id"] = "4242"
    if trigger.level == "disk":
        labels |= {"disk_id": "17", "mount_point": "/srv"}
        labels |= {"virtual_machine": "web-1", "virtual_machine_id": "501"} if not trigger.labels else {}
    return labels | dict(trigger.labels)


def _annotations(alert: str, trigger: Trigger, instance: str, summary: str) -> dict[str, str]:
    uid = "gigas-exporter" if trigger.level in {"exporter", "none"} else trigger.dashboard
    query = []
    if trigger.level != "none":
        query = ["var-job=gigas"] + [f"var-instance={quote_plus(instance)}"] * (not trigger.of_job)
    if trigger.level in {"account", "disk"}:
        query.append("var-account_id=4242")
    if trigger.level == "disk":
        query += ["var-virtual_machine=%24__all", "var-disk_id=17"]
    says = trigger.says.replace("exporter:10063", instance)
    annotations = {
        "summary": summary,
        "description": says,
        "runbook_url": f"{RUNBOOK_BASE}/{alert}.md",
        "dashboard_url": f"{DASHBOARD_BASE}/d/{uid}/" + ("?" + "&".join(query) if query else ""),
    }
    return annotations | ({"command": trigger.command} if trigger.command else {})


def _fired(alert: str, trigger: Trigger, minute: int, summary: str, *instances: str) -> Test:
    """Expect exactly these alerts at a minute."""
    expected = [
        {"exp_labels": _labels(alert, trigger, each), "exp_annotations": _annotations(alert, trigger, each, summary)}
        for each in instances
    ]
    return {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": expected}


def _ever(alert: str, minutes: int, fired: bool) -> Test:
    """Expect that an alert fired at some time until a minute, or never did."""
    return {
        "expr": f'count(last_over_time(ALERTS{{alertname="{alert}", alertstate="firing"}}[{minutes}m]))',
        "eval_time": f"{minutes}m",
        "exp_samples": [{"labels": "{}", "value": 1}] if fired else [],
    }


def _test(name: str, scene: Estate, alerts: list[Test] = [], expressions: list[Test] = []) -> Test:  # noqa: B006
    test: Test = {"name": name, "interval": "1m", "input_series": scene.input_series()}
    if alerts:
        test["alert_rule_test"] = alerts
    if expressions:
        test["promql_expr_test"] = expressions
    return test


def _cases(alert: str, trigger: Trigger, summary: str) -> Iterator[Test]:
    """Yield the cases in which an alert's cause is there, or nearly."""
    fires, end = trigger.fires, trigger.fires + 2

    def scene(until: int | None = None, minutes: int = end) -> Estate:
        made = estate(minutes, trigger.disks)
        trigger.apply(made, trigger.start, minutes + 1 if until is None else until)
        return made

    def at_last(*instances: str) -> list[Test]:
        before = {"eval_time": f"{fires - 1}m", "alertname": alert, "exp_alerts": []}
        return [before, _fired(alert, trigger, fires, summary, *instances)]

    one, two = "exporter:10063", "exporter-2:10063"
    yield _test(f"fires: {alert}", scene(), at_last(one))
    if trigger.lasts:
        late = trigger.start + trigger.lasts
        yield _test(
            f"says the same at last: {alert}", scene(minutes=late), [_fired(alert, trigger, late, summary, one)]
        )
    near = estate(max(end, trigger.start + HOUR), trigger.disks)
    trigger.near(near)
    yield _test(f"does not fire: {alert}", near, expressions=[_ever(alert, near.minutes, fired=False)])
    short = scene(fires - trigger.tail)
    yield _test(f"boundary: {alert}", short, expressions=[_ever(alert, end, fired=False)])

    both = scene()
    both.instances = (one, two)
    together = trigger.level == "none" or trigger.of_job
    yield _test(f"two exporters: {alert}", both, at_last(*((one,) if together else (one, two))))
    accounts = scene()
    accounts.accounts.append(Account("4243", [Disk(disk.disk_id) for disk in accounts.accounts[0].disks]))
    yield _test(f"two accounts: {alert}", accounts, at_last(one))
    if trigger.level == "disk" and alert not in {"GigasDiskDetached", "GigasDiskDisappeared"}:
        # In the middle of its `for`: a move changes nothing, a deletion ends it.
        middle = fires - 2
        moved = scene()
        moved.accounts[0].disks[0].machine = at("501", middle, "502")
        yield _test(f"moved disk: {alert}", moved, at_last(one))
        deleted = scene()
        deleted.accounts[0].disks[0].present = at(True, middle, False)
        yield _test(f"deleted disk: {alert}", deleted, expressions=[_ever(alert, end, fired=False)])


def _event(case: str, scene: Estate, *expected: str) -> Test:
    """Nothing but the expected alerts fires in a scene."""
    return _test(case, scene, expressions=[_ever(alert, scene.minutes, alert in expected) for alert in TRIGGERS])


def _events() -> Iterator[Test]:
    """Yield what happens to an estate in good order, and hold every alert against it."""
    minutes = 70 + 2 * HOUR + 10

    def healthy() -> tuple[Estate, list[Disk]]:
        made = estate(minutes)
        return made, made.accounts[0].disks

    # Meanwhile one disk passes its limit unseen, until its next backup is seen; another is deleted unseen.
    made, disks = healthy()
    made.accounts[0].api_down = (70, 130)
    line = at((75 - 1) * 60 - LIMIT_SECONDS, 80, 80 * 60)
    disks[1].values["gigas_disk_backup_last_timestamp_seconds"] = line
    disks[2].present = at(True, 100, False)
    yield _event(f"{CASES[3]}: every alert", made, "GigasApiFailing", "GigasDataStale", "GigasBackupsDataStale")

    # Each disk says so then; that is one event and not one for each.
    made, _ = healthy()
    made.accounts[0].backups_down = (70, 130)
    yield _event("backups cannot be read for an hour: every alert", made, "GigasBackupsDataStale")
    counts = "account:gigas_disk_backup_over_limit:count", "account:gigas_disk_never_backed_up:count"
    labels = '{account_id="4242", instance="exporter:10063", job="gigas"}'
    known = [
        {"expr": count, "eval_time": f"{minute}m", "exp_samples": [{"labels": count + labels, "value": 0}] * is_known}
        for count in counts
        for minute, is_known in ((99, 1), (110, 0), (140, 1))
    ]
    yield _test("roll-ups count nothing while backups are not known", made, expressions=known)

    made, _ = healthy()
    made.exporter_down = (70, 73)
    yield _event("exporter restarted: every alert", made)
    made, _ = healthy()
    made.prometheus_down = (70, 85)
    yield _event("Prometheus restarted: every alert", made)

    made, disks = healthy()
    disks.append(Disk("99", present=at(False, 70, True)))
    disks[-1].values |= {
        "gigas_disk_created_timestamp_seconds": always(70 * 60),
        "gigas_disk_locked": span(1, 70, 80, 0),
        "gigas_disk_backups": at(0, 190, 1),
        "gigas_disk_backup_last_timestamp_seconds": at(None, 190, 190 * 60),
        "gigas_disk_backup_last_size_bytes": at(None, 190, 1 << 30),
    }
    yield _event("new disk: every alert", made)

    made, disks = healthy()
    disks[2].present = at(True, 70, False)
    yield _event("deleted disk: every alert", made, "GigasDiskDisappeared")
    made, disks = healthy()
    disks[0].machine = at("501", 70, "502")
    yield _event("moved disk: every alert", made)
    made, _ = healthy()
    made.instances = ("exporter:10063", "exporter-2:10063")
    yield _event("two exporters: every alert", made)
    made, disks = healthy()
    made.accounts.append(Account("4243", copy.deepcopy(disks)))
    yield _event("two accounts: every alert", made)


def case_files(alerts: Path) -> dict[str, str]:
    """Return the tests of the rules in a directory, by file name."""
    summaries = _summaries(alerts)
    files: dict[tuple[str, int], list[Test]] = {
        ("events", 1): list(_events()),
        ("particular", 1): list(particular_cases()),
        ("every-5m", 5): list(day_cases()),
        ("every-6h", 6 * HOUR): list(size_cases()),
    }
    for alert, trigger in TRIGGERS.items():
        kind = "exporter" if alert in _ABOUT_EXPORTER else "backups" if "Backup" in alert else "disks"
        name = kind if trigger.evaluated_every == 1 else f"every-{trigger.evaluated_every}m"
        files.setdefault((name, trigger.evaluated_every), []).extend(_cases(alert, trigger, summaries[alert]))
    read = {"events": RULES, "exporter": RULES[2:], "particular": RULES[1:], "every-5m": RULES[1:]}
    return {
        f"{name}.test.yml": _HEADER + _text(alerts, tests, minutes, read.get(name, RULES[1:2]))
        for (name, minutes), tests in files.items()
    }


def _text(alerts: Path, tests: list[Test], minutes: int, rule_files: Sequence[str]) -> str:
    # Series that no rule of these files reads would only make the tests long.
    rules = "".join((alerts / name).read_text(encoding="utf-8") for name in rule_files)
    read = set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", rules))
    for test in tests:
        test["input_series"] = [each for each in test["input_series"] if each["series"].split("{")[0] in read]
    content = {
        "rule_files": [f"../{name}" for name in rule_files],
        "evaluation_interval": f"{minutes}m",
        "group_eval_order": [group for name in rule_files for group in _GROUPS[name]],
        "tests": tests,
    }
    return str(yaml.safe_dump(content, sort_keys=False, width=200, allow_unicode=True))


def _summaries(alerts: Path) -> dict[str, str]:
    found = {}
    for name in RULES:
        for group in yaml.safe_load((alerts / name).read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    found[rule["alert"]] = rule["annotations"]["summary"]
    return found


def main(directory: Path) -> int:
    """Write every file."""
    for name, text in case_files(directory.parent).items():
        (directory / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[2] / "alerts/tests"
    raise SystemExit(main(Path(sys.argv[1]) if sys.argv[1:] else default))
