"""Clients that hold connections, never finish or never read: scrapes go on, memory and descriptors come back.

The server runs in a process of its own, so that what is measured is the server and not the attack.
"""

from __future__ import annotations

import base64
import errno
import socket
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import bcrypt
import pytest

from gigas_exporter.web import Request, Response, ServerLimits
from gigas_exporter.web.server import connection_limit
from support import usage
from support.programs import await_true
from support.timing import allowed
from web.conftest import Connect, Pki, Serve, Wire, in_threads, written

_REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
_SERVED_PAGE = Path(__file__).with_name("served_page.py")


class _Served:
    """The other process."""

    def __init__(self, process: subprocess.Popen[str], tls: ssl.SSLContext | None) -> None:
        self.process = process
        assert process.stdout is not None
        self.address = ("127.0.0.1", int(process.stdout.readline()))
        self._tls = tls

    def connect(self, **options: Any) -> Wire:
        return Wire(self.address, tls=self._tls, **options)

    def descriptors(self) -> int:
        return usage.descriptors(self.process.pid)

    def resident_megabytes(self) -> float:
        return usage.resident_megabytes(self.process.pid)

    def scrape_seconds(self, count: int, headers: str = "") -> list[float]:
        """Scrape several times; each must be whole. Return the times in order."""
        times = []
        for _ in range(count):
            begin = time.perf_counter()
            with self.connect() as client:
                answer = client.ask(headers=headers)
            times.append(time.perf_counter() - begin)
            assert answer.status == 200
            assert answer.body.strip(b"#") == b""
        return sorted(times)


class _Start(Protocol):
    def __call__(self, *arguments: str, tls: ssl.SSLContext | None = None) -> _Served: ...


@pytest.fixture
def start() -> Iterator[_Start]:
    """Start servers in processes of their own."""
    with ExitStack() as stack:

        def run(*arguments: str, tls: ssl.SSLContext | None = None) -> _Served:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, str(_SERVED_PAGE), *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return _Served(process, tls)

        yield run


