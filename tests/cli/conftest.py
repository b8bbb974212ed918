"""The command line against a simulated cloud, in this process, as a user's shell would start it."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from gigas_exporter.cli.main import main
from gigas_exporter.simulator import SimulatedCloud
from support.simulator import SimulatorServer

ACCOUNT = "4242"
HOSTILE_TEXT = "\x1b[31m\x1b]0;owned\x07\x9b1m\u202e\r\nfake | `x`"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did: exit status, and what it wrote."""

    status: int
    out: str
    err: str


class Run(Protocol):
    """Runs a command line."""

    def __call__(self, *arguments: str, **changes: Any) -> Outcome:
        """Run it; ``stdin`` is typed, ``terminal`` is the width of one; other ``changes`` are variables.

        A variable that is ``None`` is unset.
        """


@pytest.fixture
def cloud() -> Iterator[SimulatorServer]:
    """Two accounts with all troubles among their disks, whose operations end soon."""
    world = SimulatedCloud(seed=0, disks=32, accounts=2)
    world.operation_seconds = 0.2
    with SimulatorServer(world) as server:
        yield server


@pytest.fixture
def run(cloud: SimulatorServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line with an environment that names the cloud's first account."""
    monkeypatch.setenv("GIGAS_API_URL", cloud.url)
    monkeypatch.setenv("GIGAS_ACCOUNT_ID", ACCOUNT)
    monkeypatch.setenv("GIGAS_API_KEY", cloud.world.credentials(ACCOUNT).api_key)
    monkeypatch.setenv("GIGAS_API_MAX_REQUESTS_PER_SECOND", "0")

    def run(*arguments: str, stdin: str = "", terminal: int | None = None, **environ: str | None) -> Outcome:
        with monkeypatch.context() as patch:
            for name, value in environ.items():
                patch.delenv(name, raising=False) if value is None else patch.setenv(name, value)
            patch.setattr(sys, "argv", ["gigas-exporter", *arguments])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            if terminal is not None:
                patch.setenv("COLUMNS", str(terminal))
                patch.setattr(sys.stdout, "isatty", lambda: True)
            capsys.readouterr()
            try:
                status = main()
            except SystemExit as error:
                status = error.code if isinstance(error.code, int) else 1
            for handler in logging.getLogger().handlers:
                handler.flush()  # a thread writes the log; as the process's end does
            written = capsys.readouterr()
        for secret in cloud.world.secrets:
            # The demo's keys are parts of each other, so the shortest would be found in addresses of accounts as well.
            assert secret not in written.out + written.err
        return Outcome(status, written.out, written.err)

    return run


@pytest.fixture
def told(cloud: SimulatorServer) -> Callable[[str], str]:
    """Return the id of the first account's disk that has a trouble, by the trouble's name."""

    def find(scenario: str) -> str:
        mine = {disk.id for disk in cloud.world.disks(ACCOUNT)}
        return next(disk for disk, each in cloud.world.scenarios.items() if each == scenario and disk in mine)

    return find


@pytest.fixture
def config(tmp_path: Any, cloud: SimulatorServer) -> str:
    """A configuration file that names both accounts."""
    path = tmp_path / "exporter.yml"
    keys = {account: cloud.world.credentials(account).api_key for account in cloud.world.account_ids}
    path.write_text(
        f"api: {{url: '{cloud.url}', max_requests_per_second: 0}}\n"
        "accounts:\n"
        f"  - {{id: '4242', name: production, api_key: {keys['4242']}}}\n"
        f"  - {{id: '4243', api_key: {keys['4243']}}}\n"
    )
    return str(path)


@pytest.fixture
def discovering(tmp_path: Any, cloud: SimulatorServer) -> dict[str, str | None]:
    """Variables that name a configuration file alone, which takes the accounts that the main key may see."""
    path = tmp_path / "discover.yml"
    path.write_text(f"api: {{url: '{cloud.url}'}}\ndiscover: true\ncredential: {{api_key: {cloud.world.api_key}}}\n")
    return {"GIGAS_ACCOUNT_ID": None, "GIGAS_API_KEY": None, "GIGAS_CONFIG_FILE": str(path)}
