"""Hostile and odd bytes on the wire: framing, interim responses, leftovers, memory."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from gigas_exporter.errors import ApiError, DecodeError, GigasError, TransportError
from gigas_exporter.gigas import transport
from support.programs import run_program

DISK = b'{"id": 2}'
HEAD = b"HTTP/1.1 200 OK\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
BUFFER_BYTES = 8192  # which the client reads at once


def sends(*parts: bytes, then_closes: bool = True) -> Any:
    """Return a script that sends these bytes."""

    def script(seen: Any, wire: Any) -> None:
        wire.send(b"".join(parts))
        if then_closes:
            wire.close()

    return script


def lists(*disk_ids: int) -> bytes:
    """Return a whole response with these disks."""
    body = json.dumps([{"id": number} for number in disk_ids]).encode()
    return HEAD + b"X-Total: %d\r\nX-Per-Page: 200\r\nContent-Length: %d\r\n\r\n" % (len(disk_ids), len(body)) + body


def padded(response: bytes, size: int) -> bytes:
    """Return a response of at least this size."""
    missing = size - len(response) - len(b"X: \r\n")
    return response.replace(HEAD, HEAD + b"X: %s\r\n" % (b"x" * missing)) if missing > 0 else response


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
def test_ambiguous_framing_is_rejected(api: Any, clients: Any, clock: Any, framing: bytes) -> None:
    """Two readers of such a response may disagree about where it ends (RFC 9112, section 6.3)."""
    server = api(sends(HEAD, framing, b"\r\n\r\n", DISK, then_closes=False))
    with pytest.raises(TransportError, match="no HTTP") as caught:
        clients(server.url, clock=clock).get_disk("1", "2")
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
def test_a_malformed_head_is_rejected(api: Any, clients: Any, clock: Any, head: bytes) -> None:
    """Where one line is read in two ways, so may be the length of the body (RFC 9112, sections 2.2, 4 and 5)."""
    server = api(sends(head, b"\r\nContent-Length: %d\r\n\r\n" % len(DISK), DISK, then_closes=False))
    with pytest.raises(TransportError, match="no HTTP"):
        clients(server.url, clock=clock).get_disk("1", "2")
    assert server.connections == 3


@pytest.mark.parametrize(
    "status_line", [b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1 200 \xc3\x9c", b"HTTP/1.1 299 OK"]
)
def test_a_reason_phrase_says_nothing(api: Any, clients: Any, status_line: bytes) -> None:
    """It may be absent, and in any language; the code is what counts."""
    server = api(sends(status_line, b"\r\nContent-Length: %d\r\n\r\n" % len(DISK), DISK, then_closes=False))
    if status_line.startswith(b"HTTP/1.1 200"):
        assert clients(server.url).get_disk("1", "2").id == "2"
    else:
        with pytest.raises(DecodeError, match="status 299"):
            clients(server.url).get_disk("1", "2")


def test_headers_that_contradict_each_other_say_nothing(api: Any, clients: Any) -> None:
    """One of two totals may be true, and which is not known; the same twice is one."""
    totals = [b"X-Total: 1\r\n" * 2, b"X-Total: 1\r\nX-Total: 7\r\n", b"X-Total: 7\r\nX-Total: 1\r\n"]
    invalid = []
    for total in totals:
        body = b"[" + DISK + b"]"
        server = api(sends(HEAD, total, b"Content-Length: %d\r\n\r\n" % len(body), body))
        invalid.append(dict(clients(server.url).list_disks("1").invalid))
    assert invalid == [{}, {"total": 1}, {"total": 1}]


@pytest.mark.parametrize("length", [b"%d ", b"  %d", b"\t%d \t"])
def test_white_space_around_a_length_is_no_part_of_it(api: Any, clients: Any, length: bytes) -> None:
    """Servers that fill the length in afterwards leave some (RFC 9110, section 5.5)."""
    server = api(sends(HEAD, b"Content-Length:", length % len(DISK), b"\r\n\r\n", DISK, then_closes=False))
    assert clients(server.url).get_disk("1", "2").id == "2"


@pytest.mark.parametrize("size", [b"-1", b"+9", b"0x9", b"0_9", b"", b" 9", b"9 9", b"fffffffff", b"9;" + b"x" * 9000])
def test_a_lax_chunk_size_is_rejected(api: Any, clients: Any, clock: Any, size: bytes) -> None:
    """A chunk's size is hexadecimal digits and nothing else (RFC 9112, section 7.1)."""
    server = api(sends(HEAD, CHUNKED, b"\r\n", size, b"\r\n", DISK, b"\r\n0\r\n\r\n", then_closes=False))
    with pytest.raises(TransportError):
        clients(server.url, clock=clock).get_disk("1", "2")
    assert server.connections == 3


