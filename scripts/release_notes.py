"""Print a version's section of the changelog as release notes; fail if the version cannot be released.

usage: scripts/release_notes.py VERSION

It can if the code has that version, the changelog has a section for it, and nothing is left under *Unreleased*.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def section(changelog: str, version: str) -> str | None:
    """Return the text under a version's heading, or None if it has none."""
    found = re.search(
        rf"^## \[{re.escape(version)}\].*?\n(.*?)(?=^## |^\[[^\]]+\]: |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    return found[1].strip() if found else None


def problem(root: Path, version: str) -> str | None:
    """Return why a version cannot be released from a tree, or None."""
    source = (root / "exporter/gigas_exporter/__init__.py").read_text(encoding="utf-8")
    if f'__version__ = "{version}"' not in source:
        return f"the code's version is not {version}"
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not section(changelog, version):
        return f"CHANGELOG.md has no section for {version}"
    if section(changelog, "Unreleased"):
        return f"CHANGELOG.md has entries under Unreleased: make prepare-release VERSION={version} moves them"
    return None


def main(version: str, root: Path = _ROOT) -> int:
    """Print the section and return the exit status."""
    why_not = problem(root, version)
    if why_not is not None:
        print(f"error: {why_not}", file=sys.stderr)
        return 1
    print(section((root / "CHANGELOG.md").read_text(encoding="utf-8"), version))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
