"""What the headers of pages may say, and what must come of it: no list whose end is not proven is called well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gigas_exporter.cli.poll_once import poll_once
from gigas_exporter.config import Settings
from gigas_exporter.errors import IncompleteError
from gigas_exporter.gigas import ApiSettings, ReadClient
from support.commands import run_command
from support.polling import api_key
from support.small_api import Answer, SmallApi, healthy
from trust.conftest import ACCOUNT, BACKUPS, DISKS, MACHINES, Told, backups_of

Tell = Callable[..., Told]
LISTS = {"disks": DISKS, "backups": BACKUPS, "virtual_machines": MACHINES}
CAP = 2
"""Items on a page, whatever is asked for."""

LIES: Mapping[str, Mapping[str, str]] = {
    "total": {"X-Total": "4.0"},
    "total_pages": {"X-Total-Pages": "2", "X-Per-Page": "2", "X-Page": "1"},
    "content_range": {"Content-Range": "items 0-1/4"},
    "link": {"Link": '<http://x/y?page=2>; rel="next", <http://x/y?page=9>; rel=last'},
}
"""By the field that each is counted under, headers that say that there are more than the two items of the page."""
HEADERS = {"total": "X-Total", "total_pages": "X-Total-Pages", "content_range": "Content-Range", "link": "Link"}


def always(api: SmallApi, path: str, headers: Mapping[str, str], items: int = CAP) -> None:
    """Answer with the first items only, whatever page is asked for."""
    api.answers[path] = lambda _: (200, api.lists[path][:items], headers)


def honest(api: SmallApi, path: str, headers: Callable[[list[Any], int], Mapping[str, str]], cap: int = CAP) -> None:
    """Answer with the page that is asked for, never more than so many items."""

    def answer(query: Mapping[str, str]) -> Answer:
        offset = int(query["offset"])
        page = api.lists[path][offset : offset + min(int(query["limit"]), cap)]
        return 200, page, headers(page, len(api.lists[path]))

    api.answers[path] = answer


def assert_doubtful(told: Told, resource: str, field: str, disks: int) -> None:
    """What was read is shown, and nothing is said to be well."""
    assert told.status == 2, told.words
    name = resource.replace("_", " ")
    assert f"the list of {name} may be incomplete according to the header {HEADERS[field]}" in told.words
    assert "well" not in told.words
    assert told.nagios == 3
    assert told.metric("gigas_up") == [1]
    assert told.metric("gigas_account_disks") == [disks]
    assert told.metric("gigas_exporter_poll_invalid_items", resource=resource, field=field) == [1]


@pytest.mark.parametrize("field", LIES)
@pytest.mark.parametrize("resource", LISTS)
def test_a_header_says_that_there_is_more(api: SmallApi, tell: Tell, resource: str, field: str) -> None:
    """The same page comes again and again, and a header has other words."""
    always(api, LISTS[resource], LIES[field])
    told = tell()
    if resource == "backups":  # the disks' own lists have what is missing here
        assert told.status == 2
        assert told.metric("gigas_exporter_poll_invalid_items", resource=resource, field=field) == [1]
    else:
        assert_doubtful(told, resource, field, CAP if resource == "disks" else 4)


@pytest.mark.parametrize("total", ["4.0", "1,045", "x", "", "-4", "4 items"])
def test_a_total_that_is_not_understood(api: SmallApi, tell: Tell, total: str) -> None:
    """It is not the same as none: where the pages repeat there may be more; where the list ends there is not."""
    always(api, DISKS, {"X-Total": total})
    assert_doubtful(tell(), "disks", "total", CAP)
    honest(api, DISKS, lambda _page, _all: {"X-Total": total})
    told = tell()
    assert told.status == 0, told.words
    assert "all 4 disks are well" in told.words


@pytest.mark.parametrize("headers", [{}, {"X-Per-Page": "2"}, {"X-Total-Pages": "1"}, {"X-Total-Pages": "2"}])
def test_a_total_of_the_page_alone(api: SmallApi, tell: Tell, headers: Mapping[str, str]) -> None:
    """The rest is found behind it."""
    for path in (DISKS, BACKUPS):
        honest(api, path, lambda page, _all: {"X-Total": str(len(page)), **headers})
    told = tell()
    assert told.metric("gigas_account_disks") == [4]
    assert told.metric("gigas_account_backups_unassigned") == [0]


def test_a_total_that_is_sent_twice(api: SmallApi, tell: Tell) -> None:
    """As the same number, it is that number."""
    honest(api, DISKS, lambda _page, whole: {"X-Total": f"{whole}, {whole}"})
    assert tell().status == 0
    always(api, DISKS, {"X-Total": "4, 4"})
    assert "pages repeat items" in tell().words


def test_a_total_under_its_other_usual_name(api: SmallApi, tell: Tell) -> None:
    """It counts where the documented one is not there."""
    always(api, DISKS, {"X-Total-Count": "4"})
    assert "pages repeat items" in tell().words
    honest(api, DISKS, lambda _page, whole: {"X-Total-Count": str(whole)})
    assert tell().status == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Total": "4", "X-Total-Pages": "2", "X-Per-Page": "2"},
        {"X-Total-Pages": "2"},
        {"Content-Range": "items 0-1/4"},
        {"Content-Range": "items 0-1/*"},
        {"Link": '<http://x/y?page=1>; rel="first", <http://x/next>; rel="prev"'},
    ],
)
def test_headers_that_fit(api: SmallApi, tell: Tell, headers: Mapping[str, str]) -> None:
    """All is well where all that they say was read."""
    honest(api, DISKS, lambda _page, _all: headers)
    told = tell()
    assert told.status == 0, told.words


def test_pages_that_are_announced_and_empty(api: SmallApi, tell: Tell) -> None:
    """The server says that there are more pages, and has nothing on them."""
    honest(api, DISKS, lambda _page, _all: {"X-Total-Pages": "3"}, cap=CAP)
    api.lists[DISKS] = api.lists[DISKS][:CAP]
    assert_doubtful(tell(), "disks", "total_pages", CAP)


def test_a_link_to_a_next_page_that_is_empty(api: SmallApi, tell: Tell) -> None:
    """A server that gives it with each full page says with the empty one that there is no more."""
    honest(api, DISKS, lambda page, _all: {"Link": '</y>; rel="next"'} if len(page) == CAP else {})
    assert tell().status == 0


OTHERS = [
    ("link", {"X-Next-Page": "2", "X-Page": "1"}),
    ("link", {"X-Next-Cursor": "abc"}),
    ("link", {"X-Has-More": "true"}),
    ("link", {"Next-Range": "]20..; max=20"}),
    ("link", {"X-Total": "2", "X-Per-Page": "200", "X-Next-Page": "2"}),
    ("link", {"Link": '<http://x/y?page=1>; rel="first", <http://x/y?per_page=2&page=2>; rel="last"'}),
    ("link", {"Link": "<http://x/y?offset=2>; rel=last"}),
    ("link", {"X-Pagination": '{"PageSize": 2, "HasNext": true}'}),
    ("total", {"X-Pagination": '{"TotalCount":4,"PageSize":2}'}),
    ("total", {"Total": "4"}),
    ("total", {"Total-Count": "4"}),
    ("total", {"Pagination-Count": "4"}),
    ("total", {"X-Total-Items": "4"}),
    ("total", {"X-Total": "2", "X-Total-Count": "4"}),
    ("total_pages", {"X-Per-Page": "2"}),
]
"""Headers of other pagers, with the field that each is counted under."""


@pytest.mark.parametrize(("field", "headers"), OTHERS)
def test_the_header_of_another_pager_says_more(
    api: SmallApi, tell: Tell, field: str, headers: Mapping[str, str]
) -> None:
    """The server ignores the offset, and its own headers tell of more than its first page."""
    always(api, DISKS, headers)
    assert_doubtful(tell(), "disks", field, CAP)


@pytest.mark.parametrize("count", [3, 4])
@pytest.mark.parametrize("cap", [2, 20])
def test_the_headers_of_other_pagers_on_a_whole_list(api: SmallApi, tell: Tell, count: int, cap: int) -> None:
    """Those of each page, as such servers send them, raise no doubt where all was read."""

    def answer(query: Mapping[str, str]) -> Answer:
        items, offset, size = api.lists[DISKS][:count], int(query["offset"]), min(int(query["limit"]), cap)
        number, pages = offset // size + 1, -(-count // size)
        following = str(number + 1) if number < pages else ""
        links = {"first": 1, "last": pages} | ({"next": number + 1} if following else {})
        more = str(bool(following)).lower()
        names = ("X-Total", "X-Total-Count", "Total", "Total-Count", "Pagination-Count", "X-Total-Items")
        return (
            200,
            items[offset : offset + size],
            {name: str(count) for name in names}
            | {"X-Page": str(number), "X-Per-Page": str(size), "X-Total-Pages": str(pages)}
            | {"X-Next-Page": following, "X-Has-More": more, "X-Next-Cursor": following}
            | {"X-Pagination": f'{{"TotalCount": {count}, "TotalPages": {pages}, "HasNext": {more}}}'}
            | {
                "Link": ", ".join(
                    f'<http://x/y?page={page}&per_page={size}>; rel="{rel}"' for rel, page in links.items()
                )
            },
        )

    api.answers[DISKS] = answer
    told = tell()
    assert "incomplete" not in told.words
    assert told.metric("gigas_account_disks") == [count]
    assert told.metric("gigas_exporter_poll_invalid_items", resource="disks") == []


@pytest.mark.parametrize(
    "headers", [{"Link": '</y?cursor=a>; rel="next"'}, {"X-Next-Page": "2"}, {"X-Next-Cursor": "a"}]
)
def test_a_next_page_that_no_offset_leads_to(api: SmallApi, tell: Tell, headers: Mapping[str, str]) -> None:
    """An empty page behind the first is not the next one that the first one tells of."""
    honest(api, DISKS, lambda page, _all: headers if page else {})
    api.lists[DISKS] = api.lists[DISKS][:CAP]
    assert_doubtful(tell(), "disks", "link", CAP)


@pytest.mark.parametrize("headers", [{"X-Page": "1", "X-Per-Page": "4"}, {}])
@pytest.mark.parametrize("past", [(200, []), (204, b""), (404, {})])
@pytest.mark.parametrize("disks", [12, 24])
def test_an_offset_that_counts_pages(
    api: SmallApi, tell: Tell, headers: Mapping[str, str], past: tuple[int, Any], disks: int
) -> None:
    """What is behind the first page is far away, or nothing: the list is not whole, whatever the headers say."""
    api.lists.update(healthy(disks=disks))

    def answer(query: Mapping[str, str]) -> Answer:
        number, size = int(query["offset"]), min(int(query["limit"]), 4)
        page = api.lists[DISKS][number * size : (number + 1) * size]
        status, body = (200, page) if page else past
        return status, body, {**headers, "X-Page": str(number + 1)} if headers else {}

    api.answers[DISKS] = answer
    assert_not_well(tell())


@pytest.mark.parametrize("from_one", [False, True])
def test_an_offset_that_counts_pages_and_ends_at_the_last(api: SmallApi, tell: Tell, *, from_one: bool) -> None:
    """What comes for any page behind the last one is the end of no other page."""
    disks = [{**api.lists[DISKS][0], "id": number} for number in range(1, 27)]

    def answer(query: Mapping[str, str]) -> Answer:
        number, size = int(query["offset"]) - from_one, min(int(query["limit"]), 10)
        begin = min(max(number, 0), (len(disks) - 1) // size) * size
        return 200, disks[begin : begin + size], {}

    api.answers[DISKS] = answer
    told = tell()
    assert told.status == 2
    assert "may count pages" in told.words


def count_pages(
    api: SmallApi,
    path: str,
    *,
    from_one: bool = False,
    size: int = 200,
    total: Callable[[list[Any]], int] | None = None,
) -> None:
    """Answer with the page of the number that stands in ``offset``, and with a total made of the page."""

    def answer(query: Mapping[str, str]) -> Answer:
        number, limit = int(query["offset"]), min(int(query["limit"]), size)
        begin = (max(number - 1, 0) if from_one else number) * limit
        page = api.lists[path][begin : begin + limit]
        return 200, page, {} if total is None else {"X-Total": str(total(page))}

    api.answers[path] = answer


def assert_not_well(told: Told) -> None:
    """The list is not believed to be whole."""
    assert told.status == 2, told.words
    assert "well" not in told.words


@pytest.mark.parametrize("from_one", [True, False])
@pytest.mark.parametrize("disks", [1, 2, 3, 5])
def test_an_offset_that_counts_pages_of_which_there_is_one(
    api: SmallApi, tell: Tell, disks: int, *, from_one: bool
) -> None:
    """A list that fits into its first page is whole, however the others would be counted; in discovery, too."""
    api.lists.update(healthy(disks=disks))
    api.lists["/accounts"] = [{"id": 4242, "status": "active"}, {"id": 4243, "status": "active"}]
    api.lists.update(healthy("4243", disks=1))
    for path in (DISKS, BACKUPS, MACHINES, "/accounts"):
        count_pages(api, path, from_one=from_one)
    told = tell()
    assert told.status == 0, told.words
    assert told.metric("gigas_account_disks") == [disks]
    once = poll_once(Settings(discovery=api_key("k"), api=ApiSettings(api.url, max_requests_per_second=0.0)))
    assert once.errors() == []
    assert [len(each.disks.disks) for each in once.inventories if each.disks] == [disks, 1]


@pytest.mark.parametrize("from_one", [True, False])
@pytest.mark.parametrize("small", [2, 3, 5])
def test_a_small_list_does_not_teach_what_an_offset_counts(api: SmallApi, small: int, *, from_one: bool) -> None:
    """The truncated list of another account stays so, until its first page holds it all, as the sentence has it."""
    api.lists |= healthy("1", disks=small) | healthy("2", disks=30)
    for account in "12":
        count_pages(api, f"/account/{account}/disks", from_one=from_one)
    with ReadClient(ApiSettings(api.url, page_size=20, max_requests_per_second=0.0), api_key("k")) as client:
        assert len(client.list_disks("1").items) == small
        with pytest.raises(IncompleteError, match=r"may count pages; set api\.page_size to as many items as the list"):
            client.list_disks("2")
    with ReadClient(ApiSettings(api.url, page_size=30, max_requests_per_second=0.0), api_key("k")) as client:
        assert len(client.list_disks("2").items) == 30


def test_a_list_that_changes_while_it_is_tried_is_read_once_more(api: SmallApi) -> None:
    """The page of half the size must hold the last item, and not just any."""
    api.lists.update(healthy(disks=7))
    honest(api, DISKS, lambda _page, _all: {}, cap=4)
    page_of = api.answers[DISKS]

    def answer(query: Mapping[str, str]) -> Answer:
        if query["limit"] == "2" and len(api.lists[DISKS]) == 7:
            del api.lists[DISKS][6:]
        return page_of(query)

    api.answers[DISKS] = answer
    with ReadClient(ApiSettings(api.url, max_requests_per_second=0.0), api_key("k")) as client:
        with pytest.raises(IncompleteError, match="changes while it is read"):  # the item may only have moved
            client.list_disks("4242")
        assert len(client.list_disks("4242").items) == 6


@pytest.mark.parametrize("count", [3, 4, 5, 8])
def test_a_list_without_a_total_is_tried_once_for_what_an_offset_counts(api: SmallApi, count: int) -> None:
    """The first reading is made twice; then nothing more is asked for than pages."""
    api.lists.update(healthy(disks=count))
    honest(api, DISKS, lambda _page, _all: {}, cap=4)
    with ReadClient(ApiSettings(api.url, max_requests_per_second=0.0), api_key("k")) as client:
        assert len(client.list_disks("4242").items) == count
        first = len(api.asked)
        assert len(client.list_disks("4242").items) == count
    pages = len(api.asked) - first
    assert first == 2 * pages + 1


@pytest.mark.parametrize("status", [404, 416])
@pytest.mark.parametrize("per_page", ["4", "200"])
def test_a_page_past_the_end_that_is_not_found(api: SmallApi, tell: Tell, status: int, per_page: str) -> None:
    """It is the end where all items of the total were read."""
    api.answers[DISKS] = lambda query: (
        (200, api.lists[DISKS][: int(query["limit"])], {"X-Total": "4", "X-Per-Page": per_page})
        if query["offset"] == "0"
        else (status, {}, {})
    )
    told = tell(page_size=4)
    assert told.status == 0, told.words
    assert "all 4 disks are well" in told.words


@pytest.mark.parametrize("total", [{"X-Total": "4"}, {}])
def test_a_later_page_that_is_not_found(api: SmallApi, tell: Tell, total: Mapping[str, str]) -> None:
    """The list is there, and is not whole."""
    api.answers[DISKS] = lambda query: (200, api.lists[DISKS][:CAP], total) if query["offset"] == "0" else (404, {}, {})
    told = tell()
    assert told.status == 2
    assert "list_disks: the API answered 404 for a page, and 200 for another" in told.words
    probe = run_command(api.url, "probe").output
    assert "the API answered 404 for a page, and 200 for another" in probe
    assert "no such list" not in probe


@pytest.mark.parametrize("headers", [LIES["link"], {"X-Total": "x", "X-Next-Page": "2"}])
@pytest.mark.parametrize("is_swept", [True, False])
def test_an_empty_own_list_that_may_go_on(
    api: SmallApi, tell: Tell, headers: Mapping[str, str], *, is_swept: bool
) -> None:
    """It does not confirm that the disk was never backed up."""
    api.lists[BACKUPS] = [item for item in api.lists[BACKUPS] if item["disk_id"] != 1]
    if not is_swept:
        del api.lists[BACKUPS]
    always(api, f"{ACCOUNT}/disk/1/backups", headers, items=0)
    told = tell()
    assert told.status == 2, told.words
    assert told.finding("never_backed_up") == set()
    assert told.finding("backups_unreadable") == {"1"}
    assert "never backed up" not in run_command(api.url, "probe").output


def test_an_own_list_that_may_go_on(api: SmallApi, tell: Tell) -> None:
    """It is counted with the backups."""
    for item in backups_of(api):
        item["disk_id"] = item["disk_id"] if item["disk_id"] != 1 else None
    api.lists[BACKUPS] = [item for item in api.lists[BACKUPS] if item["disk_id"]]
    always(api, f"{ACCOUNT}/disk/1/backups", LIES["link"], items=3)
    told = tell()
    assert told.status == 2, told.words
    assert "the list of backups may be incomplete according to the header Link" in told.words


@pytest.mark.parametrize("is_more", [True, False])
def test_a_list_of_accounts_that_may_go_on(api: SmallApi, *, is_more: bool) -> None:
    """Those that were listed are watched, and it is said that there may be others."""
    headers = LIES["link"] if is_more else {}
    api.answers["/accounts"] = lambda _: (200, [{"id": 4242, "status": "active"}], headers)
    once = poll_once(Settings(discovery=api_key("k"), api=ApiSettings(api.url, max_requests_per_second=0.0)))
    assert [each.account.id for each in once.inventories] == ["4242"]
    assert any("the list of accounts may be incomplete" in error for error in once.errors()) == is_more
    page = b"".join(once.page.render(openmetrics=False, gzip=False).chunks).decode()
    assert f"gigas_exporter_discovery_success {int(not is_more)}" in page


@pytest.mark.parametrize("from_one", [True, False])
@pytest.mark.parametrize("cap", [5, 7])
@pytest.mark.parametrize("total", [len, lambda _page: 0])
def test_an_offset_that_counts_pages_with_a_total_that_is_of_the_page(
    api: SmallApi, tell: Tell, cap: int, total: Callable[[list[Any]], int], *, from_one: bool
) -> None:
    """A total that is no larger than the first page does not say that nothing is behind it."""
    api.lists.update(healthy(disks=13))
    count_pages(api, DISKS, from_one=from_one, size=cap, total=total)
    assert_not_well(tell())


def test_an_offset_that_counts_pages_on_a_server_that_repeats_its_last_page(api: SmallApi, tell: Tell) -> None:
    """The page of half the size is that last one, too, and not what follows by items."""
    api.lists.update(healthy(disks=13))

    def answer(query: Mapping[str, str]) -> Answer:
        limit = min(int(query["limit"]), 5)
        begin = min(int(query["offset"]), 12 // limit) * limit
        return 200, api.lists[DISKS][begin : begin + limit], {}

    api.answers[DISKS] = answer
    assert_not_well(tell())


def test_pages_of_one_item_that_are_counted_from_one(api: SmallApi, tell: Tell) -> None:
    """The first page comes for offset 1, too, and is not all that there is, whatever total comes with it."""
    count_pages(api, DISKS, from_one=True, size=1)
    assert_not_well(tell())
    count_pages(api, DISKS, from_one=True, size=1, total=lambda _page: 1)
    assert_not_well(tell())


def test_the_only_item_on_a_server_that_sends_it_for_any_offset(api: SmallApi, tell: Tell) -> None:
    """It is all that there is."""
    api.lists.update(healthy(disks=1))
    api.answers[DISKS] = lambda _: (200, api.lists[DISKS], {"X-Total": "1"})
    told = tell()
    assert (told.status, told.words) == (0, "the only disk is well\n")
