"""The numbers of samples, and the targets."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["FULL", "QUICK", "TARGETS", "Sampling"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How much is measured.

    Attributes:
        scrapes: Scrapes in each format.
        starts: Starts of the exporter until it is ready, and first polls of a process.
        busy_seconds: How long to scrape while polls are running.
        idle_seconds: How long to measure the idle exporter.
        crowds: How often to start twenty scrapes at once.
        judgements: Polls with late backups, and polls with recent ones.
        baseline_scrapes: Scrapes of each baseline, after a first one that does not count.
    """

    scrapes: int
    starts: int
    busy_seconds: float
    idle_seconds: float
    crowds: int
    judgements: int
    baseline_scrapes: int

    def for_size(self, disks: int) -> Sampling:
        """Return the sampling for a number of disks: with many, fewer of the slow samples."""
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
"""By kind of figure and number of disks."""
