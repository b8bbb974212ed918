"""Names with several addresses, and authorities that are rotated."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

import pytest

from client.conftest import well
from gigas_exporter.clock import Deadline, SystemClock
from gigas_exporter.errors import TransportError
from support.certificates import self_signed
from support.programs import free_port, unanswered
from support.timing import within


def resolves_to(monkeypatch: pytest.MonkeyPatch, *ports: int, kinds: tuple[int, ...] = ()) -> None:
    """Let every name have these ports of this machine, the first of them as kinds of sockets that there are not."""
    found = [
        (socket.AF_INET, kind, 6, "", ("127.0.0.1", port))
        for kind, port in zip_longest(kinds, ports, fillvalue=socket.SOCK_STREAM)
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_a_dead_first_address_costs_a_moment_once(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next address is tried while the first does not answer, and what worked is tried first from then on."""
    client = api.client("http://api.example", timeout_seconds=60.0)
    with unanswered() as (_, dead):
        resolves_to(monkeypatch, dead, dead, api(well).port)
        with within(2.5):
            client.get_disk("1", "2")
        monkeypatch.setattr("gigas_exporter.gigas.connect._ATTEMPT_DELAY_SECONDS", 60.0)
        with within(2.0):
            client.get_disk("1", "2")


@pytest.mark.parametrize(
    "fail",
    [
        pytest.param(lambda wire: wire.hang(), id="hangs"),
        pytest.param(lambda wire: wire.close(), id="ends"),
        pytest.param(lambda wire: wire.send(b"SSH-2.0-x\r\n"), id="no HTTP"),
    ],
)
def test_an_address_that_accepts_and_fails_is_tried_last_next_time(
    api: Any, monkeypatch: pytest.MonkeyPatch, fail: Callable[[Any], None]
) -> None:
    """Of the servers behind a name some may fail: each retry goes to another, and what worked is kept."""

    def script(_: Any, wire: Any) -> None:
        fail(wire)
        wire.close()

    failing = [api(script), api(script)]
    server = api(well)
    resolves_to(monkeypatch, *(each.port for each in failing), server.port)
    client = api.client("http://api.example", timeout_seconds=0.4)
    for _ in range(2):
        with within(6.0):
            assert client.get_disk("1", "2").id == "2"
    assert [len(each.seen) for each in (*failing, server)] == [1, 1, 2]


def test_a_resolver_that_hangs_costs_one_thread(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By however many clients it is asked; it cannot be interrupted, and holds up no request beyond its deadline."""
    hang = threading.Event()

    def getaddrinfo(*_: Any, flags: int, **__: Any) -> list[Any]:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror
        hang.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for client in 2 * [api.client("http://hangs.example", timeout_seconds=0.2) for _ in range(2)]:
        with within(3.0), pytest.raises(TransportError) as caught:
            client.get_disk("1", "2", deadline=Deadline(SystemClock(), 0.3))
        assert caught.value.reason == "timeout"
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("gigas-resolver") == 1
    hang.set()


def test_the_next_address_is_tried_when_one_does_not_answer(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name has several addresses, some of a family that this machine may not have."""
    nobody, server = free_port(), api(well)
    resolves_to(monkeypatch, nobody, nobody, server.port, kinds=(9999,))
    assert api.client("http://api.example").get_disk("1", "2").id == "2"


def test_a_name_without_an_address_is_a_connection_failure(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty answer of the resolver is a failure too."""
    resolves_to(monkeypatch)
    with pytest.raises(TransportError) as caught:
        api.client("http://api.example").get_disk("1", "2", deadline=Deadline(SystemClock(), 0.3))
    assert caught.value.reason == "connection"


def test_a_name_that_cannot_be_encoded_is_not_resolved(api: Any, clock: Any) -> None:
    """What a resolver cannot even be asked is a name without an address."""
    with pytest.raises(TransportError, match="cannot be resolved"):
        api.client(f"http://{'x' * 64}.example", clock=clock).get_disk("1", "2")


def test_a_rotated_file_of_authorities_is_read_again(api: Any, clock: Any, authority: Any, tmp_path: Any) -> None:
    """After a certificate was rejected, at once and without a restart; one that stays wrong stays rejected."""
    server = api(well, context=authority.context)
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(self_signed()[0])
    client = api.client(server, ca_file=ca_file, timeout_seconds=3.0, clock=clock)

    def read() -> str:
        return str(client.get_disk("1", "2").id)

    for content in (None, b"", b"no certificate"):
        if content is not None:
            ca_file.write_bytes(content)
        with pytest.raises(TransportError, match="certificate is not accepted"):
            read()
    ca_file.write_bytes("# Einführung\n".encode() + authority.ca_file.read_bytes())
    assert [read(), read()] == ["2", "2"]
    ca_file.write_bytes(self_signed()[0])
    assert read() == "2"
