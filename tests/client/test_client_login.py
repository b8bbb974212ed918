"""Logins: what is sent, when a token is renewed, and how those that are rejected wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from client.conftest import DISK, secret
from gigas_exporter.clock import Deadline
from gigas_exporter.errors import ApiError, AuthError, DecodeError, GigasError, TransportError
from gigas_exporter.gigas import LoginCredential, LoginStates, ReadClient, SecretFile, TokenCredential
from gigas_exporter.secret import Secret
from support.scripted_api import Seen, Wire
from support.timing import ShiftedClock

PASSWORD = "canary-password"


class LoginApi:
    """A script with logins by JSON and by a form, whose tokens are t1, t2, ...

    Attributes:
        password: The only one that is accepted.
        rejection: Status and body for any other.
        replies: What the next logins get instead of either.
        more: What else comes with a token.
        valid: Which headers are accepted: that of the last token, unless a test has it otherwise.
        logins: The bodies of all logins.
        tokens: How many were given.
    """

    def __init__(self) -> None:
        self.password = "right"
        self.rejection: tuple[int, Any] = 401, b""
        self.replies: list[tuple[int, Any]] = []
        self.more: dict[str, Any] = {}
        self.valid: Callable[[str | None], bool] = lambda header: header == f"t{self.tokens}"
        self.logins: list[dict[str, Any]] = []
        self.tokens = 0
        self._lock = threading.Lock()

    def __call__(self, seen: Seen, wire: Wire) -> None:
        if seen.path not in {"/token", "/auth/api/openid-connect/token"}:
            wire.reply(200 if self.valid(seen.authorization) else 401, DISK)
            return
        is_form = seen.headers["content-type"] == "application/x-www-form-urlencoded"
        with self._lock:
            self.logins.append(dict(parse_qsl(seen.body.decode())) if is_form else seen.json)
            if self.replies:
                wire.reply(*self.replies.pop(0))
            elif self.logins[-1]["password"] == self.password:
                self.tokens += 1
                wire.reply(200, {"access_token" if is_form else "token": f"t{self.tokens}", **self.more})
            else:
                wire.reply(*self.rejection)


@pytest.fixture
def door() -> LoginApi:
    """An API with logins."""
    return LoginApi()


def nobody(header: str | None) -> bool:
    """Accept no header."""
    return False


def login_with(password: str | Path) -> LoginCredential:
    """Log in with a password, or with what a file holds."""
    return LoginCredential("me", SecretFile(password) if isinstance(password, Path) else secret(password))


def fails(client: ReadClient, error: type[GigasError], words: str | None = None, **arguments: Any) -> str:
    """Return the words of a request that must fail."""
    with pytest.raises(error, match=words) as caught:
        client.get_disk("1", "2", **arguments)
    return str(caught.value)


def blocked_until(client: Any) -> Any:
    """Return how long logins are blocked."""
    return client._session.auth._state.blocked_until


@pytest.mark.parametrize("is_writing", [False, True])
def test_a_login_gives_the_token_that_is_sent(api: Any, door: LoginApi, *, is_writing: bool) -> None:
    """One login serves all requests, asks for a token that can change nothing unless the client can, and is told."""
    door.more = {"expires": "4102444700"}
    server = api(door)
    client = (api.writing if is_writing else api.client)(server, login_with("right"))
    for _ in range(3):
        client.get_disk("1", "2")
    assert door.logins == [{"login": "me", "password": "right"} | ({} if is_writing else {"readonly": True})]
    assert server.seen[0].authorization is None
    assert server.seen[0].headers["content-type"] == "application/json"
    assert [seen.authorization for seen in server.seen[1:]] == ["t1"] * 3
    assert api.ledger.tokens == [4102444700.0]
    assert api.ledger.requests == [("create_token", "200")] + [("get_disk", "200")] * 3


@pytest.mark.parametrize("status", [400, 422])
def test_an_api_that_does_not_know_readonly_is_asked_without(api: Any, door: LoginApi, status: int) -> None:
    """And from then on always."""
    door.replies = [(status, b"")]
    client = api.client(door, login_with("right"))
    client.get_disk("1", "2")
    door.valid = lambda header: header == "t2"
    client.get_disk("1", "2")
    assert ["readonly" in body for body in door.logins] == [True, False, False]


def test_logs_in_by_openid_connect(api: Any, clock: Any, door: LoginApi) -> None:
    """A form instead of JSON, a life in seconds instead of a date, and always Bearer."""
    door.valid = lambda header: header == f"Bearer t{door.tokens}"
    door.more = {"expires_in": 300, "refresh_token": "canary"}
    server = api(door)
    client = api.client(server, login_with("right"), clock=clock, login="oidc")
    for moved in (0, 239, 2):
        clock.now += moved
        client.get_disk("1", "2")
    assert (
        door.logins == [{"grant_type": "password", "client_id": "external", "username": "me", "password": "right"}] * 2
    )
    assert api.ledger.tokens[0] == clock.now - 241 + 300
    assert {seen.authorization for seen in server.seen} == {None, "Bearer t1", "Bearer t2"}


@pytest.mark.parametrize("wall_only", [False, True])
def test_a_token_is_renewed_at_four_fifths_of_its_life(
    api: Any, clock: Any, door: LoginApi, *, wall_only: bool
) -> None:
    """By whichever clock says so first."""
    door.more = {"expires": clock.wall() + 1000}
    client = api.client(door, login_with("right"), clock=clock)
    for seconds, logins in ((0, 1), (790, 1), (20, 2)):
        if wall_only:
            clock.wall_offset += seconds
        else:
            clock.now += seconds
        client.get_disk("1", "2")
        assert len(door.logins) == logins


@pytest.mark.parametrize("expires", ["soon", None, 5, "1369241120", [], 4102444700])
def test_an_expiry_that_makes_no_sense_is_replaced_by_the_documented_life(
    api: Any, clock: Any, door: LoginApi, expires: Any
) -> None:
    """Half an hour, whatever the server's clock says."""
    door.more = {"expires": expires}
    client = api.client(door, login_with("right"), clock=clock)
    for minutes, logins in ((0, 1), (23, 1), (2, 2)):
        clock.now += minutes * 60
        client.get_disk("1", "2")
        assert len(door.logins) == logins


