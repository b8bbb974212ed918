"""Logins that are rejected wait; tokens are asked for and sent in the ways there are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from gigas_exporter.clock import Deadline
from gigas_exporter.errors import ApiError, AuthError, DecodeError, TransportError
from gigas_exporter.gigas import (
    ApiKeyCredential,
    FixedSecret,
    LoginCredential,
    LoginStates,
    SecretFile,
    TokenCredential,
)
from gigas_exporter.secret import Secret

DISK = {"id": 2}
PASSWORD = "canary-password"


class Door:
    """An API whose only good password and header are set from outside."""

    def __init__(self) -> None:
        self.password = "right"
        self.status = 401
        self.body = b""
        self.scheme = "{}"
        self.reply: dict[str, Any] = {}
        self.logins: list[Any] = []

    def __call__(self, seen: Any, wire: Any) -> None:
        if seen.path in {"/token", "/auth/api/openid-connect/token"}:
            is_form = seen.headers["content-type"] == "application/x-www-form-urlencoded"
            body = dict(parse_qsl(seen.body.decode())) if is_form else seen.json
            self.logins.append(body)
            name = "access_token" if is_form else "token"
            is_right = body["password"] == self.password
            wire.reply(200, {name: "e30.e30.x_-y", **self.reply}) if is_right else wire.reply(self.status, self.body)
        else:
            wire.reply(200 if seen.authorization == self.scheme.format("e30.e30.x_-y") else 401, DISK)


@pytest.fixture
def door() -> Door:
    """An API with a login."""
    return Door()


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """A file with a password that is wrong."""
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    return file


@pytest.mark.parametrize("status", [401, 403, 400, 422, 409, 423])
def test_a_rejected_login_waits_ever_longer(
    api: Any, clock: Any, door: Door, *, password_file: Path, status: int
) -> None:
    """From one interval, doubling, up to an hour; meanwhile each request fails with the same sentence."""
    door.status = status
    credential = LoginCredential("me", SecretFile(password_file))
    url = api(door).url
    client = api.client(url, credential, clock=clock, login_retry_seconds=30.0)
    sent, messages, waits = 0, set(), []
    began = clock.now
    while clock.now < began + 6 * 3600:
        with pytest.raises(AuthError) as caught:
            client.get_disk("1", "2", deadline=Deadline(clock, 30))
        messages.add(str(caught.value))
        if len(door.logins) > sent:
            sent = len(door.logins)
            waits.append(round(client._session.auth._state.blocked_until - clock.now))
        clock.now += 30
    assert waits[:9] == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    refusal = f"the API refused the login (status {status}, {url.removeprefix('http://')})"
    assert messages == {f"{refusal}: check the login, or the password in secret file {password_file}"}
    assert set(api.ledger.blocked) == {True}


def test_another_password_ends_the_wait(api: Any, clock: Any, door: Door, *, password_file: Path) -> None:
    """The file is read again for each request; the login that succeeds ends the block."""
    client = api.client(door, LoginCredential("me", SecretFile(password_file)), clock=clock)
    for text, logins in ((PASSWORD, 1), (PASSWORD, 1), ("also wrong", 2), ("also wrong", 2)):
        password_file.write_text(text)
        with pytest.raises(AuthError):
            client.get_disk("1", "2")
        assert len(door.logins) == logins
    password_file.write_text("right")
    assert client.get_disk("1", "2").id == "2"
    assert client._session.auth._state.blocked_until is None
    assert api.ledger.blocked == [True, False]


def test_a_password_that_was_accepted_waits_ten_minutes_at_most(
    api: Any, clock: Any, door: Door, password_file: Path
) -> None:
    """An API may reject for a while what is right."""
    password_file.write_text("right")
    client = api.client(door, LoginCredential("me", SecretFile(password_file)), clock=clock)
    client.get_disk("1", "2")
    door.password, door.scheme = "another", "nobody's {}"
    for _ in range(300):
        with pytest.raises(AuthError):
            client.get_disk("1", "2")
        clock.now += 60
    assert client._session.auth._state.blocked_until is not None
    logins = len(door.logins)
    door.password, door.scheme = "right", "{}"
    clock.now += 600
    assert client.get_disk("1", "2").id == "2"
    assert 30 <= logins <= 40


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"no"', b'{"tok', b'{"token": null}'])
def test_a_login_answered_without_a_token_waits(api: Any, clock: Any, door: Door, body: bytes) -> None:
    """What is not understood may be a rejection, which is why the wait grows."""
    door.status, door.body = 200, body
    client = api.client(door, LoginCredential("me", FixedSecret(Secret("wrong"), "x")), clock=clock)
    messages = set()
    for _ in range(30):
        with pytest.raises(DecodeError) as caught:
            client.get_disk("1", "2")
        messages.add(str(caught.value))
        clock.now += 60
    assert len(messages) == 1
    assert len(door.logins) == 5


def test_a_page_for_a_password_that_was_accepted_delays_it_half_an_interval(api: Any, clock: Any, door: Door) -> None:
    """It may be of a deployment, and the data must be fresh soon after."""
    client = api.client(door, LoginCredential("me", FixedSecret(Secret("right"), "x")), clock=clock)
    assert client.get_disk("1", "2").id == "2"
    door.scheme, door.password, door.status, door.body = "no longer {}", "wrong", 200, b"<html>maintenance</html>"
    for _ in range(20):
        with pytest.raises(DecodeError):
            client.get_disk("1", "2")
        clock.now += 30
    assert len(door.logins) == 21
    door.scheme, door.password = "{}", "right"
    assert client.get_disk("1", "2").id == "2"


@pytest.mark.parametrize("status", [301, 404, 405, 415])
def test_a_login_that_is_not_there_is_sent_twice_an_interval_for_all(
    api: Any, clock: Any, door: Door, status: int
) -> None:
    """Nothing was said about the password, and an API that is being deployed is back within an interval."""
    door.status = status
    client = api.client(door, LoginCredential("me", FixedSecret(Secret("wrong"), "x")), clock=clock)
    messages = set()
    for each in range(60):
        with pytest.raises(ApiError, match="create_token") as caught:
            client.get_disk(str(each), "2")
        messages.add(str(caught.value))
        clock.now += 10
    assert len(messages) == 1
    assert len(door.logins) == 20
    door.password = "wrong"
    clock.now += 20
    assert client.get_disk("1", "2").id == "2"
    assert client._session.auth._state.blocked_until is None


def test_the_same_password_in_many_places_is_one_login(api: Any, tmp_path: Path, door: Door) -> None:
    """Twenty clients whose files hold the same password share its token and its rejection; another is another's."""
    states, url = LoginStates(), api(door).url
    files = [tmp_path / f"password{number}" for number in range(20)]
    for file in files:
        file.write_text("wrong\n" if file.name.endswith("1") else "wrong")
    everyone = [api.client(url, LoginCredential("me", SecretFile(file)), login_states=states) for file in files]

    def poll(client: Any) -> bool:
        with suppress(AuthError):
            return bool(client.get_disk("1", "2").id == "2")
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


