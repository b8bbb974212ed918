"""A failed exchange leaves nothing behind: who lets go of a client need not wait for a look for cycles."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from gigas_exporter.errors import GigasError
from support.programs import free_port


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Python frees what nobody holds, and does not look for what only holds itself."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _sends(answer: bytes) -> Callable[[Any, Any], None]:
    """Say this and no more, and end the connection."""

    def script(_seen: Any, wire: Any) -> None:
        wire.send(answer)
        wire.close()

    return script


FAILURES: dict[str, Callable[[Any, Any], None] | None] = {
    "nobody there": None,
    "no answer in time": lambda _seen, wire: wire.hang(),
    "no answer": _sends(b""),
    "no HTTP": _sends(b"\x00\x01\x02\r\n\r\n"),
    "cut in the headers": _sends(b"HTTP/1.1 200 OK\r\nContent-"),
    "cut in the body": _sends(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
    "an error that is cut": _sends(b"HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\n{"),
    "no gzip": _sends(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"),
    "no JSON": _sends(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"),
}


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_exchange_leaves_nothing(api: Any, clock: Any, failure: str) -> None:
    """Neither the client nor its connections outlive the last one who holds it."""
    script = FAILURES[failure]
    url = f"http://127.0.0.1:{free_port()}" if script is None else api(script).url
    client = api.client(url, timeout_seconds=0.3, clock=clock)
    with suppress(GigasError):
        client.get_disk("1", "2")
    transport = weakref.ref(client._session._transport)
    pools = weakref.ref(client._session._transport._adapter.poolmanager)
    client.close()
    api.made.clear()
    del client
    assert transport() is None
    assert pools() is None
