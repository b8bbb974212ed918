"""What the exporter counts of itself: polls, requests to the API, values not understood, tokens, reloads.

It hears of them from poller and client, and adds what the client library tells of the process. Series that can be
known in advance are present at 0 from the start, so that the first event of its kind is an increase.

The client library's own counters take ten microseconds a series to write; with a few hundred series that is more than
all the rest of a scrape, which is why they are not used here. A text is kept until a number changes, for between two
polls none does.
"""

from __future__ import annotations

import platform
import threading
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from typing import cast

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from gigas_exporter import __version__, logs
from gigas_exporter.errors import REASONS, Reason
from gigas_exporter.inventory import RESOURCES, Resource
from gigas_exporter.metrics import exporter_families as families
from gigas_exporter.metrics.family import Family
from gigas_exporter.metrics.render import encode, header, labels_text, value_text

Labels = tuple[str, ...]


class _Series(ABC):
    """The series of one family, whose text is kept until a number changes; safe to use from any thread."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._lock = threading.Lock()
        self._texts: dict[bool, str] = {}

    def text(self, *, openmetrics: bool) -> str:
        """Return the family's text; empty without series."""
        with self._lock:
            if openmetrics not in self._texts:
                series = "".join(self._lines())
                self._texts[openmetrics] = header(self._family, openmetrics=openmetrics) + series if series else ""
            return self._texts[openmetrics]

    @abstractmethod
    def _lines(self) -> Iterator[str]:
        """Yield the series."""


