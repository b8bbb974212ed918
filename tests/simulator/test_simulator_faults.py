"""Each fault does what its description says, to whom it is meant for, and as often as asked."""

from __future__ import annotations

import gzip
import json
import math
import socket
import threading
import time
from typing import Any

import pytest
import requests

from gigas_exporter.simulator import Faults, SimulatedCloud
from simulator.conftest import START
from support.timing import within

DISKS = "/account/4242/disks"
BACKUPS = "/account/4242/backups"
MACHINES = "/account/4242/virtual_machines"


def _raw(call: Any, path: str = DISKS, timeout: float = 5) -> bytes:
    """Return all bytes of one answer, up to the end of the connection."""
    with socket.create_connection(call.server.address, timeout=timeout) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {call.server.world.api_key}\r\n"
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode())
        received = b""
        while part := connection.recv(1 << 16):
            received += part
    return received


@pytest.fixture
def faults(call: Any) -> Faults:
    """The faults of the caller's server."""
    found: Faults = call.server.faults
    return found


def test_a_fault_strikes_whom_it_is_meant_for(call: Any, faults: Faults) -> None:
    """Operation globs, accounts, counts and skipped requests decide which requests are struck."""
    number = faults.add("status", "list_*", account="4242", count=2, skip=1, status=503)
    paths = [DISKS, "/account/4243/disks", DISKS, "/account/4242/disk/10001", BACKUPS, DISKS]
    assert [call.get(path).status_code for path in paths] == [200, 200, 503, 200, 503, 200]
    assert [(fault["id"], fault["struck"], fault["status"]) for fault in faults.listing()] == [(number, 2, 503)]
    faults.remove(number)
    faults.remove(number)
    assert faults.listing() == []


def test_a_probability_is_drawn_from_the_seed() -> None:
    """Likely faults strike about as often as they should, and the same requests each time."""
    runs = []
    for _ in range(2):
        faults = Faults(seed=5)
        faults.add("status", probability=0.3)
        runs.append([bool(faults.take("list_disks", None)) for _ in range(300)])
    assert runs[0] == runs[1]
    assert 60 < sum(runs[0]) < 120


def test_a_fault_that_is_none_is_refused(faults: Faults) -> None:
    """Unknown kinds and parameters are errors; every kind that is described can be made."""
    with pytest.raises(ValueError, match="no kind of fault: gremlin"):
        faults.add("gremlin")
    with pytest.raises(ValueError, match="colour: no parameter of status"):
        faults.add("status", colour="red")
    wrongs: tuple[dict[str, Any], ...] = (
        {"status": "500"},
        {"count": True},
        {"probability": None},
        {"skip": None},
        {"account": 4242},
        {"operation": 1},
        {"status": 10_000},
    )
    for wrong in wrongs:
        with pytest.raises(ValueError, match=next(iter(wrong))):
            faults.add("status", **wrong)
    with pytest.raises(ValueError, match="seconds"):
        faults.add("latency", seconds=[])
    with pytest.raises(ValueError, match="field"):
        faults.add("value", field=1)
    assert all(faults.add(kind) for kind in faults.kinds)
    assert [fault["kind"] for fault in faults.listing()] == list(faults.kinds)


@pytest.mark.parametrize("retry_after", [None, "0", "120", "soon", "1.5", "-5", "Wed, 21 Oct 2026 07:28:00 GMT"])
@pytest.mark.parametrize("status", [401, 403, 404, 405, 429, 500, 501, 503, 599])
def test_any_status_can_be_answered(call: Any, faults: Faults, status: int, retry_after: str | None) -> None:
    """A status comes with a JSON error, and with whatever Retry-After is asked for."""
    faults.add("status", "list_backups", status=status, retry_after=retry_after)
    answer = call.get(BACKUPS)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, retry_after)
    assert "error" in answer.json()
    assert call.get("/account/4242/disk/10001/backups").status_code == 200


