"""Write the pages that are made from the code: alerts, metrics, configuration, and the index of the runbooks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_PAGES = {
    "docs/alerts.md": ["gigas_exporter.bundle.alerts_reference"],
    "docs/metrics.md": ["gigas_exporter.metrics.reference"],
    "docs/configuration.md": ["gigas_exporter.config.reference"],
    "alerts/runbooks/README.md": ["gigas_exporter.bundle.alerts_reference", "--runbooks"],
}


def main() -> int:
    """Write each page anew."""
    for page, module in _PAGES.items():
        text = subprocess.run([sys.executable, "-m", *module], check=True, stdout=subprocess.PIPE).stdout  # noqa: S603
        (_ROOT / page).write_bytes(text)
        print(f"wrote {page}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
