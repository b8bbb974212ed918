"""The scripts behind make: what they say and do when something is missing, old, or not permitted."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.programs import run_program

Run = Callable[..., subprocess.CompletedProcess[str]]


def _link(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).symlink_to(f"/usr/bin/{name}" if Path(f"/usr/bin/{name}").exists() else f"/bin/{name}")


@pytest.fixture
def bin_directory(tmp_path: Path) -> Path:
    """Return a directory that is the whole PATH but for what scripts of any kind need."""
    directory = tmp_path / "bin"
    directory.mkdir()
    _link(directory, "bash", "dirname", "env", "grep", "mktemp", "rm", "sort", "tail", "basename")
    return directory


@pytest.fixture
def run(bin_directory: Path, repository: Path) -> Run:
    def run_script(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": str(bin_directory), "HOME": "/nonexistent"}
        return run_program(repository / "scripts" / name, *arguments, env=environ, check=False)

    return run_script


def _program(path: Path, text: str) -> Path:
    path.write_text(f"#!/usr/bin/env bash\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_python_that_will_do_is_found(run: Run, bin_directory: Path) -> None:
    """The first Python on the PATH that is new enough is taken, and older ones passed over."""
    _program(bin_directory / "python3", "exit 1")
    (bin_directory / "python3.12").symlink_to(sys.executable)
    done = run("find-python")
    assert (done.returncode, done.stdout.strip()) == (0, str(bin_directory / "python3.12"))


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("", "apt install python3 python3-venv"),
        (
            "[[ $2 == *version_info\\ \\<* ]] && exit 1; echo 3.9",
            "error: Python 3.11 or newer is needed; found only BIN/python3 (3.9).",
        ),
    ],
    ids=["none", "an old one"],
)
def test_no_python_that_will_do_is_one_line(run: Run, bin_directory: Path, python: str, message: str) -> None:
    """It says what to install, and names an old one with its version."""
    if python:
        _program(bin_directory / "python3", python)
    done = run("find-python")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert message.replace("BIN", str(bin_directory)) in line


def test_a_python_without_venv_is_explained(run: Run, bin_directory: Path, tmp_path: Path) -> None:
    """Debian's Python without its venv package, and no way to install it: one line says which package."""
    _program(bin_directory / "python3", 'case $2 in *ensurepip*) exit 1;; *"%d.%d"*) echo 3.11;; esac')
    done = run("create-venv", tmp_path / "venv", tmp_path / "lock.txt")
    assert done.returncode == 1
    assert "apt install python3.11-venv" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "venv").exists()


def test_only_where_packages_come_from_is_the_callers(bin_directory: Path, repository: Path, tmp_path: Path) -> None:
    """Of pip's variables those that would install elsewhere, or nothing, are not seen."""
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "lock.txt").write_text("a==1\n", encoding="utf-8")
    _program(tmp_path / "venv/bin/python", f"env | grep ^PIP_ | sort >{tmp_path}/seen")
    _link(bin_directory, "cat")
    kept = {"PIP_CERT": "c", "PIP_EXTRA_INDEX_URL": "e", "PIP_FIND_LINKS": "l", "PIP_INDEX_URL": "i", "PIP_PROXY": "p"}
    others = ("CONSTRAINT", "DRY_RUN", "NO_BINARY", "NO_DEPS", "PREFIX", "ROOT", "TARGET", "USER")
    environ = {"PATH": str(bin_directory), **kept, **{f"PIP_{name}": "1" for name in others}}
    command = ["--without-package", str(tmp_path / "venv"), str(tmp_path / "lock.txt")]
    run_program(repository / "scripts/create-venv", *command, env=environ)
    seen = (tmp_path / "seen").read_text(encoding="utf-8").splitlines()
    assert seen == [f"{name}={value}" for name, value in sorted((kept | {"PIP_USER": "0"}).items())]


