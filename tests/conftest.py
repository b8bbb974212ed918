"""What all tests have: a clean environment, an order, and logging as it was.

The folders that take longest begin first, so that in the end no process waits long for another.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.environment import begin_anew, is_clean

LONGEST = ("secrets", "alerts", "docs", "lifecycle", "soak", "statuspage", "e2e", "fuzz", "bench")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Begin anew in a clean environment; the processes that pytest-xdist starts inherit it."""
    if hasattr(config, "workerinput"):
        os.environ.pop("COLUMNS", None)  # which pytest-xdist sets for its own lines
    elif not is_clean():
        capture = config.pluginmanager.getplugin("capturemanager")
        capture.stop_global_capturing()
        begin_anew()
        capture.start_global_capturing()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first; the others keep the order of their names."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return LONGEST.index(folder) if folder in LONGEST else len(LONGEST)


@pytest.fixture(autouse=True)
def _logging_restored() -> Iterator[None]:
    """Leave logging as it was: the program's commands configure it for the process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    libraries = {name: logging.getLogger(name).level for name in ("urllib3", "requests")}
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, its in libraries.items():
        logging.getLogger(name).setLevel(its)
