"""The example for Alertmanager: amtool takes it, alerts go where they should, and each inhibition is shown live."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.notifications import Receiver, alert, quick, receiving
from support.programs import Alertmanager, alertmanager, await_true, field_tool, run_program, tool

EXAMPLE = "alertmanager.example.yml"

PAIRS = [
    # source, target
    ("GigasExporterDown", "GigasDiskError"),
    ("GigasExporterDown", "GigasDiskDetached"),
    ("GigasExporterDown", "GigasApiFailing"),
    ("GigasExporterDown", "GigasInventoryShrank"),
    ("GigasApiFailing", "GigasDiskError"),
    ("GigasApiFailing", "GigasDiskBackupStale"),
    ("GigasDataStale", "GigasDiskBackupMissed"),
    ("GigasDataStale", "GigasDiskUnprotected"),
    ("GigasExporterDown", "GigasAccountUnwatched"),
    ("GigasNothingWatched", "GigasAccountUnwatched"),
    ("GigasNothingWatched", "GigasDiscoveryFailing"),
    ("GigasApiFailing", "GigasBackupsDataStale"),
    ("GigasBackupsDataStale", "GigasDiskBackupMissed"),
    ("GigasBackupsDataStale", "GigasBackupsUnreadable"),
    ("GigasBackupsUnreadable", "GigasDiskBackupStale"),
    ("GigasInventoryShrank", "GigasDiskDisappeared"),
    ("GigasDiskBackupMissed", "GigasDiskBackupStale"),
    ("GigasDiskError", "GigasDiskLockedTooLong"),
    ("GigasDiskError", "GigasDiskBackupStale"),
    ("GigasDiskNeverBackedUp", "GigasDiskBackupStale"),
]

ROUTES = [
    ("pager", {"severity": "critical", "component": "disk"}),
    ("pager", {"severity": "critical", "component": "account"}),
    ("pager", {"severity": "critical", "component": "exporter"}),
    ("chat", {"severity": "warning", "component": "disk"}),
    ("chat", {"severity": "warning", "component": "account"}),
    ("chat", {"severity": "warning", "component": "exporter"}),
    ("mail", {"severity": "info", "component": "disk"}),
    ("chat", {"severity": "critical", "alertname": "SomebodyElses"}),
]


def _amtool(*arguments: str | Path) -> str:
    done = run_program(tool("amtool"), *arguments)
    return done.stdout


def test_amtool_accepts_the_example(directory: Path) -> None:
    """Alertmanager's own tool finds its routes, inhibitions and receivers."""
    said = _amtool("check-config", directory / EXAMPLE)
    assert "9 inhibit rules" in said
    assert "3 receivers" in said


@pytest.mark.parametrize(("receiver", "labels"), ROUTES)
def test_alerts_go_to_whom_they_concern(directory: Path, receiver: str, labels: dict[str, str]) -> None:
    """Critical alerts page, warnings go to the chat, and what can wait goes by mail."""
    said = _amtool(
        "config",
        "routes",
        "test",
        f"--config.file={directory / EXAMPLE}",
        f"--verify.receivers={receiver}",
        *(f"{name}={value}" for name, value in labels.items()),
    )
    assert said.split()[0] == receiver


def test_every_alert_is_routed_on_purpose(directory: Path, alerts: dict[str, Any]) -> None:
    """No severity and component occurs in the rules whose way is not tested here."""
    routed = {(labels["severity"], labels.get("component")) for _, labels in ROUTES}
    assert {(rule["labels"]["severity"], rule["labels"]["component"]) for rule in alerts.values()} <= routed


def test_every_inhibition_is_among_the_pairs(directory: Path) -> None:
    """Each rule of the example has a pair that is tried."""
    rules = yaml.safe_load((directory / EXAMPLE).read_text(encoding="utf-8"))["inhibit_rules"]
    named = " ".join(str(rule["source_matchers"]) for rule in rules)
    assert len(rules) == 9
    assert {source for source, _ in PAIRS if source in named} >= {
        "GigasExporterDown",
        "GigasNothingWatched",
        "GigasApiFailing",
        "GigasDataStale",
        "GigasBackupsDataStale",
        "GigasBackupsUnreadable",
        "GigasInventoryShrank",
    }


