"""Reading backups disk by disk: which source is taken, and how disks that cannot be read leave the others alone."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from gigas_exporter.simulator import SimulatorServer
from support.polling import Watching, await_true

Watch = Callable[..., Watching]
ACCOUNT = "4242"


def summaries(watching: Watching) -> dict[str, int]:
    """By disk id, how many usable backups are known of each disk of which anything is."""
    now = time.monotonic()
    found = {disk_id: watching.inventory().backup_summary(disk_id, now) for disk_id in watching.disks()}
    return {disk_id: summary.usable for disk_id, summary in found.items() if summary is not None}


@pytest.mark.parametrize("status", [404, 405, 501])
def test_auto_asks_disk_by_disk_where_the_api_has_no_sweep(server: SimulatorServer, watch: Watch, status: int) -> None:
    """A status that says that there is no such endpoint leads to one request for each disk."""
    server.faults.add("status", "list_backups", status=status)
    watching = watch(interval=60.0, backups_interval=60.0)
    await_true(lambda: watching.inventory().backups)
    assert len(summaries(watching)) == 24
    assert server.requests["list_disk_backups"] >= 24
    assert watching.inventory().outcomes["backups"].success


def test_auto_takes_the_sweep_where_it_is(server: SimulatorServer, watch: Watch) -> None:
    """With a sweep no disk is asked for by itself."""
    watching = watch(interval=60.0)
    await_true(lambda: len(summaries(watching)) == 24)
    assert server.requests["list_disk_backups"] == 0


def test_a_refused_sweep_is_a_failure_and_no_reason_to_ask_otherwise(server: SimulatorServer, watch: Watch) -> None:
    """After 403 nothing is asked disk by disk: it would be refused, too, many times."""
    server.faults.add("status", "list_backups", status=403)
    watching = watch(interval=60.0, backups_interval=60.0)
    await_true(lambda: watching.observed.polls[ACCOUNT, "backups", "forbidden"])
    assert server.requests["list_disk_backups"] == 0


def test_account_source_never_asks_disk_by_disk(server: SimulatorServer, watch: Watch) -> None:
    """Where the operator chose the sweep, its absence is a failed poll."""
    server.faults.add("status", "list_backups", status=404)
    watching = watch(interval=60.0, backups_interval=60.0, backups_source="account")
    await_true(lambda: watching.observed.polls[ACCOUNT, "backups", "other"])
    assert server.requests["list_disk_backups"] == 0


def test_an_unreadable_disk_keeps_its_last_summary_and_the_others_theirs(server: SimulatorServer, watch: Watch) -> None:
    """The poll succeeds, the one disk is marked, and what was known of it is still served."""
    watching = watch(backups_source="disk", api={"max_concurrency": 1})
    await_true(lambda: watching.inventory().backups)
    before = summaries(watching)
    # Disks are asked longest unread first, so with one request at a time the same disk is first each time.
    server.faults.add("status", "list_disk_backups", status=400, count=1)
    await_true(lambda: watching.inventory().backups and watching.inventory().backups.failed_disks)  # type: ignore[union-attr]
    backups = watching.inventory().backups
    assert backups is not None
    assert len(backups.failed_disks) == 1
    assert summaries(watching) == before
    assert watching.inventory().outcomes["backups"].success
    await_true(lambda: not watching.inventory().backups.failed_disks)  # type: ignore[union-attr]


def test_a_backup_whose_disk_is_not_understood_is_not_said_to_be_no_backup(
    server: SimulatorServer, watch: Watch
) -> None:
    """It may be of any disk: none is said to have no backups, what was known stays, and it is counted once."""
    watching = watch(backups_source="account")
    watching.await_polls("backups")
    known = summaries(watching)
    server.faults.add("value", "list_backups", field="disk_id", value=True)
    await_true(lambda: watching.observed.invalids[ACCOUNT, "backups", "disk_id"])
    watching.service.stop()
    assert summaries(watching) == {disk_id: count for disk_id, count in known.items() if count}
    backups = watching.inventory().backups
    assert backups is not None
    assert backups.failed_disks == set(summaries(watching))

    fresh = watch(backups_source="account", backups_interval=60.0)
    await_true(lambda: fresh.observed.polls[ACCOUNT, "backups", None])
    assert summaries(fresh) == {}
    assert fresh.observed.invalids[ACCOUNT, "backups", "disk_id"] == len(server.world.backups(ACCOUNT))


def test_disks_that_fail_are_asked_last_the_next_time(server: SimulatorServer, watch: Watch) -> None:
    """So that disks that always fail can never use up the time of the others."""
    watching = watch(backups_source="disk", api={"max_concurrency": 1}, interval=60.0, backups_interval=2.0)
    await_true(lambda: watching.inventory().backups)
    server.faults.add("status", "list_disk_backups", status=400, count=1)
    await_true(lambda: watching.inventory().backups and watching.inventory().backups.failed_disks)  # type: ignore[union-attr]
    (failed,) = watching.inventory().backups.failed_disks  # type: ignore[union-attr]
    polls = watching.observed.ended("backups")
    server.requests.clear()
    await_true(lambda: watching.observed.ended("backups") > polls)
    asked = [seen.path for seen in server.requests.recent if seen.operation == "list_disk_backups"][:24]
    assert f"/disk/{failed}/" in asked[-1]


def test_a_disk_that_has_gone_since_it_was_listed_is_no_error(server: SimulatorServer, watch: Watch) -> None:
    """A 404 of a disk that is gone drops it quietly; the poll succeeds."""
    watching = watch(interval=60.0, backups_interval=1.0, backups_source="disk")
    await_true(lambda: watching.inventory().backups)
    gone = min(watching.disks())
    server.world.delete_disk(gone)
    watching.await_polls("backups")
    backups = watching.inventory().backups
    assert backups is not None
    assert gone not in backups.summaries
    assert backups.failed_disks == frozenset()
    assert watching.inventory().outcomes["backups"].success


def test_a_404_of_a_disk_that_is_still_there_is_an_error(server: SimulatorServer, watch: Watch) -> None:
    """An API that has neither sweep nor list for disks that exist is a failed poll, never a fleet without backups."""
    server.faults.add("status", "list_backups", status=404)
    server.faults.add("status", "list_disk_backups", status=404)
    watching = watch(interval=60.0, backups_interval=60.0)
    await_true(lambda: watching.observed.polls[ACCOUNT, "backups", "other"])
    assert summaries(watching) == {}


def test_an_api_that_is_down_is_not_asked_for_every_disk(server: SimulatorServer, watch: Watch) -> None:
    """After eight disks in a row without an answer the rest is left for the next poll."""
    server.faults.add("close", "list_disk_backups")
    watching = watch(interval=60.0, backups_interval=60.0, backups_source="disk", api={"max_concurrency": 1})
    await_true(lambda: watching.observed.polls[ACCOUNT, "backups", "connection"], seconds=60)
    assert server.requests["list_disk_backups"] <= 8 * 3


def test_a_disk_that_comes_is_not_said_to_have_no_backup_before_it_was_asked_for(
    server: SimulatorServer, watch: Watch
) -> None:
    """A disk first seen after the sweep began has no summary until the next sweep; then it has none of backups."""
    watching = watch(interval=1.0, backups_interval=4.0)
    await_true(lambda: watching.inventory().backups)
    new = server.world.add_disk(ACCOUNT).id
    await_true(lambda: new in watching.disks())
    seen = watching.inventory().disks.first_seen[new]  # type: ignore[union-attr]
    backups = watching.inventory().backups
    assert backups is not None
    assert backups.swept_at is not None
    if backups.swept_at < seen:
        assert new not in summaries(watching)
    await_true(lambda: summaries(watching).get(new) == 0)


def test_without_a_disk_list_the_sweep_disk_by_disk_waits_and_says_so(server: SimulatorServer, watch: Watch) -> None:
    """Backups cannot be read before there is a first disk list, and the poll's failure says nothing else."""
    server.faults.add("status", "list_disks", status=403)
    watching = watch(interval=60.0, backups_interval=1.0, backups_source="disk")
    await_true(lambda: watching.observed.polls[ACCOUNT, "backups", "other"])
    assert server.requests["list_disk_backups"] == 0