def test_clients_take_a_token_over_that_replaces_a_rejected_one(api: Any, door: Door) -> None:
    """One of them logs in again, the others use what it got, in the form that was accepted."""
    states, url = LoginStates(), api(door).url
    door.scheme = "Bearer {}"
    credential = LoginCredential("me", FixedSecret(Secret("right"), "x"))
    one, other = (api.client(url, credential, login_states=states) for _ in range(2))
    assert one.get_disk("1", "2").id == other.get_disk("1", "2").id == "2"
    assert len(door.logins) == 1


def test_a_reload_ends_the_wait_once_a_minute(api: Any, clock: Any, door: Door) -> None:
    """However many reloads there are; the wait goes on doubling."""
    credential = LoginCredential("me", FixedSecret(Secret("wrong"), "x"))
    client = api.client(door, credential, clock=clock, login_retry_seconds=1000.0)
    for _ in range(240):
        with pytest.raises(AuthError):
            client.get_disk("1", "2")
        client.reload_credential()
        clock.now += 0.5
    assert len(door.logins) == 3
    assert client._session.auth._state.blocked_until > clock.now + 1000


def test_reloads_keep_the_token(api: Any, door: Door, password_file: Path) -> None:
    """While the password is the same there is nothing to log in for."""
    password_file.write_text("right")
    client = api.client(door, LoginCredential("me", SecretFile(password_file)))
    for _ in range(5):
        client.get_disk("1", "2")
        client.reload_credential()
    assert len(door.logins) == 1
    door.password = "new"
    password_file.write_text("new")
    client.get_disk("1", "2")
    assert len(door.logins) == 2


