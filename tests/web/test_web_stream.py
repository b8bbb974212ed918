"""Writing to a connection: all of it, by an absolute deadline, until somebody ends it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from gigas_exporter.clock import SystemClock
from gigas_exporter.web.stream import Stream
from support.pace import allowed, within

LARGE = bytes(64 << 20)
"""More than any socket's buffers hold."""


@pytest.fixture
def ends() -> Iterator[tuple[Stream, socket.socket]]:
    """Both ends of a connection on loopback: the server's stream and the client's socket."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        stream = Stream(accepted, SystemClock())
        yield stream, client
        stream.close()


def test_everything_arrives_in_order(ends: tuple[Stream, socket.socket]) -> None:
    """Large and small chunks, and more of them than one call takes."""
    stream, client = ends
    chunks = [bytes([number]) * (1 + 9_973 * number) for number in range(200)]
    received = bytearray()

    def read() -> None:
        while data := client.recv(1 << 16):
            received.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    stream.send(chunks, time.monotonic() + 20)
    stream.close()
    reader.join(20)
    assert bytes(received) == b"".join(chunks)


@pytest.mark.parametrize("takes_bytes", [0, 64 << 10])
def test_a_peer_that_takes_little_or_nothing_is_given_up_at_the_deadline(
    ends: tuple[Stream, socket.socket], takes_bytes: int
) -> None:
    """What it takes does not give it more time."""
    stream, client = ends
    ended = threading.Event()

    def drip() -> None:
        while takes_bytes and not ended.wait(0.02):
            client.recv(takes_bytes)

    reader = threading.Thread(target=drip)
    reader.start()
    began = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            stream.send((LARGE,), began + 0.5)
        assert 0.5 <= time.monotonic() - began < allowed(3)
    finally:
        ended.set()
        reader.join(20)


class _StillClock(SystemClock):
    def monotonic(self) -> float:
        return 100.0


@pytest.mark.parametrize("left_seconds", [0.0, 1e-7])
def test_a_deadline_that_is_as_good_as_passed_is_not_waited_for(left_seconds: float) -> None:
    """For the kernel a wait of no microsecond would be one for ever."""
    ours, _theirs = socket.socketpair()
    with ours, _theirs, pytest.raises(TimeoutError):
        Stream(ours, _StillClock()).send((LARGE,), 100.0 + left_seconds)


def test_a_write_that_waits_ends_when_somebody_ends_the_connection(ends: tuple[Stream, socket.socket]) -> None:
    """At once, not at the deadline: that is how room is made for others, and how the process ends."""
    stream, _ = ends
    killer = threading.Timer(0.3, stream.abort)
    killer.start()
    with within(5.0), pytest.raises(OSError, match=r"[Pp]ipe|ended from this side|reset"):
        stream.send((LARGE,), time.monotonic() + 30)
    killer.join()
