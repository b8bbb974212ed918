"""Who may do what with the simulated API."""

from __future__ import annotations

from typing import Any

import pytest

from gigas_exporter.simulator import SimulatedCloud

DISKS = "/account/4242/disks"


def _login(call: Any, **fields: Any) -> Any:
    return call("POST", "/token", json=fields, headers={"Authorization": None})


def _status(call: Any, authorization: str | None, path: str = DISKS, method: str = "GET") -> int:
    status: int = call(method, path, headers={"Authorization": authorization}).status_code
    return status


@pytest.mark.parametrize("authorization", [None, "", "Bearer wrong", "Bearer", "demo-api-key", "Basic ZGVtbzpkZW1v"])
def test_a_credential_that_is_none_is_refused(call: Any, authorization: str | None) -> None:
    """Nothing but a known key as Bearer, or a raw session token, gets in."""
    assert _status(call, authorization) == 401


def test_a_login_gives_a_raw_token_with_an_expiry_in_both_spellings(
    call: Any, world: SimulatedCloud, clock: Any
) -> None:
    """Tokens work raw, not as Bearer; expires comes as text and as a number in turn, refresh fields now and then."""
    answers = [_login(call, login=world.login, password=world.password).json() for _ in range(4)]
    assert [type(answer["expires"]) for answer in answers] == [str, int, str, int]
    assert {int(answer["expires"]) for answer in answers} == {int(clock() + 1800)}
    assert ["refresh_token" in answer for answer in answers] == [True, False, True, False]
    assert len({answer["token"] for answer in answers}) == 4
    assert _status(call, answers[0]["token"]) == 200
    assert _status(call, f"Bearer {answers[0]['token']}") == 401


def test_a_token_ends_after_thirty_minutes_or_when_it_is_revoked(call: Any, world: SimulatedCloud, clock: Any) -> None:
    """A session's end is a 401 at the next request."""
    token, revoked = world.issue_token(), world.issue_token(life_seconds=9000)
    clock.advance(1799)
    assert _status(call, token) == 200
    clock.advance(1)
    assert (_status(call, token), _status(call, revoked)) == (401, 200)
    world.revoke_tokens()
    assert _status(call, revoked) == 401


def test_a_read_only_token_reads_and_writes_nothing(call: Any, world: SimulatedCloud) -> None:
    """Asked for with readonly, a token gets 403 for what would change something."""
    token = _login(call, login=world.login, password=world.password, readonly=True).json()["token"]
    assert _status(call, token) == 200
    assert _status(call, token, "/account/4242/disk/10001/build", "POST") == 403
    assert _status(call, token, "/account/4242/disk/10001", "DELETE") == 403
    assert len(world.disks("4242")) == 20


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"login": "demo@example.com", "password": "wrong"}', 401),
        (b'{"login": "nobody@example.com", "password": "demo-password"}', 401),
        (b'{"login": "demo@example.com"}', 422),
        (b'{"login": 1, "password": 2}', 422),
        (b"", 422),
        (b"no json", 400),
        (b"[]", 400),
        (b"[" * 5000, 400),
    ],
)
def test_a_bad_login_is_refused(call: Any, body: bytes, status: int) -> None:
    """Wrong passwords, missing fields and bodies that are no JSON object each have their status."""
    assert call("POST", "/token", data=body).status_code == status


def test_a_user_sees_the_own_accounts_only(call: Any, world: SimulatedCloud) -> None:
    """One account's credential lists that account, gets 403 for another's and 404 for one that is not."""
    user = world.credentials("4243")
    key = f"Bearer {user.api_key}"
    token = _login(call, login=user.login, password=user.password).json()["token"]
    for authorization in (key, token):
        listed = call("GET", "/accounts", headers={"Authorization": authorization}).json()
        assert [account["id"] for account in listed] == ["4243"]
        assert _status(call, authorization, "/account/4243/disks") == 200
        assert _status(call, authorization, "/account/4242/disks") == 403
        assert _status(call, authorization, "/account/1/disks") == 404


def test_a_rotated_key_replaces_the_old_one(call: Any, world: SimulatedCloud) -> None:
    """After a rotation only the new key is taken, for the main user and for an account's."""
    world.access.main.api_key = "new-key"
    world.credentials("4242").api_key = "new-key-of-one"
    assert [_status(call, f"Bearer {key}") for key in ("demo-api-key", "demo-api-key-4242")] == [401, 401]
    assert [_status(call, f"Bearer {key}") for key in ("new-key", "new-key-of-one")] == [200, 200]
    assert {"new-key", "new-key-of-one"} <= set(world.secrets)


def test_secrets_are_in_no_repr(world: SimulatedCloud) -> None:
    """What a test or a log may print of a user holds neither key nor password."""
    assert not any(secret in repr(world.access.users) for secret in world.secrets)
