"""The types in which metric families are defined.

It knows no metric, no inventory and no exposition format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Subject = TypeVar("Subject")
Number = float | int | bool
"""The value of a sample; a boolean is written as 1 or 0."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family.

    Attributes:
        name: The name of the series, with ``_total`` for a counter.
        help: Without quotes and backslashes, so that both exposition formats have the same bytes.
        labels: All label names, those of the subject's identity (``ACCOUNT_LABELS``, ``DISK_LABELS``, ...) first.
        source: The API field or other source of the value, for the documentation.
    """

    name: str
    type: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Gauge(Family, Generic[Subject]):
    """A family with one number per subject; no series for ``None``."""

    value: Callable[[Subject], Number | None]


@dataclass(frozen=True, slots=True)
class Info(Family, Generic[Subject]):
    """A family of value 1, described by extra labels.

    Attributes:
        extra_labels: The labels after those of the identity.
        values: Returns their values. A ``None`` among them is written as the empty string; ``None`` instead of all
            means that the subject has no series.
    """

    extra_labels: tuple[str, ...]
    values: Callable[[Subject], tuple[str | None, ...] | None]
