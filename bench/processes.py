"""Start, observe and stop the measured programs.

This module knows what the operating system reports about a process, but not what a program does.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Program", "await_true", "describe_machine"]

_LOOK_SECONDS = 0.01
_END_SECONDS = 20.0
_IDLE_CPU_SHARE = 0.02


class Program:
    """A running program, until the end of the block.

    Args:
        log: The file for its output.
    """

    def __init__(self, command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None) -> None:
        self._log = log
        self.started_at = time.perf_counter()
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environ
            )
        self.pid = self._popen.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait(_END_SECONDS)

    def check(self) -> None:
        """Raise if the program has ended, with the end of its output."""
        if self._popen.poll() is not None:
            output = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise RuntimeError(f"{self._popen.args!r} ended with {self._popen.returncode}:\n{output}")

    def cpu_seconds(self) -> float:
        """Return the processor time used so far by all threads."""
        # The id of another process's clock, as in clock_getcpuclockid(3).
        return time.clock_gettime((~self.pid << 3) | 2)

    def memory_bytes(self, field: str = "VmRSS") -> int:
        """Return the resident memory; its peak with ``VmHWM``."""
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0]) << 10
        raise KeyError(field)

    def await_idle(self, seconds: float = 0.3, timeout_seconds: float = 300.0) -> None:
        """Wait until the program is almost idle for ``seconds``."""
        deadline = time.monotonic() + timeout_seconds
        before = self.cpu_seconds()
        while True:
            time.sleep(seconds)
            self.check()
            now = self.cpu_seconds()
            if now - before < seconds * _IDLE_CPU_SHARE:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} did not become idle")
            before = now


def await_true(condition: Callable[[], bool], program: Program, timeout_seconds: float = 300.0) -> None:
    """Wait until a condition holds; raise if it does not in time, or the program ends."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        program.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {program.pid} did not meet the condition within {timeout_seconds:g} s")
        time.sleep(_LOOK_SECONDS)


def describe_machine() -> dict[str, str | int]:
    """Return the facts about the machine on which the figures depend."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_1min": f"{os.getloadavg()[0]:.2f}",
    }
