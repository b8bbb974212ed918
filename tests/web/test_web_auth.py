"""Basic auth: who gets in, what it costs, and what an attacker can learn or break."""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures.thread
import functools
import statistics
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from gigas_exporter.secret import Secret
from gigas_exporter.web import Request, Response
from gigas_exporter.web.auth import AuthResult, BasicAuthenticator
from gigas_exporter.web.fair_lock import client_key
from gigas_exporter.web.http import text_response
from support.programs import await_true, run_program, tool
from support.timing import within
from web.conftest import Connect, Serve, written

ROOM = 256


def _hash(password: bytes, cost: int = 4) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


_ALICE = f"basic_auth_users: {{alice: '{_hash(b'right')}'}}"


def _basic(user: bytes, password: bytes, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(user + b':' + password).decode()}"


def _authenticator(cost: int = 4, **passwords: str) -> BasicAuthenticator:
    return _new({name: Secret(_hash(word.encode(), cost)) for name, word in passwords.items()})


def _new(users: dict[str, Secret], previous: BasicAuthenticator | None = None) -> BasicAuthenticator:
    return BasicAuthenticator(users, previous=previous)


def _check(authenticator: BasicAuthenticator, authorization: str, client: str = "127.0.0.1") -> AuthResult:
    """Check where nothing else is checked."""
    return asyncio.run(authenticator.check(authorization, client))


@pytest.mark.parametrize(
    ("authorization", "verdict"),
    [
        (_basic(b"alice", b"wonder:land"), AuthResult.OK),
        (_basic(b"alice", b"wonder:land", "bAsIc"), AuthResult.OK),
        (_basic("josé".encode(), "señor".encode()), AuthResult.OK),
        (_basic("josé".encode("latin-1"), "señor".encode()), AuthResult.DENIED),
        (_basic(b"alice", b"wonder"), AuthResult.DENIED),
        (_basic(b"alice", b""), AuthResult.DENIED),
        (_basic(b"", b"wonder:land"), AuthResult.DENIED),
        (_basic(b"Alice", b"wonder:land"), AuthResult.DENIED),
        (_basic(b"mallory", b"wonder:land"), AuthResult.DENIED),
        (_basic(b"alice", b"wonder:land\0"), AuthResult.DENIED),
        (_basic(b"alice", b"x" * 73), AuthResult.DENIED),
        (_basic(b"alice", b"x" * 10_000), AuthResult.DENIED),
        (_basic(b"mallory", b"x" * 73), AuthResult.DENIED),
        (_basic(b"long", b"y" * 72), AuthResult.OK),
        (_basic(b"long", b"y" * 71), AuthResult.DENIED),
        (_basic(b"long", b"y" * 73), AuthResult.OK),  # as in Go, whose bcrypt uses the first 72 bytes
        (_basic(b"long", b"y" * 72 + b"\0"), AuthResult.DENIED),
        ("Basic " + base64.b64encode(b"alice").decode(), AuthResult.DENIED),
        (
            f"{_basic(b'alice', b'wonder:land')}, {_basic(b'alice', b'wonder:land')}",
            AuthResult.DENIED,
        ),  # a repeated header
        ("Basic !!!!", AuthResult.DENIED),
        ("Basic \u00e9", AuthResult.DENIED),
        ("Basic", AuthResult.DENIED),
        (_basic(b"alice", b"wonder:land", "Bearer"), AuthResult.DENIED),
        ("", AuthResult.DENIED),
    ],
)
def test_only_the_right_password_is_good(authorization: str, verdict: AuthResult) -> None:
    """Whatever else comes is bad, without an exception, the first time and again."""
    authenticator = _authenticator(alice="wonder:land", josé="señor", long="y" * 72)
    assert _check(authenticator, authorization) is verdict
    assert _check(authenticator, authorization) is verdict


