"""The whole page, byte by byte, and what Prometheus' own tools say to it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gigas_exporter import logs
from gigas_exporter.inventory import AccountInventory
from gigas_exporter.metrics.families import FAMILIES
from support.programs import tool

GOLDEN = Path(__file__).parent / "golden"


def _told(scene: Any) -> None:
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


def _without_the_process(text: str) -> str:
    own = text[: text.index("# HELP process_")]
    return re.sub(r"(gigas_exporter_build_info){[^}]*}", r'\1{version="...",python_version="..."}', own)


@pytest.mark.parametrize("openmetrics", [False, True])
def test_page_is_the_golden_one(
    scene: Any, fleet: Callable[..., AccountInventory], openmetrics: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A known fleet at a known time gives a known page; GOLDEN=write writes it anew."""
    monkeypatch.setattr(logs._QueueHandler, "dropped", 0)  # other tests of this process may have dropped some
    _told(scene)
    scene.show(fleet())
    page = _without_the_process(scene.text(openmetrics=openmetrics))
    file = GOLDEN / ("openmetrics.prom" if openmetrics else "text.prom")
    if os.environ.get("GOLDEN") == "write":
        file.write_text(page, encoding="utf-8")
    assert page == file.read_text(encoding="utf-8")


def test_both_formats_have_the_same_series(scene: Any, fleet: Callable[..., AccountInventory]) -> None:
    """Text and OpenMetrics give the same names, labels and values."""
    _told(scene)
    scene.show(fleet(), fleet("5151"))

    def ours(openmetrics: bool) -> dict[object, float]:
        return {
            key: value for key, value in scene.series(openmetrics=openmetrics).items() if key[0].startswith("gigas_")
        }

    assert ours(openmetrics=True) == ours(openmetrics=False)


def test_every_family_is_on_a_full_page_once(scene: Any, fleet: Callable[..., AccountInventory]) -> None:
    """Each defined family has its type line once, and nothing of ours has one that is not defined."""
    _told(scene)
    scene.show(fleet(), fleet("5151"))
    types = re.findall(r"(?m)^# TYPE (gigas_\w+) (\w+)$", scene.text())
    assert sorted(types) == sorted((family.name, family.type) for family in FAMILIES)


@pytest.mark.system
def test_promtool_finds_nothing(scene: Any, fleet: Callable[..., AccountInventory]) -> None:
    """Prometheus' linter has no word to say about the whole page."""
    _told(scene)
    scene.show(fleet(), fleet("5151"))
    result = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=scene.text().encode(),
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_openmetrics_ends_with_its_end(scene: Any) -> None:
    """The end mark is there once, as the last line, and only in OpenMetrics."""
    text = scene.text(openmetrics=True)
    assert text.endswith("\n# EOF\n")
    assert text.count("# EOF") == 1
    assert "# EOF" not in scene.text()


def test_textfile_leaves_out_what_freezes_or_collides(scene: Any, fleet: Callable[..., AccountInventory]) -> None:
    """The page for a textfile collector has no process metrics and no ages, and else everything."""
    _told(scene)
    scene.show(fleet())
    textfile = scene.page.textfile().decode()
    names = set(re.findall(r"(?m)^# TYPE (\w+)", textfile))
    assert names == {family.name for family in FAMILIES} - {"gigas_disk_backup_age_seconds"}
    assert all(line in scene.text() for line in textfile.splitlines())
