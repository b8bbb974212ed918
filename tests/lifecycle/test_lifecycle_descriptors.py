"""A process that runs out of descriptors: it does not spin, does not flood its log, and recovers by itself."""

from __future__ import annotations

import os
import resource
import time
from contextlib import ExitStack
from pathlib import Path

import requests

from support.metrics_text import metric
from support.programs import account_environment, await_true, exporter
from support.simulator import SimulatorServer
from support.timing import allowed

LIMIT = 64
MEASURED_SECONDS = 4.0


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_it_recovers_from_a_lack_of_descriptors(tmp_path: Path, cloud: SimulatorServer) -> None:
    """While clients hold all that there are it takes below 5 % of a processor and says so once; then all goes on."""
    flags = ("--poll.interval=1s", "--poll.backups-interval=1s", "--api.max-requests-per-second=0")
    with exporter(tmp_path, account_environment(cloud), *flags) as served, ExitStack() as held:
        pid = served.process.popen.pid
        in_use = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  # names are not wanted, only how many
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (in_use + 2, LIMIT))
        for _ in range(60):
            held.enter_context(served.send())
        began = cpu_seconds(pid)
        time.sleep(MEASURED_SECONDS)
        used = (cpu_seconds(pid) - began) / MEASURED_SECONDS
        lines = served.process.stderr.count("\n")
        assert served.process.popen.poll() is None
        held.close()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        await_true(lambda: _scraped(served.url), what="a scrape")
        polls = _polls(served.url)
        await_true(lambda: _polls(served.url) >= polls + 2, what="two polls")
        assert metric(served.get("/metrics").text, "gigas_up", account_id="4242") == 1
        assert served.process.end() == 0
    assert used < allowed(0.05), f"{used:.0%} of a processor, polls among it"
    assert lines < 80
    assert "Traceback" not in served.process.stderr


def _scraped(url: str) -> bool:
    try:
        return requests.get(f"{url}/metrics", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def _polls(url: str) -> float:
    text = requests.get(f"{url}/metrics", timeout=5).text
    return metric(text, "gigas_exporter_polls_total", account_id="4242", resource="disks") or 0.0
