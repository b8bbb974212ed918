"""What the runbooks tell to query, in a real Prometheus."""

from __future__ import annotations

import re
from pathlib import Path

from gigas_exporter.simulator import SimulatorServer, World
from support.programs import account_environment, await_true, exporter, prometheus

PATIENCE_SECONDS = 60.0
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: ["*.rules.yml"]
scrape_configs:
  - {{job_name: gigas, static_configs: [{{targets: ["{exporter}"]}}]}}
"""


def test_prometheus_answers_every_query_of_the_runbooks(directory: Path, tmp_path: Path) -> None:
    """What a woken person copies from a runbook runs, also while a disk seems to be there twice."""
    world = World(seed=3, disks=40, style="plain", eventful=False)
    with SimulatorServer(world) as simulator:
        environ = account_environment(simulator, GIGAS_API_MAX_REQUESTS_PER_SECOND="0")
        with exporter(tmp_path, environ, "--poll.interval=1s") as served:
            config = CONFIG.format(exporter=served.url.removeprefix("http://"))
            with prometheus(tmp_path, config) as metrics:
                await_true(lambda: metrics.query("gigas_disk_backups"), PATIENCE_SECONDS, "the backups")
                (labels, _) = metrics.query('gigas_disk_info{virtual_machine_id!=""}')[0]
                world.move_disk(labels["disk_id"], None)
                moved = f'gigas_disk_info{{disk_id="{labels["disk_id"]}", virtual_machine_id=""}}'
                await_true(lambda: metrics.query(moved), PATIENCE_SECONDS, "the move")
                for path in (directory / "runbooks").glob("*.md"):
                    for query in re.findall(r"```promql\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
                        metrics.query(query)
