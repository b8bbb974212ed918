"""Counts of the requests that the simulated API got."""

from __future__ import annotations

import threading
from collections import Counter

from gigas_exporter.simulator.api import MatchedRoute
from gigas_exporter.simulator.http import SimRequest

__all__ = ["RequestLog"]


class RequestLog:
    """Requests by operation and status; thread-safe.

    Attributes:
        connections: How many connections were accepted.
        peak: The most requests that were under way at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._statuses: Counter[tuple[str, int]] = Counter()
        self._under_way = 0
        self.connections = 0
        self.peak = 0

    def connect(self) -> int:
        """Count a connection; return its number."""
        with self._lock:
            self.connections += 1
            return self.connections

    def begin(self, operation: str) -> None:
        """Count an arriving request."""
        with self._lock:
            self._counts[operation] += 1
            self._under_way += 1
            self.peak = max(self.peak, self._under_way)

    def note(self, call: MatchedRoute, request: SimRequest, status: int, connection: int) -> None:  # noqa: ARG002
        """Count a response just before it is sent, 0 for none; ``connection`` is the number of its connection."""
        with self._lock:
            self._statuses[call.operation, status] += 1

    def end(self) -> None:
        """Note that a request is no longer under way."""
        with self._lock:
            self._under_way -= 1

    def clear(self) -> None:
        """Set all counts to 0, but for the connections and what is under way."""
        with self._lock:
            self._counts.clear()
            self._statuses.clear()
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
        """A copy of the counts by operation and status."""
        with self._lock:
            return Counter(self._statuses)

    @property
    def total(self) -> int:
        """How many requests arrived."""
        return self.counts.total()