def test_latency_delays_an_answer(call: Any, faults: Faults) -> None:
    """The answer comes, later."""
    faults.add("latency", seconds=0.15)
    begun = time.monotonic()
    assert call.get(DISKS).status_code == 200
    assert time.monotonic() - begun >= 0.15


@pytest.mark.parametrize("kind", ["drip_headers", "drip_body"])
def test_a_drip_outlives_a_timeout_between_bytes(call: Any, faults: Faults, kind: str) -> None:
    """Byte by byte the answer comes whole, however short the client's own read timeout."""
    faults.add(kind, "list_accounts", seconds=0.01)
    begun = time.monotonic()
    answer = call("GET", "/accounts", timeout=1.0)
    assert [account["id"] for account in answer.json()] == [4242, "4243"]
    assert time.monotonic() - begun > 1.0


@pytest.mark.parametrize("kind", ["drip_headers", "drip_body", "hang", "latency"])
def test_closing_the_server_ends_what_it_holds(clock: Any, serve: Any, kind: str) -> None:
    """However long a fault would last, the server closes at once."""
    call = serve(SimulatedCloud(disks=3, clock=clock))
    call.server.faults.add(kind, **({} if kind == "hang" else {"seconds": 60}))
    outcome: list[BaseException | requests.Response] = []

    def ask() -> None:
        try:
            outcome.append(call("GET", DISKS, timeout=60))
        except requests.RequestException as error:
            outcome.append(error)

    client = threading.Thread(target=ask)
    client.start()
    while not call.server.requests["list_disks"]:
        time.sleep(0.01)
    with within(3.0):
        call.server.close()
        client.join(60)
    assert isinstance(outcome[0], requests.RequestException) or kind == "latency"


def test_a_hang_ends_when_it_is_cleared_or_the_client_leaves(call: Any, faults: Faults) -> None:
    """A hung request never gets an answer; its thread goes when the client does, or the fault."""
    faults.add("hang", count=2)
    with pytest.raises(requests.Timeout):
        call("GET", DISKS, timeout=0.1)
    waiting = threading.Timer(0.2, faults.clear)
    waiting.start()
    with pytest.raises(requests.ConnectionError):
        call.get(DISKS)
    waiting.join()
    assert call.get(DISKS).status_code == 200
    assert [seen.status for seen in call.server.recent] == [0, 0, 200]


def test_a_reset_and_a_close_give_no_answer(call: Any, faults: Faults) -> None:
    """A reset is seen as one, a close as the end of the connection."""
    faults.add("reset", "list_disks")
    faults.add("close", "list_backups")
    with pytest.raises(ConnectionResetError):
        _raw(call)
    assert _raw(call, BACKUPS) == b""
    assert _raw(call, "/accounts").startswith(b"HTTP/1.1 200 OK")


def test_a_redirect_leads_elsewhere(call: Any, faults: Faults) -> None:
    """The answer names another host."""
    faults.add("redirect", value="http://127.0.0.2:1/trap")
    answer = call.get(DISKS)
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://127.0.0.2:1/trap")


