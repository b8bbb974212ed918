"""Which series an inventory gives: absent is not 0, and nothing is served beyond its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.inventory import AccountInventory, BackupSnapshot, PollStatus, StalenessLimits
from gigas_exporter.model import Account, Disk
from gigas_exporter.policy import Requirement

Fleet = Callable[..., AccountInventory]
NOW = 1_700_000_000


def test_a_new_account_has_only_its_name(scene: Any) -> None:
    """Before any poll ended there is the account, and neither an up nor a disk."""
    scene.show(AccountInventory(Account("4242", None), StalenessLimits.of(900, 60, 300), intervals={"disks": 60.0}))
    ours = {name for name, _ in scene.series() if name.startswith("gigas_") and "_exporter_" not in name}
    assert ours == {"gigas_account_info"}
    assert scene.values("gigas_exporter_poll_interval_seconds") == {"disks": 60}
    assert scene.values("gigas_exporter_poll_success") == {}


@pytest.mark.parametrize("success", [True, False])
def test_up_tells_how_the_last_disks_poll_ended(scene: Any, fleet: Fleet, success: bool) -> None:
    """Up follows the disks poll alone, and the data stays when it fails."""
    failed = PollStatus(False, 1.0, None)
    inventory = fleet().with_outcome("backups", failed).with_outcome("disks", replace(failed, success=success))
    scene.show(inventory)
    assert scene.values("gigas_up") == {"4242": success}
    assert set(scene.values("gigas_disk_info")) == {"101", "102", "103", "104"}


def test_a_poll_that_never_succeeded_has_no_last_success(scene: Any, fleet: Fleet) -> None:
    """The time of the last success is absent, not 0, until there is one."""
    scene.show(fleet().with_outcome("backups", PollStatus(False, 1.0, None)))
    assert set(scene.values("gigas_exporter_poll_last_success_timestamp_seconds")) == {"disks", "virtual_machines"}


def test_what_the_api_did_not_give_has_no_series(scene: Any, fleet: Fleet) -> None:
    """A disk with nothing but an id has its info and its backups, and no value is made up for it."""
    scene.show(fleet())
    names = {name for name, labels in scene.series() if ("disk_id", "104") in labels}
    assert names == {
        "gigas_disk_info",
        "gigas_disk_finding",
        "gigas_disk_backups",
        "gigas_disk_backups_failed",
        "gigas_disk_backup_last_failed",
        "gigas_disk_backups_poll_success",
        "gigas_disk_backup_required",
        "gigas_disk_backup_exempt",
    }


def test_no_backup_is_zero_only_once_it_is_known(scene: Any, fleet: Fleet) -> None:
    """Backups are absent before they were read, and 0 when a sweep saw none for a disk known by then."""
    scene.show(replace(fleet(), backups=None, outcomes={}))
    assert scene.values("gigas_disk_backups") == {}
    assert scene.values("gigas_disk_backups_poll_success") == {}
    scene.show(fleet())
    assert scene.values("gigas_disk_backups") == {"101": 7, "102": 0, "103": 0, "104": 0}


def test_no_backup_of_a_required_disk_needs_its_own_list(scene: Any, fleet: Fleet) -> None:
    """The account's list may leave disks out: what it alone says of a disk that must have backups is not known."""
    inventory = fleet()
    assert inventory.backups is not None
    requirements = dict.fromkeys(("101", "102", "103"), Requirement(True, 3600.0))
    unconfirmed = replace(inventory.backups, own_lists_read=frozenset({"102"}))
    scene.show(replace(inventory, backups=unconfirmed, requirements=requirements))
    assert scene.values("gigas_disk_backups") == {"101": 7, "102": 0, "104": 0}


def test_a_disk_newer_than_the_sweep_has_no_backups_yet(scene: Any, fleet: Fleet) -> None:
    """A disk first seen after the sweep began is neither without backups nor read."""
    inventory = fleet()
    assert inventory.disks is not None
    first_seen = {**inventory.disks.first_seen, "104": inventory.disks.read_at}
    scene.show(replace(inventory, disks=replace(inventory.disks, first_seen=first_seen)))
    assert "104" not in scene.values("gigas_disk_backups")
    assert scene.values("gigas_disk_backups_poll_success") == {"101": 1, "102": 1, "103": 1, "104": 0}


def test_one_disks_failed_backups_keep_the_others(scene: Any, fleet: Fleet) -> None:
    """Asked disk by disk, a disk that failed keeps its older summary and says that it was not read."""
    old = BackupSummary(3, 0, NOW - 90_000.0, None, NOW - 90_000.0, 900.0)
    new = BackupSummary(5, 0, NOW - 60.0, None, NOW - 60.0, 1000.0)
    reading = BackupSnapshot({"101": old, "103": new}, frozenset({"101", "102"}), None, 1000.0)
    scene.show(replace(fleet(), backups=reading))
    assert scene.values("gigas_disk_backups_poll_success") == {"101": 0, "102": 0, "103": 1, "104": 0}
    assert scene.values("gigas_disk_backups") == {"101": 3, "103": 5}


def test_a_failed_backups_poll_is_told_of_every_disk(scene: Any, fleet: Fleet) -> None:
    """When the whole poll failed no disk was read, and the last good numbers stay."""
    scene.show(fleet().with_outcome("backups", PollStatus(False, 1.0, NOW - 300.0)))
    assert scene.values("gigas_disk_backups_poll_success") == dict.fromkeys(("101", "102", "103", "104"), 0)
    assert scene.values("gigas_disk_backups")["101"] == 7


