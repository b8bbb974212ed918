"""Measure what the rules cost for many disks: ``python tests/alerts/measure_cost.py [DISKS [DIRECTORY]]``.

The real exporter against the simulated cloud, a real Prometheus. It evaluates no rules, the default file, both files,
and where a directory is given the rule files in there, such as those of an earlier version. The history that rules look
back on is written into its storage beforehand, since a young Prometheus has less to read and would look fast.

Seconds by the clock are the median of each rule's last evaluations. Seconds of the processor are what Prometheus takes
for a minute with the rules, less a minute without them: on a busy machine they tell more.
"""

from __future__ import annotations

import re
import signal
import statistics
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
from gigas_exporter.simulator import SimulatedCloud
from support.programs import Prometheus, account_environment, exporter, prometheus, tool
from support.simulator import SimulatorServer

_ALERTS = Path(__file__).resolve().parents[2] / "alerts"
_CONFIG = """
global: {{scrape_interval: 1m, scrape_timeout: 30s, evaluation_interval: 1m}}
rule_files: ["*.rules.yml"]
scrape_configs:
  - {{job_name: gigas, static_configs: [{{targets: ["{target}"]}}]}}
"""
_HOUR = 3600
_LATELY = ("account_disks", "disk_info", "disk_backups", "disk_backups_failed", "disk_autobackup", "up")
_SIZE = "disk_backup_last_size_bytes"
_SETTLE_SECONDS, _MEASURED_MINUTES, _COSTLIEST = 90, 2, 6
_SERIES = re.compile(r"^gigas_(\w+)\{(.*)\} (\S+)$", re.MULTILINE)


def _history(page: str, target: str, now: int) -> Iterator[str]:
    """Yield OpenMetrics lines for the past, in the values of now."""
    for metric in (*_LATELY, _SIZE):
        lately = metric in _LATELY
        moments = (
            range(now - _HOUR - 2100, now - _HOUR + 600, 60) if lately else range(now - 192 * _HOUR, now, 6 * _HOUR)
        )
        recorded = f"gigas_{metric}" if lately else f"disk:gigas_{metric}:max"
        yield f"# TYPE {recorded} gauge\n"
        for name, labels, value in _SERIES.findall(page):
            if name == metric:
                kept = labels if lately else re.sub(r',?virtual_machine_id="[^"]*"', "", labels)
                series = f'{recorded}{{job="gigas",instance="{target}",{kept}}} {value} '
                yield "".join(f"{series}{moment}\n" for moment in moments)
    yield "# EOF\n"


def _processor_seconds(server: Prometheus) -> float:
    """Return what Prometheus has taken of a processor."""
    page = requests.get(f"{server.url}/metrics", timeout=10).text
    return float(re.findall(r"^process_cpu_seconds_total (\S+)$", page, re.MULTILINE)[0])


def _minutes(server: Prometheus) -> tuple[float, list[tuple[float, str, str]]]:
    """Return the processor's seconds in a minute, and the median of each rule's, over a few minutes."""
    before = _processor_seconds(server)
    seen = []
    for _ in range(_MEASURED_MINUTES):
        time.sleep(60)
        seen.append(_rules(server))
    taken = (_processor_seconds(server) - before) / _MEASURED_MINUTES
    return taken, [(statistics.median(each[0] for each in same), *same[0][1:]) for same in zip(*seen, strict=True)]


def _rules(server: Prometheus) -> list[tuple[float, str, str]]:
    """Return the seconds of each rule's last evaluation, its group and its name."""
    groups = requests.get(f"{server.url}/api/v1/rules", timeout=10).json()["data"]["groups"]
    return [
        (float(rule["evaluationTime"]), group["name"], rule.get("labels", {}).get("alertname", "") + " " + rule["name"])
        for group in groups
        for rule in group["rules"]
    ]


def _report(rules: list[tuple[float, str, str]], disks: int) -> Iterator[str]:
    for group in dict.fromkeys(group for _, group, _ in rules):
        yield f"{group:24} {sum(seconds for seconds, its, _ in rules if its == group):.3f} s"
    yield f"{'all':24} {sum(seconds for seconds, *_ in rules):.3f} s for {disks} disks; the costliest rules:"
    for seconds, _, name in sorted(rules, reverse=True)[:_COSTLIEST]:
        yield f"  {seconds:.3f} s {name.strip()}"


def main(disks: int, other: Path | None) -> int:
    """Print the seconds that each group takes, and their sum."""
    sets = {"default": [_ALERTS / RULE_FILES[0]], "both": [_ALERTS / name for name in RULE_FILES]}
    if other is not None:
        sets[str(other)] = sorted(other.glob("*.rules.yml"))
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        with SimulatorServer(SimulatedCloud(seed=1, disks=disks)) as cloud:
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
                    "--max-block-duration=192h",  # in one block, as a running Prometheus has compacted it
                    history,
                    directory / "tsdb",
                ]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                history.unlink()
                with prometheus(directory, _CONFIG.format(target=target)) as metrics:
                    time.sleep(_SETTLE_SECONDS)
                    without, _ = _minutes(metrics)
                    for name, files in sets.items():
                        for path in directory.glob("*.rules.yml"):
                            path.unlink()
                        for path in files:
                            # A group of every six hours is evaluated each minute too, to be measured.
                            text = path.read_text(encoding="utf-8").replace("interval: 6h", "interval: 1m")
                            (directory / path.name).write_text(text, encoding="utf-8")
                        metrics.process.popen.send_signal(signal.SIGHUP)
                        time.sleep(_SETTLE_SECONDS)
                        taken, rules = _minutes(metrics)
                        failed = metrics.query("sum by (rule_group) (prometheus_rule_evaluation_failures_total) > 0")
                        sys.stdout.writelines(f"{line}\n" for line in _report(rules, disks))
                        sys.stdout.write(
                            f"{name}: {taken - without:.3f} s of processor a minute; failures: {failed}\n\n"
                        )
                        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if sys.argv[1:] else 10_000, Path(sys.argv[2]) if sys.argv[2:] else None))