@pytest.mark.parametrize("life", [0.01, 1, 30])
def test_a_short_life_makes_no_login_a_request(api: Any, clock: Any, door: Door, life: float) -> None:
    """A token is used for most of a minute at least, unless the API rejects it."""
    credential = LoginCredential("me", FixedSecret(Secret("right"), "x"))
    client = api.client(door, credential, clock=clock)
    for _ in range(60):
        door.reply = {"expires": clock.wall() + life}
        client.get_disk("1", "2")
        clock.now += 1
    assert len(door.logins) == 2


@pytest.mark.parametrize("kind", ["login", "token"])
def test_a_fresh_token_is_tried_with_both_schemes(api: Any, door: Door, kind: str) -> None:
    """What worked is remembered, also for the next token."""
    door.scheme = "Bearer {}"
    login = LoginCredential("me", FixedSecret(Secret("right"), "x"))
    token = TokenCredential(FixedSecret(Secret("e30.e30.x_-y"), "x"))
    server = api(door)
    client = api.client(server, login if kind == "login" else token)
    for _ in range(3):
        assert client.get_disk("1", "2").id == "2"
    sent = [seen.authorization for seen in server.seen if seen.authorization]
    assert sent == ["e30.e30.x_-y", *["Bearer e30.e30.x_-y"] * 3]
    assert len(door.logins) == (1 if kind == "login" else 0)


def test_a_token_that_worked_raw_is_never_sent_as_bearer(api: Any, door: Door) -> None:
    """A 401 then means that the token ended."""
    server = api(door)
    client = api.client(server, TokenCredential(FixedSecret(Secret("e30.e30.x_-y"), "x")))
    client.get_disk("1", "2")
    door.scheme = "nobody's {}"
    for _ in range(3):
        with pytest.raises(AuthError, match="the token in x"):
            client.get_disk("1", "2")
    assert {seen.authorization for seen in server.seen} == {"e30.e30.x_-y"}


@pytest.mark.parametrize("scheme", ["{}", "Bearer {}"])
def test_a_token_that_nobody_accepts_is_tried_with_the_schemes_in_turn(api: Any, door: Door, scheme: str) -> None:
    """One request each time, or two, and it works again whichever is the right one."""
    door.scheme = "nobody's {}"
    server = api(door)
    client = api.client(server, TokenCredential(FixedSecret(Secret("e30.e30.x_-y"), "x")))
    for requests in (2, 3, 4, 5, 6, 7, 8, 9):
        with pytest.raises(AuthError):
            client.get_disk("1", "2")
        assert len(server.seen) == requests
    door.scheme = scheme
    with suppress(AuthError):
        client.get_disk("1", "2")
    assert client.get_disk("1", "2").id == "2"


@pytest.mark.parametrize(
    "text",
    [
        *("Bearer canary", "bearer  canary\n", "canary", "Authorization: Bearer canary", "authorization:Bearer canary"),
        *("Authorization: canary", "-H 'Authorization: Bearer canary'", '"Authorization: canary"', "'canary'"),
        *("-H'authorization:canary'", "-HAuthorization: canary", "--header=Authorization: canary", '"Bearer canary'),
    ],
)
@pytest.mark.parametrize(("kind", "sent"), [(TokenCredential, "canary"), (ApiKeyCredential, "Bearer canary")])
def test_a_scheme_that_was_pasted_along_is_stripped(api: Any, text: str, kind: Any, sent: str) -> None:
    """People copy the whole header."""
    server = api(lambda seen, wire: wire.reply(200, DISK))
    api.client(server, kind(FixedSecret(Secret(text), "x"))).get_disk("1", "2")
    assert server.seen[0].authorization == sent


