"""Accounts that share a client get their turns, whatever the API does with the others."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from client.conftest import DISK
from gigas_exporter.clock import Deadline, SystemClock
from gigas_exporter.errors import GigasError, TransportError
from gigas_exporter.gigas import RateLimiter
from support.programs import await_true


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


@pytest.mark.parametrize("slots", [2, 4])
def test_accounts_that_hang_leave_a_slot_to_the_others(api: Any, slots: int) -> None:
    """24 of 25 accounts hang; soon the good one is served as if it were alone."""
    stop = threading.Event()

    def script(seen: Any, wire: Any) -> None:
        if account_of(seen) == "good":
            wire.reply(200, DISK)
        else:
            wire.hang()

    client = api.client(script, max_concurrency=slots, timeout_seconds=0.4)
    served: list[float] = []

    def poll(account: str) -> None:
        while not stop.is_set():
            try:
                client.get_disk(account, "2", deadline=Deadline(SystemClock(), 2.0, stop))
                served.append(time.monotonic())
            except GigasError:
                pass
            stop.wait(0.1)

    with ThreadPoolExecutor(25) as executor:
        for number in range(24):
            executor.submit(poll, f"hangs-{number}")
        executor.submit(poll, "good")
        try:  # in turn with the others it would be served once in some seconds
            await_true(lambda: sum(moment > time.monotonic() - 3.0 for moment in tuple(served)) >= 10, seconds=30)
        finally:
            stop.set()


def test_an_account_that_hangs_has_one_slot(api: Any) -> None:
    """Until it answers; then it is as any other."""
    hangs = threading.Event()
    hangs.set()
    under_way: list[Any] = []
    most = [0]
    lock = threading.Lock()

    def script(seen: Any, wire: Any) -> None:
        with lock:
            under_way.append(wire)
            most[0] = max(most[0], sum(not each.is_left() for each in under_way))
        if hangs.is_set():
            wire.receive()  # ends when the client closes the connection
        else:
            time.sleep(0.1)
        with lock:
            under_way.remove(wire)
        wire.reply(200, DISK)

    client = api.client(script, max_concurrency=4, timeout_seconds=0.2)

    def poll() -> None:
        with contextlib.suppress(TransportError):
            client.get_disk("1", "2", deadline=Deadline(SystemClock(), 0.3))

    poll()
    time.sleep(0.1)
    most[0] = 0
    with ThreadPoolExecutor(4) as executor:
        for _ in range(4):
            executor.submit(poll)
    assert most[0] == 1
    hangs.clear()
    client.get_disk("1", "2")
    with ThreadPoolExecutor(4) as executor:
        for _ in range(8):
            executor.submit(client.get_disk, "1", "2")
    assert most[0] >= 3


def test_an_account_that_hung_is_tried_among_others_that_are_busy() -> None:
    """With a single slot, too, so that it can be seen to answer again."""
    limiter = RateLimiter(SystemClock(), 1, 0.0)
    limiter.set_hung("hung", is_hung=True)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            with limiter.request("busy", Deadline(SystemClock(), 30.0), "get_disk"):
                time.sleep(0.005)

    with ThreadPoolExecutor(3) as executor:
        for _ in range(3):
            executor.submit(work)
        time.sleep(0.1)
        with limiter.request("hung", Deadline(SystemClock(), 30.0), "get_disk"):
            pass
        stop.set()


def test_one_lost_response_costs_no_turn_of_all_that_hang() -> None:
    """An account that answered the request before has the next turn among those that hang, once."""
    limiter = RateLimiter(SystemClock(), 1, 0.0)
    hanging = [f"hangs-{number}" for number in range(8)]
    for account in hanging * 2:
        limiter.set_hung(account, is_hung=True)
    order: list[str] = []

    def request(account: str) -> None:
        with limiter.request(account, Deadline(SystemClock(), 30.0), "get_disk"):
            order.append(account)

    for losses in (1, 2):
        order.clear()
        limiter.set_hung("good", is_hung=True)
        with ThreadPoolExecutor(9) as executor, limiter.request("busy", Deadline(SystemClock(), 30.0), "get_disk"):
            for account in (*hanging, "good"):
                executor.submit(request, account)
                time.sleep(0.02)
        assert order.index("good") == (0 if losses == 1 else 8)


def test_a_request_that_gives_up_leaves_the_queue() -> None:
    """It neither holds a slot nor is one given to it."""
    limiter = RateLimiter(SystemClock(), 1, 0.0)
    with limiter.request("1", Deadline(SystemClock(), 30.0), "get_disk"):
        for account in ("1", "2"):
            with pytest.raises(TransportError), limiter.request(account, Deadline(SystemClock(), 0.1), "get_disk"):
                pytest.fail("there was no slot")
    with limiter.request("2", Deadline(SystemClock(), 1.0), "get_disk"):
        pass
