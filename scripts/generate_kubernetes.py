"""Write the parts of the kustomize base that are made from alerts/ and dashboards/: PrometheusRules and ConfigMaps.

usage: scripts/generate_kubernetes.py [DIRECTORY]    (default: deploy/kubernetes/base)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

_BASE = Path(__file__).resolve().parent.parent / "deploy/kubernetes/base"
_PARTS = {"prometheusrules.yaml": "alerts", "dashboards.yaml": "dashboards"}
_NOTE = "# Written by `make deploy` from {source}/; change it there.\n"


def main(directory: Path) -> int:
    """Write each part into the directory."""
    for name, source in _PARTS.items():
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run(  # noqa: S603 - this package's own command
                [sys.executable, "-m", "gigas_exporter", source, scratch, "--format", "kubernetes"],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            objects = [path.read_text(encoding="utf-8") for path in sorted(Path(scratch).rglob("*.yaml"))]
        documents = [text.removeprefix("---\n").rstrip("\n") + "\n" for text in objects]
        (directory / name).write_text(_NOTE.format(source=source) + "---\n".join(documents), encoding="utf-8")
        print(f"wrote {directory / name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if sys.argv[1:] else _BASE))
