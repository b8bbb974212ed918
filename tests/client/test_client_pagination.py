"""Lists are read whole, or not at all, on servers that paginate well, badly or never."""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from gigas_exporter.clock import Deadline, SystemClock
from gigas_exporter.decode import Decoder
from gigas_exporter.errors import ApiError, DecodeError, GigasError, IncompleteError, TransportError
from gigas_exporter.gigas import ApiRequest, ApiSettings, RawResponse, ReadClient
from gigas_exporter.gigas.list_reader import ListReader
from gigas_exporter.gigas.session import ApiSession
from gigas_exporter.model import Backup
from support.scripted_api import Script, Seen, Wire
from support.timing import within


def items(*ids: int) -> list[Any]:
    return [{"id": number, "disk_id": number // 3, "status": "built"} for number in ids]


class Lister:
    """A list endpoint: how it paginates is set from outside."""

    def __init__(self, contents: list[Any]) -> None:
        self.contents = contents
        self.max_limit = 10_000
        self.total: Callable[[int], int | str | None] = lambda real: real
        self.ignores_paging = False
        self.before: Callable[[int], None] = lambda number: None
        self.asked: list[tuple[int, int]] = []
        self._lock = threading.Lock()

    def __call__(self, seen: Any, wire: Any) -> None:
        offset, limit = int(seen.query["offset"]), int(seen.query["limit"])
        with self._lock:
            self.asked.append((offset, limit))
            self.before(len(self.asked))
            end = offset + min(limit, self.max_limit)
            page = self.contents if self.ignores_paging else self.contents[offset:end]
            total = self.total(len(self.contents))
        wire.reply(200, page, {} if total is None else {"X-Total": str(total)})


def without_total(real: int) -> None:
    return None


def pages(page: Callable[[int, int], tuple[list[Any], int | None]]) -> Script:
    """Return a script that answers with items and a total, or without one, by offset and limit."""

    def script(seen: Seen, wire: Wire) -> None:
        found, total = page(int(seen.query["offset"]), int(seen.query["limit"]))
        wire.reply(200, found, {} if total is None else {"X-Total": str(total)})

    return script


@pytest.fixture
def listed(api: Any) -> Callable[..., ReadClient]:
    """Make a client of a list endpoint."""

    def make(lister: Any, **settings: Any) -> ReadClient:
        made = api.client(lister, **{"page_size": 10, **settings})
        assert isinstance(made, ReadClient)
        return made

    return make


def ids(listing: Any) -> list[int]:
    return [int(item.id) for item in listing.items]


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 35])
@pytest.mark.parametrize("total", [lambda real: real, without_total, lambda real: "many", lambda real: -1])
@pytest.mark.parametrize("max_limit", [10_000, 4])
def test_reads_every_item_once(listed: Any, count: int, total: Any, max_limit: int) -> None:
    """With a total, without, with nonsense for one, and with a limit that the server lowers."""
    lister = Lister(items(*range(count)))
    lister.total, lister.max_limit = total, max_limit
    assert ids(listed(lister).list_disks("1")) == list(range(count))


@pytest.mark.parametrize("count", [0, 1, 10, 35])
@pytest.mark.parametrize("total", [lambda real: real, without_total])
def test_a_server_that_ignores_paging_is_read_whole(listed: Any, count: int, total: Any) -> None:
    """Everything comes each time, also when less is asked for; what was learned of the server holds afterwards.

    A list of one item teaches nothing.
    """
    lister = Lister(items(*range(count)))
    lister.ignores_paging, lister.total = True, total
    client = listed(lister)
    for most in (3, 3, 3) if count == 1 else (3, 2, 1 if count == 35 else 2):
        assert ids(client.list_disks("1")) == list(range(count))
        assert len(lister.asked) <= most
        lister.asked.clear()


def test_a_server_that_ignores_the_offset_alone_is_not_read_whole(listed: Any) -> None:
    """What is behind its first page cannot be had; a request for fewer items tells it from one that sends all."""
    contents = items(*range(45))
    server = listed(lambda seen, wire: wire.reply(200, contents[: min(20, int(seen.query["limit"]))]), page_size=200)
    for _ in range(4):
        with pytest.raises(IncompleteError, match="repeat items"):
            server.list_disks("1")


