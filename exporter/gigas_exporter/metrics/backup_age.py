"""The ages of the newest backups: the one family of the disks that changes with every second.

Its text is a template into which a scrape fills the numbers; scrapes of the same second share the result.
"""

from __future__ import annotations

import math
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.metrics.compression import deflate_segment
from gigas_exporter.metrics.families import BACKUP_AGE
from gigas_exporter.metrics.render import encode, header


@dataclass(frozen=True, slots=True)
class AgeTemplate:
    """The ages of one account's disks.

    Attributes:
        template: The series, with ``%d`` for each age.
        newest: The whole UNIX second of each newest backup, in the order of the series.
    """

    template: bytes = b""
    newest: tuple[int, ...] = ()

    @classmethod
    def of(cls, identities: Sequence[str], summaries: Sequence[BackupSummary | None]) -> AgeTemplate:
        """Return the part for the disks with these label texts; a disk without a newest backup has no age."""
        lines, newest = [], []
        for labels, summary in zip(identities, summaries, strict=True):
            at = BACKUP_AGE.value(summary) if summary is not None else None
            if at is not None and math.isfinite(at):
                lines.append(labels)
                newest.append(math.floor(at))
        name = BACKUP_AGE.name
        template = "".join([f"{name}{{{labels}}}".replace("%", "%%") + " %d\n" for labels in lines])
        return cls(encode(template), tuple(newest))

    def at(self, second: int) -> bytes:
        """Return the series as of a UNIX second; a backup from the future has the age 0."""
        return self.template % tuple([second - newest if newest < second else 0 for newest in self.newest])


@dataclass(frozen=True, slots=True)
class DeflatedAges:
    """The family as a piece of a deflate stream.

    Attributes:
        size: Bytes of the text.
        crc: The checksum of the exposition up to the end of this piece.
    """

    deflated: bytes
    size: int
    crc: int


class AgeFamily:
    """The family for all accounts; thread-safe.

    The work for a second is done once, inside a lock, however many scrapes come at that second.

    Args:
        crc: The checksum of the text that stands before it in the exposition.
    """

    def __init__(self, parts: Sequence[AgeTemplate], crc: int) -> None:
        self._parts = tuple(part for part in parts if part.newest)
        self._header = header(BACKUP_AGE).encode() if self._parts else b""
        self._crc = crc
        self._lock = threading.Lock()
        self._second: int | None = None
        self._text = b""
        self._deflated: DeflatedAges | None = None

    def text(self, second: int) -> bytes:
        """Return the family as of a UNIX second."""
        with self._lock:
            return self._fill(second)

    def deflated(self, second: int) -> DeflatedAges:
        """Return the same for a compressed exposition."""
        with self._lock:
            text = self._fill(second)
            if self._deflated is None:
                crc = zlib.crc32(text, self._crc)
                self._deflated = DeflatedAges(deflate_segment(text) if text else b"", len(text), crc)
            return self._deflated

    def _fill(self, second: int) -> bytes:
        if self._second != second:
            self._text = b"".join([self._header, *[part.at(second) for part in self._parts]])
            self._second, self._deflated = second, None
        return self._text
