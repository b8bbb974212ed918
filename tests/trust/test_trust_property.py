"""However an API's answers are spoilt, a missed backup is never taken for well, nor a disk for never backed up."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gigas_exporter.cli.poll_once import poll_once
from gigas_exporter.config import AccountSettings, LogSettings, Settings
from gigas_exporter.gigas import ApiSettings
from gigas_exporter.inventory import AccountInventory
from gigas_exporter.model import Account
from gigas_exporter.report import Finding, Severity, account_errors, report_account
from support.commands import run_command
from support.polling import api_key
from support.small_api import SmallApi
from trust.spoils import DISKS, PAGE, SPOILS, make_fleet, spoil_fleet

CASES = int(os.environ.get("HYPOTHESIS_TRUST_CASES", "400" if os.environ.get("CI") else "120"))
"""Of each kind; thousands by ``HYPOTHESIS_TRUST_CASES=3000 make test ARGS=tests/trust``."""
AT_ONCE = 40
COMMANDS = 12


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    """Lines about values that are not understood, and polls that fail, help nobody here."""
    logger = logging.getLogger("gigas_exporter")
    before = logger.level
    yield
    logger.setLevel(before)


def outcome(inventory: AccountInventory, clock: Any) -> tuple[int, set[Finding]]:
    """What ``check`` says of an account alone: its exit status, and all that is found."""
    wall, monotonic = clock.wall(), clock.monotonic()
    found: set[Finding] = set()
    for report in report_account(inventory, wall=wall, monotonic=monotonic):
        # The swap has no backup, and where it is not known to be swap it must have one: the strictest limit counts.
        is_unknown_swap = report.disk.id == str(DISKS) and "is_swap" in report.not_understood
        found.update(set(report.findings) - ({Finding.NEVER_BACKED_UP} if is_unknown_swap else set()))
    if account_errors(inventory, monotonic) or any(each.severity is Severity.UNKNOWN for each in found):
        return 2, found
    return int(any(each.severity >= Severity.WARNING for each in found)), found


def judge(api: SmallApi, accounts: list[str]) -> dict[str, tuple[int, set[Finding]]]:
    """Poll accounts once and judge each by itself."""
    credential = api_key("k")
    settings = Settings(
        accounts=tuple(AccountSettings(Account(account), credential) for account in accounts),
        api=ApiSettings(api.url, timeout_seconds=5.0, page_size=PAGE, max_requests_per_second=0.0),
        log=LogSettings(level="error"),
    )
    logging.getLogger("gigas_exporter").setLevel(logging.CRITICAL)
    once = poll_once(settings)
    return {inventory.account.id: outcome(inventory, once.clock) for inventory in once.store.snapshot()}


def wrong(is_missed: bool, holds: Callable[[int, set[Finding]], bool]) -> tuple[list[str], int]:
    """Spoil fleets, and return those of which something does not hold, and how many were not judged well."""
    bad, loud = [], 0
    for first in range(0, CASES, AT_ONCE):
        cases = range(first, min(CASES, first + AT_ONCE))
        with SmallApi() as api:
            ways = {}
            for case in cases:
                account, chance = str(5000 + case), random.Random(case)
                make_fleet(api, account, chance, is_missed=is_missed)
                ways[account] = spoil_fleet(api, account, chance)
            judged = judge(api, list(ways))
        for account, (status, found) in judged.items():
            loud += status != 0
            if not holds(status, found):
                words = ", ".join(sorted(each.value for each in found))
                bad.append(f"case {int(account) - 5000}: {' + '.join(ways[account])} -> exit {status}: {words}")
    return bad, loud


def test_a_missed_backup_never_comes_out_as_well() -> None:
    """Whatever is missing, null, of another type, spelled otherwise, doubled, cut or repeated: never exit 0."""
    bad, loud = wrong(True, lambda status, _: status != 0)
    assert bad == []
    assert loud == CASES


def test_a_healthy_disk_never_comes_out_as_never_backed_up() -> None:
    """Nor is anything said to be critical that only cannot be read; and what says the same in other words is well."""
    bad, loud = wrong(False, lambda _, found: Finding.NEVER_BACKED_UP not in found)
    assert bad == []
    assert loud < CASES


@pytest.mark.parametrize("spoil", ["field spelled otherwise", "disk nested", "items wrapped", "items moved"])
def test_what_says_the_same_is_understood(spoil: str) -> None:
    """A healthy fleet that is written in another way is well, a missed backup is found for what it is."""
    for case in range(6):
        with SmallApi() as api:
            for account, is_missed in (("1", False), ("2", True)):
                chance = random.Random(case)
                make_fleet(api, account, chance, is_missed=is_missed)
                SPOILS[spoil](api, account, chance)
            judged = judge(api, ["1", "2"])
        assert judged["1"][0] == 0, (case, judged["1"])
        assert judged["2"][0] == 1, (case, judged["2"])


def test_the_command_says_the_same() -> None:
    """The exit status of whole commands is the one that was judged here."""
    for case in range(COMMANDS):
        said: list[int] = []
        for is_command in (False, True):
            with SmallApi() as api:  # one for each: some faults come only once
                chance = random.Random(case)
                make_fleet(api, "4242", chance, is_missed=case % 2 == 0)
                spoil_fleet(api, "4242", chance)
                if is_command:
                    said.append(run_command(api.url, "check", GIGAS_API_PAGE_SIZE=str(PAGE)).exit_code)
                else:
                    said.append(judge(api, ["4242"])["4242"][0])
        assert said[0] == said[1], case
