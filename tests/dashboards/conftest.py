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
from collections.abc import Iterator, Mapping
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


class Prometheus:
    """The HTTP API of a Prometheus that runs for the tests."""

    def __init__(self, url: str) -> None:
        self.url = url
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

    def now(self, expression: str, at: float = END) -> list[Json]:
        """Return an instant query's series."""
        return self.ask("query", query=expression, time=at)

    def over(self, expression: str, hours: float = 24, points: int = 288) -> list[Json]:
        """Return a range query's series."""
        step = max(STEP, hours * 3600 / points)
        return self.ask("query_range", query=expression, start=END - hours * 3600, end=END, step=step)


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
        return str(variable["allValue"]) if values is None else as_regex(values)

    def expand(self, expression: str, dashboard: Json, prometheus: Prometheus) -> str:
        """Return a query as it goes to Prometheus; hidden variables stand for all that they find."""
        variables = [each for each in dashboard["templating"]["list"] if each["type"] == "query"]
        values = {each["name"]: self.value(each) for each in variables if not each["hide"]}
        values |= {"__rate_interval": f"{4 * STEP}s", "__range": "86400s"}

        def filled(text: str) -> str:
            return re.sub(r"\$(\w+)", lambda match: values.get(match[1], match[0]), text)

        for hidden in (each for each in variables if each["hide"]):
            if f"${hidden['name']}" in expression:
                inner = hidden["query"]["query"].removeprefix("query_result(").removesuffix(")")
                found = prometheus.now(filled(inner))
                values[hidden["name"]] = as_regex(tuple(sorted({each["metric"]["disk_id"] for each in found})))
        return filled(expression)


ALL = Selection("all")
ONE = Selection(
    "one",
    {
        "job": ("gigas",),
        "instance": ("exporter:10063",),
        "account_id": ("4242",),
        "virtual_machine": ("502",),
        "disk_id": ("1003",),
    },
)
TWO = Selection("two", {"account_id": ("4242", "77"), "virtual_machine": ("502", "901"), "disk_id": ("1003", "1010")})


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
    """A Prometheus over given blocks, on loopback, for as long as the context lasts."""

    def __init__(self, directory: Path, blocks: Path) -> None:
        self._directory, self._blocks = directory, blocks

    def __enter__(self) -> Prometheus:
        config = self._directory / "prometheus.yml"
        config.write_text("global: {scrape_interval: 1h}\n")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._log = (self._directory / "prometheus.log").open("wb")
        self._process = subprocess.Popen(
            [
                tool("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={self._blocks}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{port}",
                f"--query.lookback-delta={2 * STEP}s",
                "--log.level=warn",
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._server = Prometheus(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if requests.get(f"{self._server.url}/-/ready", timeout=1).ok:
                    return self._server
            except requests.ConnectionError:
                pass
            time.sleep(0.05)
        self.__exit__()
        raise RuntimeError((self._directory / "prometheus.log").read_text())

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self._process.terminate()
        self._process.wait(DEADLINE_SECONDS)
        self._log.close()


@pytest.fixture(scope="session")
def everything() -> Selection:
    """Return the selection of everything."""
    return ALL
