"""The metrics that tell findings: which series, when they come and go, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.inventory import (
    AccountInventory,
    BackupSnapshot,
    DiskSnapshot,
    MachineSnapshot,
    PollStatus,
    Resource,
)
from gigas_exporter.model import Disk, VirtualMachine
from gigas_exporter.policy import DEFAULT_POLICY, Match, Policy, Requirement, Rule, Thresholds
from gigas_exporter.report import METRIC_FINDINGS

Fleet = Callable[..., AccountInventory]
NOW, READ_AT = 1_700_000_000.0, 1000.0
HOUR = 3600.0
GIB = 2**30
WELL = Disk("101", "501", 20 * GIB, "ok", False, False, False, True, "/", created_at=NOW - 9e6, updated_at=NOW - 9e5)


def _one(fleet: Fleet, disk: Disk = WELL, summary: BackupSummary | None = None, **more: Any) -> AccountInventory:
    """Return an account with one disk, whose newest backup is an hour old unless it is said otherwise."""
    inventory = fleet()
    summary = summary or BackupSummary(7, 0, NOW - HOUR, 5 * GIB, NOW - 6e5, READ_AT)
    disks = DiskSnapshot({disk.id: disk}, {disk.id: READ_AT - 5}, READ_AT, more.pop("locked_since", {}))
    backups = BackupSnapshot({disk.id: summary}, frozenset(), None, READ_AT)
    return replace(inventory, disks=disks, backups=backups, requirements={}, **more).with_requirements(DEFAULT_POLICY)


def _found(scene: Any) -> dict[str, str]:
    """Return the findings on the page with their limits."""
    labels = [dict(each) for name, each in scene.series() if name == "gigas_disk_finding"]
    return {each["finding"]: each["limit"] for each in labels}


def _values(scene: Any, metric: str, label: str, **matching: str) -> dict[str, float]:
    """Return the values of those series of a metric that have the labels ``matching``, by another label."""
    return {
        dict(labels)[label]: value
        for (name, labels), value in scene.series().items()
        if name == metric and matching.items() <= dict(labels).items()
    }


def _counts(scene: Any) -> dict[str, float]:
    return _values(scene, "gigas_account_disks_with_finding", "finding")


def _undecided(scene: Any) -> dict[str, float]:
    return _values(scene, "gigas_account_disks_undecided", "field")


def _machine_names(scene: Any) -> set[str]:
    return set(_values(scene, "gigas_disk_info", "virtual_machine"))


def test_a_finding_names_the_disk_as_a_person_does(scene: Any, fleet: Fleet) -> None:
    """Machine, mount point, finding and limit stand in the labels, the value is 1."""
    summary = BackupSummary(7, 0, NOW - 27 * HOUR, 5 * GIB, NOW - 6e5, READ_AT)
    scene.show(_one(fleet, summary=summary))
    found = {labels: value for (name, labels), value in scene.series().items() if name == "gigas_disk_finding"}
    expected = {
        "account_id": "4242", "disk_id": "101", "virtual_machine_id": "501", "virtual_machine": "web ñ",
        "mount_point": "/", "finding": "backup_stale", "limit": "26h",
    }  # fmt: skip
    assert found == {tuple(sorted(expected.items())): 1.0}


@pytest.mark.parametrize(
    ("disk", "known", "seconds", "before", "after"),
    [
        (WELL, (7, NOW - 25.9 * HOUR), 0.1 * HOUR, {}, {"backup_stale": "26h"}),
        (WELL, (7, NOW - 51.9 * HOUR), 0.1 * HOUR, {"backup_stale": "26h"}, {"backup_missed": "26h"}),
        (replace(WELL, created_at=NOW - 25.9 * HOUR), (0, None), 0.1 * HOUR, {}, {"never_backed_up": "26h"}),
        (replace(WELL, locked=True), (7, NOW), 2 * HOUR, {}, {"locked_long": "2h"}),
        (WELL, (7, NOW + 400), 100, {"backups_unreadable": ""}, {}),
    ],
)
def test_what_time_alone_brings_appears_within_a_minute(
    scene: Any, fleet: Fleet, *, disk: Disk, known: tuple[int, float | None], seconds: float, before: Any, after: Any
) -> None:
    """A limit that passes between two polls is seen at the next scrape, at most a minute later."""
    usable, newest = known
    summary = BackupSummary(usable, 0, newest, 5 * GIB, newest, READ_AT)
    since = {"101": NOW} if disk.locked else {}
    limits = replace(fleet().limits, disks=9e9, backups=9e9)
    scene.show(_one(fleet, disk, summary, locked_since=since, limits=limits))
    assert _found(scene) == before
    scene.clock.move(seconds - 1)
    assert _found(scene) == before
    scene.clock.move(61)
    assert _found(scene) == after
    assert {finding for finding, count in _counts(scene).items() if count} == set(after)


def test_a_poll_brings_what_time_brought(scene: Any, fleet: Fleet) -> None:
    """What is due is rendered with whatever a poll publishes, so that no scrape has to."""
    inventory = _one(fleet, summary=BackupSummary(7, 0, NOW - 26 * HOUR + 30, 5 * GIB, NOW - 6e5, READ_AT))
    scene.show(inventory)
    scene.clock.move(31)
    scene.show(inventory.with_outcome("backups", PollStatus(False, 1.0, NOW)))
    assert _found(scene) == {"backup_stale": "26h"}


def test_findings_wait_for_the_machines(scene: Any, fleet: Fleet) -> None:
    """Names come with the first poll of the machines, however it ends; an alert would else begin under another name."""
    inventory = _one(fleet, replace(WELL, error=True))
    without: dict[Resource, PollStatus] = {
        name: outcome for name, outcome in inventory.outcomes.items() if name != "virtual_machines"
    }
    scene.show(replace(inventory, machines=None, known_machines={}, outcomes=without))
    assert scene.values("gigas_disk_info") == {}
    assert _found(scene) == {}
    assert _counts(scene) == {}
    assert scene.values("gigas_disk_error") == {"101": 1}
    failed = replace(inventory, machines=None, known_machines={}, outcomes=without)
    scene.show(failed.with_outcome("virtual_machines", PollStatus(False, 1.0, None)))
    assert _found(scene) == {"disk_error": ""}
    assert _machine_names(scene) == {"VM 501"}


def test_a_machines_last_known_name_stays(scene: Any, fleet: Fleet) -> None:
    """A machine that is listed no more, or not read for long, keeps its name for as long as a disk refers to it."""
    inventory = _one(fleet)
    assert inventory.machines is not None
    scene.show(replace(inventory, machines=replace(inventory.machines, read_at=-9e9)))
    assert _machine_names(scene) == {"web ñ"}
    gone = replace(inventory, machines=MachineSnapshot({}, READ_AT)).with_requirements(DEFAULT_POLICY)
    scene.show(gone)
    assert _machine_names(scene) == {"web ñ"}
    renamed = MachineSnapshot({"501": VirtualMachine("501", "new")}, READ_AT)
    scene.show(replace(gone, machines=renamed).with_requirements(DEFAULT_POLICY))
    assert _machine_names(scene) == {"new"}
    assert gone.disks is not None
    moved = replace(gone, disks=replace(gone.disks, disks={"101": replace(WELL, virtual_machine_id="502")}))
    assert moved.with_requirements(DEFAULT_POLICY).known_machines == {}
    unread = replace(WELL, virtual_machine_id=None, unknown=frozenset({"virtual_machine_id"}))
    scene.show(_one(fleet, unread))
    assert _machine_names(scene) == {"unknown"}


def test_counts_are_0_where_nothing_is_found(scene: Any, fleet: Fleet) -> None:
    """Each finding has its count; an account without disks has them all at 0."""
    scene.show(_one(fleet))
    assert _counts(scene) == {finding.metric: 0 for finding in METRIC_FINDINGS}
    empty = replace(
        fleet(),
        disks=DiskSnapshot({}, {}, READ_AT),
        machines=MachineSnapshot({}, READ_AT),
        backups=BackupSnapshot({}, frozenset(), READ_AT, READ_AT),
    ).with_requirements(DEFAULT_POLICY)
    scene.show(empty)
    assert _counts(scene) == {finding.metric: 0 for finding in METRIC_FINDINGS}
    assert scene.values("gigas_exporter_poll_invalid_items")["disks"] == 2
    scene.show(replace(empty, machines=None))  # nothing says that an empty list is true
    assert _counts(scene) == {}
    assert scene.values("gigas_exporter_poll_invalid_items")["disks"] == 1  # field="total"
    assert scene.values("gigas_account_disks") == {"4242": 0}
    assert scene.values("gigas_account_disk_size_bytes") == {"4242": 0}


@pytest.mark.parametrize("backups", ["never read", "stale"])
def test_counts_that_need_backups_are_absent_without_them(scene: Any, fleet: Fleet, backups: str) -> None:
    """While a whole account's backups are not known no disk is unreadable, and no count that needs them is there."""
    inventory = fleet()
    assert inventory.backups is not None
    old = replace(inventory.backups, read_at=READ_AT - 1800)
    scene.show(replace(inventory, backups=None if backups == "never read" else old))
    assert set(_counts(scene)) == {"disk_error", "not_understood", "locked_long", "unprotected", "detached"}
    assert "backups_unreadable" not in _found(scene)
    for name in ("backups", "backup_size_bytes", "backup_compliance_ratio", "backups_unassigned"):
        assert scene.values(f"gigas_account_{name}") == {}, name
    assert not [name for name, _ in scene.series() if name == "gigas_account_backups_by_status"]
    assert scene.values("gigas_account_disks") == {"4242": 4}


