"""Accounts that share a client get their turns, whatever the API does with the others."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from client.conftest import DISK
from gigas_exporter.clock import Deadline, SystemClock
from gigas_exporter.errors import TransportError
from gigas_exporter.gigas import RateLimiter


def account_of(seen: Any) -> str:
    return str(seen.path.split("/")[2])


def test_accounts_take_turns(api: Any) -> None:
    """One request of another account waits for one request, and not for all that came before it."""
    order: list[str] = []

    def script(seen: Any, wire: Any) -> None:
        order.append(account_of(seen))
        time.sleep(0.02)
        wire.reply(200, DISK)

    client = api.client(script, max_concurrency=1)
    with ThreadPoolExecutor(22) as executor:
        for _ in range(20):
            executor.submit(client.get_disk, "busy", "2")
        while len(order) < 2:
            time.sleep(0.005)
        executor.submit(client.get_disk, "quiet", "2")
    assert order.index("quiet") <= 6


def test_a_request_that_gives_up_leaves_the_queue() -> None:
    """It neither holds a slot nor is one given to it."""
    limiter = RateLimiter(SystemClock(), 1, 0.0)
    with limiter.request("1", Deadline(SystemClock(), 30.0), "get_disk"):
        for account in ("1", "2"):
            with pytest.raises(TransportError), limiter.request(account, Deadline(SystemClock(), 0.1), "get_disk"):
                pytest.fail("there was no slot")
    with limiter.request("2", Deadline(SystemClock(), 1.0), "get_disk"):
        pass
