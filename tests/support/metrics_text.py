"""Single values out of a text exposition, where parsing all of it would cost more than it says."""

from __future__ import annotations

__all__ = ["metric"]


def metric(text: str, name: str, **labels: str) -> float | None:
    """Return the value of the first series of a metric with these labels, ``None`` when there is none."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    for line in text.splitlines():
        if line.startswith((f"{name}{{", f"{name} ")) and all(each in line for each in wanted):
            return float(line.rpartition(" ")[2])
    return None