@pytest.mark.parametrize("life", [0.01, 1, 30])
def test_a_short_life_makes_no_login_a_request(api: Any, clock: Any, door: LoginApi, life: float) -> None:
    """A token is used for most of a minute at least, unless the API rejects it."""
    client = api.client(door, login_with("right"), clock=clock)
    for _ in range(60):
        door.more = {"expires": clock.wall() + life}
        client.get_disk("1", "2")
        clock.now += 1
    assert len(door.logins) == 2


def test_callers_that_were_refused_together_share_one_renewal(api: Any, door: LoginApi) -> None:
    """Eight requests meet a token that ended early; one login serves them all, and is no retry."""
    together = threading.Barrier(8)

    def script(seen: Seen, wire: Wire) -> None:
        if "/m" in seen.path and seen.authorization == "t1":
            together.wait(5)
        door(seen, wire)

    client = api.client(script, login_with("right"), max_concurrency=8)
    client.get_disk("1", "first")
    door.valid = lambda header: header == "t2"
    with ThreadPoolExecutor(8) as executor:
        found = list(executor.map(lambda number: client.get_disk("1", f"m{number}").id, range(8)))
    assert found == ["2"] * 8
    assert len(door.logins) == 2
    assert api.ledger.retries == []


def test_a_user_that_is_refused_with_any_token_is_an_auth_failure(api: Any, clock: Any, door: LoginApi) -> None:
    """One renewal, however many accounts and requests there are; another one when half of the wait is over."""
    door.valid = nobody
    client = api.client(door, login_with("right"), clock=clock, login_retry_seconds=60.0)
    deadline, words = Deadline(clock, 30), "get_disk: the API does not accept the credential"
    for _ in range(5):
        fails(client, AuthError, words, deadline=deadline)
    for moved, logins in ((0, 2), (1, 2), (28, 2), (2, 3), (1, 3)):
        clock.now += moved
        fails(client, AuthError, words, deadline=Deadline(clock, 30))
        assert len(door.logins) == logins


