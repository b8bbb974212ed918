"""The commands that run until they are told to stop: their end, their defects, and what the demo shows."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from gigas_exporter import __version__
from gigas_exporter.metrics.families import FAMILIES
from gigas_exporter.simulator import SimulatedCloud
from support.programs import account_environment, answers, await_true, exporter, free_port, run_program, running
from support.simulator import SimulatorServer

ASKED_AGAIN = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]

DYING = """
import sys
from gigas_exporter.cli.main import main
from gigas_exporter.poller.scheduler import Scheduler

def die(self):
    raise RuntimeError("canary")

Scheduler._dispatch = die
sys.exit(main())
"""

STARVED = """
import sys, threading
from gigas_exporter.cli.main import main

name = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"
left, start = int(sys.argv.pop(1)), getattr(threading, name)

def starved(*arguments, **more):
    global left
    left -= 1
    if left < 0:
        raise RuntimeError("can't start new thread")
    return start(*arguments, **more)

setattr(threading, name, starved)
sys.exit(main())
"""


@pytest.fixture
def cloud() -> Iterator[SimulatorServer]:
    """A simulated cloud that stands still."""
    with SimulatorServer(SimulatedCloud(seed=3, disks=6, eventful=False)) as server:
        yield server


def test_serve_ends_cleanly_however_often_it_is_asked(tmp_path: Path, cloud: SimulatorServer) -> None:
    """Signals that come while it ends, or after, change neither how it ends nor its exit status."""
    with exporter(tmp_path, account_environment(cloud)) as served:
        assert ended(served.process.popen) == 0
        assert "Traceback" not in served.process.stderr
        assert f" version={__version__}\n" in served.process.stderr


def test_demo_ends_cleanly_however_often_it_is_asked(tmp_path: Path) -> None:
    """The simulated cloud's threads, too, leave the signals to whoever waits for them."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gigas_exporter", "demo", f"--web.listen-address={url.removeprefix('http://')}"]
    with running(command, tmp_path) as process:
        await_true(lambda: answers(f"{url}/-/ready"))
        assert ended(process.popen) == 0
        assert "interrupted" not in process.stderr


def test_a_port_in_use_is_said_with_the_way_out(tmp_path: Path) -> None:
    """A second demo, or serve beside one, names the option that chooses another port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "gigas_exporter", "demo", f"--web.listen-address={address}"]
        done = run_program(*command, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"gigas-exporter: cannot listen on {address}: Address already in use (use another --web.listen-address)\n"
    )


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ("{taken}", "cannot listen on {taken}: Address already in use (use another --listen)"),
        ("127.0.0.1:99999", "--listen: must end with a port from 0 to 65535, such as :10063 (see: {help})"),
        ("192.0.2.1:8063", "cannot listen on 192.0.2.1:8063: Cannot assign requested address (use another --listen)"),
        (
            "no.such.invalid:80",
            "cannot listen on no.such.invalid:80: Name or service not known (use another --listen)",
        ),
        (
            "8063",
            "--listen: must be an address with its port, such as :10063, 127.0.0.1:10063 or [::1]:10063 (see: {help})",
        ),
    ],
)
def test_simulate_says_where_it_cannot_listen(listen: str, words: str) -> None:
    """An address that is taken, impossible or no address is wrong use, and never another address in silence."""
    with socket.socket() as socket_:
        socket_.bind(("127.0.0.1", 0))
        socket_.listen()
        filled = {"taken": f"127.0.0.1:{socket_.getsockname()[1]}", "help": "gigas-exporter simulate --help"}
        command = [sys.executable, "-m", "gigas_exporter", "simulate", f"--listen={listen.format(**filled)}"]
        done = run_program(*command, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"gigas-exporter: {words.format(**filled)}\n"


def test_simulate_without_a_host_answers_this_machine_only(tmp_path: Path) -> None:
    """What is worth nothing outside of a simulation is not offered to the network by leaving the host out."""
    command = [sys.executable, "-m", "gigas_exporter", "simulate", "--disks=1", "--listen=:0"]
    with running(command, tmp_path) as process:
        await_true(lambda: "Simulated Gigas API at http://127.0.0.1:" in process.stderr)
        assert process.end() == 0


def ended(process: subprocess.Popen[bytes]) -> int:
    """Ask for the end, and go on asking by each signal in turn until it is there; return the exit status."""
    deadline = time.monotonic() + 15.0
    for number in itertools.cycle(ASKED_AGAIN):
        if process.poll() is not None or time.monotonic() > deadline:
            break
        process.send_signal(number)
        time.sleep(0.005)
    return process.wait(0)


def test_a_defect_that_ends_a_thread_is_one_line(tmp_path: Path, cloud: SimulatorServer) -> None:
    """It is logged like all else, by its kind and place and not its text, and health is lost."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-c", DYING, "serve", f"--web.listen-address={url.removeprefix('http://')}"]
    with running(command, tmp_path, account_environment(cloud)) as process:
        await_true(lambda: process.stderr.count("Unhandled exception in thread") == 1)
        await_true(lambda: requests.get(f"{url}/-/healthy", timeout=5).status_code == 503)
        assert process.end() == 0
    line = r'level=error .*msg="Unhandled exception in thread" thread=poll-scheduler error=RuntimeError'
    assert re.search(line, process.stderr)
    assert "Traceback" not in process.stderr
    assert "canary" not in process.stderr


