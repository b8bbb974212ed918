"""Request heads over the wire: what is understood, what is rejected, and that nothing else happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gigas_exporter.web import Request, Response, Server
from web.conftest import Connect, Serve, Wire


def _head(line: str = "GET / HTTP/1.1", *headers: str, host: bool = True) -> bytes:
    lines = [line, *(["Host: a"] if host else []), *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@pytest.fixture
def seen(serve: Serve, wire: Connect) -> Callable[[bytes], Request]:
    """Send a head and return the request that the handler sees."""
    requests: list[Request] = []

    async def handler(request: Request) -> Response:
        requests.append(request)
        return Response(200)

    server = serve(handler)

    def send(data: bytes) -> Request:
        client = wire(server)
        client.send(data)
        assert client.answer().status == 200
        return requests[-1]

    return send


def test_a_scrape_is_understood(seen: Callable[[bytes], Request]) -> None:
    """Prometheus' own request comes out as it was meant."""
    request = seen(
        b"GET /metrics?name%5B%5D=a&name%5B%5D=b+c&flag HTTP/1.1\r\nHost: [::1]:10063\r\n"
        b"User-Agent: Prometheus/2.42.0\r\n"
        b"Accept:  text/plain \r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n"
    )
    assert request == Request(
        "GET",
        "/metrics",
        {"name[]": "b c", "flag": ""},
        {
            "host": "[::1]:10063",
            "user-agent": "Prometheus/2.42.0",
            "accept": "text/plain",
            "x-prometheus-scrape-timeout-seconds": "10",
        },
        "127.0.0.1",
    )


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/%6detrics", "/metrics"),
        ("/a%20b", "/a b"),
        ("http://a/metrics", "/metrics"),
        ("HTTPS://a:1/x/y?z", "/x/y"),
        ("http://a", "/"),
        ("*", "*"),
        ("a:443", "a:443"),
    ],
)
def test_a_target_becomes_a_path(target: str, path: str, seen: Callable[[bytes], Request]) -> None:
    """Percent signs are decoded, and the absolute form is understood."""
    assert seen(_head(f"GET {target} HTTP/1.1")).path == path


def test_repeated_headers_are_joined(seen: Callable[[bytes], Request]) -> None:
    """Where a header may be repeated, its values stand in order with commas."""
    assert seen(_head("GET / HTTP/1.1", "Accept: a", "aCCept: b")).headers["accept"] == "a, b"


@pytest.mark.parametrize(
    "host", ["", " ", "a", " a-b.c:1 ", "[::1]:10063", "[fe80::1%25eth0]", "a_b", "\ta\t", "a%20b"]
)
def test_a_host_may_be_any_name_or_address(host: str, seen: Callable[[bytes], Request]) -> None:
    """Also none, as where the target has none."""
    assert seen(_head("GET / HTTP/1.1", f"Host:{host}", host=False)).headers["host"] == host.strip()


@pytest.mark.parametrize(
    ("data", "stays"),
    [
        (_head(), True),
        (_head("GET / HTTP/1.1", "Connection: close"), False),
        (_head("GET / HTTP/1.1", "Connection: Keep-Alive, Close"), False),
        *(
            (_head("GET / HTTP/1.0", *headers, host=False), False)
            for headers in ((), ("Connection: close",), ("Connection: keep-alive",), ("Host: a",))
        ),
    ],
)
def test_whether_the_connection_stays(data: bytes, stays: bool, connect: Connect) -> None:
    """HTTP/1.1 keeps a connection unless told otherwise, HTTP/1.0, with a Host or not, ends it."""
    client = connect(timeout=0.5)
    client.send(data)
    answer = client.answer()
    assert (answer.status, answer.body) == (200, b"GET /\n")
    assert answer.headers.get("connection") == (None if stays else "close")
    assert client.is_ended() is not stays


