"""Faults of the simulated API.

:data:`KINDS` describes what each kind does, :mod:`.server` applies it. The tests' server has more kinds.
"""

from __future__ import annotations

import fnmatch
import itertools
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault, and its parameters with their defaults."""

    description: str
    defaults: Mapping[str, Any] = dataclass_field(default_factory=dict)


KINDS: Mapping[str, FaultKind] = {
    "latency": FaultKind("delays the response by `seconds`", {"seconds": 1.0}),
    "status": FaultKind(
        "responds with `status`, and with the header Retry-After if `retry_after` is given",
        {"status": 500, "retry_after": None},
    ),
    "value": FaultKind("`field` of each item has `value`", {"field": "status", "value": None}),
    "hang": FaultKind("sends no response until the fault is removed, the client leaves or the server closes"),
    "close": FaultKind("closes the connection without a response"),
}


class Fault(BaseModel):
    """A fault, which affects some requests.

    Attributes:
        kind: The name of its kind.
        operation: Glob of operation names; requests that match no operation are named ``unknown``.
        account: The account in the path; ``None`` for all.
        count: The maximum number of affected requests; ``None`` for no limit.
        probability: The probability that a matching request is affected, from 0 to 1.
        skip: How many matching requests pass first.

    The others are parameters of single kinds.
    """

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

    kind: str
    operation: str = "*"
    account: str | None = None
    count: int | None = None
    probability: float = 1.0
    skip: int = 0
    status: int = Field(default=500, ge=200, le=599)  # 1xx are interim responses, after which clients wait
    retry_after: str | None = Field(default=None, pattern="^[ -~]*$")
    seconds: float = 0.0
    field: str | None = None
    value: Any = None

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters, including the defaults of its kind."""
        return self.model_dump(exclude_unset=True)

    def concerns(self, operation: str, account: str | None) -> bool:
        """Return whether a request matches."""
        return self.account in {None, account} and fnmatch.fnmatchcase(operation, self.operation)


_COMMON = frozenset({"account", "count", "probability", "skip"})


class Faults:
    """The active faults. ``seed`` determines which requests a ``probability`` affects. Thread-safe."""

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
            ValueError: The kind or a parameter does not exist, or a value is invalid.
        """
        if kind not in self.kinds:
            raise ValueError(f"no kind of fault: {kind}; must be one of {', '.join(self.kinds)}")
        defaults = self.kinds[kind].defaults
        unknown = parameters.keys() - defaults.keys() - _COMMON
        if unknown:
            raise ValueError(f"{min(unknown)}: no parameter of {kind}")
        fault = Fault(kind=kind, operation=operation, **{**defaults, **parameters})
        with self._lock:
            number = next(self._numbers)
            self._faults[number], self._seen[number], self._struck[number] = fault, 0, 0
            return number

    def remove(self, number: int) -> None:
        """Remove a fault, if it is active."""
        with self._lock:
            self._faults.pop(number, None)

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def listing(self) -> list[dict[str, Any]]:
        """Return the active faults, with their numbers and how often each struck."""
        with self._lock:
            return [
                {"id": number, "struck": self._struck[number], **fault.parameters}
                for number, fault in self._faults.items()
            ]

    def is_active(self, number: int) -> bool:
        """Return whether a fault is active, even if its ``count`` is used up."""
        return number in self._faults

    def take(self, operation: str, account: str | None) -> dict[int, Fault]:
        """Return the faults that affect a request, by number, and count it."""
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
