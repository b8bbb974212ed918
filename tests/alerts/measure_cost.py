"""Measure what an evaluation of all rules takes for a large fleet: ``python tests/alerts/measure_cost.py [DISKS]``.

The real exporter against the simulated cloud, a real Prometheus. The two days of history that the rules look back on
are written into its storage beforehand, since a young Prometheus has less to read and would look fast: a sample each
minute for what is read minute by minute, and around each hour for what is read hourly.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import requests

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gigas_exporter.bundle.alerts import RULE_FILES
from gigas_exporter.simulator import SimulatorServer, World
from support.programs import account_environment, exporter, prometheus, tool

_ALERTS = Path(__file__).resolve().parents[2] / "alerts"
_CONFIG = """
global: {{scrape_interval: 1m, scrape_timeout: 30s, evaluation_interval: 1m}}
rule_files: ["*.rules.yml"]
scrape_configs:
  - {{job_name: gigas, static_configs: [{{targets: ["{target}"]}}]}}
"""
_HOUR = 3600
_LATELY = ("disk_info", "disk_backups", "disk_backups_failed", "disk_autobackup", "up")
_SERIES = re.compile(r"^gigas_(\w+)\{(.*)\} (\S+)$", re.MULTILINE)


def _moments(metric: str, now: int) -> range:
    """When a metric was scraped, as far as rules look back on it."""
    if metric == "disk_locked":
        return range(now - 2 * _HOUR - 900, now, 60)
    if metric in _LATELY:
        return range(now - _HOUR - 2100, now - _HOUR + 600, 60)
    if metric == "disk_backup_last_size_bytes":
        return range(now // _HOUR * _HOUR - 48 * _HOUR, now, _HOUR)
    return range(0)


def _history(page: str, target: str, now: int) -> Iterator[str]:
    """Yield OpenMetrics lines for the past, in the values of now."""
    for metric in ("disk_locked", *_LATELY, "disk_backup_last_size_bytes"):
        yield f"# TYPE gigas_{metric} gauge\n"
        for name, labels, value in _SERIES.findall(page):
            if name == metric:
                series = f'gigas_{name}{{job="gigas",instance="{target}",{labels}}} {value} '
                yield "".join(f"{series}{moment}\n" for moment in _moments(metric, now))
    yield "# EOF\n"


def main(disks: int) -> int:
    """Print the seconds that each group takes, and their sum."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        with SimulatorServer(World(seed=1, disks=disks)) as cloud:
            environ = account_environment(cloud, GIGAS_API_MAX_REQUESTS_PER_SECOND="0")
            with exporter(directory, environ) as served:
                target = served.url.removeprefix("http://")
                while "gigas_disk_backups{" not in (page := served.get("/metrics").text):
                    time.sleep(1)
                history = directory / "history.txt"
                with history.open("w", encoding="utf-8") as file:
                    file.writelines(_history(page, target, int(time.time()) - 60))
                command: list[str | Path] = [
                    tool("promtool"),
                    "tsdb",
                    "create-blocks-from",
                    "openmetrics",
                    history,
                    directory / "tsdb",
                ]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                history.unlink()
                for name in RULE_FILES:
                    text = (_ALERTS / name).read_text(encoding="utf-8")
                    (directory / name).write_text(text.replace("interval: 5m", "interval: 1m"), encoding="utf-8")
                with prometheus(directory, _CONFIG.format(target=target)) as metrics:
                    time.sleep(
                        150
                    )  # each group has been evaluated twice; the one of every five minutes is made to, for this
                    answer = requests.get(f"{metrics.url}/metrics", timeout=10).text
                    failures = metrics.query("sum by (rule_group) (prometheus_rule_evaluation_failures_total) > 0")
    found = re.findall(r'prometheus_rule_group_last_duration_seconds\{rule_group="[^"]*;([^"]+)"\} (\S+)', answer)
    for group, seconds in found:
        sys.stdout.write(f"{group:24} {float(seconds):.3f} s\n")
    sys.stdout.write(
        f"{'all':24} {sum(float(seconds) for _, seconds in found):.3f} s for {disks} disks; failures: {failures}\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if sys.argv[1:] else 10_000))
