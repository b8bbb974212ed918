"""What must be seen from outside of an API that refuses, fails or does not answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.failing_cases import UNANSWERED
from support.fault_cases import Case, Failing


@pytest.mark.parametrize("case", UNANSWERED, ids=str)
def test_a_failing_api_costs_nothing_but_fresh_data(case: Failing, outcomes: Callable[[Case], None]) -> None:
    """The last data stays until it is too old, the right counters move, two lines say it, and it heals by itself."""
    outcomes(case)
