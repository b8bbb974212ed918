"""Owns work that goes one round at a time and must begin after it was asked for: who asks meanwhile shares the next.

It knows nothing of what the work is. However many ask, each waits for the round under way and one more at most.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

__all__ = ["Rounds"]

_T = TypeVar("_T")


class Rounds(Generic[_T]):
    """Work in rounds; safe to use from any thread.

    Args:
        work: Does one round; called from the thread of one of those who asked for it.
    """

    def __init__(self, work: Callable[[], _T]) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._is_under_way = False
        self._next: Future[_T] = Future()

    def join(self) -> _T:
        """Wait for a round that begins from now on; return what it returned, or raise what it raised."""
        with self._changed:
            mine = self._next
            self._changed.wait_for(lambda: mine is not self._next or not self._is_under_way)
            is_first = mine is self._next
            if is_first:
                self._next = Future()
                self._is_under_way = True
        if is_first:
            self._do(mine)
        return mine.result()

    def _do(self, mine: Future[_T]) -> None:
        try:
            mine.set_result(self._work())
        except BaseException as error:  # noqa: BLE001  (it is raised to each who shares the round)
            mine.set_exception(error)
        with self._changed:
            self._is_under_way = False
            self._changed.notify_all()
