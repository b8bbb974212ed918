"""The exporter's own metrics: polls, requests, tokens, reloads.

Poller and API client report events here; prometheus-client adds process metrics. Series that are known in advance start
at 0, so that the first event of its kind is an increase.

The counters of prometheus-client are not used: they take 10 µs per series to write, which for a few hundred series is
more than the rest of a scrape. A family's text is kept until a number changes; between two polls none does.
"""

from __future__ import annotations

import math
import platform
import threading
from collections.abc import Collection, Iterable
from typing import Literal, cast

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


class CountedFamily:
    """A counter, gauge or histogram; thread-safe. A series appears with its first value."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._lock = threading.Lock()
        self._texts: dict[bool, str] = {}
        self._names: dict[Labels, tuple[str, ...]] = {}
        self._numbers: dict[str, float] = {}

    def text(self, *, openmetrics: bool) -> str:
        """Return the family's text; empty without series."""
        with self._lock:
            if openmetrics not in self._texts:
                numbers = self._numbers.items()
                lines = [f"{name} {text}\n" for name, number in numbers if (text := value_text(number)) is not None]
                head = header(self._family, openmetrics=openmetrics) if lines else ""
                self._texts[openmetrics] = head + "".join(lines)
            return self._texts[openmetrics]

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Increase a counter; 0 makes the series appear, also those of a histogram."""
        with self._lock:
            self._numbers[self._touch(labels)[0]] += amount

    def set(self, labels: Labels, value: float | None) -> None:
        """Set a gauge; ``None`` makes it absent."""
        with self._lock:
            self._numbers[self._touch(labels)[0]] = math.nan if value is None else value

    def observe(self, labels: Labels, seconds: float) -> None:
        """Count one duration in a histogram."""
        with self._lock:
            *buckets, count, total = self._touch(labels)
            for bucket, bound in zip(buckets, (*_BOUNDS_SECONDS, float("inf")), strict=True):
                self._numbers[bucket] += seconds <= bound
            self._numbers[count] += 1
            self._numbers[total] += seconds

    def remove(self, first: Collection[str]) -> None:
        """Remove the series whose first label is one of these."""
        with self._lock:
            self._texts.clear()
            for labels in [labels for labels in self._names if labels[0] in first]:
                for name in self._names.pop(labels):
                    del self._numbers[name]

    def _touch(self, labels: Labels) -> tuple[str, ...]:
        """Prepare the series with these labels for a change, and return their names."""
        self._texts.clear()
        if labels not in self._names:
            name, pairs = self._family.name, labels_text(self._family.labels, labels)
            names: tuple[str, ...] = (f"{name}{{{pairs}}}" if pairs else name,)
            if self._family.type == "histogram":
                bounds = (*map(str, _BOUNDS_SECONDS), "+Inf")
                buckets = [f'{name}_bucket{{{pairs},le="{bound}"}}' for bound in bounds]
                names = (*buckets, f"{name}_count{{{pairs}}}", f"{name}_sum{{{pairs}}}")
            self._names[labels] = names
            self._numbers.update(dict.fromkeys(names, 0))
        return self._names[labels]


READ_OPERATIONS = (
    "list_disks",
    "get_disk",
    "list_disk_backups",
    "list_backups",
    "list_virtual_machines",
    "list_accounts",
    "create_token",
)
"""The operations whose series exist from the start."""

_BOUNDS_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_OPENMETRICS_END = b"# EOF\n"


class Telemetry:
    """The exporter's own metrics; thread-safe.

    Events of accounts that :meth:`account` has not announced are ignored.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: set[str] = set()
        self._loaded: dict[str, bool] = {}
        self._values = {family: CountedFamily(family) for family in families.COUNTED_FAMILIES}
        self._runtime = CollectorRegistry()
        ProcessCollector(registry=self._runtime)
        PlatformCollector(registry=self._runtime)
        GCCollector(registry=self._runtime)
        self._values[families.BUILD_INFO].set(
            (__version__, platform.python_version(), platform.python_implementation()), 1
        )
        for operation in READ_OPERATIONS:
            for family in (families.API_REQUEST_DURATION, families.API_RETRIES):
                self._values[family].add((operation,), 0)

    def account(self, account_id: str) -> None:
        """Make an account's counters appear, at 0 if they are new."""
        with self._lock:
            self._accounts.add(account_id)
            for resource in RESOURCES:
                self._values[families.POLLS].add((account_id, resource), 0)
                for reason in REASONS:
                    self._values[families.POLL_FAILURES].add((account_id, resource, reason), 0)
                # Other fields are not known in advance. An item with an invalid id is left out.
                self._values[families.INVALID_ITEMS].add((account_id, resource, "id"), 0)

    def forget(self, account_ids: Collection[str]) -> None:
        """Remove the series of accounts, and ignore their events from now on."""
        with self._lock:
            self._accounts.difference_update(account_ids)
            for family, series in self._values.items():
                if family.labels[:1] == families.ACCOUNT_LABELS:
                    series.remove(account_ids)

    def poll(self, account_id: str, resource: Resource, failure: Reason | None) -> None:
        """A poll ended; ``failure`` is ``None`` if it succeeded."""
        with self._lock:
            if account_id not in self._accounts:
                return
            if failure is not None:
                self._values[families.POLL_FAILURES].add((account_id, resource, failure))
            self._values[families.POLLS].add((account_id, resource))

    def invalid(self, account_id: str, resource: Resource, field: str, count: int) -> None:
        """``count`` values of a field were invalid."""
        with self._lock:
            if account_id in self._accounts:
                self._values[families.INVALID_ITEMS].add((account_id, resource, field), count)

    def request(self, operation: str, code: str, seconds: float) -> None:
        """A request ended; ``code`` is the status, or ``timeout``, ``connection`` or ``invalid``."""
        self._values[families.API_REQUESTS].add((operation, code))
        self._values[families.API_REQUEST_DURATION].observe((operation,), seconds)

    def retry(self, operation: str) -> None:
        """A request is about to be sent again."""
        self._values[families.API_RETRIES].add((operation,))

    def token(self, account_ids: Iterable[str], expires_at: float | None) -> None:
        """A login returned a token; ``expires_at`` is UNIX seconds, ``None`` if not known."""
        with self._lock:
            for account_id in self._accounts.intersection(account_ids):
                self._values[families.TOKEN_EXPIRY].set((account_id,), expires_at)

    def login_blocked(self, account_ids: Iterable[str], blocked: bool) -> None:
        """Logins for these accounts were blocked or unblocked."""
        with self._lock:
            for account_id in self._accounts.intersection(account_ids):
                self._values[families.LOGIN_BLOCKED].set((account_id,), blocked)

    def accounts(self, watched: int | None, unpolled: int, skipped: int) -> None:
        """The numbers of watched (``None`` before the first list), unpolled and skipped accounts."""
        counts = {families.ACCOUNTS: watched, families.ACCOUNTS_UNPOLLED: unpolled, families.ACCOUNTS_SKIPPED: skipped}
        for family, value in counts.items():
            self._values[family].set((), None if watched is None else value)

    def discovery(self, success: bool | None) -> None:
        """Discovery succeeded or failed; ``None`` if accounts are configured."""
        self._values[families.DISCOVERY_SUCCESS].set((), success)

    def reload(self, success: bool, wall: float, part: Literal["settings", "web"] = "settings") -> None:
        """Loading a part of the configuration succeeded or failed, at UNIX time ``wall``; all parts must succeed."""
        with self._lock:
            self._loaded[part] = success
            all_loaded = all(self._loaded.values())
            self._values[families.RELOAD_SUCCESSFUL].set((), all_loaded)
            if all_loaded:
                self._values[families.RELOAD_SUCCESS_TIMESTAMP].set((), wall)

    def text(self, *, openmetrics: bool, runtime: bool = True) -> bytes:
        """Return the exposition; ``runtime`` adds ``process_*`` and ``python_*``."""
        self._values[families.LOG_LINES_DROPPED].set((), logs.lines_dropped())
        own = encode("".join([series.text(openmetrics=openmetrics) for series in self._values.values()]))
        if not runtime:
            return own + (_OPENMETRICS_END if openmetrics else b"")
        generate = generate_openmetrics if openmetrics else generate_latest
        return own + cast(bytes, generate(self._runtime))
