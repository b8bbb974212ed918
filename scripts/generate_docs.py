"""Write the files that are generated from the code.

They are the pages on alerts, metrics and configuration, the index of the runbooks, and the template of ``config init``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from reference_pages.alerts import alerts_reference, runbook_index
from reference_pages.configuration import render_reference
from reference_pages.metrics import metrics_reference
from reference_pages.template import render_template

PAGES = {
    "docs/alerts.md": alerts_reference,
    "docs/metrics.md": metrics_reference,
    "docs/configuration.md": render_reference,
    "alerts/runbooks/README.md": runbook_index,
    "exporter/gigas_exporter/cli/config/template.yml": render_template,
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
