"""What the tests of the repository itself share: where it is, and what git tracks of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def repository() -> Path:
    return _ROOT


@pytest.fixture(scope="session")
def tracked_files() -> tuple[Path, ...]:
    """Every file that git tracks and that is there; the tree of a source archive has no git and is walked."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={_ROOT}", "ls-files", "-z"], cwd=_ROOT, stdout=subprocess.PIPE, check=False
    )
    if listed.returncode:
        ignored = {".venv", ".venv-release", "build", "dist", "node_modules", "__pycache__"}
        paths = (path for path in _ROOT.rglob("*") if not ignored & set(path.relative_to(_ROOT).parts))
    else:
        paths = (_ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return tuple(sorted(path for path in paths if path.is_file() and not path.is_symlink()))
