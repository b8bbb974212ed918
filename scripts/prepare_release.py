"""Set the version of the code and the chart, and move the changelog's *Unreleased* entries to its section.

usage: scripts/prepare_release.py VERSION

If the version already has a section, the entries are added to it. Run `make deploy` afterwards.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_VERSION = r"\d+\.\d+\.\d+"
_KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
_PLACES = (
    ("exporter/gigas_exporter/__init__.py", rf'(?<=^__version__ = "){_VERSION}(?="$)'),
    ("deploy/helm/gigas-exporter/Chart.yaml", rf"(?<=^version: ){_VERSION}$"),
    ("deploy/helm/gigas-exporter/Chart.yaml", rf'(?<=^appVersion: "){_VERSION}(?="$)'),
)


def move_unreleased(changelog: str, version: str) -> str:
    """Return the changelog with the *Unreleased* entries moved to the version's section."""
    head, *parts = re.split(r"^(?=## \[)", changelog, flags=re.MULTILINE)
    sections = {part.splitlines()[0].removeprefix("## [").partition("]")[0]: part for part in parts}
    fresh, own = _kinds(sections.pop("Unreleased")), _kinds(sections.pop(version, ""))
    merged = "".join(
        f"### {kind}\n\n" + "\n".join(each[kind].strip("\n") for each in (own, fresh) if kind in each) + "\n\n"
        for kind in _KINDS
        if kind in own or kind in fresh
    )
    introduction = "".join(f"{each[''].strip()}\n\n" for each in (own, fresh) if each.get("", "").strip())
    later = "".join(sections.values())
    return f"{head}## [Unreleased]\n\n## [{version}]\n\n{introduction}{merged}{later}".rstrip("\n") + "\n"


def _kinds(part: str) -> dict[str, str]:
    """Return the texts of a section by their headings; the text before the first has an empty one."""
    first, *others = re.split(r"^### ", part.partition("\n")[2], flags=re.MULTILINE)
    return {"": first} | {kind: text for kind, _, text in (each.partition("\n") for each in others)}


def main(version: str, root: Path = _ROOT) -> int:
    """Change the files and return the exit status."""
    if re.fullmatch(_VERSION, version) is None:
        print("error: VERSION is three numbers, such as 1.2.3", file=sys.stderr)
        return 2
    for name, pattern in _PLACES:
        path = root / name
        text, count = re.subn(pattern, version, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if count != 1:
            print(f"error: {name} has no version where one is expected", file=sys.stderr)
            return 1
        path.write_text(text, encoding="utf-8")
    path = root / "CHANGELOG.md"
    path.write_text(move_unreleased(path.read_text(encoding="utf-8"), version), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if sys.argv[1:] else ""))