@pytest.mark.parametrize(("count", "least", "page_size"), [(1, 1, 2), (3, 4, 10)])
def test_a_short_list_does_not_show_that_a_server_ignores_the_limit(
    listed: Any, count: int, least: int, page_size: int
) -> None:
    """Another account of the client may have more items than a page; a page may have a least size."""
    contents = {"1": items(*range(count)), "2": items(*range(25))}

    def script(seen: Seen, wire: Wire) -> None:
        wire.reply(200, contents[seen.path.split("/")[2]][: max(least, int(seen.query["limit"]))])

    client = listed(script, page_size=page_size)
    for _ in range(3):
        assert ids(client.list_disks("1")) == list(range(count))
        with pytest.raises(IncompleteError, match="repeat items"):
            client.list_disks("2")


def test_small_backup_lists_cost_one_request_each(listed: Any) -> None:
    """Without a total, a page that is small for this server is not looked behind when there is one per disk."""
    lister = Lister(items(*range(5)))
    lister.total = without_total
    client = listed(lister)
    client.list_disks("1")
    lister.contents = items(1, 2, 3)
    asked = len(lister.asked)
    for disk_id in ("1", "2", "3"):
        assert ids(client.list_disk_backups("1", disk_id)) == [1, 2, 3]
    assert len(lister.asked) == asked + 3


def test_pages_of_a_known_total_are_fetched_side_by_side(listed: Any) -> None:
    """With room for four requests, four pages are under way at once."""
    together = threading.Barrier(4)
    lister = Lister(items(*range(45)))

    def script(seen: Any, wire: Any) -> None:
        if seen.query["offset"] != "0":
            together.wait(5)
        lister(seen, wire)

    assert ids(listed(script, max_concurrency=4).list_disks("1")) == list(range(45))


def test_the_same_id_twice_on_one_page_is_one_item(listed: Any) -> None:
    """Where only its state changed the last one holds; where the two differ otherwise, neither is known to be true."""
    lister = Lister([{"id": 1, "status": "old"}, {"id": 2}, {"id": "1", "status": "new"}])
    listing = listed(lister).list_disks("1")
    assert [(disk.id, disk.status) for disk in listing.items] == [("1", "new"), ("2", None)]
    assert lister.asked == [(0, 10), (3, 3), (1, 10)]  # the last one for whether an offset counts items
    with pytest.raises(IncompleteError, match="two different items have the same id"):
        listed(Lister([{"id": 1, "is_swap": True}, {"id": 2}, {"id": "1", "is_swap": False}])).list_disks("1")


@pytest.mark.parametrize("total", [lambda real: real, lambda real: real - 1, without_total])
def test_an_id_that_is_always_on_two_pages_is_no_whole_list(listed: Any, total: Any) -> None:
    """However often it is read: where one item is twice, another may be on no page."""
    lister = Lister([*items(*range(12)), {"id": 3, "status": "new"}])
    lister.total = total
    client = listed(lister)
    for _ in range(4):
        with pytest.raises(IncompleteError, match="pages repeat items of earlier pages"):
            client.list_disks("1")


@pytest.mark.parametrize("total", [45, 21, 40])
def test_pages_that_are_all_the_same_are_no_whole_list(listed: Any, total: int) -> None:
    """With a total that cannot be reached there are items that nobody has seen."""
    client = listed(lambda seen, wire: wire.reply(200, items(*range(20)), {"X-Total": str(total)}), page_size=200)
    for _ in range(4):
        with pytest.raises(IncompleteError):
            client.list_disks("1")


def test_an_item_twice_in_a_row_takes_two_places(listed: Any) -> None:
    """A full page of rows of which two have one id is as long as it is."""
    rows = items(*range(8), 7, *range(8, 25))
    for total in (lambda real: real, without_total):
        lister = Lister(rows)
        lister.total = total
        assert ids(listed(lister).list_disks("1")) == list(range(25))


@pytest.mark.parametrize(
    ("total", "change", "expected"),
    [
        (lambda real: real, lambda contents: [*items(99), *contents], [99, *range(25)]),
        (without_total, lambda contents: [*items(99), *contents], [99, *range(25)]),
        (lambda real: real, lambda contents: contents[1:], list(range(1, 25))),
    ],
)
def test_an_item_that_moves_during_the_walk_makes_it_walk_again(
    listed: Any, total: Any, change: Any, expected: list[int]
) -> None:
    """One that is added in front shifts another to a page that it was met on; of one that goes the total tells."""
    lister = Lister(items(*range(25)))
    lister.total = total

    def move(number: int) -> None:
        if number == 2:
            lister.contents = change(lister.contents)

    lister.before = move
    assert ids(listed(lister, max_concurrency=1).list_disks("1")) == expected


