"""Fail if the tests cover too few lines or too few branches of the package.

coverage's own `fail_under` checks their sum, in which covered lines can hide branches that are not covered.

usage: scripts/coverage_gate.py COVERAGE_JSON LEAST_PERCENT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(report: str, least_percent: float) -> int:
    """Print both shares and return the exit status."""
    totals = json.loads(Path(report).read_text(encoding="utf-8"))["totals"]
    shares = {
        "lines": (totals["covered_lines"], totals["num_statements"]),
        "branches": (totals["covered_branches"], totals["num_branches"]),
    }
    status = 0
    for what, (covered, count) in shares.items():
        percent = 100 * covered / count if count else 100.0
        enough = percent >= least_percent
        print(f"coverage of {what}: {percent:.2f} % ({covered} of {count})")
        if not enough:
            print(f"error: fewer than {least_percent:g} % of the {what} are covered", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], float(sys.argv[2])))
