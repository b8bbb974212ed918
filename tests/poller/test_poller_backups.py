"""Reading backups disk by disk: which source is taken, and how disks that cannot be read leave the others alone."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from gigas_exporter.errors import ConfigError
from gigas_exporter.gigas import Listing, ReadClient
from gigas_exporter.model import Backup
from gigas_exporter.report import Finding, report_account
from poller.conftest import Watch
from support.polling import Watching, await_true, settings_for
from support.simulator import SimulatorServer

ACCOUNT = "4242"


def summaries(watching: Watching) -> dict[str, int]:
    """By disk id, how many usable backups are known of each disk of which anything is."""
    now = time.monotonic()
    found = {disk_id: watching.inventory().backup_summary(disk_id, now) for disk_id in watching.disks()}
    return {disk_id: summary.usable for disk_id, summary in found.items() if summary is not None}


def unreadable(watching: Watching) -> set[str]:
    """The disks whose backups are found unreadable."""
    reports = report_account(watching.inventory(), wall=time.time(), monotonic=time.monotonic())
    return {report.disk.id for report in reports if Finding.BACKUPS_UNREADABLE in report.findings}


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
def test_auto_asks_disk_by_disk_where_the_api_has_no_sweep(server: SimulatorServer, watch: Watch, status: int) -> None:
    """A status that says that there is no such endpoint, or not for us, leads to one request for each disk."""
    server.faults.add("status", "list_backups", status=status)
    watching = watch(interval=60.0, backups_interval=60.0)
    await_true(lambda: watching.inventory().backups)
    assert len(summaries(watching)) == 24
    assert server.requests["list_disk_backups"] >= 24
    # Smaller pages are tried after 400.
    assert server.requests["list_backups"] == (2 if status == 400 else 1)
    assert watching.inventory().outcomes["backups"].success


def test_auto_takes_the_sweep_where_it_is(server: SimulatorServer, watch: Watch) -> None:
    """With a sweep only disks without a backup are asked for by themselves."""
    watching = watch(interval=60.0)
    await_true(lambda: len(summaries(watching)) == 24)
    none = [disk_id for disk_id, usable in summaries(watching).items() if not usable]
    asked = {seen.path.split("/")[4] for seen in server.recent if seen.operation == "list_disk_backups"}
    assert asked <= set(none)


@pytest.mark.parametrize(
    ("source", "operations", "status"),
    [
        ("auto", "list_disks list_backups", 400),
        ("auto", "list_disks list_backups", 403),
        ("account", "list_backups", 404),
    ],
)
def test_a_sweep_that_fails_is_a_failed_poll_where_nothing_says_disk_by_disk(
    server: SimulatorServer, watch: Watch, source: str, operations: str, status: int
) -> None:
    """The operator chose the sweep, or the disks cannot be read either: the credential or the account is at fault."""
    for operation in operations.split():
        server.faults.add("status", operation, status=status)
    watching = watch(interval=60.0, backups_interval=60.0, backups_source=source)
    await_true(lambda: watching.observed.ended("backups"))
    assert not watching.observed.polls[ACCOUNT, "backups", None]
    assert server.requests["list_disk_backups"] == 0


@pytest.mark.parametrize(
    ("source", "fault", "reason", "tries"),
    [
        ("auto", ("status", "list_*backups", {"status": 403}), "forbidden", 2),
        ("disk", ("close", "list_disk_backups", {}), "connection", 3),
    ],
    ids=["without any right to backups", "an API that is down"],
)
def test_after_eight_disks_in_a_row_the_rest_is_left_for_the_next_poll(
    server: SimulatorServer, watch: Watch, source: str, fault: Any, *, reason: Any, tries: int
) -> None:
    """A credential without the right, or an API that is down, is not asked for every disk; next, those come first."""
    kind, operation, parameters = fault
    server.faults.add(kind, operation, **parameters)
    watching = watch(interval=60.0, backups_interval=60.0, backups_source=source, api={"max_concurrency": 1})
    await_true(lambda: watching.observed.polls[ACCOUNT, "backups", reason])
    assert server.requests["list_disk_backups"] <= 8 * tries


def test_an_unreadable_disk_keeps_its_last_summary_and_the_others_theirs(
    server: SimulatorServer, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """The poll succeeds, the one disk is marked, and what was known of it is still served; both changes are logged."""
    watching = watch(backups_source="disk", api={"max_concurrency": 1})
    await_true(lambda: watching.inventory().backups)
    before = summaries(watching)
    # Disks are asked longest unread first, so with one request at a time the same disk is first each time.
    server.faults.add("status", "list_disk_backups", status=409, count=1)
    watching.await_failed_disk()
    assert summaries(watching) == before
    assert watching.inventory().outcomes["backups"].success
    await_true(lambda: not watching.backups().failed_disks)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["Backups of some disks cannot be read", "Backups of all disks can be read again"]


def test_a_backup_whose_disk_is_not_understood_is_not_said_to_be_no_backup(
    server: SimulatorServer, watch: Watch
) -> None:
    """It may be of any disk: none is said to have no backups, what was known stays, and it is counted once."""
    watching = watch(backups_source="account")
    await_true(lambda: len(summaries(watching)) == 24)
    known = summaries(watching)
    server.faults.add("value", "list_backups", field="disk_id", value=True)
    server.faults.add("status", "list_disk_backups", status=403)
    await_true(lambda: watching.observed.invalids[ACCOUNT, "backups", "disk_id"])
    watching.service.stop()
    assert summaries(watching) == {disk_id: count for disk_id, count in known.items() if count}
    assert {disk_id for disk_id, usable in known.items() if usable} <= watching.backups().failed_disks

    fresh = watch(backups_source="account", backups_interval=60.0)
    await_true(lambda: fresh.observed.polls[ACCOUNT, "backups", None])
    assert summaries(fresh) == {}
    assert fresh.observed.invalids[ACCOUNT, "backups", "disk_id"] == len(server.world.backups(ACCOUNT))


@pytest.mark.parametrize("disk_id", [True, None, "x", {"disk": 10001}])
def test_disks_that_the_accounts_list_leaves_out_are_asked_for_by_themselves(
    server: SimulatorServer, watch: Watch, disk_id: object
) -> None:
    """Where backups name no disk, or none that is listed, each required disk's own list says what it has."""
    server.faults.add("value", "list_backups", field="disk_id", value=disk_id)
    watching = watch(backups_interval=60.0)
    await_true(lambda: watching.observed.polls[ACCOUNT, "backups", None])
    required = {each for each, asked in watching.inventory().requirements.items() if asked.required}
    usable = {
        each: sum(backup.status == "completed" for backup in server.world.backups(ACCOUNT, each)) for each in required
    }
    assert {each: count for each, count in summaries(watching).items() if each in required} == usable
    assert watching.backups().unassigned == len(server.world.backups(ACCOUNT))
    assert watching.backups().failed_disks == frozenset()