@pytest.mark.parametrize("was_read", [False, True])
@pytest.mark.parametrize("total", [without_total, lambda _real: 30])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_an_item_that_slips_between_two_pages_is_not_gone(listed: Any, total: Any, at: int, *, was_read: bool) -> None:
    """One of the first page is deleted under way, and one added at the end, so that even a total stays as it was."""
    lister = Lister(items(*range(30)))
    lister.total, lister.max_limit = total, 8
    client = listed(lister, max_concurrency=1)
    if was_read or total is not without_total:  # by the total alone nothing is noticed the first time
        assert ids(client.list_disks("1")) == list(range(30))
    lister.asked.clear()

    def move(number: int) -> None:
        if number == at:
            del lister.contents[2]
            lister.contents += items(30)

    lister.before = move
    try:
        found = ids(client.list_disks("1"))
    except IncompleteError:
        found = ids(client.list_disks("1"))
    assert {*range(30)} - {2} <= {*found}


def test_an_item_is_gone_once_two_readings_lack_it(listed: Any) -> None:
    """What else has come meanwhile is no matter; a list that did not lose an item is read once."""
    lister = Lister(items(*range(30)))
    lister.total = without_total
    client = listed(lister)
    for contents, traversals in ((range(30), 2), (range(31), 1), (range(1, 31), 2), ((), 1), (range(1, 31), 1)):
        lister.contents = items(*contents)
        lister.asked.clear()
        assert ids(client.list_disks("1")) == list(contents)
        assert sum(offset == 0 for offset, _ in lister.asked) == traversals


def test_a_poll_without_time_for_a_second_reading_leaves_it_to_the_next(listed: Any, clock: Any) -> None:
    """A list that takes more than half of a poll's time is read all the same, and what is gone goes a poll later."""
    lister = Lister(items(*range(30)))
    lister.total, lister.max_limit = without_total, 10

    def pass_time(_: int) -> None:
        clock.now += 1

    lister.before = pass_time
    client = listed(lister, clock=clock)

    def read() -> list[int]:
        lister.asked.clear()
        return ids(client.list_disks("1", deadline=Deadline(clock, 5.5)))

    assert read() == list(range(30))
    lister.contents = items(*range(1, 30))
    with pytest.raises(IncompleteError, match="counts when it is repeated"):
        read()
    assert len(lister.asked) == 3
    assert read() == list(range(1, 30))
    assert len(lister.asked) == 3


def test_a_list_that_changes_with_each_reading_is_refused_twice_in_a_row_at_most(listed: Any) -> None:
    """One item is replaced before each request for the first page."""
    lister = Lister(items(*range(30)))
    lister.total = without_total
    client = listed(lister)
    assert ids(client.list_disks("1")) == list(range(30))

    def replace_one(_: int) -> None:
        if lister.asked[-1][0] == 0:
            lister.contents = [*lister.contents[1:], *items(100 + len(lister.asked))]

    lister.before = replace_one
    said = []
    for _ in range(9):
        try:
            said.append(len(ids(client.list_disks("1"))))
        except IncompleteError:
            said.append(0)
    assert said == [0, 0, 30] * 3


@pytest.mark.parametrize("total", [without_total, lambda real: real])
def test_a_second_reading_that_fails_leaves_the_first(listed: Any, clock: Any, total: Any) -> None:
    """An API that gives no more requests costs no list that nothing contradicts; what is gone without a total waits."""
    lister = Lister(items(*range(30)))
    lister.total = total
    quota = [5]

    def script(seen: Any, wire: Any) -> None:
        if len(lister.asked) >= quota[0]:
            wire.reply(429, {})
        else:
            lister(seen, wire)

    client = listed(script, clock=clock)
    assert ids(client.list_disks("1")) == list(range(30))
    lister.contents = items(*range(1, 30))
    lister.asked.clear()
    quota[0] = 3
    if total is without_total:
        with pytest.raises(ApiError):
            client.list_disks("1")
        lister.asked.clear()
    assert ids(client.list_disks("1")) == list(range(1, 30))


