"""How much of the API may be used at once and per second; the waits for it are bounded and can be interrupted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gigas_exporter.clock import Budget, Clock
from gigas_exporter.errors import TransportError

__all__ = ["Limits", "OutOfTimeError", "held"]

_SLICE_SECONDS = 0.05


class OutOfTimeError(TransportError):
    """The caller's own time ended before a request was made; to try again would be to wait again."""

    def __init__(self, operation: str, detail: str) -> None:
        super().__init__(operation, "timeout", detail)


@contextmanager
def held(lock: threading.Lock, budget: Budget, operation: str) -> Iterator[None]:
    """Hold a lock; the wait for it ends with the budget.

    Raises:
        OutOfTimeError: The budget ended first.
    """
    _wait(lambda: lock.acquire(timeout=_SLICE_SECONDS), budget, operation)
    try:
        yield
    finally:
        lock.release()


def _wait(is_had: Callable[[], bool], budget: Budget, operation: str) -> None:
    # Neither lock nor event can be waited for together with the stop event, so it is asked for in slices.
    while not is_had():
        if budget.remaining() <= 0:
            raise OutOfTimeError(operation, "the time for this work ended in the queue for the API")


class _Slots:
    """So many at once, in the order in which they came.

    A semaphore gives a slot to whoever asks at the right moment, which is mostly the one that has just returned it: a
    sweep of many requests would keep the few of the list of disks waiting until their time is up.
    """

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._queue: deque[threading.Event] = deque()

    @contextmanager
    def held(self, budget: Budget, operation: str) -> Iterator[None]:
        turn = threading.Event()
        with self._lock:
            self._queue.append(turn)
            self._give()
        try:
            _wait(lambda: turn.wait(_SLICE_SECONDS), budget, operation)
            yield
        finally:
            with self._lock:
                if turn.is_set():
                    self._free += 1
                    self._give()
                else:
                    self._queue.remove(turn)

    def _give(self) -> None:
        if self._free and self._queue:
            self._free -= 1
            self._queue.popleft().set()


class Limits:
    """The requests under way at once and the requests per second, shared by all who are given the same object.

    Requests go in the order in which they were asked for. The rate is a token bucket: after a pause a few requests may
    go at once, then they are spread evenly.

    Args:
        clock: Where the time comes from.
        max_concurrency: Requests under way at once.
        max_requests_per_second: The rate; 0 means no limit.
    """

    def __init__(self, clock: Clock, max_concurrency: int, max_requests_per_second: float) -> None:
        self._clock = clock
        self._slots = _Slots(max(1, max_concurrency))
        self._lock = threading.Lock()
        self._interval = 1 / max_requests_per_second if max_requests_per_second > 0 else 0.0
        burst = max(1.0, min(float(max_concurrency), max_requests_per_second / 4))
        self._credit = (burst - 1) * self._interval
        self._next = clock.monotonic() - self._credit

    @contextmanager
    def request(self, budget: Budget, operation: str) -> Iterator[None]:
        """Wait for a slot and for the rate, and hold the slot.

        Raises:
            OutOfTimeError: The budget does not hold the wait, which is then not begun, or ended during it.
        """
        with self._slots.held(budget, operation):
            self._pace(budget, operation)
            yield

    def _pace(self, budget: Budget, operation: str) -> None:
        if not self._interval:
            return
        with self._lock:
            now = self._clock.monotonic()
            turn = max(self._next, now - self._credit)
            delay = turn - now
            if delay > budget.remaining():
                raise OutOfTimeError(operation, "the request rate allows no request in the time left")
            self._next = turn + self._interval
        if delay > 0 and not budget.wait(delay):
            raise OutOfTimeError(operation, "the time for this work ended in the queue for the API")