def test_a_client_that_sends_no_more_is_answered(connect: Connect) -> None:
    """A half-closed connection is no reason to drop a complete request, also while it is handled."""
    asked = asyncio.Event()

    async def handler(_: Request) -> Response:
        asked.set()
        await asyncio.sleep(0.2)
        return Response(200, {}, (b"done",))

    client = connect(handler)
    client.send(_head())
    client.half_close()
    assert client.answer().body == b"done"
    assert client.is_ended()
    assert asked.is_set()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (_head("GET / HTTP/1.1", "A: " + "x" * 17_000), 431),
        (_head("GET / HTTP/1.1", *["A: " + "x" * 100] * 170), 431),
        (_head(f"GET /{'x' * 17_000} HTTP/1.1"), 431),
        (_head(f"GET /?{'x' * 17_000} HTTP/1.1"), 431),
        (b"GET /" + b"a" * 20_000, 431),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 20_000, 431),
        (_head("GET /"), 400),
        (_head("GET  / HTTP/1.1"), 400),
        (_head(" GET / HTTP/1.1"), 400),
        (_head("GET / HTTP/1.1 "), 400),
        (_head("G(T / HTTP/1.1"), 400),
        (_head("GET / http/1.1"), 400),
        (_head("GET / HTTP/1.10"), 400),
        (_head("GET / HTTP/11"), 400),
        (_head("PRI * HTTP/2.0"), 505),
        (_head("GET / HTTP/0.9"), 505),
        (_head("GET /\x7f HTTP/1.1"), 400),
        (_head("GET /\xe9 HTTP/1.1"), 400),
        (_head("GET /%ff HTTP/1.1"), 400),
        (_head("GET /?a=%ff HTTP/1.1"), 400),
        (_head("GET / HTTP/1.1", "A : b"), 400),
        (_head("GET / HTTP/1.1", "A"), 400),
        (_head("GET / HTTP/1.1", ": b"), 400),
        (_head("GET / HTTP/1.1", "A: b\0c"), 400),
        (_head("GET / HTTP/1.1", "A: b\rC: d"), 400),
        (_head("GET / HTTP/1.1", "A: b\nC: d"), 400),
        (_head("GET / HTTP/1.1", "A: b\n\nGET /-/reload HTTP/1.1\nHost: a"), 400),
        (_head("GET / HTTP/1.1", "A: b\r\n\nGET /-/reload HTTP/1.1\r\nHost: a"), 400),
        (_head("GET / HTTP/1.1", "A: b\n\r\nGET /-/reload HTTP/1.1"), 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (_head("GET / HTTP/1.1", " folded: b"), 400),
        (_head("GET / HTTP/1.1", "A: b", "\tfolded: b"), 400),
        (_head("GET / HTTP/1.1", "A: b\x07"), 400),
        (_head("GET /\x01 HTTP/1.1"), 400),
        (_head(host=False), 400),
        (_head("GET / HTTP/1.1", "Host: b"), 400),
        *(
            (_head("GET / HTTP/1.1", f"hOST:{host}", host=False), 400)
            for host in (" a b", "a/b", "a@b", "a,b c", '"a"', "a?", "a#", "<a>", "a\\b", "\xe9", " a\tb", "{a}")
        ),
        (_head("POST / HTTP/1.1", "Content-Length: 1", "Content-Length: 2"), 400),
        (_head("POST / HTTP/1.1", "Content-Length: +1"), 400),
        (_head("POST / HTTP/1.1", "Content-Length:"), 400),
        (_head("POST / HTTP/1.1", "Content-Length: \xb2"), 400),
        (_head("POST / HTTP/1.1", "Content-Length: 65537"), 413),
        (_head("POST / HTTP/1.1", "Content-Length: 100000") + b"x" * 100_000, 413),
        (_head("POST / HTTP/1.1", "Content-Length: " + "9" * 5000), 400),
        (_head("POST / HTTP/1.1", "Transfer-Encoding: chunked"), 501),
        (_head("POST / HTTP/1.1", "Transfer-Encoding: x"), 501),
        (_head("POST / HTTP/1.1", "Transfer-Encoding: chunked", "Content-Length: 1"), 501),
        (_head("HEAD / HTTP/1.1", "Transfer-Encoding: chunked"), 501),
    ],
)
def test_a_bad_head_is_rejected(data: bytes, status: int, connect: Connect) -> None:
    """Each way to be malformed has its status, quotes nothing, and ends the connection, though more was sent."""
    client = connect()
    client.send(data)
    answer = client.answer(head_only=data.startswith(b"HEAD"))
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.is_ended()


def test_the_second_request_is_read_as_strictly(connect: Connect) -> None:
    """What came together with the request before, or piece by piece, is rejected all the same."""
    client = connect()
    client.send(_head() + _head("GET / HTTP/1.1", "A: b\nC: d"))
    assert [client.answer().status, client.answer().status] == [200, 400]
    client = connect()
    for byte in _head("GET / HTTP/1.1", "A: b", " c"):
        client.send(bytes([byte]))
    assert client.answer().status == 400


def test_a_body_may_hold_anything(connect: Connect) -> None:
    """What heads may not hold is no reason to reject a body."""
    body = b"a\n b\0\r\n\r\n"
    client = connect()
    client.send(_head("POST / HTTP/1.1", f"Content-Length: {len(body)}") + body + _head())
    assert [client.answer().status, client.answer().status] == [200, 200]


_SHARDS = st.sampled_from(
    b"GET|POST|HEAD| |/|*|?a=b|%41|%|HTTP/1.1|HTTP/1.0|\r\n|\n|\r|:|Host: a\r\n|Content-Length: |12|Transfer-Encoding: "
    b"|chunked\r\n|\0|\t|\xff|Connection: |close|upgrade|Expect: |100-continue|://|http|[::1]|,|=|&".split(b"|")
)


@pytest.fixture(scope="module")
def victim() -> Iterator[Server]:
    """A server that all examples are sent to."""

    async def handler(_: Request) -> Response:
        return Response(200)

    server = Server([("127.0.0.1", 0)], handler)
    server.start()
    yield server
    server.close(0.2)


def _assert_answered(server: Server, data: bytes) -> None:
    """Send the bytes and no more; what comes back is nothing or responses that a client may get."""
    with Wire(server.address) as client:
        client.send(data)
        client.half_close()
        assert client.is_ended()
    said = client.received
    statuses = {int(part[:3]) for part in said.split(b"HTTP/1.1 ")[1:]}
    assert statuses <= {100, 200, 400, 413, 431, 501, 505}
    assert (said == b"") is not bool(statuses)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_answered(victim: Server, data: bytes) -> None:
    """Whatever comes is answered or ended; nothing is raised."""
    _assert_answered(victim, data)
    _assert_answered(victim, b"GET / HTTP/1.1\r\nHost: a\r\n" + data + b"\r\n\r\n")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(_SHARDS, max_size=40))
def test_any_mix_of_what_heads_are_made_of_is_answered(victim: Server, shards: list[bytes]) -> None:
    """Heads that are nearly right are answered as well, and no defect is logged."""
    _assert_answered(victim, b"".join(shards) + b"\r\n\r\n")
    _assert_answered(victim, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(shards) + b"\r\n\r\n")


def test_no_defect_shows(victim: Server, caplog: pytest.LogCaptureFixture) -> None:
    """The worst of the examples, again, with the log looked at."""
    for data in (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", b"\r\n" * 200):
        _assert_answered(victim, data)
    assert caplog.records == []
