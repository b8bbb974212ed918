"""Every operation: what is sent, and what comes back."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from gigas_exporter import gigas
from gigas_exporter.errors import ApiError, AuthError, ConfigError, GigasError, TransportError
from gigas_exporter.gigas import (
    FixedSecret,
    LoginCredential,
    SecretFile,
    TokenCredential,
    create_template_request,
    delete_disk_request,
    edit_disk_request,
)
from gigas_exporter.model import Account, Backup, Disk, VirtualMachine
from gigas_exporter.secret import Secret

PAGING = {"limit": "200", "offset": "0"}


@pytest.mark.parametrize(
    ("operation", "ids", "filters", "path"),
    [
        ("list_accounts", (), {}, "/accounts"),
        ("list_disks", ("42",), {}, "/account/42/disks"),
        (
            *("list_disks", ("42",)),
            {"data_store_id": "1", "virtual_machine_id": "2", "is_swap": False, "mount_point": "/srv & co"}
            | {"data_store_group_id": "3", "primary": True},
            "/account/42/disks",
        ),
        ("list_disk_backups", ("42", "7"), {"min_disk_size": 20}, "/account/42/disk/7/backups"),
        (
            *("list_backups", ("42",)),
            {"min_disk_size": 5, "disk_id": "7", "locked": True}
            | {"operating_system": "linux", "operating_system_distro": "debian"},
            "/account/42/backups",
        ),
        ("sweep_backups", ("42", len), {}, "/account/42/backups"),
        ("list_virtual_machines", ("42",), {}, "/account/42/virtual_machines"),
    ],
)
def test_lists(api: Any, operation: str, ids: tuple[Any, ...], filters: dict[str, Any], *, path: str) -> None:
    """Each list is asked for where the documentation has it, with its filters, flags as 1 and 0, and the page."""
    server = api(lambda seen, wire: wire.reply(200, []))
    listing = getattr(api.client(server), operation)(*ids, **filters)
    assert sum(isinstance(item, int) for item in listing.items) == len(listing.items)
    assert server.operations() == [f"GET {path}"]
    sent = {name: str(int(value) if isinstance(value, bool) else value) for name, value in filters.items()}
    assert server.seen[0].query == {**sent, **PAGING}
    assert server.seen[0].headers["user-agent"].startswith("gigas-exporter/")


WITHOUT_KEY = frozenset({"autobackup", "error", "is_swap", "mount_point", "virtual_machine_id"})


def test_items_come_as_the_domain_has_them(api: Any) -> None:
    """Accounts, disks, backups and machines."""
    server = api(lambda seen, wire: wire.reply(200, [{"id": 5}]))
    client = api.client(server)
    assert client.list_accounts().items == (Account("5"),)
    assert client.list_disks("1").items == (Disk("5", unknown=WITHOUT_KEY, missing=WITHOUT_KEY),)
    assert client.list_disk_backups("1", "2").items == (Backup("5", unknown=frozenset({"status"})),)
    assert client.list_backups("1").items == (Backup("5", unknown=frozenset({"status"})),)
    assert client.list_virtual_machines("1").items == (VirtualMachine("5", unknown=frozenset({"label"})),)


def test_single_objects(api: Any) -> None:
    """One disk, one backup, without a page."""
    server = api(lambda seen, wire: wire.reply(200, {"id": 7}))
    client = api.client(server)
    assert client.get_disk("42", "7") == Disk("7", unknown=WITHOUT_KEY, missing=WITHOUT_KEY)
    assert client.get_backup("42", "7") == Backup("7", unknown=frozenset({"status"}))
    assert [seen.target for seen in server.seen] == ["/account/42/disk/7", "/account/42/backup/7"]


def test_ids_are_one_segment_of_the_path_whatever_they_hold(api: Any) -> None:
    """An id with a slash names no other resource."""
    server = api(lambda seen, wire: wire.reply(200, {"id": 7}))
    api.client(server).get_disk("a/../b", "ñ?x=1#y%2f")
    assert server.seen[0].target == "/account/a%2F..%2Fb/disk/%C3%B1%3Fx%3D1%23y%252f"


@pytest.mark.parametrize("identity", ["", " ", ".", ".."])
def test_ids_that_name_nothing_are_refused(api: Any, identity: str) -> None:
    """Nothing is sent for them."""
    client = api.client("http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="an id must not"):
        client.list_disks(identity)
    with pytest.raises(ConfigError, match="an id must not"):
        client.get_disk("1", identity)


@pytest.mark.parametrize(
    ("operation", "fields", "sent", "body"),
    [
        (
            *("edit_disk", {"disk_size": 40, "autobackup": True, "mount_point": "", "virtual_machine_id": "5"}),
            *("PUT", {"disk_size": 40, "autobackup": 1, "mount_point": "", "virtual_machine_id": "5"}),
        ),
        (
            *("edit_disk", {"add_to_linux_fstab": False, "force_reboot": True}),
            *("PUT", {"add_to_linux_fstab": 0, "force_reboot": 1}),
        ),
        ("build_disk", {}, "POST /build", None),
        ("delete_disk", {}, "DELETE", None),
        ("create_backup", {}, "POST /backup", None),
        (
            *("create_template", {"label": "golden", "console_id": "9"}),
            *("POST /template", {"label": "golden", "console_id": "9"}),
        ),
    ],
)
def test_changes_are_sent_as_they_were_described(
    api: Any, operation: str, fields: dict[str, Any], *, sent: str, body: Any
) -> None:
    """What a request shows is what is sent, by the method and by sending it."""
    request_ = getattr(gigas, f"{operation}_request")("42", "7", **fields)
    method, _, rest = sent.partition(" ")
    sent = f"{method} /account/42/disk/7{rest}"
    server = api(lambda seen, wire: wire.reply(202, {"id": 7, "token": "op-1", "vm": [{"initial_password": "x"}]}))
    client = api.writing(server)
    answers = [getattr(client, operation)("42", "7", **fields), client.send(request_)]
    assert server.operations() == [sent] * 2
    assert f"{request_.method} {request_.path}" == sent
    assert [seen.json if seen.body else None for seen in server.seen] == [body] * 2
    assert request_.json == body
    assert api.ledger.requests == [(operation, "202")] * 2
    for answer in answers:
        assert answer.status == 202
        assert answer.body == {"id": 7, "token": "op-1", "vm": [{}]}
        assert answer.headers["content-length"]
        if operation == "delete_disk":
            assert answer.value is None
        else:
            assert answer.value.id == "7"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'"x"'])
def test_a_change_that_was_taken_is_a_success_whatever_the_answer_says(api: Any, body: bytes) -> None:
    """The status says that it was taken; an answer without an object has no value."""
    server = api(lambda seen, wire: wire.reply(202, body))
    answer = api.writing(server).create_backup("1", "2")
    assert (answer.value, answer.status) == (None, 202)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_changes_are_never_retried(api: Any, status: int) -> None:
    """A second backup or a second deletion is worse than an error."""
    server = api(lambda seen, wire: wire.reply(status, b""))
    with pytest.raises(ApiError, match=f"delete_disk: the API answered {status}"):
        api.writing(server).delete_disk("1", "2")
    assert len(server.seen) == 1
    assert api.ledger.retries == []


def test_a_change_whose_answer_never_came_says_so(api: Any) -> None:
    """Nobody knows whether it took effect, and nothing is sent again."""
    server = api(lambda seen, wire: wire.close())
    with pytest.raises(TransportError, match="whether the change took effect is not known") as caught:
        api.writing(server).create_backup("1", "2")
    assert str(caught.value).count("create_backup") == 1
    assert len(server.seen) == 1


@pytest.mark.parametrize(("status", "in_doubt"), [(500, True), (502, True), (504, True), (501, False), (409, False)])
def test_a_change_that_broke_off_in_the_api_says_so(api: Any, status: int, in_doubt: bool) -> None:
    """A gateway that gave up waiting is no refusal: whoever deletes a disk must look whether it is gone."""
    server = api(lambda seen, wire: wire.reply(status, b""))
    with pytest.raises(ApiError) as caught:
        api.writing(server).delete_disk("1", "2")
    assert str(caught.value).startswith(f"delete_disk: the API answered {status}: ")
    assert f"({server.url.removeprefix('http://')})" in str(caught.value)
    assert str(caught.value).endswith("; whether the change took effect is not known") == in_doubt
    assert caught.value.status == status


def test_a_change_that_was_never_sent_leaves_no_doubt(api: Any, authority: Any) -> None:
    """Where nobody listens or the certificate is not accepted, nothing can have changed."""
    server = api(lambda seen, wire: wire.reply(202, b""), context=authority.context)
    for url in ("http://127.0.0.1:1", server.url):
        with pytest.raises(TransportError) as caught:
            api.writing(url).delete_disk("1", "2")
        assert "not known" not in str(caught.value)
    assert server.seen == []


def test_a_change_that_a_broken_login_prevented_did_not_happen(api: Any, clock: Any) -> None:
    """Then there is no doubt to speak of."""
    credential = LoginCredential("me", FixedSecret(Secret("p"), "x"))
    for server in (api(lambda seen, wire: wire.close()), api(lambda seen, wire: wire.reply(500, b""))):
        with pytest.raises((TransportError, ApiError)) as caught:
            api.writing(server, credential, clock=clock).create_backup("1", "2")
        assert "not known" not in str(caught.value)
        assert server.operations() == ["POST /token"] * 3


def test_a_change_that_was_refused_with_401_is_sent_once_more(api: Any, tmp_path: Any) -> None:
    """The API did nothing, so that the new credential may be tried."""
    file = tmp_path / "token"
    file.write_text("old")

    def script(seen: Any, wire: Any) -> None:
        file.write_text("new")
        wire.reply(202 if seen.authorization == "new" else 401, b"")

    server = api(script)
    assert api.writing(server, TokenCredential(SecretFile(file))).build_disk("1", "2").status == 202
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("describe", "message"),
    [
        (lambda: edit_disk_request("1", "2"), "nothing to change"),
        (lambda: edit_disk_request("1", "2", force_reboot=True), "nothing to change"),
        (lambda: edit_disk_request("1", "2", disk_size=0), "above 0"),
        (lambda: edit_disk_request("1", "2", disk_size=float("nan")), "above 0"),
        (lambda: create_template_request("1", "2", label=" ", console_id="9"), "needs a label"),
        (lambda: create_template_request("1", "2", label="x", console_id=""), "needs a console_id"),
        (lambda: delete_disk_request("1", ".."), "an id must not"),
    ],
)
def test_changes_that_make_no_sense_are_refused(describe: Any, message: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError, match=message):
        describe()


def test_errors_are_ours_and_know_their_reason(api: Any) -> None:
    """Every error has the word that failures are counted under."""
    reasons = {}
    for status in (400, 401, 403, 404, 501):
        server = api(lambda seen, wire, status=status: wire.reply(status, b"canary"))
        with pytest.raises(GigasError) as caught:
            api.client(server).list_disks("1")
        reasons[status] = caught.value.reason
    assert reasons == {400: "other", 401: "auth", 403: "forbidden", 404: "other", 501: "server"}
    assert issubclass(AuthError, GigasError)


def test_each_response_can_be_seen_before_it_is_decoded(api: Any) -> None:
    """The caller sees status, headers and body of each response to a call, also one that is rejected; no login's."""
    replies = {
        "/token": (200, {"token": "canary", "expires": 4102444800}),
        "/account/1/disks": (200, [{"id": 1, "error": "?"}]),
        "/account/2/disks": (202, []),
        "/account/3/disks": (404, {"errors": ["no"]}),
    }
    server = api(lambda seen, wire: wire.reply(*replies[seen.path], headers={"X-Total": "1"}))
    seen: list[tuple[str, int, str | None]] = []
    login = LoginCredential("me", FixedSecret(Secret("canary-password"), "a test"))
    client = api.client(
        server.url,
        login,
        on_response=lambda request, answer: seen.append((request.path, answer.status, answer.headers.get("x-total"))),
    )
    client.list_disks("1")
    for account in ("2", "3"):
        with suppress(GigasError):
            client.list_disks(account)
    assert {each[0] for each in seen} == {"/account/1/disks", "/account/2/disks", "/account/3/disks"}
    assert ("/account/3/disks", 404, "1") in seen


def test_how_each_list_came_out_can_be_seen(api: Any) -> None:
    """The caller sees of each list what is not understood, or why it is not accepted."""
    replies = {"/account/1/disks": (200, [{"id": 1, "autobackup": "perhaps"}]), "/account/2/disks": (202, [])}
    server = api(lambda seen, wire: wire.reply(*replies[seen.path]))
    outcomes: list[tuple[str, Any]] = []
    client = api.client(
        server.url,
        on_list=lambda request, outcome: outcomes.append(
            (request.path, outcome if isinstance(outcome, GigasError) else outcome.get("autobackup"))
        ),
    )
    client.list_disks("1")
    with pytest.raises(GigasError) as caught:
        client.list_disks("2")
    assert outcomes == [("/account/1/disks", 1), ("/account/2/disks", caught.value)]
