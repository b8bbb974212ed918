"""Hostile and odd bytes on the wire: framing, interim responses, leftovers, memory."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from typing import Any

import pytest

from client.conftest import sends
from gigas_exporter.errors import DecodeError, GigasError, TransportError
from support.programs import run_program

DISK = b'{"id": 2}'
HEAD = b"HTTP/1.1 200 OK\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def lists(*disk_ids: int) -> bytes:
    """Return a whole response with these disks."""
    body = json.dumps([{"id": number} for number in disk_ids]).encode()
    return HEAD + b"X-Total: %d\r\nX-Per-Page: 200\r\nContent-Length: %d\r\n\r\n" % (len(disk_ids), len(body)) + body


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: -1",
        b"Content-Length: +9",
        b"Content-Length: 0x9",
        b"Content-Length: 0_9",
        b"Content-Length: 9, 9",
        b"Content-Length: 9a",
        b"Content-Length: 9\r\nContent-Length: 5",
        b"Content-Length: 9\r\nTransfer-Encoding: chunked",
        b"Content-Length: 9\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: xchunked",
    ],
)
def test_ambiguous_framing_is_rejected(api: Any, clock: Any, framing: bytes) -> None:
    """Two readers of such a response may disagree about where it ends (RFC 9112, section 6.3)."""
    server = api(sends(HEAD, framing, b"\r\n\r\n", DISK, then_closes=False))
    with pytest.raises(TransportError, match="not valid HTTP") as caught:
        api.client(server, clock=clock).get_disk("1", "2")
    assert caught.value.reason == "connection"
    assert server.connections == 3


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 0200 OK",
        b"HTTP/1.1 +200 OK",
        b"HTTP/1.1 2_00 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1\xa0200 OK",
        b"HTTP/1.x 200 OK",
        b"HTTP/0.9 200 OK",
        b"HTTP/2 200 OK",
        b"HTTP/1.1 200 O\0K",
        b"HTTP/1.1 200 OK\r\nno header",
        b"HTTP/1.1 200 OK\r\nX-Spaced : y",
        b"HTTP/1.1 200 OK\r\n: y",
        b"HTTP/1.1 200 OK\r\nX: a\0b",
        b"HTTP/1.1 200 OK\r\nX: a\rY: b",
    ],
)
def test_a_malformed_head_is_rejected(api: Any, clock: Any, head: bytes) -> None:
    """Where one line is read in two ways, so may be the length of the body (RFC 9112, sections 2.2, 4 and 5)."""
    server = api(sends(head, b"\r\nContent-Length: %d\r\n\r\n" % len(DISK), DISK, then_closes=False))
    with pytest.raises(TransportError, match="not valid HTTP"):
        api.client(server, clock=clock).get_disk("1", "2")
    assert server.connections == 3


@pytest.mark.parametrize(
    "status_line", [b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1 200 \xc3\x9c", b"HTTP/1.1 299 OK"]
)
def test_a_reason_phrase_says_nothing(api: Any, status_line: bytes) -> None:
    """It may be absent, and in any language; the code is what counts."""
    server = api(sends(status_line, b"\r\nContent-Length: %d\r\n\r\n" % len(DISK), DISK, then_closes=False))
    if status_line.startswith(b"HTTP/1.1 200"):
        assert api.client(server).get_disk("1", "2").id == "2"
    else:
        with pytest.raises(DecodeError, match="status 299"):
            api.client(server).get_disk("1", "2")


def test_headers_that_contradict_each_other_say_nothing(api: Any) -> None:
    """One of two totals may be true, and which is not known; the same twice is one."""
    totals = [b"X-Total: 1\r\n" * 2, b"X-Total: 1\r\nX-Total: 7\r\n", b"X-Total: 7\r\nX-Total: 1\r\n"]
    invalid = []
    for total in totals:
        body = b"[" + DISK + b"]"
        server = api(sends(HEAD, total, b"Content-Length: %d\r\n\r\n" % len(body), body))
        invalid.append(dict(api.client(server).list_disks("1").invalid))
    assert invalid == [{}, {"total": 1}, {"total": 1}]


@pytest.mark.parametrize("length", [b"%d ", b"  %d", b"\t%d \t"])
def test_white_space_around_a_length_is_no_part_of_it(api: Any, length: bytes) -> None:
    """Servers that fill the length in afterwards leave some (RFC 9110, section 5.5)."""
    server = api(sends(HEAD, b"Content-Length:", length % len(DISK), b"\r\n\r\n", DISK, then_closes=False))
    assert api.client(server).get_disk("1", "2").id == "2"


@pytest.mark.parametrize("size", [b"-1", b"+9", b"0x9", b"0_9", b"", b" 9", b"9 9", b"fffffffff", b"9;" + b"x" * 9000])
def test_a_lax_chunk_size_is_rejected(api: Any, clock: Any, size: bytes) -> None:
    """A chunk's size is hexadecimal digits and nothing else (RFC 9112, section 7.1)."""
    server = api(sends(HEAD, CHUNKED, b"\r\n", size, b"\r\n", DISK, b"\r\n0\r\n\r\n", then_closes=False))
    with pytest.raises(TransportError):
        api.client(server, clock=clock).get_disk("1", "2")
    assert server.connections == 3


