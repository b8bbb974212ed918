"""The server over real sockets: what it answers, what it keeps open, how it ends."""

from __future__ import annotations

import errno
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from gigas_exporter.errors import ConfigError
from gigas_exporter.formatting import format_address
from gigas_exporter.web import Request, Response, Server, ServerLimits
from gigas_exporter.web.listener import open_listener
from support.timing import within
from web.conftest import Connect, Serve, in_thread


def test_a_request_is_answered_with_what_the_handler_says(connect: Connect) -> None:
    """The response carries its length, its date and the headers that keep browsers from guessing."""
    answer = connect().ask("/metrics")
    assert (answer.status, answer.body) == (200, b"GET /metrics\n")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "connection" not in answer.headers
    assert answer.headers["date"].endswith(" GMT")
    assert "server" not in answer.headers


def test_a_connection_serves_many_requests(connect: Connect) -> None:
    """HTTP/1.1 keeps the connection, and HEAD answers without a body but with its length."""
    client = connect()
    assert client.ask("/a").body == b"GET /a\n"
    head = client.ask("/b", method="HEAD")
    assert (head.headers["content-length"], head.body) == ("8", b"")
    assert client.ask("/c").body == b"GET /c\n"


def test_pipelined_requests_are_answered_in_order(connect: Connect) -> None:
    """Requests that come together are answered one after another; the last closes."""
    client = connect()
    client.begin("/1")
    client.send(b"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
    client.send(b"GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /4 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [client.answer().body for _ in range(3)] == [b"GET /1\n", b"POST /2\n", b"GET /3\n"]
    assert client.is_ended()


def test_empty_lines_without_end_are_no_request(connect: Connect) -> None:
    """A few before a request are ignored; who sends nothing else is told so and does not occupy the processor."""
    client = connect()
    client.send(b"\r\n" * 100 + b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + b"\r\n" * 101)
    assert client.answer().body == b"GET /a\n"
    assert client.answer().status == 400
    assert client.is_ended()


def test_a_request_may_come_byte_by_byte(connect: Connect) -> None:
    """Where the network cuts a request makes no difference."""
    client = connect()
    for byte in b"\r\nPOST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi":
        client.send(bytes([byte]))
        time.sleep(0.001)
    assert client.answer().body == b"POST /a\n"
    for part in (b"GET / HTTP/1.1\r", b"\nHost: x\r\n\r", b"\n"):
        client.send(part)
        time.sleep(0.02)
    assert client.answer().status == 200


def test_a_body_is_waited_for_and_skipped(connect: Connect) -> None:
    """A client that asks first is told to go on, and the body is not taken for a request."""
    client = connect()
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert client.answer().status == 100
    client.send(b"he")
    client.send(b"llo")
    assert client.answer().body == b"POST /\n"
    assert client.ask().status == 200


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"HTTP/1.1 400 "),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe", b""),
    ],
    ids=["nothing", "a part of a head", "a part of a body"],
)
def test_input_that_ends_early_is_no_request(connect: Connect, sent: bytes, said: bytes) -> None:
    """However complete it looks, the handler is not asked; who began no head, or ended it, gets no answer."""
    asked: list[Request] = []

    def handler(request: Request) -> Response:
        asked.append(request)
        return Response(200)

    client = connect(handler)
    client.send(sent)
    client.half_close()
    assert client.is_ended()
    assert client.received.startswith(said)
    assert bool(client.received) is bool(said)
    assert not asked


def test_a_head_in_drips_has_an_absolute_deadline(connect: Connect) -> None:
    """A byte now and then does not extend the time for a head."""
    client = connect(limits=ServerLimits(head_seconds=0.4))
    begin = time.monotonic()
    client.socket.settimeout(0.05)
    received = b""
    while b"\r\n\r\n" not in received and time.monotonic() < begin + 60:
        client.send(b"G")
        try:
            received += client.socket.recv(4096)
        except TimeoutError:
            continue
    assert received.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - begin > 0.3


