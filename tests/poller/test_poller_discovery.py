"""Which of the listed accounts are watched, over raw sockets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gigas_exporter.clock import SystemClock
from gigas_exporter.config import AccountSettings, DiscoveryFilter, PollSettings, Settings, Shard
from gigas_exporter.errors import GigasError
from gigas_exporter.gigas import ApiSettings
from gigas_exporter.model import Account
from gigas_exporter.poller.account_source import ACCOUNTS_INCOMPLETE
from gigas_exporter.poller.service import Service
from gigas_exporter.poller.store import Store
from poller.conftest import Watch
from support.polling import Observed, api_key, await_true, poll_once
from support.raw_api import RawApi
from support.small_api import Answer, SmallApi, healthy


def discovering(api: RawApi | SmallApi, **only: Any) -> Settings:
    """Settings that watch the accounts that the API lists."""
    return Settings(
        discovery=api_key("a-key"),
        discovery_filter=DiscoveryFilter.model_validate(only),
        api=ApiSettings(url=api.url, timeout_seconds=1.0, max_requests_per_second=0.0),
        poll=PollSettings(interval=1.0, backups_interval=1.0),
    )


ACCOUNTS = [
    {"id": 1, "status": "Active", "product_id": 7},
    {"id": 2, "status": "terminated", "product_id": 7},
    {"id": 3, "status": "CANCELLED", "product_id": "7"},
    {"id": 4, "status": None, "product_id": 8},
    {"id": 5, "status": "suspended", "product_id": None},
    {"id": 6},
]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ({}, {"1", "4", "5", "6"}),
        ({"status": ["active"]}, {"1", "4", "6"}),
        ({"status": ["suspended", "terminated"]}, {"2", "4", "5", "6"}),
        ({"product_id": ["7"]}, {"1", "5", "6"}),
        ({"status": ["active"], "product_id": ["8"]}, {"4", "6"}),
    ],
)
def test_filters_and_ended_products_are_skipped(
    watch: Watch, caplog: pytest.LogCaptureFixture, only: dict[str, Any], expected: set[str]
) -> None:
    """What a filter excludes, terminated and cancelled ones; what is not known of an account excludes nothing."""
    caplog.set_level("INFO")
    with RawApi(ACCOUNTS) as api:
        watching = watch(discovering(api, **only))
        watching.await_ready()
        assert [record.getMessage() for record in caplog.records].count("Accounts skipped by status or product") == 1
        assert watching.accounts() == expected
        assert watching.observed.counts[0] == len(expected)
        assert watching.observed.counts[2] == len(ACCOUNTS) - len(expected)


def test_a_shard_that_owns_no_listed_account_says_so(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    """Once, and not as a failure."""
    with RawApi(["1"]) as api:
        owner = next(index for index in (1, 2) if Shard(index, 2).owns("1"))
        watching = watch(replace(discovering(api), shard=Shard(3 - owner, 2)))
        await_true(lambda: watching.service.source.listed)
        listed = api.count("/accounts")
        await_true(lambda: api.count("/accounts") >= listed + 2)
        assert watching.accounts() == set()
    said = [record.getMessage() for record in caplog.records if "shard" in record.getMessage()]
    assert said == ["The shard owns none of the accounts, so that nothing is watched here"]


def test_an_account_whose_disks_are_not_found_is_skipped(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, is no failure, and is tried again when its status changes."""
    with RawApi([{"id": 1, "status": "active"}, {"id": 2, "status": "pending"}]) as api:
        api.lists["/account/2/disks"] = 404, {"error": "no cloud"}
        watching = watch(discovering(api))
        await_true(lambda: watching.observed.counts == (1, 0, 1))
        await_true(lambda: api.count("/accounts") >= 3)
        assert watching.accounts() == {"1"}
        assert not [key for key in watching.observed.polls if key[0] == "2" and key[1] == "disks"]
        said = [record.getMessage() for record in caplog.records if "skipped" in record.getMessage()]
        assert said == ["Account skipped: its disks are not found (status 404)"]
        del api.lists["/account/2/disks"]
        api.accounts[1] = {"id": 2, "status": "active"}
        await_true(lambda: watching.accounts() == {"1", "2"})
        await_true(lambda: watching.observed.polls["2", "disks", None])
        await_true(lambda: watching.observed.counts == (2, 0, 0))