@pytest.mark.parametrize("end", [b"", b"XX", b"\n0", b" \r\n"])
def test_a_chunk_that_is_longer_than_its_size_is_rejected(api: Any, clock: Any, end: bytes) -> None:
    """Two bytes after a chunk were thrown away, whatever they were."""
    server = api(sends(HEAD, CHUNKED, b"\r\n9\r\n", DISK, end, b"0\r\n\r\n", then_closes=False))
    with pytest.raises(TransportError, match="not valid HTTP"):
        api.client(server, clock=clock).get_disk("1", "2")


@pytest.mark.parametrize("size", [b"9", b"009", b"9;name=value", b"9 ;name"])
def test_a_chunk_size_by_the_rules_is_accepted(api: Any, size: bytes) -> None:
    """Leading zeros and extensions are allowed."""
    server = api(sends(HEAD, CHUNKED, b"\r\n", size, b"\r\n", DISK, b"\r\n0\r\nX: y\r\n\r\n", then_closes=False))
    assert api.client(server).get_disk("1", "2").id == "2"


ENDLESS = """
import pathlib, re, socket, sys, threading
from gigas_exporter.clock import Deadline, SystemClock
from gigas_exporter.errors import GigasError
from gigas_exporter.gigas import ApiSettings, FixedSecret, ReadClient, TokenCredential
from gigas_exporter.secret import Secret

def serve():
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=flood, args=(sock,), daemon=True).start()

def flood(sock):
    sock.recv(65536)
    try:
        sock.sendall(head)
        while True:
            sock.sendall(piece * (262144 // len(piece)))
    except OSError:
        pass

listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, daemon=True).start()
settings = ApiSettings(url="http://127.0.0.1:%d" % listener.getsockname()[1], timeout_seconds=2)
for head, piece in zip(*[map(bytes.fromhex, sys.argv[1:])] * 2):
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # forgets the most so far
    with ReadClient(settings, TokenCredential(FixedSecret(Secret("t"), "test"))) as client:
        try:
            client.list_disks("1", deadline=Deadline(SystemClock(), 3))
        except GigasError as error:
            resident = re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())
            print(int(resident[1]) // 1024)
"""
FLOODS = [
    (HEAD + CHUNKED + b"\r\n-1\r\n", b"x"),
    (HEAD + CHUNKED + b"\r\nfffffff\r\n", b"x"),
    (HEAD + CHUNKED + b"\r\n", b"1\r\nx\r\n"),
    (HEAD + CHUNKED + b"\r\n0\r\n", b"X: y\r\n"),
    (HEAD + CHUNKED + b"\r\n", b"1"),
    (HEAD + b"\r\n", b"x"),
    (HEAD + b"Content-Length: 99999999999\r\n\r\n", b"x"),
    (b"HTTP/1.1 500 X\r\n" + CHUNKED + b"\r\n-1\r\n", b"x"),
    (b"HTTP/1.1 500 X\r\n" + CHUNKED + b"Content-Length: 5\r\n\r\n-1\r\n", b"x"),
    (b"HTTP/1.1 404 X\r\nContent-Length: 5\r\n\r\n", b"x"),
    (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    (b"", EARLY_HINTS),
    (HEAD, b"X: y\r\n"),
    (HEAD, b"x"),
    (b"", b"\x00"),
]


def test_endless_bytes_cost_no_memory() -> None:
    """Whatever the framing says, a response is at most 16 MiB; all of it is counted as it arrives."""
    floods = [part.hex() for flood in FLOODS for part in flood]
    command = [sys.executable, "-c", ENDLESS, *floods]
    done = run_program(*command, seconds=170)
    resident_mib = [int(line) for line in done.stdout.split()]
    assert len(resident_mib) == len(FLOODS), done.stderr
    assert [FLOODS[place] for place, most in enumerate(resident_mib) if most >= 150] == []


def test_an_interim_response_is_not_the_response(api: Any) -> None:
    """It is skipped, and fails nothing."""
    server = api(sends(EARLY_HINTS, b"HTTP/1.1 100 Continue\r\n\r\n", EARLY_HINTS, lists(1), then_closes=False))
    assert [disk.id for disk in api.client(server).list_disks("1").items] == ["1"]


def test_an_account_never_gets_the_response_of_another(api: Any) -> None:
    """Early hints a moment before the response left it to whoever used the connection next."""

    def script(seen: Any, wire: Any) -> None:
        if seen.path.startswith("/account/1/"):
            wire.send(EARLY_HINTS)
            time.sleep(0.25)
        wire.send(lists(*(int(seen.path.split("/")[2]) * 10 + number for number in range(2))))

    client = api.client(script)
    for _ in range(4):
        assert [disk.id for disk in client.list_disks("1").items] == ["10", "11"]
        assert [disk.id for disk in client.list_disks("2").items] == ["20", "21"]


@pytest.mark.parametrize(
    "interim",
    [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", EARLY_HINTS * 17],
)
def test_what_is_no_way_to_a_response_is_rejected(api: Any, clock: Any, interim: bytes) -> None:
    """Nobody asked for another protocol, and hints come a few times at most."""
    server = api(sends(interim, lists(1), then_closes=False))
    with pytest.raises(TransportError, match="not valid HTTP"):
        api.client(server, clock=clock).list_disks("1")


@pytest.mark.parametrize("extra", [b"", lists(666), b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[", b"\r\n", b"x"])
@pytest.mark.parametrize("tls", [False, True])
def test_no_connection_is_used_twice(api: Any, authority: Any, extra: bytes, *, tls: bool) -> None:
    """Whatever is left on it would be taken for the response to the next request."""
    server = api(
        lambda seen, wire: wire.send(lists(seen.connection) + extra), context=authority.context if tls else None
    )
    client = api.client(server, ca_file=authority.ca_file)
    for connection in ("1", "2", "3"):
        assert [disk.id for disk in client.list_disks("1").items] == [connection]
    assert (server.connections, len(server.seen)) == (3, 3)


def test_no_connection_through_the_tls_of_a_proxy_is_used_twice(api: Any, authority: Any) -> None:
    """Neither that to the proxy nor that to the API."""
    server = api(lambda seen, wire: wire.send(lists(seen.connection) + lists(666)), context=authority.context)
    proxy = api(lambda seen, wire: wire.tunnel(server.port), context=authority.context)
    client = api.client(server, proxy=proxy.url, ca_file=authority.ca_file)
    for connection in ("1", "2", "3"):
        assert [disk.id for disk in client.list_disks("1").items] == [connection]
    assert (server.connections, len(server.seen), proxy.connections) == (3, 3, 3)


@pytest.mark.parametrize("status", [204, 304])
def test_a_body_where_none_may_be_is_no_response(api: Any, status: int) -> None:
    """The library takes such a response for empty, and its body would be read as the next response."""

    def script(seen: Any, wire: Any) -> None:
        if seen.path.startswith("/account/1/"):
            wire.send(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(lists(666))))
            time.sleep(0.1)
            wire.send(lists(666))
        else:
            wire.send(lists(2))

    client = api.client(script)
    with suppress(GigasError):
        assert client.list_disks("1").items == ()
    assert [disk.id for disk in client.list_disks("2").items] == ["2"]
