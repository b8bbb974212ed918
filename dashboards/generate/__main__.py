"""Write the dashboards' JSON files beside the generator, or into the directory that is given."""

from __future__ import annotations

import sys
from pathlib import Path

from dashboards.generate import backups, disk, exporter, overview

DASHBOARDS = {
    overview.NAME: overview.overview,
    backups.NAME: backups.backups,
    disk.NAME: disk.disk,
    exporter.NAME: exporter.exporter,
}


def write(directory: Path) -> None:
    """Write one file a dashboard."""
    for name, make in DASHBOARDS.items():
        (directory / f"{name}.json").write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