def test_what_is_remembered_cannot_be_forged() -> None:
    """Credentials whose parts read the same when written one after another are not taken for each other.

    exporter-toolkit's CVE-2022-46146: a cache key without separators let a wrong password be found as a right one.
    """
    stored = _hash(b"right")
    authenticator = _new({"a": Secret(stored)})
    assert _check(authenticator, _basic(b"a", b"right")) is AuthResult.OK
    for user, password in ((b"ar", b"ight"), (b"a" + stored.encode(), b"right"), (b"a", stored.encode() + b"right")):
        assert _check(authenticator, _basic(user, password)) is AuthResult.DENIED
    assert _check(authenticator, _basic(b"a", b"right")) is AuthResult.OK


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The passwords that bcrypt was given."""
    given: list[bytes] = []
    check = bcrypt.checkpw

    def checked(password: bytes, stored: bytes) -> bool:
        given.append(password)
        return check(password, stored)

    monkeypatch.setattr(bcrypt, "checkpw", checked)
    return given


def test_a_good_credential_is_checked_once(checks: list[bytes]) -> None:
    """The second time costs no bcrypt, also after hundreds of bad ones."""
    authenticator = _authenticator(alice="right")
    for _ in range(2):
        assert _check(authenticator, _basic(b"alice", b"right")) is AuthResult.OK
    for number in range(600):
        _check(authenticator, _basic(b"alice", b"wrong%d" % number))
    assert _check(authenticator, _basic(b"alice", b"right")) is AuthResult.OK
    assert checks.count(b"right") == 1
    assert len(authenticator.cache._results[AuthResult.OK]) == 1
    assert len(authenticator.cache._results[AuthResult.DENIED]) <= 256


def test_unknown_users_and_wrong_passwords_cost_the_same() -> None:
    """Also when the users' hashes cost differently, time does not tell who exists."""
    authenticator = _new({"cheap": Secret(_hash(b"a", 5)), "dear": Secret(_hash(b"a", 10))})
    medians = []
    for user in (b"cheap", b"dear", b"nobody"):
        times = []
        for number in range(7):
            begin = time.thread_time()
            assert _check(authenticator, _basic(user, b"guess%d" % number)) is AuthResult.DENIED
            times.append(time.thread_time() - begin)
        medians.append(statistics.median(times))
    assert max(medians) < 1.5 * min(medians)


async def _flood(
    authenticator: BasicAuthenticator, guesses: int, clients: int = 1
) -> tuple[list[AuthResult], list[asyncio.Task[None]]]:
    """Guess many passwords at once from some addresses; return the results, which grow, once the others wait."""
    results: list[AuthResult] = []

    async def guess(number: int) -> None:
        word = _basic(b"alice", b"guess%d" % number)
        results.append(await authenticator.check(word, f"198.51.100.{number % clients}"))

    tasks = [asyncio.create_task(guess(number)) for number in range(guesses)]
    while authenticator.lock._waiting + len(results) < guesses:  # noqa: ASYNC110  (nothing tells of it)
        await asyncio.sleep(0.001)
    return results, tasks


async def _answered_before(authenticator: BasicAuthenticator, guesses: int, client: str = "127.0.0.1") -> int:
    """Return how many of some guesses, of which none is right, are answered before a good credential."""
    results, tasks = await _flood(authenticator, guesses)
    before = len(results)
    assert await authenticator.check(_basic(b"alice", b"right"), client) is AuthResult.OK
    answered = len(results) - before
    await asyncio.gather(*tasks)
    assert AuthResult.OK not in results
    return answered


