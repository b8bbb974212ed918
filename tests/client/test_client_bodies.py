"""Answers that are large, cut off, garbled or no answers at all."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import zlib
from typing import Any

import pytest

from client.conftest import DISK, sends, well
from gigas_exporter.clock import Deadline, SystemClock
from gigas_exporter.errors import ApiError, ConfigError, DecodeError, GigasError, TransportError
from gigas_exporter.gigas.http_response import MAX_BODY_BYTES
from support.scripted_api import Script
from support.timing import within

GZIP = gzip.compress(b'{"id": 2}')


def raw(head: str, body: bytes = b"") -> Script:
    """Return a script that sends a head and a body as they stand and closes the connection."""
    return sends(head.replace("\n", "\r\n").encode() + b"\r\n\r\n", body)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (raw("HTTP/1.1 200 OK\nContent-Type: text/html", b"<html>canary</html>"), "is not JSON"),
        (raw("HTTP/1.1 200 OK", b"[1]"), "no readable id"),
        (raw("HTTP/1.1 200 OK\nContent-Encoding: br", b"canary"), "not requested"),
        (raw("HTTP/1.1 200 OK\nContent-Encoding: deflate", zlib.compress(b'{"id": 2}', wbits=-15)), "not requested"),
        (raw("HTTP/1.1 200 OK\nContent-Encoding: gzip, gzip", GZIP), "not requested"),
        (raw("HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Encoding: identity", GZIP), "not requested"),
        (raw("HTTP/1.1 200 OK", b" " * (MAX_BODY_BYTES + 1)), "is larger than"),
    ],
)
def test_an_answer_that_is_not_understood_fails_without_a_retry(api: Any, script: Any, error: str) -> None:
    """What came whole and is no JSON will be none the next time; it is counted as invalid."""
    server, deadline = api(script), Deadline(SystemClock(), 30.0)
    with pytest.raises(DecodeError, match=error) as caught:
        api.client(server).get_disk("1", "2", deadline=deadline)
    assert caught.value.reason == "invalid"
    assert str(caught.value).endswith(f" (127.0.0.1:{server.port})" if caught.value.field == "body" else " readable id")
    assert (deadline.sent_at, deadline.got_response) == (None, True)
    assert "canary" not in str(caught.value)
    assert api.ledger.requests == [("get_disk", "invalid")]


@pytest.mark.parametrize(
    "script",
    [
        raw("HTTP/1.1 200 OK\nContent-Length: 100", b'{"id": 2}'),
        raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b'9\r\n{"id": 2}\r\n5\r\nab'),
        sends(b"HTTP/1.1 200 OK\r\nContent-Le"),
        sends(b"HTTP/1.1 200 OK\r\n"),
        sends(b"SSH-2.0-OpenSSH\r\n"),
        sends(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000, b"\r\n{}"),
        sends(),
    ],
)
def test_an_answer_that_is_cut_off_is_asked_for_again(api: Any, clock: Any, script: Any) -> None:
    """A broken connection is worth another try; an end inside the headers is no empty success."""
    server = api(script)
    with pytest.raises(TransportError) as caught:
        api.client(server, clock=clock).get_disk("1", "2")
    assert caught.value.reason == "connection"
    assert api.ledger.requests == [("get_disk", "connection")] * 3
    assert api.ledger.retries == ["get_disk"] * 2


@pytest.mark.parametrize(
    "body",
    [
        GZIP[:-10],
        GZIP[:-8],
        GZIP[:-1],
        GZIP[:-5] + b"\xff" + GZIP[-4:],
        GZIP[:-1] + b"\xff",
        GZIP + b"garbage",
        b"\n" + GZIP,
        GZIP + b"\n]",
        GZIP + GZIP[:5],
        GZIP + gzip.compress(b" ")[:-8],
        zlib.compress(b'{"id": 2}', wbits=-15),
        zlib.compress(b'{"id": 2}'),
        b"canary",
    ],
)
@pytest.mark.parametrize("is_chunked", [False, True])
def test_compression_without_its_end_is_no_success(api: Any, body: bytes, *, is_chunked: bool) -> None:
    """What was compressed is whole, and what was not checked by its checksum was perhaps cut."""
    head = "HTTP/1.1 200 OK\nContent-Encoding: gzip\n"
    if is_chunked:
        script = raw(head + "Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    else:
        script = raw(head + f"Content-Length: {len(body)}", body)
    with pytest.raises(DecodeError, match="not valid gzip"):
        api.client(script).get_disk("1", "2")


@pytest.mark.parametrize(
    ("encoding", "padding"),
    [("gzip", b""), ("x-gzip", b"\n"), ("GZIP", b"\r\n"), ("gzip", b" \t\0"), ("gzip", b"\n" * 200_000)],
)
def test_reads_compressed_answers(api: Any, encoding: str, padding: bytes) -> None:
    """Compression is asked for and undone, in several members too, whatever blanks stand behind a whole one."""
    content = json.dumps({**DISK, "pad": "x" * 300_000}).encode()
    body = gzip.compress(content[:5]) + gzip.compress(content[5:]) + padding
    server = api(lambda seen, wire: wire.reply(200, body, {"Content-Encoding": encoding}))
    assert api.client(server).get_disk("1", "2").status == "built"
    assert server.seen[0].headers["accept-encoding"] == "gzip"


def test_a_gzip_bomb_is_given_up_early(api: Any) -> None:
    """A few hundred kB that would become more than a GB stop at the limit."""
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = b"0" * 2**20
    body = b"".join(bomb.compress(zeros) for _ in range(300)) + bomb.flush()
    assert len(body) < 500_000
    server = api(lambda seen, wire: wire.reply(200, body, {"Content-Encoding": "gzip"}))
    with pytest.raises(DecodeError, match="is larger than"):
        api.client(server).get_disk("1", "2")


def test_trailers_without_end_are_given_up_early(api: Any) -> None:
    """Else one response would keep a processor busy line by line until the deadline."""

    def answer(_: Any, wire: Any) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
        while True:
            wire.send(b"a\n" * 4000)

    with within(3.0), pytest.raises(DecodeError, match="on the wire"):
        api.client(answer, timeout_seconds=30.0).get_disk("1", "2")


@pytest.mark.parametrize(
    ("headers", "part"),
    [
        (b"Content-Length: 10000000000", b"x" * 100_000),
        (b"Content-Encoding: gzip", gzip.compress(b"") * 5_000),
    ],
)
def test_a_huge_error_body_is_not_read(api: Any, headers: bytes, part: bytes) -> None:
    """An error's status is enough; its connection is closed instead of drained, also where nothing is in the bytes."""
    sent: list[int] = []

    def script(seen: Any, wire: Any) -> None:
        wire.send(b"HTTP/1.1 404 X\r\n" + headers + b"\r\n\r\n")
        for _ in range(1000):
            wire.send(part)
            sent.append(len(part))

    with pytest.raises(ApiError, match="answered 404"):
        api.client(script).get_disk("1", "2")
    assert sum(sent) < 10_000_000


