"""A configuration is told back in words, with the requests that it makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from config.conftest import Load
from gigas_exporter.cli.config.summary import describe, describe_shards, requests_per_hour
from gigas_exporter.config import load_settings

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
ENVIRONMENT: Mapping[str, str] = {"GIGAS_ACCOUNT_ID": "1", "GIGAS_TOKEN": "canary-secret"}


def test_the_default_policy_in_words() -> None:
    """Every rule can be held against what was meant."""
    assert describe(load_settings(None, {}, ENVIRONMENT), 1)[:3] == [
        "backup_policy[0]: disks with is swap true need no backup (swap needs no backup)",
        "backup_policy[1]: disks with autobackup true need a backup younger than 26h",
        "backup_policy[2]: all other disks are unprotected unless they are swap",
    ]


def test_each_kind_of_condition_in_words(load: Load) -> None:
    """And what becomes of disks that no rule takes."""
    text = """
accounts: [{id: 1, token: canary-secret}]
backup_policy: [{match: {virtual_machine_id: 501, mount_point: "/srv/db*"}, max_age: 6h}]
"""
    assert describe(load(text), 1)[:2] == [
        (
            "backup_policy[0]: disks with virtual machine id 501 and mount point like /srv/db*"
            " need a backup younger than 6h"
        ),
        "backup_policy, then: all other disks are unprotected unless they are swap",
    ]


def test_requests_in_words() -> None:
    """For a fleet of a given size; both ways of reading backups where it is not known which it will be."""
    words = "requests for 5000 disks: about"
    settings = load_settings(None, {"api.max-requests-per-second": 15}, ENVIRONMENT)
    assert describe(settings, disks=5000)[-2:] == [
        f"{words} 5112 an hour with backups from one list of the account",
        f"{words} 63008 an hour with backups disk by disk, more than api.max_requests_per_second allows",
    ]
    sweep = load_settings(None, {"backups.source": "account"}, ENVIRONMENT)
    assert describe(sweep, disks=5000)[-1:] == [f"{words} 5112 an hour with backups from one list of the account"]


@pytest.mark.parametrize(
    ("disks", "machines", "expected"),
    [
        # an hour has 60 polls of lists, and 12 of backups; 7 backups of each disk are 350, or 3500
        (50, 10, (60, 60, 0, 12 * 2, 12 * 50)),
        (500, None, (60 * 3, 60 * 3, 0, 12 * 18, 12 * 500)),
        (0, 0, (60, 60, 0, 12, 0)),
        # lists that fill their pages are looked behind four times an hour
        (200, 400, (60 + 4, 60 * 2 + 4, 0, 12 * 7 + 4, 12 * 200)),
    ],
)
def test_requests_follow_from_pages_and_intervals(
    disks: int, machines: int | None, expected: tuple[float, ...]
) -> None:
    """The formula of the docstring, with numbers."""
    settings = load_settings(None, {}, ENVIRONMENT)
    estimate = requests_per_hour(settings, disks, machines)
    assert (
        estimate.disks,
        estimate.virtual_machines,
        estimate.accounts,
        estimate.backups_by_account,
        estimate.backups_by_disk,
    ) == expected
    lists = estimate.disks + estimate.virtual_machines
    assert estimate.total("account") == lists + estimate.backups_by_account
    assert estimate.total("disk") == lists + estimate.backups_by_disk


def test_requests_are_those_of_the_example_in_the_documentation() -> None:
    """The page works the formula out for one fleet; so does the code."""
    estimate = requests_per_hour(load_settings(None, {}, ENVIRONMENT), 1_000, 330, 3)
    worked_out = f"(5 + 2) × 60 + 15 × 12 + 2 × 4 = {estimate.total('account'):.0f} an hour"
    assert worked_out in PAGE.read_text(encoding="utf-8")


def test_requests_of_discovered_accounts_count_the_discovery(load: Load) -> None:
    """The list of accounts is read as often as backups."""
    settings = load("discover: true\ncredential: {token: x}\npoll: {backups_interval: 30s}")
    assert requests_per_hour(settings, 10).accounts == 120


@pytest.mark.parametrize(("interval", "looks"), [("1s", 4), ("7m", 3600 / 1260), ("10m", 3), ("15m", 4), ("1h", 1)])
def test_looks_behind_full_pages_come_with_a_poll(load: Load, interval: str, looks: float) -> None:
    """What was seen is believed for a quarter of an hour, and then until the next poll."""
    settings = load(f"accounts: [{{id: 1, token: x}}]\npoll: {{interval: {interval}}}")
    several, fewer = requests_per_hour(settings, 200), requests_per_hour(settings, 199)
    assert several.disks - fewer.disks == pytest.approx(looks)


def test_shards_are_shown_with_their_accounts(load: Load) -> None:
    """Each of so many shards is a line with the ids that it reads, and one without any says so."""
    settings = load("accounts: [{id: 4242, token: x}, {id: 4243, token: x}]")
    assert describe_shards(settings, 3) == [
        "shard 1/3: no account, it would watch nothing",
        "shard 2/3: 4242",
        "shard 3/3: 4243",
    ]
    (line,) = describe_shards(load("discover: true\ncredential: {token: x}"), 3)
    assert "the accounts are discovered" in line


def test_a_shard_without_accounts_makes_no_requests() -> None:
    """Requests are those of this process."""
    estimates = [
        requests_per_hour(load_settings(None, {"shard": f"{index}/2"}, ENVIRONMENT), 10).total("disk")
        for index in (1, 2)
    ]
    assert sorted(value > 0 for value in estimates) == [False, True]
    assert min(estimates) == 0