def _in_event_loop(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine, within a minute."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        with within(60.0):
            asyncio.run(test(**fixtures))

    return run


@pytest.mark.parametrize("client", ["127.0.0.1", "198.51.100.0"])
@_in_event_loop
async def test_a_cached_credential_does_not_wait_behind_guesses(client: str) -> None:
    """While fifty guesses wait for their checks, one that was checked before gets in at once, from any address."""
    authenticator = _authenticator(cost=8, alice="right")
    assert await authenticator.check(_basic(b"alice", b"right"), "127.0.0.1") is AuthResult.OK
    assert await _answered_before(authenticator, 50, client) < 25


@pytest.mark.parametrize("clients", [1, 5])
@_in_event_loop
async def test_a_new_credential_waits_for_one_check_of_each_other_address(clients: int) -> None:
    """A flood of guesses, also one that fills the queue, makes no other address wait for more than its first.

    exporter-toolkit checks in the order of arrival, without bound: the flood is all served before.
    """
    authenticator = _authenticator(cost=8, alice="right")
    results, tasks = await _flood(authenticator, 3 * ROOM, clients)
    before = len(results)
    assert await authenticator.check(_basic(b"alice", b"right"), "127.0.0.1") is AuthResult.OK
    assert results[before:].count(AuthResult.DENIED) <= 2 * (clients + 1)
    await asyncio.gather(*tasks)
    assert len(results) == 3 * ROOM
    assert results.count(AuthResult.BUSY) >= ROOM
    assert AuthResult.OK not in results


@_in_event_loop
async def test_checks_of_one_address_are_done_in_order_of_arrival() -> None:
    """Behind an address that many share, a good credential waits for the guesses before it, and for no later ones."""
    authenticator = _authenticator(cost=8, alice="right")
    results, tasks = await _flood(authenticator, 40)
    good = asyncio.create_task(authenticator.check(_basic(b"alice", b"right"), "198.51.100.0"))
    await asyncio.sleep(0)
    later = [
        asyncio.create_task(authenticator.check(_basic(b"alice", b"later%d" % number), "198.51.100.0"))
        for number in range(60)
    ]
    assert await good is AuthResult.OK
    assert not any(task.done() for task in later)
    await asyncio.gather(*tasks, *later)
    assert AuthResult.BUSY not in results


@_in_event_loop
async def test_nobody_waits_longer_than_a_scrape_may() -> None:
    """With hashes that are dear, requests that would wait too long are told in time to come again."""
    authenticator = _authenticator(cost=12, alice="right")
    results, tasks = await _flood(authenticator, ROOM)
    with within(10.0):
        await asyncio.gather(*tasks)
    assert results.count(AuthResult.BUSY) >= ROOM / 2


@_in_event_loop
async def test_a_check_that_waits_too_long_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the checks before it do not end, a request is turned away."""
    monkeypatch.setattr("gigas_exporter.web.fair_lock._TIMEOUT_SECONDS", 0.1)
    authenticator = _authenticator(alice="right")
    async with authenticator.lock.hold("192.0.2.1"):
        assert await authenticator.check(_basic(b"alice", b"right"), "127.0.0.1") is AuthResult.BUSY
    assert await authenticator.check(_basic(b"alice", b"right"), "127.0.0.1") is AuthResult.OK


@_in_event_loop
async def test_a_good_credential_outlives_a_change_of_other_users() -> None:
    """What was checked is not checked again when another user comes, and is dropped with its own hash."""
    users = {"alice": Secret(_hash(b"right", 10))}
    before = _new(users)
    after = _new({**users, "bob": Secret(_hash(b"builder"))}, before)
    assert await before.check(_basic(b"alice", b"right"), "127.0.0.1") is AuthResult.OK
    assert await _answered_before(after, 20) < 10
    changed = _new({"alice": Secret(_hash(b"other"))}, after)
    assert await changed.check(_basic(b"alice", b"right"), "127.0.0.1") is AuthResult.DENIED


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_client_is_an_address_or_a_network(host: str, key: str) -> None:
    """Whoever may choose the lower half of an IPv6 address is one client all the same."""
    assert client_key(host) == key


@_in_event_loop
async def test_the_same_credential_at_once_is_checked_once(checks: list[bytes]) -> None:
    """A hundred first scrapes together are all good, after one check."""
    authenticator = _authenticator(cost=10, alice="right")
    scrapes = [authenticator.check(_basic(b"alice", b"right"), f"192.0.2.{number}") for number in range(100)]
    assert await asyncio.gather(*scrapes) == [AuthResult.OK] * 100
    assert checks == [b"right"]


def test_a_check_that_breaks_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a defect the next is checked as ever."""
    authenticator = _authenticator(alice="right")
    with monkeypatch.context() as patch:
        patch.setattr(bcrypt, "checkpw", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            _check(authenticator, _basic(b"alice", b"right"))
    assert _check(authenticator, _basic(b"alice", b"right")) is AuthResult.OK


def test_curl_gets_in_with_the_password_only(tmp_path: Path, serve: Serve) -> None:
    """A real client is challenged, refused and let in; nothing is told to who is refused."""
    server = serve(None, written(tmp_path, _ALICE))
    url = f"http://127.0.0.1:{server.address[1]}/metrics"

    def curl(*arguments: str) -> str:
        command = [tool("curl"), "-s", "-i", "--max-time", "10", *arguments, url]
        return run_program(*command).stdout

    refusals = [curl(), curl("-u", "alice:wrong"), curl("-u", "mallory:right"), curl("-u", "alice:" + "x" * 100)]
    for refusal in refusals:
        assert refusal.startswith("HTTP/1.1 401 Unauthorized")
        assert 'Www-Authenticate: Basic realm="gigas-exporter", charset="UTF-8"' in refusal
        assert refusal.endswith("Unauthorized\n")
    assert curl("-u", "alice:right").startswith("HTTP/1.1 200 OK")


def test_no_check_runs_when_the_interpreter_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, connect: Connect
) -> None:
    """The interpreter waits for threads of executors; native code in others would abort the process while it ends."""
    checking: list[threading.Thread] = []

    def check(password: bytes, stored: bytes) -> bool:
        checking.append(threading.current_thread())
        return False

    monkeypatch.setattr(bcrypt, "checkpw", check)
    assert (
        connect(None, written(tmp_path, _ALICE)).ask(headers=f"Authorization: {_basic(b'alice', b'right')}\r\n").status
        == 401
    )
    assert [each in concurrent.futures.thread._threads_queues for each in checking] == [True]


def test_users_change_at_run_time_but_not_to_none(tmp_path: Path, connect: Connect) -> None:
    """A password that is replaced ends the old one's days; emptying the list does not open the door."""
    client = connect(None, written(tmp_path, f"basic_auth_users: {{alice: '{_hash(b'old')}'}}"))

    def status(password: bytes) -> int:
        return client.ask(headers=f"Authorization: {_basic(b'alice', password)}\r\n").status

    assert status(b"old") == 200
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{alice: '{_hash(b'new')}'}}")
    await_true(lambda: status(b"new") == 200)
    assert status(b"old") == 401
    (tmp_path / "web.yml").write_text("")
    time.sleep(0.3)
    assert client.ask().status == 401
    assert status(b"new") == 200


