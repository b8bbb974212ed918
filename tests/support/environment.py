"""The one place that frees the tests of what their caller's shell has set.

A test must see the same on every machine: no variable of Python, Node, a proxy, the locale or the exporter itself, no
signal that `nohup` ignores, standard streams that are open. Some of it has had its effect on this process by the time
that anything here runs, so the process is begun anew.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

# Who runs the tests and where, and what is meant for the tests themselves. TERM is only for people, who are not there.
_KEPT = re.compile(
    r"HOME|PATH|USER|LOGNAME|SHELL|TMPDIR|CI|FIELD|GOLDEN|PYTEST_\w+|HYPOTHESIS_\w+|COV_\w+|COVERAGE_\w+"
)
_IGNORABLE = [
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD,
    signal.SIGALRM,
]  # fmt: skip
_UMASK = 0o022
_BEGUN = "PYTEST_BEGUN_ANEW"  # the process that was


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that tests may see; programs of the development environment are found first."""
    kept = {name: value for name, value in environ.items() if _KEPT.fullmatch(name)}
    ours = str(Path(sys.prefix) / "bin")
    others = [folder for folder in kept.get("PATH", os.defpath).split(os.pathsep) if folder and folder != ours]
    # Python itself sets LC_CTYPE where no variable names a locale (PEP 538).
    return {**kept, "PATH": os.pathsep.join([ours, *others]), "LC_CTYPE": "C.UTF-8"}


def is_clean() -> bool:
    """Return whether this process was begun with what tests may see."""
    umask = os.umask(_UMASK)
    return (
        clean(os.environ) == dict(os.environ)
        and umask == _UMASK
        and None not in (sys.__stdin__, sys.__stdout__, sys.__stderr__)
        and not any(signal.getsignal(number) is signal.SIG_IGN for number in _IGNORABLE)
        and not signal.pthread_sigmask(signal.SIG_BLOCK, [])
    )


def begin_anew() -> None:
    """Run this process's own command line again, cleanly. Returns only in a process that this was done for already."""
    environ = clean(os.environ)
    if environ.get(_BEGUN) == str(os.getpid()):  # what Python's own start sets, such as by a .pth file, is left
        os.environ.clear()
        os.environ.update(environ)
        return
    for number in _IGNORABLE:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for descriptor, stream in enumerate((sys.__stdin__, sys.__stdout__, sys.__stderr__)):
        if stream is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            os.set_inheritable(descriptor, True)  # which dup2 leaves out where both are the same
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**environ, _BEGUN: str(os.getpid())})
