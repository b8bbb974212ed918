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
class Ages:
    """The family as of one second.

    Attributes:
        second: In UNIX time.
        deflated: The text as a piece of a deflate stream.
        crc: The checksum of the exposition up to the end of the text.
    """

    second: int
    text: bytes
    deflated: bytes
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
        self._ages: Ages | None = None

    def at(self, second: int) -> Ages:
        """Return the family as of a UNIX second."""
        with self._lock:
            if self._ages is None or self._ages.second != second:
                text = b"".join([self._header, *[part.at(second) for part in self._parts]])
                deflated = deflate_segment(text) if text else b""
                self._ages = Ages(second, text, deflated, zlib.crc32(text, self._crc))
            return self._ages
