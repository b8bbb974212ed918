"""Basic auth: who gets in, what it costs, and what an attacker can learn or break."""

from __future__ import annotations

import base64
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from gigas_exporter.clock import SystemClock
from gigas_exporter.secret import Secret
from gigas_exporter.web import Server, load_web_config
from gigas_exporter.web.auth import Authenticator, Verdict
from gigas_exporter.web.turns import Call, party_of
from support.pace import within

ROOM = 128


def _hash(password: bytes, cost: int = 4) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


def _basic(user: bytes, password: bytes, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(user + b':' + password).decode()}"


def _authenticator(cost: int = 4, **passwords: str) -> Authenticator:
    return _new({name: Secret(_hash(word.encode(), cost)) for name, word in passwords.items()})


def _new(users: dict[str, Secret], before: Authenticator | None = None) -> Authenticator:
    return Authenticator(users, SystemClock(), ROOM, before)


def _check(authenticator: Authenticator, authorization: str, party: str = "127.0.0.1") -> Verdict:
    return authenticator.check(authorization, party)


def _config(directory: Path, text: str) -> Any:
    path = directory / "web.yml"
    path.write_text(text)
    return load_web_config(path)


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gigas_exporter.web.access._LOOK_SECONDS", 0.1)


@pytest.mark.parametrize(
    ("authorization", "verdict"),
    [
        (_basic(b"alice", b"wonder:land"), Verdict.GOOD),
        (_basic(b"alice", b"wonder:land", "bAsIc"), Verdict.GOOD),
        (_basic("josé".encode(), "señor".encode()), Verdict.GOOD),
        (_basic("josé".encode("latin-1"), "señor".encode()), Verdict.BAD),
        (_basic(b"alice", b"wonder"), Verdict.BAD),
        (_basic(b"alice", b""), Verdict.BAD),
        (_basic(b"", b"wonder:land"), Verdict.BAD),
        (_basic(b"Alice", b"wonder:land"), Verdict.BAD),
        (_basic(b"mallory", b"wonder:land"), Verdict.BAD),
        (_basic(b"alice", b"wonder:land\0"), Verdict.BAD),
        (_basic(b"alice", b"x" * 73), Verdict.BAD),
        (_basic(b"alice", b"x" * 10_000), Verdict.BAD),
        (_basic(b"mallory", b"x" * 73), Verdict.BAD),
        (_basic(b"long", b"y" * 72), Verdict.GOOD),
        (_basic(b"long", b"y" * 73), Verdict.BAD),
        ("Basic " + base64.b64encode(b"alice").decode(), Verdict.BAD),
        ("Basic !!!!", Verdict.BAD),
        ("Basic \u00e9", Verdict.BAD),
        ("Basic", Verdict.BAD),
        ("Bearer abc", Verdict.BAD),
        ("", Verdict.BAD),
    ],
)
def test_only_the_right_password_is_good(authorization: str, verdict: Verdict) -> None:
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
    assert _check(authenticator, _basic(b"a", b"right")) is Verdict.GOOD
    for user, password in ((b"ar", b"ight"), (b"a" + stored.encode(), b"right"), (b"a", stored.encode() + b"right")):
        assert _check(authenticator, _basic(user, password)) is Verdict.BAD
    assert _check(authenticator, _basic(b"a", b"right")) is Verdict.GOOD


def test_a_good_credential_is_checked_once() -> None:
    """The second time costs no bcrypt, also after hundreds of bad ones."""
    authenticator = _authenticator(cost=10, alice="right")
    _check(authenticator, _basic(b"alice", b"right"))
    fast = _new({"alice": Secret(_hash(b"right"))})
    _check(fast, _basic(b"alice", b"right"))
    for number in range(600):
        _check(fast, _basic(b"alice", b"wrong%d" % number))
    for one in (authenticator, fast):
        taken = []
        for _ in range(5):  # the quickest of five: a busy machine makes single ones slow, and bcrypt would make all so
            begin = time.perf_counter()
            assert _check(one, _basic(b"alice", b"right")) is Verdict.GOOD
            taken.append(time.perf_counter() - begin)
        assert min(taken) < 0.01
    assert len(fast.memory._verdicts[Verdict.GOOD]) == 1
    assert len(fast.memory._verdicts[Verdict.BAD]) <= 256


