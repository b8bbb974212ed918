"""Limits on concurrent requests and requests per second."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gigas_exporter.clock import Clock, Deadline
from gigas_exporter.errors import TransportError

_CHECK_INTERVAL_SECONDS = 0.05
_GRANTS_BEFORE_HUNG = 10


class DeadlineExceededError(TransportError):
    """The deadline ended before a request was made; it is not retried."""

    def __init__(self, operation: str, detail: str) -> None:
        super().__init__(operation, "timeout", detail)


@contextmanager
def acquire_within(lock: threading.Lock, deadline: Deadline, operation: str) -> Iterator[None]:
    """Hold a lock, waiting until the deadline at most.

    Raises:
        DeadlineExceededError: The deadline ended first.
    """
    _wait(lambda: lock.acquire(timeout=_CHECK_INTERVAL_SECONDS), deadline, operation)
    try:
        yield
    finally:
        lock.release()


def _wait(is_acquired: Callable[[], bool], deadline: Deadline, operation: str) -> None:
    # Neither lock nor event can be waited for together with the stop event, so it is checked in between.
    while not is_acquired():
        if deadline.remaining() <= 0:
            raise DeadlineExceededError(operation, "the time for this work ended in the queue for the API")


class _FairSemaphore:
    """A semaphore whose slots go round-robin by account.

    An account whose last request got no response has one slot at a time, and all such accounts together leave one slot
    to the others: 24 accounts that hang would else take all slots for all of the time. Among them, one that answered
    the request before comes first, or it would wait for the timeouts of all others because of one lost response.
    """

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._count = count
        self._free = count
        self._waiting: dict[str, deque[threading.Event]] = {}
        self._in_use: Counter[str] = Counter()
        self._hung: Counter[str] = Counter()  # requests without a response, in a row
        self._grants_since_hung = 0

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
                    self._in_use[account] -= 1
                    self._in_use += Counter()  # drops the accounts without a request
                else:
                    self._remove(account, granted)
                self._grant()

    def set_hung(self, account: str, *, is_hung: bool) -> None:
        with self._lock:
            if is_hung:
                self._hung[account] += 1
            else:
                del self._hung[account]

    def _grant(self) -> None:
        while self._free and (account := self._next_account()) is not None:
            granted = self._waiting[account][0]
            rest = self._waiting.pop(account)
            rest.popleft()
            if rest:
                self._waiting[account] = rest  # behind all others
            self._free -= 1
            self._in_use[account] += 1
            self._grants_since_hung = 0 if account in self._hung else self._grants_since_hung + 1
            granted.set()

    def _next_account(self) -> str | None:
        responsive = next((account for account in self._waiting if account not in self._hung), None)
        if not self._hung:
            return responsive
        in_use = sum(self._in_use[account] for account in self._hung)
        waiting = [each for each in self._waiting if each in self._hung and not self._in_use[each]]
        hung = min(waiting, key=lambda each: self._hung[each] > 1, default=None)
        if hung is None or in_use >= max(1, self._count - 1):
            return responsive
        is_due = in_use == 0 and (self._count > 1 or self._grants_since_hung >= _GRANTS_BEFORE_HUNG)
        return hung if is_due or responsive is None else responsive

    def _remove(self, account: str, granted: threading.Event) -> None:
        self._waiting[account].remove(granted)
        if not self._waiting[account]:
            del self._waiting[account]


class RateLimiter:
    """Limits concurrent requests and requests per second of several clients.

    The rate is a token bucket: after a pause a few requests may go at once, then they are spread evenly.

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
        """Wait for the rate and a slot; hold it.

        Raises:
            DeadlineExceededError: The deadline does not hold the wait, which is then not begun, or ended during it.
        """
        with self._slots.slot(account, deadline, operation):
            self._wait_for_token(deadline, operation)
            yield

    def set_hung(self, account: str, *, is_hung: bool) -> None:
        """Note whether an account's last request timed out."""
        self._slots.set_hung(account, is_hung=is_hung)

    def _wait_for_token(self, deadline: Deadline, operation: str) -> None:
        if not self._interval:
            return
        with self._lock:
            now = self._clock.monotonic()
            turn = max(self._next, now - self._credit)
            delay = turn - now
            if delay > deadline.remaining():
                raise DeadlineExceededError(operation, "the request rate allows no request in the time left")
            self._next = turn + self._interval
        if delay > 0 and not deadline.wait(delay):
            raise DeadlineExceededError(operation, "the time for this work ended in the queue for the API")
