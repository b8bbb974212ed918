"""Run polls periodically on a bounded pool of threads.

The scheduler decides when a poll runs and how many run at once. It does not know what a poll does.

Due polls run in the order of their due times. A credential has as many slots for polls as it may send concurrent
requests. Polls of backups have the same number of slots again, because reading disk by disk can take a whole interval.

An account that hangs must not delay others. Accounts that never answered leave one slot of their credential free, and
their polls are aborted early while others of their kind wait. Accounts whose last poll got no response share one slot
of their credential, and do not retry requests; an account that answered the poll before goes first. Of the 32 workers,
at most 24 poll accounts of these two kinds, at most 8 those of the second kind, and at most 16 read backups.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import random
import threading
from bisect import insort
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

from gigas_exporter.clock import Clock
from gigas_exporter.logs import get_logger

_log = get_logger(__name__)

MAX_WORKERS = 32
_JITTER = 0.05
_MIN_DEADLINE_SECONDS, _MAX_DEADLINE_SECONDS = 5.0, 60.0
_STALLED_AFTER_DEADLINES = 3
_STALLED_SECONDS = 10.0
_THREAD_RETRY_SECONDS = 1.0
_CONTENDED_SECONDS = 1.0
_ABORT_INTERVAL_SECONDS = 0.25
_IDLE_SECONDS = 60.0

_sequence = itertools.count()


def poll_deadline(interval_seconds: float) -> float:
    """Return how long a poll may take: its interval, at least 5 s and at most 60 s."""
    return min(max(interval_seconds, _MIN_DEADLINE_SECONDS), _MAX_DEADLINE_SECONDS)


@dataclass(eq=False, slots=True)
class PollTask:
    """A poll that runs periodically.

    Attributes:
        name: For the log.
        run: Polls once; returns whether the poll hung, that is, its last request got no response. Its argument returns
            whether a request without response may be retried.
        interval_seconds: Returns the time between two runs; called after each run.
        deadline_seconds: A run that takes three times as long is stalled.
        credential: Tasks of the same credential share ``slots``.
        slots: Maximum number of concurrent requests of the credential.
        rank: Orders tasks that are due at the same time, lowest first.
        is_long: Whether a run may take as long as its interval.
        leader: Another task of the account. While it hangs, this one counts as hanging too.
        abort: Aborts a run that has waited too long for its first response. Called if the account never answered,
            while other such accounts wait.
        first_response_seconds: How long a run may wait for its first response before ``abort`` is called.
        began: Whether a run has begun. Only the scheduler sets this and the following fields.
        answered: Whether any run did not hang.
        hung: How many runs in a row hung.
        counted: The limits that the current run counts against.
    """

    name: str
    run: Callable[[Callable[[], bool]], bool]
    interval_seconds: Callable[[], float]
    deadline_seconds: float
    credential: Hashable = None
    slots: int = 1
    rank: int = 0
    is_long: bool = False
    leader: PollTask | None = None
    abort: Callable[[], None] = lambda: None
    first_response_seconds: float = 2.0
    began: bool = False
    answered: bool = False
    hung: int = 0
    due: float = 0.0
    started_at: float | None = None
    is_queued: bool = False
    is_removed: bool = False
    runs_again: bool = False
    is_broken: bool = False
    counted: tuple[Hashable, ...] = ()
    sequence: int = field(default_factory=lambda: next(_sequence))

    @property
    def hangs(self) -> bool:
        """Whether the last request of this task, or of its leader, got no response."""
        return self.hung > 0 or (self.leader is not None and self.leader.hung > 0)

    @property
    def key(self) -> tuple[bool, bool, float, int, int]:
        """The sort key of due tasks; tasks with a leader come last while the account does not answer."""
        follows = self.leader is not None and (self.hangs or not self.leader.answered)
        return follows, not (self.answered and self.hung == 1), self.due, self.rank, self.sequence


class Scheduler:
    """Runs tasks on at most ``max_workers`` threads, no task twice at once.

    A new task runs as soon as a worker is free, then every interval ± 5 %, so that many exporters do not poll at the
    same time. Schedules follow the monotonic clock: setting the wall clock does not move them.
    """

    def __init__(self, clock: Clock, *, max_workers: int = MAX_WORKERS) -> None:
        self._clock = clock
        self._max_workers = max_workers
        self._rng = random.Random()  # noqa: S311  # jitter, no secret
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._later: list[tuple[float, int, PollTask]] = []
        self._ready: list[PollTask] = []
        self._running: set[PollTask] = set()
        self._counts: Counter[Hashable] = Counter()
        self._queue: queue.SimpleQueue[PollTask | None] = queue.SimpleQueue()
        self._workers: list[threading.Thread] = []
        self._dispatcher = threading.Thread(target=self._dispatch, name="poll-scheduler", daemon=True)
        self._progress_at = clock.monotonic()
        self._lacks_threads = False

    def start(self) -> None:
        """Start running tasks.

        Raises:
            RuntimeError: No thread can be started.
        """
        self._dispatcher.start()

    def stop(self, seconds: float) -> None:
        """Start no more tasks, and wait at most ``seconds`` for those that run."""
        self._stop.set()
        self._wake.set()
        deadline = self._clock.monotonic() + seconds
        for thread in self.threads():
            if thread.ident is not None:
                thread.join(max(0.0, deadline - self._clock.monotonic()))

    def add(self, tasks: Iterable[PollTask]) -> None:
        """Run tasks now, and then periodically."""
        with self._lock:
            now = self._clock.monotonic()
            for task in tasks:
                self._schedule(task, now)
        self._wake.set()

    def remove(self, tasks: Iterable[PollTask]) -> None:
        """Stop scheduling these tasks; a run in progress continues."""
        with self._lock:
            for task in tasks:
                task.is_removed = True
            self._ready = [task for task in self._ready if not task.is_removed]
            self._later = [entry for entry in self._later if not entry[2].is_removed]
            heapq.heapify(self._later)

    def run_now(self, tasks: Iterable[PollTask]) -> None:
        """Run these tasks as soon as possible; those that run now run again."""
        with self._lock:
            now = self._clock.monotonic()
            for task in tasks:
                if task.started_at is not None:
                    task.runs_again = True
                elif not task.is_queued:
                    self._schedule(task, now)
        self._wake.set()

    def threads(self) -> list[threading.Thread]:
        """Return the dispatcher and the workers."""
        with self._lock:
            return [self._dispatcher, *self._workers]

    def is_stalled(self) -> bool:
        """Return whether a run takes far too long, or due tasks cannot run."""
        now = self._clock.monotonic()
        with self._lock:
            started = [(now - task.started_at, task) for task in self._running if task.started_at is not None]
            waits = bool(self._ready) and not self._running and now - self._progress_at > _STALLED_SECONDS
            lacks_threads = self._lacks_threads and not self._workers
        dead = self._dispatcher.ident is not None and not self._dispatcher.is_alive() and not self._stop.is_set()
        late = any(seconds > _STALLED_AFTER_DEADLINES * task.deadline_seconds for seconds, task in started)
        return late or waits or lacks_threads or dead

    def _schedule(self, task: PollTask, due: float) -> None:
        task.due = due
        heapq.heappush(self._later, (due, next(_sequence), task))

    def _dispatch(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            with self._lock:
                now = self._clock.monotonic()
                self._queue_due(now)
                needs_worker = self._start_ready(now)
                seconds = min(self._later[0][0] - now if self._later else _IDLE_SECONDS, self._abort_slow(now))
            if needs_worker and self._add_worker():
                continue
            self._clock.wait(self._wake, min(seconds, _THREAD_RETRY_SECONDS) if needs_worker else seconds)
        for _ in self._workers:
            self._queue.put(None)

    def _queue_due(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            due, _, task = heapq.heappop(self._later)
            # A task that was rescheduled has an older entry, too, which is ignored.
            if task.due == due and not task.is_queued and task.started_at is None:
                task.is_queued = True
                if not self._ready and not self._running:
                    self._progress_at = now
                insort(self._ready, task, key=lambda each: each.key)

    def _start_ready(self, now: float) -> bool:
        """Start ready tasks within their limits; return whether one needs another worker."""
        full: set[Hashable] = set()
        for task in list(self._ready):
            kind = task.credential, task.is_long, task.hangs, task.answered
            if kind in full:
                continue
            limits = self._limits(task)
            if any(self._counts[key] >= limit for key, limit in limits):
                full.add(kind)
            elif len(self._running) < len(self._workers):
                self._ready.remove(task)
                self._start(task, tuple(key for key, _ in limits), now)
            else:
                return len(self._workers) < self._max_workers
        return False

    def _start(self, task: PollTask, counted: tuple[Hashable, ...], now: float) -> None:
        task.is_queued, task.started_at, task.began = False, now, True
        task.counted = counted
        self._counts.update(counted)
        self._progress_at = now
        self._running.add(task)
        self._queue.put(task)

    def _abort_slow(self, now: float) -> float:
        """Abort slow runs of new accounts while other new accounts wait; return the seconds to the next check."""
        waiting = {task.credential for task in self._ready if task.leader is None and not (task.answered or task.hung)}
        seconds = _IDLE_SECONDS
        for task in self._running:
            if task.credential in waiting and not task.answered and not task.hung and task.started_at is not None:
                left = task.started_at + task.first_response_seconds - now
                if left > 0:
                    seconds = min(seconds, left)
                else:
                    task.abort()
                    seconds = min(seconds, _ABORT_INTERVAL_SECONDS)
        return seconds

    def _may_retry(self, task: PollTask) -> bool:
        """Return whether a request without response may be retried: not while others wait."""
        latest = self._clock.monotonic() - _CONTENDED_SECONDS
        with self._lock:
            waits = any(each.credential == task.credential and each.due < latest for each in self._ready)
        return not (task.hangs or waits)

    def _limits(self, task: PollTask) -> list[tuple[Hashable, int]]:
        """Return the limits of the task, each with the key that it is counted under."""
        limits: list[tuple[Hashable, int]] = []
        if task.credential is None:
            return limits
        limits.append(((task.credential, task.is_long), task.slots))
        if task.is_long:
            limits.append(("long", self._max_workers // 2))
        if task.hangs or not task.answered:
            limits.append(((task.credential, "unanswered"), max(1, task.slots - 1)))
            limits.append(("unanswered", self._max_workers * 3 // 4))
        if task.hangs:
            limits.append(((task.credential, "hung"), 1))
            limits.append(("hung", self._max_workers // 4))
        return limits

    def _add_worker(self) -> bool:
        """Start a worker; without the lock, since ``Thread.start`` may block forever."""
        worker = threading.Thread(target=self._work, name=f"poll-{len(self._workers)}", daemon=True)
        try:
            worker.start()
        except RuntimeError as error:
            log = _log.debug if self._lacks_threads else _log.warning
            log("Cannot start a poll worker", workers=len(self._workers), error=str(error))
            self._lacks_threads = True
            return False
        with self._lock:
            self._lacks_threads = False
            self._workers.append(worker)
        return True

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            began = self._clock.monotonic()
            hung = self._run(task)
            with self._lock:
                self._running.discard(task)
                self._counts.subtract(task.counted)
                self._counts += Counter()  # drops counts of 0
                task.started_at = None
                task.hung, task.answered = task.hung + 1 if hung else 0, task.answered or not hung
                self._ready.sort(key=lambda each: each.key)  # the keys of tasks that this one leads may have changed
                self._progress_at = now = self._clock.monotonic()
                period = task.interval_seconds() * self._rng.uniform(1 - _JITTER, 1 + _JITTER)
                if not task.is_removed:
                    self._schedule(task, now if task.runs_again else began + period)
                task.runs_again = False
            self._wake.set()

    def _run(self, task: PollTask) -> bool:
        try:
            hung = task.run(lambda: self._may_retry(task))
        except Exception as error:  # noqa: BLE001  # a defect in one poll must not end the others
            log = _log.debug if task.is_broken else _log.error
            log("Poll aborted by an internal error", task=task.name, exc_info=error)
            task.is_broken = True
            return False
        task.is_broken = False
        return hung