def test_unknown_users_and_wrong_passwords_cost_the_same() -> None:
    """Also when the users' hashes cost differently, time does not tell who exists."""
    authenticator = _new({"cheap": Secret(_hash(b"a", 5)), "dear": Secret(_hash(b"a", 10))})
    medians = []
    for user in (b"cheap", b"dear", b"nobody"):
        times = []
        for number in range(7):
            begin = time.thread_time()
            assert _check(authenticator, _basic(user, b"guess%d" % number)) is Verdict.BAD
            times.append(time.thread_time() - begin)
        medians.append(statistics.median(times))
    assert max(medians) < 1.5 * min(medians)


def _flood(authenticator: Authenticator, guesses: int, parties: int = 1) -> tuple[list[Verdict], Callable[[], None]]:
    """Guess many passwords at once from some addresses, and return once they all wait: the verdicts, and the end."""
    verdicts: list[Verdict] = []

    def guess(number: int) -> None:
        word = _basic(b"alice", b"guess%d" % number)
        verdicts.append(_check(authenticator, word, f"198.51.100.{number % parties}"))

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(guesses)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 10
    while len(authenticator._turns._waiting) + len(verdicts) < guesses - 1:
        assert time.monotonic() < end
        time.sleep(0.001)

    def join() -> None:
        for thread in threads:
            thread.join(30)

    return verdicts, join


def test_who_is_known_does_not_wait_behind_guesses() -> None:
    """While fifty guesses wait for their checks, a credential that was checked before gets in at once."""
    authenticator = _authenticator(cost=8, alice="right")
    assert _check(authenticator, _basic(b"alice", b"right")) is Verdict.GOOD
    verdicts, join = _flood(authenticator, 50)
    before = len(verdicts)
    assert _check(authenticator, _basic(b"alice", b"right")) is Verdict.GOOD
    assert len(verdicts) - before < 25
    join()
    assert Verdict.GOOD not in verdicts


@pytest.mark.parametrize("parties", [1, 5])
def test_who_is_not_known_yet_waits_for_one_check_of_each_other_address(parties: int) -> None:
    """A flood of guesses, also one that fills the room, makes nobody of another address wait for more than its first.

    exporter-toolkit checks in the order of arrival, without bound: the flood is all served before.
    """
    authenticator = _authenticator(cost=8, alice="right")
    verdicts, join = _flood(authenticator, 3 * ROOM, parties)
    before = len(verdicts)
    assert _check(authenticator, _basic(b"alice", b"right")) is Verdict.GOOD
    assert verdicts[before:].count(Verdict.BAD) <= 4 * (parties + 1)
    join()
    assert len(verdicts) == 3 * ROOM
    assert verdicts.count(Verdict.BUSY) >= ROOM
    assert Verdict.GOOD not in verdicts


def test_of_one_address_who_came_first_is_checked_first() -> None:
    """Behind an address that many share, a good credential waits for the guesses before it, and for no later ones."""
    authenticator = _authenticator(cost=8, alice="right")
    verdicts, join = _flood(authenticator, 40)
    done = threading.Event()

    def go_on() -> None:
        number = 0
        while not done.is_set():
            number += 1
            _check(authenticator, _basic(b"alice", b"later%d" % number), "198.51.100.0")

    later = [threading.Thread(target=go_on) for _ in range(20)]
    good: list[Verdict] = []
    waiting = threading.Thread(
        target=lambda: good.append(_check(authenticator, _basic(b"alice", b"right"), "198.51.100.0"))
    )
    waiting.start()
    for thread in later:
        thread.start()
    waiting.join(10)
    done.set()
    assert good == [Verdict.GOOD]
    join()
    for thread in later:
        thread.join(30)
    assert Verdict.BUSY not in verdicts


def test_no_more_wait_than_can_be_checked_in_time() -> None:
    """With hashes that are dear, those who would wait too long are told at once to come again."""
    authenticator = _authenticator(cost=12, alice="right")
    _check(authenticator, _basic(b"alice", b"wrong"))
    with within(20.0):
        with within(2.0):
            verdicts, join = _flood(authenticator, ROOM)
        assert verdicts.count(Verdict.BUSY) >= ROOM / 2
        join()


def test_a_good_credential_outlives_a_change_of_other_users() -> None:
    """What was checked is not checked again when another user comes, and is forgotten with its own hash."""
    users = {"alice": Secret(_hash(b"right", 10))}
    before = _new(users)
    assert _check(before, _basic(b"alice", b"right")) is Verdict.GOOD
    after = _new({**users, "bob": Secret(_hash(b"builder"))}, before)
    verdicts, join = _flood(after, 20)
    told = len(verdicts)
    assert _check(after, _basic(b"alice", b"right")) is Verdict.GOOD
    assert len(verdicts) - told < 10
    join()
    changed = _new({"alice": Secret(_hash(b"other"))}, after)
    assert _check(changed, _basic(b"alice", b"right")) is Verdict.BAD