@pytest.mark.parametrize("body", [{"error": "no cloud"}, b"404 page not found"])
@pytest.mark.parametrize("later", [403, 200])
def test_a_skipped_account_is_tried_again(
    watch: Watch, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, *, body: Any, later: int
) -> None:
    """After a while: not found, it stays out of the store, the series, the log and what is waited for; else it is in.

    That it is left out is logged once, and that nothing in the list of accounts has changed is no matter.
    """
    monkeypatch.setattr("gigas_exporter.poller.account_source._RETRY_MISSING_SECONDS", 0.1)
    with SmallApi({"/accounts": [{"id": 1}, {"id": 2}], **healthy("1"), **healthy("2")}) as api:
        path = "/account/2/disks"
        api.answers[path] = lambda _: (404, body, {})
        watching = watch(discovering(api))
        await_true(lambda: watching.observed.counts == (1, 0, 1))
        said = [each.levelname for each in caplog.records if "skipped" in each.getMessage()]
        assert [level for level in said if level != "DEBUG"] == ["WARNING"]
        caplog.clear()
        stores: list[set[str]] = []
        watching.store.subscribe(lambda: stores.append(watching.accounts()))
        named, asked = watching.observed.watched.count("2"), api.asked.count(path)
        await_true(lambda: api.asked.count(path) >= asked + 3)
        assert stores
        assert "2" not in set().union(*stores)
        assert watching.observed.watched.count("2") == named
        assert watching.service.not_ready() is None
        assert [each.getMessage() for each in caplog.records if each.levelname != "DEBUG"] == []
        if later == 200:
            del api.answers[path]
        else:
            api.answers[path] = lambda _: (later, b"", {})
        await_true(lambda: watching.observed.polls["2", "disks", None if later == 200 else "forbidden"])
        await_true(lambda: watching.observed.counts == (2, 0, 0))