def test_replicas_of_which_one_is_behind_are_read(listed: Any) -> None:
    """Of two readings of which one holds the other, the larger one counts, whichever comes first."""
    for behind in (0, 1):
        lister = Lister(items(*range(30)))
        lister.total = without_total
        readings = [0]

        def switch(_: int, lister: Lister = lister, readings: list[int] = readings, behind: int = behind) -> None:
            if lister.asked[-1][0] == 0:
                lister.contents = items(*range(int(readings[0] % 2 == behind), 30))
                readings[0] += 1

        lister.before = switch
        assert ids(listed(lister).list_disks("1")) == list(range(30))


class World:
    """An honest server in this process, on which items come and go between two requests."""

    def __init__(self, seed: int, *, has_total: bool) -> None:
        self.chance = random.Random(seed)
        self.has_total = has_total
        self.page = self.chance.choice((3, 5, 10))
        self.contents = list(range(self.chance.choice((4, 10, 11, 25, 30))))
        self.there: set[int] = set()
        self.events = 0

    def call(self, request: Any, _: Deadline, interpret: Callable[[RawResponse], Any]) -> Any:
        offset, limit = int(request.query["offset"]), min(self.page, int(request.query["limit"]))
        body = json.dumps(items(*self.contents[offset : offset + limit])).encode()
        headers = {"x-total": str(len(self.contents))} if self.has_total else {}
        if self.events and self.chance.random() < 0.2:
            self.events -= 1
            self.change()
        return interpret(RawResponse(200, headers, body))

    def change(self) -> None:
        """Delete some items, or add one in front, in the middle or at the end."""
        if self.chance.random() < 0.6 and self.contents:
            for _ in range(self.chance.choice((1, 1, 1, 5))):
                gone = self.contents.pop(self.chance.randrange(len(self.contents))) if self.contents else -1
                self.there.discard(gone)
        else:
            self.contents.insert(self.chance.choice((0, len(self.contents) // 2, len(self.contents))), self.next_id())

    def next_id(self) -> int:
        return self.chance.randrange(10**6, 10**9)


@pytest.mark.parametrize("has_total", [False, True])
def test_no_item_disappears_while_others_come_and_go(*, has_total: bool) -> None:
    """Random worlds with one event a reading: what was known and is there all the time is in each list that counts.

    It need not be after two refusals in a row, when a list is taken as it comes.
    """
    checked = 0
    for seed in range(600):
        world = World(seed, has_total=has_total)
        reader = ListReader(
            cast(ApiSession, world), ApiSettings(page_size=world.page, max_concurrency=1), SystemClock()
        )
        known: set[int] = set()
        refusals = 0
        for number in range(6):
            world.there, world.events = set(world.contents), int(number > 0 or not has_total)
            try:
                pages = reader.read(
                    ApiRequest("list_disks", "GET", "/account/1/disks"),
                    Decoder().disk,
                    dict,
                    Deadline(SystemClock(), 60.0),
                    kept_as="items",
                    max_items=1000,
                )
            except IncompleteError:
                refusals += 1
                continue
            found = {int(each) for page in pages for each in page.value}
            lost = world.there & (known if known or has_total else world.there) - found
            if refusals < 2:
                assert not lost, (seed, number, lost)
                checked += 1
            known, refusals = found, 0
    assert checked > 2400


def test_a_list_that_never_rests_is_incomplete(listed: Any) -> None:
    """A list that changes in both walks may lack items: that is said, and no item disappears."""
    lister = Lister(items(*range(25)))

    def churn(number: int) -> None:
        lister.contents = lister.contents[1:]

    lister.before = churn
    with pytest.raises(IncompleteError, match="list_disks") as caught:
        listed(lister, max_concurrency=1).list_disks("1")
    assert caught.value.reason == "incomplete"


@pytest.mark.parametrize("missing", [2, 3, 100, 10**12])
@pytest.mark.parametrize("count", [0, 5, 10, 25])
def test_a_total_that_is_too_high_is_incomplete(listed: Any, missing: int, count: int) -> None:
    """Fewer items than the server says may mean that some are missing, however often they are read, or swept."""
    lister = Lister(items(*range(count)))
    lister.total = lambda real: real + missing
    client = listed(lister)
    for _ in range(5):
        with pytest.raises(IncompleteError):
            client.list_disks("1")
    with pytest.raises(IncompleteError, match="list_backups"):
        client.sweep_backups("1", disks_of)


@pytest.mark.parametrize("total", [lambda real: 0, lambda real: 5, lambda real: 10, lambda real: real - 1])
def test_a_total_that_is_too_low_loses_nothing(listed: Any, total: Any) -> None:
    """The list is walked to its real end, and a second walk that meets the same is believed."""
    lister = Lister(items(*range(25)))
    lister.total = total
    assert ids(listed(lister).list_disks("1")) == list(range(25))


@pytest.mark.parametrize("total", [None, 30])
def test_a_last_page_that_comes_for_ever_ends_the_list(api: Any, listed: Any, total: int | None) -> None:
    """It adds nothing where the total is reached, and without a total it may hide what is behind it."""
    client = listed(pages(lambda offset, _: (items(*range(min(offset, 20), min(offset, 20) + 10)), total)))
    if total is None:
        with pytest.raises(IncompleteError):
            client.list_disks("1")
        assert len(api.ledger.requests) == 8
    else:
        assert ids(client.list_disks("1")) == ids(client.list_disks("1")) == list(range(30))
        assert len(api.ledger.requests) == 4 + 3


@pytest.mark.parametrize("total", [42, None])
def test_items_that_come_twice_in_a_page_push_no_other_out(listed: Any, total: int | None) -> None:
    """A server that repeats an item in each page, beyond what was asked for, is still read from end to end."""
    real = items(*range(42))
    client = listed(pages(lambda offset, limit: (real[offset : offset + limit] + real[offset : offset + 1], total)))
    assert sorted(ids(client.list_disks("1"))) == list(range(42))


def test_an_end_that_belies_the_pages_before_it_is_walked_to_again(api: Any, listed: Any) -> None:
    """Pages of items that are none, from a server that then finds its list again, make no item disappear."""
    real = items(*range(12))

    def page(offset: int, _: int) -> tuple[list[Any], int | None]:
        if len(api.ledger.requests) < 3:
            return items(*range(900 + offset, 900 + offset + 10)), None
        return real[offset : offset + 10], 12

    assert ids(listed(pages(page)).list_disks("1")) == list(range(12))


@pytest.mark.parametrize(
    ("page", "page_size", "error", "words"),
    [
        (lambda offset, _: (items(offset, offset + 1), None), 2, IncompleteError, "the list has no end"),
        # Only the first page may, from a server that ignores the limit; so no small first page lets large ones in.
        (
            lambda offset, _: (items(*range(offset, offset + (21 if offset else 10))), 100),
            *(10, DecodeError, "holds more than 20 items"),
        ),
        # Pages are counted as they come, and not only when all are there.
        (
            lambda offset, _: (items(*range(offset * 10, offset * 10 + (10 if offset else 1))), 1000),
            *(10, IncompleteError, "longer than its total of 1000"),
        ),
    ],
)
def test_pages_without_measure_are_given_up_on_the_way(
    api: Any, listed: Any, *, page: Any, page_size: int, error: type[GigasError], words: str
) -> None:
    """A server that always has new items, or more than it said, fills neither the time nor the memory."""
    client = listed(pages(page), page_size=page_size)
    with pytest.raises(error, match=words):
        client.list_disks("1", deadline=Deadline(SystemClock(), 60))
    assert page_size == 2 or len(api.ledger.requests) < 300


@pytest.mark.parametrize(("list_name", "total"), [("list_disks", 200_001), ("list_backups", 1_000_001)])
def test_a_list_that_is_too_long_is_not_begun(listed: Any, list_name: str, total: int) -> None:
    """Twice as many disks as are supported, and the backups of those that are, is what a list may hold."""
    lister = Lister(items(*range(100)))
    lister.total = lambda real: total
    with pytest.raises(IncompleteError, match="is too long"):
        getattr(listed(lister, page_size=100), list_name)("1")
    assert len(lister.asked) == 1


def test_a_server_that_ignores_the_limit_may_send_as_much_as_an_answer_can_hold(listed: Any) -> None:
    """That is 100,000 items; an answer of the largest size that holds more is none of whole items."""
    lister = Lister([{"id": number} for number in range(100_000)])
    lister.ignores_paging = True
    client = listed(lister)
    assert len(client.list_disks("1").items) == 100_000
    lister.contents.append({"id": 100_000})
    with pytest.raises(DecodeError, match="holds more than 100000 items"):
        client.list_disks("1")


def test_a_page_is_not_decoded_to_its_end_when_the_work_has_ended(
    listed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The first item, which is not understood, ends the work; the last one is not come to any more."""
    lister = Lister([{"id": 1, "status": 5}, *items(*range(2, 20_000)), {"id": 20_000, "locked": []}])
    lister.ignores_paging = True
    stop = threading.Event()

    def end(record: logging.LogRecord) -> bool:
        stop.set()
        return True

    with caplog.filtering(end), pytest.raises(TransportError, match="the work was stopped") as caught:  # type: ignore[arg-type]
        listed(lister).list_disks("1", deadline=Deadline(SystemClock(), 60, stop))
    assert caught.value.reason == "timeout"
    assert [record.__dict__["field"] for record in caplog.records] == ["status"]


def test_a_page_that_fails_fails_the_list(listed: Any) -> None:
    """A list is whole or an error."""
    lister = Lister(items(*range(45)))

    def script(seen: Any, wire: Any) -> None:
        if seen.query["offset"] == "30":
            wire.reply(404, b"")
        else:
            lister(seen, wire)

    with pytest.raises(IncompleteError, match="answered 404 for a page, and 200 for another"):
        listed(script).list_disks("1")


@pytest.mark.parametrize("status", [403, 500])
def test_an_error_behind_a_full_last_page_is_no_end(listed: Any, status: int) -> None:
    """Only 404 and 416 may say that there is no page."""
    lister = Lister(items(1, 2))

    def script(seen: Any, wire: Any) -> None:
        if seen.query["offset"] == "2":
            wire.reply(status, b"")
        else:
            lister(seen, wire)

    with pytest.raises(ApiError):
        listed(script, page_size=2).list_disks("1")


@pytest.mark.parametrize("body", [{}, {"disks": []}, None, "x", 1])
def test_a_list_that_is_no_array_is_an_error(api: Any, listed: Any, body: Any) -> None:
    """An object, even one around a list, is never an empty fleet."""
    with pytest.raises(DecodeError, match="not an array"):
        listed(lambda seen, wire: wire.reply(200, body)).list_disks("1")
    assert api.ledger.requests == [("list_disks", "invalid")]


def test_counts_what_was_not_understood_in_all_pages(listed: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Also when the pages did not change and were not decoded again; each field said once."""
    lister = Lister([{"id": number, "status": 5, "locked": 2} for number in range(25)])
    client = listed(lister)
    for _ in range(2):
        listing = client.list_disks("1")
        assert listing.invalid == {"status": 25, "locked": 25}
        assert len(listing.items) == 25
    assert len(caplog.records) == 2


@pytest.mark.parametrize("status", [201, 202, 203, 205, 206, 207, 226])
def test_another_2xx_is_no_list(api: Any, listed: Any, status: int) -> None:
    """Accepted, not authoritative, or a part only."""
    client = listed(lambda seen, wire: wire.reply(status, items(1, 2)))
    with pytest.raises(DecodeError, match=f"has status {status}, not 200"):
        client.list_disks("1")
    with pytest.raises(DecodeError, match=f"has status {status}, not 200"):
        client.get_disk("1", "2")
    assert api.ledger.requests == [("list_disks", "invalid"), ("get_disk", "invalid")]


def test_no_content_is_an_empty_list_and_told_from_one(listed: Any) -> None:
    """Whoever knew of items before may wait for it to be repeated."""
    client = listed(lambda seen, wire: wire.send(b"HTTP/1.1 204 No Content\r\n\r\n"))
    assert (client.list_disks("1").items, client.list_disks("1").has_content) == ((), False)
    assert not client.sweep_backups("1", disks_of).has_content
    with pytest.raises(DecodeError):
        client.get_disk("1", "2")
    empty = listed(Lister([]))
    assert (empty.list_disks("1").items, empty.list_disks("1").has_content) == ((), True)


def test_no_content_after_items_counts_when_it_is_repeated(listed: Any) -> None:
    """A gateway's moment of weakness empties no account; an account that was emptied is empty at the next poll."""
    lister = Lister(items(1, 2))
    is_empty = False

    def script(seen: Any, wire: Any) -> None:
        if is_empty:
            wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            lister(seen, wire)

    client = listed(script)
    lister.total = lambda real: real + 1  # below its total, it has items once it is taken
    for _ in range(2):
        with pytest.raises(IncompleteError, match="X-Total says 3"):
            client.list_disks("1")
    for _ in range(2):
        is_empty = False
        assert ids(client.list_disks("1")) == [1, 2]
        lister.total = lambda real: real
        is_empty = True
        with pytest.raises(IncompleteError, match="list_disks: status 204 where there were items before"):
            client.list_disks("1")
    assert client.list_disks("1").items == ()
    assert client.list_disks("1").items == ()
    assert client.list_disks("2").items == ()


def test_no_content_behind_a_full_page_ends_the_list(listed: Any) -> None:
    """As an empty page would."""

    def script(seen: Any, wire: Any) -> None:
        page = range(10)[int(seen.query["offset"]) :][: int(seen.query["limit"])]
        if page:
            wire.reply(200, items(*page))
        else:
            wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    listing = listed(script).list_disks("1")
    assert (ids(listing), listing.has_content) == (list(range(10)), True)


@pytest.mark.parametrize("count", [5, 10, 25, 30])
def test_one_below_the_total_is_taken_the_third_time(listed: Any, count: int) -> None:
    """In three polls in a row, with the same items; it is counted, and another result begins anew."""
    lister = Lister(items(*range(count)))
    lister.total = lambda real: real + 1
    client = listed(lister)

    def fails() -> None:
        with pytest.raises(IncompleteError, match=f"{count} items could be read, X-Total says {count + 1}"):
            client.list_disks("1")

    fails()
    fails()
    for _ in range(2):
        listing = client.list_disks("1")
        assert (ids(listing), listing.invalid) == (list(range(count)), {"total": 1})
    lister.contents = [*lister.contents[:-1], *items(99)]
    fails()
    lister.total = lambda real: real
    assert client.list_disks("1").invalid == {}
    lister.total = lambda real: real + 1
    fails()
    fails()
    lister.total = lambda real: real + 5
    with pytest.raises(IncompleteError, match=f"X-Total says {count + 5}"):
        client.list_disks("1")
    lister.total = lambda real: real + 1
    fails()
    client.forget("1")
    fails()


def test_one_below_the_total_is_not_taken_when_the_items_change(listed: Any) -> None:
    """Between the two traversals of a poll, or between polls."""
    lister = Lister(items(*range(12)))
    lister.total = lambda real: real + 1
    client = listed(lister)
    for last in (100, 101, 102, 103, 104):
        lister.contents = [*lister.contents[:-1], *items(last)]
        with pytest.raises(IncompleteError):
            client.list_disks("1")


@pytest.mark.parametrize("status", [400, 422])
def test_a_page_size_that_is_rejected_is_lowered(
    api: Any, listed: Any, clock: Any, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """The list is read with pages that most pagers allow, and so are the next ones, for a quarter of an hour."""
    lister = Lister(items(*range(45)))

    def script(seen: Any, wire: Any) -> None:
        if int(seen.query["limit"]) > 25:
            wire.reply(status, {"error": "limit is too large"})
        else:
            lister(seen, wire)

    client = listed(script, page_size=200, clock=clock)
    for _ in range(2):
        for _ in range(2):
            assert ids(client.list_disks("1")) == list(range(45))
        clock.now += 900
    assert [code for _, code in api.ledger.requests] == [str(status), *["200"] * 6] * 2
    assert [record.message for record in caplog.records] == ["The API accepts only smaller pages: set api.page_size"]


@pytest.mark.parametrize("status", [400, 422])
def test_a_page_size_that_is_not_the_reason_is_tried_once(api: Any, listed: Any, status: int) -> None:
    """The sentence names the setting; a list that is rejected each time costs one request each time."""
    client = listed(lambda seen, wire: wire.reply(status, b""), page_size=200)
    for requests in (2, 3, 4):
        with pytest.raises(ApiError, match=f"list_backups: the API answered {status}: .*api.page_size"):
            client.list_backups("1")
        assert len(api.ledger.requests) == requests


def test_pages_of_one_list_do_not_wait_for_those_of_another(listed: Any) -> None:
    """An account whose second page hangs holds no thread that another account needs."""

    def script(seen: Any, wire: Any) -> None:
        offset = int(seen.query["offset"])
        if offset and "/account/hangs/" in seen.path:
            wire.hang()
        wire.reply(200, items(*range(offset, min(offset + 10, 100))), {"X-Total": "100"})

    client = listed(script, max_concurrency=2, timeout_seconds=1.0)
    stop = threading.Event()

    def hang() -> None:
        with pytest.raises(TransportError):
            client.list_disks("hangs", deadline=Deadline(SystemClock(), 120, stop))

    thread = threading.Thread(target=hang)
    thread.start()
    with within(8.0):
        for _ in range(3):
            assert len(client.list_disks("good", deadline=Deadline(SystemClock(), 120)).items) == 100
    stop.set()
    thread.join(10)


@pytest.mark.parametrize("item", [{"id": None}, {}, {"id": ".."}, {"disk": {}}, {"error": "x"}, "x", None, [{"id": 1}]])
def test_a_list_with_an_item_without_readable_id_is_not_whole(listed: Any, item: Any) -> None:
    """Which it is cannot be said, so that none may be taken for gone; this holds for every list."""
    client = listed(Lister([*items(*range(15)), item, {"id": 99}]))
    message = "an item has no id that can be read, so that the list is not whole"
    for read in (
        client.list_accounts,
        lambda: client.list_disks("1"),
        lambda: client.list_disk_backups("1", "2"),
        lambda: client.list_backups("1"),
        lambda: client.list_virtual_machines("1"),
        lambda: client.sweep_backups("1", disks_of),
    ):
        with pytest.raises(IncompleteError, match=message):
            read()


def test_says_how_many_items_have_no_readable_id(listed: Any) -> None:
    """Over all pages, up to one that has no other item."""
    client = listed(Lister([*items(*range(15)), *[{"name": "x"}] * 12]))
    with pytest.raises(IncompleteError, match="list_disks: 12 items have no id"):
        client.list_disks("1")


def test_pages_that_hold_no_readable_item_are_not_followed(listed: Any) -> None:
    """A list of errors may come for any page: the first one is enough."""
    lister = Lister([{"error": "denied"}])
    lister.ignores_paging, lister.total = True, lambda _real: 5
    with pytest.raises(IncompleteError, match="list_disks: an item has no id"):
        listed(lister).list_disks("1")
    assert lister.asked == [(0, 10)]


def test_a_field_that_is_never_understood_is_said_once_and_not_with_every_disk_and_poll(
    listed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Many disks with such backups are one line by operation and field, which names the type and not the value."""
    client = listed(Lister([{"id": 1, "backup_size": "canary"}]))
    for _ in range(2):
        for disk_id in "123":
            assert client.list_disk_backups("1", disk_id).invalid == {"backup_size": 1}
    client.list_backups("1")
    said = [(record.__dict__["field"], record.__dict__["type"]) for record in caplog.records]
    assert said == [("backup_size", "string")] * 2
    assert "canary" not in caplog.text


def test_a_page_that_did_not_change_is_not_decoded_again(listed: Any) -> None:
    """The very same objects come back; a page that changed is new."""
    lister = Lister(items(*range(25)))
    client = listed(lister)
    first = client.list_disks("1").items
    lister.contents[24] = {"id": 24, "status": "locked"}
    second = client.list_disks("1").items
    assert all(old is new for old, new in zip(first[:20], second[:20], strict=True))
    assert second[24].status == "locked"


def test_a_date_ahead_is_judged_anew_each_time(listed: Any, clock: Any) -> None:
    """What lies in the future is counted until it no longer does, more than five minutes ahead."""
    lister = Lister([{"id": 1, "date_created": clock.wall() + 301}, {"id": 2, "date_created": clock.wall() + 299}])
    client = listed(lister, clock=clock)
    assert client.list_backups("1").invalid == {"date_created": 1}
    clock.now += 10
    assert client.list_backups("1").invalid == {}


def disks_of(backups: Sequence[Backup]) -> tuple[str, ...]:
    return tuple(backup.id for backup in backups)


def test_a_sweep_reduces_each_page_once(listed: Any) -> None:
    """A page that did not change is neither decoded nor reduced again."""
    lister = Lister(items(*range(25)))
    client = listed(lister)
    reduced: list[tuple[str, ...]] = []

    def reduce(backups: Sequence[Backup]) -> int:
        reduced.append(disks_of(backups))
        return len(backups)

    assert client.sweep_backups("1", reduce).items == (10, 10, 5)
    lister.contents[24] = {"id": 24, "locked": 5}
    again = client.sweep_backups("1", reduce)
    assert again.items == (10, 10, 5)
    assert again.invalid == {"locked": 1}
    assert len(reduced) == 4