def test_busy_is_503(tmp_path: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is turned away unchecked is told to come again."""

    async def check(*_: object) -> AuthResult:
        return AuthResult.BUSY

    monkeypatch.setattr(BasicAuthenticator, "check", check)
    answer = connect(None, written(tmp_path, _ALICE)).ask()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_the_rate_limit_is_kept(tmp_path: Path, connect: Connect) -> None:
    """A burst is let through, then one request an interval; the limit outlives a change of another setting."""
    client = connect(None, written(tmp_path, "rate_limit: {interval: 2s, burst: 3}"))
    assert [client.ask().status for _ in range(5)] == [200, 200, 200, 429, 429]
    time.sleep(2.05)
    assert [client.ask().status for _ in range(2)] == [200, 429]


def test_a_burst_of_none_allows_no_request(tmp_path: Path, connect: Connect) -> None:
    """As in exporter-toolkit, where a limiter without a burst lets nothing through."""
    client = connect(None, written(tmp_path, "rate_limit: {interval: 1ms, burst: 0}"))
    time.sleep(0.05)
    assert [client.ask().status for _ in range(3)] == [429] * 3


@pytest.mark.parametrize("ready", ["ready", "account 4242: no disk list yet"])
def test_probes_need_no_credentials(tmp_path: Path, connect: Connect, ready: str) -> None:
    """Health and readiness answer GET and HEAD without credentials or rate limit, and name no account."""

    def handler(request: Request) -> Response:
        text = ready if request.path == "/-/ready" else "healthy"
        return text_response(200 if text in {"ready", "healthy"} else 503, text)

    users = f"basic_auth_users: {{alice: '{_hash(b'right')}'}}\nrate_limit: {{interval: 1h, burst: 1}}"
    client = connect(handler, written(tmp_path, users))
    for _ in range(3):
        for method in ("GET", "HEAD"):
            assert client.ask("/-/healthy", method=method).status == 200
            assert client.ask("/-/ready", method=method).status == (200 if ready == "ready" else 503)
    assert client.ask("/-/ready").body == (b"ready\n" if ready == "ready" else b"not ready\n")
    assert client.ask("/-/healthy", method="POST").status == 401
    assert client.ask("/-/healthy/").status == 429
    assert client.ask("/metrics").status == 429


def test_without_users_ready_gives_its_reason(tmp_path: Path, serve: Serve, wire: Connect) -> None:
    """Where everybody may read the metrics, the reason is no secret."""
    server = serve(lambda _: text_response(503, "account 4242: no disk list yet"), written(tmp_path, ""))
    assert wire(server).ask("/-/ready").body == b"account 4242: no disk list yet\n"
