"""The whole page, byte by byte, and what Prometheus' own tools say to it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gigas_exporter import logs
from gigas_exporter.inventory import AccountInventory
from gigas_exporter.metrics.families import FAMILIES
from support.programs import run_program, tool

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def told(scene: Any) -> Any:
    """A page whose exporter has something to tell of itself."""
    telemetry = scene.telemetry
    telemetry.account("4242")
    telemetry.poll("4242", "disks", None)
    telemetry.poll("4242", "backups", "timeout")
    telemetry.request("list_disks", "200", 0.2)
    telemetry.request("list_disks", "timeout", 10.0)
    telemetry.retry("list_disks")
    telemetry.invalid("4242", "disks", "created_at", 2)
    telemetry.token(["4242"], 1_700_001_800)
    telemetry.discovery(True)
    telemetry.accounts(2, 1, 3)
    telemetry.login_blocked(["4242"], True)
    telemetry.reload(True, 1_699_999_000.5)
    return scene


@pytest.fixture
def full(told: Any, fleet: Callable[..., AccountInventory]) -> Any:
    """The same with two accounts."""
    told.show(fleet(), fleet("5151"))
    return told


def _without_the_process(text: str) -> str:
    own = text[: text.index("# HELP process_")]
    return re.sub(r"(gigas_exporter_build_info){[^}]*}", r'\1{version="...",python_version="..."}', own)


@pytest.mark.parametrize("openmetrics", [False, True])
def test_page_is_the_golden_one(
    told: Any, fleet: Callable[..., AccountInventory], openmetrics: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A known fleet at a known time gives a known page; GOLDEN=write writes it anew."""
    monkeypatch.setattr(logs._QueueHandler, "dropped", 0)  # other tests of this process may have dropped some
    told.show(fleet())
    page = _without_the_process(told.text(openmetrics=openmetrics))
    file = GOLDEN / ("openmetrics.prom" if openmetrics else "text.prom")
    if os.environ.get("GOLDEN") == "write":
        file.write_text(page, encoding="utf-8")
    assert page == file.read_text(encoding="utf-8")


def test_both_formats_have_the_same_series(full: Any) -> None:
    """Text and OpenMetrics give the same names, labels and values."""

    def ours(openmetrics: bool) -> dict[object, float]:
        return {
            key: value for key, value in full.series(openmetrics=openmetrics).items() if key[0].startswith("gigas_")
        }

    assert ours(openmetrics=True) == ours(openmetrics=False)


def test_every_family_is_on_a_full_page_once(full: Any) -> None:
    """Each defined family has its type line once, and nothing of ours has one that is not defined."""
    types = re.findall(r"(?m)^# TYPE (gigas_\w+) (\w+)$", full.text())
    assert sorted(types) == sorted((family.name, family.type) for family in FAMILIES)


@pytest.mark.system
def test_promtool_finds_nothing(full: Any) -> None:
    """Prometheus' linter has no word to say about the whole page."""
    result = run_program(tool("promtool"), "check", "metrics", input=full.text())
    assert (result.stdout, result.stderr) == ("", "")


def test_openmetrics_ends_with_its_end(scene: Any) -> None:
    """The end mark is there once, as the last line, and only in OpenMetrics."""
    text = scene.text(openmetrics=True)
    assert text.endswith("\n# EOF\n")
    assert text.count("# EOF") == 1
    assert "# EOF" not in scene.text()


def test_textfile_leaves_out_what_freezes_or_collides(told: Any, fleet: Callable[..., AccountInventory]) -> None:
    """The page for a textfile collector has no process metrics and no ages, and else everything."""
    told.show(fleet())
    textfile = told.page.textfile().decode()
    names = set(re.findall(r"(?m)^# TYPE (\w+)", textfile))
    assert names == {family.name for family in FAMILIES} - {"gigas_disk_backup_age_seconds"}
    assert all(line in told.text() for line in textfile.splitlines())
