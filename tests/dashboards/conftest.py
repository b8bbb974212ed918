"""What the tests of the dashboards share: the JSON, a real Prometheus over a fleet's past, and Grafana's variables."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from support import programs

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("gigas-overview", "gigas-backups", "gigas-disk", "gigas-exporter")
END = 1_764_000_000
HOURS = 30
STEP = 300

Json = dict[str, Any]


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


def panels_of(dashboard: Json) -> list[Json]:
    """Return a dashboard's panels without its rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def panel_of(dashboard: Json, title: str) -> Json:
    """Return the panel whose title begins so."""
    (panel,) = [panel for panel in panels_of(dashboard) if panel["title"].startswith(title)]
    return dict(panel)


def expressions_of(dashboard: Json, *, variables: bool = False) -> list[str]:
    """Return every expression of panels and annotations; with ``variables`` also what drop-downs ask."""
    targets = [target["expr"] for panel in panels_of(dashboard) for target in panel["targets"]]
    asked = [each["query"]["query"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    return targets + [each["expr"] for each in dashboard["annotations"]["list"]] + (asked if variables else [])


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


@pytest.fixture(params=NAMES)
def dashboard(request: pytest.FixtureRequest, dashboards: dict[str, Json]) -> Json:
    """Return each dashboard in turn."""
    return dashboards[request.param]


@pytest.fixture(scope="session", params=[ALL, ONE, TWO], ids=lambda selection: str(selection.name))
def selection(request: pytest.FixtureRequest) -> Selection:
    """Return what is chosen in the drop-downs: everything, one of each, two of each."""
    chosen: Selection = request.param
    return chosen


@contextmanager
def serving(
    directory: Path, scrapes: Json, *flags: str, program: str | None = None, end: float | None = END
) -> Iterator[Prometheus]:
    """Run a Prometheus over what its directory holds until the end of the block."""
    config = json.dumps({"global": {"scrape_interval": "1s"}, **scrapes})
    with programs.prometheus(directory, config, program=program, flags=flags) as running:
        server = Prometheus(running.url, end)
        try:
            yield server
        finally:
            server.close()


@pytest.fixture(scope="session", params=["debian", pytest.param("testing", marks=pytest.mark.field)])
def prometheus(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Return a Prometheus that holds the last hours of an eventful fleet."""
    program = programs.field_tool("prometheus") if request.param == "testing" else None
    directory = tmp_path_factory.mktemp("prometheus")
    past = directory / "past.om"
    with past.open("wb") as file:
        arguments = ["--end", str(END), "--hours", str(HOURS), "--step", str(STEP)]
        subprocess.run(
            [sys.executable, Path(__file__).with_name("fleet_history.py"), *arguments], stdout=file, check=True
        )
    subprocess.run(
        [programs.tool("promtool"), "tsdb", "create-blocks-from", "openmetrics", past, directory / "tsdb"],
        check=True,
        capture_output=True,
    )
    flags = ("--storage.tsdb.retention.time=100y", f"--query.lookback-delta={2 * STEP}s")
    with serving(directory, {}, *flags, program=program) as server:
        yield server


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Return a Prometheus that scrapes the real exporter, which polls the simulated cloud."""
    directory = tmp_path_factory.mktemp("live")
    address = f"127.0.0.1:{programs.free_port()}"
    flags = [f"--web.listen-address={address}", "--poll.interval=1s", "--poll.backups-interval=1s"]
    with programs.running([sys.executable, "-m", "gigas_exporter", "demo", *flags], directory) as exporter:
        programs.await_start(exporter, f"http://{address}/-/ready")
        scrapes = {"scrape_configs": [{"job_name": "gigas", "static_configs": [{"targets": [address]}]}]}
        with serving(directory, scrapes, end=None) as server:
            ratio = "gigas_account_backup_compliance_ratio"
            programs.await_true(lambda: server.now(f"count_over_time({ratio}[1m]) >= 4"), what="the fourth scrape")
            yield server
