"""The committed JSON is what the generator writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_generator_writes_exactly_the_committed_files(tmp_path: Path) -> None:
    """Nobody edits the JSON by hand, nobody forgets to run the generator, and it writes the same with any hash seed."""
    subprocess.run([sys.executable, "-m", "dashboards.generate", tmp_path], cwd=ROOT, check=True)
    fresh = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in (ROOT / "dashboards").glob("*.json")}
    assert committed == fresh, "run `make dashboards`"
