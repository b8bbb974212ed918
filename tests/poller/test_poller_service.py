"""Which accounts are watched: discovery, shards, clients, readiness and health."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from gigas_exporter.clock import StopEvent, SystemClock
from gigas_exporter.config import AccountSettings, Settings, Shard
from gigas_exporter.errors import AuthError
from gigas_exporter.gigas import FixedSecret, LoginCredential
from gigas_exporter.inventory import AccountInventory, StalenessLimits
from gigas_exporter.model import Account
from gigas_exporter.poller.service import Service
from gigas_exporter.poller.store import Store
from gigas_exporter.secret import Secret
from gigas_exporter.simulator import SimulatedCloud
from poller.conftest import Watch
from support.polling import Observed, Watching, api_key, await_true, poll_once, settings_for
from support.simulator import SimulatorServer
from support.timing import within


@pytest.fixture
def accounts() -> Iterator[SimulatorServer]:
    """A simulated cloud of six accounts."""
    with SimulatorServer(SimulatedCloud(seed=3, disks=18, accounts=6, eventful=False)) as server:
        yield server


def discovering(server: SimulatorServer) -> Settings:
    """Settings that take every account that the main key may see."""
    return replace(settings_for(server), accounts=(), discovery=api_key(server.world.api_key))


def test_discovery_watches_every_account_that_the_credential_sees(accounts: SimulatorServer, watch: Watch) -> None:
    """All six accounts are polled with one credential, over one client."""
    watching = watch(discovering(accounts))
    assert watching.service.not_ready() == "the accounts have not been listed yet"
    watching.await_ready()
    assert watching.accounts() == set(accounts.world.account_ids)


def test_discovery_that_fails_at_first_is_tried_again(accounts: SimulatorServer, watch: Watch) -> None:
    """Until the accounts were listed once, they are asked for at the shorter interval."""
    accounts.faults.add("status", "list_accounts", status=409, count=2)
    watching = watch(discovering(accounts))
    watching.await_ready()
    assert accounts.requests["list_accounts"] >= 3


def test_accounts_come_and_go_with_what_the_credential_sees(accounts: SimulatorServer, watch: Watch) -> None:
    """An account that is listed no more is forgotten, one that is listed again is watched again."""
    user = accounts.world.access.main
    everything = user.account_ids
    watching = watch(discovering(accounts))
    watching.await_ready()
    user.account_ids = everything[:2]
    await_true(lambda: watching.accounts() == set(everything[:2]))
    assert set(watching.observed.forgotten) == set(everything[2:])
    user.account_ids = everything
    await_true(lambda: watching.accounts() == set(everything) and watching.service.not_ready() is None)


def remembered(watching: Watching) -> set[str]:
    """The accounts of whose answers something is kept."""
    clients = watching.service._clients._clients.values()
    return {path.split("/")[2] for client, _ in clients for path, *_ in client._lists._memories if path != "/accounts"}


def test_nothing_is_kept_of_an_account_that_has_gone(accounts: SimulatorServer, watch: Watch) -> None:
    """Neither of what was read of it before, nor of a poll that was under way."""
    user = accounts.world.access.main
    everything = user.account_ids
    watching = watch(discovering(accounts))
    await_true(lambda: remembered(watching) == set(everything))
    accounts.faults.add("latency", "list_*", account=everything[-1], seconds=0.7)
    user.account_ids = everything[:2]
    await_true(lambda: watching.accounts() == set(everything[:2]))
    await_true(lambda: remembered(watching) == set(everything[:2]))
    polls = watching.observed.ended("disks")
    await_true(lambda: watching.observed.ended("disks") >= polls + 4)
    assert remembered(watching) == set(everything[:2])


def test_a_failed_discovery_later_on_forgets_nothing(accounts: SimulatorServer, watch: Watch) -> None:
    """Accounts that are watched stay while the list of accounts cannot be read."""
    watching = watch(discovering(accounts))
    watching.await_ready()
    await_true(lambda: watching.observed.discoveries)
    assert set(watching.observed.discoveries) == {True}
    accounts.faults.add("html", "list_accounts")
    await_true(lambda: accounts.faults.listing()[-1]["struck"] >= 2)
    assert watching.accounts() == set(accounts.world.account_ids)
    assert watching.observed.discoveries[-1] is False


def test_a_list_without_any_account_is_not_believed(
    accounts: SimulatorServer, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that are watched stay, and an exporter that begins so is not ready: somebody must be told."""
    watching = watch(discovering(accounts))
    watching.await_ready()
    accounts.world.access.main.account_ids = ()
    await_true(lambda: False in watching.observed.discoveries)
    assert watching.accounts() == set(accounts.world.account_ids)
    later = watch(discovering(accounts))
    await_true(lambda: later.observed.discoveries)
    assert later.service.not_ready() == "the accounts have not been listed yet"
    assert set(later.observed.discoveries) == {False}
    (said, _) = [record.facts["error"] for record in caplog.records if record.getMessage() == "Cannot list accounts"]  # type: ignore[attr-defined]
    assert said == "list_accounts: the API lists no account for this credential"


