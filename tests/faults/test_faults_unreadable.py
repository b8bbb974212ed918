"""What must be seen from outside of an API whose answers cannot be read, or are not whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.failing_cases import UNREADABLE
from support.fault_cases import Case, Failing


@pytest.mark.parametrize("case", UNREADABLE, ids=str)
def test_an_answer_that_is_none_costs_nothing_but_fresh_data(case: Failing, outcomes: Callable[[Case], None]) -> None:
    """The last data stays until it is too old, the right counters move, two lines say it, and it heals by itself."""
    outcomes(case)
