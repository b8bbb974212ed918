"""The request head's parser: what is understood, what is refused, and that nothing else happens."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigas_exporter.web.head import MAXIMUM_BODY_BYTES, MAXIMUM_HEAD_BYTES, Head, Refusal, parse_head
from gigas_exporter.web.message import Request


def _head(line: str = "GET / HTTP/1.1", *headers: str, host: bool = True) -> bytes:
    lines = [line, *(["Host: a"] if host else []), *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _understood(data: bytes) -> Head:
    head = parse_head(data)
    assert isinstance(head, Head), head
    return head


def test_a_scrape_is_understood() -> None:
    """Prometheus' own request comes out as it was meant."""
    head = _understood(
        b"GET /metrics?name%5B%5D=a&name%5B%5D=b+c&flag HTTP/1.1\r\nHost: [::1]:10063\r\n"
        b"User-Agent: Prometheus/2.42.0\r\n"
        b"Accept:  text/plain \r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n"
    )
    assert head == Head(
        request=Request(
            "GET",
            "/metrics",
            {"name[]": "b c", "flag": ""},
            {
                "host": "[::1]:10063",
                "user-agent": "Prometheus/2.42.0",
                "accept": "text/plain",
                "x-prometheus-scrape-timeout-seconds": "10",
            },
        ),
        keep_alive=True,
        body_bytes=0,
        expects_continue=False,
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
def test_a_target_becomes_a_path(target: str, path: str) -> None:
    """Percent signs are decoded, and the absolute form is understood."""
    assert _understood(_head(f"GET {target} HTTP/1.1")).request.path == path


@pytest.mark.parametrize(
    ("version", "connection", "keep_alive"),
    [
        ("1.1", None, True),
        ("1.1", "close", False),
        ("1.1", "Keep-Alive, Close", False),
        ("1.9", None, True),
        ("1.0", None, False),
        ("1.0", "Keep-Alive", True),
        ("1.0", "keep-alive, close", False),
    ],
)
def test_whether_the_connection_stays(version: str, connection: str | None, keep_alive: bool) -> None:
    """HTTP/1.1 keeps a connection unless told otherwise, HTTP/1.0 ends it unless told otherwise."""
    headers = [] if connection is None else [f"Connection: {connection}"]
    assert _understood(_head(f"GET / HTTP/{version}", *headers)).keep_alive is keep_alive


@pytest.mark.parametrize(("length", "count"), [("0", 0), ("007", 7), ("65536", MAXIMUM_BODY_BYTES), ("0" * 99, 0)])
def test_a_body_may_be_small(length: str, count: int) -> None:
    """A length is read as decimal digits."""
    assert _understood(_head("POST / HTTP/1.1", f"Content-Length: {length}")).body_bytes == count


def test_repeated_headers_are_joined() -> None:
    """Where a header may be repeated, its values stand in order with commas."""
    assert _understood(_head("GET / HTTP/1.1", "Accept: a", "aCCept: b")).request.headers["accept"] == "a, b"


def test_http_1_0_needs_no_host() -> None:
    """HTTP/1.0 knew no Host header; 100-continue means nothing there."""
    head = _understood(_head("GET / HTTP/1.0", "Expect: 100-continue", host=False))
    assert head.expects_continue is False


def test_continue_is_noticed() -> None:
    """A client that waits for 100 Continue is told so."""
    assert _understood(_head("POST / HTTP/1.1", "Content-Length: 3", "Expect: 100-Continue")).expects_continue


_MALFORMED = "the request line is malformed"
_TARGET = "the request target is malformed"
_HEADER = "a header is malformed"
_LINE = "a line does not end with CR LF"
_ONCE = "a header that may stand once is repeated"


@pytest.mark.parametrize(
    ("data", "status", "why"),
    [
        (b"", 400, "the request head ends too early"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", 400, "the request head ends too early"),
        (b"GET / HTTP/1.1\r\nHost: a" + b"x" * MAXIMUM_HEAD_BYTES + b"\r\n\r\n", 431, "the request head is too large"),
        (_head("GET / HTTP/1.1", *["A: b"] * 100), 431, "there are too many headers"),
        (_head(f"GET /{'x' * 8192} HTTP/1.1"), 414, "the request target is too long"),
        (_head("GET /"), 400, _MALFORMED),
        (_head("GET  / HTTP/1.1"), 400, _MALFORMED),
        (_head(" GET / HTTP/1.1"), 400, _MALFORMED),
        (_head("GET / HTTP/1.1 "), 400, _MALFORMED),
        (_head("G(T / HTTP/1.1"), 400, _MALFORMED),
        (_head("GET / http/1.1"), 400, _MALFORMED),
        (_head("GET / HTTP/1.10"), 400, _MALFORMED),
        (_head("GET / HTTP/11"), 400, _MALFORMED),
        (_head("PRI * HTTP/2.0"), 505, "only HTTP/1.0 and HTTP/1.1 are spoken here"),
        (_head("GET / HTTP/0.9"), 505, "only HTTP/1.0 and HTTP/1.1 are spoken here"),
        (_head("GET /a#b HTTP/1.1"), 400, _TARGET),
        (_head("GET /\x7f HTTP/1.1"), 400, _TARGET),
        (_head("GET /\xe9 HTTP/1.1"), 400, _TARGET),
        (_head("GET /%ff HTTP/1.1"), 400, _TARGET),
        (_head("GET /?a=%ff HTTP/1.1"), 400, _TARGET),
        (_head("GET /?" + "a&" * 65 + " HTTP/1.1"), 400, _TARGET),
        (_head("GET ftp://a/ HTTP/1.1"), 400, _TARGET),
        (_head("GET / HTTP/1.1", " folded: b"), 400, _HEADER),
        (_head("GET / HTTP/1.1", "A : b"), 400, _HEADER),
        (_head("GET / HTTP/1.1", "A"), 400, _HEADER),
        (_head("GET / HTTP/1.1", ": b"), 400, _HEADER),
        (_head("GET / HTTP/1.1", "A: b\x07"), 400, _HEADER),
        (_head("GET / HTTP/1.1", "A: b\0c"), 400, _LINE),
        (_head("GET / HTTP/1.1", "A: b\nC: d"), 400, _LINE),
        (_head("GET / HTTP/1.1", "A: b\rC: d"), 400, _LINE),
        (_head(host=False), 400, "the Host header is missing"),
        (_head("GET / HTTP/1.1", "Host: b"), 400, _ONCE),
        (_head("GET / HTTP/1.1", "Host: a b", host=False), 400, "the Host header is malformed"),
        (_head("GET / HTTP/1.1", "Host: a/b", host=False), 400, "the Host header is malformed"),
        (_head("GET / HTTP/1.1", "Host: a:x", host=False), 400, "the Host header is malformed"),
        (_head("POST / HTTP/1.1", "Content-Length: 1", "Content-Length: 1"), 400, _ONCE),
        (_head("GET / HTTP/1.1", "Authorization: a", "Authorization: b"), 400, _ONCE),
        (_head("POST / HTTP/1.1", "Content-Length: +1"), 400, "Content-Length is malformed"),
        (_head("POST / HTTP/1.1", "Content-Length: 1, 1"), 400, "Content-Length is malformed"),
        (_head("POST / HTTP/1.1", "Content-Length:"), 400, "Content-Length is malformed"),
        (_head("POST / HTTP/1.1", "Content-Length: \xb2"), 400, "Content-Length is malformed"),
        (_head("POST / HTTP/1.1", "Content-Length: 65537"), 413, "the body is too large"),
        (_head("POST / HTTP/1.1", "Content-Length: " + "9" * 5000), 413, "the body is too large"),
        (_head("POST / HTTP/1.1", "Transfer-Encoding: chunked"), 501, "Transfer-Encoding is not spoken here"),
        (
            _head("POST / HTTP/1.1", "Transfer-Encoding: x", "Content-Length: 1"),
            400,
            "Transfer-Encoding and Content-Length contradict each other",
        ),
        (_head("GET / HTTP/1.1", "Expect: cake"), 417, "the only expectation that can be met is 100-continue"),
    ],
)
def test_a_bad_head_is_refused(data: bytes, status: int, why: str) -> None:
    """Each way to be malformed has its status and its reason, which quotes nothing of the request."""
    assert parse_head(data) == Refusal(status, why)


_SHARDS = st.sampled_from(
    b"GET|POST| |/|*|?a=b|%41|%|HTTP/1.1|HTTP/1.0|\r\n|\n|\r|:|Host|a|Content-Length|12|Transfer-Encoding|chunked|\0|\t"
    b"|\xff|Connection|close|Expect|100-continue|://|http|[::1]|,|=|&".split(b"|")
)


def _judge(data: bytes) -> None:
    head = parse_head(data)
    if isinstance(head, Refusal):
        assert head.status in {400, 413, 414, 417, 431, 501, 505}
        assert re.fullmatch(r"[ -~]+", head.why)
        return
    assert 0 <= head.body_bytes <= MAXIMUM_BODY_BYTES
    assert "transfer-encoding" not in head.request.headers
    for name, value in head.request.headers.items():
        assert name == name.lower()
        assert not set(name + value) & set("\r\n\0")


@given(st.binary(max_size=400))
def test_any_bytes_are_judged(data: bytes) -> None:
    """Whatever comes is a head or a refusal; nothing is raised."""
    _judge(data)
    _judge(data + b"\r\n\r\n")
    _judge(b"GET / HTTP/1.1\r\nHost: a\r\n" + data + b"\r\n\r\n")


@given(st.lists(_SHARDS, max_size=40))
def test_any_mix_of_what_heads_are_made_of_is_judged(shards: list[bytes]) -> None:
    """Heads that are nearly right are a head or a refusal as well."""
    _judge(b"".join(shards) + b"\r\n\r\n")
    _judge(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(shards) + b"\r\n\r\n")
