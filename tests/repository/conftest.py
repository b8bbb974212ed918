"""What the tests of the repository itself share: what git tracks of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tracked_files(repository: Path) -> tuple[Path, ...]:
    """Every file that git tracks and that is there; the tree of a source archive has no git and is walked."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={repository}", "ls-files", "-z"],
        cwd=repository,
        stdout=subprocess.PIPE,
        check=False,
    )
    if listed.returncode:
        ignored = {".venv", ".venv-release", "build", "dist", "node_modules", "__pycache__"}
        paths = (path for path in repository.rglob("*") if not ignored & set(path.relative_to(repository).parts))
    else:
        paths = (repository / name for name in listed.stdout.decode().split("\0") if name)
    return tuple(sorted(path for path in paths if path.is_file() and not path.is_symlink()))
