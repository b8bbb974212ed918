"""What is no longer needed goes back to the system, and a reload leaves nothing behind."""

from __future__ import annotations

import gc
import platform
import signal
import sys
import weakref
from functools import partial
from pathlib import Path

import pytest

from gigas_exporter import memory
from gigas_exporter.simulator import SimulatedCloud
from support.programs import Process, account_environment, answers, await_true, free_port, run_program, running
from support.simulator import SimulatorServer

BURST = """
import sys
from pathlib import Path
from gigas_exporter import memory

def resident():
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024

if sys.argv[1] == "tuned":
    memory.tune_malloc()
for _ in range(2):
    large = bytearray(24 << 20)
    del large
before = resident()
blocks, kept = [], []
for _ in range(24):
    blocks.append(bytearray(2 << 20))
    kept.append(bytearray(1000))
blocks.clear()
if sys.argv[1] == "tuned":
    memory.release_memory()
print(resident() - before)
"""

COUNTING = """
import gc, sys, weakref
from urllib3 import PoolManager
from gigas_exporter.app import ExporterApp
from gigas_exporter.cli.main import main

alive, make, reload = weakref.WeakSet(), PoolManager.__init__, ExporterApp._reload

def counted(self, *arguments, **options):
    alive.add(self)
    make(self, *arguments, **options)

def told(self):
    gc.collect()  # what is there is old now
    said = reload(self)
    sys.stderr.write(f"pools: {len(alive)}\\n")  # at once, so that no log line comes between
    return said

PoolManager.__init__, ExporterApp._reload = counted, told
sys.exit(main())
"""


class Cycle:
    """Something that holds itself."""

    itself: Cycle


def _left_megabytes(how: str) -> float:
    done = run_program(sys.executable, "-c", BURST, how)
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is set up")
def test_a_burst_of_large_answers_leaves_nothing() -> None:
    """Without being told, glibc keeps what lies between blocks that are in use."""
    assert _left_megabytes("tuned") < 5
    assert _left_megabytes("as it is") > 20


def test_what_only_cycles_hold_is_freed() -> None:
    """Also where it is so old that nobody looks for it."""
    cycle = Cycle()
    cycle.itself = cycle
    alive = weakref.ref(cycle)
    memory.release_memory()  # it is old now
    del cycle
    gc.collect(1)
    assert alive() is not None
    memory.release_memory()
    assert alive() is None


def _has_said(process: Process, count: int) -> bool:
    return process.stderr.count("pools:") == count


def test_a_reload_leaves_nothing_of_the_old_connections(tmp_path: Path) -> None:
    """However often it comes: what was polled with before is gone when it is over."""
    with SimulatorServer(SimulatedCloud(seed=3, disks=6, eventful=False)) as cloud:
        url = f"http://127.0.0.1:{free_port()}"
        flags = [f"--web.listen-address={url.removeprefix('http://')}", "--poll.backups-interval=1s"]
        command = [sys.executable, "-c", COUNTING, "serve", *flags]
        with running(command, tmp_path, account_environment(cloud)) as process:
            await_true(lambda: answers(f"{url}/-/ready"))
            cloud.faults.add("hang", "list_backups")  # so that a poll is under way each time
            for count in range(1, 4):
                process.popen.send_signal(signal.SIGHUP)
                await_true(partial(_has_said, process, count))
            pools = [int(line.split()[1]) for line in process.stderr.splitlines() if line.startswith("pools:")]
            assert pools[-1] <= pools[0] <= 2, pools
            assert process.end() == 0
