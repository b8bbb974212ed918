"""One request ends by its deadline, however the bytes come."""

from __future__ import annotations

import errno
import socket
import threading
import time
from typing import Any

import pytest

from client.conftest import hang, sends
from gigas_exporter.clock import Deadline, SystemClock
from gigas_exporter.errors import DecodeError, TransportError
from gigas_exporter.gigas import ReadClient, connect
from gigas_exporter.gigas.socket_deadline import SocketDeadline
from support.programs import unanswered
from support.scripted_api import Seen, Wire
from support.timing import within

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n"
DRIP = 0.4  # so that the whole takes more than twenty seconds
# On a busy machine the time may be over before the first request, or just before a second one.
TOO_LATE = "in time|passed before the request"


def _drip_headers_for_ever(seen: Seen, wire: Wire) -> None:
    wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    wire.drip(HEAD, DRIP)


def _drip_body(seen: Seen, wire: Wire) -> None:
    wire.send(HEAD)
    wire.drip(b"[" + b" " * 59, DRIP)


def _drip_chunks(seen: Seen, wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    wire.drip(b"1\r\n[\r\n" * 20, DRIP)


DRIPS = (hang, lambda _, wire: wire.drip(HEAD, DRIP), _drip_headers_for_ever, _drip_body, _drip_chunks)


def assert_in_time(client: ReadClient, words: str = TOO_LATE) -> None:
    """A request fails by its deadline of half a second, as a timeout."""
    with within(3.0), pytest.raises(TransportError, match=words) as caught:
        client.get_disk("1", "2", deadline=Deadline(SystemClock(), 0.6))
    assert caught.value.reason == "timeout"


@pytest.mark.parametrize("script", DRIPS)
@pytest.mark.parametrize("tls", [False, True])
def test_a_drip_ends_by_the_deadline(api: Any, authority: Any, script: Any, *, tls: bool) -> None:
    """Bytes that come one by one do not move the deadline, in headers, body or chunks, plain or encrypted."""
    server = api(script, context=authority.context if tls else None)
    assert_in_time(api.client(server, timeout_seconds=0.5, ca_file=authority.ca_file))


def test_a_handshake_that_drips_ends_by_the_deadline(api: Any, authority: Any) -> None:
    """A server that never finishes the TLS handshake holds no one."""
    hello = b"\x16\x03\x03\x7f\xff" + b"\x02" * 60
    server = api(hang, context=authority.context, handshake=lambda wire: wire.drip(hello, DRIP))
    assert_in_time(api.client(server, timeout_seconds=0.5, ca_file=authority.ca_file))


def test_a_proxy_that_drips_ends_by_the_deadline(api: Any, authority: Any) -> None:
    """The CONNECT to a proxy is inside the deadline too."""
    proxy = api(lambda seen, wire: wire.drip(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 60, DRIP)).url
    assert_in_time(api.client("https://127.0.0.1:1", proxy=proxy, timeout_seconds=0.5, ca_file=authority.ca_file))


def test_a_connect_thathangs_ends_by_the_deadline(api: Any) -> None:
    """A full listen queue lets a connect hang; the deadline covers it."""
    with unanswered() as address:
        assert_in_time(api.client(f"http://127.0.0.1:{address[1]}", timeout_seconds=0.5), "get_disk")


def test_a_connection_that_the_kernel_gives_up_is_a_timeout(
    api: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own timeout is reported as one, though the deadline has not passed."""

    def give_up(*arguments: Any, **options: Any) -> Any:
        raise OSError(errno.ETIMEDOUT, "Connection timed out")

    monkeypatch.setattr(connect, "_begin_connect", give_up)
    with pytest.raises(TransportError, match="the connection timed out") as caught:
        api.client("http://127.0.0.1:1", clock=clock).get_disk("1", "2")
    assert caught.value.reason == "timeout"


def test_a_request_body_that_is_not_taken_ends_by_the_deadline() -> None:
    """Sending is bounded as receiving is."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        SocketDeadline(0.5, threading.Event()) as deadline,
        within(3.0),
        connect.Dialer().connect("127.0.0.1", listener.getsockname()[1], [], deadline)[0] as sock,
    ):
        deadline.attach(sock)
        with pytest.raises(OSError, match="Broken pipe"):
            sock.sendall(b"x" * 50_000_000)
    assert deadline.expired


def test_a_socket_that_is_attached_too_late_is_shut_down() -> None:
    """The watcher may find that the time is up between two connections of one exchange."""
    ours, theirs = socket.socketpair()
    with ours, theirs, SocketDeadline(0.0, threading.Event()) as deadline:
        deadline.expire()
        with pytest.raises(TimeoutError):
            deadline.attach(ours)
        assert theirs.recv(1) == b""


@pytest.mark.parametrize(
    ("answered", "timeout", "words"),
    [
        (0, 0.2, r"in time \(\S+\); raise api\.timeout"),
        (0, 30.0, r"in time \(\S+\); raise api\.timeout"),
        (1, 30.0, r"in time \(\S+\): the deadline passed; raise api\.page_size, api\.max_concurrency"),
    ],
)
def test_a_timeout_names_what_ended_it(api: Any, answered: int, timeout: float, words: str) -> None:
    """Where pages came and the time for all of them ended, a longer time for one would change nothing."""

    def script(seen: Seen, wire: Wire) -> None:
        if int(seen.query["offset"]) < answered:
            wire.reply(200, [{"id": 1}], {"X-Total": "9"})
        else:
            wire.hang()

    client = api.client(script, timeout_seconds=timeout, page_size=1, max_concurrency=1)
    with within(10.0), pytest.raises(TransportError, match=words):
        client.list_disks("1", deadline=Deadline(SystemClock(), 1.0, may_retry=lambda: False))
    with pytest.raises(TransportError, match=r"passed before the request; raise api\.page_size"):
        client.list_disks("1", deadline=Deadline(SystemClock(), 0.0))


def test_a_socket_that_has_no_peer_any_more_ends_no_other_deadline() -> None:
    """The thread that shuts sockets down is the only one."""
    with socket.socket() as sock, SocketDeadline(60.0, threading.Event()) as deadline:
        deadline.attach(sock)
        deadline.expire()
    assert deadline.expired


def test_the_end_of_the_process_ends_a_request(api: Any) -> None:
    """A request under way does not hold up a process that is told to stop."""
    stop = threading.Event()
    client = api.client(hang, timeout_seconds=60.0)
    threading.Timer(0.3, stop.set).start()
    with within(4.0), pytest.raises(TransportError):
        client.get_disk("1", "2", deadline=Deadline(SystemClock(), 60.0, stop))


def test_closing_a_client_ends_calls_without_a_budget(api: Any) -> None:
    """Who gives no deadline is stopped by closing the client."""
    client = api.client(hang, timeout_seconds=60.0)
    threading.Timer(0.3, client.close).start()
    with within(4.0), pytest.raises(TransportError):
        client.list_disks("1")
    with pytest.raises(TransportError, match="the client is closed"):
        client.get_disk("1", "2", deadline=Deadline(SystemClock(), 5.0))


def test_closing_a_client_ends_a_list_whose_pages_wait_in_the_queue(api: Any) -> None:
    """Pages under way end by their own limits, and those behind them are not begun."""

    def script(seen: Any, wire: Any) -> None:
        if seen.query["offset"] == "0":
            wire.reply(200, [{"id": number} for number in range(200)], {"X-Total": "10000"})
        else:
            asked.set()
            wire.hang()

    asked = threading.Event()
    server = api(script)
    client = api.client(server, timeout_seconds=0.6, max_concurrency=2)
    failures: list[BaseException] = []

    def read() -> None:
        try:
            client.list_disks("1", deadline=Deadline(SystemClock(), 60.0))
        except TransportError as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert asked.wait(30)
    with within(4.0):
        client.close()
        reader.join(60)
    assert not reader.is_alive()
    assert len(failures) == 1
    assert len(server.seen) <= 3


def test_timeouts_are_tried_three_times(api: Any, clock: Any) -> None:
    """Each try has the whole of the request's limit, and each is counted."""
    client = api.client(hang, timeout_seconds=0.2, clock=clock)
    with within(4.0), pytest.raises(TransportError):
        client.get_disk("1", "2")
    assert api.ledger.requests == [("get_disk", "timeout")] * 3
    assert api.ledger.retries == ["get_disk"] * 2


def test_a_budget_that_is_spent_makes_no_request(api: Any) -> None:
    """Nothing is sent once the time is up."""
    server = api(lambda seen, wire: wire.reply(200, {"id": 1}))
    with pytest.raises(TransportError, match="before the request"):
        api.client(server).get_disk("1", "2", deadline=Deadline(SystemClock(), 0.0))
    assert server.seen == []


def test_an_error_whose_body_never_comes_is_that_error(api: Any) -> None:
    """The status counts, whatever comes behind it."""
    client = api.client(
        sends(b"HTTP/1.1 404 Gone\r\nContent-Length: 60\r\n\r\n", then_closes=False), timeout_seconds=0.4
    )
    with within(3.0), pytest.raises(Exception, match="answered 404"):
        client.get_disk("1", "2")
    assert api.ledger.requests == [("get_disk", "404")]


def test_what_took_long_is_measured(api: Any) -> None:
    """The observer hears how long a request took."""

    def script(seen: Any, wire: Any) -> None:
        time.sleep(0.2)
        wire.reply(200, b"no json")

    with pytest.raises(DecodeError):
        api.client(script).get_disk("1", "2")
    assert api.ledger.requests == [("get_disk", "invalid")]
    assert api.ledger.seconds[0] >= 0.2