@pytest.mark.parametrize("end", [b"", b"XX", b"\n0", b" \r\n"])
def test_a_chunk_that_is_longer_than_its_size_is_rejected(api: Any, clients: Any, clock: Any, end: bytes) -> None:
    """Two bytes after a chunk were thrown away, whatever they were."""
    server = api(sends(HEAD, CHUNKED, b"\r\n9\r\n", DISK, end, b"0\r\n\r\n", then_closes=False))
    with pytest.raises(TransportError, match="no HTTP"):
        clients(server.url, clock=clock).get_disk("1", "2")


@pytest.mark.parametrize("then_closes", [False, True])
def test_chunks_by_an_old_protocol_end_the_connection(api: Any, clients: Any, *, then_closes: bool) -> None:
    """HTTP/1.0 has none: something on the way may have understood them in another way (RFC 9112, section 6.1)."""
    head = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
    server = api(sends(head, CHUNKED, b"\r\n9\r\n", DISK, b"\r\n0\r\n\r\n", then_closes=then_closes))
    client = clients(server.url)
    assert [client.get_disk("1", "2").id, client.get_disk("1", "2").id] == ["2", "2"]
    assert server.connections == 2


@pytest.mark.parametrize("size", [b"9", b"009", b"9;name=value", b"9 ;name"])
def test_a_chunk_size_by_the_rules_is_accepted(api: Any, clients: Any, size: bytes) -> None:
    """Leading zeros and extensions are allowed; the connection is kept."""
    server = api(sends(HEAD, CHUNKED, b"\r\n", size, b"\r\n", DISK, b"\r\n0\r\nX: y\r\n\r\n", then_closes=False))
    client = clients(server.url)
    assert [client.get_disk("1", "2").id, client.get_disk("1", "2").id] == ["2", "2"]
    assert server.connections == 1


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


def test_an_interim_response_is_not_the_response(api: Any, clients: Any) -> None:
    """It fails nothing, and the connection is kept."""
    server = api(sends(EARLY_HINTS, b"HTTP/1.1 100 Continue\r\n\r\n", EARLY_HINTS, lists(1), then_closes=False))
    client = clients(server.url)
    for _ in range(3):
        assert [disk.id for disk in client.list_disks("1").items] == ["1"]
    assert server.connections == 1


def test_an_account_never_gets_the_response_of_another(api: Any, clients: Any) -> None:
    """Early hints a moment before the response left it to whoever used the connection next."""

    def script(seen: Any, wire: Any) -> None:
        if seen.path.startswith("/account/1/"):
            wire.send(EARLY_HINTS)
            time.sleep(0.25)
        wire.send(lists(*(int(seen.path.split("/")[2]) * 10 + number for number in range(2))))

    client = clients(api(script).url)
    for _ in range(4):
        assert [disk.id for disk in client.list_disks("1").items] == ["10", "11"]
        assert [disk.id for disk in client.list_disks("2").items] == ["20", "21"]


