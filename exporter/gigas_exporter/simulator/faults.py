"""Faults on request: kind, place and frequency.

What each kind does is :data:`KINDS`; how it is done lies with the server (what happens on the connection) and with
:mod:`.paging` (lists). Tests register further kinds, which change bodies.
"""

from __future__ import annotations

import fnmatch
import itertools
import math
import random
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gigas_exporter.simulator.http import SimResponse
from gigas_exporter.simulator.paging import PagingOptions

__all__ = ["KINDS", "BodyChange", "Fault", "Faults", "change_body", "paging_options", "register_kinds"]

KINDS: dict[str, str] = {
    # before the answer
    "latency": "waits `seconds` before it answers",
    "status": "answers `status`, with a Retry-After header of `retry_after` where given",
    "hang": "never answers; ends when the fault is cleared, the client leaves or the server closes",
    "reset": "resets the connection without an answer",
    "close": "closes the connection without an answer",
    "redirect": "sends the client to `value`, another host",
    # while the answer is sent
    "drip_headers": "sends the head byte by byte, `seconds` apart",
    "drip_body": "sends the body byte by byte, `seconds` apart",
    "truncated": "closes in the middle of the body, whose whole length was announced",
    "truncated_unframed": "closes in the middle of a body whose end is the connection's end",
    # paging
    "ignored_limit": "everything comes at once, without headers",
    "lowered_limit": "pages of at most `size` items",
    "no_headers": "no X- headers",
    "lying_total": "X-Total is `size`",
    "moving_items": "items have moved towards the front by `size` after the first page",
    "endless_pages": 'full pages for ever, of the same items, or of new ones when `value` is "fresh"',
    # authentication
    "expired_token": "new tokens live `seconds`",
}

_DEFAULTS: dict[str, Mapping[str, Any]] = {
    "latency": {"seconds": 1.0},
    "status": {"status": 500},
    "drip_headers": {"seconds": 0.05},
    "drip_body": {"seconds": 0.05},
    "redirect": {"value": "http://elsewhere.example/"},
    "lowered_limit": {"size": 10},
    "lying_total": {"size": 1_000_000},
    "moving_items": {"size": 1},
    "expired_token": {"seconds": 0.0},
}
# Below come interim answers, after which a client waits for the real one.
_LEAST_STATUS, _LARGEST_STATUS = 200, 599
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "operation": str,
    "account": str,
    "count": int,
    "probability": (int, float),
    "skip": int,
    "status": int,
    "retry_after": str,
    "seconds": (int, float),
    "size": int,
    "field": str,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which answers go wrong.

    Attributes:
        kind: One of :data:`KINDS`, which also says what the parameters after ``probability`` mean.
        operation: Glob of operation names; ``unknown`` is the name of what is no operation.
        account: The account in the path; ``None`` for all.
        count: How often it strikes before it is over; ``None`` for no end.
        probability: How likely it strikes when it could.
        skip: How many requests it lets pass first.
    """

    kind: str
    operation: str = "*"
    account: str | None = None
    count: int | None = None
    probability: float = 1.0
    skip: int = 0
    status: int | None = None
    retry_after: str | None = None
    seconds: float | None = None
    size: int | None = None
    field: str | None = None
    value: Any = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no kind of fault: {self.kind}; there are: {', '.join(KINDS)}")
        for name, default in _DEFAULTS.get(self.kind, {}).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)
        for name, kinds in _TYPES.items():
            value = getattr(self, name)
            if (value is not None and not isinstance(value, kinds)) or isinstance(value, bool):
                raise ValueError(f"{name}: a {type(value).__name__} does not fit")
        for name in ("operation", "probability", "skip"):
            if getattr(self, name) is None:
                raise ValueError(f"{name}: must not be null")
        self._check_that_it_can_be_sent()

    def _check_that_it_can_be_sent(self) -> None:
        """Raise for what no answer could hold: it would be the simulator that is wrong, and not what it simulates."""
        if self.status is not None and not _LEAST_STATUS <= self.status <= _LARGEST_STATUS:
            raise ValueError(f"status: must be from {_LEAST_STATUS} to {_LARGEST_STATUS}")
        if self.seconds is not None and not -math.inf < self.seconds < math.inf:
            raise ValueError("seconds: must be a finite number")
        if self.kind == "expired_token" and (self.seconds or 0) < 0:
            raise ValueError("seconds: must not be below 0")
        if self.kind == "lowered_limit" and (self.size or 0) < 1:
            raise ValueError("size: must be at least 1")
        for name, text in (("retry_after", self.retry_after), ("value", self.value if self.kind == "redirect" else "")):
            if not (str(text).isascii() and str(text).isprintable()):
                raise ValueError(f"{name}: must be plain ASCII on one line, for it goes into a header")

    def concerns(self, operation: str, account: str | None) -> bool:
        """Return whether a request could be struck."""
        return (self.account is None or self.account == account) and fnmatch.fnmatchcase(operation, self.operation)


BodyChange = Callable[[SimResponse, Collection[Fault], float], SimResponse]
_body_changes: list[BodyChange] = []


def register_kinds(kinds: Mapping[str, str], defaults: Mapping[str, Mapping[str, Any]], change: BodyChange) -> None:
    """Add kinds of faults; ``change`` makes of a response at a time what they say."""
    KINDS.update(kinds)
    _DEFAULTS.update(defaults)
    _body_changes.append(change)


def change_body(response: SimResponse, faults: Collection[Fault], now: float) -> SimResponse:
    """Return what the faults of registered kinds make of a response."""
    for change in _body_changes:
        response = change(response, faults, now)
    return response


class Faults:
    """The active faults; thread-safe.

    Args:
        seed: Decides where a ``probability`` strikes.
    """

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._chance = random.Random(seed)  # noqa: S311 - for tests, not for secrets
        self._numbers = itertools.count(1)
        self._faults: dict[int, Fault] = {}
        self._seen: dict[int, int] = {}
        self._struck: dict[int, int] = {}

    def add(self, kind: str, operation: str = "*", **parameters: Any) -> int:
        """Put a :class:`Fault` in force; return its number.

        Raises:
            ValueError: There is no such kind, or a parameter does not fit.
            TypeError: There is no such parameter.
        """
        fault = Fault(kind, operation, **parameters)
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
        """Return the faults in force, each with its number and how often it struck."""
        with self._lock:
            return [
                {"id": number, "struck": self._struck[number], **asdict(fault)}
                for number, fault in self._faults.items()
            ]

    def hits(self, number: int) -> int:
        """Return how often a fault was hit."""
        return self._struck.get(number, 0)

    def is_active(self, number: int) -> bool:
        """Return whether a fault was neither removed nor cleared; one whose count is used up still is."""
        return number in self._faults

    def take(self, operation: str, account: str | None) -> dict[int, Fault]:
        """Return and count the faults for this request."""
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


def paging_options(faults: Mapping[str, Fault]) -> PagingOptions:
    """Return what faults, by kind, do to paging."""
    endless = faults.get("endless_pages")
    kind: Literal["repeat", "fresh"] | None = None
    if endless is not None:
        kind = "fresh" if endless.value == "fresh" else "repeat"
    return PagingOptions(
        ignores_limit="ignored_limit" in faults,
        max_limit=faults["lowered_limit"].size if "lowered_limit" in faults else None,
        headers="no_headers" not in faults,
        total=faults["lying_total"].size if "lying_total" in faults else None,
        shift=(faults["moving_items"].size or 0) if "moving_items" in faults else 0,
        endless=kind,
    )
