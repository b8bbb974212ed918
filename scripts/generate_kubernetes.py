"""Write the PrometheusRules of the kustomize base anew from alerts/.

usage: scripts/generate_kubernetes.py [DIRECTORY]    (default: deploy/kubernetes/base)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

_BASE = Path(__file__).resolve().parent.parent / "deploy/kubernetes/base"
_NOTE = "# Written by `make deploy` from alerts/; change it there.\n"


def main(directory: Path) -> int:
    """Write all rules into one file of the directory."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(  # noqa: S603 - this package's own command
            [sys.executable, "-m", "gigas_exporter", "alerts", scratch, "--format", "kubernetes"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        objects = [path.read_text(encoding="utf-8") for path in sorted(Path(scratch).rglob("*.y*ml"))]
    documents = [text.removeprefix("---\n").rstrip("\n") + "\n" for text in objects]
    target = directory / "prometheusrules.yaml"
    target.write_text(_NOTE + "---\n".join(documents), encoding="utf-8")
    print(f"wrote {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if sys.argv[1:] else _BASE))
