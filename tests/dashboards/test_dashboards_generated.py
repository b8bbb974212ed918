"""The committed JSON is what the generator writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory into which the generator wrote."""
    directory = tmp_path_factory.mktemp("dashboards")
    subprocess.run([sys.executable, "-m", "dashboards.generate", directory], cwd=ROOT, check=True)
    return directory


def test_generator_writes_exactly_the_committed_files(written: Path) -> None:
    """Nobody edits the JSON by hand, and nobody forgets to run the generator."""
    fresh = {path.name: path.read_bytes() for path in written.iterdir()}
    committed = {path.name: path.read_bytes() for path in (ROOT / "dashboards").glob("*.json")}
    assert committed == fresh, "run `make dashboards`"


def test_generator_is_stable(written: Path, tmp_path: Path) -> None:
    """A second run, with another hash seed, writes the same bytes."""
    environment = {"PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-m", "dashboards.generate", tmp_path], cwd=ROOT, env=environment, check=True)
    for path in written.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
