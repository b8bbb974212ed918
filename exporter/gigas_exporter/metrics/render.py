"""Render families as exposition text.

It owns the text formats (Prometheus 0.0.4 and OpenMetrics 1.0) and knows no metric and no inventory. Gauges have the
same bytes in both formats, so one rendering serves both. Values have their shortest form: ``1``, not ``1.0``. Families
of the same kind of subject are rendered together, and again only if a subject changed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TypeVar

from gigas_exporter.metrics.compression import deflate_segment
from gigas_exporter.metrics.family import Family, Gauge, Info, Number

Subject = TypeVar("Subject")

_SURROGATES = re.compile("[\ud800-\udfff]")
_EXACT_INTEGERS = 2.0**53


def escape(text: str) -> str:
    """Return an escaped label value."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def labels_text(names: Sequence[str], values: Iterable[str | None]) -> str:
    """Return ``name="value"`` pairs, joined by commas; absent values are empty."""
    return ",".join([f'{name}="{escape(value or "")}"' for name, value in zip(names, values, strict=True)])


def value_text(value: Number | None) -> str | None:
    """Return a value as text, ``None`` unless it is a finite number."""
    if value is None:
        return None
    if not isinstance(value, float):
        return f"{value:d}"
    if value.is_integer() and abs(value) <= _EXACT_INTEGERS:
        return f"{value:.0f}"
    return repr(value) if math.isfinite(value) else None


def header(family: Family, *, openmetrics: bool = False) -> str:
    """Return the HELP and TYPE lines, which have no ``_total`` in OpenMetrics."""
    name = family.name.removesuffix("_total") if openmetrics and family.type == "counter" else family.name
    return f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n"


def gauge_lines(family: Gauge[Subject], identities: Sequence[str], subjects: Sequence[Subject]) -> str:
    """Return a family's series; ``identities`` are its subjects' label texts."""
    name = family.name
    texts = map(value_text, map(family.value, subjects))
    return "".join(
        [f"{name}{{{labels}}} {text}\n" for labels, text in zip(identities, texts, strict=True) if text is not None]
    )


def info_lines(family: Info[Subject], identities: Sequence[str], subjects: Sequence[Subject]) -> str:
    """Return the series of an info family."""
    name = family.name
    extra_labels = family.extra_labels
    return "".join(
        [
            f"{name}{{{labels},{labels_text(extra_labels, texts)}}} 1\n"
            for labels, texts in zip(identities, map(family.values, subjects), strict=True)
            if texts is not None
        ]
    )


def encode(text: str) -> bytes:
    """Return the text as UTF-8; a lone surrogate becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text).encode()


@dataclass(frozen=True, slots=True)
class Segment:
    """One account's series of a family, as text and compressed."""

    text: bytes
    deflated: bytes


class SegmentRenderer:
    """Renders an account's families, each only when it has changed.

    Attributes:
        segments: By family name; a family without series is missing.
    """

    def __init__(self) -> None:
        self.segments: dict[str, Segment] = {}
        self._inputs: dict[str, tuple[Sequence[str], Sequence[object]]] = {}

    def update(
        self,
        families: Sequence[Gauge[Subject] | Info[Subject]],
        labels: Sequence[str],
        subjects: Sequence[Subject | None],
    ) -> bool:
        """Render families of the same subjects; return whether the subjects changed.

        ``labels`` has one text per subject; a subject that is ``None`` has no series.
        """
        if self._inputs.get(families[0].name) == (labels, subjects):
            return False
        self._inputs[families[0].name] = labels, subjects
        present = [subject is not None for subject in subjects]
        if not all(present):
            labels = list(compress(labels, present))
        values = [subject for subject in subjects if subject is not None]
        for family in families:
            lines = (
                info_lines(family, labels, values) if isinstance(family, Info) else gauge_lines(family, labels, values)
            )
            self._store(family.name, encode(lines))
        return True

    def _store(self, name: str, text: bytes) -> None:
        known = self.segments.get(name)
        if known is not None and known.text == text:
            return
        if text:
            self.segments[name] = Segment(text, deflate_segment(text))
        else:
            self.segments.pop(name, None)
