"""Durations as Prometheus writes them: ``90s``, ``5m``, ``1h30m``. Knows no setting that has one."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["format_duration", "parse_duration"]

_MILLISECONDS: Final = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
_SYNTAX: Final = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in _MILLISECONDS))
_EXACT: Final = frozenset({"y", "w", "d"})
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
        raise ValueError("must be a duration such as 90s, 5m or 1h30m, its units from large to small")
    total = sum(
        int(number) * size for number, size in zip(match.groups(), _MILLISECONDS.values(), strict=True) if number
    )
    if total > _MAXIMUM_MILLISECONDS:
        raise ValueError("must be a duration of less than 292 years")
    return total / 1000


def format_duration(seconds: float) -> str:
    """Return how Prometheus writes the duration: what :func:`parse_duration` reads back, to the millisecond.

    As in Prometheus, years, weeks and days stand only where they are the whole of it: ``26h``, not ``1d2h``.
    """
    rest = round(seconds * 1000)
    if rest == 0:
        return "0s"
    parts: list[str] = []
    for unit, size in _MILLISECONDS.items():
        if unit in _EXACT and rest % size:
            continue
        number, rest = divmod(rest, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts)
