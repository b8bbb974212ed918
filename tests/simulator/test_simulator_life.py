"""The world lives: by its clock, by its seed, and as its levers are pulled."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from gigas_exporter.model import Backup
from gigas_exporter.simulator import SimulatedCloud

HOUR = 3600.0
DAY = 86_400.0


def _by_scenario(world: SimulatedCloud, account_id: str = "4242") -> dict[str, str]:
    own = {disk.id for disk in world.disks(account_id)}
    return {scenario: disk_id for disk_id, scenario in world.scenarios.items() if disk_id in own}


def _of(world: SimulatedCloud, disk_id: str) -> tuple[Backup, ...]:
    return world.backups(next(a for a in world.account_ids if disk_id in {d.id for d in world.disks(a)}), disk_id)


def _newest_usable(world: SimulatedCloud, disk_id: str) -> float:
    return max(backup.date_created or 0 for backup in _of(world, disk_id) if backup.status == "completed")


def _all(world: SimulatedCloud) -> tuple[Any, ...]:
    return tuple((world.disks(a), world.backups(a), world.machines(a)) for a in world.account_ids)


def test_the_seed_decides_the_world_for_all_time(clock: Any) -> None:
    """Two worlds of one seed are the same at every moment, however they are asked; another seed gives another one."""
    often, seldom = (SimulatedCloud(seed=3, disks=60, accounts=2, speed=50, clock=clock) for _ in range(2))
    other = SimulatedCloud(seed=4, disks=60, accounts=2, speed=50, clock=clock)
    assert _all(often) == _all(seldom)
    assert _all(often) != _all(other)
    for _ in range(40):
        clock.advance(0.1 * DAY / 50)
        _all(often)
    assert _all(often) == _all(seldom)


@pytest.mark.parametrize("disks", [0, 1, 2, 5, 12, 13, 40])
def test_a_world_has_exactly_the_disks_asked_for(clock: Any, disks: int) -> None:
    """The number of disks counts all accounts together, and small fleets get the first scenarios."""
    world = SimulatedCloud(disks=disks, accounts=3, clock=clock)
    assert sum(len(world.disks(account)) for account in world.account_ids) == disks
    for seed in range(10):
        assert len(SimulatedCloud(seed, disks, clock=clock).scenarios) == max(0, min(disks - 2, 13))
    assert SimulatedCloud(disks=disks, clock=clock, eventful=False).scenarios == {}


def test_an_impossible_world_is_refused() -> None:
    """Negative sizes, no accounts and a speed that is none are errors."""
    for wrong in (
        {"disks": -1},
        {"accounts": 0},
        {"retention": 0},
        {"speed": 0},
        {"speed": float("inf")},
        {"speed": float("nan")},
    ):
        with pytest.raises(ValueError, match=r"disks must be at least 0, .* speed finite and positive"):
            SimulatedCloud(**wrong)


def test_trouble_is_there_from_the_first_second(world: SimulatedCloud, clock: Any) -> None:
    """Each scenario is visible in the data at once."""
    disks = {disk.id: disk for disk in world.disks("4242")}
    scenario = _by_scenario(world)
    now = clock()
    assert 26 * HOUR < now - _newest_usable(world, scenario["stale"]) < 52 * HOUR
    assert now - _newest_usable(world, scenario["missed"]) > 52 * HOUR
    assert disks[scenario["never"]].autobackup
    assert _of(world, scenario["never"]) == ()
    assert now - (disks[scenario["never"]].created_at or now) > 30 * DAY
    assert disks[scenario["error"]].error
    assert disks[scenario["locked"]].locked
    assert now - (disks[scenario["locked"]].updated_at or now) > 2 * HOUR
    assert not disks[scenario["unprotected"]].autobackup
    assert not disks[scenario["unprotected"]].is_swap
    assert [backup.backup_type for backup in _of(world, scenario["unprotected"])] == ["gigas"]
    assert _of(world, scenario["failed"])[-1].status == "failed"
    assert _of(world, scenario["unfinished"])[-1].status == "running"
    assert disks[scenario["detached"]].virtual_machine_id is None
    assert '"' in (disks[scenario["hostile"]].mount_point or "")
    assert any("\n" in (machine.label or "") for machine in world.machines("4242"))
    *_, before, last = _of(world, scenario["shrunk"])
    assert (last.size_bytes or 0) * 10 < (before.size_bytes or 0)
    assert now - (disks[scenario["new"]].created_at or 0) < HOUR
    assert _of(world, scenario["new"]) == ()


def test_the_rest_is_healthy(world: SimulatedCloud, clock: Any) -> None:
    """Disks without a scenario have seven completed daily backups, the last within a day, and no flag set."""
    for disk in world.disks("4242"):
        if disk.id in world.scenarios:
            continue
        assert (disk.error, disk.locked) == (False, False)
        backups = _of(world, disk.id)
        assert bool(backups) == disk.autobackup == (not disk.is_swap)
        assert all(backup.status == "completed" and backup.backup_type == "gigas-automatic" for backup in backups)
        if backups:
            assert clock() - _newest_usable(world, disk.id) < DAY
            assert len(backups) == 7 or clock() - (disk.created_at or 0) < 9 * DAY


def test_backups_are_made_on_schedule_and_rotate(clock: Any) -> None:
    """Each day brings one backup, pending, then running, then completed, and takes the oldest of seven away."""
    world = SimulatedCloud(seed=1, disks=1, clock=clock, eventful=False)
    disk_id = world.disks("4242")[0].id
    before = _of(world, disk_id)
    assert len(before) == 7
    clock.now = (before[-1].date_created or 0) + DAY + 1
    after = _of(world, disk_id)
    assert after[:-1] == before[1:]
    assert (after[-1].status, after[-1].locked, after[-1].size_bytes) == ("pending", True, None)
    clock.advance(250)
    assert _of(world, disk_id)[-1].status == "running"
    clock.advance(1200)
    done = _of(world, disk_id)[-1]
    assert (done.id, done.status, done.locked) == (after[-1].id, "completed", False)
    assert done.size_bytes
    clock.advance(30 * DAY)
    assert len(_of(world, disk_id)) == 7


def test_speed_compresses_schedules_and_leaves_dates_real(clock: Any) -> None:
    """At speed 1440 a daily backup is made every minute, none is dated ahead, and the history is at normal pace."""
    world = SimulatedCloud(seed=1, disks=6, speed=1440, clock=clock, eventful=False)
    disk_id = world.disks("4242")[0].id
    history = [backup.date_created or 0 for backup in _of(world, disk_id)]
    assert {round(b - a) for a, b in itertools.pairwise(history)} == {int(DAY)}
    clock.advance(3600)
    dates = [backup.date_created or 0 for backup in _of(world, disk_id)]
    assert all(58 < b - a < 62 for a, b in itertools.pairwise(dates))
    assert clock() - 61 <= dates[-1] <= clock()


def test_a_start_in_the_past_is_caught_up_with(clock: Any) -> None:
    """A world that began a day ago has lived for that day."""
    world = SimulatedCloud(disks=14, start=clock() - DAY, clock=clock)
    assert max(backup.date_created or 0 for backup in world.backups("4242")) > clock() - DAY
    assert world.start == clock() - DAY


def test_backups_fail_now_and_then_and_recover(clock: Any) -> None:
    """Over time some scheduled backups of healthy disks fail, and later ones of the same disk do not."""
    world = SimulatedCloud(seed=2, disks=200, clock=clock, eventful=False)
    assert not any(backup.status == "failed" for backup in world.backups("4242"))
    clock.advance(10 * DAY)
    failed = {backup.disk_id for backup in world.backups("4242") if backup.status == "failed"}
    assert 0 < len(failed) < 60
    clock.advance(10 * DAY)
    assert failed - {backup.disk_id for backup in world.backups("4242") if backup.status == "failed"}


def test_disks_come_go_and_are_worked_on(clock: Any) -> None:
    """Within hours one disk goes and another comes with a new id; within minutes one is locked and free again."""
    world = SimulatedCloud(seed=1, disks=20, clock=clock)
    first = {disk.id for disk in world.disks("4242")}
    locked = {disk.id for disk in world.disks("4242") if disk.locked}
    seen: set[str] = set()
    for _ in range(60):
        clock.advance(100)
        seen |= {disk.id for disk in world.disks("4242") if disk.locked} - locked
    assert seen
    clock.advance(1.5 * HOUR)
    assert first - {disk.id for disk in world.disks("4242")} == {_ephemeral(world)}
    clock.advance(HOUR)
    assert len({disk.id for disk in world.disks("4242")} - first) == 1
    clock.advance(400 * DAY)
    assert 19 <= len(world.disks("4242")) <= 20


def test_a_disk_that_comes_and_goes_may_be_taken_away_before(clock: Any) -> None:
    """When someone deletes the disk that would have gone, the next one comes all the same."""
    world = SimulatedCloud(seed=1, disks=20, clock=clock)
    world.delete_disk(_ephemeral(world))
    clock.advance(4 * HOUR)
    assert [disk.mount_point for disk in world.disks("4242")].count("/scratch") == 1
    assert len(world.disks("4242")) == 20


def _ephemeral(world: SimulatedCloud) -> str:
    return next(disk_id for disk_id, scenario in world.scenarios.items() if scenario == "ephemeral")


def test_a_schedule_that_ended_adds_nothing(call: Any, world: SimulatedCloud, clock: Any) -> None:
    """Once a stopped disk's backups are taken away, none comes any more, and the listing counts right."""
    stale = _by_scenario(world)["stale"]
    others = int(call.get("/account/4242/backups").headers["X-Total"]) - len(_of(world, stale))
    world.remove_backups(stale)
    assert call.get("/account/4242/backups").headers["X-Total"] == str(others)
    clock.advance(10 * DAY)
    assert _of(world, stale) == ()
    unprotected = _by_scenario(world)["unprotected"]
    world.remove_backups(unprotected)
    assert _of(world, unprotected) == ()


