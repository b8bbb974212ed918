"""Cases take their time in waiting, so several are played at once; each test then asks for the outcome of its own.

Those that take a processor to themselves come last and one by one, or they would not end within a poll's time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import cast

import pytest

from support.fault_cases import Case, Failing, play

AT_ONCE = 4  # with more, polls wait for a processor until they time out, and all take longer


def _wait(cases: Iterable[Future[None]]) -> None:
    """Wait until cases end or are cancelled, as they are if the tests of a file are interrupted."""
    for case in cases:
        with suppress(CancelledError):
            case.exception()


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[Callable[[Case], None]]:
    """Play the cases of the tests that were selected; what is returned waits for one and raises what it raised."""
    cases = [
        cast(Case, item.callspec.params["case"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path and hasattr(item, "callspec")
    ]
    waiting, computing = (
        [case for case in cases if (isinstance(case, Failing) and case.computes) == computes]
        for computes in (False, True)
    )
    with (
        ThreadPoolExecutor(1, thread_name_prefix="a case") as alone,
        ThreadPoolExecutor(AT_ONCE, thread_name_prefix="cases") as pool,
    ):
        played: dict[str, Future[None]] = {str(case): pool.submit(play, case) for case in waiting}
        crowd = list(played.values())
        alone.submit(_wait, crowd)
        played |= {str(case): alone.submit(play, case) for case in computing}
        assert len(played) == len(cases), "two cases have the same name"
        yield lambda case: played[str(case)].result()
        for each in (pool, alone):
            each.shutdown(cancel_futures=True)
