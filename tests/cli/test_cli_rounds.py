"""Work in rounds: who asks gets what a round gave that began after they asked, and shares it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from gigas_exporter.cli.rounds import Rounds


class Work:
    """Rounds that a test lets end, each with its number."""

    def __init__(self) -> None:
        self.began = 0
        self.may_end = threading.Semaphore(0)
        self.fails = False

    def __call__(self) -> int:
        self.began += 1
        mine = self.began
        assert self.may_end.acquire(timeout=10)
        if self.fails:
            raise ValueError(mine)
        return mine


def _await_round(work: Work, number: int) -> None:
    end = time.monotonic() + 10
    while work.began < number:
        assert time.monotonic() < end
        time.sleep(0.001)


def _ask(pool: ThreadPoolExecutor, rounds: Rounds[int], count: int) -> list[Future[int]]:
    asked = [pool.submit(rounds.join) for _ in range(count)]
    time.sleep(0.05)
    return asked


@contextmanager
def _under_way() -> Iterator[tuple[Work, Rounds[int], ThreadPoolExecutor, list[Future[int]]]]:
    """Begin a first round, which one asked for."""
    work = Work()
    rounds = Rounds(work)
    with ThreadPoolExecutor(20) as pool:
        first = _ask(pool, rounds, 1)
        _await_round(work, 1)
        yield work, rounds, pool, first


def test_who_asks_meanwhile_shares_the_next_round() -> None:
    """The one under way began too early for them, and one more is enough for all."""
    with _under_way() as (work, rounds, pool, first):
        second = _ask(pool, rounds, 8)
        work.may_end.release()
        _await_round(work, 2)
        third = _ask(pool, rounds, 8)
        work.may_end.release(2)
        assert [each.result(10) for each in first + second + third] == [1] + [2] * 8 + [3] * 8
    assert work.began == 3


def test_a_round_that_breaks_is_everyones_and_holds_nobody() -> None:
    """Each who shares it is told, and the next round is made."""
    with _under_way() as (work, rounds, pool, first):
        second = _ask(pool, rounds, 3)
        work.fails = True
        work.may_end.release(2)
        for each, number in zip(first + second, (1, 2, 2, 2), strict=True):
            with pytest.raises(ValueError, match=str(number)):
                each.result(10)
        work.fails = False
        work.may_end.release()
        assert rounds.join() == 3
