"""The figures and their targets, as tables and as JSON."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

__all__ = ["Figure", "exponent", "overview", "percentile", "table"]

Unit = Literal["s", "MB", "requests", "%", "x", "exponent"]
_NINES = 0.99


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        work: What was measured.
        disks: The number of disks; 0 if the figure compares several.
        value: The median of the samples, unless ``work`` says otherwise.
        target: The limit of the value, if any.
        at_least: Whether the target is a lower instead of an upper limit.
    """

    work: str
    disks: int
    unit: Unit
    value: float
    samples: tuple[float, ...] = ()
    target: float | None = None
    at_least: bool = False

    @classmethod
    def median(cls, work: str, disks: int, unit: Unit, samples: Sequence[float], target: float | None = None) -> Figure:
        """Return the figure of the median of some samples."""
        return cls(work, disks, unit, statistics.median(samples), tuple(samples), target)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; ``None`` without a target."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def as_json(self) -> dict[str, object]:
        """Return the figure as a JSON object."""
        return {**asdict(self), "met": self.met}


def percentile(samples: Sequence[float], share: float = _NINES) -> float:
    """Return the nearest-rank percentile of the samples."""
    return sorted(samples)[max(0, math.ceil(share * len(samples)) - 1)]


def exponent(costs: dict[int, float]) -> float:
    """Return k of cost ~ size^k between the smallest and the largest size."""
    small, large = min(costs), max(costs)
    return math.log(costs[large] / costs[small]) / math.log(large / small)


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as an aligned Markdown table."""
    head = ("work", "disks", "median", "spread", "samples", "target", "")
    return _markdown([head, *(_row(figure) for figure in figures)], "<>>>>><")


def overview(figures: Sequence[Figure]) -> str:
    """Return a Markdown table with a column for each size, and each target beside its figure."""
    sizes = sorted({figure.disks for figure in figures if figure.disks})
    by_place = {(figure.work, figure.disks): figure for figure in figures if figure.disks}
    works = dict.fromkeys(figure.work for figure in figures if figure.disks)
    rows = [
        (work, *(_cell(by_place[work, size]) if (work, size) in by_place else "" for size in sizes)) for work in works
    ]
    return _markdown([("work", *(f"{size:,} disks" for size in sizes)), *rows], "<" + ">" * len(sizes))


def _cell(figure: Figure) -> str:
    value = _text(figure.value, figure.unit)
    if figure.target is None:
        return value
    return f"{value} ({_target(figure)}{'' if figure.met else ', MISSED'})"


def _markdown(rows: Sequence[Sequence[str]], alignment: str) -> str:
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| "
        + " | ".join(f"{text:{side}{width}}" for text, side, width in zip(row, alignment, widths, strict=True))
        + " |"
        for row in rows
    ]
    rule = [
        "-" * width if side == "<" else "-" * (width - 1) + ":" for side, width in zip(alignment, widths, strict=True)
    ]
    return "\n".join([lines[0], f"| {' | '.join(rule)} |", *lines[1:]])


def _target(figure: Figure) -> str:
    return "" if figure.target is None else f"{'≥' if figure.at_least else '≤'} {_text(figure.target, figure.unit)}"


def _row(figure: Figure) -> tuple[str, ...]:
    spread = ""
    if len(figure.samples) > 1:
        spread = f"{_text(min(figure.samples), figure.unit)} – {_text(max(figure.samples), figure.unit)}"
    return (
        figure.work,
        f"{figure.disks:,}" if figure.disks else "",
        _text(figure.value, figure.unit),
        spread,
        str(len(figure.samples) or ""),
        _target(figure),
        {None: "", True: "met", False: "MISSED"}[figure.met],
    )


def _text(value: float, unit: Unit) -> str:
    if unit == "s":
        return f"{_short(value * 1000)} ms" if value < 1 else f"{_short(value)} s"
    if unit == "x":
        return f"{_short(value)}×"
    return {"MB": f"{value:.0f} MB", "requests": f"{value:.0f}", "%": f"{value:.2f} %", "exponent": f"{value:.2f}"}[
        unit
    ]


def _short(value: float) -> str:
    """Return three significant digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004  # where three digits are enough