@pytest.mark.parametrize(
    ("host", "party"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_party_is_an_address_or_a_network(host: str, party: str) -> None:
    """Who may choose the lower half of an IPv6 address is one party all the same."""
    assert party_of(host) == party


def test_the_same_credential_at_once_is_checked_once() -> None:
    """A hundred first scrapes together are all good, after one check."""
    authenticator = _authenticator(cost=10, alice="right")
    verdicts: list[Verdict] = []
    threads = [
        threading.Thread(target=lambda: verdicts.append(_check(authenticator, _basic(b"alice", b"right"))))
        for _ in range(100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert verdicts == [Verdict.GOOD] * 100


def test_who_waits_too_long_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the checks before it do not end, a request is turned away, also where another asks the same."""
    monkeypatch.setattr("gigas_exporter.web.turns._PATIENCE_SECONDS", 0.1)
    authenticator = _authenticator(alice="right")
    assert authenticator._turns.wait("127.0.0.1", b"something") is Call.TURN
    assert _check(authenticator, _basic(b"alice", b"right")) is Verdict.BUSY
    authenticator._turns.done(b"something")
    assert _check(authenticator, _basic(b"alice", b"right")) is Verdict.GOOD


def test_a_check_that_breaks_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a defect the next is checked as ever."""
    authenticator = _authenticator(alice="right")
    with monkeypatch.context() as patch:
        patch.setattr(bcrypt, "checkpw", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            _check(authenticator, _basic(b"alice", b"right"))
    assert _check(authenticator, _basic(b"alice", b"right")) is Verdict.GOOD


def test_curl_gets_in_with_the_password_only(
    tmp_path: Path, serve: Callable[..., Server], need_tool: Callable[[str], str]
) -> None:
    """A real client is challenged, refused and let in; nothing is told to who is refused."""
    server = serve(None, _config(tmp_path, f"basic_auth_users: {{alice: '{_hash(b'right')}'}}"))
    url = f"http://127.0.0.1:{server.address[1]}/metrics"

    def curl(*arguments: str) -> str:
        command = [need_tool("curl"), "-s", "-i", "--max-time", "10", *arguments, url]
        return subprocess.run(command, capture_output=True, text=True, timeout=15, check=True).stdout

    refusals = [curl(), curl("-u", "alice:wrong"), curl("-u", "mallory:right"), curl("-u", "alice:" + "x" * 100)]
    for refusal in refusals:
        assert refusal.startswith("HTTP/1.1 401 Unauthorized")
        assert 'Www-Authenticate: Basic realm="gigas-exporter", charset="UTF-8"' in refusal
        assert refusal.endswith("Unauthorized\n")
    assert curl("-u", "alice:right").startswith("HTTP/1.1 200 OK")


def test_users_change_at_run_time_but_not_to_none(
    tmp_path: Path, serve: Callable[..., Server], wire: Callable[..., Any], wait_until: Callable[..., None]
) -> None:
    """A password that is replaced ends the old one's days; emptying the list does not open the door."""
    server = serve(None, _config(tmp_path, f"basic_auth_users: {{alice: '{_hash(b'old')}'}}"))
    client = wire(server)

    def status(password: bytes) -> int:
        code = client.ask(headers=f"Authorization: {_basic(b'alice', password)}\r\n").status
        assert isinstance(code, int)
        return code

    assert status(b"old") == 200
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{alice: '{_hash(b'new')}'}}")
    wait_until(lambda: status(b"new") == 200)
    assert status(b"old") == 401
    (tmp_path / "web.yml").write_text("")
    time.sleep(0.3)
    assert client.ask().status == 401
    assert status(b"new") == 200


def test_busy_is_503(
    tmp_path: Path, serve: Callable[..., Server], wire: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is turned away unchecked is told to come again."""
    monkeypatch.setattr(Authenticator, "check", lambda *_: Verdict.BUSY)
    server = serve(None, _config(tmp_path, f"basic_auth_users: {{alice: '{_hash(b'right')}'}}"))
    answer = wire(server).ask()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_the_rate_limit_is_kept(tmp_path: Path, serve: Callable[..., Server], wire: Callable[..., Any]) -> None:
    """A burst is let through, then one request an interval; the limit outlives a change of another setting."""
    server = serve(None, _config(tmp_path, "rate_limit: {interval: 700ms, burst: 3}"))
    client = wire(server)
    assert [client.ask().status for _ in range(5)] == [200, 200, 200, 429, 429]
    time.sleep(0.75)
    assert [client.ask().status for _ in range(2)] == [200, 429]
