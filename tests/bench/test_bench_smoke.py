"""The measurements run, and give what they promise; how fast anything is, is not asked here."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """What a run over a tiny world printed, and what it wrote."""
    directory = tmp_path_factory.mktemp("bench")
    written, page = directory / "bench.json", directory / "page.md"
    page.write_text("Before.\n<!-- figures -->\nof old\n<!-- end of figures -->\nAfter.\n")
    command = [sys.executable, str(BENCH), "--quick", "--sizes=30", f"--output={written}", f"--docs={page}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, {**json.loads(written.read_text()), "page": page.read_text()}


def test_every_row_is_measured(run: tuple[str, dict[str, Any]]) -> None:
    """Scrapes, polls, memory, start, idleness and the other ways: each has a figure above nothing."""
    by_work = {figure["work"]: figure for figure in run[1]["figures"]}
    wanted = [
        "start to ready",
        "poll from nothing, processor time",
        "findings of a poll, processor time",
        "API requests a poll cycle, account sweep",
        "resident memory",
        "scrape, gzip, text",
        "scrape, gzip, OpenMetrics",
        "20 scrapes at once, until the last is answered",
        "poll, 50 ms a request, 8 at once, account sweep",
        "poll, 50 ms a request, 8 at once, disk by disk",
        "scrape while a poll is running, 99th percentile",
        "plain prometheus-client: times as long",
    ]
    for work in wanted:
        assert by_work[work]["disks"] == 30, work
        assert by_work[work]["value"] > 0, work
    assert 0 <= by_work["processor use between polls and scrapes"]["value"] < 100


def test_the_api_is_asked_one_page_a_list(run: tuple[str, dict[str, Any]]) -> None:
    """Disks, backups and machines of a small account take three requests a cycle."""
    (figure,) = (figure for figure in run[1]["figures"] if figure["work"].startswith("API requests"))
    assert (figure["value"], figure["target"], figure["met"]) == (3, 3, True)


def test_the_table_has_a_line_for_each_figure(run: tuple[str, dict[str, Any]]) -> None:
    """What is printed is a Markdown table of the same figures, and one by size, with what was missed named after it."""
    printed, written = run
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    columns = [line.count("|") - 1 for line in lines]
    works = {figure["work"] for figure in written["figures"]}
    assert columns == [7] * (2 + len(written["figures"])) + [2] * (2 + len(works))
    assert re.search(r"^missed: .*; it took \d+ s$", printed, re.MULTILINE)
    assert written["machine"]["cores"] >= 1
    assert written["worlds"]["30"]["series"] > 400


def test_a_page_quotes_the_run(run: tuple[str, dict[str, Any]]) -> None:
    """The figures by size and the machine stand in the page between the marks, and the rest of it is as it was."""
    page = run[1]["page"]
    assert page.startswith("Before.\n<!-- figures -->\n")
    assert page.endswith("\n<!-- end of figures -->\nAfter.\n")
    assert "of old" not in page
    assert "| scrape, gzip, text " in page
    assert f"Python {run[1]['machine']['python']}" in page


def test_go_is_measured_where_it_is_and_else_missing_with_a_word(run: tuple[str, dict[str, Any]]) -> None:
    """Without Go's library from Debian's packages the run goes on and says what is missing."""
    printed, written = run
    works = {figure["work"] for figure in written["figures"]}
    library = Path("/usr/share/gocode/src/github.com/prometheus/client_golang")
    if shutil.which("go") and library.is_dir():
        assert written["go"] == "measured"
        assert "Go's client library: times as long" in works
    else:
        assert "apt install" in written["go"]
        assert written["go"] in printed


@pytest.fixture(scope="module")
def results() -> ModuleType:
    """The module that makes figures of samples."""
    spec = importlib.util.spec_from_file_location("bench_results", BENCH / "results.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_growth_is_the_exponent_of_the_size(results: ModuleType) -> None:
    """What costs in proportion grows with exponent 1, what costs the same with 0, what grows in squares with 2."""
    assert results.exponent({1_000: 2.0, 10_000: 17.0, 100_000: 200.0}) == pytest.approx(1.0)
    assert results.exponent({10: 5.0, 1_000: 5.0}) == pytest.approx(0.0)
    assert results.exponent({10: 1.0, 100: 100.0}) == pytest.approx(2.0)


def test_the_percentile_is_a_sample_that_was_seen(results: ModuleType) -> None:
    """Of a hundred samples the 99th percentile is the last but one, of few ones the worst."""
    assert results.percentile([float(number) for number in range(1, 101)]) == 99.0
    assert results.percentile([3.0, 1.0, 2.0]) == 3.0


def test_a_target_is_the_most_or_the_least(results: ModuleType) -> None:
    """A figure beyond its target is missed, on the side on which it matters; one without a target is neither."""
    figure = results.Figure
    assert figure("a", 1, "s", 2.0, (), 1.0).met is False
    assert figure("a", 1, "s", 1.0, (), 1.0).met is True
    assert figure("a", 1, "x", 2.0, (), 80.0, at_least=True).met is False
    assert figure("a", 1, "x", 90.0, (), 80.0, at_least=True).met is True
    assert figure("a", 1, "s", 1.0).met is None
    slow = figure.median("scrape", 1_000, "s", [0.001, 0.004, 0.003], 0.002)
    assert [cell.strip() for cell in results.table([slow]).splitlines()[2].split("|")[1:-1]] == [
        "scrape", "1,000", "3 ms", "1 ms – 4 ms", "3", "≤ 2 ms", "MISSED",
    ]  # fmt: skip
