"""Call a function for many items, with a process-wide limit on threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

MAX_HELPERS = 12

_T = TypeVar("_T")
_R = TypeVar("_R")


class HelperThreads:
    """Threads for callers with many requests; a caller's own thread works, too."""

    def __init__(self, count: int = MAX_HELPERS) -> None:
        self._free = threading.BoundedSemaphore(count)

    def map(self, function: Callable[[_T], _R], items: Iterable[_T], concurrency: int) -> dict[_T, _R]:
        """Return what ``function`` returns for each item, at most ``concurrency`` at once.

        The first item is tried alone: against a server that hangs, no more than one request waits.
        """
        lock, pending = threading.Lock(), iter(items)
        results: dict[_T, _R] = {}
        errors: list[Exception] = []

        def work() -> None:
            try:
                while not errors:
                    with lock:
                        item = next(pending)
                    results[item] = function(item)
            except StopIteration:
                pass
            except Exception as error:  # noqa: BLE001  # raised again in the caller's thread
                errors.append(error)

        for item in pending:
            results[item] = function(item)
            break
        threads: list[threading.Thread] = []
        try:
            while len(threads) < concurrency - 1 and self._free.acquire(blocking=False):
                threads.append(self._started(work))
        except RuntimeError:  # no more threads: those that there are do the work
            pass
        work()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return results

    def _started(self, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            finally:
                self._free.release()

        thread = threading.Thread(target=run, name="backups", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._free.release()
            raise
        return thread
