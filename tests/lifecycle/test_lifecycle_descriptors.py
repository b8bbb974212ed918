"""A process that runs out of descriptors: it does not spin, does not flood its log, and recovers by itself."""

from __future__ import annotations

import resource
import time
from contextlib import ExitStack
from pathlib import Path

from lifecycle.conftest import QUICK, await_polls
from support.metrics_text import metric
from support.programs import account_environment, await_true, exporter
from support.simulator import SimulatorServer
from support.timing import allowed
from support.usage import descriptors, processor_seconds

LIMIT = 64
MEASURED_SECONDS = 4.0


def test_it_recovers_from_a_lack_of_descriptors(tmp_path: Path, cloud: SimulatorServer) -> None:
    """While clients hold all that there are it takes below 5 % of a processor and says so once; then all goes on."""
    with exporter(tmp_path, account_environment(cloud), *QUICK) as served, ExitStack() as held:
        pid = served.process.popen.pid
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors(pid) + 2, LIMIT))
        for _ in range(60):
            held.enter_context(served.send())
        began = processor_seconds(pid)
        time.sleep(MEASURED_SECONDS)
        used = (processor_seconds(pid) - began) / MEASURED_SECONDS
        lines = served.process.stderr.count("\n")
        assert served.process.popen.poll() is None
        held.close()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        await_true(lambda: served.answers("/metrics"), what="a scrape")
        await_polls(served, "4242")
        assert metric(served.get("/metrics").text, "gigas_up", account_id="4242") == 1
        assert served.process.end() == 0
    assert used < allowed(0.05), f"{used:.0%} of a processor, polls among it"
    assert lines < 80
    assert "Traceback" not in served.process.stderr
