"""The chart of backup ages relative to their limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gigas_exporter.report import DiskReport, Finding

_BARS: Final = (
    ("under ¼", "under a quarter of the limit", "ok"),
    ("¼–½", "a quarter to half of the limit", "ok"),
    ("½–¾", "half to three quarters of the limit", "ok"),
    ("¾–1", "three quarters of the limit to all of it", "ok"),
    ("stale", "past the limit", "warning"),
    ("missed", "missed", "critical"),
    ("never", "never backed up", "critical"),
    ("awaited", "awaiting the first", "ok"),
    ("unknown", "not known", "unknown"),
)
_BY_FINDING: Final = {
    Finding.NEVER_BACKED_UP: "never",
    Finding.BACKUP_MISSED: "missed",
    Finding.BACKUP_STALE: "stale",
    Finding.AWAITING: "awaited",
}
_OPTIONAL: Final = frozenset({"awaited", "unknown"})
_QUARTERS: Final = 4


@dataclass(frozen=True, slots=True)
class Bar:
    """The number of disks in one range of ages.

    Attributes:
        label: The text below the bar.
        words: The label in words, for screen readers.
        height: Relative to the highest bar, from 0 to 1.
    """

    label: str
    words: str
    severity: str
    count: int
    height: float


def count_ages(reports: Iterable[DiskReport]) -> list[Bar]:
    """Return the bars of the disks that must have a backup."""
    counts = Counter(_label(report) for report in reports if report.requirement.required)
    most = max(counts.values(), default=0)
    return [
        Bar(label, words, severity, counts[label], counts[label] / most)
        for label, words, severity in _BARS
        if most and (counts[label] or label not in _OPTIONAL)
    ]


def _label(report: DiskReport) -> str:
    for finding in report.findings:
        if finding in _BY_FINDING:
            return _BY_FINDING[finding]
    # A backup older than its limit has a finding, so the share is at most 1 here.
    if not report.is_judged or report.age_seconds is None or Finding.BACKUPS_UNREADABLE in report.findings:
        return "unknown"
    return _BARS[min(int(report.share_of_limit * _QUARTERS), _QUARTERS - 1)][0]
