"""Isolate the tests from their caller's shell.

Tests must see the same environment on every machine: no variables of Python, Node, a proxy, the locale or the exporter,
no signals ignored as by `nohup`, and open standard streams. Some of these have affected this process before any code
here runs, so the process is executed again.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

# The variables of the user and of paths, and those for the tests themselves.
_KEPT = re.compile(
    r"HOME|PATH|USER|LOGNAME|SHELL|TMPDIR|CI|FIELD|GOLDEN|PYTEST_\w+|HYPOTHESIS_\w+|COV_\w+|COVERAGE_\w+"
)
_IGNORABLE = [
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD,
    signal.SIGALRM,
]  # fmt: skip
_UMASK = 0o022
_EXECUTED_AGAIN = "PYTEST_EXECUTED_AGAIN"  # the id of the process that was executed again


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that tests may see, with the development environment first on the PATH."""
    kept = {name: value for name, value in environ.items() if _KEPT.fullmatch(name)}
    ours = str(Path(sys.prefix) / "bin")
    others = [folder for folder in kept.get("PATH", os.defpath).split(os.pathsep) if folder and folder != ours]
    # Python itself sets LC_CTYPE where no variable names a locale (PEP 538).
    return {**kept, "PATH": os.pathsep.join([ours, *others]), "LC_CTYPE": "C.UTF-8"}


def is_clean() -> bool:
    """Return whether this process was started in a clean environment."""
    umask = os.umask(_UMASK)
    return (
        clean(os.environ) == dict(os.environ)
        and umask == _UMASK
        and None not in (sys.__stdin__, sys.__stdout__, sys.__stderr__)
        and not any(signal.getsignal(number) is signal.SIG_IGN for number in _IGNORABLE)
        and not signal.pthread_sigmask(signal.SIG_BLOCK, [])
    )


def execute_again() -> None:
    """Execute this process's command line again in a clean environment; return if that was done already."""
    environ = clean(os.environ)
    if environ.get(_EXECUTED_AGAIN) == str(os.getpid()):  # Python's start-up, such as a .pth file, may have set more
        os.environ.clear()
        os.environ.update(environ)
        return
    for number in _IGNORABLE:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for descriptor, stream in enumerate((sys.__stdin__, sys.__stdout__, sys.__stderr__)):
        if stream is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            os.set_inheritable(descriptor, True)  # dup2 does nothing if both are the same
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**environ, _EXECUTED_AGAIN: str(os.getpid())})
