"""The course of a soak: cloud, exporter, weather and scrapes; and the verdict at its end."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import requests

from gigas_exporter.simulator import SimulatedCloud
from soak.chaos import Target, Weather
from soak.sampler import History, Sample, Trend, difference, sample
from support.in_process_exporter import Scrape
from support.programs import Exporter, exporter
from support.simulator import SimulatorServer

__all__ = ["main"]

_MEGABYTE: Final = 2**20
# What survives a burst of a million values keeps about ten of Python's arenas, of a megabyte each, from being freed.
_ALLOWED_GROWTH: Final = {"resident_bytes": 12 * _MEGABYTE, "threads": 4.0, "descriptors": 6.0}
_SCRAPE_SECONDS: Final = 0.5
_SCRAPERS: Final = 2
_AGREEMENT_SECONDS: Final = 15.0
_LEAVING_SECONDS: Final = 5.0
_SPEED: Final = 60.0
_FLAGS: Final = (
    "--poll.interval=1s",
    "--poll.backups-interval=2s",
    "--api.timeout=2s",
    "--api.max-requests-per-second=0",
    "--api.page-size=10",
    "--web.enable-lifecycle",
)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@dataclass
class Findings:
    """What was seen; safe to add to from several threads.

    Attributes:
        agreements: How often the whole page was equal to the truth.
        problems: What must not be.
    """

    scrapes: int = 0
    agreements: int = 0
    slowest_seconds: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a soak and return 0 when nothing was wrong."""
    parser = argparse.ArgumentParser(prog="soak", description="Run the exporter under random faults.")
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--disks", type=int, default=120)
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = int(time.time()) % 100_000
    _say(f"soak of {options.seconds:g} s with {options.disks} disks, --seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="gigas-soak-") as directory:
        findings = _soak(Path(directory), options)
    return _judge(findings)


def _soak(directory: Path, options: argparse.Namespace) -> Findings:
    findings = Findings()
    world = SimulatedCloud(seed=options.seed, disks=options.disks, accounts=3, speed=_SPEED)
    with SimulatorServer(world) as cloud:
        key_files = _write_config(directory, cloud)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GIGAS_")}
        flags = (f"--config.file={directory}/config.yml", *_FLAGS)
        with exporter(directory, clean, *flags) as served:
            _live_through(served, cloud, key_files, options, findings)
            began = time.monotonic()
            status = served.process.end(signal.SIGTERM, 3 * _LEAVING_SECONDS)
            took = time.monotonic() - began
            if status != 0 or took > _LEAVING_SECONDS:
                findings.problems.append(f"it left with status {status} after {took:.1f} s")
        said = served.process.stderr
        findings.problems += [
            f"a secret was logged: {each[:4]}..." for each in (*world.secrets, "rotated-key") if each in said
        ]
        findings.problems += [
            f"{word} in the log" for word in ("Traceback", "unexpected", "went wrong") if word in said
        ]
        _say(f"log lines          {said.count(chr(10))}")
    return findings


def _write_config(directory: Path, cloud: SimulatorServer) -> dict[str, Path]:
    """Write a configuration: the first account by login, the others by API keys in files, which are returned."""
    world = cloud.world
    first, *others = world.account_ids
    user = world.credentials(first)
    (directory / "password").write_text(user.password, encoding="utf-8")
    key_files = {account_id: directory / f"key-{account_id}" for account_id in others}
    for account_id, file in key_files.items():
        file.write_text(world.credentials(account_id).api_key, encoding="utf-8")
    accounts: list[dict[str, str]] = [{"id": first, "login": user.login, "password_file": str(directory / "password")}]
    accounts += [{"id": account_id, "api_key_file": str(file)} for account_id, file in key_files.items()]
    config = {"api": {"url": cloud.url}, "accounts": accounts}
    (directory / "config.yml").write_text(json.dumps(config), encoding="utf-8")
    return key_files


def _live_through(
    served: Exporter,
    cloud: SimulatorServer,
    key_files: dict[str, Path],
    options: argparse.Namespace,
    findings: Findings,
) -> None:
    over = threading.Event()
    target = Target(cloud, served.process.popen.send_signal, served.address, key_files)
    weather = Weather(target, over, options.seed)
    history = History(cloud.world)
    history.note()  # before anything happens to it
    threads = [threading.Thread(target=weather.run, name="weather")]
    threads += [
        threading.Thread(target=_scrape, args=(served, number, over, findings), name=f"scraper {number}")
        for number in range(_SCRAPERS)
    ]
    with ExitStack() as stack:
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        stack.callback(over.set)
        _witness(served, history, weather, options.seconds, findings)
    _say(f"faults             {weather.struck}")


def _witness(served: Exporter, history: History, weather: Weather, seconds: float, findings: Findings) -> None:
    end = time.monotonic() + seconds
    is_agreed = True
    while (now := time.monotonic()) < end and served.process.popen.poll() is None:
        history.note()
        findings.samples.append(sample(served.process.popen.pid))
        scrape = _parsed(served)
        history.note()  # a disk may have come between the first look and the scrape
        findings.problems += history.faults_of(scrape)[:3]
        if not weather.calm.is_set():
            is_agreed = False
        elif not is_agreed:
            is_agreed = _agrees(served, history.world, findings, min(end, now + _AGREEMENT_SECONDS))
        time.sleep(max(0.0, now + 1.0 - time.monotonic()))


def _agrees(served: Exporter, world: SimulatedCloud, findings: Findings, until: float) -> bool:
    """Wait until the page is the truth, which moves on meanwhile; that it never is in all the time is a problem."""
    differs: str | None = "never asked"
    while time.monotonic() < until:
        if (differs := difference(world, _parsed(served))) is None:
            findings.agreements += 1
            return True
        time.sleep(0.2)
    if time.monotonic() - until < _AGREEMENT_SECONDS and differs is not None:
        findings.problems.append(f"after {_AGREEMENT_SECONDS:g} calm seconds: {differs}")
    return True


def _parsed(served: Exporter) -> Scrape:
    return Scrape(served.get("/metrics").content.decode("utf-8"))


def _scrape(served: Exporter, number: int, over: threading.Event, findings: Findings) -> None:
    """Scrape as Prometheus does, and look at the other pages now and then."""
    accept = ("text/plain", "application/openmetrics-text; version=1.0.0")[number % 2]
    paths = ("/metrics", "/metrics", "/", "/metrics", "/-/healthy", "/metrics", "/?q=%3Cscript%3E")
    turn = 0
    with requests.Session() as session:
        while not over.wait(_SCRAPE_SECONDS):
            turn += 1
            path = paths[turn % len(paths)]
            began = time.monotonic()
            try:
                answer = session.get(served.url + path, headers={"Accept": accept}, timeout=10)
            except requests.RequestException as error:
                findings.problems.append(f"{path}: {type(error).__name__}")
                continue
            findings.slowest_seconds = max(findings.slowest_seconds, time.monotonic() - began)
            findings.scrapes += 1
            if answer.status_code != 200:
                findings.problems.append(f"{path}: {answer.status_code}")


def _judge(findings: Findings) -> int:
    samples = findings.samples
    took = samples[-1].at - samples[0].at
    _say(f"scrapes            {findings.scrapes}, the slowest {findings.slowest_seconds * 1000:.0f} ms")
    _say(f"page equals truth  {findings.agreements} times")
    _say(f"processor          {(samples[-1].cpu_seconds - samples[0].cpu_seconds) / took:.1%}")
    for name, allowed in _ALLOWED_GROWTH.items():
        trend = Trend.of(samples, lambda each, name=name: getattr(each, name))  # type: ignore[misc]
        unit, suffix = (_MEGABYTE, " MB") if name == "resident_bytes" else (1, "")
        _say(
            f"{name:18} {trend.last / unit:.1f}{suffix}, {trend.slope / unit:+.1f}{suffix} an hour,"
            f" {trend.growth / unit:+.1f}{suffix} from the second quarter to the last"
        )
        if trend.growth > allowed:
            findings.problems.append(f"{name} grew by {trend.growth / unit:.1f}{suffix}")
    if not findings.agreements:
        findings.problems.append("the page never equalled the truth")
    for problem in dict.fromkeys(findings.problems):
        _say(f"PROBLEM ({findings.problems.count(problem)} times): {problem}")
    _say("soak failed" if findings.problems else "soak passed")
    return 1 if findings.problems else 0
