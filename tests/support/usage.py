"""The resources that a process uses, from the kernel."""

from __future__ import annotations

import os
from pathlib import Path


def _status(pid: int | str, field: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(text.split(f"{field}:")[1].split()[0])


def threads(pid: int | str = "self") -> int:
    """Return the number of threads."""
    return _status(pid, "Threads")


def resident_megabytes(pid: int | str = "self") -> float:
    """Return the resident memory."""
    return _status(pid, "VmRSS") / 1024


def descriptors(pid: int | str = "self") -> int:
    """Return the number of open files and sockets."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def processor_seconds(pid: int | str = "self") -> float:
    """Return the processor time used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