@pytest.mark.parametrize("together", [False, True])
def test_the_next_head_has_an_absolute_deadline_too(connect: Connect, *, together: bool) -> None:
    """Whether it begins with the request before it or later, and not that of a connection that waits."""
    client = connect(limits=ServerLimits(head_seconds=0.3))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET" * together)
    assert client.answer().status == 200
    client.send(b"GET" * (not together))
    assert client.answer().status == 408


def test_a_silent_connection_is_closed_without_a_word(connect: Connect) -> None:
    """Who sends nothing is not told that it took too long."""
    client = connect(limits=ServerLimits(head_seconds=0.2))
    assert client.socket.recv(100) == b""


def test_an_idle_connection_ends(connect: Connect) -> None:
    """After a request the idle time counts, and a next head has its own time again."""
    client = connect(limits=ServerLimits(head_seconds=0.3, idle_seconds=2.0))
    client.ask()
    time.sleep(0.5)
    assert client.ask().status == 200
    begin = time.monotonic()
    assert client.is_ended()
    assert time.monotonic() - begin > 0.6


def test_a_reader_in_drips_has_an_absolute_deadline(connect: Connect) -> None:
    """An answer that is read too slowly is cut, although some of it is read all the time."""
    page = bytes(20_000_000)
    client = connect(lambda _: Response(200, {}, (page,)), limits=ServerLimits(request_seconds=0.5))
    client.begin()
    begin, got = time.monotonic(), 0
    while True:
        data = client.socket.recv(4096)
        got += len(data)
        if not data:
            break
        if time.monotonic() < begin + 2:
            time.sleep(0.01)
    assert got < len(page)


def test_many_chunks_arrive_whole(connect: Connect) -> None:
    """A body in thousands of pieces, some of them empty, arrives in order."""
    chunks = (*(str(number).encode() * (number % 7) for number in range(5000)), bytes(3_000_000))
    answer = connect(lambda _: Response(200, {}, chunks)).ask()
    assert answer.body == b"".join(chunks)


def test_a_response_in_pieces_does_not_wait_for_acknowledgements(connect: Connect) -> None:
    """A client that acknowledges late, as kernels do on kept connections, gets the last piece at once all the same."""
    client = connect(lambda _: Response(200, {}, (b"a", b"b", b"c")))
    seconds: list[float] = []
    for _ in range(41):
        began = time.monotonic()
        assert client.ask().body == b"abc"
        seconds.append(time.monotonic() - began)
    assert sorted(seconds)[10] < 0.03  # they delay them by 0.04 s, but the first few; a busy machine delays single ones


