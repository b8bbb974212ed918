"""The program in examples/ works against the simulated API; its configurations are tested as those of the pages are."""

from __future__ import annotations

import sys
from pathlib import Path

from docs.pages import ROOT
from gigas_exporter.simulator import SimulatedCloud
from support.programs import account_environment, run_program
from support.simulator import SimulatorServer


def test_the_library_example_lists_the_disks(tmp_path: Path) -> None:
    """examples/library.py prints one line for each disk of the account."""
    world = SimulatedCloud(seed=0, disks=6, accounts=1)
    key = tmp_path / "key"
    with SimulatorServer(world) as server:
        environ = account_environment(server, GIGAS_API_KEY_FILE=str(key))
        key.write_text(environ.pop("GIGAS_API_KEY"), encoding="utf-8")
        done = run_program(sys.executable, ROOT / "examples/library.py", env=environ, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 6