@pytest.mark.parametrize("threads", [0, 2, 3, 4])
def test_a_start_without_threads_is_one_line(tmp_path: Path, cloud: SimulatorServer, threads: int) -> None:
    """Whichever thread cannot be had, that of a poll, of the server or of the watchdog, it says so and ends."""
    notified = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
    environ = {**notified, **account_environment(cloud), "GIGAS_API_MAX_CONCURRENCY": "1"}
    arguments = (str(threads), "serve", "--web.listen-address=127.0.0.1:0", "--log.level=error")
    done = run_program(sys.executable, "-c", STARVED, *arguments, env=environ, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    said = [line for line in done.stderr.splitlines() if "level=" not in line]
    assert said == ["gigas-exporter: cannot start a thread: the limit on processes or memory is reached"]


def test_demo_shows_every_metric_and_says_how_to_act_on_it(tmp_path: Path) -> None:
    """Metrics have series, but for discovery and what is not understood, and the printed commands can be run."""
    url = f"http://127.0.0.1:{free_port()}"
    program = Path(sys.executable).with_name("gigas-exporter")
    command = [str(program), "demo", f"--web.listen-address={url.removeprefix('http://')}"]
    environ = {**os.environ, "PATH": "/usr/bin:/bin"}
    with running(command, tmp_path, environ) as process:
        await_true(lambda: answers(f"{url}/-/ready"))
        absent = {
            "gigas_account_disks_undecided",
            "gigas_exporter_discovery_success",
            "gigas_exporter_poll_invalid_items",
        }
        await_true(lambda: {family.name for family in FAMILIES} - absent <= shown(url))
        await_true(lambda: "Ctrl-C stops the demo." in process.stderr)
        assert "level=info" not in process.stderr  # it would push the commands off the screen
        exports = re.findall(r"^  (export .*)$", process.stderr, re.MULTILINE)
        for words in ("check", "disks list", "disks list --account 4243"):
            script = "\n".join([*exports, f"gigas-exporter {words}"])
            result = subprocess.run(["sh", "-c", script], env=environ, capture_output=True, timeout=60, check=False)
            assert result.returncode == int(words == "check"), result.stderr
        script = "\n".join([*exports, "gigas-exporter disks show --account production 10003"])
        named = subprocess.run(["sh", "-c", script], env=environ, capture_output=True, timeout=60, check=False)
        assert re.search(rb"^account +production$", named.stdout, re.MULTILINE), named.stderr
        assert ">production</a>" in requests.get(url, timeout=10).text  # one name on the page and for commands


def shown(url: str) -> set[str]:
    """The names of all metrics of which a page has series."""
    page = requests.get(f"{url}/metrics", timeout=10).text
    return {name.removesuffix("_bucket") for name in re.findall(r"^([a-z_]+)(?=[{ ])", page, re.MULTILINE)}


def test_demo_tells_its_own_defaults_and_takes_them() -> None:
    """What its help calls a default is the demo's, not that of serve."""
    command = [sys.executable, "-m", "gigas_exporter", "demo", "--help"]
    text = run_program(*command).stdout
    words = " ".join(text.split())
    assert "[default: 127.0.0.1:10063; env: GIGAS_WEB_LISTEN_ADDRESS]" in words
    assert "[default: 5s; env: GIGAS_POLL_INTERVAL]" in words
    assert "[default: 15s; env: GIGAS_POLL_BACKUPS_INTERVAL]" in words