Hold = Callable[..., list[Wire]]


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Open many connections, say something on each and hold them until the test ends."""
    with ExitStack() as held:

        def open_many(served: _Served, count: int, say: bytes = b"") -> list[Wire]:
            clients = [held.enter_context(served.connect()) for _ in range(count)]
            for client in clients:
                client.send(say)
            return clients

        yield open_many


def _over_tls(pki: Pki) -> tuple[str, str]:
    written(pki.directory, "tls_server_config: {cert_file: server.crt, key_file: server.key}")
    return "--web-config", str(pki.directory / "web.yml")


def _assert_quick(times: list[float]) -> None:
    assert times[int(len(times) * 0.95)] < allowed(0.25), times


def test_dripped_heads_do_not_slow_scrapes(start: _Start, hold: Hold) -> None:
    """While 300 clients drip their heads every scrape is quick, and each of the 300 is ended in time."""
    served = start("--head-seconds", "4")
    begin = time.monotonic()
    clients = hold(served, 300, b"GET / HTTP/1.1\r\n")

    def drip(stop: threading.Event) -> None:
        while not stop.wait(0.2):
            for client in clients:
                with suppress(OSError):
                    client.socket.send(b"A: b\r\n")

    with in_threads(1, drip):
        await_true(lambda: served.descriptors() > 300)
        times = served.scrape_seconds(50)
        assert all(client.is_ended() for client in clients)
        assert time.monotonic() - begin < allowed(6)
    _assert_quick(times)
    await_true(lambda: served.descriptors() < 20)


def test_unfinished_handshakes_do_not_slow_scrapes(start: _Start, hold: Hold, pki: Pki) -> None:
    """While 300 clients hold a TLS handshake open every scrape over TLS is answered, and the 300 are ended in time."""
    served = start("--head-seconds", "1.5", *_over_tls(pki), tls=pki.client())
    begin = time.monotonic()
    clients = hold(served, 300, b"\x16\x03\x01")
    times = served.scrape_seconds(50)
    assert all(client.is_ended() for client in clients)
    assert time.monotonic() - begin < allowed(6)
    _assert_quick(times)


def test_clients_that_never_read_cost_no_copy_of_the_page(start: _Start, hold: Hold) -> None:
    """200 clients that ask for 10 MB and read nothing take no 2 GB, and are ended when their time is over."""
    served = start("--page-bytes", "10000000", "--request-seconds", "6")
    before = served.resident_megabytes()
    hold(served, 200, _REQUEST)
    await_true(lambda: served.descriptors() >= 200)
    assert served.resident_megabytes() < before + 40
    _assert_quick(served.scrape_seconds(50))
    await_true(lambda: served.descriptors() < 20)


def test_clients_that_never_read_over_tls_cost_little(start: _Start, hold: Hold, pki: Pki) -> None:
    """What waits for each is encrypted already, and bounded as for plain HTTP."""
    served = start("--page-bytes", "10000000", *_over_tls(pki), tls=pki.client())
    before = served.resident_megabytes()
    hold(served, 100, _REQUEST)
    assert served.resident_megabytes() < before + 50


def test_requests_that_come_faster_than_they_are_answered_take_no_memory(start: _Start, hold: Hold) -> None:
    """20 clients that send heads without end, and read what comes, are read no faster than they are answered."""
    served = start("--page-bytes", "10")
    before = served.resident_megabytes()
    clients = hold(served, 20)
    requests = b"GET /?later=1 HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
    end = time.monotonic() + 3.0
    while time.monotonic() < end:
        for client in clients:
            client.socket.settimeout(0)
            with suppress(BlockingIOError):
                client.socket.send(requests)
            with suppress(BlockingIOError):
                client.socket.recv(1 << 20)
        time.sleep(0.005)
    assert served.resident_megabytes() < before + 30
    _assert_quick(served.scrape_seconds(10))


@contextmanager
def _guessing(served: _Served, guessers: int) -> Iterator[set[int]]:
    """Guess passwords from many connections without end; what is given holds the statuses that came."""
    statuses: set[int] = set()

    def guess(stop: threading.Event) -> None:
        with served.connect(timeout=30) as client:
            while not stop.wait(0.05):
                statuses.add(client.ask(headers=_authorization(f"alice:{uuid.uuid4()}")).status)

    with in_threads(guessers, guess):
        await_true(lambda: 401 in statuses)
        yield statuses


def _authorization(user: str) -> str:
    return f"Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n"


def _guarded(start: _Start, directory: Path) -> _Served:
    stored = bcrypt.hashpw(b"right", bcrypt.gensalt(7)).decode()
    written(directory, f"basic_auth_users: {{alice: '{stored}', bob: '{stored}'}}")
    return start("--page-bytes", "100000", "--web-config", str(directory / "web.yml"))


def test_guessed_passwords_do_not_slow_who_is_known(start: _Start, tmp_path: Path) -> None:
    """While many clients guess passwords without end, scrapes with the right one are quick."""
    served = _guarded(start, tmp_path)
    alice = _authorization("alice:right")
    served.scrape_seconds(1, alice)
    with _guessing(served, 40) as statuses:
        times = served.scrape_seconds(100, alice)
    _assert_quick(times)
    assert statuses <= {401, 503}


@pytest.mark.parametrize(("source", "guessers"), [("127.0.0.2", 300), ("127.0.0.1", 60)])
def test_who_is_not_known_yet_gets_in_among_guesses(start: _Start, tmp_path: Path, source: str, guessers: int) -> None:
    """From another address at once, however many guess; from the same one after those that wait already."""
    served = _guarded(start, tmp_path)
    with _guessing(served, guessers) as statuses:
        time.sleep(0.5)
        for user in ("alice:right", "bob:right"):
            with served.connect(timeout=8, source=source) as client:
                assert client.ask(headers=_authorization(user)).status == 200
    assert statuses <= {401, 503}


def test_at_the_cap_the_oldest_unfinished_makes_room(start: _Start, hold: Hold) -> None:
    """With ten times as many held connections as there is room for, every scrape is answered."""
    served = start("--connections", "30")
    clients = hold(served, 300, b"GET / HTTP/1.1\r\n")
    _assert_quick(served.scrape_seconds(50))
    assert served.descriptors() <= 30 + 15
    assert clients[0].is_ended()


def test_a_newcomer_is_heard_before_those_who_wait_idle_are_kept(start: _Start) -> None:
    """While more clients ask, wait and connect again than there is room for, every scrape is answered."""
    served = start("--page-bytes", "1000", "--connections", "20")

    def ask_again_and_again(stop: threading.Event) -> None:
        while not stop.is_set():
            with suppress(OSError, EOFError), served.connect() as client:
                while not stop.is_set():
                    client.ask()
                    stop.wait(0.05)

    with in_threads(60, ask_again_and_again):
        _assert_quick(served.scrape_seconds(50))


def test_without_descriptors_it_neither_spins_nor_locks_out(start: _Start, hold: Hold) -> None:
    """When no descriptor is left scrapes are still answered, at little cost and with few words."""
    served = start("--page-bytes", "1000", "--descriptors", "32")
    hold(served, 200, b"GET / HTTP/1.1\r\n")
    _assert_quick(served.scrape_seconds(50))
    processor = usage.processor_seconds(served.process.pid)
    time.sleep(1.0)
    assert usage.processor_seconds(served.process.pid) - processor < allowed(0.05)
    output, _ = served.process.communicate(timeout=60)
    assert output.count("Cannot accept connections") == 1


def test_when_nothing_can_be_given_up_it_waits(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the machine out of descriptors it tries again now and then, and goes on when there are some."""
    tries: list[float] = []
    accept = socket.socket.accept

    def refuse(listener: socket.socket) -> tuple[socket.socket, Any]:
        tries.append(time.monotonic())
        if len(tries) == 5:
            raise ConnectionAbortedError(errno.ECONNABORTED, "it went away again")
        if len(tries) < 5:
            raise OSError(errno.ENFILE if len(tries) % 2 else errno.EMFILE, "no descriptors")
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", refuse)
    assert connect().ask().status == 200
    assert tries[4] - tries[0] > 0.3


