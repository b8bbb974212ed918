"""When polls run, how many run at once, and whether a pool that makes no progress says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from gigas_exporter.clock import SystemClock
from gigas_exporter.poller.scheduler import PollTask, Scheduler, poll_deadline
from support.polling import await_true
from support.timing import allowed, within

Run = Callable[[Callable[[], bool]], bool]


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    """A scheduler of eight workers."""
    scheduler = Scheduler(SystemClock(), max_workers=8)
    scheduler.start()
    yield scheduler
    scheduler.stop(1.0)


def task(run: Run, interval: float = 60.0, **options: Any) -> PollTask:
    """A task with some defaults."""
    return PollTask("test", run, lambda: interval, options.pop("deadline", 60.0), **options)


class Blocking:
    """Polls that last until they are released."""

    def __init__(self, *, released: bool = False) -> None:
        self.release = threading.Event()
        if released:
            self.release.set()
        self.running = self.most = 0
        self.began: list[str] = []
        self._lock = threading.Lock()

    def run(self, name: str, *, hung: bool = False) -> Run:
        def run(may_retry: Callable[[], bool]) -> bool:
            del may_retry
            with self._lock:
                self.began.append(name)
                self.running += 1
                self.most = max(self.most, self.running)
            self.release.wait(60.0)
            with self._lock:
                self.running -= 1
            return hung

        return run


def test_many_tasks_run_on_few_threads(scheduler: Scheduler) -> None:
    """Three hundred tasks run, each once, and never more than the workers at once."""
    polls = Blocking(released=True)
    scheduler.add([task(polls.run(str(number))) for number in range(300)])
    await_true(lambda: len(polls.began) == 300)
    assert len(scheduler.threads()) <= 9
    assert sorted(polls.began) == sorted(map(str, range(300)))


def test_tasks_that_are_due_run_by_rank_and_then_in_order(scheduler: Scheduler) -> None:
    """With one slot for their credential, disks come before backups, in the order of the accounts."""
    polls = Blocking(released=True)
    tasks = [
        task(polls.run(f"{resource} {account}"), credential="a", slots=1, rank=rank)
        for account in (1, 2)
        for rank, resource in enumerate(("disks", "backups"))
    ]
    scheduler.add(tasks)
    await_true(lambda: len(polls.began) == 4)
    assert polls.began == ["disks 1", "disks 2", "backups 1", "backups 2"]


def test_a_task_runs_at_once_when_a_worker_is_free(scheduler: Scheduler) -> None:
    """Half a second is the most that it may wait."""
    began: list[float] = []
    added = time.monotonic()

    def run(_: Callable[[], bool]) -> bool:
        began.append(time.monotonic())
        return False

    scheduler.add([task(run)])
    await_true(lambda: began)
    assert began[0] - added < allowed(0.5)


def test_accounts_that_never_answered_leave_a_slot_of_their_credential(scheduler: Scheduler) -> None:
    """Of four slots, accounts that hang from the first request take three; one that answered takes the fourth."""
    polls, answered = Blocking(), Blocking(released=True)
    good = task(answered.run("good"), interval=0.1, credential="a", slots=4)
    scheduler.add([good])
    await_true(lambda: len(answered.began) > 1)
    scheduler.add([task(polls.run(str(number)), credential="a", slots=4) for number in range(20)])
    await_true(lambda: polls.running == 3)
    seen = len(answered.began)
    await_true(lambda: len(answered.began) > seen + 3)
    assert polls.most == 3
    polls.release.set()


def test_a_first_poll_without_response_is_cut_off_while_others_wait(scheduler: Scheduler) -> None:
    """As soon as it has waited ``first_response_seconds``, and not before."""
    polls = Blocking()
    aborted: list[float] = []

    def abort() -> None:
        aborted.append(time.monotonic())
        polls.release.set()

    added = time.monotonic()
    options: dict[str, Any] = {"credential": "a", "slots": 1, "abort": abort, "first_response_seconds": 0.3}
    scheduler.add([task(polls.run(str(number), hung=True), **options) for number in range(2)])
    await_true(lambda: len(polls.began) == 2)
    assert 0.3 <= aborted[0] - added < allowed(5.0)


def test_accounts_that_hang_share_one_slot_and_have_one_try(scheduler: Scheduler) -> None:
    """After their first poll without a response they run one after the other, without retries."""
    polls: list[tuple[bool, int]] = []
    running = 0
    lock = threading.Lock()

    def run(may_retry: Callable[[], bool]) -> bool:
        nonlocal running
        allowed = may_retry()
        with lock:
            running += 1
            polls.append((allowed, running))
        time.sleep(0.05)
        with lock:
            running -= 1
        return True

    scheduler.add([task(run, interval=0.05, credential="a", slots=4) for _ in range(6)])
    await_true(lambda: len(polls) > 20)
    # The first six polls are those of accounts of which nothing is known yet.
    assert max(at_once for _, at_once in polls[:6]) == 3
    assert {at_once for _, at_once in polls[9:]} == {1}
    assert not any(may_retry for may_retry, _ in polls[9:])


def test_a_worker_that_never_begins_is_a_stall(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python waits for ever for a thread that the system had no memory for; it is told, and holds up no shutdown."""
    began, release = threading.Event(), threading.Event()
    monkeypatch.setattr("gigas_exporter.poller.scheduler._STALLED_SECONDS", 0.2)

    def start(_: threading.Thread) -> None:
        began.set()
        release.wait(60.0)

    monkeypatch.setattr(threading.Thread, "start", start)
    tasks = [task(lambda _: False)]
    scheduler.add(tasks)
    await_true(began.is_set)
    await_true(scheduler.is_stalled)
    with within(2.0):
        scheduler.remove(tasks)
        scheduler.stop(0.2)
    release.set()


