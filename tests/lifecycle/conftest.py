"""Exporters as processes of their own, with what starts, stops and disturbs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gigas_exporter.simulator import SimulatedCloud
from support.metrics_text import metric
from support.programs import Exporter, await_true, run_program
from support.simulator import SimulatorServer

QUICK = ("--poll.interval=1s", "--poll.backups-interval=1s", "--api.max-requests-per-second=0")


def seen(served: Exporter, name: str, **labels: str) -> float | None:
    """Return the value of a metric now."""
    return metric(served.get("/metrics").text, name, **labels)


def await_polls(served: Exporter, account: str, count: int = 2) -> None:
    """Wait until so many more polls of an account's disks have ended."""

    def polls() -> float:
        return seen(served, "gigas_exporter_polls_total", account_id=account, resource="disks") or 0

    before = polls()
    await_true(lambda: polls() >= before + count, what=f"{count} polls")


@pytest.fixture
def cloud() -> Iterator[SimulatorServer]:
    """A simulated cloud of two accounts with 24 disks that stands still but for what tests do."""
    with SimulatorServer(SimulatedCloud(seed=3, disks=24, accounts=2, eventful=False)) as server:
        yield server


@pytest.fixture
def clean() -> dict[str, str]:
    """The environment without anything of the exporter's."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("GIGAS_", "NOTIFY_", "WATCHDOG"))}


class ConfigFile:
    """A configuration file that tests write anew."""

    def __init__(self, path: Path, cloud: SimulatorServer) -> None:
        self.path = path
        self._cloud = cloud
        self.flag = f"--config.file={path}"

    def account(self, account_id: str) -> dict[str, Any]:
        """Return an account with its API key in a file; one that the cloud does not know has the first one's."""
        world = self._cloud.world
        user = world.credentials(account_id if account_id in world.account_ids else world.account_ids[0])
        file = self.path.with_name(f"key-{account_id}")
        file.write_text(user.api_key + "\n", encoding="utf-8")
        return {"id": account_id, "api_key_file": str(file)}

    def write(self, *account_ids: str, **more: Any) -> None:
        """Write a good file that names these accounts."""
        accounts = [self.account(account_id) for account_id in account_ids]
        content = {"api": {"url": self._cloud.url}, "accounts": accounts, **more}
        self.path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def config(tmp_path: Path, cloud: SimulatorServer) -> ConfigFile:
    """A configuration file of the first account."""
    file = ConfigFile(tmp_path / "config.yml", cloud)
    file.write("4242")
    return file


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path, clean: dict[str, str]) -> Run:
    """Run a command to its end."""

    def run_to_end(
        *arguments: str, environ: Mapping[str, str] | None = None, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-m", "gigas_exporter", *arguments)
        return run_program(*command, env=clean if environ is None else environ, cwd=tmp_path, check=False, **more)

    return run_to_end
