"""Measure what the rules cost for many disks: ``python tests/alerts/measure_cost.py [DISKS [DIRECTORY]]``.

The real exporter against the simulated cloud, and a real Prometheus for each set of rules: none, the default file,
both files, and where a directory is given the rule files in there, such as those of an earlier version. They run at
once, so that what else the machine does makes all of them slower alike. The history that rules look back on is written
into their storage beforehand, since a young Prometheus has less to read and would look fast.

What counts is the time of the processor that Prometheus takes with the rules, less what it takes without any, for one
evaluation of all of them. The shipped rules are evaluated once a minute, and here twice.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gigas_exporter.bundle.alerts import RULE_FILES
from gigas_exporter.simulator import SimulatedCloud
from support.programs import Prometheus, account_environment, exporter, prometheus, tool
from support.simulator import SimulatorServer

_ALERTS = Path(__file__).resolve().parents[2] / "alerts"
_CONFIG = """
global: {{scrape_interval: 1m, scrape_timeout: 30s, evaluation_interval: 30s}}
rule_files: ["*.rules.yml"]
scrape_configs:
  - {{job_name: gigas, static_configs: [{{targets: ["{target}"]}}]}}
"""
_HOUR = 3600
_LOOKED_BACK_ON = ("account_disks", "disk_info", "disk_backups", "disk_autobackup")
_SETTLE_SECONDS, _MEASURED_SECONDS, _COSTLIEST = 75, 120, 6
_FAILURES = ("evaluation_failures", "group_iterations_missed")
_SERIES = re.compile(r"^gigas_(\w+)\{(.*)\} (\S+)$", re.MULTILINE)


def _history(page: str, target: str, now: int) -> Iterator[str]:
    """Yield OpenMetrics lines of an hour ago, in the values of now."""
    moments = range(now - _HOUR - 2100, now - _HOUR + 600, 60)
    found = _SERIES.findall(page)
    for metric in _LOOKED_BACK_ON:
        yield f"# TYPE gigas_{metric} gauge\n"
        for name, labels, value in found:
            if name == metric:
                series = f'gigas_{metric}{{job="gigas",instance="{target}",{labels}}} {value} '
                yield "".join(f"{series}{moment}\n" for moment in moments)
    yield "# EOF\n"


def _own(server: Prometheus, metric: str) -> float:
    """Return the sum of one of Prometheus' own metrics."""
    page = requests.get(f"{server.url}/metrics", timeout=10).text
    return sum(map(float, re.findall(rf"^{metric}(?:\{{.*\}})? (\S+)$", page, re.MULTILINE)))


def _taken(server: Prometheus) -> tuple[float, float]:
    """Return the seconds of the processor so far, and how many rules were evaluated."""
    return _own(server, "process_cpu_seconds_total"), _own(server, "prometheus_rule_evaluations_total")


def _rules(server: Prometheus) -> list[tuple[float, str, str]]:
    """Return the seconds of each rule's last evaluation, its group and its name."""
    groups = requests.get(f"{server.url}/api/v1/rules", timeout=10).json()["data"]["groups"]
    return [
        (float(rule["evaluationTime"]), group["name"], rule.get("labels", {}).get("alertname", "") + " " + rule["name"])
        for group in groups
        for rule in group["rules"]
    ]


def _report(rules: list[tuple[float, str, str]]) -> Iterator[str]:
    for group in dict.fromkeys(group for _, group, _ in rules):
        yield f"  {group:24} {sum(seconds for seconds, its, _ in rules if its == group):.3f} s by the clock"
    for seconds, _, name in sorted(rules, reverse=True)[:_COSTLIEST]:
        yield f"    {seconds:.3f} s {name.strip()}"


def _write_history(directory: Path, page: str, target: str) -> Path:
    """Write the past as a block of a storage, and return its directory."""
    history, storage = directory / "history.txt", directory / "tsdb"
    with history.open("w", encoding="utf-8") as file:
        file.writelines(_history(page, target, int(time.time()) - 60))
    command: list[str | Path] = [
        tool("promtool"),
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        history,
        storage,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    history.unlink()
    return storage


@contextmanager
def _evaluating(directory: Path, sets: Mapping[str, list[Path]], target: str) -> Iterator[dict[str, Prometheus]]:
    """Run a Prometheus with each set of rules, on a copy of the same storage."""
    with ExitStack() as stack:
        servers = {}
        for number, (name, files) in enumerate(sets.items()):
            its = directory / str(number)
            shutil.copytree(directory / "tsdb", its / "tsdb")
            for path in files:
                text = re.sub(r"^( *interval:) .+$", r"\1 30s", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
                (its / path.name).write_text(text, encoding="utf-8")
            servers[name] = stack.enter_context(prometheus(its, _CONFIG.format(target=target)))
        yield servers


def main(disks: int, other: Path | None) -> int:
    """Print the seconds of processor that each set of rules takes a minute, and which rules take most."""
    sets: dict[str, list[Path]] = {
        "none": [],
        "default": [_ALERTS / RULE_FILES[0]],
        "both": [_ALERTS / name for name in RULE_FILES],
    }
    if other is not None:
        sets[str(other)] = sorted(other.glob("*.rules.yml"))
    with tempfile.TemporaryDirectory() as scratch, SimulatorServer(SimulatedCloud(seed=1, disks=disks)) as cloud:
        directory = Path(scratch)
        with exporter(directory, account_environment(cloud)) as served:
            target = served.url.removeprefix("http://")
            while "gigas_disk_backups{" not in (page := served.get("/metrics").text):
                time.sleep(1)
            _write_history(directory, page, target)
            with _evaluating(directory, sets, target) as servers:
                time.sleep(_SETTLE_SECONDS)
                before = {name: _taken(server) for name, server in servers.items()}
                time.sleep(_MEASURED_SECONDS)
                after = {name: _taken(server) for name, server in servers.items()}
                none = after["none"][0] - before["none"][0]
                del servers["none"]
                cost = {}
                for name, server in servers.items():
                    seconds, evaluated = (now - then for now, then in zip(after[name], before[name], strict=True))
                    cost[name] = (seconds - none) / (evaluated / len(_rules(server)))
                    failed = [_own(server, f"prometheus_rule_{each}_total") for each in _FAILURES]
                    sys.stdout.write(
                        f"{name}: {cost[name]:.2f} s of processor a minute for {disks} disks; "
                        f"evaluations failed: {failed[0]:.0f}, missed: {failed[1]:.0f}\n"
                    )
                    sys.stdout.writelines(f"{line}\n" for line in _report(_rules(server)))
                if other is not None:
                    for name in ("default", "both"):
                        sys.stdout.write(f"{name}: {cost[name] / cost[str(other)]:.2f} times {other}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if sys.argv[1:] else 10_000, Path(sys.argv[2]) if sys.argv[2:] else None))
