"""Signals in the first moments, and a standard error that nobody reads."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from lifecycle.conftest import await_polls, seen
from support.programs import account_environment, answers, await_start, exporter, free_port, running
from support.simulator import SimulatorServer
from support.timing import allowed, within

COMMAND = [sys.executable, "-m", "gigas_exporter", "serve", "--web.listen-address=127.0.0.1:0"]


def holds_sigterm(pid: int) -> bool:
    """Whether a Python process blocks or handles SIGTERM now.

    A child that is about to run Python still has its parent's handlers, but does not ignore SIGPIPE as Python does.
    """
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    blocked, ignored, caught = (int(status.split(name)[1].split()[0], 16) for name in ("SigBlk:", "SigIgn:", "SigCgt:"))
    return bool((blocked | caught) & 1 << (signal.SIGTERM - 1) and ignored & 1 << (signal.SIGPIPE - 1))


@pytest.mark.parametrize("delay_seconds", [0.0, 0.1, 0.3, 1.0])
def test_sigterm_in_the_first_second_is_success(tmp_path: Path, cloud: SimulatorServer, delay_seconds: float) -> None:
    """From the moment on at which it is handled, which is before anything large is imported; and within a second."""
    environ = account_environment(cloud)
    with subprocess.Popen(COMMAND, env=environ, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        while not holds_sigterm(process.pid):
            time.sleep(0.001)
        time.sleep(delay_seconds)
        process.terminate()
        assert process.wait(allowed(1)) == 0


def test_it_goes_on_after_it_was_stopped(tmp_path: Path, cloud: SimulatorServer) -> None:
    """As by Ctrl-Z, for longer than it waits for a signal: Python then tells of a signal that never came."""
    url = f"http://127.0.0.1:{free_port()}"
    code = "from gigas_exporter import __main__, app; app._REFRESH_SECONDS = 0.2; __main__.main()"
    command = [sys.executable, "-c", code, "serve", f"--web.listen-address={url.removeprefix('http://')}"]
    with running(command, tmp_path, account_environment(cloud)) as process:
        await_start(process, f"{url}/-/ready")
        for _ in range(3):
            process.popen.send_signal(signal.SIGSTOP)
            time.sleep(0.5)
            process.popen.send_signal(signal.SIGCONT)
            time.sleep(0.1)
        assert answers(f"{url}/metrics")
        assert process.end() == 0


def test_signals_are_held_as_soon_as_python_can(tmp_path: Path, clean: Mapping[str, str]) -> None:
    """Also as a container's first process, to which the kernel delivers nothing that is not waited for.

    A bare interpreter holds them as its first act; the exporter's imports take several times as long as that.
    """
    bare = [sys.executable, "-c", "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); input()"]
    environ = {name: value for name, value in clean.items() if not name.startswith("COVERAGE_")}

    def seconds(command: list[str]) -> float:
        devnull = subprocess.DEVNULL
        with subprocess.Popen(command, env=environ, cwd=tmp_path, stdin=subprocess.PIPE, stdout=devnull) as process:
            began = time.monotonic()
            while not holds_sigterm(process.pid):
                assert process.poll() is None
                time.sleep(0.001)
            took = time.monotonic() - began
            process.kill()
        return took

    least = ours = 60.0
    for _ in range(20):  # a busy machine makes single ones slow
        least, ours = min(least, seconds(bare)), min(ours, seconds([*COMMAND, "--help"]))
        if ours < 2 * least:
            return
    pytest.fail(f"signals are held {ours:.3f} s after the start, by a bare interpreter after {least:.3f} s")


def test_a_log_that_nobody_reads_stops_nothing(tmp_path: Path, cloud: SimulatorServer) -> None:
    """With standard error a full pipe polls, scrapes and the end go on, and what is not written is counted."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 1024)
    os.set_blocking(writing, True)
    flags = ("--poll.interval=1s", "--log.level=debug")
    try:
        with exporter(tmp_path, account_environment(cloud), *flags, log=writing) as served:
            await_polls(served, "4242", 3)
            assert served.answers("/metrics")
            with within(5.0):
                assert served.process.end() == 0
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize(("file", "are_dropped"), [(os.devnull, False), ("/dev/full", True)])
def test_dropped_lines_are_counted(tmp_path: Path, cloud: SimulatorServer, file: str, are_dropped: bool) -> None:
    """Those that a full disk does not take, too; the counter is there at 0."""
    with Path(file).open("wb") as stream, exporter(tmp_path, account_environment(cloud), log=stream) as served:
        assert (seen(served, "gigas_exporter_log_lines_dropped_total") != 0) == are_dropped
