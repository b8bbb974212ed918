"""The whole exposition, rendered when data changes.

A scrape adds what changes all the time (the ages of backups, the exporter's own metrics) to a body that was rendered
and compressed when data changed. The body is replaced in one step, so each exposition shows one moment. Of HTTP, this
module knows only the names of the formats.
"""

from __future__ import annotations

import math
import threading
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from gigas_exporter.clock import Clock
from gigas_exporter.inventory import AccountInventory, SnapshotSource
from gigas_exporter.metrics.account_renderer import AccountRenderer, AgeTemplate
from gigas_exporter.metrics.compression import GZIP_HEADER, deflate_segment, gzip_trailer
from gigas_exporter.metrics.families import BACKUP_AGE, FAMILIES
from gigas_exporter.metrics.family import Gauge, Info
from gigas_exporter.metrics.render import Segment, header
from gigas_exporter.metrics.telemetry import Telemetry

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_CHUNK = 1 << 18
_LATE_SECONDS = 30.0
"""How long a finding must be overdue before a scrape renders it; usually a poll or the main thread has done so."""


@dataclass(frozen=True, slots=True)
class Exposition:
    """The response to a scrape.

    Attributes:
        chunks: The body, in chunks to be sent one after the other.
        content_encoding: ``gzip``, or ``None`` if the body is not compressed.
    """

    chunks: tuple[bytes, ...]
    content_type: str
    content_encoding: str | None


@dataclass(frozen=True, slots=True)
class Ages:
    """The ages of the newest backups as of one second.

    Attributes:
        second: UNIX seconds.
        deflated: The text as a segment of a deflate stream.
        crc: CRC-32 of the exposition up to the end of the text.
    """

    second: int
    text: bytes
    deflated: bytes
    crc: int


class AgeFamily:
    """The ages of the newest backups of all accounts; thread-safe.

    The text of a second is made once, inside a lock, however many scrapes come in that second.

    Args:
        crc: CRC-32 of the exposition before this family.
    """

    def __init__(self, parts: Sequence[AgeTemplate], crc: int) -> None:
        self._parts = tuple(part for part in parts if part.newest)
        self._header = header(BACKUP_AGE).encode() if self._parts else b""
        self._crc = crc
        self._lock = threading.Lock()
        self._ages: Ages | None = None

    def at(self, second: int) -> Ages:
        """Return the family as of a UNIX second."""
        with self._lock:
            if self._ages is None or self._ages.second != second:
                text = b"".join([self._header, *[part.at(second) for part in self._parts]])
                deflated = deflate_segment(text) if text else b""
                self._ages = Ages(second, text, deflated, zlib.crc32(text, self._crc))
            return self._ages


@dataclass(frozen=True, slots=True)
class _Body:
    """The part of the exposition that changes only with the data.

    Attributes:
        version: The version of the source, ``None`` before the first rendering.
        expires_at: The monotonic time at which some of the data becomes stale.
        due_at: The monotonic time at which a finding may come or go by time alone.
        texts: The text in chunks.
        size: The length of the text in bytes.
        deflated: The gzip header, and the text as segments of a deflate stream.
    """

    version: int | None
    expires_at: float
    due_at: float
    texts: tuple[bytes, ...]
    size: int
    deflated: tuple[bytes, ...]
    ages: AgeFamily


class MetricsRenderer:
    """Renders all metrics; thread-safe."""

    def __init__(self, source: SnapshotSource, telemetry: Telemetry, clock: Clock) -> None:
        self._source = source
        self._telemetry = telemetry
        self._clock = clock
        self._headers = {family.name: _segment(header(family).encode()) for family in _RENDERED}
        self._parts: dict[str, AccountRenderer] = {}
        self._rendering = threading.Lock()
        self._body = _Body(None, float("-inf"), float("-inf"), (), 0, (GZIP_HEADER,), AgeFamily((), 0))
        self.refresh()

    def refresh(self) -> None:
        """Render what changed since the last time.

        While another thread renders, the caller waits; it returns once its own change is rendered, too.
        """
        with self._rendering:
            version = self._source.version
            now = self._clock.monotonic()
            if version != self._body.version or now >= min(self._body.expires_at, self._body.due_at):
                self._body = self._rendered(version, self._source.snapshot(), now)

    def render(self, *, openmetrics: bool, gzip: bool) -> Exposition:
        """Return the exposition as of now."""
        body = self._current()
        ages = body.ages.at(math.floor(self._clock.wall()))
        own = self._telemetry.text(openmetrics=openmetrics)
        content_type = OPENMETRICS if openmetrics else TEXT
        if not gzip:
            return Exposition((*body.texts, ages.text, own), content_type, None)
        end = gzip_trailer(zlib.crc32(own, ages.crc), body.size + len(ages.text) + len(own))
        return Exposition((*body.deflated, ages.deflated, deflate_segment(own, last=True) + end), content_type, "gzip")

    def textfile(self) -> bytes:
        """Return the text for a textfile collector, without ages and process metrics."""
        return b"".join((*self._current().texts, self._telemetry.text(openmetrics=False, runtime=False)))

    def _current(self) -> _Body:
        if self._clock.monotonic() >= min(self._body.expires_at, self._body.due_at + _LATE_SECONDS):
            self.refresh()
        return self._body

    def _rendered(self, version: int, inventories: tuple[AccountInventory, ...], now: float) -> _Body:
        parts: dict[str, AccountRenderer] = {}
        wall = self._clock.wall()
        for inventory in inventories:
            part = parts[inventory.account.id] = self._parts.get(inventory.account.id) or AccountRenderer()
            part.update_inventory(inventory, now, wall)
        self._parts = parts
        segments = tuple(self._segments_by_family(parts.values()))
        crc = size = 0
        for segment in segments:
            crc = zlib.crc32(segment.text, crc)
            size += len(segment.text)
        return _Body(
            version,
            min((part.expires_at for part in parts.values()), default=float("inf")),
            min((part.due_at for part in parts.values()), default=float("inf")),
            _coalesce(tuple(segment.text for segment in segments)),
            size,
            _coalesce((GZIP_HEADER, *(segment.deflated for segment in segments))),
            AgeFamily([part.ages for part in parts.values()], crc),
        )

    def _segments_by_family(self, parts: Iterable[AccountRenderer]) -> Iterable[Segment]:
        """Yield the families, each with the series of all accounts."""
        for family in _RENDERED:
            found = [segment for part in parts if (segment := part.segments.get(family.name)) is not None]
            if found:
                yield self._headers[family.name]
                yield from found


_RENDERED = tuple(family for family in FAMILIES if isinstance(family, Gauge | Info) and family is not BACKUP_AGE)


def _segment(text: bytes) -> Segment:
    return Segment(text, deflate_segment(text))


def _coalesce(chunks: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Join small neighbours, so that chunks need few writes."""
    merged: list[bytes] = []
    for small, run in groupby(chunks, lambda chunk: len(chunk) < _CHUNK):
        if small:
            merged.append(b"".join(run))
        else:
            merged.extend(run)
    return tuple(merged)
