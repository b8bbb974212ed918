"""Numbers by labels that are counted up or set while the exporter runs, and are written out at each scrape.

The client library's own counters take ten microseconds a series to write; with a few hundred series that is more than
all the rest of a scrape, which is why they are not used here. A text is kept until a number changes, for between two
polls none does. It knows no metric, and the formats only by the renderer.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Collection, Iterator

from gigas_exporter.metrics.family import Family
from gigas_exporter.metrics.render import header, labels_text, value_text

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
