"""Tests do not depend on the environment of whoever starts them."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.programs import run_program
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


def _bent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    os.umask(0o077)
    os.close(0)


def _without_outputs() -> None:
    os.close(1)
    os.close(2)


@pytest.mark.parametrize(("bend", "said"), [(_bent, "1 passed"), (_without_outputs, "")])
def test_what_a_caller_sets_does_not_reach_the_tests(repository: Path, bend: Callable[[], None], said: str) -> None:
    """Variables, signals and a umask of the caller's change nothing; with closed outputs the exit status tells."""
    inner = f"{Path(__file__)}::{test_this_process_is_clean.__name__}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n1", inner]
    environ = {**os.environ, **_HOSTILE}
    assert said in run_program(*command, seconds=120, cwd=repository, env=environ, preexec_fn=bend).stdout


def test_what_make_runs_sees_nothing_that_ends_it(repository: Path, tmp_path: Path) -> None:
    """A caller's BASH_ENV, CDPATH, LC_ALL=C and variables of Python reach no recipe, but PYTHON_BOOTSTRAP does."""
    (tmp_path / "env.sh").write_text("exit 7\n", encoding="utf-8")
    bash = {"BASH_ENV": str(tmp_path / "env.sh"), "CDPATH": "/", "LC_ALL": "C"}
    hostile = {**bash, "PYTHONHOME": _MARK, "PYTHONUTF8": _MARK}
    environ = {**os.environ, **hostile, "PYTHON_BOOTSTRAP": "a"}
    done = run_program("make", "-s", "--eval=seen:\n\t@env", "seen", cwd=repository, env=environ)
    seen = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert "PYTHON_BOOTSTRAP" in seen
    assert seen.isdisjoint(hostile)


def test_make_that_only_prints_creates_no_environment(repository: Path, tmp_path: Path) -> None:
    """Where there is none."""
    done = run_program("make", "--dry-run", "demo", f"VENV={tmp_path}/venv", cwd=repository)
    assert f"scripts/create-venv {tmp_path}/venv" in done.stdout
    assert not list(tmp_path.iterdir())


def test_git_changes_no_line_ends(repository: Path, tmp_path: Path) -> None:
    """Also where a person's configuration says so: no script would start."""
    (tmp_path / "script").write_bytes(b"#!/bin/sh\n")
    shutil.copy(repository / ".gitattributes", tmp_path)
    git = ["git", "-c", "core.autocrlf=true"]
    run_program(*git, "init", "--quiet", cwd=tmp_path)
    run_program(*git, "add", ".", cwd=tmp_path)
    (tmp_path / "script").unlink()
    run_program(*git, "checkout", "--quiet", "--", "script", cwd=tmp_path)
    assert (tmp_path / "script").read_bytes() == b"#!/bin/sh\n"


def test_files_that_share_what_is_dear_go_to_one_worker(repository: Path) -> None:
    """They are there, and the others go by themselves."""
    config: Any = SimpleNamespace(getvalue=lambda _: ["popen"])
    scheduling = FileScheduling(config)
    assert all((repository / file).is_file() for pair in WITH.items() for file in pair)
    assert {scheduling._split_scope(f"{file}::test") for file in WITH} == set(WITH.values())
    assert scheduling._split_scope("tests/a/test_a.py::test") == "tests/a/test_a.py"


def test_processes_collect_the_same_tests(request: pytest.FixtureRequest) -> None:
    """At another moment, with another seed of hashes: else a run beside others ends before it begins."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    folders = request.config.getini("testpaths")
    collected = set(run_program(*command, *folders, seconds=300, cwd=request.config.rootpath).stdout.splitlines())
    assert len(collected) > len(request.session.items) // 2
    assert [item.nodeid for item in request.session.items if item.nodeid not in collected] == []
