"""What ``check --nagios`` prints: one line, and a status from 0 to 3."""

from __future__ import annotations

import os
import sys
from typing import Final

from gigas_exporter import formatting

WORDS: Final = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
UNKNOWN: Final = 3
_FALSE: Final = frozenset({"", "0", "false", "f", "no", "n", "off"})


def is_asked_for() -> bool:
    """Return whether Nagios started this process, however wrong the rest of its command line is."""
    by_variable = os.environ.get("GIGAS_CHECK_NAGIOS", "").strip().lower() not in _FALSE
    return sys.argv[1:2] == ["check"] and ("--nagios" in sys.argv or by_variable)


def line(status: int, text: str) -> str:
    """Return the line without performance data, which a bar would begin."""
    return f"GIGAS {WORDS[status]} - {formatting.escape_control_chars(' '.join(text.split())).replace('|', '/')}"
