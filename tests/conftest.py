"""What all tests have: a clean environment, a kind, an order, and logging as it was.

The files that take longest begin first, so that in the end no process waits long for another.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from support.environment import execute_again, is_clean
from support.kinds import doing_no_more_than, kind_of, kind_of_file
from support.scheduling import FileScheduling

# Whose programs are measured for coverage, which doubles the time that one takes to start; what those of the others
# reach, these and the tests' own process reach, too.
MEASURED = ("cli/test_cli_main", "lifecycle/test_lifecycle_reload", "lifecycle/test_lifecycle_s")
# In the order in which they begin; cases of faults, which play several exporters at once, not all beside each other.
LONGEST = (
    "faults/test_faults_failing", "secrets", "alerts", "faults/test_faults_unreadable", "docs", "lifecycle", "soak",
    "faults/test_faults_harmless", "statuspage", "e2e", "faults/test_faults_shared", "fuzz", "web", "bench",
)  # fmt: skip
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}")

# What else asserts, so that a failure tells the values.
pytest.register_assert_rewrite(
    "support.fault_cases", "support.in_process_exporter", "support.programs", "support.timing"
)
settings.register_profile("quick", max_examples=25, deadline=None)
settings.register_profile("thorough", max_examples=120, deadline=None)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Execute pytest again in a clean environment, which the processes of pytest-xdist inherit."""
    if hasattr(config, "workerinput"):
        os.environ.pop("COLUMNS", None)  # which pytest-xdist sets for its own lines
    elif not is_clean():
        capture = config.pluginmanager.getplugin("capturemanager")
        capture.stop_global_capturing()
        execute_again()
        capture.start_global_capturing()
    if not config.getoption("--hypothesis-profile", None):
        settings.load_profile("thorough" if os.environ.get("CI") else "quick")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Read no file without a unit test where only those are to run."""
    if config.getoption("markexpr") != "unit" or not collection_path.match("test_*.py"):
        return None
    is_read = kind_of_file(collection_path) == "unit" or "mark.unit" in collection_path.read_text(encoding="utf-8")
    return None if is_read else True


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name no test by a moment, which compressed bytes have in them, too.

    The processes of a run that collect a second apart would have different tests, and the run would end.
    """
    return argname if isinstance(val, bytes) or (isinstance(val, str) and _MOMENT.search(val)) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduling | None:
    """Distribute by file in a way that outlives a worker."""
    return FileScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each with its kind, and put the longest first; the others keep the order of their names."""
    if config.getoption("lf", default=False):
        failed = tuple(config.cache.get("cache/lastfailed", {})) if config.cache is not None else ()
        if not any(item.nodeid.startswith(failed) for item in items):
            items.clear()  # what failed was no test: pytest would run all of them, one after another
    for item in items:
        item.add_marker(kind_of(item))
    items.sort(key=_place)


@cache
def _file(path: Path) -> str:
    return path.relative_to(Path(__file__).parent).as_posix()


def _place(item: pytest.Item) -> int:
    file = _file(item.path)
    return next((place for place, name in enumerate(LONGEST) if file.startswith(name)), len(LONGEST))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let coverage measure the programs of some tests only."""
    measure = os.environ.get("COVERAGE_PROCESS_CONFIG")
    if measure is None or _file(item.path).startswith(MEASURED):
        return (yield)
    del os.environ["COVERAGE_PROCESS_CONFIG"]
    try:
        return (yield)
    finally:
        os.environ["COVERAGE_PROCESS_CONFIG"] = measure


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Let no test do more than its kind says."""
    with doing_no_more_than(kind_of(item)):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Nor what it is set up with."""
    with doing_no_more_than(kind_of(item)):
        yield


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show what tests recorded to be shown."""
    for report in (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")):
        for name, text in report.user_properties:
            if name == "shown":
                terminalreporter.write_line(f"{report.nodeid}: {text}")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository itself."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _logging_restored() -> Iterator[None]:
    """Begin and leave with Python's own levels of logging: the program's commands set them for the process."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    _reset_levels()
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    _reset_levels()


def _reset_levels() -> None:
    logging.getLogger().setLevel(logging.WARNING)
    for name in ("urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.NOTSET)
