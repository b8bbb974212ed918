"""Polls of one account: what they publish, and what stays when they fail."""

from __future__ import annotations

import logging
import time

import pytest

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.config import Settings
from poller.conftest import Watch
from support.polling import await_true, settings_for
from support.simulator import SimulatorServer
from support.timing import allowed, within

ACCOUNT = "4242"


def said_of_disks(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """The level and message of each line about the polls of disks."""
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if getattr(record, "facts", {}).get("resource") == "disks"
    ]


def test_the_first_polls_start_at_once(server: SimulatorServer, watch: Watch) -> None:
    """Disks, machines and backups are all known long before the first interval is over."""
    watching = watch(interval=60.0, backups_interval=60.0)
    await_true(lambda: len(watching.inventory().outcomes) == 3)
    inventory = watching.inventory()
    assert all(outcome.success for outcome in inventory.outcomes.values())
    assert watching.disks() == {disk.id for disk in server.world.disks(ACCOUNT)}
    assert inventory.machines is not None
    assert set(inventory.machines.machines) == {machine.id for machine in server.world.machines(ACCOUNT)}
    assert {seen.operation for seen in server.recent} == {
        "list_disks",
        "list_virtual_machines",
        "list_backups",
    }


def test_summaries_are_those_of_the_truth(server: SimulatorServer, watch: Watch) -> None:
    """For every disk, count and date of the newest backup are those that the simulated cloud holds."""
    watching = watch(interval=60.0, backups_interval=1.0)
    disks = server.world.disks(ACCOUNT)

    def summaries() -> list[BackupSummary | None]:
        return [watching.inventory().backup_summary(disk.id, time.monotonic()) for disk in disks]

    # Where the first sweep began before the first list of disks, that a disk has no backup is known with the second.
    await_true(lambda: None not in summaries())
    for disk, summary in zip(disks, summaries(), strict=True):
        truth = [backup for backup in server.world.backups(ACCOUNT, disk.id) if backup.status == "completed"]
        assert summary is not None
        newest = max((backup.date_created or 0.0 for backup in truth), default=None)
        assert (summary.usable, summary.newest_at) == (len(truth), newest)


@pytest.mark.parametrize("source", ["account", "disk"])
def test_changes_are_seen_at_the_next_poll(server: SimulatorServer, watch: Watch, source: str) -> None:
    """A deleted disk goes, an error flag and a new backup come, by either way of reading backups."""
    watching = watch(backups_source=source)
    await_true(lambda: watching.inventory().disks and watching.inventory().backups)
    gone, broken, fresh = sorted(watching.disks())[:3]
    server.world.delete_disk(gone)
    server.world.change_disk(broken, error=True)
    made = server.world.make_backup(fresh)
    watching.await_polls("disks")
    watching.await_polls("backups")
    assert gone not in watching.disks()
    inventory = watching.inventory()
    assert inventory.disks is not None
    assert inventory.disks.disks[broken].error is True
    summary = inventory.backup_summary(fresh, time.monotonic())
    assert summary is not None
    assert summary.newest_at == made.date_created


def test_one_resource_failing_does_not_hide_the_others(server: SimulatorServer, watch: Watch) -> None:
    """Without backups and machines there are still disks, and the policy is still applied to them."""
    server.faults.add("status", "list_*backups", status=403)
    server.faults.add("status", "list_virtual_machines", status=404)
    watching = watch()
    await_true(lambda: watching.inventory().disks and len(watching.inventory().outcomes) == 3)
    inventory = watching.inventory()
    assert inventory.backups is None
    assert inventory.machines is None
    assert set(inventory.requirements) == watching.disks()
    assert watching.observed.polls[ACCOUNT, "backups", "forbidden"]
    assert watching.observed.polls[ACCOUNT, "virtual_machines", "other"]