@pytest.fixture(scope="module", params=["debian", pytest.param("testing", marks=pytest.mark.field)])
def live(
    request: pytest.FixtureRequest, directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Alertmanager, Receiver]]:
    """A real Alertmanager with the example, its waits shortened, and a webhook that keeps what it sends."""
    program = field_tool("alertmanager") if request.param == "testing" else None
    config = (directory / EXAMPLE).read_text(encoding="utf-8")
    with receiving() as receiver:
        config = quick(config, receiver)
        with alertmanager(tmp_path_factory.mktemp("am"), config, program) as manager:
            yield manager, receiver
            complaints = [line for line in manager.process.stderr.splitlines() if "level=warn" in line.lower()]
            assert [line for line in complaints if "repeat_interval" in line] == []


def _alert(name: str, rule: dict[str, Any], account: str, *, resolved: bool = False, **more: str) -> dict[str, Any]:
    """An alert as the rules make it, about the first disk of an account of its own."""
    labels = {"alertname": name, **rule["labels"], "job": f"gigas-{account}", "instance": f"exporter-{account}"}
    if name == "GigasAccountUnwatched":  # about a whole job
        del labels["instance"]
    if rule["labels"]["component"] != "exporter":
        labels["account_id"] = account
    if rule["labels"]["component"] == "disk":
        labels |= {"disk_id": "17", "virtual_machine_id": "501"}
    return alert(labels | more, resolved=resolved)


def _inhibited(manager: Alertmanager, name: str, account: str) -> bool:
    return any(
        each["status"]["inhibitedBy"]
        for each in manager.alerts()
        if each["labels"]["alertname"] == name and each["labels"]["job"] == f"gigas-{account}"
    )


@pytest.mark.parametrize(("number", "pair"), list(enumerate(PAIRS)), ids=[f"{a}-{b}" for a, b in PAIRS])
def test_one_alert_keeps_another_quiet(
    live: tuple[Alertmanager, Receiver], alerts: dict[str, Any], number: int, pair: tuple[str, str]
) -> None:
    """While the source fires its target is not told, a like alert elsewhere is; once the source ends, the target is."""
    manager, receiver = live
    source, target = pair
    account, other = str(1000 + number), str(2000 + number)
    manager.post(_alert(source, alerts[source], account))
    in_force = {"instance": f"exporter-{account}"}
    await_true(lambda: receiver.told(source, **in_force), what=f"the notification of {source}")

    manager.post(_alert(target, alerts[target], account), _alert(target, alerts[target], other))
    if alerts[target]["labels"]["severity"] == "info":
        # The mail waits for more, so what is looked at is only what Alertmanager says.
        await_true(lambda: any(each["labels"]["job"] == f"gigas-{other}" for each in manager.alerts()))
    else:
        await_true(lambda: receiver.told(target, job=f"gigas-{other}"), what=f"{target} of another account")
    await_true(lambda: _inhibited(manager, target, account), what="the inhibition")
    assert not _inhibited(manager, target, other)
    assert receiver.told(target, job=f"gigas-{account}") == []

    manager.post(_alert(source, alerts[source], account, resolved=True))
    await_true(lambda: receiver.told(target, job=f"gigas-{account}"), what=f"{target}, now that {source} has ended")
    assert receiver.told(source, "resolved", **in_force) or not _inhibited(manager, target, account)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ("GigasBackupsUnreadable", "GigasDiskBackupMissed"),
        ("GigasBackupsUnreadable", "GigasDiskNeverBackedUp"),
        ("GigasDiskBackupMissed", "GigasBackupsUnreadable"),
        ("GigasDiskNeverBackedUp", "GigasDiskAutobackupTurnedOff"),
        ("GigasDiskNeverBackedUp", "GigasDiskBackupsDropped"),
        ("GigasDiskError", "GigasDiskBackupMissed"),
        ("GigasDiskError", "GigasDiskDisappeared"),
    ],
)
def test_some_alerts_keep_no_other_quiet(
    live: tuple[Alertmanager, Receiver], alerts: dict[str, Any], other: str, told: str
) -> None:
    """No warning hides a critical alert, and none what says why or ends by itself."""
    manager, receiver = live
    account = f"{other}-{told}"
    manager.post(_alert(other, alerts[other], account), _alert(told, alerts[told], account))
    await_true(lambda: receiver.told(told, job=f"gigas-{account}"), what=f"{told} beside {other}")
    assert not _inhibited(manager, told, account)