def test_one_lost_response_costs_no_turn_of_all_that_hang(scheduler: Scheduler) -> None:
    """An account that answered the poll before is the next one to be tried among those that hang."""
    order: list[str] = []
    loses = threading.Event()

    def hang(name: str) -> Run:
        def run(_: Callable[[], bool]) -> bool:
            order.append(name)
            time.sleep(0.05)
            return True

        return run

    def lose_one(_: Callable[[], bool]) -> bool:
        order.append("good")
        lost = loses.is_set()
        loses.clear()
        return lost

    scheduler.add([task(hang(str(number)), interval=0.05, credential="a", slots=2) for number in range(20)])
    scheduler.add([task(lose_one, interval=0.05, credential="a", slots=2)])
    await_true(lambda: order.count("good") > 2 and order.count("0") > 1)
    loses.set()
    await_true(lambda: not loses.is_set())
    lost_at = len(order)
    await_true(lambda: "good" in order[lost_at:])
    assert order[lost_at:].index("good") <= 4


def test_other_credentials_are_not_held_up(scheduler: Scheduler) -> None:
    """Accounts that hang take a part of the workers, whatever their credentials; lists of accounts wait for none."""
    hanging, answered = Blocking(), Blocking(released=True)
    scheduler.add([task(answered.run("good"), interval=0.1, credential="good", slots=4)])
    await_true(lambda: len(answered.began) > 1)
    scheduler.add([task(hanging.run(str(each)), credential=each, slots=4) for each in range(50)])
    await_true(lambda: hanging.running == 6)
    scheduler.add([task(answered.run("list of accounts"))])
    await_true(lambda: "list of accounts" in answered.began)
    seen = len(answered.began)
    await_true(lambda: len(answered.began) > seen + 3)
    hanging.release.set()


def test_long_polls_leave_workers_to_others(scheduler: Scheduler) -> None:
    """Sweeps that last an interval take at most half of the workers."""
    long, short = Blocking(), Blocking(released=True)
    scheduler.add([task(long.run(str(each)), credential=each, slots=4, is_long=True) for each in range(20)])
    await_true(lambda: long.running == 4)
    scheduler.add([task(short.run(str(each)), credential=each, slots=4) for each in range(20)])
    await_true(lambda: len(short.began) == 20)
    assert long.most == 4
    long.release.set()