REFUSALS: dict[str, list[tuple[int, Any]]] = {
    "down": [(503, b"")] * 3,
    "refused": [(401, b"")],
    "forbidden": [(403, b"")],
    "bad request": [(400, b"")] * 2,
    "not there": [(404, b"<html>")],
    "a page": [(200, b"<html>")],
    "no token": [(200, {"token": ""})],
}
_SAID = {
    **dict.fromkeys(("down", "no password"), "Cannot renew a token that is still in use"),
    **dict.fromkeys(("refused", "forbidden", "bad request"), "Login rejected; it waits before it is sent again"),
    **dict.fromkeys(("not there", "a page", "no token"), "Login failed; it waits before it is sent again"),
}


@pytest.mark.parametrize("how", [*REFUSALS, "no password"])
def test_a_renewal_that_fails_leaves_the_token_that_still_lives(
    api: Any, clock: Any, door: LoginApi, *, secret_file: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """Whatever a login meets does not stop polls while the old token works; it is said once, and so is its end."""
    door.more, door.password = {"expires": clock.wall() + 1000}, PASSWORD
    door.valid = {"t1", "t2"}.__contains__
    secret_file.write_text(PASSWORD)
    client = api.client(door, login_with(secret_file), clock=clock)
    client.get_disk("1", "2")
    caplog.set_level("INFO")
    for at in (850, 60):
        clock.now += at
        if how == "no password":
            secret_file.unlink(missing_ok=True)
        else:
            door.replies = [*REFUSALS[how]]
        for _ in range(3):
            assert client.get_disk("1", "2").id == "2"
        assert door.replies == []
    assert caplog.messages == [_SAID[how]]
    secret_file.write_text(PASSWORD)
    clock.now += 130
    client.get_disk("1", "2")
    assert door.tokens == 2
    assert caplog.messages[1:] == ["Tokens can be renewed again"]
    assert PASSWORD not in caplog.text


def test_a_token_that_ends_while_it_cannot_be_renewed_is_an_auth_failure(api: Any, clock: Any, door: LoginApi) -> None:
    """The refusal of the login is what is told then, after one login in a piece of work; the next login heals it."""
    door.more = {"expires": clock.wall() + 1000}
    client = api.client(door, login_with("right"), clock=clock)
    client.get_disk("1", "2")
    door.valid = lambda header: header == "t2"
    door.replies = [(401, b"")] * 2
    for seconds, logins in ((850, 2), (60, 3)):
        clock.now += seconds
        fails(client, AuthError, "refused the login")
        assert len(door.logins) == logins
    clock.now += 120
    assert client.get_disk("1", "2").id == "2"


def test_a_renewal_that_hangs_leaves_time_for_the_request(api: Any, door: LoginApi) -> None:
    """Of a piece of work it takes a half, and the old token does the rest."""
    clock, hanging = ShiftedClock(), threading.Event()
    door.more = {"expires": clock.wall() + 100}

    def script(seen: Seen, wire: Wire) -> None:
        if seen.path == "/token" and hanging.is_set():
            wire.hang()
        else:
            door(seen, wire)

    client = api.client(script, login_with("right"), timeout_seconds=30.0, clock=clock)
    client.get_disk("1", "2")
    hanging.set()
    clock.ahead = 81.0
    began = time.monotonic()
    assert client.get_disk("1", "2", deadline=Deadline(clock, 4.0)).id == "2"
    assert time.monotonic() - began > 1.9


def test_a_password_that_was_rotated_is_read_again_after_a_403(api: Any, door: LoginApi, secret_file: Path) -> None:
    """A 403 leads to no login unless the password is another one."""

    def script(seen: Seen, wire: Wire) -> None:
        if seen.authorization == "t1":
            wire.reply(403, b"")
        else:
            door(seen, wire)

    door.password = "old"
    client = api.client(script, login_with(secret_file))
    fails(client, ApiError, "403")
    assert len(door.logins) == 1
    door.password = "new"
    secret_file.write_text("new")
    assert client.get_disk("1", "2").id == "2"
    assert len(door.logins) == 2


@pytest.mark.parametrize(
    ("flow", "status"), [*(("token", status) for status in (401, 403, 400, 422, 409, 423)), ("oidc", 400)]
)
def test_a_rejected_login_waits_ever_longer(
    api: Any, clock: Any, door: LoginApi, *, secret_file: Path, flow: str, status: int
) -> None:
    """From one interval, doubling, up to an hour; meanwhile each request fails with the same sentence."""
    door.rejection = status, b""
    server = api(door)
    client = api.client(server, login_with(secret_file), clock=clock, login_retry_seconds=30.0, login=flow)
    sent, messages, waits = 0, set(), []
    began = clock.now
    while clock.now < began + 6 * 3600:
        messages.add(fails(client, AuthError, deadline=Deadline(clock, 30)))
        if len(door.logins) > sent:
            sent = len(door.logins)
            waits.append(round(blocked_until(client) - clock.now))
        clock.now += 30
    assert waits[:9] == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    refusal = f"the API refused the login (status {status}, {server.url.removeprefix('http://')})"
    assert messages == {f"{refusal}: check the login, or the password in secret file {secret_file}"}
    assert set(api.ledger.blocked) == {True}


def test_another_password_ends_the_wait(api: Any, clock: Any, door: LoginApi, secret_file: Path) -> None:
    """The file is read again for each request, in one piece of work too; the login that succeeds ends the block."""
    client = api.client(door, login_with(secret_file), clock=clock)
    deadline = Deadline(clock, 30)
    for text, logins in (("wrong", 1), ("wrong", 1), ("also wrong", 2), ("also wrong", 2)):
        secret_file.write_text(text)
        fails(client, AuthError, deadline=deadline)
        assert len(door.logins) == logins
    secret_file.write_text("right")
    assert client.get_disk("1", "2", deadline=deadline).id == "2"
    assert blocked_until(client) is None
    assert api.ledger.blocked == [True, False]


def test_a_password_that_was_accepted_waits_ten_minutes_at_most(api: Any, clock: Any, door: LoginApi) -> None:
    """An API may reject for a while what is right."""
    client = api.client(door, login_with("right"), clock=clock)
    client.get_disk("1", "2")
    valid, door.password, door.valid = door.valid, "another", nobody
    for _ in range(300):
        fails(client, AuthError)
        clock.now += 60
    assert blocked_until(client) is not None
    assert 30 <= len(door.logins) <= 40
    door.password, door.valid = "right", valid
    clock.now += 600
    assert client.get_disk("1", "2").id == "2"


NO_TOKENS = (None, 5, "", "a\nb", "ñ")
NO_BODIES: tuple[Any, ...] = ({}, [], "t", None, b"", b"<html>", b'{"tok')


@pytest.mark.parametrize(
    ("flow", "body"),
    [
        *(("token", {"token": token}) for token in NO_TOKENS),
        *(("token", body) for body in NO_BODIES),
        *(("oidc", {"access_token": token}) for token in NO_TOKENS),
    ],
)
def test_a_login_answered_without_a_usable_token_waits(
    api: Any, clock: Any, door: LoginApi, flow: str, body: Any
) -> None:
    """What is no token never gets into a header, and may be a rejection, which is why the wait grows."""
    door.rejection = 200, body
    client = api.client(door, login_with("wrong"), clock=clock, login=flow)
    messages = set()
    for _ in range(30):
        messages.add(fails(client, DecodeError, "the response to the login|the response to create_token"))
        clock.now += 60
    assert len(messages) == 1
    assert len(door.logins) == 5


def test_a_page_for_a_password_that_was_accepted_delays_it_half_an_interval(
    api: Any, clock: Any, door: LoginApi
) -> None:
    """It may be of a deployment, and the data must be fresh soon after."""
    client = api.client(door, login_with("right"), clock=clock)
    assert client.get_disk("1", "2").id == "2"
    valid, door.valid = door.valid, nobody
    door.password, door.rejection = "wrong", (200, b"<html>maintenance</html>")
    for _ in range(20):
        fails(client, DecodeError)
        clock.now += 30
    assert len(door.logins) == 21
    door.valid, door.password = valid, "right"
    assert client.get_disk("1", "2").id == "2"


@pytest.mark.parametrize("status", [301, 404, 405, 415])
def test_a_login_that_is_not_there_is_sent_twice_an_interval_for_all(
    api: Any, clock: Any, door: LoginApi, status: int
) -> None:
    """Nothing was said about the password, and an API that is being deployed is back within an interval."""
    door.rejection = status, b""
    client = api.client(door, login_with("wrong"), clock=clock)
    messages = set()
    for _ in range(60):
        messages.add(fails(client, ApiError, "create_token"))
        clock.now += 10
    assert len(messages) == 1
    assert len(door.logins) == 20
    door.password = "wrong"
    clock.now += 20
    assert client.get_disk("1", "2").id == "2"
    assert blocked_until(client) is None


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_login_that_fails_otherwise_does_not_wait(api: Any, clock: Any, door: LoginApi, status: int) -> None:
    """Nothing was said about the password: it is tried three times, which the request does not multiply."""
    door.rejection = status, b""
    client = api.client(door, login_with("wrong"), clock=clock)
    fails(client, ApiError, f"create_token: the API answered {status}")
    assert api.ledger.requests == [("create_token", str(status))] * 3
    assert api.ledger.retries == ["create_token"] * 2
    assert blocked_until(client) is None
    door.password = "wrong"
    assert client.get_disk("1", "2").id == "2"


def test_a_rejected_token_is_not_sent_again_while_logins_fail(api: Any, clock: Any, door: LoginApi) -> None:
    """What fails is the login; the old token would make the failure look like a wrong password."""
    server = api(door)
    client = api.client(server, login_with("right"), clock=clock)
    assert client.get_disk("1", "2").id == "2"
    door.valid, door.password, door.rejection = nobody, "wrong", (500, b"")
    server.seen.clear()
    for _ in range(2):
        fails(client, ApiError, "create_token")
    assert [seen.path for seen in server.seen if seen.path != "/token"] == ["/account/1/disk/2"]


def test_the_same_password_in_many_places_is_one_login(api: Any, tmp_path: Path, door: LoginApi) -> None:
    """Twenty clients whose files hold the same password share its token and its rejection; another is another's."""
    states, server = LoginStates(), api(door)
    files = [tmp_path / f"password{number}" for number in range(20)]
    for file in files:
        file.write_text("wrong\n" if file.name.endswith("1") else "wrong")
    everyone = [api.client(server, login_with(file), login_states=states) for file in files]

    def poll(client: ReadClient) -> bool:
        with suppress(AuthError):
            return client.get_disk("1", "2").id == "2"
        return False

    def poll_all() -> list[bool]:
        with ThreadPoolExecutor(20) as executor:
            return list(executor.map(poll, everyone))

    assert not any(poll_all())
    assert len(door.logins) == 1
    files[3].write_text("right")
    assert poll_all() == [number == 3 for number in range(20)]
    assert len(door.logins) == 2
    for file in files:
        file.write_text("right")
    assert all(poll_all())
    assert len(door.logins) == 2


def test_clients_take_a_token_over_that_replaces_a_rejected_one(api: Any, door: LoginApi) -> None:
    """One of them logs in again, the others use what it got, in the form that was accepted."""
    states, server = LoginStates(), api(door)
    door.valid = {"Bearer t1"}.__contains__
    one, other = (api.client(server, login_with("right"), login_states=states) for _ in range(2))
    assert one.get_disk("1", "2").id == other.get_disk("1", "2").id == "2"
    assert [seen.authorization for seen in server.seen if seen.authorization] == ["t1", "Bearer t1", "Bearer t1"]
    assert len(door.logins) == 1


def test_a_reload_ends_the_wait_once_a_minute(api: Any, clock: Any, door: LoginApi) -> None:
    """However many reloads there are; the wait goes on doubling."""
    client = api.client(door, login_with("wrong"), clock=clock, login_retry_seconds=1000.0)
    for _ in range(240):
        fails(client, AuthError)
        client.reload_credential()
        clock.now += 0.5
    assert len(door.logins) == 3
    assert blocked_until(client) > clock.now + 1000


def test_reloads_keep_the_token(api: Any, door: LoginApi, secret_file: Path) -> None:
    """While the password is the same there is nothing to log in for."""
    client = api.client(door, login_with(secret_file))
    for password, times in (("right", 5), ("new", 1)):
        door.password = password
        secret_file.write_text(password)
        for _ in range(times):
            client.get_disk("1", "2")
            client.reload_credential()
    assert len(door.logins) == 2


@pytest.mark.parametrize("kind", ["login", "token"])
def test_a_fresh_token_is_tried_with_both_schemes(api: Any, door: LoginApi, kind: str) -> None:
    """What worked is remembered, also for the next token."""
    door.valid = {"Bearer t1"}.__contains__
    server = api(door)
    client = api.client(server, login_with("right") if kind == "login" else TokenCredential(secret("t1")))
    for _ in range(3):
        assert client.get_disk("1", "2").id == "2"
    assert [seen.authorization for seen in server.seen if seen.authorization] == ["t1", *["Bearer t1"] * 3]
    assert len(door.logins) == (1 if kind == "login" else 0)


def test_a_second_token_is_sent_raw_first(api: Any, door: LoginApi) -> None:
    """As documented. A request is sent twice at most, so that the other order would fail one request more."""
    door.valid = "t2".__eq__
    server = api(door)
    client = api.client(server, login_with("right"))
    fails(client, AuthError)
    assert client.get_disk("1", "2").id == "2"
    assert [seen.authorization for seen in server.seen if seen.authorization] == ["t1", "Bearer t1", "Bearer t1", "t2"]


def test_what_is_not_found_was_asked_with_a_good_token(api: Any, door: LoginApi) -> None:
    """No other is tried, in neither scheme, until one is rejected, and then a new one at once."""

    def script(seen: Seen, wire: Wire) -> None:
        wire.reply(404, b"") if seen.path.endswith("/404") else door(seen, wire)

    server = api(script)
    client = api.client(server, login_with("right"))
    with pytest.raises(ApiError):
        client.get_disk("1", "404")
    door.valid = "t2".__eq__
    assert client.get_disk("1", "2").id == "2"
    assert [seen.authorization for seen in server.seen if seen.authorization] == ["t1", "t1", "t2"]


def test_no_secret_is_in_the_representation_of_a_login(api: Any, door: LoginApi) -> None:
    """Neither in what is sent nor in what is kept."""
    client = api.client(door, login_with(PASSWORD), login="oidc")
    assert PASSWORD not in repr(client._session.auth._tokens._oidc_request(Secret(PASSWORD)))
    with pytest.raises((AuthError, TransportError)) as caught:
        client.get_disk("1", "2")
    assert PASSWORD not in str(caught.value)
