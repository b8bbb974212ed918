"""The three credentials: what is sent, when it is renewed, and what a refusal leads to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gigas_exporter.clock import Deadline, SystemClock
from gigas_exporter.errors import ApiError, AuthError, ConfigError, DecodeError, TransportError
from gigas_exporter.gigas import ApiKeyCredential, FixedSecret, LoginCredential, SecretFile, TokenCredential
from gigas_exporter.secret import Secret
from support.timing import ShiftedClock

DISK = {"id": 2}
PASSWORD = "canary-password"


def login_credential(password: str = PASSWORD) -> LoginCredential:
    return LoginCredential("me@example.com", FixedSecret(Secret(password), "GIGAS_PASSWORD"))


class LoginApi:
    """An API with logins: tokens are t1, t2, ...; which are valid is set from outside."""

    def __init__(self) -> None:
        self.logins = 0
        self.valid: Callable[[str | None], bool] = lambda token: token == f"t{self.logins}"
        self.answer: dict[str, Any] = {}
        self.login_replies: list[tuple[int, Any]] = []
        self.bodies: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __call__(self, seen: Any, wire: Any) -> None:
        if seen.path == "/token":
            with self._lock:
                self.bodies.append(seen.json)
                if self.login_replies:
                    wire.reply(*self.login_replies.pop(0))
                    return
                self.logins += 1
                wire.reply(200, {"token": f"t{self.logins}", **self.answer})
        else:
            wire.reply(200 if self.valid(seen.authorization) else 401, DISK)


@pytest.fixture
def login_api() -> LoginApi:
    """An API with logins."""
    return LoginApi()


def test_a_token_is_sent_raw_and_an_api_key_as_bearer(api: Any) -> None:
    """As Gigas' page Authentication has it."""
    server = api(lambda seen, wire: wire.reply(200, DISK))
    api.client(server, TokenCredential(FixedSecret(Secret("abc"), "x"))).get_disk("1", "2")
    api.client(server, ApiKeyCredential(FixedSecret(Secret(" abc\n"), "x"))).get_disk("1", "2")
    assert [seen.authorization for seen in server.seen] == ["abc", "Bearer abc"]


def test_a_login_gives_the_token_that_is_sent(api: Any, login_api: Any) -> None:
    """One login serves all requests, asks for a token that can change nothing, and is told."""
    login_api.answer = {"expires": "4102444700"}
    server = api(login_api)
    client = api.client(server, login_credential())
    for _ in range(3):
        client.get_disk("1", "2")
    assert login_api.bodies == [{"login": "me@example.com", "password": PASSWORD, "readonly": True}]
    assert server.seen[0].authorization is None
    assert server.seen[0].headers["content-type"] == "application/json"
    assert [seen.authorization for seen in server.seen[1:]] == ["t1"] * 3
    assert api.ledger.tokens == [4102444700.0]
    assert api.ledger.requests == [("create_token", "200")] + [("get_disk", "200")] * 3


def test_a_client_that_writes_asks_for_a_token_that_can(api: Any, login_api: Any) -> None:
    """Only the reading client asks for read-only tokens."""
    api.writing(login_api, login_credential()).create_backup("1", "2")
    assert "readonly" not in login_api.bodies[0]


@pytest.mark.parametrize("status", [400, 422])
def test_an_api_that_does_not_know_readonly_is_asked_without(api: Any, login_api: Any, status: int) -> None:
    """And from then on always."""
    login_api.login_replies = [(status, b"")]
    client = api.client(login_api, login_credential())
    client.get_disk("1", "2")
    login_api.valid = lambda token: token == "t2"
    client.get_disk("1", "2")
    assert ["readonly" in body for body in login_api.bodies] == [True, False, False]


@pytest.mark.parametrize("wall_only", [False, True])
def test_a_token_is_renewed_at_four_fifths_of_its_life(api: Any, clock: Any, login_api: Any, wall_only: bool) -> None:
    """By whichever clock says so first."""
    expires_in = 1000
    login_api.answer = {"expires": clock.wall() + expires_in}
    client = api.client(login_api, login_credential(), clock=clock)
    client.get_disk("1", "2")

    def move(seconds: float) -> None:
        if wall_only:
            clock.wall_offset += seconds
        else:
            clock.now += seconds

    move(expires_in * 0.79)
    client.get_disk("1", "2")
    assert login_api.logins == 1
    move(expires_in * 0.02)
    client.get_disk("1", "2")
    assert login_api.logins == 2


