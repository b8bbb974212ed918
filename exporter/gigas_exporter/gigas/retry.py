"""When and after how long requests are retried.

Only reads and logins are: on 429, on 5xx except 501 (which says "never"), on timeouts and on broken connections, three
tries in all; after a timeout only where ``Deadline.may_retry()`` says so: not while other accounts wait. The wait is
exponential with full jitter, at most 2 s, after the time that ``Retry-After`` asks for. A wait that the deadline does
not hold is not begun: the error stands at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TypeVar

from gigas_exporter.clock import Deadline
from gigas_exporter.errors import ApiError, TransportError
from gigas_exporter.gigas.ratelimit import DeadlineExceededError
from gigas_exporter.gigas.settings import Observer

MAX_TRIES = 3

_FIRST_BACKOFF_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 2.0
_MAX_DIGITS = 9

_T = TypeVar("_T")


def retrying(operation: str, attempt: Callable[[], _T], deadline: Deadline, observer: Observer) -> _T:
    """Return the result of ``attempt``, retried where useful.

    Raises:
        TransportError: As ``attempt`` did the last time.
        ApiError: As ``attempt`` did the last time.
    """
    tries = 1
    while True:
        try:
            return attempt()
        except (TransportError, ApiError) as error:
            # An error of another operation is that of a login inside this one, which has had its tries.
            if error.operation != operation or tries == MAX_TRIES or not _may_pass(error):
                raise
            if error.reason == "timeout" and not deadline.may_retry():
                raise
            if not deadline.wait(_delay(error, tries)):
                raise
        tries += 1
        observer.retry(operation)


def parse_retry_after(value: str | None, wall: float) -> float | None:
    """Return the seconds of ``Retry-After``, ``None`` if not understood.

    Args:
        value: Whole seconds or an HTTP date; one without a zone is UTC, like every date of HTTP.
        wall: The time now, UNIX seconds.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value) if len(value) <= _MAX_DIGITS else None
    try:
        moment = parsedate_to_datetime(value)
        seconds = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() - wall
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None


def _may_pass(error: TransportError | ApiError) -> bool:
    if isinstance(error, TransportError):
        return not isinstance(error, DeadlineExceededError)
    return error.status == HTTPStatus.TOO_MANY_REQUESTS or (
        error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and error.status != HTTPStatus.NOT_IMPLEMENTED
    )


def _delay(error: TransportError | ApiError, tries: int) -> float:
    ceiling = min(_MAX_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2 ** (tries - 1))
    backoff = random.uniform(0, ceiling)  # noqa: S311  # it spreads load and guards nothing
    asked = error.retry_after if isinstance(error, ApiError) else None
    return backoff + (asked or 0.0)
