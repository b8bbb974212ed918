"""Tokens and API keys: what is sent, and what a refusal leads to."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from client.conftest import DISK, secret, well
from gigas_exporter.clock import Deadline, SystemClock
from gigas_exporter.errors import ApiError, AuthError, ConfigError
from gigas_exporter.gigas import ApiKeyCredential, SecretFile, TokenCredential
from support.scripted_api import Seen, Wire

SENT = ((TokenCredential, "{}"), (ApiKeyCredential, "Bearer {}"))
"""A token is sent raw and an API key as bearer, as Gigas' page Authentication has it."""
PASTED = (
    *(" canary\n", "Bearer canary", "bearer  canary\n", "canary", "Authorization: Bearer canary"),
    *("authorization:Bearer canary", "Authorization: canary", "-H 'Authorization: Bearer canary'"),
    *('"Authorization: canary"', "'canary'", "-H'authorization:canary'", "-HAuthorization: canary"),
    *("--header=Authorization: canary", '"Bearer canary'),
)
KEYS = (
    *("-Hk3xAbC", "-hk3xAbC", "--headerk3", "-H", "bearer", "bearer-k3", "Bearerk3", "authorizationk3", "-Hbearer"),
    *('"k3', "'k3", "k3'", "k\"3'", '""'),
)


@pytest.mark.parametrize(("text", "key"), [*((text, "canary") for text in PASTED), *((key, key) for key in KEYS)])
@pytest.mark.parametrize(("kind", "sent"), SENT)
def test_the_header_has_what_was_meant(api: Any, text: str, key: str, kind: Any, sent: str) -> None:
    """A scheme that was pasted along is stripped, and no character of a key that begins or ends as a header does."""
    server = api(well)
    api.client(server, kind(secret(text))).get_disk("1", "2")
    assert server.seen[0].authorization == sent.format(key)


def test_a_token_that_worked_raw_is_never_sent_as_bearer(api: Any) -> None:
    """A 401 then means that the token ended."""
    valid = ["token"]
    server = api(lambda seen, wire: wire.reply(200 if seen.authorization in valid else 401, DISK))
    client = api.client(server, TokenCredential(secret("token")))
    client.get_disk("1", "2")
    valid.clear()
    for _ in range(3):
        with pytest.raises(AuthError, match="the token in x"):
            client.get_disk("1", "2")
    assert {seen.authorization for seen in server.seen} == {"token"}


@pytest.mark.parametrize("right", ["token", "Bearer token"])
def test_a_token_that_nobody_accepts_is_tried_with_the_schemes_in_turn(api: Any, right: str) -> None:
    """One request each time, or two, and it works again whichever is the right one."""
    valid: list[str] = []
    server = api(lambda seen, wire: wire.reply(200 if seen.authorization in valid else 401, DISK))
    client = api.client(server, TokenCredential(secret("token")))
    for requests in range(2, 10):
        with pytest.raises(AuthError):
            client.get_disk("1", "2")
        assert len(server.seen) == requests
    valid.append(right)
    with suppress(AuthError):
        client.get_disk("1", "2")
    assert client.get_disk("1", "2").id == "2"


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("kind", [TokenCredential, ApiKeyCredential])
def test_a_secret_that_was_rotated_is_read_again(api: Any, secret_file: Path, status: int, kind: Any) -> None:
    """After a 401 or 403 the file is read once more; another secret is tried at once."""
    server = api(lambda seen, wire: wire.reply(200 if seen.authorization.endswith("new") else status, DISK))
    client = api.client(server, kind(SecretFile(secret_file)))
    with pytest.raises(AuthError if status == 401 else ApiError) as caught:
        client.get_disk("1", "2")
    assert caught.value.reason == ("auth" if status == 401 else "forbidden")
    tries = 2 if kind is TokenCredential and status == 401 else 1  # with both header schemes
    assert len(server.seen) == tries
    secret_file.write_text("new\n")
    assert client.get_disk("1", "2").id == "2"
    assert len(server.seen) == tries + 2


def test_a_rotated_secret_that_is_refused_too_is_a_failure(api: Any, secret_file: Path) -> None:
    """One replay, then the refusal stands."""

    def script(seen: Seen, wire: Wire) -> None:
        secret_file.write_text(f"new{secret_file.read_text()}")
        wire.reply(401, b"")

    server = api(script)
    with pytest.raises(AuthError):
        api.client(server, TokenCredential(SecretFile(secret_file))).get_disk("1", "2")
    assert len(server.seen) == 2


def test_a_secret_file_that_is_gone_is_said_with_the_refusal(api: Any, secret_file: Path) -> None:
    """The refusal is the failure; that the file cannot be read belongs to it."""
    status = 401
    client = api.client(lambda seen, wire: wire.reply(status, b""), TokenCredential(SecretFile(secret_file)))
    client._session.auth.header(Deadline(SystemClock(), 1))
    secret_file.unlink()
    with pytest.raises(AuthError, match=r"does not accept the credential .*, and secret file .*: No such file"):
        client.get_disk("1", "2")
    status = 403
    with pytest.raises(ApiError, match="403"):
        client.get_disk("1", "2")


def test_reloading_reads_the_secret_again(api: Any, secret_file: Path) -> None:
    """A reload needs no refusal."""
    server = api(well)
    client = api.client(server, TokenCredential(SecretFile(secret_file)))
    client.get_disk("1", "2")
    secret_file.write_text("new")
    client.get_disk("1", "2")
    client.reload_credential()
    client.get_disk("1", "2")
    assert [seen.authorization for seen in server.seen] == ["old", "old", "new"]


@pytest.mark.parametrize("kind", [TokenCredential, ApiKeyCredential])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("canary-€", "characters that no HTTP header can hold"),
        *((none, "x: ") for none in ("", " \n", "a\nb", "a\x00b")),
    ],
)
def test_a_secret_that_no_header_can_hold_is_refused(api: Any, kind: Any, text: str, words: str) -> None:
    """The HTTP library would quote it in its own error; an empty one or one of two lines is a mistake."""
    with pytest.raises(ConfigError, match=words) as caught:
        api.client("http://127.0.0.1:1", kind(secret(text))).get_disk("1", "2")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(("content", "words"), [(b"\xff", "not UTF-8"), (b"x" * 70_000, "larger than 65536 bytes")])
def test_a_secret_file_that_holds_none_is_refused(api: Any, secret_file: Path, content: bytes, words: str) -> None:
    """A file that is binary or huge was named by mistake."""
    secret_file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"secret file {secret_file}: {words}"):
        api.client("http://127.0.0.1:1", TokenCredential(SecretFile(secret_file))).get_disk("1", "2")
