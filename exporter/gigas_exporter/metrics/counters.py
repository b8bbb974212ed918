"""Numbers by labels that are counted up or set while the exporter runs, and are written out at each scrape.

The client library's own counters take ten microseconds a series to write; with a few hundred series that is more than
all the rest of a scrape, which is why they are not used here. A text is kept until a number changes, for between two
polls none does. It knows no metric, and the formats only by the renderer.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Collection

from gigas_exporter.metrics.family import Family
from gigas_exporter.metrics.render import header, labels_text, value_text

Labels = tuple[str, ...]


class LabeledValue:
    """The series of a counter or a gauge; one that was never touched is absent. Safe to use from any thread."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._lock = threading.Lock()
        self._values: dict[Labels, float] = {}
        self._names: dict[Labels, str] = {}
        self._texts: dict[bool, str] = {}

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

    def text(self, *, openmetrics: bool) -> str:
        """Return the family's text; empty without series."""
        with self._lock:
            if openmetrics not in self._texts:
                values = [(self._names[labels], value_text(value)) for labels, value in self._values.items()]
                series = [f"{name} {text}\n" for name, text in values if text is not None]
                text = header(self._family, openmetrics=openmetrics) + "".join(series) if series else ""
                self._texts[openmetrics] = text
            return self._texts[openmetrics]

    def _put(self, labels: Labels, value: float) -> None:
        self._texts.clear()
        if labels not in self._names:
            pairs = labels_text(self._family.labels, labels)
            self._names[labels] = f"{self._family.name}{{{pairs}}}" if pairs else self._family.name
        self._values[labels] = value


class Histogram:
    """A histogram with one label; thread-safe.

    Args:
        bounds: The buckets' upper limits in seconds, rising, without infinity.
    """

    def __init__(self, family: Family, bounds: tuple[float, ...]) -> None:
        self._family = family
        self._bounds = bounds
        self._lock = threading.Lock()
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}
        self._texts: dict[bool, str] = {}

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

    def text(self, *, openmetrics: bool) -> str:
        """Return the family's text; empty without series."""
        with self._lock:
            if openmetrics not in self._texts:
                series = [self._series(label, self._counts[label], self._sums[label]) for label in self._counts]
                text = header(self._family, openmetrics=openmetrics) + "".join(series) if series else ""
                self._texts[openmetrics] = text
            return self._texts[openmetrics]

    def _touch(self, label: str) -> None:
        self._texts.clear()
        if label not in self._counts:
            self._counts[label] = [0] * (len(self._bounds) + 1)
            self._sums[label] = 0.0

    def _series(self, label: str, counts: list[int], total: float) -> str:
        name = self._family.name
        pairs = labels_text(self._family.labels, (label,))
        lines = []
        below = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), counts, strict=True):
            below += count
            lines.append(f'{name}_bucket{{{pairs},le="{bound}"}} {below}\n')
        lines.append(f"{name}_count{{{pairs}}} {below}\n{name}_sum{{{pairs}}} {value_text(total)}\n")
        return "".join(lines)