def test_idle_then_writing_connections_make_room_but_not_those_being_answered(serve: Serve, wire: Connect) -> None:
    """Evicted are unfinished, idle, writing ones; those being handled stay, and a newcomer waits for one of them."""
    proceed = threading.Event()
    asked = threading.Semaphore(0)
    page = bytes(20_000_000)

    def handler(request: Request) -> Response:
        asked.release()
        if request.path == "/wait":
            proceed.wait(30)
        return Response(200, {}, (page,) if request.path == "/page" else (b"x",))

    server = serve(handler, limits=ServerLimits(connections=2))
    waiting = wire(server)
    waiting.begin("/wait")
    assert asked.acquire(timeout=30)
    idle = wire(server)
    idle.ask()
    writing = wire(server)
    assert idle.is_ended()
    writing.begin("/page")
    writing.socket.recv(1)
    other = wire(server)
    assert writing.is_ended()
    other.begin("/wait")
    for _ in range(3):
        assert asked.acquire(timeout=30)
    late = wire(server)
    late.begin("/late")
    assert not asked.acquire(timeout=0.3)
    proceed.set()
    assert other.answer().body == b"x"
    assert late.answer().body == b"x"


def test_where_all_are_being_answered_a_newcomer_waits_for_the_first(serve: Serve, wire: Connect) -> None:
    """At the cap nobody is refused whom a moment's patience serves."""
    asked = threading.Semaphore(0)

    def handler(request: Request) -> Response:
        asked.release()
        if request.path == "/slow":
            time.sleep(0.2)
        return Response(200, {}, (b"x",))

    server = serve(handler, limits=ServerLimits(connections=1))
    slow = wire(server)
    slow.send(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert asked.acquire(timeout=30)
    assert wire(server).ask().body == b"x"


@pytest.mark.parametrize(
    ("descriptors", "wanted", "cap"),
    [(1024, None, 512), (256, None, 128), (64, None, 16), (-1, None, 512), (1024, 20, 20), (100, 700, 16)],
)
def test_the_cap_leaves_descriptors_free(
    descriptors: int, wanted: int | None, cap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of open files is never used up by connections."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (descriptors, descriptors))
    assert connection_limit(wanted) == cap
