"""A disk that is too late by the account's list is asked for by itself: bounded, and remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gigas_exporter.clock import Deadline, SystemClock
from gigas_exporter.config import Settings
from gigas_exporter.gigas import ApiSettings, ReadClient
from gigas_exporter.inventory import BackupSnapshot
from gigas_exporter.poller.backups import BackupsReader
from gigas_exporter.poller.own_lists import KnownDisks
from support.polling import api_key
from support.small_api import SmallApi, ago, healthy
from support.timing import ShiftedClock

SWEEP = "/account/4242/backups"
LIMIT = 26 * 3600.0


Read = Callable[[], BackupSnapshot]


@pytest.fixture
def api() -> Iterator[SmallApi]:
    """Four disks, of which the account's list has no new backups of the second."""
    with SmallApi(healthy()) as server:
        server.lists[SWEEP] = [item for item in server.lists[SWEEP] if item["id"] not in {2000, 2001}]
        yield server


@pytest.fixture
def clock() -> ShiftedClock:
    """The reader's clock."""
    return ShiftedClock()


@pytest.fixture
def read(api: SmallApi, clock: ShiftedClock) -> Iterator[Read]:
    """Read the backups once more; all disks must have one within 26 hours."""
    previous: list[BackupSnapshot] = []
    with ReadClient(ApiSettings(api.url, max_requests_per_second=0.0), api_key("k"), clock=clock) as client:
        reader = BackupsReader(client, "4242", Settings(), clock=clock)

        def read() -> BackupSnapshot:
            count = len(api.lists["/account/4242/disks"])
            known = KnownDisks(
                {str(n): str(500 + n) for n in range(1, count + 1)}, {str(n): LIMIT for n in range(1, count + 1)}
            )
            poll = reader.read(
                lambda _: known, previous[-1] if previous else None, lambda seconds: Deadline(clock, seconds)
            )
            previous.append(poll.reading)
            return poll.reading

        yield read


def asked(api: SmallApi) -> list[int]:
    """Return the disks whose own lists were asked for since the last call."""
    found = [int(path.split("/")[4]) for path in api.asked if "/disk/" in path]
    api.asked.clear()
    return found


def age_hours(snapshot: BackupSnapshot, disk: str = "2") -> float:
    """Return how old the newest backup of a disk is."""
    newest_at = snapshot.summaries[disk].newest_at
    assert newest_at is not None
    return (SystemClock().wall() - newest_at) / 3600


def test_a_newer_backup_in_the_own_list_counts(api: SmallApi, read: Read) -> None:
    """In each poll, for as long as the account's list leaves it out."""
    for _ in range(3):
        assert age_hours(read()) < 1
        assert asked(api) == [2]


def test_a_disk_that_is_late_by_both_lists_is_asked_once_an_hour(
    api: SmallApi, read: Read, clock: ShiftedClock
) -> None:
    """And at once when the account's list has another newest backup."""
    api.lists["/account/4242/disk/2/backups"] = [item for item in api.lists[SWEEP] if item["disk_id"] == 2]
    for _ in range(3):
        assert age_hours(read()) > 48
    assert asked(api) == [2]
    clock.ahead = 3601.0
    read()
    read()
    assert asked(api) == [2]
    for item in api.lists[SWEEP]:
        if item["disk_id"] == 2:
            item["date_created"] = ago(hours=30)
    read()
    assert asked(api) == [2]


@pytest.mark.parametrize(
    "answer", [(403, {}), (200, []), (200, [{"id": 9, "disk_id": 3, "date_created": ago(hours=1)}])]
)
def test_an_own_list_that_says_nothing_changes_nothing(api: SmallApi, read: Read, answer: tuple[int, object]) -> None:
    """What the account's list says stays, and is no failure."""
    api.answers["/account/4242/disk/2/backups"] = lambda _: (*answer, {})
    snapshot = read()
    assert age_hours(snapshot) > 48
    assert snapshot.failed_disks == frozenset()


def test_what_an_own_list_said_stays_while_it_cannot_be_read(api: SmallApi, read: Read) -> None:
    """It was newer than the account's list before."""
    assert age_hours(read()) < 1
    api.answers["/account/4242/disk/2/backups"] = lambda _: (500, {}, {})
    assert age_hours(read()) < 1


def test_a_hundred_late_disks_are_asked_for_in_one_poll(api: SmallApi, read: Read) -> None:
    """Those first that were not asked yet."""
    api.lists.update(healthy(disks=130))
    for items in (api.lists[SWEEP], *(api.lists[f"/account/4242/disk/{n}/backups"] for n in range(1, 131))):
        for item in items:
            item["date_created"] = ago(hours=60)
    first, second, third = ((read(), asked(api))[1] for _ in range(3))
    assert (len(first), len(second), third) == (100, 30, [])
    assert set(first) | set(second) == set(range(1, 131))


def test_late_disks_are_not_known_where_others_show_that_the_list_leaves_backups_out(api: SmallApi, read: Read) -> None:
    """Until their own lists are read: those beyond a hundred, and those that cannot be read."""
    api.lists.update(healthy(disks=130))
    for item in api.lists[SWEEP]:
        item["date_created"] = ago(hours=60)
    api.answers["/account/4242/disk/7/backups"] = lambda _: (500, {}, {})
    first = read()
    read_first = set(asked(api)) - {7}
    assert len(first.failed_disks) == 31
    assert first.failed_disks.isdisjoint(first.summaries)
    assert {int(each) for each in first.failed_disks} == set(range(1, 131)) - read_first
    assert "500" in (first.error or "")
    second = read()
    assert second.failed_disks == {"7"}
    assert max(age_hours(second, each) for each in second.summaries) < 2
