"""What must be seen from outside of an API that does wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.failing import CASES
from support.matrix import Case, Failing


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_failing_api_costs_nothing_but_fresh_data(case: Failing, outcomes: Callable[[Case], None]) -> None:
    """The last data stays until it is too old, the right counters move, two lines say it, and it heals by itself."""
    outcomes(case)