@pytest.mark.parametrize("expires", ["soon", None, 5, "1369241120", [], 4102444700])
def test_an_expiry_that_makes_no_sense_is_replaced_by_the_documented_life(
    api: Any, clock: Any, login_api: Any, expires: Any
) -> None:
    """Half an hour, whatever the server's clock says."""
    login_api.answer = {"expires": expires}
    client = api.client(login_api, login_credential(), clock=clock)
    for minutes, logins in ((0, 1), (23, 1), (2, 2)):
        clock.now += minutes * 60
        client.get_disk("1", "2")
        assert login_api.logins == logins


def test_a_token_that_ended_early_is_renewed_and_the_request_replayed(api: Any, login_api: Any) -> None:
    """A 401 at any time means: ask for a new one. That is no retry."""
    client = api.client(login_api, login_credential())
    client.get_disk("1", "2")
    login_api.valid = lambda token: token == "t2"
    assert client.get_disk("1", "2").id == "2"
    assert login_api.logins == 2
    assert api.ledger.retries == []


def test_callers_that_were_refused_together_share_one_renewal(api: Any, login_api: Any) -> None:
    """Eight requests meet a dead token at once; one login serves them all."""
    together = threading.Barrier(8)
    client = api.client(_meeting(login_api, together), login_credential(), max_concurrency=8)
    client.get_disk("1", "first")
    login_api.valid = lambda token: token == "t2"
    with ThreadPoolExecutor(8) as executor:
        found = list(executor.map(lambda number: client.get_disk("1", f"m{number}"), range(8)))
    assert len(found) == 8
    assert login_api.logins == 2


def _meeting(login_api: LoginApi, together: threading.Barrier) -> Callable[[Any, Any], None]:
    def script(seen: Any, wire: Any) -> None:
        if "/m" in seen.path and seen.authorization == "t1":
            together.wait(5)
        login_api(seen, wire)

    return script


def test_a_user_that_is_refused_with_any_token_is_an_auth_failure(api: Any, clock: Any, login_api: Any) -> None:
    """One renewal, however many accounts and requests there are; another one when half of the wait is over."""
    login_api.valid = lambda token: False
    client = api.client(login_api, login_credential(), clock=clock, login_retry_seconds=60.0)
    deadline = Deadline(clock, 30)
    for _ in range(5):
        with pytest.raises(AuthError, match="get_disk: the API does not accept the credential") as caught:
            client.get_disk("1", "2", deadline=deadline)
        assert caught.value.reason == "auth"
    assert login_api.logins == 2
    for moved, logins in ((1, 2), (28, 2), (2, 3), (1, 3)):
        clock.now += moved
        with pytest.raises(AuthError):
            client.get_disk("1", "2", deadline=Deadline(clock, 30))
        assert login_api.logins == logins


def test_a_password_that_was_mended_is_used_at_once(api: Any, login_api: Any, tmp_path: Path) -> None:
    """Another password in the file is another try, in the same piece of work too."""
    file = tmp_path / "password"
    file.write_text("wrong")
    login_api.login_replies = [(401, b"")]
    client = api.client(login_api, LoginCredential("me", SecretFile(file)))
    deadline = Deadline(SystemClock(), 30)
    with pytest.raises(AuthError):
        client.get_disk("1", "2", deadline=deadline)
    file.write_text("right")
    assert client.get_disk("1", "2", deadline=deadline).id == "2"
    assert [body["password"] for body in login_api.bodies] == ["wrong", "right"]


def test_a_login_that_may_pass_is_retried_three_times_and_no_more(api: Any, clock: Any, login_api: Any) -> None:
    """The request that needed the login does not multiply its tries."""
    login_api.login_replies = [(503, b"")] * 10
    client = api.client(login_api, login_credential(), clock=clock)
    with pytest.raises(ApiError, match="create_token: the API answered 503") as caught:
        client.get_disk("1", "2")
    assert caught.value.reason == "server"
    assert api.ledger.requests == [("create_token", "503")] * 3
    assert api.ledger.retries == ["create_token"] * 2


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
    **dict.fromkeys(("down", "no password"), "cannot renew a token that is still used"),
    **dict.fromkeys(("refused", "forbidden", "bad request"), "login rejected; it waits before it is sent again"),
    **dict.fromkeys(("not there", "a page", "no token"), "login failed; it waits before it is sent again"),
}


