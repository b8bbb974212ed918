"""Memory under answers that are as large as they may be: none outlives its request, however many fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gigas_exporter.simulator import SimulatedCloud
from support.metrics_text import metric
from support.programs import account_environment, await_true, exporter
from support.simulator import SimulatorServer
from support.small_api import SmallApi

AT_MOST_BYTES = 260 * 2**20
PAGE = b"[" + b",".join(b'{"id":%d}' % number for number in range(300_000)) + b"]"


def peak_bytes(pid: int) -> int:
    """The most memory that a process ever had."""
    return int(Path(f"/proc/{pid}/status").read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.parametrize("value", ["[[]]", '{"a":0}'])
def test_an_answer_of_countless_values_takes_no_more_than_a_good_one(tmp_path: Path, value: str) -> None:
    """16 MB of tiny values, which would take 20 to 40 times as much once they are parsed, are given up before."""
    with SimulatorServer(SimulatedCloud(seed=1, disks=6, eventful=False)) as cloud:
        cloud.faults.add("crowded_body", "list_disks", value=value)
        environ = account_environment(cloud)
        with exporter(
            tmp_path, environ, "--poll.interval=1s", "--api.max-requests-per-second=0", ready=False
        ) as served:
            failures = {"resource": "disks", "reason": "invalid"}
            name = "gigas_exporter_poll_failures_total"
            await_true(lambda: (metric(served.get("/metrics").text, name, **failures) or 0) >= 3)
            assert peak_bytes(served.process.popen.pid) < AT_MOST_BYTES
            cloud.faults.clear()
            await_true(lambda: metric(served.get("/metrics").text, "gigas_up") == 1)


def test_bombs_in_place_of_each_disks_backups_take_no_more_than_those_under_way(tmp_path: Path) -> None:
    """Of 60 answers that are given up at 16 MB, no more are held at once than are asked for at once."""
    world = SimulatedCloud(seed=1, disks=60, eventful=False)
    with SimulatorServer(world) as cloud:
        cloud.faults.add("gzip_bomb", "list_disk_backups")
        environ = account_environment(cloud)
        flags = ("--backups.source=disk", "--poll.backups-interval=30s", "--api.max-requests-per-second=0")
        with exporter(tmp_path, environ, *flags) as served:
            await_true(
                lambda: metric(
                    served.get("/metrics").text,
                    "gigas_exporter_poll_failures_total",
                    resource="backups",
                    reason="invalid",
                ),
            )
            assert cloud.requests["list_disk_backups"] == 60
            assert peak_bytes(served.process.popen.pid) < AT_MOST_BYTES


def test_pages_that_swell_after_the_first_take_no_more_and_do_not_hold_its_end_up(tmp_path: Path) -> None:
    """No page after the first may hold much more than was asked for, and those that fail do not pile up."""
    flags = ("--poll.interval=5s", "--api.max-requests-per-second=0")
    with SmallApi() as api:
        for name in ("disks", "backups", "virtual_machines"):
            api.answers[f"/account/1/{name}"] = lambda query: (
                200, b'[{"id":0}]' if query["offset"] == "0" else PAGE, {"X-Total": "20000"},
            )  # fmt: skip
        environ = {**os.environ, "GIGAS_API_URL": api.url, "GIGAS_ACCOUNT_ID": "1", "GIGAS_TOKEN": "canary"}
        with exporter(tmp_path, environ, *flags, ready=False) as served:
            failures = {"resource": "disks", "reason": "invalid"}
            name = "gigas_exporter_poll_failures_total"
            await_true(lambda: (metric(served.get("/metrics").text, name, **failures) or 0) >= 2)
            assert peak_bytes(served.process.popen.pid) < AT_MOST_BYTES
            assert served.process.end() == 0
