"""Each error is one sentence with the status, the likely cause and the setting to try."""

from __future__ import annotations

from typing import Any

import pytest

from client.conftest import replies
from gigas_exporter.errors import ApiError, GigasError
from gigas_exporter.gigas.error_messages import describe_status

SETTINGS = [
    ("list_disks", 301, "api.url"),
    ("list_disks", 400, "api.page_size"),
    ("list_disks", 402, "unpaid bills"),
    ("list_disks", 403, "the credential's rights"),
    ("list_disks", 404, "api.url"),
    ("list_disks", 409, "ask Gigas"),
    ("list_disks", 408, "is unavailable"),
    ("list_disks", 410, "api.url"),
    ("list_disks", 413, "api.page_size"),
    ("list_disks", 415, "api.url"),
    ("list_disks", 416, "api.page_size"),
    ("list_disks", 422, "api.page_size"),
    ("list_disks", 429, "api.max_requests_per_second"),
    ("list_disks", 451, "ask Gigas"),
    ("list_disks", 501, "internal error, or is unavailable (127.0.0.1:"),
    ("list_backups", 403, "poll.backups_source"),
    ("list_backups", 404, "poll.backups_source"),
    ("list_backups", 405, "poll.backups_source"),
]


@pytest.mark.parametrize(("operation", "status", "words"), SETTINGS)
def test_a_status_comes_with_the_setting_to_try(operation: str, status: int, words: str) -> None:
    """Or with what else may be the cause."""
    assert words in describe_status(operation, status, "127.0.0.1:80")


def test_every_status_of_every_operation_has_a_cause_and_the_address() -> None:
    """Also those that nobody expects, in one line."""
    reading = ("create_token", "get_disk", "list_accounts", "list_backups", "list_disk_backups", "list_disks")
    for operation in (*reading, "create_backup", "delete_disk", "edit_disk"):
        for status in (*range(300, 309), *range(400, 600)):
            words = describe_status(operation, status, "host:8443")
            assert " (host:8443)" in words, (operation, status)
            assert "\n" not in words, (operation, status)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_error_is_one_sentence_without_a_secret(api: Any, status: int) -> None:
    """It begins with operation and status and has the address, and nothing of its path."""
    server = api(replies((status, b"")))
    host = server.url.removeprefix("http://")
    with pytest.raises(GigasError) as caught:
        api.client(f"{server.url}/canary").list_disks("1")
    begin = "list_disks: the API does not accept" if status == 401 else f"list_disks: the API answered {status}: "
    assert str(caught.value).startswith(begin)
    assert f"{host})" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("method", ["list_disks", "delete_disk"])
def test_every_request_says_that_it_takes_json(api: Any, method: str) -> None:
    """As the examples of the documentation do, GET and DELETE too."""
    server = api(lambda seen, wire: wire.reply(200, []))
    getattr(api.writing(server), method)(*(["1"] if method == "list_disks" else ["1", "2"]))
    assert {seen.headers["content-type"] for seen in server.seen} == {"application/json"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"errors": ["Disk is locked", "try later"]}, "Disk is locked; try later"),
        ({"errors": {"disk_size": ["is too small"], "base": ["no"]}}, "disk_size: is too small; no"),
        ({"error": "no\nway \u0000 out"}, "no way out"),
        ({"error": {"message": "no"}}, "no"),
        ({"error": "your token canary-token is bad"}, "your token *** is bad"),
        ({"error": "x" * 500}, "x" * 199 + "…"),
        ({"error": [["deep"], 5]}, None),
        ({"error": None}, None),
        (["error"], None),
        (b"<html>no</html>", None),
        (b"", None),
    ],
)
def test_a_rejected_change_shows_what_the_api_says(api: Any, body: Any, message: str | None) -> None:
    """Printable, short and without secrets."""
    server = api(lambda seen, wire: wire.reply(422, body))
    client = api.writing(server)
    with pytest.raises(ApiError) as caught:
        client.delete_disk("1", "2")
    assert caught.value.api_message == message
    words = "" if message is None else f' ("{message}")'
    where = server.url.removeprefix("http://")
    assert str(caught.value) == f"delete_disk: the API answered 422{words}: it does not accept the request ({where})"
