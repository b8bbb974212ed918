"""Read values from a text exposition, faster than with a full parser."""

from __future__ import annotations

from functools import lru_cache

from prometheus_client.parser import text_string_to_metric_families

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A name and its sorted labels."""


@lru_cache(maxsize=100_000)
def _series(text: str) -> Series:
    """Parse a series with the client library, which is slow; hence the cache."""
    ((sample,),) = (family.samples for family in text_string_to_metric_families(f"{text} 0\n"))
    return sample.name, tuple(sorted(sample.labels.items()))


def samples(text: str) -> dict[Series, float]:
    """Return all values of an exposition, in which no series may occur twice."""
    found: dict[Series, float] = {}
    for line in text.split("\n"):
        if line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            key = _series(series)
            assert key not in found, f"{key} occurs twice"
            found[key] = float(value)
    return found


def metric(text: str, name: str, **labels: str) -> float | None:
    """Return the value of the first series of a metric with these labels, if any."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    for line in text.splitlines():
        if line.startswith((f"{name}{{", f"{name} ")) and all(each in line for each in wanted):
            return float(line.rpartition(" ")[2])
    return None