def test_a_list_of_accounts_that_may_go_on_is_logged_once(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    """With each list it would be a line every few minutes."""
    with SmallApi(healthy("1")) as api:
        api.answers["/accounts"] = lambda _: (200, [{"id": 1}], {"Link": '</next>; rel="next"'})
        watching = watch(discovering(api))
        await_true(lambda: len(watching.observed.discoveries) > 1)
    assert [record.getMessage() for record in caplog.records].count(ACCOUNTS_INCOMPLETE) == 1


def test_an_account_that_is_found_is_watched_before_the_next_list(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two lists of accounts minutes may pass."""
    monkeypatch.setattr("gigas_exporter.poller.account_source._RETRY_MISSING_SECONDS", 0.0)
    with RawApi(["1", "2"]) as api:
        api.lists["/account/2/disks"] = 404, {"error": "no cloud"}
        watching = watch(replace(discovering(api), poll=PollSettings(interval=1.0, backups_interval=60.0)))
        await_true(lambda: watching.observed.counts == (1, 0, 1))
        del api.lists["/account/2/disks"]
        watching.service.scheduler.run_now([task for task in [watching.service._discovery] if task])
        await_true(lambda: watching.accounts() == {"1", "2"})
        assert watching.observed.discoveries == [True, True]


@pytest.mark.parametrize("status", [403, 500, 404, None])
def test_what_else_fails_is_never_skipped(watch: Watch, status: int | None) -> None:
    """A 403, a 5xx, a 404 after a 200, and no answer in time are failures."""
    with RawApi(["1", "2"], hanging=set() if status else {"2"}) as api:
        if status in {403, 500}:
            api.lists["/account/2/disks"] = status, None
        watching = watch(discovering(api))
        await_true(lambda: watching.observed.polls["1", "disks", None])
        if status == 404:
            await_true(lambda: watching.observed.polls["2", "disks", None])
            api.lists["/account/2/disks"] = 404, None
        await_true(lambda: any(key[:2] == ("2", "disks") and key[2] for key in watching.observed.polls))
        await_true(lambda: api.count("/accounts") >= 3)
        assert watching.accounts() == {"1", "2"}
        await_true(lambda: watching.observed.counts == (2, 0, 0))
        watching.service.stop()  # before the server: a connection that it is just accepting would never be closed


def test_without_any_account_left_nothing_is_well(watch: Watch) -> None:
    """Neither ready, nor a poll for ``check`` without an error."""
    with RawApi(["1", "2"]) as api:
        api.lists |= {f"/account/{each}/disks": (404, None) for each in (1, 2)}
        watching = watch(discovering(api))
        await_true(lambda: watching.observed.counts == (0, 0, 2))
        assert watching.service.not_ready() == "no account is watched: discovery skips all 2"
        with pytest.raises(GigasError, match="skips all 2"):
            poll_once(discovering(api))


def test_polling_once_leaves_out_what_is_skipped_and_counts_it() -> None:
    """So that ``check`` can say how many there are."""
    with RawApi(["1", "2", {"id": 3, "status": "terminated"}]) as api:
        api.lists["/account/2/disks"] = 404, None
        service, failures = poll_once(discovering(api), store := Store())
        assert failures == {"1": {}}
        assert service.source.skipped == 2
        assert [inventory.account.id for inventory in store.snapshot()] == ["1"]


def test_no_content_empties_an_account_only_when_it_is_repeated(watch: Watch) -> None:
    """While disks are known a first 204 is a failed poll that keeps them; other 2xx never take them away."""
    with RawApi(["1"]) as api:
        watching = watch(discovering(api))
        watching.await_ready()
        api.lists["/account/1/disks"] = 206, []
        await_true(lambda: any(key[:2] == ("1", "disks") and key[2] for key in watching.observed.polls))
        assert watching.disks("1") == {"1"}
        failed = watching.observed.polls["1", "disks", "incomplete"]
        api.lists["/account/1/disks"] = 204, None
        await_true(lambda: watching.observed.polls["1", "disks", "incomplete"] > failed)
        assert watching.disks("1") == {"1"}
        await_true(lambda: watching.disks("1") == set())


def test_a_configured_account_is_never_skipped(watch: Watch) -> None:
    """The operator named it: that its disks are not found is a failure."""
    with RawApi([{"id": 1}]) as api:
        api.lists["/account/1/disks"] = 404, None
        settings = discovering(api)
        configured = (AccountSettings(Account("1"), api_key("a-key")),)
        watching = watch(replace(settings, discovery=None, accounts=configured))
        await_true(lambda: watching.observed.polls["1", "disks", "other"])
        assert watching.accounts() == {"1"}


def test_an_account_whose_disks_were_found_in_part_is_never_skipped() -> None:
    """A later page that is not found fails the poll; and so does the first one then, since it was found before."""
    with SmallApi({"/accounts": [{"id": 1}], **healthy("1")}) as api:
        path = "/account/1/disks"
        found = api.lists[path][:2]
        api.answers[path] = lambda query: (200, found, {"X-Total": "4"}) if query["offset"] == "0" else (404, {}, {})
        service = Service(discovering(api), store := Store(), observed := Observed(), clock=SystemClock())
        assert service.poll_once(lambda *_: None)["1"]["disks"].reason == "incomplete"
        api.answers[path] = lambda _: (404, {}, {})
        assert service.poll_once(lambda *_: None)["1"]["disks"].reason == "other"
        assert observed.counts == (1, 0, 0)
        assert [inventory.account.id for inventory in store.snapshot()] == ["1"]
        service.stop()


def skipped(accounts: list[dict[str, Any]], body: Any) -> int:
    """Return how many accounts are skipped where the second one's disks answer with 404 and a body."""
    with SmallApi({"/accounts": accounts, **healthy("1")}) as api:
        api.answers["/account/2/disks"] = lambda _: (404, body, {})
        service, failures = poll_once(discovering(api))
        assert set(failures.get("2", {})) == (set() if service.source.skipped else {"disks", "virtual_machines"})
        return service.source.skipped


@pytest.mark.parametrize(
    "body",
    [
        *({"errors": ["no such account"]}, [], b""),
        *(b"<html>404 Not Found</html>", b"default backend - 404", b"404 page not found"),
    ],
)
def test_an_account_that_is_not_found_while_another_is_is_skipped(body: Any) -> None:
    """Whatever the body is: the API is there, and has no disks of it."""
    assert skipped([{"id": 1}, {"id": 2}], body) == 1
    assert skipped([{"id": 2}, {"id": 1}], body) == 1


@pytest.mark.parametrize("other", [(404, b"404 page not found", {}), (503, b"", {})])
def test_the_404_of_a_gateway_skips_no_account(watch: Watch, other: Any) -> None:
    """Where no account has disks, something before the API may have answered; the error says what to do."""
    with SmallApi({"/accounts": [{"id": 1}, {"id": 2}], **healthy("1"), **healthy("2")}) as api:
        api.answers["/account/1/disks"] = lambda _: other
        api.answers["/account/2/disks"] = lambda _: (404, b"<html>404 Not Found</html>", {})
        service, failures = poll_once(discovering(api))
        assert service.source.skipped == 0
        assert "discover: {product_id: […], status: […]}" in str(failures["2"]["disks"])
        watching = watch(discovering(api))
        await_true(lambda: watching.observed.polls["2", "disks", "other"] >= 3)
        assert watching.accounts() == {"1", "2"}
        del api.answers["/account/1/disks"]
        await_true(lambda: watching.accounts() == {"1"})
        assert watching.observed.counts == (1, 0, 1)


def test_a_gateway_that_answers_404_for_a_while_skips_no_new_account(watch: Watch) -> None:
    """That others were found before does not show that the API is there now."""
    with SmallApi({"/accounts": [{"id": 1}], **healthy("1"), **healthy("2")}) as api:
        watching = watch(discovering(api))
        await_true(lambda: watching.observed.polls["1", "disks", None])
        for account in "12":
            api.answers[f"/account/{account}/disks"] = lambda _: (404, b"404 page not found", {})
        await_true(lambda: watching.observed.polls["1", "disks", "other"])
        api.lists["/accounts"] = [{"id": 1}, {"id": 2}]
        await_true(lambda: watching.observed.polls["2", "disks", "other"] >= 3)
        assert watching.accounts() == {"1", "2"}
        api.answers.clear()
        await_true(lambda: watching.observed.polls["2", "disks", None])


def answer_first(api: SmallApi, path: str, *answers: Answer) -> None:
    """Give each of these answers once, and the list afterwards."""
    left = list(answers)

    def answer(_: object) -> Answer:
        if len(left) == 1:
            del api.answers[path]
        return left.pop(0)

    api.answers[path] = answer


def test_a_gateway_that_answers_404_once_skips_no_account(watch: Watch) -> None:
    """Whatever the failure before it was."""
    with SmallApi({"/accounts": [{"id": 1}, {"id": 2}], **healthy("1"), **healthy("2")}) as api:
        answer_first(api, "/account/2/disks", (403, b"", {}), (404, b"404 page not found", {}))
        watching = watch(discovering(api))
        await_true(lambda: watching.observed.polls["2", "disks", None])
        assert watching.observed.polls["2", "disks", "other"] == 1
        assert watching.accounts() == {"1", "2"}


def test_a_single_poll_reads_all_of_an_account_that_was_found_the_second_time() -> None:
    """Its backups, too: without them nothing would say that they could not be checked."""
    with SmallApi({"/accounts": [{"id": 1}, {"id": 2}], **healthy("1"), **healthy("2")}) as api:
        answer_first(api, "/account/2/disks", (404, b"404 page not found", {}))
        _, failures = poll_once(discovering(api), store := Store())
        assert failures == {"1": {}, "2": {}}
        assert all(inventory.backups is not None for inventory in store.snapshot())


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        ((None, "https://mia.api.gigas.com"), 0),
        (("https://api.gigas.com", "mia.api.gigas.com"), 0),
        (("https://api.gigas.com/", "https://API.gigas.com:443/v2"), 1),
        (("https://mia.api.gigas.com", "http://127.0.0.1/"), 1),
        (("https://mia.api.gigas.com", None), 1),
        (("https://mia.api.gigas.com", ""), 1),
    ],
)
def test_an_account_whose_api_is_elsewhere_is_not_skipped(urls: tuple[str | None, str | None], expected: int) -> None:
    """Its disks are not here, and it may have some; where all name the same API, this is it."""
    accounts = [{"id": number, "api_url": url} for number, url in enumerate(urls, start=1)]
    assert skipped(accounts, {"error": "no cloud"}) == expected
