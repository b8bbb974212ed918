"""How often each thing is measured, and what is to be reached."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["FULL", "QUICK", "TARGETS", "Sampling"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How much is measured.

    Attributes:
        scrapes: In each format, each in a second of its own.
        starts: Starts of the exporter until it is ready, and as many polls from nothing.
        busy_seconds: How long scrapes are made while polls are running.
        idle_seconds: How long it is watched doing nothing.
        crowds: How often twenty scrapes come at once.
        judgements: Polls after which all disks are judged.
        baseline_scrapes: Of each of the other ways, after a first one that does not count.
    """

    scrapes: int
    starts: int
    busy_seconds: float
    idle_seconds: float
    crowds: int
    judgements: int
    baseline_scrapes: int

    def for_size(self, disks: int) -> Sampling:
        """Return the same with less of what takes long in a large world."""
        if disks < 50_000:  # noqa: PLR2004  # where a poll takes more than ten seconds
            return self
        return replace(
            self,
            starts=min(2, self.starts),
            busy_seconds=3 * self.busy_seconds,
            baseline_scrapes=min(2, self.baseline_scrapes),
        )


FULL = Sampling(scrapes=11, starts=5, busy_seconds=20.0, idle_seconds=10.0, crowds=5, judgements=11, baseline_scrapes=5)
QUICK = Sampling(scrapes=2, starts=1, busy_seconds=2.0, idle_seconds=1.0, crowds=1, judgements=2, baseline_scrapes=1)

TARGETS: dict[str, dict[int, float]] = {
    "scrape": {1_000: 0.002, 10_000: 0.008, 100_000: 0.080},
    "busy": {1_000: 0.050, 10_000: 0.200, 100_000: 1.0},
    "plain": {10_000: 80.0, 100_000: 80.0},
    "go": {10_000: 30.0, 100_000: 30.0},
    "cpu": {1_000: 0.15, 10_000: 1.5, 100_000: 15.0},
    "findings": {10_000: 0.05},
    "memory": {1_000: 60.0, 10_000: 200.0, 100_000: 1_500.0},
    "sweep": {1_000: 1.5},
    "by_disk": {1_000: 8.0},
    "ready": {1_000: 1.5},
    "idle": {1_000: 0.2, 10_000: 0.2, 100_000: 0.2},
    "crowd": {10_000: 1.0},
    "exponent": {0: 1.05},
}
"""By kind of figure and by number of disks."""