@pytest.mark.parametrize(
    ("ages", "ratio"),
    [
        ({"1": 1, "2": 25}, 1.0),
        ({"1": 1, "2": 27}, 0.5),
        ({"1": 27, "2": None}, 0.0),
        ({"1": 1, "2": -1}, 0.5),
        ({"1": 1, "2": "no date"}, 0.5),
        ({}, None),
    ],
)
def test_the_ratio_counts_who_is_within_its_limit(
    scene: Any, fleet: Fleet, ages: dict[str, Any], ratio: float | None
) -> None:
    """Of the disks that must have a backup; one without a readable backup is outside, and none required is no ratio."""
    summaries = {
        disk_id: BackupSummary(
            0 if age is None else 1, 0, NOW - age * HOUR if isinstance(age, int) else None, None, None, READ_AT
        )
        for disk_id, age in ages.items()
    }
    disks = {disk_id: replace(WELL, id=disk_id) for disk_id in ages} or {"9": replace(WELL, id="9", is_swap=True)}
    inventory = replace(
        fleet(),
        disks=DiskSnapshot(disks, dict.fromkeys(disks, 0.0), READ_AT),
        backups=BackupSnapshot(summaries, frozenset(), READ_AT - 1, READ_AT),
    ).with_requirements(DEFAULT_POLICY)
    scene.show(inventory)
    assert scene.values("gigas_account_backup_compliance_ratio") == ({} if ratio is None else {"4242": ratio})


