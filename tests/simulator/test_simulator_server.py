"""The simulated API as a server: connections, counts, size and speed."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from gigas_exporter.simulator import SimulatedCloud, describe
from support.simulator import SimulatorServer
from support.timing import within

DISKS = "/account/4242/disks"


def test_one_connection_serves_many_requests(call: Any) -> None:
    """A kept connection is used again, also after an error, and requests are counted by operation."""
    for path in (DISKS, DISKS, "/account/4242/backups", "/nowhere", "/account/1/disks"):
        call.get(path)
    assert call.server.connections == 1
    assert call.server.requests == {"list_disks": 3, "list_backups": 1, "unknown": 1}
    assert [seen.status for seen in call.server.recent] == [200, 200, 200, 404, 404]


def test_many_clients_are_served_at_once(call: Any) -> None:
    """Requests of many connections are answered side by side."""
    call.server.faults.add("latency", seconds=0.2)
    with within(1.6), ThreadPoolExecutor(16) as pool:
        headers = {"Authorization": f"Bearer {call.server.world.api_key}"}
        answers = list(
            pool.map(lambda _: requests.get(call.server.url + DISKS, headers=headers, timeout=5).status_code, range(16))
        )
    assert answers == [200] * 16
    assert call.server.connections == 16


def test_levers_may_be_pulled_while_others_read(serve: Any) -> None:
    """Readers of a world that lives fast and is changed by several threads get nothing but whole pages."""
    world = SimulatedCloud(seed=1, disks=60, speed=5000)
    call = serve(world)
    headers = {"Authorization": f"Bearer {world.api_key}"}

    def read(path: str) -> set[int]:
        with requests.Session() as session:
            session.headers.update(headers)
            pages = [session.get(call.server.url + path, params={"limit": 50}, timeout=5) for _ in range(30)]
        assert all(isinstance(item["id"], int) for page in pages for item in page.json())
        return {page.status_code for page in pages}

    def change() -> set[int]:
        for _ in range(60):
            disk = world.add_disk()
            world.make_backup(disk.id)
            world.change_disk(disk.id, error=True)
            world.remove_backups(disk.id)
            world.delete_disk(disk.id)
        return {200}

    with ThreadPoolExecutor(6) as pool:
        reading = [pool.submit(read, path) for path in (DISKS, "/account/4242/backups") * 2]
        done = [future.result(30) for future in (*reading, pool.submit(change), pool.submit(change))]
    assert done == [{200}] * 6
    assert 59 <= len(world.disks("4242")) <= 60


def _exchange(address: tuple[str, int], request: bytes) -> bytes:
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(1 << 16):
            received += part
    return received


@pytest.mark.parametrize(
    "head", ["Content-Length: many", "Content-Length: -1", "Content-Length: 2000000", "Transfer-Encoding: chunked"]
)
def test_a_body_that_cannot_be_read_is_refused(call: Any, head: str) -> None:
    """Lengths that are none, too large or missing end the connection with a status."""
    answer = _exchange(call.server.address, f"POST /token HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close" in answer


def test_nonsense_is_survived(call: Any) -> None:
    """What is no HTTP, or another method, gets an error, and the next client its answer."""
    assert b"400" in _exchange(call.server.address, b"\x00\xff nonsense\r\n\r\n")
    assert b"501" in _exchange(call.server.address, b"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n")
    assert call.get(DISKS).status_code == 200


def test_a_defect_is_logged_and_the_next_request_answered(
    call: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of the simulator's own ends that connection only, and is told in the log."""

    def broken(*_: Any) -> None:
        raise ArithmeticError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(call.server.api, "answer", broken)
        with pytest.raises(requests.ConnectionError):
            call.get(DISKS)
    assert call.get(DISKS).status_code == 200
    assert "could not be answered" in caplog.text


def test_a_client_that_leaves_early_is_no_defect(call: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A client that resets its connection in the middle of an answer is no more than a line for debugging."""
    caplog.set_level(logging.DEBUG, logger="gigas_exporter.simulator.server")
    call.server.faults.add("drip_body", "list_disks", seconds=0.01)
    head = f"GET {DISKS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {call.server.world.api_key}\r\n\r\n"
    with socket.create_connection(call.server.address, timeout=5) as connection:
        connection.sendall(head.encode())
        connection.recv(100)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    deadline = time.monotonic() + 5
    while "ended early" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "ended early" in caplog.text
    assert "could not be answered" not in caplog.text


def test_a_closed_server_leaves_nothing_behind(world: SimulatedCloud) -> None:
    """Closing ends threads and idle connections, and can be done twice."""
    before = threading.active_count()
    with SimulatorServer(world) as server, socket.create_connection(server.address, timeout=5) as idle:
        while not server.connections:
            time.sleep(0.01)
        server.close()
        assert idle.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(server.address, timeout=5)
    assert threading.active_count() == before


def test_a_server_listens_where_it_is_told(world: SimulatedCloud) -> None:
    """IPv6 addresses stand in brackets in the URL."""
    try:
        server = SimulatorServer(world, host="::1")
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with server:
        assert server.url.startswith("http://[::1]:")
        assert requests.get(server.url + "/_sim/state", timeout=5).status_code == 200


def test_the_description_has_commands_that_work(call: Any, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed for people names the credentials, and its URLs are there; levers on loopback only."""
    world, text = call.server.world, describe(call.server)
    assert all(word in text for word in (world.api_key, world.login, world.password, "4242, 4243", "every 1d", "stale"))
    urls = {word.strip("'") for word in text.split() if word.strip("'").startswith("http") and "faults" not in word}
    for url in urls - {call.server.url, call.server.url + ":"}:
        if not url.endswith((":", "token")):
            assert call.get(url.removeprefix(call.server.url)).status_code in {200, 404}
    assert "/_sim/" in text
    monkeypatch.setattr(call.server, "control", None)
    assert "/_sim/" not in describe(call.server)
    assert call.get("/_sim/state").status_code == 404
    assert "DISK_ID" in describe(serve(SimulatedCloud(disks=0)).server)
    assert "every 24m" in describe(serve(SimulatedCloud(disks=1, speed=60)).server)


def test_a_hundred_thousand_disks_are_made_and_served_in_time(serve: Any, clock: Any) -> None:
    """A huge fleet is made in seconds, and a page anywhere in its lists costs milliseconds."""
    with within(15.0):
        call = serve(SimulatedCloud(seed=1, disks=100_000, clock=clock))
    backups = int(call.get("/account/4242/backups", limit=1).headers["X-Total"])
    assert 500_000 < backups < 700_000
    for path, total in ((DISKS, 100_000), ("/account/4242/backups", backups)):
        with within(20 * 0.1):
            for place in range(20):
                page = call.get(path, limit=200, offset=place * (total // 20))
                assert len(page.json()) == 200
                assert page.headers["X-Total"] == str(total)
    last = call.get("/account/4242/backups", limit=200, offset=backups - 1).json()
    assert len(last) == 1
