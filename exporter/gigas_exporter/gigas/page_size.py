"""Which page size the API accepts: it may reject a larger one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from gigas_exporter.clock import Clock
from gigas_exporter.errors import ApiError

_SMALL_PAGE = 20  # the pagers that may be behind the API allow 20 and more
_SMALL_PAGES_SECONDS = 900.0  # then the configured size is tried again: the rejection may have had another reason
_TOO_MANY_ITEMS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class PageSize:
    """The page size of one API, shared by threads.

    Args:
        configured: What is tried first.
    """

    def __init__(self, configured: int, clock: Clock) -> None:
        self._configured = max(1, configured)
        self._smaller = min(_SMALL_PAGE, self._configured // 2)
        self._clock = clock
        self._small_until = 0.0
        self._rejects_small: set[str] = set()

    def try_sizes(self, operation: str, fetch_all: Callable[[int], _T]) -> _T:
        """Read a list, once more with smaller pages when the API rejects the request."""
        is_small = self._clock.monotonic() < self._small_until
        size = self._smaller if is_small and self._smaller else self._configured
        try:
            result = fetch_all(size)
        except ApiError as error:
            is_hopeless = size == self._smaller or not self._smaller or operation in self._rejects_small
            if error.status not in _TOO_MANY_ITEMS or is_hopeless:
                raise
        else:
            self._rejects_small.discard(operation)
            return result
        try:
            result = fetch_all(self._smaller)
        except ApiError as error:
            if error.status in _TOO_MANY_ITEMS:
                self._rejects_small.add(operation)
            raise
        if not self._small_until:
            _log.warning("the API takes smaller pages only: set api.page_size", extra={"page_size": self._smaller})
        self._small_until = self._clock.monotonic() + _SMALL_PAGES_SECONDS
        return result
