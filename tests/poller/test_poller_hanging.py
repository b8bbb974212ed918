"""Many accounts over raw sockets, most of which may hang: who is fresh, and what it costs."""

from __future__ import annotations

import time

import pytest

from gigas_exporter.clock import Deadline, StopEvent, SystemClock
from gigas_exporter.config import AccountSettings, PollSettings, Settings
from gigas_exporter.gigas import ApiSettings
from gigas_exporter.model import Account
from gigas_exporter.poller import account, scheduler
from gigas_exporter.poller.account import AccountPoller
from poller.conftest import Watch
from support.polling import Watching, api_key, await_true
from support.raw_api import RawApi
from support.timing import within


def one_credential(api: RawApi, timeout: float = 2.0, interval: float = 1.0, rate: float = 0.0) -> Settings:
    """Settings for all accounts of an API, with the same key."""
    key = api_key("a-key")
    return Settings(
        accounts=tuple(AccountSettings(Account(each), key) for each in api.accounts),
        api=ApiSettings(url=api.url, timeout_seconds=timeout, max_requests_per_second=rate),
        poll=PollSettings(interval=interval, backups_interval=5 * interval),
    )


def last_success(watching: Watching, account_id: str) -> float | None:
    """When the account's disks were last read."""
    outcome = watching.inventory(account_id).outcomes.get("disks")
    return None if outcome is None else outcome.last_success_at


def assert_fresh(watching: Watching, account_id: str, seconds: float, samples: int, pause: float = 0.25) -> None:
    """The account's last success is at most so long ago in 95 % of samples."""
    fresh = []
    for _ in range(samples):
        time.sleep(pause)
        fresh.append(time.time() - (last_success(watching, account_id) or 0.0) <= seconds)
    assert sum(fresh) >= 0.95 * len(fresh)


def test_one_good_account_among_25_stays_fresh(watch: Watch) -> None:
    """With 24 that hang its last success is at most two intervals ago in 95 % of samples after the first success."""
    accounts, good = [str(number) for number in range(1, 26)], "25"  # the last to be begun
    with RawApi(accounts, hanging=set(accounts) - {good}) as api:
        watching = watch(one_credential(api, rate=10.0))
        await_true(lambda: last_success(watching, good))
        assert_fresh(watching, good, 2.0, 40)
        assert watching.service.healthy()
        # Each of the others is tried, too, and said to be down.
        await_true(lambda: all("disks" in each.outcomes for each in watching.store.snapshot()))
        assert "other accounts wait" in repr([each.outcomes["disks"].error for each in watching.store.snapshot()])
        with within(3.0):
            watching.service.stop()


def test_one_good_account_among_50_stays_fresh(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the defaults, whose times are divided by 20."""
    scale = 20
    for module, name in ((account, "_MIN_FIRST_RESPONSE_SECONDS"), (scheduler, "_CONTENDED_SECONDS")):
        monkeypatch.setattr(module, name, getattr(module, name) / scale)
    for name in ("_MIN_DEADLINE_SECONDS", "_MAX_DEADLINE_SECONDS", "_ABORT_INTERVAL_SECONDS"):
        monkeypatch.setattr(scheduler, name, getattr(scheduler, name) / scale)
    accounts, good = [str(number) for number in range(1, 51)], "25"
    defaults = PollSettings()
    interval = defaults.interval / scale
    with RawApi(accounts, hanging=set(accounts) - {good}) as api:
        timeout = ApiSettings().timeout_seconds / scale
        watching = watch(one_credential(api, timeout, interval, ApiSettings().max_requests_per_second * scale))
        await_true(lambda: last_success(watching, good), seconds=60)
        assert_fresh(watching, good, 2 * interval, 60)
        assert watching.service.healthy()


def test_accounts_that_hang_later_on_delay_the_good_one_only_once(watch: Watch) -> None:
    """They have answered before; with the first time-out of each they share one slot."""
    accounts = [str(number) for number in range(1, 13)]
    with RawApi(accounts) as api:
        watching = watch(one_credential(api, timeout=1.0))
        await_true(lambda: all(last_success(watching, each) for each in accounts))
        api.hanging = set(accounts[:-1])
        await_true(lambda: sum(watching.observed.polls[each, "disks", "timeout"] > 0 for each in accounts) == 11)
        time.sleep(2.0)
        assert_fresh(watching, accounts[-1], 2.0, 30, 0.2)
        api.hanging = set()
        recovered = time.time()
        await_true(lambda: all((last_success(watching, each) or 0.0) > recovered for each in accounts))


def test_first_polls_begin_at_once(watch: Watch) -> None:
    """Within half a second of the start, disks first, although nothing answers."""
    with RawApi(["1"], hanging={"1"}) as api:
        began = time.monotonic()
        watch(one_credential(api, interval=60.0))
        await_true(lambda: len(api.requests) >= 3)
        assert all(at - began < 0.5 for at, _ in api.requests[:3])
        assert {path.rsplit("/", 1)[1] for _, path in api.requests[:3]} == {"disks", "virtual_machines", "backups"}


def test_a_response_that_comes_while_a_poll_is_judged_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of the last request was looked at twice, and the thread that starts all polls ended between."""
    looks = iter([0.0, None, None])
    deadline = Deadline(SystemClock(), 5.0)
    monkeypatch.setattr(Deadline, "sent_at", property(lambda _: next(looks)))
    poller, stop = object.__new__(AccountPoller), StopEvent()
    poller._clock, poller._running = SystemClock(), {"disks": (stop, [deadline])}
    poller._abort("disks", 1.0)
    assert stop.is_set()
