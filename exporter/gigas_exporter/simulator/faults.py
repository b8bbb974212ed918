"""Faults of the simulated API: what goes wrong, for which requests, how often.

What each kind does is :data:`KINDS`; :mod:`.server` does it. Tests have a server with more kinds.
"""

from __future__ import annotations

import fnmatch
import itertools
import math
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["KINDS", "Fault", "FaultKind", "Faults"]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """What a kind of fault does, and its own parameters with their defaults."""

    description: str
    defaults: Mapping[str, Any] = field(default_factory=dict)


KINDS: Mapping[str, FaultKind] = {
    "latency": FaultKind("waits `seconds` before it answers", {"seconds": 1.0}),
    "status": FaultKind(
        "answers `status`, with a Retry-After header of `retry_after` where given",
        {"status": 500, "retry_after": None},
    ),
    "value": FaultKind("`field` of each item has `value`", {"field": "status", "value": None}),
    "hang": FaultKind("never answers; ends when the fault is cleared, the client leaves or the server closes"),
    "close": FaultKind("closes the connection without an answer"),
}


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _fits_header(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.isascii() and value.isprintable())


# A status below 200 is an interim answer, after which a client waits for the real one.
_REQUIRED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "operation": (_is_text, "a string"),
    "account": (lambda value: value is None or _is_text(value), "a string or null"),
    "count": (lambda value: value is None or _is_whole(value), "a whole number or null"),
    "probability": (_is_finite, "a finite number"),
    "skip": (_is_whole, "a whole number"),
    "status": (lambda value: _is_whole(value) and 200 <= value <= 599, "from 200 to 599"),  # noqa: PLR2004
    "retry_after": (_fits_header, "plain ASCII on one line, for it goes into a header"),
    "seconds": (_is_finite, "a finite number"),
    "field": (lambda value: value is None or _is_text(value), "a string"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        kind: Its name.
        operation: Glob of operation names; ``unknown`` is the name of what is no operation.
        account: The account in the path; ``None`` for all.
        count: How many requests it hits; ``None`` for no limit.
        probability: Of hitting a request that it concerns, from 0 to 1.
        skip: How many such requests it lets pass first.
        parameters: The kind's own, such as ``status``.
    """

    kind: str
    operation: str = "*"
    account: str | None = None
    count: int | None = None
    probability: float = 1.0
    skip: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that was set, or has a default."""
        own = {name: getattr(self, name) for name in ("kind", "operation", "account", "count", "probability", "skip")}
        return {**own, **self.parameters}

    def concerns(self, operation: str, account: str | None) -> bool:
        """Return whether it is for such a request."""
        return (self.account is None or self.account == account) and fnmatch.fnmatchcase(operation, self.operation)


class Faults:
    """The active faults; thread-safe.

    Args:
        seed: Decides which requests a ``probability`` hits.
        kinds: The kinds that there are.
    """

    def __init__(self, seed: int = 0, kinds: Mapping[str, FaultKind] = KINDS) -> None:
        self.kinds = kinds
        self._lock = threading.Lock()
        self._chance = random.Random(seed)  # noqa: S311 - for tests, not for secrets
        self._numbers = itertools.count(1)
        self._faults: dict[int, Fault] = {}
        self._seen: dict[int, int] = {}
        self._struck: dict[int, int] = {}

    def add(self, kind: str, operation: str = "*", **parameters: Any) -> int:
        """Add a fault; return its number.

        Raises:
            ValueError: There is no such kind or parameter, or a value does not fit.
        """
        if kind not in self.kinds:
            raise ValueError(f"no kind of fault: {kind}; there are: {', '.join(self.kinds)}")
        defaults = self.kinds[kind].defaults
        where = {
            name: parameters.pop(name) for name in ("account", "count", "probability", "skip") if name in parameters
        }
        unknown = parameters.keys() - defaults.keys()
        if unknown:
            raise ValueError(f"{min(unknown)}: no parameter of {kind}")
        fault = Fault(kind, operation, **where, parameters={**defaults, **parameters})
        for name, value in fault.settings.items():
            fits, required = _REQUIRED.get(name, (None, ""))
            if fits is not None and not fits(value):
                raise ValueError(f"{name}: must be {required}")
        with self._lock:
            number = next(self._numbers)
            self._faults[number], self._seen[number], self._struck[number] = fault, 0, 0
            return number

    def remove(self, number: int) -> None:
        """End one fault, if it is active."""
        with self._lock:
            self._faults.pop(number, None)

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._faults.clear()

    def listing(self) -> list[dict[str, Any]]:
        """Return the active faults, each with its number and how many requests it hit."""
        with self._lock:
            return [
                {"id": number, "struck": self._struck[number], **fault.settings}
                for number, fault in self._faults.items()
            ]

    def hits(self, number: int) -> int:
        """Return how many requests a fault hit."""
        return self._struck.get(number, 0)

    def is_active(self, number: int) -> bool:
        """Return whether a fault was neither removed nor cleared; one whose count is used up still is."""
        return number in self._faults

    def take(self, operation: str, account: str | None) -> dict[int, Fault]:
        """Return and count the faults for this request, by number."""
        if not self._faults:
            return {}
        struck: dict[int, Fault] = {}
        with self._lock:
            for number, fault in self._faults.items():
                if not fault.concerns(operation, account):
                    continue
                self._seen[number] += 1
                used_up = fault.count is not None and self._struck[number] >= fault.count
                if self._seen[number] <= fault.skip or used_up or self._chance.random() >= fault.probability:
                    continue
                self._struck[number] += 1
                struck[number] = fault
        return struck
