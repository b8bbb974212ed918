"""Concurrency and rate: how much of the API is used at once."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from client.conftest import DISK, hang, secret, well
from gigas_exporter.clock import Deadline, SystemClock
from gigas_exporter.errors import TransportError
from gigas_exporter.gigas import LoginCredential, RateLimiter
from support.programs import await_true


class Gauge:
    """A script that notes how many requests are under way at once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, seen: Any, wire: Any) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.seconds)
        with self._lock:
            self.now -= 1
        wire.reply(200, DISK)


@pytest.mark.parametrize("is_shared", [False, True])
def test_no_more_requests_are_under_way_than_allowed(api: Any, *, is_shared: bool) -> None:
    """However many threads ask, and however many clients share their limits."""
    for concurrency in (1, 3):
        gauge = Gauge(0.03)
        server = api(gauge)
        limits = (
            {"limiter": RateLimiter(SystemClock(), concurrency, 0)} if is_shared else {"max_concurrency": concurrency}
        )
        asking = [api.client(server, **limits) for _ in range(2 if is_shared else 1)]
        with ThreadPoolExecutor(10) as executor:
            list(executor.map(lambda number, asking=asking: asking[number % len(asking)].get_disk("1", "2"), range(12)))
        assert gauge.most == concurrency


@pytest.mark.parametrize("credential", [None, LoginCredential("me", secret("p"))])
def test_a_wait_for_others_ends_with_the_budget(api: Any, credential: Any) -> None:
    """A queue is no place to wait for ever, be it for a slot or for another's login."""
    server = api(hang)
    client = api.client(server, credential, max_concurrency=1)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        first = executor.submit(client.get_disk, "1", "2", deadline=Deadline(SystemClock(), 60, stop))
        await_true(lambda: server.seen, pause=0.01)
        operation = "create_token" if credential else "get_disk"
        with pytest.raises(TransportError, match=rf"{operation}: .* queue") as caught:
            client.get_disk("1", "2", deadline=Deadline(SystemClock(), 0.2))
        assert caught.value.reason == "timeout"
        stop.set()
        assert isinstance(first.exception(10), TransportError)


@pytest.mark.parametrize("rate", [0, 40])
def test_requests_go_in_the_order_in_which_they_were_asked_for(api: Any, rate: float) -> None:
    """Whoever asks for many cannot keep out who asks for few: each waits for those who were there before."""
    server = api(Gauge(0.02))
    client = api.client(server, max_concurrency=2, max_requests_per_second=rate)
    done = threading.Event()

    def sweep(number: int) -> None:
        while not done.is_set():
            client.get_disk("sweep", str(number))

    with ThreadPoolExecutor(4) as executor:
        sweeping = [executor.submit(sweep, number) for number in range(4)]
        while len(server.seen) < 8:
            time.sleep(0.01)
        try:
            for _ in range(8):
                client.get_disk("few", "1", deadline=Deadline(SystemClock(), 30))
        finally:
            done.set()
    assert not any(each.exception() for each in sweeping)
    places = [place for place, seen in enumerate(server.seen) if "/account/few/" in seen.path]
    between = [later - earlier - 1 for earlier, later in itertools.pairwise(places)]
    # The four that were in the queue, and those that had a slot already.
    assert max(between) <= 6
    assert sum(between) <= 5 * len(between)


def test_requests_keep_to_the_rate(api: Any, clock: Any) -> None:
    """After a small burst one request goes per interval."""
    client = api.client(well, clock=clock, max_requests_per_second=4.0)
    began = clock.now
    for _ in range(9):
        client.get_disk("1", "2")
    assert clock.now - began == pytest.approx(2.0, rel=1e-3)


def test_a_pause_allows_a_small_burst_and_no_more(clock: Any) -> None:
    """Credit for idle time is bounded."""
    limiter = RateLimiter(clock, max_concurrency=4, max_requests_per_second=20.0)
    clock.now += 1000
    deadline = Deadline(clock, 100)
    for _ in range(8):
        with limiter.request("1", deadline, "get_disk"):
            pass
    assert sum(clock.waits) == pytest.approx(4 / 20, rel=1e-3)


def test_a_wait_for_the_rate_that_the_budget_does_not_hold_is_not_begun(api: Any, clock: Any) -> None:
    """It fails at once, without taking the turn from others."""
    server = api(well)
    client = api.client(server, clock=clock, max_requests_per_second=0.01)
    client.get_disk("1", "2")
    with pytest.raises(TransportError, match="the request rate allows no request before the deadline") as caught:
        client.get_disk("1", "2", deadline=Deadline(clock, 60))
    assert caught.value.reason == "timeout"
    assert clock.waits == []
    client.get_disk("1", "2", deadline=Deadline(clock, 101))
    assert clock.waits == [pytest.approx(100, rel=1e-3)]


def test_a_wait_for_the_rate_ends_with_the_process() -> None:
    """A process that is told to stop waits for no turn."""
    limiter = RateLimiter(SystemClock(), 1, 0.1)
    stop = threading.Event()
    deadline = Deadline(SystemClock(), 60, stop)
    with limiter.request("1", deadline, "get_disk"):
        pass
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(TransportError, match="queue"), limiter.request("1", deadline, "get_disk"):
        pytest.fail("the turn came too early")