@pytest.mark.parametrize("status", [301, 302, 307, 308, 304])
def test_redirects_are_not_followed(api: Any, status: int) -> None:
    """A credential goes to the configured host and nowhere else."""
    elsewhere = api(well)
    server = api(lambda seen, wire: wire.reply(status, b"", {"Location": elsewhere.url + "/x"}))
    with pytest.raises(ApiError, match=rf"redirects are not followed \({server.url[7:]}\)") as caught:
        api.client(server).get_disk("1", "2")
    assert (caught.value.status, caught.value.reason) == (status, "other")
    assert elsewhere.seen == []


def test_a_port_where_nobody_listens_is_a_connection_failure(api: Any, clock: Any) -> None:
    """The message says what the system said, and of which address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransportError, match="get_disk: the connection failed: Connection refused") as caught:
        api.client(f"http://127.0.0.1:{port}", clock=clock).get_disk("1", "2")
    assert caught.value.reason == "connection"
    assert str(caught.value).endswith(f" (127.0.0.1:{port}); check api.url (GIGAS_API_URL)")
    assert api.ledger.requests == [("get_disk", "connection")] * 3


def test_a_name_that_does_not_exist_is_a_connection_failure(api: Any, clock: Any) -> None:
    """A name that cannot be resolved is told, since it may be mistyped."""
    with pytest.raises(
        TransportError, match=r"name cannot be resolved \(nowhere\.invalid\); check api.url \(GIGAS_API_URL\)$"
    ):
        api.client("http://nowhere.invalid", clock=clock).get_disk("1", "2")


def test_a_certificate_that_nobody_trusts_is_refused(api: Any, clock: Any, authority: Any) -> None:
    """Without the file of authorities the server is not believed."""
    server = api(well, context=authority.context)
    with pytest.raises(TransportError, match="the certificate is not accepted: self-signed certificate"):
        api.client(server, clock=clock).get_disk("1", "2")
    assert server.seen == []
    assert api.client(server, ca_file=authority.ca_file).get_disk("1", "2").id == "2"


def test_plain_http_on_a_tls_port_is_a_connection_failure(api: Any, clock: Any, authority: Any) -> None:
    """TLS that fails says how."""
    server = api(lambda seen, wire: None, handshake=lambda wire: wire.send(b"HTTP/1.1 400 Bad\r\n\r\n"))
    with pytest.raises(TransportError, match="TLS failed: WRONG_VERSION_NUMBER"):
        api.client(server.url.replace("http:", "https:"), clock=clock, ca_file=authority.ca_file).get_disk("1", "2")


def test_goes_through_the_proxy_that_is_configured(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is that of the settings, and the environment's is not looked at."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    proxy = api(well)
    api.client("http://api.invalid/v1/", proxy=proxy.url).get_disk("1", "2")
    assert proxy.seen[0].target == "http://api.invalid/v1/account/1/disk/2"
    direct = api(well)
    api.client(direct).get_disk("1", "2")
    assert direct.seen[0].target == "/account/1/disk/2"


def test_tunnels_through_a_proxy(api: Any, authority: Any) -> None:
    """An https API behind a proxy is reached by CONNECT, and the proxy never sees the credential."""
    server = api(well, context=authority.context)
    proxy = api(lambda seen, wire: wire.tunnel(server.port))
    client = api.client(server, proxy=proxy.url, ca_file=authority.ca_file)
    assert client.get_disk("1", "2").id == "2"
    assert [seen.method for seen in proxy.seen] == ["CONNECT"]
    assert proxy.seen[0].authorization is None
    assert server.seen[0].authorization == "canary-token"
    client.close()


def test_a_proxy_that_refuses_is_a_connection_failure(api: Any, clock: Any, authority: Any) -> None:
    """A proxy's refusal is not the API's."""
    proxy = api(lambda seen, wire: wire.reply(403, b"canary"))
    with pytest.raises(
        TransportError,
        match=r"the proxy did not connect to the API \(api\.invalid through 127\.0\.0\.1:\d+\); check api.proxy$",
    ):
        api.client("https://api.invalid", proxy=proxy.url, clock=clock, ca_file=authority.ca_file).get_disk("1", "2")


def test_netrc_and_the_environment_are_not_read(api: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """A .netrc would replace the Authorization header in other clients."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    server = api(well)
    api.client(server).get_disk("1", "2")
    assert server.seen[0].authorization == "canary-token"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "ftp://x"}, "the API URL must start with http"),
        ({"url": "api.gigas.com"}, "the API URL must start with http"),
        ({"url": "http://"}, "name a host"),
        ({"url": "http://user:canary@x"}, "must not hold credentials"),
        ({"url": "http://x?canary=1"}, "must not have a query"),
        ({"url": "http://[::1"}, "the API URL is not a URL"),
        ({"url": "http://x", "proxy": "socks5://x"}, "the proxy URL must start with http"),
        ({"url": "http://x", "proxy": "http://u:canary@x"}, "the proxy URL must not hold credentials"),
        ({"url": "http://x", "ca_file": "/nonexistent/ca.pem"}, "/nonexistent/ca.pem: No such file"),
        ({"url": "http://x", "ca_file": __file__}, "holds no certificate"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(api: Any, settings: dict[str, Any], message: str) -> None:
    """What is wrong is said before the first request, without quoting what may be secret."""
    with pytest.raises(ConfigError, match=message) as caught:
        api.client(settings.pop("url"), **settings)
    assert "canary" not in str(caught.value)


def test_no_secret_is_in_any_log_or_error(api: Any, clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The token is looked for in all that failing requests leave behind, at the most talkative level."""
    caplog.set_level(logging.DEBUG)
    replies = [(500, "canary-body"), (200, b"canary-body"), (401, "canary-body"), (302, b"")]
    for status, body in replies:
        server = api(lambda seen, wire, reply=(status, body): wire.reply(*reply))
        with pytest.raises(GigasError) as caught:
            api.client(server, clock=clock).list_disks("1")
        assert "canary" not in f"{caught.value!s} {caught.value!r}"
        assert server.seen[0].authorization == "canary-token"
    assert "canary" not in caplog.text