def test_truncated_bodies_end_early(call: Any, faults: Faults) -> None:
    """A body ends early: against its announced length, by the connection's end alone, or as half of the JSON."""
    whole = _raw(call).partition(b"\r\n\r\n")[2]
    for kind, announced in (
        ("truncated", len(whole)),
        ("truncated_unframed", None),
        ("truncated_json", len(whole) // 2),
    ):
        faults.add(kind)
        head, _, body = _raw(call).partition(b"\r\n\r\n")
        assert body == whole[: len(whole) // 2]
        assert (f"Content-Length: {announced}".encode() in head) == (announced is not None)
        assert (b"Content-Length" in head) == (announced is not None)
        faults.clear()


@pytest.mark.parametrize(
    ("kind", "begin"),
    [("html", b"<!DOCTYPE"), ("empty", b""), ("not_an_array", b'{"data":['), ("deep_nesting", b"[[[[")],
)
def test_other_bodies_come_with_a_200_or_with_an_error(call: Any, faults: Faults, kind: str, begin: bytes) -> None:
    """A body is replaced, also that of another status."""
    faults.add(kind)
    answer = call.get(DISKS)
    assert answer.status_code == 200
    assert answer.content.startswith(begin)
    assert (answer.content == b"") == (kind == "empty")
    assert (answer.headers.get("Content-Type") == "text/html") == (kind == "html")
    faults.add("status", status=502)
    failed = call.get(DISKS)
    assert failed.status_code == 502
    assert failed.content.startswith(b'{"data":{' if kind == "not_an_array" else begin)


def test_large_bodies_are_as_large_as_asked(call: Any, faults: Faults) -> None:
    """A bomb is small on the wire and large inside; a huge body is huge on the wire."""
    faults.add("gzip_bomb", size=20_000_000)
    bomb = call("GET", DISKS, stream=True).raw.read(decode_content=False)
    assert len(bomb) < 100_000
    assert len(gzip.decompress(bomb)) == 20_000_000
    faults.clear()
    faults.add("huge_body", size=3_000_000)
    huge = call.get(DISKS)
    assert len(huge.content) == 3_000_000
    assert huge.json() == []


def _first(call: Any, path: str) -> dict[str, Any]:
    """Return the first item of a list; what is no number, or has very many digits, as its text."""
    content = call.get(path).content
    items: list[dict[str, Any]] = json.loads(
        content, parse_int=lambda digits: digits if len(digits) > 100 else int(digits), parse_constant=str
    )
    return items[0]


@pytest.mark.parametrize(
    ("path", "kind", "parameters", "expected"),
    [
        (DISKS, "value", {"field": "status", "value": "odd"}, {"status": "odd"}),
        (DISKS, "value", {"field": "disk_size", "value": -1}, {"disk_size": -1}),
        (DISKS, "nulls", {"field": "id"}, {"id": None}),
        (DISKS, "nulls", {}, lambda item: dict.fromkeys(item.keys() - {"id"})),
        (DISKS, "wrong_types", {"field": "id"}, {"id": {"unexpected": ["id"]}}),
        (DISKS, "wrong_types", {}, lambda item: {name: {"unexpected": [name]} for name in item.keys() - {"id"}}),
        *(
            (path, kind, {}, {field: value})
            for path, field in ((DISKS, "disk_size"), (BACKUPS, "backup_size"), (MACHINES, "memory"))
            for kind, value in (("nan", "NaN"), ("infinity", math.inf), ("long_number", "9" * 5000))
        ),
        (DISKS, "nan", {"field": "created_at"}, {"created_at": "NaN"}),
        (DISKS, "lone_surrogate", {}, {"mount_point": "half \ud83d of a pair"}),
        (DISKS, "long_text", {"field": "status"}, {"status": "x" * 100_000}),
        (DISKS, "future_dates", {"seconds": 3600}, dict.fromkeys(("created_at", "updated_at"), int(START + 3600))),
        (DISKS, "future_dates", {"field": "updated_at"}, {"updated_at": int(START + 86_400)}),
        (BACKUPS, "future_dates", {"seconds": 3600}, {"date_created": int(START + 3600)}),
    ],
)
def test_values_are_replaced(
    call: Any, faults: Faults, path: str, kind: str, parameters: dict[str, Any], *, expected: Any
) -> None:
    """Fields get another value, another type, or what no number, text or date should be; no other field changes."""
    before = _first(call, path)
    faults.add(kind, **parameters)
    after = _first(call, path)
    assert {name: value for name, value in after.items() if value != before[name]} == (
        expected(before) if callable(expected) else expected
    )


def test_a_text_can_have_bytes_that_are_no_utf8(call: Any, faults: Faults) -> None:
    """In a text of each item."""
    faults.add("invalid_utf8")
    with pytest.raises(UnicodeDecodeError):
        call.get(DISKS).content.decode()


def test_an_item_can_come_twice(call: Any, faults: Faults) -> None:
    """The first item of a page comes again at its end, with another status."""
    faults.add("duplicate_ids")
    items = call.get(DISKS).json()
    assert len(items) == 21
    assert (items[-1]["id"], items[-1]["status"]) == (items[0]["id"], "duplicate")


def test_paging_can_be_broken(call: Any, faults: Faults) -> None:
    """Limits are ignored or lowered, headers are missing or lie."""
    faults.add("ignored_limit")
    page = call.get(DISKS, limit=2, offset=4)
    assert len(page.json()) == 20
    assert "X-Total" not in page.headers
    faults.clear()
    faults.add("lowered_limit", size=3)
    page = call.get(DISKS, limit=10)
    assert (len(page.json()), page.headers["X-Per-Page"]) == (3, "3")
    assert len(call.items(DISKS)) == 20
    faults.clear()
    faults.add("no_headers")
    page = call.get(DISKS, limit=2)
    assert len(page.json()) == 2
    assert not any(name.startswith("X-") for name in page.headers)
    faults.clear()
    faults.add("lying_total", size=5)
    assert call.get(DISKS, limit=2).headers["X-Total"] == "5"


def test_items_can_move_between_pages(call: Any, faults: Faults) -> None:
    """After the first page items have moved: one is missed, or one comes twice."""
    whole = [item["id"] for item in call.items(DISKS)]
    for size, lost, twice in ((1, 1, 0), (-1, 0, 1)):
        faults.add("moving_items", size=size)
        walked = [item["id"] for offset in (0, 10) for item in call.get(DISKS, limit=10, offset=offset).json()]
        assert len(whole) - len(set(walked)) == max(lost, twice)
        assert len(walked) - len(set(walked)) == twice
        faults.clear()


def test_pages_can_be_endless(call: Any, faults: Faults) -> None:
    """Full pages come for ever, of the same items or of new ones, in any style of ids."""
    for path in (DISKS, "/account/4243/disks"):
        for value in (None, "fresh"):
            faults.add("endless_pages", value=value)
            pages = [call.get(path, limit=10, offset=offset).json() for offset in (0, 10, 10_000)]
            assert [len(page) for page in pages] == [10, 10, 10]
            assert len({item["id"] for page in pages for item in page}) == (30 if value else 10)
            faults.clear()
    faults.add("endless_pages", value="fresh")
    assert call.get("/account/4242/disk/10002/backups").json() == []


def test_tokens_can_expire_at_once(call: Any, faults: Faults, world: SimulatedCloud) -> None:
    """A token is given that is over, or nearly so."""
    body = {"login": world.login, "password": world.password}
    for seconds, status in ((0, 401), (5, 200)):
        faults.add("expired_token", seconds=seconds)
        token = call("POST", "/token", json=body).json()["token"]
        faults.clear()
        assert call("GET", DISKS, headers={"Authorization": token}).status_code == status


def test_a_login_can_be_spoilt(call: Any, faults: Faults, world: SimulatedCloud) -> None:
    """Faults that change items change the token's answer just as well."""
    faults.add("value", "create_token", field="token", value=7)
    answer = call("POST", "/token", json={"login": world.login, "password": world.password})
    assert answer.json()["token"] == 7


def test_faults_can_meet_in_one_answer(call: Any, faults: Faults) -> None:
    """Whatever was asked for first, what leaves nothing that could be read is done last, and each answer comes."""
    for kind in ("empty", "invalid_utf8", "long_number", "nulls", "duplicate_ids"):
        faults.add(kind, "list_disks")
    assert call.get(DISKS).content == b""
    faults.remove(1)
    body = call.get(DISKS).content
    assert b"\xff\xfe\x80bad" in body
    assert b"duplicate" in body
