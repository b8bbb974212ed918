"""What belongs to a credential and not to an account or a configuration: logins, the request rate, connections."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from gigas_exporter.config import AccountSettings, PollSettings, Settings
from gigas_exporter.gigas import ApiKeyCredential, ApiSettings, Credential, FixedSecret, LoginCredential, SecretFile
from gigas_exporter.gigas.credentials import SecretSource
from gigas_exporter.model import Account
from gigas_exporter.secret import Secret
from poller.conftest import Watch
from support.polling import api_key, await_true
from support.raw_api import RawApi


def login(origin: str = "the test") -> Credential:
    """The same login however it is spelled."""
    return LoginCredential("me@example.com", FixedSecret(Secret("wrong"), origin))


def settings(api: RawApi, credentials: list[Credential], rate: float = 0.0, interval: float = 1.0) -> Settings:
    """Settings with an account for each credential."""
    return Settings(
        accounts=tuple(AccountSettings(Account(str(index)), each) for index, each in enumerate(credentials, 1)),
        api=ApiSettings(url=api.url, timeout_seconds=2.0, max_requests_per_second=rate),
        poll=PollSettings(interval=interval, backups_interval=interval),
    )


def test_a_rejected_login_of_twenty_accounts_is_sent_once(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    """Then it waits, longer each time, and not for a reload more than once a minute; it is told and logged once."""
    with RawApi() as api:
        api.lists["/token"] = 401, {"error": "no"}
        credentials = [login(f"accounts[{index}]") for index in range(20)]
        told = settings(api, credentials, interval=2.0)
        watching = watch(told)
        await_true(lambda: all(watching.observed.polls[str(index), "disks", "auth"] for index in range(1, 21)))
        assert api.count("/token") == 1
        assert watching.observed.blocked == {str(index): True for index in range(1, 21)}
        await_true(lambda: api.count("/token") == 2)
        first, second = (at for at, path in api.requests if path == "/token")
        assert second - first >= 2.0
        for _ in range(20):
            watching.service.reload(told)
        time.sleep(1.0)
        assert api.count("/token") <= 3
        assert api.count() == api.count("/token")
        said = [record for record in caplog.records if "Login rejected" in record.getMessage()]
        assert len(said) == 1
        # Another password is tried at once.
        api.lists["/token"] = 200, {"token": "t", "expires": time.time() + 1800}
        fresh = LoginCredential("me@example.com", FixedSecret(Secret("right"), "the test"))
        watching.service.reload(settings(api, [fresh] * 20))
        await_true(lambda: all(watching.observed.polls[str(index), "disks", None] for index in range(1, 21)))
        await_true(lambda: not any(watching.observed.blocked.values()))


@pytest.fixture(params=["inline", "files"])
def spelt_often(request: pytest.FixtureRequest, tmp_path: Path) -> list[SecretSource]:
    """One secret as twenty accounts spell it: in the configuration, or each in a file of its own."""
    for number in range(20):
        (tmp_path / str(number)).write_text("wrong" + "\n" * (number % 2))
    if request.param == "files":
        return [SecretFile(tmp_path / str(number)) for number in range(20)]
    return [FixedSecret(Secret("wrong"), f"accounts[{number}]") for number in range(20)]


def test_a_secret_that_many_accounts_spell_shares_one_rate(watch: Watch, spelt_often: list[SecretSource]) -> None:
    """Twenty accounts with the same key make no more requests a second than one."""
    with RawApi() as api:
        began = time.monotonic()
        watch(settings(api, [ApiKeyCredential(secret) for secret in spelt_often], rate=10.0, interval=60.0))
        await_true(lambda: api.count() >= 20)
        assert api.count() <= 10 * (time.monotonic() - began) + 4


def test_a_secret_that_many_accounts_spell_is_one_login(watch: Watch, spelt_often: list[SecretSource]) -> None:
    """It is rejected once for all of them."""
    with RawApi() as api:
        api.lists["/token"] = 401, {"error": "no"}
        watching = watch(settings(api, [LoginCredential("me", secret) for secret in spelt_often], interval=60.0))
        await_true(lambda: all(watching.observed.polls[str(index), "disks", "auth"] for index in range(1, 21)))
        assert api.count("/token") == 1
        assert watching.observed.blocked == {str(index): True for index in range(1, 21)}


def test_reloads_cause_neither_more_requests_than_the_rate_nor_logins(watch: Watch) -> None:
    """Nearly three hundred in a few seconds: limits, tokens and connections belong to the credential."""
    with RawApi() as api:
        api.lists["/token"] = 200, {"token": "t", "expires": time.time() + 1800}
        told = settings(api, [login()] * 3, rate=10.0, interval=60.0)
        watching = watch(told)
        watching.await_ready()
        before, began = len(api.requests), time.monotonic()
        for _ in range(276):
            watching.service.reload(told)
            time.sleep(0.01)
        seconds = time.monotonic() - began
        assert len(api.requests) - before <= 10.0 * seconds + 4
        assert api.count("/token") == 1
        assert watching.service.healthy()


def test_another_api_setting_neither_repeats_logins_nor_forgets_rejections(watch: Watch) -> None:
    """Tokens and rejections belong to the login and its password, and not to the client that each setting makes."""
    with RawApi() as api:
        api.lists["/token"] = 200, {"token": "t", "expires": time.time() + 1800}
        told = settings(api, [login()] * 3, interval=60.0)
        watching = watch(told)
        watching.await_ready()
        for page_size in range(20, 40):
            ended = watching.observed.ended("disks")
            watching.service.reload(replace(told, api=replace(told.api, page_size=page_size)))
            await_true(lambda ended=ended: watching.observed.ended("disks") > ended)  # type: ignore[misc]
        assert api.count("/token") == 1
        api.lists["/token"] = 401, {"error": "no"}
        wrong: list[Credential] = [LoginCredential("me@example.com", FixedSecret(Secret("other"), "x"))] * 3
        for page_size in range(20, 40):
            told = settings(api, wrong, interval=60.0)
            watching.service.reload(replace(told, api=replace(told.api, page_size=page_size)))
            time.sleep(0.1)
        await_true(lambda: watching.observed.polls["1", "disks", "auth"])
        assert 2 <= api.count("/token") <= 3


def test_a_first_response_without_content_after_a_reload_removes_nothing(watch: Watch) -> None:
    """A client that another API setting made has seen no disks; the poller has."""
    with RawApi() as api:
        told = settings(api, [api_key("a-key")])
        watching = watch(told)
        watching.await_ready()
        api.lists["/account/1/disks"] = 204, None
        watching.service.reload(replace(told, api=replace(told.api, page_size=20)))
        await_true(lambda: watching.observed.polls["1", "disks", "incomplete"])
        disks = watching.inventory("1").disks
        assert disks is not None
        assert disks.disks
        await_true(lambda: not watching.inventory("1").disks.disks)  # type: ignore[union-attr]


def test_a_reload_goes_on_with_polls_that_it_does_not_change(watch: Watch) -> None:
    """A poll under way is not broken off, and its account is polled again; another policy begins anew."""
    with RawApi() as api:
        told = settings(api, [api_key("a-key")], interval=60.0)
        watching = watch(told)
        await_true(lambda: watching.observed.ended("disks") == 1)
        api.latency_seconds = 0.5
        watching.service.reload(told)
        time.sleep(0.2)
        watching.service.reload(told)
        await_true(lambda: watching.observed.ended("disks") == 3)
        assert {key[2] for key in watching.observed.polls} == {None}
        watching.service.reload(replace(told, poll=told.poll.model_copy(update={"interval": 30.0})))
        await_true(lambda: watching.inventory("1").intervals["disks"] == 30.0)
        await_true(lambda: watching.observed.ended("disks") >= 4)


def test_a_reload_takes_accounts_and_clients_away(watch: Watch) -> None:
    """What is not configured any more is neither polled nor kept."""
    with RawApi() as api:
        told = settings(api, [api_key("one"), api_key("two")])
        watching = watch(told)
        watching.await_ready()
        watching.service.reload(replace(told, accounts=told.accounts[:1]))
        assert watching.observed.forgotten == ["2"]
        assert len(watching.service._clients._clients) == 1
        seen = api.by_account("disks")["2"]
        time.sleep(1.5)
        assert api.by_account("disks")["2"] == seen