@pytest.mark.parametrize(
    "text",
    [
        *("-Hk3xAbC", "-hk3xAbC", "--headerk3", "-H", "bearer", "bearer-k3", "Bearerk3", "authorizationk3", "-Hbearer"),
        *('"k3', "'k3", "k3'", "k\"3'", '""'),
    ],
)
def test_no_character_of_a_key_is_stripped(api: Any, text: str) -> None:
    """A key may begin as a header does, or with what the command line has before one."""
    server = api(lambda seen, wire: wire.reply(200, DISK))
    api.client(server, TokenCredential(FixedSecret(Secret(text), "x"))).get_disk("1", "2")
    assert server.seen[0].authorization == text


def test_logs_in_by_openid_connect(api: Any, clock: Any, door: Door) -> None:
    """A form instead of JSON, a life in seconds instead of a date, and always Bearer."""
    door.scheme, door.reply = "Bearer {}", {"expires_in": 300, "refresh_token": "canary"}
    server = api(door)
    credential = LoginCredential("me@example.com", FixedSecret(Secret("right"), "x"))
    client = api.client(server, credential, clock=clock, login="oidc")
    for moved in (0, 239, 2):
        clock.now += moved
        client.get_disk("1", "2")
    assert door.logins[0] == {
        "grant_type": "password",
        "client_id": "external",
        "username": "me@example.com",
        "password": "right",
    }
    assert len(door.logins) == 2
    assert api.ledger.tokens[0] == clock.now - 241 + 300
    assert {seen.authorization for seen in server.seen} == {None, "Bearer e30.e30.x_-y"}


@pytest.mark.parametrize("reply", [{"access_token": None}, {"access_token": ""}, {"access_token": "a\nb"}])
def test_an_openid_connect_response_without_a_token_is_not_understood(api: Any, door: Door, reply: Any) -> None:
    """As with the other way to log in."""
    door.reply = reply
    client = api.client(door, LoginCredential("me", FixedSecret(Secret("right"), "x")), login="oidc")
    with pytest.raises(DecodeError):
        client.get_disk("1", "2")


def test_a_rejected_openid_connect_login_waits_too(api: Any, door: Door) -> None:
    """It answers 400 where the other answers 401."""
    door.status = 400
    client = api.client(door, LoginCredential("me", FixedSecret(Secret("wrong"), "x")), login="oidc")
    for _ in range(3):
        with pytest.raises(AuthError, match="status 400"):
            client.get_disk("1", "2")
    assert len(door.logins) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_login_that_fails_otherwise_does_not_wait(api: Any, clock: Any, door: Door, status: int) -> None:
    """Nothing was said about the password."""
    door.status = status
    client = api.client(door, LoginCredential("me", FixedSecret(Secret("wrong"), "x")), clock=clock)
    with pytest.raises(ApiError):
        client.get_disk("1", "2")
    assert client._session.auth._state.blocked_until is None
    door.password = "wrong"
    assert client.get_disk("1", "2").id == "2"


def test_a_rejected_token_is_not_sent_again_while_logins_fail(api: Any, clock: Any, door: Door) -> None:
    """What fails is the login; the old token would make the failure look like a wrong password."""
    sent: list[str] = []

    def script(seen: Any, wire: Any) -> None:
        sent.append(seen.path)
        door(seen, wire)

    credential = LoginCredential("me", FixedSecret(Secret("right"), "x"))
    client = api.client(script, credential, clock=clock)
    assert client.get_disk("1", "2").id == "2"
    door.scheme, door.password, door.status = "no longer {}", "wrong", 500
    sent.clear()
    for _ in range(2):
        with pytest.raises(ApiError, match="create_token"):
            client.get_disk("1", "2")
    assert [path for path in sent if path != "/token"] == ["/account/1/disk/2"]


def test_no_secret_is_in_the_representation_of_a_login(api: Any, door: Door) -> None:
    """Neither in what is sent nor in what is kept."""
    client = api.client(door, LoginCredential("me", FixedSecret(Secret(PASSWORD), "x")), login="oidc")
    auth = client._session.auth
    assert PASSWORD not in repr(auth._tokens._oidc_request(Secret(PASSWORD)))
    with pytest.raises((AuthError, TransportError)) as caught:
        client.get_disk("1", "2")
    assert PASSWORD not in str(caught.value)
