"""The exporter works inside what the systemd unit takes away; shown without systemd running as process 1."""

from __future__ import annotations

import ctypes
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.programs import free_port

_PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE, _PR_GET_MDWE = 38, 65, 66
_EXEC_WITHOUT = f"""
import ctypes, os, sys
libc = ctypes.CDLL(None)
assert libc.prctl({_PR_SET_MDWE}, 1, 0, 0, 0) == 0 and libc.prctl({_PR_SET_NO_NEW_PRIVS}, 1, 0, 0, 0) == 0
os.umask(0o077)
os.execv(sys.executable, [sys.executable, "-m", "gigas_exporter", *sys.argv[1:]])
"""


def _get(url: str) -> str:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextmanager
def _running(*command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _look_at_everything(port: int) -> None:
    assert _get(f"http://127.0.0.1:{port}/-/ready")
    assert "\ngigas_disk_info{" in _get(f"http://127.0.0.1:{port}/metrics")
    assert "<html" in _get(f"http://127.0.0.1:{port}/")


def _kernel_can_deny_write_and_execute() -> bool:
    asked = ctypes.CDLL(None).prctl(_PR_GET_MDWE, 0, 0, 0, 0)
    return int(asked) >= 0


@pytest.mark.skipif(not _kernel_can_deny_write_and_execute(), reason="needs Linux 6.3")
def test_it_runs_without_writable_code() -> None:
    """No library that it loads needs memory that is writable and executable, nor new privileges."""
    port = free_port()
    arguments = ("demo", "--web.listen-address", f"127.0.0.1:{port}")
    with _running(sys.executable, "-c", _EXEC_WITHOUT, *arguments) as process:
        _look_at_everything(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def _calls_of(analyze: str, group: str) -> set[str]:
    """Return the system calls of one of systemd's groups, which contain groups themselves."""
    listed = subprocess.run(
        [analyze, "syscall-filter", group], stdout=subprocess.PIPE, text=True, check=True, timeout=30
    )
    names = [line.strip() for line in listed.stdout.splitlines()[1:]]
    calls = {name for name in names if name and not name.startswith(("#", "@"))}
    return calls.union(*(_calls_of(analyze, name) for name in names if name.startswith("@")))


def _filtered(unit: Path, analyze: str) -> set[str]:
    allowed = _calls_of(analyze, "@default")
    for line in re.findall(r"^SystemCallFilter=(.+)$", unit.read_text(encoding="utf-8"), re.MULTILINE):
        groups = set[str]().union(*(_calls_of(analyze, group) for group in line.lstrip("~").split()))
        allowed = allowed - groups if line.startswith("~") else allowed | groups
    return allowed


def test_it_makes_only_system_calls_that_the_unit_allows(
    repository: Path, tmp_path: Path, program: Callable[[str], str]
) -> None:
    """From its start over polls and scrapes to its end, strace sees no system call that the filter would refuse."""
    port = free_port()
    trace = tmp_path / "trace"
    options = ("-f", "-qq", "-e", "signal=none", "-o", trace)
    command = (sys.executable, "-m", "gigas_exporter", "demo", "--web.listen-address", f"127.0.0.1:{port}")
    with _running(program("strace"), *options, *command) as process:
        _look_at_everything(port)
        exporter = int(trace.read_text(encoding="utf-8").split(None, 1)[0])
        subprocess.run(["kill", "-TERM", str(exporter)], check=True)
        assert process.wait(timeout=10) == 0
    made = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(encoding="utf-8", errors="replace"), re.MULTILINE))
    assert {"accept4", "execve", "sendto"} & made
    allowed = _filtered(repository / "deploy/systemd/gigas-exporter.service", program("systemd-analyze"))
    assert made - allowed == set()