def test_a_growing_history_is_counted_right(serve: Any, clock: Any) -> None:
    """While young disks collect their first backups, X-Total follows the truth."""
    world = SimulatedCloud(disks=3, clock=clock, eventful=False)
    for _ in range(3):
        world.add_disk()
    call = serve(world)
    totals = []
    for _ in range(12):
        clock.advance(0.8 * DAY)
        totals.append(int(call.get("/account/4242/backups").headers["X-Total"]))
        assert totals[-1] == len(world.backups("4242")) == len(call.items("/account/4242/backups"))
    assert totals[0] < totals[3] < totals[-1]


def test_what_is_set_by_hand_outlives_an_operation(call: Any, world: SimulatedCloud, clock: Any) -> None:
    """A lock set by hand while an operation is under way stays when that ends."""
    call("POST", "/account/4242/disk/10001/build")
    world.change_disk("10001", locked=True)
    clock.advance(60)
    assert world.disk("10001").locked


def test_stored_backups_rotate_with_scheduled_ones(world: SimulatedCloud, clock: Any) -> None:
    """Seven automatic ones are kept, whether stored or not; those made by hand stay beside them."""
    world.make_backup("10001")
    for _ in range(3):
        world.make_backup("10001", automatic=True)
    for days in range(12):
        backups = world.backups("4242", "10001")
        assert sum(backup.backup_type == "gigas-automatic" for backup in backups) == 7
        assert sum(backup.backup_type == "gigas" for backup in backups) == 1
        assert len(world.backups("4242")) == len({backup.id for backup in world.backups("4242")})
        clock.now += DAY * (days > 0)