def test_a_handler_that_fails_is_a_500_and_one_line(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """The process goes on, and neither answer nor log holds the error's text, which might be a secret."""

    def handler(_: Request) -> Response:
        raise ValueError("hunter2")

    client = connect(handler)
    answer = client.ask("/x")
    again = client.ask("/y")
    assert (answer.status, answer.body, again.status) == (500, b"Internal Server Error\n", 500)
    assert answer.headers["x-content-type-options"] == "nosniff"
    facts: list[Any] = [vars(record).get("facts") for record in caplog.records]
    assert [fact["error"] for fact in facts] == ["ValueError", "ValueError"]
    assert "hunter2" not in caplog.text + repr(facts) + repr(answer)


def test_a_defect_does_not_end_accepting(
    serve: Serve,
    wire: Connect,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever waits meanwhile is served a moment later, and the defect is one line."""
    server = serve(limits=ServerLimits(connections=1))
    wire(server).ask()
    evict_one = Server._evict_one

    def break_once(self: Server) -> bool:
        monkeypatch.setattr(Server, "_evict_one", evict_one)
        raise ZeroDivisionError

    monkeypatch.setattr(Server, "_evict_one", break_once)
    assert wire(server).ask().status == 200
    assert [vars(record)["facts"]["error"] for record in caplog.records] == ["ZeroDivisionError"]


def test_a_client_that_resets_disturbs_nobody(serve: Serve, wire: Connect) -> None:
    """A reset in the middle of an answer is that client's own affair."""
    page = bytes(5_000_000)
    server = serve(lambda _: Response(200, {}, (page,)))
    client = wire(server)
    client.begin()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.socket.close()
    assert len(wire(server).ask().body) == len(page)


def test_a_port_in_use_is_one_line(serve: Serve) -> None:
    """That a port is taken is known when the server is made, before anything is started."""
    host, port = serve().address
    with pytest.raises(ConfigError) as caught:
        Server([(host, 0), (host, port)], in_thread(lambda _: Response(200)))
    assert str(caught.value) == f"cannot listen on 127.0.0.1:{port}: Address already in use"


@pytest.mark.parametrize(
    ("listen", "message"),
    [
        (("192.0.2.1", 9000), "cannot listen on 192.0.2.1:9000: Cannot assign requested address"),
        (("2001:db8::1", 9000), "cannot listen on [2001:db8::1]:9000: Cannot assign requested address"),
        (("host.invalid", 9000), "cannot listen on host.invalid:9000: "),
        (("a" * 70, 1), f"cannot listen on {'a' * 70}:1: "),
    ],
)
def test_an_address_that_cannot_be_is_one_line(listen: tuple[str, int], message: str) -> None:
    """Whatever is wrong with an address, the message names it as the user wrote it."""
    with pytest.raises(ConfigError) as caught:
        Server([listen], in_thread(lambda _: Response(200)))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_the_empty_host_is_displayed_as_it_was_written() -> None:
    """The default address is shown as ``:10063``."""
    assert format_address(("", 10063)) == ":10063"


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Note what would be listened on, and listen on loopback instead of everywhere."""
    noted: list[tuple[str, bool]] = []
    create_server = socket.create_server

    def create(address: tuple[str, int], *, dualstack_ipv6: bool = False, **_: Any) -> socket.socket:
        noted.append((address[0], dualstack_ipv6))
        if dualstack_ipv6 and address[1] == 1:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        if dualstack_ipv6 and address[1] == 2:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        return create_server(("127.0.0.1", 0))

    monkeypatch.setattr(socket, "create_server", create)
    return noted


def test_the_empty_host_is_ipv6_and_ipv4(created: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is listened on where the machine has both, and IPv4 where it has not, or IPv6 is off."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: True)
    open_listener(("", 9000)).close()
    assert created == [("", True)]
    open_listener(("", 1)).close()
    assert created[1:] == [("", True), ("", False)]
    with pytest.raises(ConfigError, match=r"^cannot listen on :2: Address already in use$"):
        open_listener(("", 2))
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    open_listener(("", 9000)).close()
    assert created[-1] == ("", False)


def test_ipv6_is_listened_on(wire: Connect) -> None:
    """An IPv6 address is served; a machine without IPv6 cannot show it."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        server = Server([("::1", 0)], in_thread(lambda _: Response(200, {}, (b"6",))))
    except ConfigError as error:
        pytest.skip(f"no IPv6 here: {error}")
    server.start()
    try:
        assert wire(server).ask().body == b"6"
        assert server.accepts()
    finally:
        server.close(0.2)
    assert not server.accepts()


def test_a_request_under_way_is_finished_at_the_end(serve: Serve, wire: Connect) -> None:
    """Closing refuses newcomers, ends idle connections at once, and waits for the answer that is being made."""
    asked, proceed = threading.Event(), threading.Event()

    def handler(request: Request) -> Response:
        if request.path == "/slow":
            asked.set()
            proceed.wait(30)
        return Response(200, {}, (b"done",))

    server = serve(handler)
    idle, slow, half = wire(server), wire(server), wire(server)
    idle.ask()
    half.send(b"GET /half")
    slow.begin("/slow")
    assert asked.wait(30)
    finished: list[bool] = []
    closing = threading.Thread(target=lambda: finished.append(server.close(5)))
    closing.start()
    assert idle.is_ended()
    with pytest.raises(OSError, match=r"refused"):
        socket.create_connection(server.address, timeout=1)
    proceed.set()
    answer = slow.answer()
    closing.join(5)
    assert (answer.body, answer.headers["connection"]) == (b"done", "close")
    assert finished == [True]
    assert half.is_ended()
    assert server.close() is True


def test_who_connected_before_the_end_is_answered(serve: Serve, wire: Connect) -> None:
    """A connection that still waits in the kernel's queue when the server closes gets its answer."""
    server = Server([("127.0.0.1", 0)], in_thread(lambda _: Response(200, {}, (b"served",))))
    client = wire(server)
    client.begin()
    server.start()
    server.close(2)
    assert client.answer().body == b"served"


def test_a_server_that_was_never_started_closes() -> None:
    """Nothing is left open when the start-up ends early."""
    server = Server([("127.0.0.1", 0)], in_thread(lambda _: Response(200)))
    assert not server.accepts()
    assert server.close(0.1) is True


def test_the_end_does_not_wait_longer_than_its_grace(serve: Serve, wire: Connect) -> None:
    """A client that does not read its answer is cut when the grace is over."""
    page = bytes(20_000_000)
    server = serve(lambda _: Response(200, {}, (page,)))
    client = wire(server)
    client.begin()
    client.socket.recv(100)
    begin = time.monotonic()
    assert server.close(0.5) is False
    assert time.monotonic() - begin > 0.4


def test_the_end_does_not_wait_for_an_event_loop_that_is_blocked(serve: Serve, wire: Connect) -> None:
    """A defect that blocks it must not keep the process from its end."""
    blocked, release = threading.Event(), threading.Event()

    async def block(_: Request) -> Response:
        blocked.set()
        release.wait(60)
        return Response(200)

    server = serve(block)
    wire(server).begin("/")
    assert blocked.wait(5)
    try:
        with within(5):
            assert server.close(0.2) is False
    finally:
        release.set()


def test_the_end_does_not_wait_for_places(serve: Serve, wire: Connect) -> None:
    """Where all that there may be are being answered, those who still wait to be let in do not put the end off."""
    held = threading.Event()

    def hold(_: Request) -> Response:
        held.wait(60)
        return Response(200, {}, ())

    server = serve(hold, limits=ServerLimits(connections=16))
    for _ in range(40):
        wire(server).begin()
    time.sleep(0.5)
    with within(3.0):
        server.close(0.2)
    held.set()


def test_a_lack_of_threads_costs_no_response(serve: Serve, wire: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has its threads from the start, whatever polls or other programs take from then on."""
    all_asked = threading.Barrier(6)

    def wait_for_all(_: Request) -> Response:
        all_asked.wait(20)
        return Response(200)

    server = serve(wait_for_all)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    clients = [wire(server) for _ in range(6)]
    for client in clients:
        client.begin()
    assert [client.answer().status for client in clients] == [200] * 6


@pytest.mark.parametrize("available", [0, 3, 6])
def test_without_its_threads_it_does_not_start(monkeypatch: pytest.MonkeyPatch, available: int) -> None:
    """It says so instead of answering some scrapes only, and leaves no thread behind."""
    server = Server([("127.0.0.1", 0)], in_thread(lambda _: Response(200)))
    start, started = threading.Thread.start, list[threading.Thread]()

    def count(thread: threading.Thread) -> None:
        if len(started) == available:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", count)
    with pytest.raises(RuntimeError):
        server.start()
    server.close()
    for thread in started:
        thread.join(10)
    assert not any(thread.is_alive() for thread in started)


def test_two_hundred_scrapes_at_once_are_all_answered(serve: Serve) -> None:
    """A burst waits in the listen queue and is answered whole."""
    page = (b"gigas_up 1\n" * 1000,)
    host, port = serve(lambda _: Response(200, {}, page)).address

    def scrape(_: int) -> tuple[int, int]:
        response = requests.get(f"http://{host}:{port}/metrics", timeout=20)
        return response.status_code, len(response.content)

    with ThreadPoolExecutor(200) as pool:
        assert list(pool.map(scrape, range(200))) == [(200, 11_000)] * 200
