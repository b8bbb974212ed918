"""With one client for two accounts, whose requests, pages and tokens they share, the one not struck notices nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from support.failing_cases import CASES
from support.fault_cases import Case, Failing

# What an answer cannot be read for is nothing that accounts share; connections, which some kinds spoil, are.
ONE_OF_EACH = {
    (case.kind if case.reason in {"timeout", "connection"} else case.reason, case.operation, case.code): case
    for case in CASES
    if not case.login
}.values()
SHARED = (
    *(replace(case, shared="api_key") for case in ONE_OF_EACH),
    *(replace(case, shared="login") for case in ONE_OF_EACH if case.code in {"401", "403", "429", "timeout"}),
)


@pytest.mark.parametrize("case", SHARED, ids=str)
def test_a_failing_api_costs_the_other_account_nothing(case: Failing, outcomes: Callable[[Case], None]) -> None:
    """Nor the struck one anything but fresh data."""
    outcomes(case)
