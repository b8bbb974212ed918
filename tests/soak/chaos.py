"""What happens to the exporter and its cloud in a soak: faults, changes, reloads, rotated secrets, rude clients.

It knows levers only; whether the exporter bears it well is for the witness to say.
"""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support.simulator import SimulatorServer

__all__ = ["Target", "Weather"]

_STORM_SECONDS: Final = 20.0
_CALM_SECONDS: Final = 20.0
_MAXIMUM_HELD: Final = 40
_MOVING: Final = "moving_items"

_FAULTS: Final[tuple[tuple[str, Mapping[str, Any]], ...]] = (
    *(("status", {"status": status}) for status in (400, 401, 403, 404, 429, 500, 502, 503)),
    ("status", {"status": 429, "retry_after": "1"}),
    ("status", {"status": 503, "retry_after": "7200"}),
    ("status", {"status": 500, "probability": 0.3}),
    ("latency", {"seconds": 0.5}),
    ("latency", {"seconds": 5.0}),
    ("hang", {}),
    ("reset", {}),
    ("close", {"probability": 0.5}),
    ("redirect", {}),
    ("drip_headers", {}),
    ("drip_body", {}),
    ("truncated", {}),
    ("truncated_unframed", {}),
    ("html", {}),
    ("empty", {}),
    ("truncated_json", {}),
    ("not_an_array", {}),
    ("deep_nesting", {}),
    ("gzip_bomb", {}),
    ("huge_body", {}),
    ("long_number", {}),
    ("invalid_utf8", {}),
    ("lone_surrogate", {}),
    ("long_text", {}),
    ("nan", {}),
    ("infinity", {}),
    ("wrong_types", {"field": "disk_size"}),
    ("nulls", {"field": "mount_point"}),
    ("value", {"field": "mount_point", "value": 'a "b"\\c\n{d}'}),
    ("duplicate_ids", {}),
    ("ignored_limit", {}),
    ("lowered_limit", {}),
    ("no_headers", {}),
    ("lying_total", {"size": 3}),
    ("lying_total", {}),
    (_MOVING, {}),
    ("endless_pages", {"value": "fresh"}),
    ("expired_token", {}),
)
_OPERATIONS: Final = ("list_disks", "list_backups", "list_virtual_machines", "list_disk_backups", "create_token", "*")


@dataclass(frozen=True, slots=True)
class Target:
    """What the weather strikes.

    Attributes:
        signal: Sends one to the exporter.
        address: Where the exporter is served.
        key_files: By account id, the file that its API key is in.
    """

    cloud: SimulatorServer
    signal: Callable[[signal.Signals], None]
    address: tuple[str, int]
    key_files: Mapping[str, Path]


class Weather:
    """Storms and calms in turn; :meth:`run` returns when ``over`` is set.

    Attributes:
        calm: Set while nothing is wrong.
        struck: How many faults there were.
    """

    def __init__(self, target: Target, over: threading.Event, seed: int) -> None:
        self._target = target
        self._over = over
        self._chance = random.Random(seed)
        self._held: list[socket.socket] = []
        self._keys = 0
        self.calm = threading.Event()
        self.struck = 0

    def run(self) -> None:
        """Let it storm and be calm until the end."""
        try:
            while not self._over.is_set():
                self._storm()
                self._target.cloud.faults.clear()
                self._release()
                self.calm.set()
                self._over.wait(_CALM_SECONDS)
                self.calm.clear()
        finally:
            self._target.cloud.faults.clear()
            self._release()

    def _storm(self) -> None:
        left = _STORM_SECONDS
        while left > 0 and not self._over.is_set():
            for happens in self._chance.sample(self._happenings(), k=2):
                with contextlib.suppress(KeyError):  # the disk went by itself a moment ago
                    happens()
            pause = self._chance.uniform(0.3, 3.0)
            self._over.wait(pause)
            left -= pause

    def _happenings(self) -> list[Callable[[], None]]:
        return [*[self._strike] * 6, self._clear, self._change, self._change, self._reload, self._rotate, self._hold]

    def _strike(self) -> None:
        kind, parameters = self._chance.choice(_FAULTS)
        account = self._chance.choice([None, *self._target.cloud.world.account_ids])
        count = self._chance.choice([None, 1, 3])
        faults = self._target.cloud.faults
        # A list that moves while no total or a wrong one is sent cannot be told from one that is whole.
        if kind == _MOVING or any(each["kind"] == _MOVING for each in faults.listing()):
            faults.clear()
        faults.add(kind, self._chance.choice(_OPERATIONS), account=account, count=count, **parameters)
        self.struck += 1

    def _clear(self) -> None:
        self._target.cloud.faults.clear()

    def _change(self) -> None:
        world = self._target.cloud.world
        account_id = self._chance.choice(world.account_ids)
        disk = self._chance.choice(world.disks(account_id)).id
        change: Callable[[], object] = self._chance.choice(
            [
                lambda: world.add_disk(account_id),
                lambda: world.delete_disk(disk),
                lambda: world.change_disk(disk, error=self._chance.random() < 0.5),
                lambda: world.make_backup(disk),
                lambda: world.remove_backups(disk),
                world.revoke_tokens,
            ]
        )
        change()

    def _reload(self) -> None:
        self._target.signal(signal.SIGHUP)

    def _rotate(self) -> None:
        account_id, file = self._chance.choice(list(self._target.key_files.items()))
        self._keys += 1
        key = f"rotated-key-{account_id}-{self._keys}"
        self._target.cloud.world.credentials(account_id).api_key = key
        file.write_text(key, encoding="utf-8")

    def _hold(self) -> None:
        """Be a client that says half of something, or asks and does not read."""
        for beginning in (b"GET /metrics HT", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"):
            with contextlib.suppress(OSError):
                held = socket.create_connection(self._target.address, timeout=2)
                held.sendall(beginning)
                self._held.append(held)
        while len(self._held) > _MAXIMUM_HELD:
            self._held.pop(0).close()

    def _release(self) -> None:
        for held in self._held:
            held.close()
        self._held.clear()
