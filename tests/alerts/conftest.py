"""What the tests of the alerts share: the rule files, read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gigas_exporter.bundle.alerts import RULE_FILES

Rule = dict[str, Any]


@pytest.fixture(scope="session")
def directory(repository: Path) -> Path:
    """Where the rule files lie."""
    return repository / "alerts"


@pytest.fixture(scope="session")
def groups(directory: Path) -> list[dict[str, Any]]:
    """Every group of every rule file."""
    return [
        group
        for name in RULE_FILES
        for group in yaml.safe_load((directory / name).read_text(encoding="utf-8"))["groups"]
    ]


@pytest.fixture(scope="session")
def rules(groups: list[dict[str, Any]]) -> list[Rule]:
    """Every rule."""
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="session")
def alerts(rules: list[Rule]) -> dict[str, Rule]:
    """Every alert by its name."""
    return {rule["alert"]: rule for rule in rules if "alert" in rule}