def test_a_first_backups_poll_that_failed_is_told_too(scene: Any, fleet: Fleet) -> None:
    """Without any reading the disks say that they were not read, and nothing of their backups."""
    scene.show(replace(fleet(), backups=None).with_outcome("backups", PollStatus(False, 1.0, None)))
    assert set(scene.values("gigas_disk_backups_poll_success").values()) == {0}
    assert scene.values("gigas_disk_backups") == {}


def test_the_policy_shows_beside_the_disk(scene: Any, fleet: Fleet) -> None:
    """A limit is there only where a backup is required, and a disk without a word of the policy has neither."""
    requirements = {"101": Requirement(True, 3600.0), "102": Requirement(False, None, "swap"), "103": Requirement(True)}
    scene.show(replace(fleet(), requirements=requirements))
    assert scene.values("gigas_disk_backup_required") == {"101": 1, "102": 0, "103": 1}
    assert scene.values("gigas_disk_backup_max_age_seconds") == {"101": 3600}


def test_the_age_grows_with_every_second_without_a_poll(scene: Any, fleet: Fleet) -> None:
    """The age is counted at the scrape, to the second."""
    scene.show(fleet())
    for seconds in (0, 1, 1, 58, 600):
        scene.clock.move(seconds)
        age = scene.clock.wall() - scene.values("gigas_disk_backup_last_timestamp_seconds")["101"]
        assert scene.values("gigas_disk_backup_age_seconds") == {"101": pytest.approx(age, abs=1)}


def test_the_age_never_falls_below_zero(scene: Any, fleet: Fleet) -> None:
    """A backup from the future, or a clock that was set back, gives the age 0."""
    scene.show(fleet())
    scene.clock.wall_seconds -= 86_400
    assert scene.values("gigas_disk_backup_age_seconds") == {"101": 0}


def test_disks_go_at_their_limit_to_the_second(scene: Any, fleet: Fleet) -> None:
    """Without another poll, disks, machines and what is counted of them go at their limit; the account stays."""
    inventory = fleet().with_outcome("disks", PollStatus(False, 1.0, NOW - 1.0))
    assert inventory.machines is not None
    scene.show(replace(inventory, machines=replace(inventory.machines, read_at=990.0)))
    scene.clock.move(889)
    assert set(scene.values("gigas_virtual_machine_info")) == {"501"}
    scene.clock.move(1)
    assert scene.values("gigas_virtual_machine_info") == {}
    scene.clock.move(9)
    assert len(scene.values("gigas_disk_info")) == 4
    scene.clock.move(1)
    names = {name for name, _ in scene.series()}
    assert not [name for name in names if name.startswith(("gigas_disk", "gigas_virtual", "gigas_account_disk"))]
    assert not names & {f"gigas_account_backup{name}" for name in ("s", "_size_bytes", "_compliance_ratio")}
    assert scene.values("gigas_up") == {"4242": 0}
    assert scene.values("gigas_account_info") == {"4242": 1}
    assert "disks" in scene.values("gigas_exporter_poll_last_success_timestamp_seconds")


def test_backups_go_by_their_own_limit(scene: Any, fleet: Fleet) -> None:
    """While the disks are read on, their backups go when the backups were last read too long ago."""
    old = fleet(read_at=1000.0)
    scene.clock.move(1799)
    fresh = fleet(read_at=scene.clock.monotonic())
    scene.show(replace(fresh, backups=old.backups))
    assert scene.values("gigas_disk_backups") == {"101": 7, "103": 0}
    scene.clock.move(1)
    names = {name for name, _ in scene.series()}
    assert names.isdisjoint(
        {"gigas_disk_backups", "gigas_disk_backup_age_seconds", "gigas_disk_backup_last_timestamp_seconds"}
    )
    assert {"gigas_disk_size_bytes", "gigas_disk_backup_required", "gigas_disk_backups_poll_success"} <= names


def test_a_wall_clock_that_jumps_drops_nothing(scene: Any, fleet: Fleet) -> None:
    """Staleness follows the monotonic clock."""
    scene.show(fleet())
    scene.clock.wall_seconds += 10 * 86_400
    assert len(scene.values("gigas_disk_info")) == 4


def test_a_disk_that_moves_takes_its_backups_along(scene: Any, fleet: Fleet) -> None:
    """Its series have the new machine's id, also where nothing else of it has changed."""
    inventory = fleet()
    scene.show(inventory)
    assert inventory.disks is not None
    moved = {**inventory.disks.disks, "101": replace(inventory.disks.disks["101"], virtual_machine_id="502")}
    scene.show(replace(inventory, disks=replace(inventory.disks, disks=moved)))
    machines = {dict(labels)["virtual_machine_id"] for _, labels in scene.series() if ("disk_id", "101") in labels}
    assert machines == {"502"}


def test_disks_and_accounts_that_are_gone_are_gone(scene: Any, fleet: Fleet) -> None:
    """The next exposition shows neither a deleted disk nor an account that is watched no more."""
    inventory = fleet()
    scene.show(inventory, fleet("5151"))
    assert inventory.disks is not None
    left = {"101": Disk("101", "501")}
    scene.show(replace(inventory, disks=replace(inventory.disks, disks=left)))
    assert set(scene.values("gigas_disk_info")) == {"101"}
    assert set(scene.values("gigas_account_info")) == {"4242"}
