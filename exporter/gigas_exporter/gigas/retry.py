"""When requests are retried, and after what delay.

Only reads and logins are retried, with three tries in all: after 429, 5xx except 501 ("never"), connection errors and
timeouts; after a timeout only if ``Deadline.may_retry()`` allows it, which it does not while other accounts wait. The
delay is that of ``Retry-After`` plus an exponential backoff with full jitter, at most 2 s. Where the deadline leaves
too little time for the delay, the error is raised at once.
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
        TransportError: From the last attempt.
        ApiError: From the last attempt.
    """
    tries = 1
    while True:
        try:
            return attempt()
        except (TransportError, ApiError) as error:
            # An error of another operation is from a login inside this one, which had its own tries.
            if error.operation != operation or tries == MAX_TRIES or not _is_retryable(error):
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


def _is_retryable(error: TransportError | ApiError) -> bool:
    if isinstance(error, TransportError):
        return not isinstance(error, DeadlineExceededError)
    return error.status == HTTPStatus.TOO_MANY_REQUESTS or (
        error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and error.status != HTTPStatus.NOT_IMPLEMENTED
    )


def _delay(error: TransportError | ApiError, tries: int) -> float:
    ceiling = min(_MAX_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2 ** (tries - 1))
    backoff = random.uniform(0, ceiling)  # noqa: S311  # spreads load, protects nothing
    asked = error.retry_after if isinstance(error, ApiError) else None
    return backoff + (asked or 0.0)
