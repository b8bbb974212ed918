"""One poll again and again: at once, then at its interval, moved a little each time.

The loop owns the schedule and the thread; what is polled, and what comes of a failure, it does not know.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from gigas_exporter.clock import Clock
from gigas_exporter.logs import get_logger

__all__ = ["Loop", "poll_deadline"]

_log = get_logger(__name__)

_JITTER = 0.05
_SHORTEST_DEADLINE, _LONGEST_DEADLINE = 5.0, 60.0


def poll_deadline(interval_seconds: float) -> float:
    """Return how long one poll may take: its interval, but never less than 5 s nor more than 60 s."""
    return min(max(interval_seconds, _SHORTEST_DEADLINE), _LONGEST_DEADLINE)


class Loop:
    """Run ``poll`` now and then every ``interval_seconds`` ± 5 %, never two at a time, until ``stop`` is set.

    The jitter keeps many exporters from calling together. Schedules are monotonic: a clock that is set moves nothing.

    Args:
        name: Name of the thread.
        poll: Does the work, and handles its own failures; a defect in it is logged, and ends no polling.
        interval_seconds: Asked after each poll.
        longest_seconds: A poll that takes longer than this is stuck, which :meth:`stuck` then tells.
    """

    def __init__(
        self,
        name: str,
        poll: Callable[[], object],
        interval_seconds: Callable[[], float],
        *,
        longest_seconds: float,
        clock: Clock,
        stop: threading.Event,
        rng: random.Random,
    ) -> None:
        self._poll = poll
        self._interval = interval_seconds
        self._longest = longest_seconds
        self._clock = clock
        self._stop = stop
        self._rng = rng
        self._busy_since: float | None = None
        self._is_broken = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first poll starts at once."""
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """Wait for the thread to end, after ``stop`` was set; return whether it has."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def stuck(self) -> bool:
        """Return whether the thread has died, or is in a poll that should have ended long ago."""
        since = self._busy_since
        late = since is not None and self._clock.monotonic() - since > self._longest
        return late or (not self._thread.is_alive() and not self._stop.is_set())

    def _run(self) -> None:
        while not self._stop.is_set():
            began = self._clock.monotonic()
            self._busy_since = began
            self._poll_once()
            self._busy_since = None
            period = self._interval() * self._rng.uniform(1 - _JITTER, 1 + _JITTER)
            self._clock.wait(self._stop, began + period - self._clock.monotonic())

    def _poll_once(self) -> None:
        try:
            self._poll()
        except Exception as error:  # noqa: BLE001  # without polls the last data would be served as if all was well
            log = _log.debug if self._is_broken else _log.error
            log("a poll broke off", loop=self._thread.name, exc_info=error)
            self._is_broken = True
        else:
            self._is_broken = False
