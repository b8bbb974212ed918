"""The exporter works inside what the systemd unit takes away; shown without systemd running as process 1."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from support.programs import Process, await_start, free_port, run_program, running, tool

_PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE, _PR_GET_MDWE = 38, 65, 66
_EXEC_WITHOUT = f"""
import ctypes, os, sys
libc = ctypes.CDLL(None)
assert libc.prctl({_PR_SET_MDWE}, 1, 0, 0, 0) == 0 and libc.prctl({_PR_SET_NO_NEW_PRIVS}, 1, 0, 0, 0) == 0
os.umask(0o077)
os.execv(sys.executable, [sys.executable, "-m", "gigas_exporter", *sys.argv[1:]])
"""


@contextmanager
def _demo(directory: Path, *before: str | Path) -> Iterator[Process]:
    """Run the demo behind other words of a command, and look at all that it serves."""
    port = free_port()
    with running([*map(str, before), "demo", "--web.listen-address", f"127.0.0.1:{port}"], directory) as process:
        for path, part in (("/-/ready", ""), ("/metrics", "\ngigas_disk_info{"), ("/", "<html")):
            await_start(process, f"http://127.0.0.1:{port}{path}")
            assert part in requests.get(f"http://127.0.0.1:{port}{path}", timeout=5).text
        yield process


def _kernel_can_deny_write_and_execute() -> bool:
    asked = ctypes.CDLL(None).prctl(_PR_GET_MDWE, 0, 0, 0, 0)
    return int(asked) >= 0


@pytest.mark.skipif(not _kernel_can_deny_write_and_execute(), reason="needs Linux 6.3")
def test_it_runs_without_writable_code(tmp_path: Path) -> None:
    """No library that it loads needs memory that is writable and executable, nor new privileges."""
    with _demo(tmp_path, sys.executable, "-c", _EXEC_WITHOUT) as process:
        assert process.end(seconds=10) == 0


def _calls_of(analyze: str, group: str) -> set[str]:
    """Return the system calls of one of systemd's groups, which contain groups themselves."""
    listed = run_program(analyze, "syscall-filter", group, seconds=30)
    names = [line.strip() for line in listed.stdout.splitlines()[1:]]
    calls = {name for name in names if name and not name.startswith(("#", "@"))}
    return calls.union(*(_calls_of(analyze, name) for name in names if name.startswith("@")))


def _filtered(unit: Path, analyze: str) -> set[str]:
    allowed = _calls_of(analyze, "@default")
    for line in re.findall(r"^SystemCallFilter=(.+)$", unit.read_text(encoding="utf-8"), re.MULTILINE):
        groups = set[str]().union(*(_calls_of(analyze, group) for group in line.lstrip("~").split()))
        allowed = allowed - groups if line.startswith("~") else allowed | groups
    return allowed


def test_it_makes_only_system_calls_that_the_unit_allows(repository: Path, tmp_path: Path) -> None:
    """From its start over polls and scrapes to its end, strace sees no system call that the filter would refuse."""
    trace = tmp_path / "trace"
    options = ("-f", "-qq", "-e", "signal=none", "-o", trace)
    with _demo(tmp_path, tool("strace"), *options, sys.executable, "-m", "gigas_exporter") as process:
        os.kill(int(trace.read_text(encoding="utf-8").split(None, 1)[0]), signal.SIGTERM)
        assert process.popen.wait(timeout=10) == 0
    made = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(encoding="utf-8", errors="replace"), re.MULTILINE))
    assert {"accept4", "execve", "sendto"} & made
    allowed = _filtered(repository / "deploy/systemd/gigas-exporter.service", tool("systemd-analyze"))
    assert made - allowed == set()
