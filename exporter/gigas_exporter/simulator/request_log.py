"""What the simulated API was asked: counts by operation, and the last requests without anything secret."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LoggedRequest", "RequestLog"]

_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request and what it got.

    Attributes:
        status: 0 when nothing was answered.
        at: UNIX seconds of the world's clock.
        connection: Number of the connection that it came over.
    """

    operation: str
    account: str | None
    method: str
    path: str
    query: Mapping[str, str]
    status: int
    at: float
    connection: int


class RequestLog:
    """Counts requests; a counter of operations with a memory.

    Attributes:
        connections: How many connections were accepted.
        peak: The most requests that were under way at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._statuses: Counter[tuple[str, int]] = Counter()
        self._recent: deque[LoggedRequest] = deque(maxlen=_KEPT)
        self._under_way = 0
        self.connections = 0
        self.peak = 0

    def connect(self) -> int:
        """Note a connection; return its number."""
        with self._lock:
            self.connections += 1
            return self.connections

    def begin(self, operation: str) -> None:
        """Log an arriving request."""
        with self._lock:
            self._counts[operation] += 1
            self._under_way += 1
            self.peak = max(self.peak, self._under_way)

    def note(self, seen: LoggedRequest) -> None:
        """Note what a request gets, just before it is sent, so that whoever got it finds it here."""
        with self._lock:
            self._statuses[seen.operation, seen.status] += 1
            self._recent.append(seen)

    def end(self) -> None:
        """Note that a request is no longer under way."""
        with self._lock:
            self._under_way -= 1

    def clear(self) -> None:
        """Forget everything but what is under way."""
        with self._lock:
            self._counts.clear()
            self._statuses.clear()
            self._recent.clear()
            self.peak = self._under_way

    def __getitem__(self, operation: str) -> int:
        with self._lock:
            return self._counts[operation]

    @property
    def counts(self) -> Counter[str]:
        """A copy of the counts by operation."""
        with self._lock:
            return Counter(self._counts)

    @property
    def statuses(self) -> Counter[tuple[str, int]]:
        """A copy of the counts by operation and status, of the requests that were decided on."""
        with self._lock:
            return Counter(self._statuses)

    @property
    def total(self) -> int:
        """How many requests arrived."""
        return self.counts.total()

    @property
    def recent(self) -> tuple[LoggedRequest, ...]:
        """The last requests that were decided on, oldest first."""
        with self._lock:
            return tuple(self._recent)
