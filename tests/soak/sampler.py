"""What is seen of the exporter in a soak: its resources, and its series against the cloud's own truth."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gigas_exporter.model import Disk
from gigas_exporter.simulator import SimulatedCloud
from support.in_process_exporter import Scrape

__all__ = ["History", "Sample", "Trend", "difference", "sample"]

_SETTLED_SECONDS: Final = 90.0
_HOUR: Final = 3600.0
_FAILED: Final = frozenset({"failed", "error"})
_UNFINISHED: Final = frozenset({"pending", "running"})


@dataclass(frozen=True, slots=True)
class Sample:
    """The exporter's resources at one moment; ``cpu_seconds`` since its start."""

    at: float
    resident_bytes: float
    threads: float
    descriptors: float
    cpu_seconds: float


def sample(pid: int) -> Sample:
    """Read a process' resources from /proc."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines())
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return Sample(
        time.monotonic(),
        float(status["VmRSS"].split()[0]) * 1024,
        float(status["Threads"]),
        float(len(os.listdir(f"/proc/{pid}/fd"))),  # noqa: PTH208  # names are not wanted, only how many
        (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
    )


@dataclass(frozen=True, slots=True)
class Trend:
    """How a figure moved after the first quarter, in which it may still find its level.

    Attributes:
        slope: Per hour, of the straight line through it.
        growth: From the second quarter's lower half to the last one's: peaks are the faults', what stays is ours.
    """

    slope: float
    growth: float
    last: float

    @classmethod
    def of(cls, samples: Sequence[Sample], figure: Callable[[Sample], float]) -> Trend:
        """Judge one figure of the samples."""
        quarter = len(samples) // 4
        settled = samples[quarter:]
        line = statistics.linear_regression([each.at for each in settled], [figure(each) for each in settled])
        second, last = (
            statistics.quantiles([figure(each) for each in part], n=4)[0]
            for part in (samples[quarter : 2 * quarter], samples[-quarter:])
        )
        return cls(line.slope * _HOUR, last - second, figure(samples[-1]))


class History:
    """Which disks the cloud has had, and since when without a break."""

    def __init__(self, world: SimulatedCloud) -> None:
        self.world = world
        self._since: dict[str, float] = {}
        self._ever: set[str] = set()

    def note(self) -> None:
        """Look at the cloud; to be called every second or so."""
        now = time.monotonic()
        present = {disk.id for account_id in self.world.account_ids for disk in self.world.disks(account_id)}
        self._since = {disk_id: self._since.get(disk_id, now) for disk_id in present}
        self._ever |= present

    def faults_of(self, scrape: Scrape) -> list[str]:
        """Return what a scrape lost of the disks that have long been there, and what it shows that never was."""
        shown = {dict(labels)["disk_id"] for labels in scrape.of("gigas_disk_info")}
        now = time.monotonic()
        settled = {disk_id for disk_id, since in self._since.items() if now - since > _SETTLED_SECONDS}
        lost, invented = settled - shown, shown - self._ever
        return [*(f"disk {each} was lost" for each in lost), *(f"disk {each} was invented" for each in invented)]


def difference(world: SimulatedCloud, scrape: Scrape) -> str | None:
    """Return how a scrape differs from the cloud as it is now, ``None`` when it does not."""
    for account_id in world.account_ids:
        disks = world.disks(account_id)
        for metric, truth in _TRUTHS.items():
            expected = {disk.id: value for disk in disks if (value := truth(world, account_id, disk)) is not None}
            found = scrape.by_disk(metric, account_id)
            if found != expected:
                ids = [each for each in found | expected if found.get(each) != expected.get(each)]
                example = f"{ids[0]}: {found.get(ids[0])} instead of {expected.get(ids[0])}"
                return f"account {account_id}, {metric}: {len(ids)} disks differ, such as {example}"
    return None


def _usable_dates(world: SimulatedCloud, account_id: str, disk: Disk) -> list[float]:
    backups = world.backups(account_id, disk.id)
    return [each.date_created or 0.0 for each in backups if each.status not in _FAILED | _UNFINISHED]


_TRUTHS: Mapping[str, Callable[[SimulatedCloud, str, Disk], float | None]] = {
    "gigas_disk_info": lambda _world, _account_id, _disk: 1.0,
    "gigas_disk_size_bytes": lambda _world, _account_id, disk: disk.size_bytes,
    "gigas_disk_error": lambda _world, _account_id, disk: disk.has_error,
    "gigas_disk_locked": lambda _world, _account_id, disk: disk.locked,
    "gigas_disk_autobackup": lambda _world, _account_id, disk: disk.autobackup,
    "gigas_disk_backups_poll_success": lambda _world, _account_id, _disk: 1.0,
    "gigas_disk_backups": lambda world, account_id, disk: len(_usable_dates(world, account_id, disk)),
    "gigas_disk_backup_last_timestamp_seconds": lambda world, account_id, disk: max(
        _usable_dates(world, account_id, disk), default=None
    ),
}
