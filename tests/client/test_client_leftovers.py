"""A failed exchange leaves nothing behind: who lets go of a client need not wait for a look for cycles."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from client.conftest import hang, sends
from gigas_exporter.errors import GigasError
from support.programs import free_port
from support.scripted_api import Script


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Python frees what nobody holds, and does not look for what only holds itself."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


FAILURES: dict[str, Script | None] = {
    "nobody there": None,
    "no answer in time": hang,
    "no answer": sends(b""),
    "no HTTP": sends(b"\x00\x01\x02\r\n\r\n"),
    "cut in the headers": sends(b"HTTP/1.1 200 OK\r\nContent-"),
    "cut in the body": sends(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
    "an error that is cut": sends(b"HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\n{"),
    "no gzip": sends(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"),
    "no JSON": sends(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"),
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
