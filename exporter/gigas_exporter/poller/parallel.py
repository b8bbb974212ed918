"""Call a function for many items, in a limited number of threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

_helpers = threading.BoundedSemaphore(12)
"""How many threads may help the callers of the whole process at once."""

_T = TypeVar("_T")
_R = TypeVar("_R")


def map_parallel(function: Callable[[_T], _R], items: Iterable[_T], concurrency: int) -> dict[_T, _R]:
    """Return what ``function`` returns for each item, at most ``concurrency`` at once.

    The caller's own thread always works; helpers do where there are any. The first item is tried alone: against a
    server that hangs, no more than one request waits.
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
    while len(threads) < concurrency - 1 and (thread := _start_helper(work)) is not None:
        threads.append(thread)
    work()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def _start_helper(work: Callable[[], None]) -> threading.Thread | None:
    """Start a thread, unless there are enough or none can start."""
    if not _helpers.acquire(blocking=False):
        return None

    def run() -> None:
        try:
            work()
        finally:
            _helpers.release()

    thread = threading.Thread(target=run, name="backups", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        _helpers.release()
        return None
    return thread
