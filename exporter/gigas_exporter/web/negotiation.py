"""Which representation a client wants: OpenMetrics or text, gzip or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_OPENMETRICS: Final = "application/openmetrics-text"
_OPENMETRICS_VERSIONS: Final = frozenset({"", "1.0.0", "0.0.1"})
_TEXT_VERSIONS: Final = frozenset({"", "0.0.4"})


def wants_openmetrics(accept: str) -> bool:
    """Return whether ``Accept`` prefers OpenMetrics 1.0.

    It must be named: ``*/*`` and a missing header get the text format, which every client can read. At equal weight
    OpenMetrics wins, as it is what clients that name both list first.
    """
    openmetrics = text = 0.0
    for media, parameters in _elements(accept):
        weight = _weight(parameters)
        version = parameters.get("version", "").strip('"')
        if media == _OPENMETRICS and version in _OPENMETRICS_VERSIONS:
            openmetrics = max(openmetrics, weight)
        elif media in {"text/plain", "text/*"} and version in _TEXT_VERSIONS:
            text = max(text, weight)
    return openmetrics > 0 and openmetrics >= text


def wants_gzip(accept_encoding: str) -> bool:
    """Return whether this ``Accept-Encoding`` header allows gzip."""
    named: dict[str, float] = {coding: _weight(parameters) for coding, parameters in _elements(accept_encoding)}
    return named.get("gzip", named.get("x-gzip", named.get("*", 0.0))) > 0


def _elements(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    for element in header.split(","):
        name, *rest = element.split(";")
        pairs = (parameter.partition("=") for parameter in rest)
        yield name.strip().lower(), {key.strip().lower(): value.strip() for key, _, value in pairs}


def _weight(parameters: dict[str, str]) -> float:
    """Return the weight; an unreadable one allows without preferring."""
    try:
        weight = float(parameters.get("q", "1"))
    except ValueError:
        return 0.001
    return weight if 0 <= weight <= 1 else 0.001