def test_autobackup_stops_and_begins_again(world: SimulatedCloud, clock: Any) -> None:
    """Off, the backups stay and no more come; on again, the next comes a day later."""
    before = world.backups("4242", "10001")
    world.change_disk("10001", autobackup=False)
    world.change_disk("10001", autobackup=False)
    clock.advance(3 * DAY)
    assert world.backups("4242", "10001") == before
    world.change_disk("10001", autobackup=True)
    clock.advance(DAY + HOUR)
    after = world.backups("4242", "10001")
    assert after[:-1] == before[1:]
    assert clock() - (after[-1].date_created or 0) == HOUR


def test_a_backup_under_way_goes_with_the_others(clock: Any) -> None:
    """A scheduled backup that is being made does not outlive the removal of all, or autobackup switched off."""
    world = SimulatedCloud(seed=1, disks=1, clock=clock, eventful=False)
    disk_id = world.disks("4242")[0].id
    for end in (world.remove_backups, lambda disk_id: world.change_disk(disk_id, autobackup=False)):
        clock.now = (_of(world, disk_id)[-1].date_created or 0) + DAY + 1
        assert _of(world, disk_id)[-1].locked
        end(disk_id)
        assert not any(backup.locked for backup in _of(world, disk_id))
        clock.advance(DAY)


def test_a_platform_keeps_as_many_backups_as_it_is_told(clock: Any) -> None:
    """With a retention of 3, a healthy disk lists its last three backups, today and three days on."""
    world = SimulatedCloud(seed=4, disks=30, eventful=False, retention=3, clock=clock)
    disk = next(disk for disk in world.disks("4242") if len(world.backups("4242", disk.id)) == 3)
    newest = max(backup.date_created or 0.0 for backup in world.backups("4242", disk.id))
    clock.advance(3 * 86_400)
    later = [backup.date_created or 0.0 for backup in world.backups("4242", disk.id)]
    assert len(later) == 3
    assert min(later) > newest
    assert max(len(world.backups("4242", each.id)) for each in world.disks("4242")) == 3
