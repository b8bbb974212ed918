"""Print the changelog's section of a version; fail where the code has another version or the changelog no such section.

usage: scripts/release_notes.py VERSION
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def section(changelog: str, version: str) -> str | None:
    """Return what stands under a version's heading, or None where it has none."""
    found = re.search(
        rf"^## \[{re.escape(version)}\].*?\n(.*?)(?=^## |^\[[^\]]+\]: |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    return found[1].strip() if found else None


def main(version: str) -> int:
    """Print the section and return the exit status."""
    source = (_ROOT / "exporter/gigas_exporter/__init__.py").read_text(encoding="utf-8")
    if f'__version__ = "{version}"' not in source:
        print(f"error: the code's version is not {version}", file=sys.stderr)
        return 1
    notes = section((_ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    if not notes:
        print(f"error: CHANGELOG.md has no section for {version}", file=sys.stderr)
        return 1
    print(notes)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