@pytest.mark.parametrize(
    "interim",
    [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", EARLY_HINTS * 17],
)
def test_what_is_no_way_to_a_response_is_rejected(api: Any, clients: Any, clock: Any, interim: bytes) -> None:
    """Nobody asked for another protocol, and hints come a few times at most."""
    server = api(sends(interim, lists(1), then_closes=False))
    with pytest.raises(TransportError, match="no HTTP"):
        clients(server.url, clock=clock).list_disks("1")


@pytest.mark.parametrize(
    "extra",
    [
        lists(666),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[",
        b"\r\n",
        b"x",
    ],
)
@pytest.mark.parametrize("size", [0, BUFFER_BYTES])
@pytest.mark.parametrize(("gap", "tls"), [(0.0, False), (0.0, True), (0.1, False), (0.1, True)])
def test_a_connection_with_unexpected_bytes_is_not_used_again(
    api: Any, clients: Any, authority: Any, extra: bytes, *, size: int, gap: float, tls: bool
) -> None:
    """They would be taken for the response to the next request, also where a read ended just before them."""

    def script(seen: Any, wire: Any) -> None:
        first = padded(lists(seen.connection), size)
        if gap:
            wire.send(first)
            time.sleep(gap)
            wire.send(extra)
        else:
            wire.send(first + extra)
        sent.release()

    sent = threading.Semaphore(0)
    server = api(script, context=authority.context if tls else None)
    client = clients(server.url, ca_file=authority.ca_file)
    for connection in ("1", "2", "3"):
        assert [disk.id for disk in client.list_disks("1").items] == [connection]
        assert sent.acquire(timeout=30)
    assert (server.connections, len(server.seen)) == (3, 3)


@pytest.mark.parametrize("size", [0, BUFFER_BYTES])
def test_unexpected_bytes_through_the_tls_of_a_proxy_end_the_connection(
    api: Any, clients: Any, authority: Any, size: int
) -> None:
    """TLS in TLS holds what it decrypted in other places."""
    server = api(
        lambda seen, wire: wire.send(padded(lists(seen.connection), size) + lists(666)), context=authority.context
    )

    def tunnel(seen: Any, wire: Any) -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as upstream:
            wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
            upstream.settimeout(0.1)
            while data := wire.receive():
                upstream.sendall(data)
                with suppress(TimeoutError):
                    while data := upstream.recv(65536):
                        wire.send(data)

    proxy = api(tunnel, context=authority.context)
    client = clients(server.url, proxy=proxy.url, ca_file=authority.ca_file)
    for connection in ("1", "2", "3"):
        assert [disk.id for disk in client.list_disks("1").items] == [connection]
    assert (server.connections, len(server.seen)) == (3, 3)


@pytest.mark.parametrize("status", [204, 304])
def test_a_body_where_none_may_be_ends_the_connection(api: Any, clients: Any, status: int) -> None:
    """The library takes such a response for empty, and its body would be read as the next response."""

    def script(seen: Any, wire: Any) -> None:
        if seen.path.startswith("/account/1/"):
            wire.send(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(lists(666))))
            time.sleep(0.1)
            wire.send(lists(666))
        else:
            wire.send(lists(2))

    client = clients(api(script).url)
    with suppress(GigasError):
        assert client.list_disks("1").items == ()
    assert [disk.id for disk in client.list_disks("2").items] == ["2"]


def test_an_error_with_a_chunked_body_leaves_the_connection_as_it_was(api: Any, clients: Any) -> None:
    """Servers send small errors in chunks, too."""
    body = b"5\r\nwrong\r\n0\r\n\r\n"
    server = api(sends(b"HTTP/1.1 404 X\r\n", CHUNKED, b"\r\n", body, then_closes=False))
    client = clients(server.url)
    for _ in range(2):
        with pytest.raises(ApiError):
            client.get_disk("1", "2")
    assert server.connections == 1


def test_idle_flows_that_a_router_forgets_fail_no_requests(
    api: Any, clients: Any, ledger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lets the bytes of a flow vanish that was idle for long; fewer than 1 % of requests may meet it."""
    monkeypatch.setattr(transport, "MAX_IDLE_SECONDS", 0.2)
    last: dict[int, float] = {}
    lock = threading.Lock()

    def script(seen: Any, wire: Any) -> None:
        with lock:
            now = time.monotonic()
            is_forgotten = now - last.get(seen.connection, now) > 0.6
            last[seen.connection] = now
        if is_forgotten:
            wire.hang()
        else:
            wire.send(lists(1))

    server = api(script)
    client = clients(server.url, timeout_seconds=1.0, max_concurrency=8, observer=ledger)

    def poll(seed: int) -> None:
        random = Random(seed)
        for _ in range(30):
            client.list_disks(str(seed))
            time.sleep(random.choice([0.02, 0.1, 0.15, 0.3, 0.7, 0.9]))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(poll, range(8)))
    codes = Counter(code for _, code in ledger.requests)
    assert codes["200"] >= 240
    assert codes.total() - codes["200"] < 0.01 * codes.total(), codes
    assert server.connections < 0.8 * codes.total(), "none was used again"


def test_a_server_that_is_one_response_behind_mixes_up_nothing(api: Any, clients: Any) -> None:
    """As after a response that came twice: no account has another's disks, and no disk another's backups."""
    held: dict[int, list[dict[str, Any]]] = {}

    def script(seen: Any, wire: Any) -> None:
        _, _, account, *rest = seen.path.split("/")
        items = [{"id": f"{account}-{rest[1]}" if len(rest) > 1 else account, "status": "built"}]
        wire.reply(200, held.get(seen.connection, items), {"X-Total": "1"})
        held[seen.connection] = items

    client = clients(api(script).url, max_concurrency=1)
    for _ in range(2):
        for number in map(str, range(4)):
            assert [disk.id for disk in client.list_disks(number).items] == [number]
            assert [backup.id for backup in client.list_disk_backups("9", number).items] == [f"9-{number}"]
