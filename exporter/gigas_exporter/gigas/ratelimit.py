"""Limits on concurrent requests and requests per second."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gigas_exporter.clock import Clock, Deadline
from gigas_exporter.errors import TransportError

_CHECK_INTERVAL_SECONDS = 0.05


_SETTINGS = "api.page_size, api.max_concurrency, or an interval below 1m"
"""What to raise where polls take too long: the deadline of a list is the interval, at most a minute."""


class WorkTimeoutError(TransportError):
    """The deadline of the whole work passed, not only a request's time limit.

    Attributes:
        settings: The settings to raise if this goes on.
    """

    def __init__(self, operation: str, detail: str, settings: str = _SETTINGS) -> None:
        super().__init__(operation, "timeout", f"{detail}; raise {settings} if this goes on")
        self.settings = settings


class DeadlineExceededError(WorkTimeoutError):
    """The deadline passed before a request was sent; it is not retried."""


@contextmanager
def acquire_within(lock: threading.Lock, deadline: Deadline, operation: str) -> Iterator[None]:
    """Hold a lock, waiting until the deadline at most.

    Raises:
        DeadlineExceededError: The deadline passed first.
    """
    _wait(lambda: lock.acquire(timeout=_CHECK_INTERVAL_SECONDS), deadline, operation)
    try:
        yield
    finally:
        lock.release()


def _wait(is_acquired: Callable[[], bool], deadline: Deadline, operation: str) -> None:
    # No thread can wait for a lock or event and for the stop event at once, so that is checked in between.
    while not is_acquired():
        if deadline.remaining() <= 0:
            raise DeadlineExceededError(operation, "the deadline passed in the queue for the API")


class _FairSemaphore:
    """A semaphore whose slots go round-robin by account."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._waiting: dict[str, deque[threading.Event]] = {}

    @contextmanager
    def slot(self, account: str, deadline: Deadline, operation: str) -> Iterator[None]:
        granted = threading.Event()
        with self._lock:
            self._waiting.setdefault(account, deque()).append(granted)
            self._grant()
        try:
            _wait(lambda: granted.wait(_CHECK_INTERVAL_SECONDS), deadline, operation)
            yield
        finally:
            with self._lock:
                if granted.is_set():
                    self._free += 1
                else:
                    self._waiting[account].remove(granted)
                self._grant()

    def _grant(self) -> None:
        while self._free and self._waiting:
            account, waiting = next(iter(self._waiting.items()))
            del self._waiting[account]
            if waiting:
                self._free -= 1
                waiting.popleft().set()
                self._waiting[account] = waiting  # behind all others


class RateLimiter:
    """Limits concurrent requests and requests per second of several clients.

    The rate is a token bucket: after a pause a few requests may start at once, the next ones are spread evenly.

    Args:
        max_requests_per_second: 0 means no limit.
    """

    def __init__(self, clock: Clock, max_concurrency: int, max_requests_per_second: float) -> None:
        self._clock = clock
        self._slots = _FairSemaphore(max(1, max_concurrency))
        self._lock = threading.Lock()
        self._interval = 1 / max_requests_per_second if max_requests_per_second > 0 else 0.0
        burst = max(1.0, min(float(max_concurrency), max_requests_per_second / 4))
        self._credit = (burst - 1) * self._interval
        self._next = clock.monotonic() - self._credit

    @contextmanager
    def request(self, account: str, deadline: Deadline, operation: str) -> Iterator[None]:
        """Wait for a slot and for the rate; hold the slot.

        Raises:
            DeadlineExceededError: The deadline passed, or would pass before the rate allows a request.
        """
        with self._slots.slot(account, deadline, operation):
            self._wait_for_token(deadline, operation)
            yield

    def _wait_for_token(self, deadline: Deadline, operation: str) -> None:
        if not self._interval:
            return
        with self._lock:
            now = self._clock.monotonic()
            turn = max(self._next, now - self._credit)
            delay = turn - now
            if delay > deadline.remaining():
                raise DeadlineExceededError(
                    operation,
                    "the request rate allows no request before the deadline",
                    "api.max_requests_per_second",
                )
            self._next = turn + self._interval
        if delay > 0 and not deadline.wait(delay):
            raise DeadlineExceededError(operation, "the deadline passed in the queue for the API")
