"""The order of the tests: the folders that take longest begin first, so that no process waits long for another."""

from __future__ import annotations

from pathlib import Path

import pytest

LONGEST = ("secrets", "alerts", "docs", "lifecycle", "soak", "statuspage", "e2e", "fuzz", "bench")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first; the others keep the order of their names."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return LONGEST.index(folder) if folder in LONGEST else len(LONGEST)