@pytest.mark.parametrize("how", [*REFUSALS, "no password"])
def test_a_renewal_that_fails_leaves_the_token_that_still_lives(
    api: Any, clock: Any, login_api: Any, *, tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """Whatever a login meets does not stop polls while the old token works; it is said once, and so is its end."""
    login_api.answer = {"expires": clock.wall() + 1000}
    login_api.valid = lambda token: token in {"t1", "t2"}
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    client = api.client(login_api, LoginCredential("me@example.com", SecretFile(file)), clock=clock)
    client.get_disk("1", "2")
    caplog.set_level("INFO")
    for at in (850, 60):
        clock.now += at
        if how == "no password":
            file.unlink(missing_ok=True)
        else:
            login_api.login_replies = [*REFUSALS[how]]
        for _ in range(3):
            assert client.get_disk("1", "2").id == "2"
        assert login_api.login_replies == []
    assert caplog.messages == [_SAID[how]]
    file.write_text(PASSWORD)
    clock.now += 130
    client.get_disk("1", "2")
    assert login_api.logins == 2
    assert caplog.messages[1:] == ["tokens can be renewed again"]
    assert PASSWORD not in caplog.text


def test_a_token_that_ends_while_it_cannot_be_renewed_is_an_auth_failure(api: Any, clock: Any, login_api: Any) -> None:
    """The refusal of the login is what is told then, after one login in a piece of work; the next login heals it."""
    login_api.answer = {"expires": clock.wall() + 1000}
    client = api.client(login_api, login_credential(), clock=clock)
    client.get_disk("1", "2")
    login_api.valid = lambda token: token == "t2"
    login_api.login_replies = [(401, b"")] * 2
    for seconds, logins in ((850, 2), (60, 3)):
        clock.now += seconds
        with pytest.raises(AuthError, match="refused the login"):
            client.get_disk("1", "2")
        assert len(login_api.bodies) == logins
    clock.now += 120
    assert client.get_disk("1", "2").id == "2"


def test_a_renewal_that_hangs_leaves_time_for_the_request(api: Any, login_api: Any) -> None:
    """Of a piece of work it takes a half, and the old token does the rest."""
    clock = ShiftedClock()
    login_api.answer = {"expires": clock.wall() + 100}
    hanging = threading.Event()

    def script(seen: Any, wire: Any) -> None:
        if seen.path == "/token" and hanging.is_set():
            wire.hang()
        else:
            login_api(seen, wire)

    client = api.client(script, login_credential(), timeout_seconds=30.0, clock=clock)
    client.get_disk("1", "2")
    hanging.set()
    clock.ahead = 81.0
    began = time.monotonic()
    assert client.get_disk("1", "2", deadline=Deadline(clock, 4.0)).id == "2"
    assert time.monotonic() - began > 1.9


@pytest.mark.parametrize(
    "reply", [{}, {"token": None}, {"token": 5}, {"token": ""}, {"token": "a\nb"}, {"token": "ñ"}, [], "t", None]
)
def test_a_login_without_a_usable_token_is_not_understood(api: Any, login_api: Any, reply: Any) -> None:
    """What is no token never gets into a header."""
    login_api.login_replies = [(200, reply)] * 3
    with pytest.raises(DecodeError, match="the response to the login") as caught:
        api.client(login_api, login_credential()).get_disk("1", "2")
    assert caught.value.field == "token"


def test_a_login_under_way_holds_others_no_longer_than_their_budget(api: Any) -> None:
    """Who waits for another's login waits within his own time."""
    client = api.client(lambda seen, wire: wire.hang(), login_credential())
    stop = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        first = executor.submit(client.get_disk, "1", "2", deadline=Deadline(SystemClock(), 20, stop))
        while not client._session.auth._lock.locked():
            time.sleep(0.01)
        with pytest.raises(TransportError, match=r"create_token: .* queue") as caught:
            client.get_disk("1", "2", deadline=Deadline(SystemClock(), 0.2))
        assert caught.value.reason == "timeout"
        stop.set()
        assert isinstance(first.exception(10), TransportError)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("kind", [TokenCredential, ApiKeyCredential])
def test_a_secret_that_was_rotated_is_read_again(api: Any, tmp_path: Path, status: int, kind: Any) -> None:
    """After a 401 or 403 the file is read once more; another secret is tried at once."""
    file = tmp_path / "secret"
    file.write_text("old\n")

    def script(seen: Any, wire: Any) -> None:
        wire.reply(200 if seen.authorization.endswith("new") else status, DISK)

    server = api(script)
    client = api.client(server, kind(SecretFile(file)))
    error = AuthError if status == 401 else ApiError
    with pytest.raises(error) as caught:
        client.get_disk("1", "2")
    assert caught.value.reason == ("auth" if status == 401 else "forbidden")
    tries = 2 if kind is TokenCredential and status == 401 else 1  # with both header schemes
    assert len(server.seen) == tries
    file.write_text("new\n")
    assert client.get_disk("1", "2").id == "2"
    assert len(server.seen) == tries + 2


def test_a_rotated_secret_that_is_refused_too_is_a_failure(api: Any, tmp_path: Path) -> None:
    """One replay, then the refusal stands."""
    file = tmp_path / "secret"
    file.write_text("old")

    def script(seen: Any, wire: Any) -> None:
        file.write_text(f"new{file.read_text()}")
        wire.reply(401, b"")

    server = api(script)
    with pytest.raises(AuthError):
        api.client(server, TokenCredential(SecretFile(file))).get_disk("1", "2")
    assert len(server.seen) == 2


def test_a_password_that_was_rotated_is_read_again_after_a_403(api: Any, tmp_path: Path, login_api: Any) -> None:
    """A 403 leads to no login unless the password is another one."""
    file = tmp_path / "password"
    file.write_text("old")
    allowed: list[str] = []

    def script(seen: Any, wire: Any) -> None:
        if seen.path == "/token" or seen.authorization in allowed:
            login_api(seen, wire)
        else:
            wire.reply(403, b"")

    client = api.client(script, LoginCredential("me", SecretFile(file)))
    with pytest.raises(ApiError, match="403"):
        client.get_disk("1", "2")
    assert login_api.logins == 1
    file.write_text("new")
    allowed.append("t2")
    assert client.get_disk("1", "2").id == "2"
    assert login_api.logins == 2


def test_a_secret_file_that_is_gone_is_said_with_the_refusal(api: Any, tmp_path: Path) -> None:
    """The refusal is the failure; that the file cannot be read belongs to it."""
    file = tmp_path / "secret"
    file.write_text("old")
    status = 401
    server = api(lambda seen, wire: wire.reply(status, b""))
    client = api.client(server, TokenCredential(SecretFile(file)))
    client._session.auth.header(Deadline(SystemClock(), 1))
    file.unlink()
    with pytest.raises(AuthError, match=r"does not accept the credential .*, and secret file .*: No such file"):
        client.get_disk("1", "2")
    status = 403
    with pytest.raises(ApiError, match="403"):
        client.get_disk("1", "2")


def test_reloading_reads_the_secret_again(api: Any, tmp_path: Path) -> None:
    """A reload needs no refusal."""
    file = tmp_path / "secret"
    file.write_text("old")
    server = api(lambda seen, wire: wire.reply(200, DISK))
    client = api.client(server, TokenCredential(SecretFile(file)))
    client.get_disk("1", "2")
    file.write_text("new")
    client.get_disk("1", "2")
    client.reload_credential()
    client.get_disk("1", "2")
    assert [seen.authorization for seen in server.seen] == ["old", "old", "new"]


@pytest.mark.parametrize("credential", [TokenCredential, ApiKeyCredential])
def test_a_secret_that_no_header_can_hold_is_refused(api: Any, credential: Any) -> None:
    """The HTTP library would quote it in its own error."""
    client = api.client("http://127.0.0.1:1", credential(FixedSecret(Secret("canary-€"), "GIGAS_TOKEN")))
    with pytest.raises(ConfigError, match="characters that no HTTP header can hold") as caught:
        client.get_disk("1", "2")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("text", ["", " \n", "a\nb", "a\x00b"])
def test_a_secret_that_is_none_is_refused(api: Any, text: str) -> None:
    """An empty secret or one of two lines is a mistake that is said."""
    client = api.client("http://127.0.0.1:1", TokenCredential(FixedSecret(Secret(text), "GIGAS_TOKEN")))
    with pytest.raises(ConfigError, match="GIGAS_TOKEN: "):
        client.get_disk("1", "2")


@pytest.mark.parametrize(("content", "words"), [(b"\xff", "not UTF-8"), (b"x" * 70_000, "larger than 65536 bytes")])
def test_a_secret_file_that_holds_none_is_refused(api: Any, tmp_path: Path, content: bytes, words: str) -> None:
    """A file that is binary or huge was named by mistake."""
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"secret file {file}: {words}"):
        api.client("http://127.0.0.1:1", TokenCredential(SecretFile(file))).get_disk("1", "2")