def test_a_list_of_accounts_that_the_end_breaks_off_is_no_failure(
    accounts: SimulatorServer, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is said of it, as of any other poll that a reload or the end breaks off."""
    accounts.faults.add("hang", "list_accounts")
    watching = watch(discovering(accounts))
    await_true(lambda: accounts.faults.listing()[-1]["struck"])
    watching.service.stop()
    assert [record.getMessage() for record in caplog.records] == []


def test_all_accounts_share_whom_tls_trusts(accounts: SimulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the system's authorities for each of hundreds of keys would keep a start and the end waiting."""
    read = []
    create = ssl.create_default_context

    def count(**options: Any) -> ssl.SSLContext:
        read.append(options)
        return create(**options)

    monkeypatch.setattr(ssl, "create_default_context", count)
    settings = settings_for(accounts, api={"url": "https://127.0.0.1:1"})
    assert len({each.credential for each in settings.accounts}) > 1
    Service(settings, Store(), Observed(), clock=SystemClock()).stop()
    assert len(read) == 1


def test_a_reload_while_accounts_cannot_be_listed_goes_on_polling_them(accounts: SimulatorServer, watch: Watch) -> None:
    """The next generation polls what the last one found, is ready, and says of each account how its polls end."""
    first = watch(discovering(accounts))
    first.await_ready()
    first.service.stop()
    accounts.faults.add("status", "list_accounts", status=409)
    second = watch(discovering(accounts), first.store)
    assert second.service.not_ready() is None
    for account_id in accounts.world.account_ids:
        await_true(lambda each=account_id: second.observed.polls[each, "disks", None])  # type: ignore[misc]


@pytest.mark.parametrize("discover", [False, True])
def test_shards_watch_every_account_once(accounts: SimulatorServer, watch: Watch, discover: bool) -> None:
    """Three shards together watch all accounts, and none twice."""
    settings = discovering(accounts) if discover else settings_for(accounts)
    shards = [watch(replace(settings, shard=Shard(index, 3))) for index in (1, 2, 3)]
    await_true(lambda: all(each.service.not_ready() is None for each in shards))
    seen = [account_id for each in shards for account_id in each.accounts()]
    assert sorted(seen) == sorted(accounts.world.account_ids)


def test_accounts_with_one_login_share_a_session(accounts: SimulatorServer, watch: Watch) -> None:
    """Six accounts with the same login take one token, which is told as each one's and asked for read-only."""
    world = accounts.world
    password = FixedSecret(Secret(world.password), "the test")
    login = LoginCredential(world.login, password)
    settings = settings_for(accounts)
    settings = replace(settings, accounts=tuple(AccountSettings(Account(each), login) for each in world.account_ids))
    watching = watch(settings)
    watching.await_ready()
    assert accounts.requests["create_token"] == 1
    await_true(lambda: set(watching.observed.tokens) == set(world.account_ids))
    assert None not in watching.observed.tokens.values()


def test_one_account_failing_leaves_the_others_alone(accounts: SimulatorServer, watch: Watch) -> None:
    """An account whose API answers 500 is not ready, and all others are as fresh as ever."""
    bad, *good = accounts.world.account_ids
    accounts.faults.add("status", "*", status=500, account=bad)
    watching = watch(settings_for(accounts))
    await_true(lambda: all(watching.inventory(each).disks for each in good))
    assert watching.service.not_ready() == f"the disks of 1 account(s) have not been read yet, among them account {bad}"
    accounts.faults.clear()
    watching.await_ready()


def test_polling_once_tells_what_could_not_be_read(accounts: SimulatorServer) -> None:
    """Without loops: everything is read once, and a failing account is named with its resources."""
    bad = accounts.world.account_ids[0]
    accounts.faults.add("status", "list_*backups", status=403, account=bad)
    store = Store()
    service = Service(settings_for(accounts), store, Observed(), clock=SystemClock())
    told: list[tuple[str, str, bool]] = []
    try:
        failed = service.poll_once(lambda *facts: told.append(facts))
    finally:
        service.stop()
    assert {account_id for account_id, failures in failed.items() if failures} == {bad}
    assert failed[bad]["backups"].reason == "forbidden"
    assert len(told) == 18
    assert all(inventory.disks is not None for inventory in store.snapshot())


def test_polling_once_with_a_discovery_that_fails_says_so(accounts: SimulatorServer) -> None:
    """Without accounts there is nothing to poll, and the reason is the API's."""
    with pytest.raises(AuthError):
        poll_once(replace(discovering(accounts), discovery=api_key("wrong")))


def test_the_store_tells_of_changes_and_refuses_what_came_too_late() -> None:
    """Each change raises the version and is told; one that is no longer wanted, or of a gone account, is neither."""
    told: list[int] = []
    store = Store()
    store.subscribe(lambda: told.append(store.version))
    inventory = AccountInventory(Account("1"), StalenessLimits(1.0, 1.0))
    store.replace(lambda _: {"1": inventory})
    store.update("1", lambda known: replace(known, account=Account("1", "named")))
    store.update("1", lambda known: replace(known, account=Account("1", "late")), still_wanted=lambda: False)
    store.update("2", lambda known: known)
    assert told == [1, 2]
    assert [each.account.name for each in store.snapshot()] == ["named"]


def test_the_store_loses_no_update_that_comes_while_accounts_are_replaced() -> None:
    """What a poll publishes while other accounts are put in place is there afterwards."""
    store = Store()
    store.replace(lambda _: {"1": AccountInventory(Account("1"), StalenessLimits(1.0, 1.0))})
    poll = threading.Thread(
        target=lambda: store.update("1", lambda known: replace(known, account=Account("1", "polled")))
    )

    def change(known: Mapping[str, AccountInventory]) -> Mapping[str, AccountInventory]:
        poll.start()
        poll.join(0.1)
        return dict(known)

    store.replace(change)
    poll.join(5.0)
    assert [each.account.name for each in store.snapshot()] == ["polled"]


def test_a_list_of_accounts_that_comes_after_the_end_changes_nothing(accounts: SimulatorServer) -> None:
    """A generation that a reload has ended neither takes accounts away from its successor nor has them forgotten."""
    store, observed = Store(), Observed()
    store.replace(lambda _: {"1": AccountInventory(Account("1"), StalenessLimits(1.0, 1.0))})
    service = Service(settings_for(accounts), store, observed, clock=SystemClock())
    service.stop()
    service.start()
    assert [each.account.id for each in store.snapshot()] == ["1"]
    assert (observed.watched, observed.forgotten) == ([], [])


def test_what_is_stopped_stops_what_was_begun_with_it() -> None:
    """Before or after; what is detached goes on, and is not kept."""
    stop = StopEvent()
    begun, detached = StopEvent(stop), StopEvent(stop)
    detached.detach()
    assert stop.children == {begun}
    stop.set()
    assert [each.is_set() for each in (begun, StopEvent(stop), detached)] == [True, True, False]


def test_it_stops_while_accounts_are_taken_up(accounts: SimulatorServer) -> None:
    """With very many that takes seconds: the page is rendered meanwhile."""
    rendering, go_on, store = threading.Event(), threading.Event(), Store()
    service = Service(discovering(accounts), store, Observed(), clock=SystemClock())

    def render() -> None:
        rendering.set()
        go_on.wait(60)

    store.subscribe(render)
    try:
        service.start()
        assert rendering.wait(60)
        with within(3.0):
            service.stop()
    finally:
        go_on.set()
