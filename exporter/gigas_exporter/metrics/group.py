"""Families that are read from the same kind of subject, rendered again only where what they show has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Generic, TypeVar

from gigas_exporter.metrics.compression import deflate_segment
from gigas_exporter.metrics.family import Gauge, Info
from gigas_exporter.metrics.render import encode, info_lines, measure_lines

Subject = TypeVar("Subject")


@dataclass(frozen=True, slots=True)
class Segment:
    """The series of one family and one account: as text, and as a piece of a deflate stream."""

    text: bytes
    deflated: bytes


class FamilyGroup(Generic[Subject]):
    """The families that are read from the same kind of subject, and which of them were shown last."""

    def __init__(self, families: Sequence[Gauge[Subject] | Info[Subject]], segments: dict[str, Segment]) -> None:
        self._families = families
        self._segments = segments
        self._labels: Sequence[str] = ()
        self._subjects: Sequence[Subject | None] = ()

    def show(self, labels: Sequence[str], subjects: Sequence[Subject | None]) -> None:
        """Render the subjects with these label texts, unless they are shown already; an absent one has no series."""
        if subjects == self._subjects and labels == self._labels:
            return
        self.render(labels, subjects)
        self._labels, self._subjects = labels, subjects

    def render(self, labels: Sequence[str], subjects: Sequence[Subject | None]) -> None:
        """Do the same without asking whether they are those shown already, where that costs more than it saves."""
        present = [subject is not None for subject in subjects]
        if not all(present):
            labels = list(compress(labels, present))
        values = [subject for subject in subjects if subject is not None]
        for family in self._families:
            lines = (
                info_lines(family, labels, values)
                if isinstance(family, Info)
                else measure_lines(family, labels, values)
            )
            self._keep(family.name, encode(lines))

    def _keep(self, name: str, text: bytes) -> None:
        known = self._segments.get(name)
        if known is not None and known.text == text:
            return
        if text:
            self._segments[name] = Segment(text, deflate_segment(text))
        else:
            self._segments.pop(name, None)