def test_a_dead_datastore_is_one_page(live: tuple[Alertmanager, Receiver], alerts: dict[str, Any]) -> None:
    """Two hundred disks of fifty machines that fail at once are one group, however many exporters see them.

    With the example's own ``group_wait`` that is one message; with the test's short one, a slow machine may tell of it
    twice.
    """
    manager, receiver = live
    rule = alerts["GigasDiskError"]
    failing = [
        _alert("GigasDiskError", rule, "9000", disk_id=str(disk), virtual_machine_id=str(disk // 4), instance=instance)
        for disk in range(200)
        for instance in ("exporter-a", "exporter-b")
    ]
    manager.post(*failing)
    await_true(
        lambda: any(len(each.body["alerts"]) == 400 for each in receiver.told("GigasDiskError", account_id="9000"))
    )
    messages = receiver.told("GigasDiskError", account_id="9000")
    assert {each.receiver for each in messages} == {"pager"}
    assert len({each.body["groupKey"] for each in messages}) == 1


def test_warnings_come_by_machine(live: tuple[Alertmanager, Receiver], alerts: dict[str, Any]) -> None:
    """Late backups of two machines are two groups, each with all disks of its machine in one message.

    A slow machine may tell of some disks before the others have come, with the test's short ``group_wait``.
    """
    manager, receiver = live
    rule = alerts["GigasDiskBackupStale"]
    late = [
        _alert("GigasDiskBackupStale", rule, "9001", disk_id=str(disk), virtual_machine_id=str(disk // 3))
        for disk in range(6)
    ]
    manager.post(*late)

    def groups() -> dict[str, int]:
        messages = sorted(
            receiver.told("GigasDiskBackupStale", account_id="9001"), key=lambda it: len(it.body["alerts"])
        )
        return {each.body["groupKey"]: len(each.body["alerts"]) for each in messages}

    await_true(lambda: list(groups().values()) == [3, 3])


def test_two_exporters_are_one_message_and_the_blind_one_silences_nothing_of_the_other(
    live: tuple[Alertmanager, Receiver], alerts: dict[str, Any]
) -> None:
    """Where one of two exporters cannot read the API, the other's new disk error is paged all the same."""
    manager, receiver = live
    blind, error = alerts["GigasDataStale"], alerts["GigasDiskError"]
    manager.post(_alert("GigasDataStale", blind, "9002", instance="exporter-b"))
    await_true(lambda: receiver.told("GigasDataStale", account_id="9002"), what="the page of the blind one")
    manager.post(
        _alert("GigasDiskError", error, "9002", instance="exporter-a"),
        _alert("GigasDiskError", error, "9002", instance="exporter-b"),
    )
    await_true(lambda: receiver.told("GigasDiskError", account_id="9002"), what="the page of the other one")
    told = receiver.told("GigasDiskError", account_id="9002")
    seen_by = {each["labels"]["instance"] for message in told for each in message.body["alerts"]}
    assert [each["labels"]["instance"] for each in told[-1].body["alerts"] if "disk_id" in each["labels"]] == [
        "exporter-a"
    ]
    assert seen_by == {"exporter-a", "exporter-b"}, "both are in the one message of the account"

    manager.post(_alert("GigasDiskError", error, "9002", instance="exporter-b", resolved=True))
    manager.post(_alert("GigasDataStale", blind, "9002", instance="exporter-b", resolved=True))
    await_true(lambda: receiver.told("GigasDataStale", "resolved", account_id="9002"), what="the end of its blindness")
    assert receiver.told("GigasDiskError", "resolved", account_id="9002", instance="exporter-a") == []
    active = [each["labels"]["instance"] for each in manager.alerts() if each["labels"].get("account_id") == "9002"]
    assert active == ["exporter-a"]


def test_nothing_is_repeated_less_often_than_alertmanager_remembers(directory: Path) -> None:
    """A repeat_interval above the retention of 120 h does not hold; Alertmanager warns of it at its start."""
    text = (directory / EXAMPLE).read_text(encoding="utf-8")
    hours = {"h": 1, "d": 24, "w": 168}
    intervals = [int(number) * hours[unit] for number, unit in re.findall(r"repeat_interval: (\d+)([hdw])", text)]
    assert len(intervals) == 4
    assert max(intervals) < 120
