"""Tests do not depend on the environment of whoever starts them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.scheduling import WITH, FileScheduling

_MARK = "NO_TEST_MAY_SEE_THIS"
_HOSTILE = {
    "PYTHONUNBUFFERED": "1",
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "PYTHONIOENCODING": "ascii",
    "PYTHONPATH": _MARK,
    "NODE_OPTIONS": "--no-such-option",
    "npm_config_registry": "http://127.0.0.1:9/",
    "https_proxy": "http://127.0.0.1:9/",
    "ALL_PROXY": "socks5://127.0.0.1:9/",
    "GIGAS_CONFIG_FILE": _MARK,
    "LC_ALL": "tr_TR.ISO-8859-9",
    "LANG": "tr_TR.ISO-8859-9",
    "TZ": "Pacific/Chatham",
    "COLUMNS": "20",
    "MAKEFLAGS": "n",
    "GIT_DIR": _MARK,
    "NOTIFY_SOCKET": _MARK,
    "REQUESTS_CA_BUNDLE": _MARK,
}


def test_this_process_is_clean() -> None:
    """The tests' own process has no variable, signal, umask or standard input that its caller bent."""
    seen = [name for name in os.environ if name in _HOSTILE or name.startswith(("GIGAS_", "npm_"))]
    faults = [
        f"variables: {seen}" if seen else "",
        "PYTHONPATH was read" if any(_MARK in folder for folder in sys.path) else "",
        f"encoding: {sys.getfilesystemencoding()}" if sys.getfilesystemencoding() != "utf-8" else "",
        "SIGINT is ignored" if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else "",
        "SIGHUP is ignored" if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else "",
        "SIGTERM is blocked" if signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, []) else "",
        "assertions are left out" if sys.flags.optimize else "",
        "standard input is closed" if sys.__stdin__ is None else "",
        "umask" if os.umask(0o022) != 0o022 else "",
    ]
    assert not any(faults), "; ".join(filter(None, faults))


@pytest.mark.parametrize("processes", ["0", "1"])
def test_what_a_caller_sets_does_not_reach_the_tests(repository: Path, processes: str) -> None:
    """Variables, ignored and blocked signals, a closed standard input and a umask of the caller's change nothing."""
    inner = f"{Path(__file__)}::{test_this_process_is_clean.__name__}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", processes, inner]

    def bend() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        os.umask(0o077)
        os.close(0)

    done = subprocess.run(
        command,
        cwd=repository,
        env={**os.environ, **_HOSTILE},
        preexec_fn=bend,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


_THREADS = """
import sys, threading
sys.path.insert(0, "tests")
from support.kinds import doing_no_more_than
sys.setswitchinterval(1e-6)
threading.settrace(lambda *_: None)
ended = []
with doing_no_more_than("http"):
    for _ in range(150):
        threads = [threading.Thread(target=ended.append, args=(1,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
print(len(ended))
"""


def test_the_watch_over_kinds_ends_no_thread(repository: Path) -> None:
    """All threads run that begin while others do, although tracing begins for each of them."""
    done = subprocess.run(
        [sys.executable, "-c", _THREADS], cwd=repository, capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("1200\n", "")


_FILES = [f"test_{file}.py::test[{number}]" for file in range(4) for number in range(5)]


class _Worker:
    """Runs a test when it knows the next, or that there is none; as pytest-xdist's do."""

    def __init__(self) -> None:
        self.gateway = SimpleNamespace(id="gw")
        self.tests: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, tests: list[int]) -> None:
        self.tests += tests

    def shutdown(self) -> None:
        self.shutting_down = True

    def has_work(self) -> bool:
        return len(self.tests) > (0 if self.shutting_down else 1)


def _distribute(dies: set[str], rng: random.Random) -> tuple[list[str], list[str]]:
    """Run all tests in two workers in some order; return those that ran and those that one died of."""
    options = SimpleNamespace(loadscopereorder=False, maxschedchunk=None)
    config: Any = SimpleNamespace(option=options, getvalue=lambda _: ["popen"] * 2)
    scheduling = FileScheduling(config)
    ran: list[str] = []
    died_of: list[str] = []
    workers: list[Any] = []

    def add() -> None:
        workers.append(_Worker())
        scheduling.add_node(workers[-1])
        scheduling.add_node_collection(workers[-1], _FILES)
        if scheduling.collection_is_completed:
            scheduling.schedule()

    add()
    add()
    while busy := [worker for worker in workers if worker.has_work()]:
        worker = rng.choice(busy)
        index = worker.tests.pop(0)
        if _FILES[index] in dies:
            workers.remove(worker)
            died_of.append(str(scheduling.remove_node(worker)))
            add()
        else:
            ran.append(_FILES[index])
            scheduling.mark_test_complete(worker, index)
    return ran, died_of


@pytest.mark.parametrize("numbers", [(0,), (2,), (3, 4), (4,), (0, 1, 2, 3, 4)], ids=str)
def test_a_run_outlives_its_processes(numbers: tuple[int, ...]) -> None:
    """What a process died of has failed, once; all other tests are run, once, whoever is the quicker."""
    for seed in range(50):
        rng = random.Random(seed)
        dies = {f"test_{rng.randrange(4)}.py::test[{number}]" for number in numbers}
        ran, died_of = _distribute(dies, rng)
        assert sorted(died_of) == sorted(dies)
        assert sorted(ran) == sorted({*_FILES} - dies)


def test_files_that_share_what_is_dear_go_to_one_worker(repository: Path) -> None:
    """They are there, and the others go by themselves."""
    config: Any = SimpleNamespace(getvalue=lambda _: ["popen"])
    scheduling = FileScheduling(config)
    assert all((repository / file).is_file() for pair in WITH.items() for file in pair)
    assert {scheduling._split_scope(f"{file}::test") for file in WITH} == set(WITH.values())
    assert scheduling._split_scope("tests/a/test_a.py::test") == "tests/a/test_a.py"


def test_processes_collect_the_same_tests(request: pytest.FixtureRequest) -> None:
    """At another moment, with another seed of hashes: else a run beside others ends before it begins."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-p",
        "no:cacheprovider",
        *request.config.getini("testpaths"),
    ]
    root = request.config.rootpath
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=True)
    collected = set(done.stdout.splitlines())
    assert len(collected) > len(request.session.items) // 2
    assert [item.nodeid for item in request.session.items if item.nodeid not in collected] == []
