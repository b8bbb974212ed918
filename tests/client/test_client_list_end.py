"""A full last page is looked behind, so that no total hides anything, but not each time that nothing has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from gigas_exporter.clock import Deadline
from gigas_exporter.errors import IncompleteError
from gigas_exporter.gigas import ApiKeyCredential, ApiSettings, FixedSecret, ReadClient
from gigas_exporter.gigas.list_reader import LIST_END_TTL_SECONDS
from gigas_exporter.gigas.settings import Observer
from gigas_exporter.secret import Secret
from gigas_exporter.simulator import SimulatedCloud
from support.simulator import SimulatorServer

ACCOUNT = "4242"
DISKS = 20
PAGE_SIZES = [DISKS, 5]
"""One full page, and four."""


@pytest.fixture
def cloud() -> Iterator[SimulatorServer]:
    """A simulated cloud in which nothing happens by itself."""
    with SimulatorServer(SimulatedCloud(seed=5, disks=DISKS, eventful=False)) as cloud:
        yield cloud


class Slowness(Observer):
    """Lets some seconds pass with each request, and can do more."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self.seconds = 0.0
        self.also: Callable[[], None] = lambda: None

    def request(self, operation: str, code: str, seconds: float) -> None:
        """Turn the clock."""
        self._clock.now += self.seconds
        self.also()


class Lists:
    """Reads the lists of the cloud's account, and says what each time took."""

    def __init__(self, cloud: SimulatorServer, clock: Any, page_size: int) -> None:
        self.slowness = Slowness(clock)
        key = ApiKeyCredential(FixedSecret(Secret(cloud.world.credentials(ACCOUNT).api_key), "the test"))
        settings = ApiSettings(url=cloud.url, page_size=page_size, max_requests_per_second=0.0)
        self.client = ReadClient(settings, key, clock=clock, observer=self.slowness)
        self._cloud = cloud

    def disks(self, machine: str | None = None) -> tuple[int, int]:
        """Return how many disks were found, and by how many requests."""
        before = self._cloud.requests.total()
        return len(
            self.client.list_disks(ACCOUNT, virtual_machine_id=machine).items
        ), self._cloud.requests.total() - before


@pytest.fixture
def reading(cloud: SimulatorServer, clock: Any) -> Iterator[Callable[[int], Lists]]:
    """Make clients with a page size."""
    made: list[Lists] = []

    def make(page_size: int) -> Lists:
        made.append(Lists(cloud, clock, page_size))
        return made[-1]

    yield make
    for lists in made:
        lists.client.close()


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_a_list_that_fits_its_pages_is_looked_behind_only_from_time_to_time(
    clock: Any, reading: Callable[[int], Lists], page_size: int
) -> None:
    """At first, and each time that the look is too long ago; between, a cycle takes as many requests as pages."""
    lists = reading(page_size)
    pages = DISKS // page_size
    for _ in range(2):
        assert lists.disks() == (DISKS, pages + 1)
        clock.now += LIST_END_TTL_SECONDS - 1
        assert lists.disks() == (DISKS, pages)
        clock.now += 1


def test_a_look_that_becomes_too_old_while_a_list_is_read_is_not_taken_for_a_new_one(
    clock: Any, reading: Callable[[int], Lists]
) -> None:
    """The walk that took it for new enough has not looked itself, so that the next one must."""
    lists = reading(5)
    assert lists.disks() == (DISKS, 5)
    clock.now += LIST_END_TTL_SECONDS - 2
    lists.slowness.seconds = 1.0
    assert lists.disks() == (DISKS, 4)
    assert lists.disks() == (DISKS, 5)


def test_where_the_lists_of_a_forgotten_account_end_is_forgotten(reading: Callable[[int], Lists]) -> None:
    """So an exporter whose accounts come and go keeps nothing of those that went."""
    lists = reading(5)
    assert lists.disks() == (DISKS, 5)
    lists.client.forget(ACCOUNT[:-1])  # another account
    assert lists.disks() == (DISKS, 4)
    lists.client.forget(ACCOUNT)
    assert lists.disks() == (DISKS, 5)


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_a_total_that_changes_is_looked_behind_at_once(
    cloud: SimulatorServer, reading: Callable[[int], Lists], page_size: int
) -> None:
    """Also when the list comes back to a length at which its end was seen; then it is read twice, as a disk is gone."""
    lists = reading(page_size)
    pages = DISKS // page_size
    assert lists.disks() == (DISKS, pages + 1)
    added = cloud.world.add_disk(ACCOUNT)
    assert lists.disks() == (DISKS + 1, pages + 1)
    cloud.world.delete_disk(added.id)
    assert lists.disks() == (DISKS, 2 * (pages + 1))
    assert lists.disks() == (DISKS, pages)


