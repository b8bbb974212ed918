"""Human-readable text for values."""

from __future__ import annotations

import difflib
import os.path
import traceback
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Final

_SIZE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_KIB = 1024.0
_HOUR_SECONDS = 3_600
_DAY_SECONDS = 24 * _HOUR_SECONDS
_IN_HOURS_BELOW_SECONDS = 100 * _HOUR_SECONDS
_UNIT_SECONDS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_UNIT_WORDS: Final = {"d": "day", "h": "hour", "m": "minute", "s": "second"}
_UNITS_SHOWN = 2
_MAX_GUESS_LENGTH = 64
_MIN_PART_LENGTH = 3
_UNDIVIDED_UNITS = frozenset({"y", "w", "d"})

DURATION_MILLISECONDS: Final = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
"""The units of a duration as Prometheus writes it, largest first."""


def format_address(listen: tuple[str, int]) -> str:
    """Return host and port, such as ``[::1]:9000``."""
    host, port = listen
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def format_count(count: int, noun: str) -> str:
    """Return a count with its noun, such as ``2 disks``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def format_size(size_bytes: float | None) -> str:
    """Return bytes in a binary unit, such as ``20 GiB``; empty when unknown."""
    if size_bytes is None:
        return ""
    value = float(size_bytes)
    unit = 0
    while value >= _KIB and unit < len(_SIZE_UNITS) - 1:
        value /= _KIB
        unit += 1
    return f"{value:.4g} {_SIZE_UNITS[unit]}"


def format_age(seconds: float | None) -> str:
    """Return a span of time, such as ``5m 20s``, ``30h`` or ``8d 3h``; empty when unknown.

    From one day to 100 hours it is in hours, like limits, so that both compare at a glance.
    """
    if seconds is None:
        return ""
    left = int(seconds)
    if _DAY_SECONDS <= left < _IN_HOURS_BELOW_SECONDS:
        return f"{left // _HOUR_SECONDS}h"
    parts: list[str] = []
    for unit, length in _UNIT_SECONDS:
        count, rest = divmod(left, length)
        if parts and not count:
            break
        if count:
            parts.append(f"{count}{unit}")
            left = rest
        if len(parts) == _UNITS_SHOWN:
            break
    return " ".join(parts) or "0s"


def format_ago(seconds: float) -> str:
    """Return how long ago something was, such as ``3 minutes ago``."""
    for unit, length in _UNIT_SECONDS:
        if (count := int(seconds // length)) > 0:
            return f"{format_count(count, _UNIT_WORDS[unit])} ago"
    return "just now"


def format_duration(seconds: float) -> str:
    """Return a duration as Prometheus writes it, to the millisecond.

    Years, weeks and days are used only for whole multiples of them: ``26h``, not ``1d2h``.
    """
    rest = round(seconds * 1000)
    if rest == 0:
        return "0s"
    parts: list[str] = []
    for unit, size in DURATION_MILLISECONDS.items():
        if unit in _UNDIVIDED_UNITS and rest % size:
            continue
        number, rest = divmod(rest, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts)


def format_limit(seconds: float | None) -> str:
    """Return a limit to compare with an age: ``6h``, ``48h``, ``8d``; empty for none."""
    if seconds is None:
        return ""
    if seconds >= _IN_HOURS_BELOW_SECONDS and seconds % _DAY_SECONDS == 0:
        return f"{seconds / _DAY_SECONDS:.0f}d"
    return format_hours(seconds)


def format_hours(seconds: float) -> str:
    """Return whole hours as ``192h``, else what :func:`format_duration` returns."""
    return f"{seconds / _HOUR_SECONDS:.0f}h" if seconds and seconds % _HOUR_SECONDS == 0 else format_duration(seconds)


def format_timestamp(timestamp: float | None) -> str:
    """Return UNIX seconds as RFC 3339 in UTC; empty when unknown."""
    if timestamp is None:
        return ""
    try:
        return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return ""


def escape_control_chars(text: str | None) -> str:
    """Return text in one line, with control characters escaped."""
    if text is None:
        return ""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def error_location(error: BaseException) -> str:
    """Return where an error was raised, such as ``loop.py:80``."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "an unknown place"
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}"  # noqa: PTH119  # a name out of a traceback


def nearest(given: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the most similar known word, if any."""
    by_lower = {word.lower(): word for word in known}
    given = given[:_MAX_GUESS_LENGTH].lower()
    near = set(difflib.get_close_matches(given, by_lower, n=max(1, len(by_lower)), cutoff=cutoff))
    ratios = {word: difflib.SequenceMatcher(None, given, word).ratio() for word in by_lower if word in near}
    return by_lower[max(ratios, key=ratios.__getitem__)] if ratios else None


def did_you_mean(given: str, known: Collection[str], cutoff: float = 0.6) -> str:
    """Return ``; did you mean X?``, or nothing without a similar word."""
    near = nearest(given, known, cutoff)
    if near is None and len(given) >= _MIN_PART_LENGTH:
        near = next((word for word in known if given.lower() in word.lower()), None)
    return f"; did you mean {near}?" if near is not None else ""