def test_a_required_disk_is_never_backed_up_only_when_its_own_list_says_so(
    server: SimulatorServer, watch: Watch
) -> None:
    """Until its own list was read its backups are not known; what that list said is remembered."""
    never = server.world.add_disk(ACCOUNT, autobackup=True).id
    server.faults.add("status", "list_disk_backups", status=500)
    watching = watch()
    await_true(lambda: watching.observed.polls[ACCOUNT, "backups", None])
    assert never not in summaries(watching)
    assert never in watching.backups().failed_disks
    server.faults.clear()
    await_true(lambda: summaries(watching).get(never) == 0)
    server.faults.add("status", "list_disk_backups", status=500)
    watching.await_polls("backups")
    assert summaries(watching)[never] == 0
    server.faults.clear()
    server.world.make_backup(never)
    await_true(lambda: summaries(watching)[never] == 1)


def test_disks_without_a_backup_are_asked_for_in_turn(
    server: SimulatorServer, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more disks than one poll may ask for, those come first that were not asked for the longest time."""
    monkeypatch.setattr("gigas_exporter.poller.backups._MAX_OWN_LISTS", 5)
    server.faults.add("value", "list_backups", field="disk_id", value=None)
    watching = watch()
    await_true(lambda: watching.observed.polls[ACCOUNT, "backups", None])
    assert server.requests["list_disk_backups"] == 5
    required = {each for each, asked in watching.inventory().requirements.items() if asked.required}
    await_true(lambda: required <= set(summaries(watching)))
    asked = [seen.path.split("/")[4] for seen in server.recent if seen.operation == "list_disk_backups"]
    assert set(asked) == required
    assert max(Counter(asked).values()) <= 2  # a request may have been tried again


def test_disks_that_fail_are_asked_last_the_next_time(server: SimulatorServer, watch: Watch) -> None:
    """So that disks that always fail can never use up the time of the others."""
    watching = watch(backups_source="disk", api={"max_concurrency": 1}, interval=60.0, backups_interval=2.0)
    await_true(lambda: watching.inventory().backups)
    server.faults.add("status", "list_disk_backups", status=409, count=1)
    failed = watching.await_failed_disk()
    polls = watching.observed.ended("backups")
    server.journal.clear()
    await_true(lambda: watching.observed.ended("backups") > polls)
    asked = [seen.path for seen in server.recent if seen.operation == "list_disk_backups"][:24]
    assert f"/disk/{failed}/" in asked[-1]


def test_more_disks_than_an_interval_holds_are_read_in_turn(
    server: SimulatorServer, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At ten requests a second, 24 disks take several polls of a second; each has its turn."""
    monkeypatch.setattr("gigas_exporter.poller.scheduler._MIN_DEADLINE_SECONDS", 1.0)
    api = {"max_concurrency": 1, "max_requests_per_second": 10.0}
    watching = watch(settings_for(server, api=api, backups_source="disk", interval=60.0, backups_interval=1.0))
    await_true(lambda: len(summaries(watching)) == 24)
    asked = [seen.path for seen in server.recent if seen.operation == "list_disk_backups"]
    assert len(set(asked[:24])) >= 23  # the end of a poll may cut off one, which is asked again
    assert watching.observed.ended("backups") > 1
    assert watching.backups().failed_disks
    assert unreadable(watching) == set()  # the previous reading counts
    # A list that failed is not among those until it was read again.
    server.faults.add("status", "list_disk_backups", status=409, count=1)
    await_true(lambda: unreadable(watching))
    (failed,), polls = unreadable(watching), watching.observed.ended("backups")
    await_true(lambda: watching.observed.ended("backups") > polls)
    assert unreadable(watching) == {failed}
    await_true(lambda: not unreadable(watching))


def test_one_disk_that_always_fails_harms_no_other(server: SimulatorServer, watch: Watch) -> None:
    """Not even with an error that no other disk has, such as of its id."""
    read = ReadClient.list_disk_backups

    def bad_id(client: ReadClient, account_id: str, disk_id: str, **options: Any) -> Listing[Backup]:
        if disk_id == "10003":
            raise ConfigError("disk_id: cannot stand in a path")
        return read(client, account_id, disk_id, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReadClient, "list_disk_backups", bad_id)
        watching = watch(backups_source="disk", interval=60.0)
        await_true(lambda: len(summaries(watching)) == 23)
        watching.service.stop()
    assert watching.backups().failed_disks == {"10003"}


def test_a_disk_that_has_gone_since_it_was_listed_is_no_error(server: SimulatorServer, watch: Watch) -> None:
    """A 404 of a disk that is gone drops it quietly; the poll succeeds."""
    watching = watch(interval=60.0, backups_interval=1.0, backups_source="disk")
    await_true(lambda: watching.inventory().backups)
    gone = min(watching.disks())
    server.world.delete_disk(gone)
    watching.await_polls("backups")
    assert gone not in watching.backups().summaries
    assert watching.backups().failed_disks == frozenset()
    assert watching.inventory().outcomes["backups"].success


def test_a_404_of_a_disk_that_is_still_there_is_an_error(server: SimulatorServer, watch: Watch) -> None:
    """An API that has neither sweep nor list for disks that exist is a failed poll, never a fleet without backups."""
    server.faults.add("status", "list_backups", status=404)
    server.faults.add("status", "list_disk_backups", status=404)
    watching = watch(interval=60.0, backups_interval=60.0)
    await_true(lambda: watching.observed.polls[ACCOUNT, "backups", "other"])
    assert summaries(watching) == {}


def test_a_disk_that_comes_is_not_said_to_have_no_backup_before_it_was_asked_for(
    server: SimulatorServer, watch: Watch
) -> None:
    """A disk first seen after the sweep began has no summary until the next sweep; then it has none of backups."""
    watching = watch(interval=1.0, backups_interval=4.0)
    await_true(lambda: watching.inventory().backups)
    new = server.world.add_disk(ACCOUNT).id
    await_true(lambda: new in watching.disks())
    seen = watching.inventory().disks.first_seen[new]  # type: ignore[union-attr]
    began = watching.backups().sweep_started_at
    assert began is not None
    if began < seen:
        assert new not in summaries(watching)
    await_true(lambda: summaries(watching).get(new) == 0)


def test_without_a_disk_list_the_sweep_disk_by_disk_waits_and_says_so(server: SimulatorServer, watch: Watch) -> None:
    """Backups cannot be read before there is a first disk list, and the poll's failure says nothing else."""
    server.faults.add("status", "list_disks", status=403)
    watching = watch(interval=60.0, backups_interval=1.0, backups_source="disk")
    await_true(lambda: watching.observed.polls[ACCOUNT, "backups", "other"])
    assert server.requests["list_disk_backups"] == 0