@pytest.mark.parametrize(("home", "cache"), [(".", ""), ("nowhere", "build/npm")], ids=["writable", "not there"])
def test_npm_needs_no_home_to_write_to(repository: Path, tmp_path: Path, home: str, cache: str) -> None:
    """Its cache is in the project's folder then."""
    for folder in ("scripts", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    script = shutil.copy(repository / "scripts/install-node-packages", tmp_path / "scripts")
    _program(tmp_path / ".venv/bin/npm", 'echo "${NPM_CONFIG_CACHE:-}"')
    environ = {"PATH": os.defpath, "HOME": str(tmp_path / home)}
    assert run_program(script, str(tmp_path), env=environ).stdout == f"{tmp_path / cache if cache else ''}\n"


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root, as a container's user is")


@as_root
def test_packages_are_installed_as_root(run: Run, bin_directory: Path, tmp_path: Path) -> None:
    """Root's apt-get is asked for an update and then for the packages, with nothing recommended and no question."""
    calls = tmp_path / "calls"
    _program(bin_directory / "apt-get", f'echo "$*" >>{calls}')
    _link(bin_directory, "chmod", "tee")
    had_policy = Path("/usr/sbin/policy-rc.d").exists()
    done = run("install-packages", "prometheus", "curl")
    assert done.returncode == 0, done.stderr
    update, simulate, install = calls.read_text(encoding="utf-8").splitlines()
    assert update.endswith(" update")
    assert simulate.endswith(" install --yes --no-install-recommends --simulate prometheus curl")
    assert done.stdout == "installing 0 Debian packages, including dependencies: prometheus curl\n"
    assert install.endswith(" install --yes --no-install-recommends prometheus curl")
    assert Path("/usr/sbin/policy-rc.d").exists() is had_policy


@pytest.mark.parametrize(
    ("apt_get", "reason"),
    [
        ("", "no apt-get here"),
        pytest.param(
            'echo "Reading lists"; echo "E: Unable to locate package prometheus" >&2; exit 100',
            "E: Unable to locate package prometheus",
            marks=as_root,
        ),
    ],
    ids=["no apt-get", "its own error"],
)
def test_a_failed_installation_is_one_line(run: Run, bin_directory: Path, apt_get: str, reason: str) -> None:
    """It says why."""
    if apt_get:
        _program(bin_directory / "apt-get", apt_get)
        _link(bin_directory, "chmod", "tee")
    done = run("install-packages", "prometheus")
    assert (done.returncode, done.stderr) == (1, f"cannot install prometheus: {reason}\n")


def test_missing_tools_do_not_stop_a_developer(run: Run) -> None:
    """What cannot be installed is named in one line that says what follows, and the tests go on."""
    done = run("install-tools")
    assert done.returncode == 0
    packages = "chromium curl jq openssl prometheus prometheus-alertmanager strace systemd"
    assert done.stderr.splitlines()[-1].startswith(f"missing: {packages} — ")


@pytest.mark.parametrize(
    ("versions", "error"),
    [
        ({}, ""),
        (
            {"prometheus": "prometheus, version 3.5.3+ds1 (branch: debian/sid)", "openssl": "OpenSSL 3.5.1 1 Jul 2025"},
            "",
        ),
        (
            {"prometheus": "prometheus, version 2.9.1+ds (branch: debian/sid)"},
            "error: prometheus is 2.9, and the tests need 2.42 or newer (package prometheus)\n",
        ),
        (
            {"amtool": "amtool, version 0.24.0", "openssl": "OpenSSL 1.1.1w  11 Sep 2023", "promtool": "cannot start"},
            (
                "error: promtool does not say its version, and the tests need 2.42 or newer (package prometheus)\n"
                "error: amtool is 0.24, and the tests need 0.25 or newer (package prometheus-alertmanager)\n"
                "error: openssl is 1.1, and the tests need 3.0 or newer (package openssl)\n"
            ),
        ),
    ],
    ids=["there", "newer", "too old", "several"],
)
def test_tools_that_are_there_need_no_word_unless_too_old(
    run: Run, bin_directory: Path, repository: Path, versions: dict[str, str], error: str
) -> None:
    """Nothing is installed and nothing said, but of what is too old or does not start, which ends the run at once."""
    text = (repository / "scripts/install-tools").read_text(encoding="utf-8")
    names = re.findall(r"^    ([\w-]+)=[\w-]+=[\d.]*$", text, re.MULTILINE)
    assert "prometheus" in names
    for name in names:
        _program(bin_directory / name, f"echo '{versions.get(name, '999.0')}'")
    done = run("install-tools")
    assert (done.returncode, done.stdout, done.stderr) == (int(bool(error)), "", error)


@pytest.mark.parametrize(
    "name", ["create-venv", "install-packages", "install-node-packages", "build-dist", "write-sbom"]
)
def test_wrong_usage_is_told(run: Run, name: str) -> None:
    """A script without its arguments says how it is used and exits 2."""
    done = run(name)
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: scripts/{name} ")


@pytest.mark.parametrize(
    ("lines", "branches", "status"),
    [((96, 100), (96, 100), 0), ((99, 100), (94, 100), 1), ((94, 100), (99, 100), 1), ((95, 100), (0, 0), 0)],
)
def test_lines_and_branches_count_by_themselves(
    repository: Path, tmp_path: Path, lines: tuple[int, int], branches: tuple[int, int], status: int
) -> None:
    """Many covered lines do not make up for branches that are not, nor the other way round."""
    names = ("covered_lines", "num_statements", "covered_branches", "num_branches")
    report = tmp_path / "coverage.json"
    report.write_text(json.dumps({"totals": dict(zip(names, (*lines, *branches), strict=True))}), encoding="utf-8")
    done = run_program(sys.executable, repository / "scripts/coverage_gate.py", report, "95", check=False)
    assert done.returncode == status
    assert bool(done.stderr) is bool(status)


def test_make_lists_its_targets(repository: Path) -> None:
    """`make` alone does nothing but to list the targets, each with what it does."""
    outside_make = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = run_program("make", cwd=repository, env=outside_make)
    listed = re.findall(r"^  make ([a-z-]+) +\S", done.stdout, re.MULTILINE)
    assert {"demo", "test", "lint", "bench", "soak", "dashboards", "docs", "dist", "audit", "lock"} <= set(listed)
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    assert set(listed) == set(re.findall(r"^\.PHONY: ([a-z-]+)$", makefile, re.MULTILINE))


def test_what_make_runs_is_there(repository: Path) -> None:
    """Each script and program of the repository that the Makefile calls exists."""
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    called = set(re.findall(r"(?:(?<=[\s@])scripts/[\w.-]+|(?<=\(PYTHON\) )[a-z]+(?:/[\w.-]+)*)", makefile))
    assert "scripts/create-venv" in called
    assert [path for path in sorted(called) if not (repository / path).exists()] == []
