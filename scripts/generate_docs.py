"""Write the pages that are made from the code: alerts, metrics, configuration, and the index of the runbooks."""

from __future__ import annotations

import sys
from pathlib import Path

from reference_pages.alerts import alerts_reference, runbook_index
from reference_pages.configuration import render_reference
from reference_pages.metrics import metrics_reference

PAGES = {
    "docs/alerts.md": alerts_reference,
    "docs/metrics.md": metrics_reference,
    "docs/configuration.md": render_reference,
    "alerts/runbooks/README.md": runbook_index,
}


_ROOT = Path(__file__).resolve().parent.parent


def main(root: Path = _ROOT) -> int:
    """Write each page under ``root``."""
    for page, render in PAGES.items():
        path = root / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(), encoding="utf-8")
        print(f"wrote {page}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*map(Path, sys.argv[1:2])))
