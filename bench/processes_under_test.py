"""The measured exporter and the simulated API that it polls, as separate processes."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import Self

from http_client import Connection, ask_json, free_port, status_of
from processes import Program, await_true

__all__ = ["ACCOUNT", "KEY", "Cloud", "Exporter"]

ACCOUNT = "4242"
BACKUPS_KEPT = 4
"""Swap and new disks have fewer or none, so the average is slightly above three backups per disk."""

PAGE_SIZE = 200
RESOURCES = ("disks", "backups", "virtual_machines")
"""The resources of a poll cycle; each is read by its ``list_`` operation."""
KEY = f"demo-api-key-{ACCOUNT}"


class Cloud(Program):
    """``gigas-exporter simulate`` with one account.

    Attributes:
        counts: The number of items by list: disks, backups, virtual_machines.
    """

    def __init__(self, disks: int, directory: Path) -> None:
        port = free_port()
        command = (
            *(sys.executable, "-m", "gigas_exporter", "simulate", "--accounts=1", f"--listen=127.0.0.1:{port}"),
            *(f"--disks={disks}", f"--retention={BACKUPS_KEPT}"),
        )
        super().__init__(command, directory / "simulate.log")
        self.url = f"http://127.0.0.1:{port}"
        self.disks = disks

    def __enter__(self) -> Self:
        await_true(lambda: status_of(f"{self.url}/_sim/requests") != 0, self)
        self.counts = {name: self._count(name) for name in ("disks", "backups", "virtual_machines")}
        return self

    def _count(self, name: str) -> int:
        url = f"{self.url}/account/{ACCOUNT}/{name}?limit=1"
        return int(ask_json("GET", url, headers={"Authorization": f"Bearer {KEY}"})[1]["X-Total"])

    def delay(self, seconds: float) -> None:
        """Delay each response, 0 for no delay; all other faults are removed."""
        ask_json("DELETE", f"{self.url}/_sim/faults")
        if seconds:
            ask_json("POST", f"{self.url}/_sim/faults", {"kind": "latency", "seconds": seconds})

    def change_all(self, turn: int) -> None:
        """Change the sizes of all disks and backups, so that every page changes."""
        ask_json("DELETE", f"{self.url}/_sim/faults")
        for operation, field in (("list_disks", "disk_size"), ("list_backups", "backup_size")):
            fault = {"kind": "value", "operation": operation, "field": field, "value": 1000 + turn}
            ask_json("POST", f"{self.url}/_sim/faults", fault)

    @property
    def pages(self) -> int:
        """The number of pages of all lists."""
        return sum(-(-count // PAGE_SIZE) for count in self.counts.values())

    def requests(self) -> int:
        """Return the number of requests since the last reset."""
        return int(ask_json("GET", f"{self.url}/_sim/requests")[0]["total"])

    def reset_requests(self) -> None:
        """Reset the number of requests."""
        ask_json("DELETE", f"{self.url}/_sim/requests")


class Exporter(Program):
    """``gigas-exporter serve`` for the account of a cloud, without a rate limit."""

    def __init__(
        self,
        cloud: Cloud,
        directory: Path,
        *flags: str,
        interval: str = "1h",
        backups_interval: str = "1h",
        source: str = "account",
    ) -> None:
        cloud.reset_requests()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = (
            *(sys.executable, "-m", "gigas_exporter", "serve", f"--web.listen-address=127.0.0.1:{self.port}"),
            *(f"--poll.interval={interval}", f"--poll.backups-interval={backups_interval}"),
            *("--api.max-requests-per-second=0", f"--backups.source={source}", *flags),
        )
        environ = {name: value for name, value in os.environ.items() if not name.startswith("GIGAS_")}
        environ |= {"GIGAS_API_URL": cloud.url, "GIGAS_ACCOUNT_ID": ACCOUNT, "GIGAS_API_KEY": KEY}
        super().__init__(command, directory / "serve.log", environ)

    def await_serving(self) -> None:
        """Wait until it responds."""
        await_true(lambda: status_of(f"{self.url}/-/healthy") != 0, self)

    def await_ready(self) -> float:
        """Wait until it is ready; return the seconds since its start."""
        await_true(lambda: status_of(f"{self.url}/-/ready") == 200, self)  # noqa: PLR2004  # the HTTP status
        return time.perf_counter() - self.started_at

    def await_polled(self, cloud: Cloud, requests: int | None = None) -> float:
        """Wait until each resource was polled, with at least ``requests`` requests; return the processor time used.

        The exporter is not scraped before, because that would take processor time, too.
        """
        self.await_requests(cloud, cloud.pages if requests is None else requests)
        while True:
            self.await_idle()
            used = self.cpu_seconds()
            ended, failed = self.polls()
            if failed:
                raise RuntimeError("a poll failed: is the machine too busy to measure?")
            if ended >= len(RESOURCES):
                return used

    def requests_a_cycle(self, cloud: Cloud) -> float:
        """Wait for its next cycle, and return the number of requests."""
        begun, asked = self._cycles(), cloud.requests()
        while True:
            self.await_requests(cloud, asked + cloud.pages)
            self.await_idle()
            ended = self._cycles()
            if all(ended[name][0] > begun[name][0] for name in RESOURCES):
                return sum((ended[name][1] - begun[name][1]) / (ended[name][0] - begun[name][0]) for name in RESOURCES)

    def _cycles(self) -> dict[str, tuple[float, float]]:
        """Return the numbers of polls and of requests, by resource."""
        page = self.page()
        return {
            name: (
                sum(_values(page, "gigas_exporter_polls_total", f'resource="{name}"')),
                sum(_values(page, "gigas_exporter_api_requests_total", f'operation="list_{name}"')),
            )
            for name in RESOURCES
        }

    def await_requests(self, cloud: Cloud, count: int) -> None:
        """Wait until it has sent ``count`` requests."""
        await_true(lambda: cloud.requests() >= count, self)

    def page(self) -> str:
        """Return the exposition."""
        connection = Connection(self.port)
        try:
            return connection.get("/metrics", keep=True)[1].decode()
        finally:
            connection.close()

    def poll_seconds(self) -> float:
        """Return the duration of the longest of the last polls, which run at the same time."""
        return max(_values(self.page(), "gigas_exporter_poll_duration_seconds"))

    def polls(self) -> tuple[int, int]:
        """Return how many polls ended, and how many of them failed."""
        page = self.page()
        ended = _values(page, "gigas_exporter_polls_total")
        return int(sum(ended)), int(sum(_values(page, "gigas_exporter_poll_failures_total")))


def _values(page: str, name: str, label: str = "") -> list[float]:
    return [float(value) for value in re.findall(rf"^{name}\{{.*{label}.*\}} (\S+)$", page, re.MULTILINE)]
