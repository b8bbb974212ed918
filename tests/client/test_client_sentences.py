"""Each error is one sentence with the status, the likely cause and the setting to try."""

from __future__ import annotations

from typing import Any

import pytest

from gigas_exporter.errors import ApiError

SETTINGS = [
    ("list_disks", 301, "api.url"),
    ("list_disks", 400, "api.page_size"),
    ("list_disks", 402, "unpaid bills"),
    ("list_disks", 403, "the credential's rights"),
    ("list_disks", 404, "api.url"),
    ("list_disks", 415, "api.url"),
    ("list_disks", 422, "api.page_size"),
    ("list_disks", 429, "api.max_requests_per_second"),
    ("list_disks", 501, "error of its own, or is not available now (127.0.0.1:"),
    ("list_backups", 403, "poll.backups_source"),
    ("list_backups", 404, "poll.backups_source"),
    ("list_backups", 405, "poll.backups_source"),
]


@pytest.mark.parametrize(("operation", "status", "words"), SETTINGS)
def test_a_status_comes_with_the_setting_to_try(
    api: Any, clients: Any, clock: Any, operation: str, *, status: int, words: str
) -> None:
    """In one line that begins with the operation and the status."""
    client = clients(api(lambda seen, wire: wire.reply(status, b"")).url, clock=clock)
    with pytest.raises(ApiError) as caught:
        getattr(client, operation)("1")
    assert str(caught.value).startswith(f"{operation}: the API answered {status}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["list_disks", "delete_disk"])
def test_every_request_says_that_it_takes_json(api: Any, clients: Any, method: str) -> None:
    """As the examples of the documentation do, GET and DELETE too."""
    server = api(lambda seen, wire: wire.reply(200, []))
    getattr(clients.writing(server.url), method)(*(["1"] if method == "list_disks" else ["1", "2"]))
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
def test_a_rejected_change_shows_what_the_api_says(api: Any, clients: Any, body: Any, message: str | None) -> None:
    """Printable, short and without secrets."""
    client = clients.writing(api(lambda seen, wire: wire.reply(422, body)).url)
    with pytest.raises(ApiError) as caught:
        client.delete_disk("1", "2")
    assert caught.value.api_message == message
    words = "" if message is None else f' ("{message}")'
    assert str(caught.value) == f"delete_disk: the API answered 422{words}"