class LabeledValue(_Series):
    """The series of a counter or a gauge; one that was never touched is absent."""

    def __init__(self, family: Family) -> None:
        super().__init__(family)
        self._values: dict[Labels, float] = {}
        self._names: dict[Labels, str] = {}

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Count up; 0 makes the series appear."""
        with self._lock:
            self._put(labels, self._values.get(labels, 0) + amount)

    def set(self, labels: Labels, value: float) -> None:
        """Set a gauge."""
        with self._lock:
            self._put(labels, value)

    def remove(self, first: Collection[str] | None = None) -> None:
        """Drop the series whose first label is one of these; without any given, all."""
        with self._lock:
            self._texts.clear()
            for labels in [labels for labels in self._values if first is None or labels[0] in first]:
                del self._values[labels]
                del self._names[labels]

    def _put(self, labels: Labels, value: float) -> None:
        self._texts.clear()
        if labels not in self._names:
            pairs = labels_text(self._family.labels, labels)
            self._names[labels] = f"{self._family.name}{{{pairs}}}" if pairs else self._family.name
        self._values[labels] = value

    def _lines(self) -> Iterator[str]:
        for labels, value in self._values.items():
            if (text := value_text(value)) is not None:
                yield f"{self._names[labels]} {text}\n"


class Histogram(_Series):
    """A histogram with one label.

    Args:
        bounds: The buckets' upper limits in seconds, rising, without infinity.
    """

    def __init__(self, family: Family, bounds: tuple[float, ...]) -> None:
        super().__init__(family)
        self._bounds = bounds
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def touch(self, label: str) -> None:
        """Make the series of a label appear, at 0."""
        with self._lock:
            self._touch(label)

    def observe(self, label: str, seconds: float) -> None:
        """Count one duration."""
        with self._lock:
            self._touch(label)
            self._counts[label][bisect_left(self._bounds, seconds)] += 1
            self._sums[label] += seconds

    def _touch(self, label: str) -> None:
        self._texts.clear()
        if label not in self._counts:
            self._counts[label] = [0] * (len(self._bounds) + 1)
            self._sums[label] = 0.0

    def _lines(self) -> Iterator[str]:
        name = self._family.name
        for label, counts in self._counts.items():
            pairs = labels_text(self._family.labels, (label,))
            below = 0
            for bound, count in zip((*map(str, self._bounds), "+Inf"), counts, strict=True):
                below += count
                yield f'{name}_bucket{{{pairs},le="{bound}"}} {below}\n'
            yield f"{name}_count{{{pairs}}} {below}\n{name}_sum{{{pairs}}} {value_text(self._sums[label])}\n"


READ_OPERATIONS = (
    "list_disks",
    "get_disk",
    "list_disk_backups",
    "list_backups",
    "list_virtual_machines",
    "list_accounts",
    "create_token",
)
"""The operations whose series are there from the start."""

_BOUNDS_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_OPENMETRICS_END = b"# EOF\n"


class Telemetry:
    """The exporter's own metrics; thread-safe.

    Of accounts that :meth:`account` has not named, nothing is counted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: set[str] = set()
        self._durations = Histogram(families.API_REQUEST_DURATION, _BOUNDS_SECONDS)
        others = [family for family in families.COUNTED_FAMILIES if family is not families.API_REQUEST_DURATION]
        self._values = {family: LabeledValue(family) for family in others}
        self._runtime = CollectorRegistry()
        ProcessCollector(registry=self._runtime)
        PlatformCollector(registry=self._runtime)
        GCCollector(registry=self._runtime)
        self._values[families.BUILD_INFO].set(
            (__version__, platform.python_version(), platform.python_implementation()), 1
        )
        for operation in READ_OPERATIONS:
            self._durations.touch(operation)
            self._values[families.API_RETRIES].add((operation,), 0)

    def account(self, account_id: str) -> None:
        """Make an account's counters appear, at least 0."""
        with self._lock:
            self._accounts.add(account_id)
            for resource in RESOURCES:
                self._values[families.POLLS].add((account_id, resource), 0)
                for reason in REASONS:
                    self._values[families.POLL_FAILURES].add((account_id, resource, reason), 0)
                # Which other fields there will be is not known; items are left out for this one.
                self._values[families.INVALID_ITEMS].add((account_id, resource, "id"), 0)

    def forget(self, account_ids: Collection[str]) -> None:
        """Drop everything that was counted for accounts; what still ends of their polls is not counted any more."""
        with self._lock:
            self._accounts.difference_update(account_ids)
            for family, series in self._values.items():
                if family.labels[:1] == families.ACCOUNT:
                    series.remove(account_ids)

    def poll(self, account_id: str, resource: Resource, failure: Reason | None) -> None:
        """One poll ended, well when ``failure`` is ``None``."""
        with self._lock:
            if account_id not in self._accounts:
                return
            if failure is not None:
                self._values[families.POLL_FAILURES].add((account_id, resource, failure))
            self._values[families.POLLS].add((account_id, resource))

    def invalid(self, account_id: str, resource: Resource, field: str, count: int) -> None:
        """Values of a field were invalid."""
        with self._lock:
            if account_id in self._accounts:
                self._values[families.INVALID_ITEMS].add((account_id, resource, field), count)

    def request(self, operation: str, code: str, seconds: float) -> None:
        """One request ended; ``code`` is the status, or ``timeout``, ``connection`` or ``invalid``."""
        self._values[families.API_REQUESTS].add((operation, code))
        self._durations.observe(operation, seconds)

    def retry(self, operation: str) -> None:
        """A request is about to be made again."""
        self._values[families.API_RETRIES].add((operation,))

    def token(self, account_ids: Iterable[str], expires_at: float | None) -> None:
        """A login gave a token for these accounts that is said to end at ``expires_at`` (UNIX seconds)."""
        with self._lock:
            known = self._accounts.intersection(account_ids)
            if expires_at is None:
                self._values[families.TOKEN_EXPIRY].remove(known)
                return
            for account_id in known:
                self._values[families.TOKEN_EXPIRY].set((account_id,), expires_at)

    def login_blocked(self, account_ids: Iterable[str], blocked: bool) -> None:
        """Logins for these accounts are blocked, or not any more."""
        with self._lock:
            for account_id in self._accounts.intersection(account_ids):
                self._values[families.LOGIN_BLOCKED].set((account_id,), blocked)

    def accounts(self, watched: int | None, unpolled: int, skipped: int) -> None:
        """So many accounts are watched, wait for their first poll, are left out; ``None`` before they were listed."""
        counts = {families.ACCOUNTS: watched, families.ACCOUNTS_UNPOLLED: unpolled, families.ACCOUNTS_SKIPPED: skipped}
        for family, value in counts.items():
            if watched is None:
                self._values[family].remove()
            else:
                self._values[family].set((), value or 0)

    def discovery(self, success: bool | None) -> None:
        """Accounts were listed or not; ``None`` if configured."""
        if success is None:
            self._values[families.DISCOVERY_SUCCESS].remove()
        else:
            self._values[families.DISCOVERY_SUCCESS].set((), success)

    def reload(self, success: bool, wall: float) -> None:
        """The configuration was loaded or not, at ``wall`` (UNIX seconds)."""
        self._values[families.RELOAD_SUCCESSFUL].set((), success)
        if success:
            self._values[families.RELOAD_SUCCESS_TIMESTAMP].set((), wall)

    def text(self, *, openmetrics: bool, runtime: bool = True) -> bytes:
        """Return the exposition, in OpenMetrics with its end; ``runtime`` adds ``process_*`` and ``python_*``."""
        self._values[families.LOG_LINES_DROPPED].set((), logs.lines_dropped())
        series = [self._values.get(family, self._durations) for family in families.COUNTED_FAMILIES]
        own = encode("".join([each.text(openmetrics=openmetrics) for each in series]))
        if not runtime:
            return own + (_OPENMETRICS_END if openmetrics else b"")
        generate = generate_openmetrics if openmetrics else generate_latest
        return own + cast(bytes, generate(self._runtime))
