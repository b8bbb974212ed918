"""The simulated cloud in each of its styles: what is found is the same, or is said to be not understood."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from click.testing import Result

from gigas_exporter.simulator import STYLES, SimulatedCloud
from support.commands import run_command
from support.simulator import SimulatorServer

NOW = float(int(time.time()))


def run(style: str, *arguments: str) -> Result:
    """Run a command against a fleet that is written in a style: all at once, so nothing changes."""
    world = SimulatedCloud(seed=3, disks=24, clock=lambda: NOW, style=style)
    with SimulatorServer(world) as server:
        return run_command(server.url, *arguments, account_id=world.account_ids[0], api_key=world.api_key)


def check(style: str) -> tuple[int, dict[str, list[str]], str]:
    """Return what is found about each disk of a fleet that is written in a style."""
    result = run(style, "check", "--output", "json")
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return result.exit_code, {row["disk_id"]: row["findings"] for row in rows}, result.stderr


@pytest.fixture(scope="module")
def plain() -> tuple[int, dict[str, list[str]], str]:
    """What is found where everything is written plainly: all that there is to find."""
    found = check("plain")
    assert {"never backed up", "backup missed", "last backup failed"} <= {
        each for row in found[1].values() for each in row
    }
    return found


@pytest.mark.parametrize("style", sorted(set(STYLES) - {"plain", "unclear"}))
def test_the_style_changes_nothing_that_is_found(style: str, plain: tuple[int, dict[str, list[str]], str]) -> None:
    """Wrapped, in words, without disks in the account's backups: each disk has the same findings."""
    status, found, _ = check(style)
    assert found == plain[1]
    assert status == plain[0]


def test_what_is_not_understood_is_said(plain: tuple[int, dict[str, list[str]], str]) -> None:
    """Fields under other names and statuses that are no text are not understood, of every disk."""
    status, found, words = check("unclear")
    assert (status, len(found)) == (2, len(plain[1]))
    assert all("not understood" in findings for findings in found.values())
    assert "autobackup" in words


PROBLEMS = {
    "onapp": {("backups", "disk_id", "poll.backups_source: disk")},
    "unclear": {
        ("disks", "error", "api.fields: {error: THEIR_NAME}, or {error: null} where the API has no such field"),
        ("disks", "autobackup", "api.fields: {autobackup: has_autobackups}"),
        ("backups", "status", "backup_status"),
        ("disk_backups", "status", "backup_status"),
    },
}


@pytest.mark.parametrize("style", STYLES)
def test_the_probe_names_what_is_not_understood(style: str) -> None:
    """Each style is understood, or the field is named with the setting to change."""
    result = run(style, "probe", "--output", "json")
    document = json.loads(result.stdout)
    problems = {(each["list"], each["field"], each["try"]) for each in document["problems"]}
    assert problems == PROBLEMS.get(style, set())
    assert result.exit_code == int(bool(problems))
    assert (document["accounts"][0]["lists"][0]["items_wrapped_in"] is not None) == (style in {"wrapped", "onapp"})