@pytest.mark.parametrize("reloads", [False, True])
def test_a_failure_is_logged_when_it_begins_and_when_it_ends(
    server: SimulatorServer, watch: Watch, caplog: pytest.LogCaptureFixture, reloads: bool
) -> None:
    """Both are warnings, all other polls are debug; after a reload neither is it said again nor its end forgotten."""
    caplog.set_level(logging.INFO, logger="gigas_exporter.poller")
    server.faults.add("status", "list_disks", status=501)
    watching = watch(backups_interval=60.0)
    await_true(lambda: watching.observed.polls[ACCOUNT, "disks", "server"] >= 3)
    if reloads:
        watching.service.stop()
        watching = watch(store=watching.store, backups_interval=60.0)
        await_true(lambda: watching.observed.polls[ACCOUNT, "disks", "server"])
    server.faults.clear()
    await_true(lambda: watching.inventory().disks)
    watching.await_polls("disks")
    assert said_of_disks(caplog) == [("WARNING", "Poll failed"), ("WARNING", "Poll succeeds again")]


def test_a_failure_that_is_another_after_a_reload_is_said(
    server: SimulatorServer, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reloads to mend a failure hears of the next one, and once."""
    fault = server.faults.add("status", "list_disks", status=401)
    before = watch(backups_interval=60.0)
    await_true(lambda: before.observed.polls[ACCOUNT, "disks", "auth"])
    before.service.stop()
    server.faults.remove(fault)
    server.faults.add("status", "list_disks", status=501)
    after = watch(store=before.store, backups_interval=60.0)
    await_true(lambda: after.observed.polls[ACCOUNT, "disks", "server"] >= 2)
    failed = [record for record in caplog.records if record.getMessage() == "Poll failed"]
    facts = [record.facts for record in failed]  # type: ignore[attr-defined]
    assert [each["reason"] for each in facts if each["resource"] == "disks"] == ["auth", "server"]


def test_a_bug_in_a_poll_ends_neither_the_polling_nor_other_resources(
    server: SimulatorServer, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected exception is a failed poll with reason other, and the next poll is made all the same."""
    calls: list[float] = []

    def broken(*_: object, **__: object) -> None:
        calls.append(time.monotonic())
        raise ZeroDivisionError

    monkeypatch.setattr("gigas_exporter.gigas.ReadClient.list_disks", broken)
    watching = watch()
    await_true(lambda: watching.observed.polls[ACCOUNT, "disks", "other"] >= 2)
    assert len(calls) >= 2
    assert watching.inventory().outcomes["virtual_machines"].success
    assert watching.service.healthy()


def test_stopping_in_the_middle_of_a_poll_is_quick_and_publishes_nothing(server: SimulatorServer, watch: Watch) -> None:
    """With an API that never answers, the end comes within two seconds and no outcome is published."""
    server.faults.add("hang")
    settings = settings_for(server, api={"timeout_seconds": 60.0}, interval=60.0)
    watching = watch(settings)
    await_true(server.requests.total)
    with within(2.0):
        watching.service.stop()
    assert watching.inventory().outcomes == {}


def test_a_poll_never_outlives_its_deadline(server: SimulatorServer, watch: Watch) -> None:
    """With an API that never answers, a poll of a 1 s interval fails with a timeout after 5 s and not later."""
    server.faults.add("hang", "list_disks")
    watching = watch(api={"timeout_seconds": 60.0})
    await_true(lambda: watching.observed.polls[ACCOUNT, "disks", "timeout"])
    assert 4.5 < watching.inventory().outcomes["disks"].duration_seconds < allowed(5.0)


def test_a_poll_that_the_end_cuts_off_is_no_failure(
    server: SimulatorServer, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is neither counted nor logged."""
    server.faults.add("hang", "list_disks")
    watching = watch()
    await_true(lambda: server.requests["list_disks"])
    watching.service.stop()
    assert not [key for key in watching.observed.polls if key[1:] != ("virtual_machines", None)]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == []


def test_a_new_generation_keeps_what_was_known(server: SimulatorServer, watch: Watch) -> None:
    """A reload's service starts with the old one's inventory and applies its own policy to it at once."""
    first = watch(interval=60.0, backups_interval=60.0)
    await_true(lambda: first.inventory().disks and first.inventory().backups)
    first.service.stop()
    server.faults.add("status", "*", status=500)
    settings: Settings = settings_for(server, max_staleness=7.0)
    second = watch(settings, store=first.store)
    assert second.disks() == {disk.id for disk in server.world.disks(ACCOUNT)}
    assert second.inventory().limits.disks == 7.0
    assert second.service.not_ready() is None
