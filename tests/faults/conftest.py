"""Cases take their time in waiting, so several are played at once; each test then asks for the outcome of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import cast

import pytest

from support.matrix import Case, play

AT_ONCE = 12


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[Callable[[Case], None]]:
    """Play the cases of the tests that were selected; what is returned waits for one and raises what it raised."""
    cases = [
        cast(Case, item.callspec.params["case"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path and hasattr(item, "callspec")
    ]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="cases") as pool:
        played: dict[str, Future[None]] = {str(case): pool.submit(play, case) for case in cases}
        assert len(played) == len(cases), "two cases have the same name"
        yield lambda case: played[str(case)].result()
        pool.shutdown(cancel_futures=True)
