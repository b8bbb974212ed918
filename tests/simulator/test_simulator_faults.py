"""Each shipped fault does what its description says, to whom it is meant for, and as often as asked.

Of the kinds that tests add, test_faults_* show that they strike, but for those of which nothing may be seen.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
import requests

from gigas_exporter.simulator import Faults, SimulatedCloud
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


@pytest.mark.parametrize("kind", ["drip_body", "hang", "latency"])
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


def test_a_close_gives_no_answer(call: Any, faults: Faults) -> None:
    """It is seen as the end of the connection, by those whom it is meant for."""
    faults.add("close", "list_backups")
    assert _raw(call, BACKUPS) == b""
    assert _raw(call, "/accounts").startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(("field", "value"), [("status", "odd"), ("disk_size", -1), ("id", None)])
def test_a_value_is_replaced(call: Any, faults: Faults, field: str, value: object) -> None:
    """In each item, and no other field changes."""
    before = call.get(DISKS).json()
    faults.add("value", field=field, value=value)
    assert call.get(DISKS).json() == [{**item, field: value} for item in before]


def test_paging_can_be_broken(call: Any, faults: Faults) -> None:
    """Limits are ignored or lowered, headers are missing or lie; an exporter may show nothing of it."""
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


def test_a_login_can_be_spoilt(call: Any, faults: Faults, world: SimulatedCloud) -> None:
    """Faults that change items change the token's answer just as well."""
    faults.add("value", "create_token", field="token", value=7)
    answer = call("POST", "/token", json={"login": world.login, "password": world.password})
    assert answer.json()["token"] == 7
