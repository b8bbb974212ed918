"""Write the pages of docs/ that are made from the code: the alerts, the metrics and the configuration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_DOCS = Path(__file__).resolve().parent.parent / "docs"
_PAGES = {
    "alerts.md": "gigas_exporter.bundle.alerts_reference",
    "metrics.md": "gigas_exporter.metrics.reference",
    "configuration.md": "gigas_exporter.config.reference",
}


def main() -> int:
    """Write each page anew."""
    for page, module in _PAGES.items():
        text = subprocess.run([sys.executable, "-m", module], check=True, stdout=subprocess.PIPE).stdout  # noqa: S603
        (_DOCS / page).write_bytes(text)
        print(f"wrote docs/{page}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