def test_sums_leave_out_what_is_not_known(scene: Any, fleet: Fleet) -> None:
    """Sums are of what is known; where nothing is, there is no sum rather than 0."""
    scene.show(fleet())
    assert scene.values("gigas_account_disk_size_bytes") == {"4242": 522 * GIB}
    assert scene.values("gigas_account_backups") == {"4242": 7}
    assert scene.values("gigas_account_backup_size_bytes") == {"4242": 5 * GIB + 512}
    scene.show(_one(fleet, replace(WELL, size_bytes=None)))
    assert scene.values("gigas_account_disk_size_bytes") == {}
    scene.show(_one(fleet, summary=BackupSummary(0, 2, None, 5 * GIB, None, READ_AT)))
    assert scene.values("gigas_account_backup_size_bytes") == {"4242": 0}


def test_missing_fields_that_decide_are_counted_with_the_invalid(scene: Any, fleet: Fleet) -> None:
    """What decoding counted, and the deciding fields that are missing; a missing field that decides nothing is none."""
    known = frozenset({"autobackup"})
    inventory = _one(fleet, replace(WELL, autobackup=None, unknown=known, missing=known))
    scene.show(inventory.with_outcome("disks", PollStatus(True, 1.0, NOW, invalid={"autobackup": 2, "created_at": 1})))

    def invalid() -> dict[str, float]:
        return _values(scene, "gigas_exporter_poll_invalid_items", "field", resource="disks")

    assert invalid() == {"autobackup": 3, "created_at": 1}
    assert _found(scene) == {"not_understood": ""}
    assert _undecided(scene) == {"autobackup": 1}
    swap = replace(WELL, is_swap=True, autobackup=None, unknown=known, missing=known)
    scene.show(_one(fleet, swap).with_outcome("disks", PollStatus(True, 1.0, NOW)))
    assert invalid() == {}
    assert _undecided(scene) == {}


def test_a_label_that_is_not_known_decides(scene: Any, fleet: Fleet) -> None:
    """While the machines cannot be read a rule by label leaves its disks not understood, under its limit."""
    rules = Policy(
        (
            Rule(Requirement(required=True, max_age_seconds=6 * HOUR), Match(virtual_machine_label="db*")),
            Rule(Requirement(required=False, reason="scratch")),
        )
    )
    inventory = replace(_one(fleet), machines=None, known_machines={}).with_requirements(rules)
    scene.show(inventory.with_outcome("virtual_machines", PollStatus(False, 1.0, None)))
    assert _found(scene) == {"not_understood": ""}
    assert _undecided(scene) == {"virtual_machine_label": 1}
    assert scene.values("gigas_disk_backup_max_age_seconds") == {"101": 6 * HOUR}
    assert scene.values("gigas_disk_backup_exempt") == {"101": 0}


def test_thresholds_are_told(scene: Any, fleet: Fleet) -> None:
    """A configured threshold decides when a lock is long, and stands with the finding."""
    disk = replace(WELL, locked=True)
    thresholds = Thresholds(locked_seconds=90 * 60)
    scene.show(_one(fleet, disk, locked_since={"101": NOW - 5400}, thresholds=thresholds))
    assert _found(scene) == {"locked_long": "1h30m"}
