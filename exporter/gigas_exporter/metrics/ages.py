"""The ages of the newest backups: the one family of the disks that changes with every second.

Its text is a template into which a scrape fills the numbers; scrapes of the same second share the result.
"""

from __future__ import annotations

import math
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from gigas_exporter.inventory import BackupSummary
from gigas_exporter.metrics.compression import deflate
from gigas_exporter.metrics.families import BACKUP_AGE
from gigas_exporter.metrics.render import encode, header

__all__ = ["AgePart", "AgeSection", "AgeText"]


@dataclass(frozen=True, slots=True)
class AgePart:
    """The ages of one account's disks.

    Attributes:
        template: The series, with ``%d`` for each age.
        newest: The whole UNIX second of each newest backup, in the order of the series.
    """

    template: bytes = b""
    newest: tuple[int, ...] = ()

    @classmethod
    def of(cls, identities: Sequence[str], summaries: Sequence[BackupSummary | None]) -> AgePart:
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
class AgeText:
    """The family as of one second: its text, the text as a piece of a deflate stream, and the checksum up to here."""

    second: int
    text: bytes
    deflated: bytes
    crc: int


class AgeSection:
    """The whole family, for all accounts.

    Args:
        crc: The checksum of the text that stands before it in the exposition.
    """

    def __init__(self, parts: Sequence[AgePart], crc: int) -> None:
        self._parts = tuple(part for part in parts if part.newest)
        self._header = header(BACKUP_AGE).encode() if self._parts else b""
        self._crc = crc
        self._lock = threading.Lock()
        self._latest: AgeText | None = None

    def at(self, second: int) -> AgeText:
        """Return the family as of a UNIX second."""
        with self._lock:
            latest = self._latest
            if latest is None or latest.second != second:
                text = b"".join([self._header, *[part.at(second) for part in self._parts]])
                deflated = deflate(text) if text else b""
                self._latest = latest = AgeText(second, text, deflated, zlib.crc32(text, self._crc))
            return latest