def test_intervals_are_jittered_and_runs_never_overlap(scheduler: Scheduler) -> None:
    """Times between runs differ by a little, and a run that takes long moves the next one behind itself."""
    began: list[float] = []
    overlapping = []
    running = threading.Lock()

    def run(_: Callable[[], bool]) -> bool:
        overlapping.append(not running.acquire(blocking=False))
        began.append(time.monotonic())
        if len(began) == 5:
            time.sleep(0.5)
        running.release()
        return False

    scheduler.add([task(run, interval=0.2)])
    await_true(lambda: len(began) >= 12)
    waits = [later - earlier for earlier, later in pairwise(began)]
    assert not any(overlapping)
    assert waits[4] >= 0.5
    assert min(waits) > 0.18
    assert len({round(seconds, 4) for seconds in waits}) > 5


def test_a_task_that_is_removed_runs_no_more_and_one_can_be_run_now(scheduler: Scheduler) -> None:
    """Neither waits for its interval."""
    polls = Blocking(released=True)
    first, second = task(polls.run("first")), task(polls.run("second"))
    scheduler.add([first, second])
    await_true(lambda: len(polls.began) == 2)
    await_true(lambda: first.started_at is None and second.started_at is None)
    scheduler.remove([first])
    scheduler.run_now([second])
    await_true(lambda: len(polls.began) == 3)
    assert polls.began[2] == "second"


def test_a_poll_that_hangs_makes_the_pool_stalled(scheduler: Scheduler) -> None:
    """Health is lost while a poll lasts longer than any may, and comes back with its end."""
    polls = Blocking()
    assert not scheduler.is_stalled()
    scheduler.add([task(polls.run("hangs"), deadline=0.05)])
    await_true(scheduler.is_stalled)
    polls.release.set()
    await_true(lambda: not scheduler.is_stalled())


def test_a_pool_without_threads_is_stalled_and_heals(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is due and has no thread to run on is no health; it is logged once, and runs once there are threads."""
    scheduler = Scheduler(SystemClock())
    scheduler.start()
    start = threading.Thread.start

    def starved(thread: threading.Thread) -> None:
        if thread.name.startswith("poll-"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", starved)
    ran = threading.Event()

    def run(_: Callable[[], bool]) -> bool:
        ran.set()
        return False

    scheduler.add([task(run, interval=0.1)])
    await_true(scheduler.is_stalled)
    time.sleep(1.2)
    monkeypatch.undo()
    assert ran.wait(30.0)
    await_true(lambda: not scheduler.is_stalled())
    scheduler.stop(1.0)
    assert [record.getMessage() for record in caplog.records] == ["Cannot start a poll worker"]


def test_a_dead_dispatcher_makes_the_pool_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would ever run again."""
    monkeypatch.setattr(Scheduler, "_dispatch", lambda _: None)
    scheduler = Scheduler(SystemClock())
    assert not scheduler.is_stalled()
    scheduler.start()
    await_true(scheduler.is_stalled)


def test_a_defect_in_a_poll_is_logged_once_and_ends_no_polling(
    scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    """What a poll raises is one line until a poll is well again."""
    runs = 0

    def run(_: Callable[[], bool]) -> bool:
        nonlocal runs
        runs += 1
        if runs != 3:
            raise RuntimeError("a defect")
        return False

    scheduler.add([task(run, interval=0.05)])
    await_true(lambda: runs >= 6)
    said = [record.levelname for record in caplog.records if "internal error" in record.getMessage()]
    assert said == ["ERROR", "ERROR"]


@pytest.mark.parametrize(("interval", "deadline"), [(1.0, 5.0), (5.0, 5.0), (30.0, 30.0), (600.0, 60.0)])
def test_a_polls_deadline_is_its_interval_within_bounds(interval: float, deadline: float) -> None:
    """At least five seconds, at most a minute."""
    assert poll_deadline(interval) == deadline