LIES: Mapping[int, tuple[int, ...]] = {DISKS: (0, 5, 19), 5: (0, 1, 5, 10, 15, 19)}


@pytest.mark.parametrize(("page_size", "lie"), [(size, lie) for size, lies in LIES.items() for lie in lies])
def test_no_total_that_is_too_low_hides_a_disk(
    cloud: SimulatorServer, clock: Any, reading: Callable[[int], Lists], page_size: int, lie: int
) -> None:
    """Neither when it lies from the start, nor when it begins to after the end was seen, then or later."""
    cloud.faults.add("lying_total", "list_disks", size=lie)
    lists = reading(page_size)
    assert lists.disks()[0] == DISKS
    assert lists.disks()[0] == DISKS
    cloud.faults.clear()
    assert lists.disks()[0] == DISKS
    cloud.faults.add("lying_total", "list_disks", size=lie)
    for _ in range(3):
        assert lists.disks()[0] == DISKS
        clock.now += LIST_END_TTL_SECONDS / 2


def test_no_total_hides_what_a_lowered_limit_leaves_out(
    cloud: SimulatorServer, reading: Callable[[int], Lists]
) -> None:
    """A server that sends less than was asked for, and says that this is all, is looked behind as well."""
    lists = reading(200)
    assert lists.disks() == (DISKS, 1)
    cloud.faults.add("lowered_limit", "list_disks", size=5)
    for total in (5, 10, DISKS):
        fault = cloud.faults.add("lying_total", "list_disks", size=total)
        assert lists.disks()[0] == DISKS
        cloud.faults.remove(fault)


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_a_list_that_grows_past_a_capped_total_is_whole_again_within_a_quarter_of_an_hour(
    cloud: SimulatorServer, clock: Any, reading: Callable[[int], Lists], page_size: int
) -> None:
    """That is the price: what comes behind the very total at which the end was seen is seen at the next look."""
    lists = reading(page_size)
    assert lists.disks()[0] == DISKS
    cloud.faults.add("lying_total", "list_disks", size=DISKS)
    cloud.world.add_disk(ACCOUNT)
    clock.now += LIST_END_TTL_SECONDS
    assert lists.disks()[0] == DISKS + 1
    clock.now += 1
    assert lists.disks()[0] == DISKS + 1
    assert LIST_END_TTL_SECONDS <= 15 * 60


def test_what_is_asked_for_with_filters_has_an_end_of_its_own(
    cloud: SimulatorServer, reading: Callable[[int], Lists]
) -> None:
    """Where one selection was seen to end says nothing of another that is as long."""
    machine, other = (machine.id for machine in cloud.world.machines(ACCOUNT)[:2])
    for place, disk in enumerate(cloud.world.disks(ACCOUNT)):
        cloud.world.change_disk(disk.id, virtual_machine_id=machine if place < 5 else other if place < 10 else None)
    lists = reading(5)
    assert lists.disks(machine) == (5, 2)
    assert lists.disks(machine) == (5, 1)
    assert lists.disks(other) == (5, 2)


def test_a_walk_that_does_not_fit_looks_behind_again(
    cloud: SimulatorServer, clock: Any, reading: Callable[[int], Lists]
) -> None:
    """An id that is met on two pages shows that something moved; the second walk takes nothing for known."""
    lists = reading(5)
    assert lists.disks() == (DISKS, 5)
    assert lists.disks() == (DISKS, 4)
    cloud.faults.add("moving_items", "list_disks", size=-1)
    before = cloud.requests.total()
    with pytest.raises(IncompleteError, match="repeat items"):
        lists.client.list_disks(ACCOUNT)
    assert cloud.requests.total() - before == 4 + 5


def test_the_end_of_a_list_of_an_account_that_is_forgotten_meanwhile_is_not_kept(
    cloud: SimulatorServer, clock: Any, reading: Callable[[int], Lists]
) -> None:
    """Work that was stopped before the account was forgotten puts nothing back when it comes to its end."""
    lists = reading(5)
    stop = threading.Event()

    def forget_at_the_look_behind() -> None:
        if cloud.requests.total() == 5:
            stop.set()
            lists.client.forget(ACCOUNT)

    lists.slowness.also = forget_at_the_look_behind
    assert len(lists.client.list_disks(ACCOUNT, deadline=Deadline(clock, 60, stop)).items) == DISKS
    assert stop.is_set()
    assert lists.disks() == (DISKS, 5)
