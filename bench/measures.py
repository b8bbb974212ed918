"""The measurements of the exporter; each returns figures for one number of disks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from http_client import Connection, Format
from processes_under_test import Cloud, Exporter
from results import Figure, percentile
from sampling import TARGETS, Sampling

__all__ = [
    "measure_crowds",
    "measure_idleness",
    "measure_latency",
    "measure_polls",
    "measure_scrapes",
    "measure_starts",
    "measure_under_polls",
]

FORMATS: dict[Format, str] = {"text": "text", "openmetrics": "OpenMetrics"}

_MB = 1e6
_HELD_SECONDS = 2.0
_LATENCY_SECONDS = 0.05
_CONCURRENCY = 8
_CROWD = 20
_LOOK_SECONDS = 0.003
_BUSY_SHARE = 0.5
_PAUSE_SECONDS = 0.02
# A poll must end within its interval; a busy machine also reads so many disks a second.
_DISKS_A_SECOND = 1_000
_LONGEST_INTERVAL_SECONDS = 60
_REST_SECONDS = 4


def measure_starts(cloud: Cloud, directory: Path, sampling: Sampling) -> list[Figure]:
    """Start the exporter repeatedly, and wait until it is ready."""
    samples = []
    for _ in range(sampling.starts):
        with Exporter(cloud, directory) as exporter:
            samples.append(exporter.await_ready())
            exporter.await_idle()
    return [Figure.median("start to ready", cloud.disks, "s", samples, TARGETS["ready"].get(cloud.disks))]


def measure_polls(cloud: Cloud, directory: Path, sampling: Sampling) -> list[Figure]:
    """Measure the first poll of a process repeatedly: processor time and memory; then the requests of a later cycle."""
    times, memory, peaks = [], [], []
    interval = f"{_REST_SECONDS + _interval(cloud.disks)}s"
    for turn in range(sampling.starts):
        is_last = turn == sampling.starts - 1
        cloud.delay(_HELD_SECONDS)
        with Exporter(cloud, directory, **_both(interval if is_last else "1h")) as exporter:
            # Everything has started and the first responses are delayed, so only the poll is measured from here on.
            exporter.await_serving()
            exporter.await_idle()
            before = exporter.cpu_seconds()
            cloud.delay(0)
            times.append(exporter.await_polled(cloud) - before)
            with _connected(exporter) as connection:
                for form in FORMATS:
                    connection.scrape(form)
            memory.append(exporter.memory_bytes() / _MB)
            peaks.append(exporter.memory_bytes("VmHWM") / _MB)
            if is_last:
                requests = exporter.requests_a_cycle(cloud)
    disks = cloud.disks
    return [
        Figure.median("poll from nothing, processor time", disks, "s", times, TARGETS["cpu"].get(disks)),
        Figure("API requests a poll cycle, account sweep", disks, "requests", requests, (requests,), cloud.pages),
        Figure.median("resident memory", disks, "MB", memory, TARGETS["memory"].get(disks)),
        Figure.median("resident memory, the most it ever was", disks, "MB", peaks, TARGETS["memory"].get(disks)),
    ]


def measure_scrapes(cloud: Cloud, exporter: Exporter, sampling: Sampling) -> list[Figure]:
    """Scrape in both formats, each time in a new second, so that each scrape computes the ages."""
    samples: dict[Format, list[float]] = {form: [] for form in FORMATS}
    with _connected(exporter) as connection:
        connection.scrape()
        for _ in range(sampling.scrapes):
            for form, found in samples.items():
                _await_next_second()
                found.append(connection.scrape(form))
    target = TARGETS["scrape"].get(cloud.disks)
    return [
        Figure.median(f"scrape, gzip, {FORMATS[form]}", cloud.disks, "s", found, target)
        for form, found in samples.items()
    ]


def measure_crowds(cloud: Cloud, exporter: Exporter, sampling: Sampling) -> list[Figure]:
    """Start twenty scrapes at once, and measure the time until the last response."""
    samples = []
    for _ in range(sampling.crowds):
        ends: list[float] = []
        barrier = threading.Barrier(_CROWD + 1)

        def scrape(barrier: threading.Barrier = barrier, ends: list[float] = ends) -> None:
            with _connected(exporter) as connection:
                barrier.wait()
                connection.scrape()
                ends.append(time.perf_counter())

        threads = [threading.Thread(target=scrape) for _ in range(_CROWD)]
        for thread in threads:
            thread.start()
        _await_next_second()
        began = time.perf_counter()
        barrier.wait()
        for thread in threads:
            thread.join()
        if len(ends) != _CROWD:
            raise RuntimeError("not every scrape was answered")
        samples.append(max(ends) - began)
    name = f"{_CROWD} scrapes at once, until the last is answered"
    return [Figure.median(name, cloud.disks, "s", samples, TARGETS["crowd"].get(cloud.disks))]


def measure_idleness(cloud: Cloud, exporter: Exporter, sampling: Sampling) -> list[Figure]:
    """Measure the processor use between polls and scrapes."""
    exporter.await_idle()
    before = exporter.cpu_seconds()
    time.sleep(sampling.idle_seconds)
    share = 100 * (exporter.cpu_seconds() - before) / sampling.idle_seconds
    name = "processor use between polls and scrapes"
    return [Figure(name, cloud.disks, "%", share, (share,), TARGETS["idle"].get(cloud.disks))]


def measure_latency(cloud: Cloud, directory: Path, sampling: Sampling) -> list[Figure]:
    """Poll an API that delays each response."""
    figures = []
    for source, name, kind in (("account", "account sweep", "sweep"), ("disk", "disk by disk", "by_disk")):
        samples = []
        for _ in range(min(3, sampling.starts)):
            cloud.delay(_LATENCY_SECONDS)
            with Exporter(cloud, directory, f"--api.max-concurrency={_CONCURRENCY}", source=source) as exporter:
                exporter.await_polled(cloud, {"account": cloud.pages, "disk": cloud.disks}[source])
                samples.append(exporter.poll_seconds())
        target = TARGETS[kind].get(cloud.disks)
        work = f"poll, {_LATENCY_SECONDS * 1000:.0f} ms a request, {_CONCURRENCY} at once, {name}"
        figures.append(Figure.median(work, cloud.disks, "s", samples, target))
    cloud.delay(0)
    return figures


def measure_under_polls(cloud: Cloud, directory: Path, sampling: Sampling) -> list[Figure]:
    """Scrape during polls in which every page has changed, then measure the peak of memory."""
    samples: list[float] = []
    with Exporter(cloud, directory, **_both(f"{_interval(cloud.disks)}s")) as exporter, _changing(cloud):
        exporter.await_ready()
        exporter.await_requests(cloud, cloud.pages)
        with _connected(exporter) as connection:
            end = time.monotonic() + sampling.busy_seconds
            while time.monotonic() < end or not samples or cloud.requests() < 2 * cloud.pages:
                if _is_busy(exporter):
                    samples.append(connection.scrape())
                    time.sleep(_PAUSE_SECONDS)
        memory = exporter.memory_bytes("VmHWM") / _MB
    disks = cloud.disks
    cloud.delay(0)
    return [
        Figure(
            "scrape while a poll is running, 99th percentile",
            disks,
            "s",
            percentile(samples),
            tuple(samples),
            TARGETS["busy"].get(disks),
        ),
        Figure(
            "resident memory, the most under such polls", disks, "MB", memory, (memory,), TARGETS["memory"].get(disks)
        ),
    ]


def _interval(disks: int) -> int:
    """Return the shortest interval, in seconds, in which a poll surely ends."""
    return min(_LONGEST_INTERVAL_SECONDS, max(1, disks // _DISKS_A_SECOND))


def _both(interval: str) -> dict[str, str]:
    return {"interval": interval, "backups_interval": interval}


def _is_busy(exporter: Exporter) -> bool:
    """Return whether the exporter is busy; nothing else scrapes it, so it is polling."""
    before = exporter.cpu_seconds()
    time.sleep(_LOOK_SECONDS)
    return exporter.cpu_seconds() - before > _LOOK_SECONDS * _BUSY_SHARE


@contextmanager
def _changing(cloud: Cloud) -> Iterator[None]:
    """Change all pages each time after all have been read."""
    stop = threading.Event()

    def change() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            cloud.change_all(turn)
            read = cloud.requests()
            while not stop.wait(0.1) and cloud.requests() < read + cloud.pages:
                pass

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def _connected(exporter: Exporter) -> Iterator[Connection]:
    connection = Connection(exporter.port)
    try:
        yield connection
    finally:
        connection.close()


def _await_next_second() -> None:
    time.sleep(1.01 - time.time() % 1)
