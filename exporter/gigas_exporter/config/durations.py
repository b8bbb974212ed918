"""Histogram as Prometheus writes them: ``90s``, ``5m``, ``1h30m``. Knows no setting that has one."""

from __future__ import annotations

import re
from typing import Final

from gigas_exporter.formatting import DURATION_MILLISECONDS, format_duration

__all__ = ["format_duration", "parse_duration"]

_SYNTAX: Final = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in DURATION_MILLISECONDS))
_WRITTEN_OUT: Final = re.compile(
    r"([0-9]{1,6})\s*(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|y|years?)"
)
_MAXIMUM_MILLISECONDS: Final = (2**63 - 1) // 1_000_000  # Prometheus counts nanoseconds in 64 bits: 292 years
_MAXIMUM_LENGTH: Final = 64


def parse_duration(text: str) -> float:
    """Return the seconds of a duration; ``0`` alone needs no unit, units go from large to small, each once.

    Raises:
        ValueError: It is none; the message says what one looks like.
    """
    if text == "0":
        return 0.0
    match = _SYNTAX.fullmatch(text) if 0 < len(text) <= _MAXIMUM_LENGTH else None
    if match is None:
        raise ValueError(
            f"must be a duration such as 90s, 5m or 1h30m, its units from large to small{_suggestion(text)}"
        )
    total = sum(
        int(number) * size
        for number, size in zip(match.groups(), DURATION_MILLISECONDS.values(), strict=True)
        if number
    )
    if total > _MAXIMUM_MILLISECONDS:
        raise ValueError("must be a duration of less than 292 years")
    return total / 1000


def _suggestion(text: str) -> str:
    """Return which duration was meant by one that is written out, such as ``6 hours``."""
    match = _WRITTEN_OUT.fullmatch(text.strip().lower())
    if match is None:
        return ""
    unit = "ms" if match[2].startswith(("ms", "milli")) else match[2][0]
    return f"; did you mean {int(match[1])}{unit}?"
