"""What the tests of the dashboards share: the JSON, a real Prometheus over a fleet's past, and Grafana's variables."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("gigas-overview", "gigas-backups", "gigas-disk", "gigas-exporter")
END = 1_764_000_000
HOURS = 30
STEP = 300
DEADLINE_SECONDS = 20

Json = dict[str, Any]


def tool(name: str) -> str:
    """Return a program's path; without it a test fails in CI and is skipped elsewhere."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def wait_for(holds: Callable[[], bool]) -> bool:
    """Return whether a condition comes to hold in good time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.1)
    return False


def answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Return whether a program that was started comes to answer with success."""

    def answered() -> bool:
        try:
            return requests.get(url, timeout=1).ok
        except requests.ConnectionError:
            return False

    return wait_for(lambda: process.poll() is not None or answered()) and process.poll() is None


class Prometheus:
    """The HTTP API of a Prometheus that runs for the tests."""

    def __init__(self, url: str, end: float | None = END) -> None:
        self.url, self._end = url, end
        self._session = requests.Session()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def ask(self, path: str, **parameters: str | float) -> list[Json]:
        """Return the series of an answer, which must be a good one."""
        answer = self._session.post(f"{self.url}/api/v1/{path}", data=parameters, timeout=30).json()
        assert answer["status"] == "success", (answer.get("error"), parameters)
        data = answer["data"]
        result: list[Json] = data if isinstance(data, list) else data["result"]
        return result

    @property
    def end(self) -> float:
        """Return the end of the range that is looked at."""
        return time.time() if self._end is None else self._end

    def now(self, expression: str) -> list[Json]:
        """Return an instant query's series."""
        return self.ask("query", query=expression, time=self.end)

    def over(self, expression: str, hours: float = 24, points: int = 288) -> list[Json]:
        """Return a range query's series."""
        step = max(STEP, hours * 3600 / points)
        return self.ask("query_range", query=expression, start=self.end - hours * 3600, end=self.end, step=step)


def as_regex(values: tuple[str, ...]) -> str:
    """Return values as Grafana's Prometheus data source writes them into a regular expression."""
    quoted = [re.sub(r"([\\^$*+?.()|\[\]{}/])", r"\\\\\1", value) for value in values]
    return quoted[0] if len(quoted) == 1 else f"({'|'.join(quoted)})"


@dataclass(frozen=True, slots=True)
class Selection:
    """What a reader has chosen in the drop-downs; a variable that is not named stands at 'All'."""

    name: str
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def value(self, variable: Json) -> str:
        """Return what Grafana's Prometheus data source puts in a query for a variable."""
        values = self.chosen.get(variable["name"])
        if not variable["multi"]:
            return (values or ("1003",))[0]
        return str(variable["allValue"]) if values is None else as_regex(values)

    def expand(self, expression: str, dashboard: Json) -> str:
        """Return a query as it goes to Prometheus."""
        variables = [each for each in dashboard["templating"]["list"] if each["type"] == "query"]
        values = {each["name"]: self.value(each) for each in variables}
        values |= {"__rate_interval": f"{4 * STEP}s", "__range": "86400s"}
        return re.sub(r"\$(\w+)", lambda match: values.get(match[1], match[0]), expression)


ALL = Selection("all")
ONE = Selection(
    "one",
    {
        "job": ("gigas",),
        "instance": ("exporter:10063",),
        "account_id": ("4242",),
        "virtual_machine": ("db-1",),
        "disk_id": ("1003",),
    },
)
TWO = Selection("two", {"account_id": ("4242", "77"), "virtual_machine": ("db-1", "VM 901"), "disk_id": ("1002",)})


@pytest.fixture(scope="session")
def dashboards() -> dict[str, Json]:
    """Return the committed dashboards by name."""
    return {name: json.loads((ROOT / "dashboards" / f"{name}.json").read_text(encoding="utf-8")) for name in NAMES}


@pytest.fixture(scope="session", params=[ALL, ONE, TWO], ids=lambda selection: str(selection.name))
def selection(request: pytest.FixtureRequest) -> Selection:
    """Return what is chosen in the drop-downs: everything, one of each, two of each."""
    chosen: Selection = request.param
    return chosen


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Return a Prometheus that holds the last hours of an eventful fleet."""
    directory = tmp_path_factory.mktemp("prometheus")
    past, blocks = directory / "past.om", directory / "blocks"
    with past.open("wb") as file:
        arguments = ["--end", str(END), "--hours", str(HOURS), "--step", str(STEP)]
        subprocess.run(
            [sys.executable, Path(__file__).with_name("fleet_history.py"), *arguments], stdout=file, check=True
        )
    promtool = tool("promtool")
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", past, blocks], check=True, capture_output=True
    )
    with serving(directory, blocks) as server:
        yield server


class serving:  # noqa: N801 - reads as the context that it is
    """A Prometheus on loopback for as long as the context lasts: over given blocks, or scraping a target."""

    def __init__(self, directory: Path, blocks: Path, target: str | None = None) -> None:
        self._directory, self._blocks, self._target = directory, blocks, target

    def __enter__(self) -> Prometheus:
        config = self._directory / "prometheus.yml"
        scrape: Json = {"job_name": "gigas", "static_configs": [{"targets": [self._target]}]}
        config.write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "scrape_configs": [scrape] if self._target else [],
                }
            )
        )
        port = free_port()
        self._log = (self._directory / "prometheus.log").open("wb")
        self._process = subprocess.Popen(
            [
                tool("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={self._blocks}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{port}",
                *([] if self._target else [f"--query.lookback-delta={2 * STEP}s"]),
                "--log.level=warn",
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._server = Prometheus(f"http://127.0.0.1:{port}", None if self._target else END)
        if answers(f"{self._server.url}/-/ready", self._process):
            return self._server
        self.__exit__()
        raise RuntimeError((self._directory / "prometheus.log").read_text())

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self._process.terminate()
        self._process.wait(DEADLINE_SECONDS)
        self._log.close()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Return a Prometheus that scrapes the real exporter, which polls the simulated cloud."""
    directory = tmp_path_factory.mktemp("live")
    port = free_port()
    flags = ["--web.listen-address", f"127.0.0.1:{port}", "--poll.interval", "1s", "--poll.backups-interval", "1s"]
    with (directory / "exporter.log").open("wb") as log:
        exporter = subprocess.Popen(
            [sys.executable, "-m", "gigas_exporter", "demo", *flags], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            ready = answers(f"http://127.0.0.1:{port}/-/ready", exporter)
            assert ready, (directory / "exporter.log").read_text()
            with serving(directory, directory / "data", f"127.0.0.1:{port}") as server:
                ratio = "gigas_account_backup_compliance_ratio"
                assert wait_for(lambda: len(server.now(f"count_over_time({ratio}[1m]) >= 4")) > 0)
                yield server
        finally:
            exporter.terminate()
            exporter.wait(DEADLINE_SECONDS)


@pytest.fixture(scope="session")
def everything() -> Selection:
    """Return the selection of everything."""
    return ALL
