"""Baselines that serve the same series: prometheus-client used as documented, and Go's client library."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from http_client import Connection, free_port, status_of
from processes import Program, await_true
from results import Figure
from sampling import TARGETS, Sampling

__all__ = ["Series", "build_go", "measure_baselines", "write_series"]

_HERE = Path(__file__).parent
_GO_PATH = "/usr/share/gocode"
_FAMILY = re.compile(r"# HELP (\S+) (.*)")
_SERIES = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_OWN = ("process_", "python_", "gigas_exporter_")


@dataclass(frozen=True, slots=True)
class Series:
    """A file of series, and their number."""

    path: Path
    count: int


class Baseline(Program):
    """A server of the series in a file."""

    def __init__(self, command: list[str], series: Path, directory: Path) -> None:
        self.port = free_port()
        super().__init__([*command, str(self.port), str(series)], directory / "baseline.log")
        # Both respond to this path without rendering the metrics.
        await_true(lambda: status_of(f"http://127.0.0.1:{self.port}/favicon.ico") != 0, self)


def build_go(directory: Path) -> Path | str:
    """Build the server that uses Go's client library, with Debian's packages; return why if that fails."""
    go = shutil.which("go")
    if go is None:
        return "Go is not installed: apt install golang-go golang-github-prometheus-client-golang-dev"
    if not Path(_GO_PATH, "src/github.com/prometheus/client_golang").is_dir():
        return "Go's client library is not installed: apt install golang-github-prometheus-client-golang-dev"
    program = directory.resolve() / "baseline-go"
    environ = {**os.environ, "GO111MODULE": "off", "GOPATH": _GO_PATH, "GOFLAGS": ""}
    if "HOME" not in environ:
        environ["GOCACHE"] = f"{program}-cache"
    built = subprocess.run(
        [go, "build", "-o", str(program), "main.go"],
        cwd=_HERE / "go",
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    return program if built.returncode == 0 else f"Go's client library could not be built: {built.stderr.strip()}"


def write_series(page: str, path: Path) -> Series:
    """Write an exposition's series of disks, machines and accounts into a file for the baselines."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for line in _json_lines(page):
            count += line[0] == "["
            file.write(line + "\n")
    return Series(path, count)


def _json_lines(page: str) -> Iterator[str]:
    text, begun = "", ""
    for line in page.splitlines():
        if (family := _FAMILY.fullmatch(line)) is not None:
            text = family[2]
        series = None if line.startswith(("#", *_OWN)) else _SERIES.fullmatch(line)
        if series is None:
            continue
        labels = _LABEL.findall(series[2] or "")
        if series[1] != begun:
            begun = series[1]
            yield json.dumps({"name": begun, "help": text, "labels": [name for name, _ in labels]})
        yield json.dumps([float(series[3]), *(_ESCAPED.sub(_unescaped, value) for _, value in labels)])


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


def measure_baselines(
    disks: int, series: Series, ours_seconds: float, directory: Path, *, go: Path | str, sampling: Sampling
) -> list[Figure]:
    """Scrape the baselines, and compare their times with the exporter's."""
    baselines = [("plain", "plain prometheus-client", [sys.executable, str(_HERE / "client_python_exporter.py")])]
    if isinstance(go, Path):
        baselines.append(("go", "Go's client library", [str(go)]))
    figures = []
    for kind, name, command in baselines:
        with Baseline(command, series.path, directory) as baseline:
            connection = Connection(baseline.port)
            served = sum(not line.startswith(b"#") for line in connection.get("/metrics", keep=True)[1].splitlines())
            if served != series.count:
                raise RuntimeError(f"{name} serves {served} series, not {series.count}")
            samples = [connection.scrape() for _ in range(sampling.baseline_scrapes)]
            connection.close()
        figures.append(Figure.median(f"{name}: scrape, gzip, text", disks, "s", samples))
        ratio = figures[-1].value / ours_seconds
        figures.append(Figure(f"{name}: times as long", disks, "x", ratio, (), TARGETS[kind].get(disks), at_least=True))
    return figures
