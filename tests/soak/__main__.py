"""``make soak``: the exporter under random faults for a while; prints figures, and exits with 1 when something grew.

Storms and calms come in turn. In a storm the cloud has faults and changes, configurations are reloaded, keys rotated,
and clients say half of something. The exporter must go on answering, lose no disk and invent none; in a calm its page
must equal the cloud's own truth.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gigas_exporter.model import Disk
from gigas_exporter.simulator import SimulatedCloud
from support import usage
from support.in_process_exporter import Scrape
from support.programs import Exporter, exporter
from support.simulator import SimulatorServer

_STORM_SECONDS: Final = 20.0
_CALM_SECONDS: Final = 20.0
_AGREEMENT_SECONDS: Final = 15.0
_LEAVING_SECONDS: Final = 5.0
_SETTLED_SECONDS: Final = 90.0
_MAXIMUM_HELD: Final = 40
# What survives a burst of a million values keeps about ten of Python's arenas, of a megabyte each, from being freed.
_ALLOWED_GROWTH: Final = {"resident MB": 12.0, "threads": 4.0, "descriptors": 6.0}
_FLAGS: Final = (
    *("--poll.interval=1s", "--poll.backups-interval=2s", "--api.timeout=2s", "--api.max-requests-per-second=0"),
    *("--api.page-size=10", "--web.enable-lifecycle"),
)
_MOVING: Final = "moving_items"
_FAULTS: Final[tuple[tuple[str, Mapping[str, Any]], ...]] = (
    *(("status", {"status": status}) for status in (400, 401, 403, 404, 429, 500, 502, 503)),
    ("status", {"status": 429, "retry_after": "1"}),
    ("status", {"status": 503, "retry_after": "7200"}),
    ("status", {"status": 500, "probability": 0.3}),
    ("latency", {"seconds": 0.5}),
    ("latency", {"seconds": 5.0}),
    ("close", {"probability": 0.5}),
    ("wrong_types", {"field": "disk_size"}),
    ("nulls", {"field": "mount_point"}),
    ("value", {"field": "mount_point", "value": 'a "b"\\c\n{d}'}),
    ("lying_total", {"size": 3}),
    ("endless_pages", {"value": "fresh"}),
    *((kind, {}) for kind in ("hang", "reset", "redirect", "drip_headers", "drip_body", "truncated")),
    *((kind, {}) for kind in ("truncated_unframed", "html", "empty", "truncated_json", "not_an_array")),
    *((kind, {}) for kind in ("deep_nesting", "gzip_bomb", "huge_body", "long_number", "invalid_utf8")),
    *((kind, {}) for kind in ("lone_surrogate", "long_text", "nan", "infinity", "duplicate_ids", "ignored_limit")),
    *((kind, {}) for kind in ("lowered_limit", "no_headers", "lying_total", _MOVING, "expired_token")),
)
_OPERATIONS: Final = ("list_disks", "list_backups", "list_virtual_machines", "list_disk_backups", "create_token", "*")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _usage(pid: int) -> dict[str, float]:
    """Return what a process uses now."""
    return {
        "at": time.monotonic(),
        "resident MB": usage.resident_megabytes(pid),
        "threads": float(usage.threads(pid)),
        "descriptors": float(usage.descriptors(pid)),
        "processor": usage.processor_seconds(pid),
    }


def _usable_dates(world: SimulatedCloud, account_id: str, disk: Disk) -> list[float]:
    backups = world.backups(account_id, disk.id)
    return [
        each.date_created or 0.0 for each in backups if each.status not in {"failed", "error", "pending", "running"}
    ]


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


def _difference(world: SimulatedCloud, scrape: Scrape) -> str | None:
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


class _Soak:
    """A cloud, the exporter that watches it, and what was seen of it.

    Attributes:
        over: Set when the time is up.
        calm: Set while nothing is wrong.
        problems: What must not be.
    """

    def __init__(self, cloud: SimulatorServer, directory: Path, seed: int) -> None:
        self._cloud, self._world = cloud, cloud.world
        self._chance = random.Random(seed)
        self._key_files = self._write_config(directory)
        self._held: list[socket.socket] = []
        self._rotated = self._struck = self._scrapes = self._agreements = 0
        self._slowest = 0.0
        self._samples: list[dict[str, float]] = []
        self._since: dict[str, float] = {}
        self._ever: set[str] = set()
        self.over, self.calm = threading.Event(), threading.Event()
        self.problems: list[str] = []

    def _write_config(self, directory: Path) -> dict[str, Path]:
        """Let the first account log in, and the others have API keys in files, which are returned."""
        first, *others = self._world.account_ids
        user = self._world.credentials(first)
        (directory / "password").write_text(user.password, encoding="utf-8")
        accounts = [{"id": first, "login": user.login, "password_file": str(directory / "password")}]
        key_files = {account_id: directory / f"key-{account_id}" for account_id in others}
        for account_id, file in key_files.items():
            file.write_text(self._world.credentials(account_id).api_key, encoding="utf-8")
            accounts.append({"id": account_id, "api_key_file": str(file)})
        config = {"api": {"url": self._cloud.url}, "accounts": accounts}
        (directory / "config.yml").write_text(json.dumps(config), encoding="utf-8")
        return key_files

    def run(self, served: Exporter, seconds: float) -> None:
        """Let it storm, scrape and look until the time is up."""
        self._note()  # before anything happens to it
        threads = [threading.Thread(target=self._storms, args=(served,))]
        accepted = ("text/plain", "application/openmetrics-text; version=1.0.0")
        threads += [threading.Thread(target=self._scrape, args=(served, accept)) for accept in accepted]
        for thread in threads:
            thread.start()
        try:
            self._witness(served, seconds)
        finally:
            self.over.set()
            for thread in threads:
                thread.join()

    def _storms(self, served: Exporter) -> None:
        while not self.over.is_set():
            left = _STORM_SECONDS
            while left > 0 and not self.over.is_set():
                happenings = [*[self._strike] * 6, self._cloud.faults.clear, *[self._change] * 2, self._rotate]
                happenings += [lambda: served.process.popen.send_signal(signal.SIGHUP), lambda: self._hold(served)]
                for happens in self._chance.sample(happenings, k=2):
                    with contextlib.suppress(KeyError):  # the disk went by itself a moment ago
                        happens()
                pause = self._chance.uniform(0.3, 3.0)
                self.over.wait(pause)
                left -= pause
            self._cloud.faults.clear()
            while self._held:
                self._held.pop().close()
            self.calm.set()
            self.over.wait(_CALM_SECONDS)
            self.calm.clear()

    def _strike(self) -> None:
        kind, parameters = self._chance.choice(_FAULTS)
        account = self._chance.choice([None, *self._world.account_ids])
        count = self._chance.choice([None, 1, 3])
        faults = self._cloud.faults
        # A list that moves while no total or a wrong one is sent cannot be told from one that is whole.
        if kind == _MOVING or any(each["kind"] == _MOVING for each in faults.listing()):
            faults.clear()
        faults.add(kind, self._chance.choice(_OPERATIONS), account=account, count=count, **parameters)
        self._struck += 1

    def _change(self) -> None:
        world = self._world
        account_id = self._chance.choice(world.account_ids)
        disk = self._chance.choice(world.disks(account_id)).id
        changes: list[Callable[[], object]] = [
            lambda: world.add_disk(account_id),
            lambda: world.delete_disk(disk),
            lambda: world.change_disk(disk, error=self._chance.random() < 0.5),
            lambda: world.make_backup(disk),
            lambda: world.remove_backups(disk),
            world.revoke_tokens,
        ]
        self._chance.choice(changes)()

    def _rotate(self) -> None:
        account_id, file = self._chance.choice(list(self._key_files.items()))
        self._rotated += 1
        key = f"rotated-key-{account_id}-{self._rotated}"
        self._world.credentials(account_id).api_key = key
        file.write_text(key, encoding="utf-8")

    def _hold(self, served: Exporter) -> None:
        """Be a client that says half of something, or asks and does not read."""
        for beginning in (b"GET /metrics HT", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"):
            with contextlib.suppress(OSError):
                self._held.append(served.send(beginning))
        while len(self._held) > _MAXIMUM_HELD:
            self._held.pop(0).close()

    def _scrape(self, served: Exporter, accept: str) -> None:
        """Scrape as Prometheus does, and look at the other pages now and then."""
        paths = ("/metrics", "/metrics", "/", "/metrics", "/-/healthy", "/metrics", "/?q=%3Cscript%3E")
        with requests.Session() as session:
            while not self.over.wait(0.5):
                path = paths[self._scrapes % len(paths)]
                began = time.monotonic()
                try:
                    answer = session.get(served.url + path, headers={"Accept": accept}, timeout=10)
                except requests.RequestException as error:
                    self.problems.append(f"{path}: {type(error).__name__}")
                    continue
                self._slowest = max(self._slowest, time.monotonic() - began)
                self._scrapes += 1
                if answer.status_code != 200:
                    self.problems.append(f"{path}: {answer.status_code}")

    def _note(self) -> None:
        """Note which disks the cloud has, and since when without a break."""
        now = time.monotonic()
        present = {disk.id for account_id in self._world.account_ids for disk in self._world.disks(account_id)}
        self._since = {disk_id: self._since.get(disk_id, now) for disk_id in present}
        self._ever |= present

    def _witness(self, served: Exporter, seconds: float) -> None:
        end = time.monotonic() + seconds
        is_agreed = True
        while (now := time.monotonic()) < end and served.process.popen.poll() is None:
            self._note()
            self._samples.append(_usage(served.process.popen.pid))
            shown = {dict(labels)["disk_id"] for labels in _parsed(served).of("gigas_disk_info")}
            self._note()  # a disk may have come between the first look and the scrape
            settled = {each for each, since in self._since.items() if time.monotonic() - since > _SETTLED_SECONDS}
            self.problems += [f"disk {each} was lost" for each in settled - shown][:3]
            self.problems += [f"disk {each} was invented" for each in shown - self._ever][:3]
            if not self.calm.is_set():
                is_agreed = False
            elif not is_agreed:
                is_agreed = True
                self._agree(served, min(end, now + _AGREEMENT_SECONDS))
            time.sleep(max(0.0, now + 1.0 - time.monotonic()))

    def _agree(self, served: Exporter, until: float) -> None:
        """Wait until the page is the truth, which moves on meanwhile; that it never is in all the time is a problem."""
        differs: str | None = "never asked"
        while time.monotonic() < until:
            if (differs := _difference(self._world, _parsed(served))) is None:
                self._agreements += 1
                return
            time.sleep(0.2)
        if not self.over.is_set():
            self.problems.append(f"after {_AGREEMENT_SECONDS:g} calm seconds: {differs}")

    def judge(self) -> int:
        """Print what was seen; return 0 when nothing was wrong."""
        samples = self._samples
        took = samples[-1]["at"] - samples[0]["at"]
        _say(f"faults             {self._struck}")
        _say(f"scrapes            {self._scrapes}, the slowest {self._slowest * 1000:.0f} ms")
        _say(f"page equals truth  {self._agreements} times")
        _say(f"processor          {(samples[-1]['processor'] - samples[0]['processor']) / took:.1%}")
        quarter = len(samples) // 4  # in the first it may still find its level
        for name, allowed in _ALLOWED_GROWTH.items():
            line = statistics.linear_regression(*([each[key] for each in samples[quarter:]] for key in ("at", name)))
            # From the second quarter's lower half to the last one's: peaks are the faults', what stays is ours.
            second, last = (
                statistics.quantiles([each[name] for each in part], n=4)[0]
                for part in (samples[quarter : 2 * quarter], samples[-quarter:])
            )
            growth = f"{line.slope * 3600:+.1f} an hour, {last - second:+.1f} from the second quarter to the last"
            _say(f"{name:18} {samples[-1][name]:.1f}, {growth}")
            if last - second > allowed:
                self.problems.append(f"{name} grew by {last - second:.1f}")
        if not self._agreements:
            self.problems.append("the page never equalled the truth")
        for problem in dict.fromkeys(self.problems):
            _say(f"PROBLEM ({self.problems.count(problem)} times): {problem}")
        _say("soak failed" if self.problems else "soak passed")
        return 1 if self.problems else 0


def _parsed(served: Exporter) -> Scrape:
    return Scrape(served.get("/metrics").content.decode("utf-8"))


def main() -> int:
    """Run a soak and return 0 when nothing was wrong."""
    parser = argparse.ArgumentParser(prog="soak", description="Run the exporter under random faults.")
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--disks", type=int, default=120)
    options = parser.parse_args()
    _say(f"soak of {options.seconds:g} s with {options.disks} disks, --seed {options.seed}")
    world = SimulatedCloud(seed=options.seed, disks=options.disks, accounts=3, speed=60.0)
    with tempfile.TemporaryDirectory(prefix="gigas-soak-") as name, SimulatorServer(world) as cloud:
        directory = Path(name)
        soak = _Soak(cloud, directory, options.seed)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GIGAS_")}
        with exporter(directory, clean, f"--config.file={directory}/config.yml", *_FLAGS) as served:
            soak.run(served, options.seconds)
            began = time.monotonic()
            status = served.process.end(signal.SIGTERM, 3 * _LEAVING_SECONDS)
            took = time.monotonic() - began
        said = served.process.stderr
    if status != 0 or took > _LEAVING_SECONDS:
        soak.problems.append(f"it left with status {status} after {took:.1f} s")
    soak.problems += [f"a secret was logged: {each[:4]}..." for each in (*world.secrets, "rotated-key") if each in said]
    soak.problems += [f"{word} in the log" for word in ("Traceback", "unexpected", "went wrong") if word in said]
    _say(f"log lines          {said.count(chr(10))}")
    return soak.judge()


if __name__ == "__main__":
    sys.exit(main())
