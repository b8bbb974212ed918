"""Standard output that takes nothing, or not every character: told in one line, escaped, and never a success."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.test_cli_main import COMMANDS
from support.programs import account_environment
from support.simulator import SimulatorServer

_COMMANDS = {
    **{f"{name} --help".strip(): 1 for name in ("", *COMMANDS)},
    "--version": 1,
    "disks list": 1,
    "disks list --output json": 1,
    "disks show 10001": 1,
    "disks edit 10001 --mount-point /x --yes": 1,
    "probe": 1,
    "collect": 1,
    "config init": 1,
    "config show": 1,
    "config check good.yml": 1,
    "dashboards written": 1,
    "alerts written": 1,
    "simulate --listen 127.0.0.1:0": 1,
    "demo --web.listen-address 127.0.0.1:0": 1,
    "check --help": 1,
    "check --nagios -h": 1,
    "check": 2,
    "check --output csv": 2,
    "check --nagios": 3,
}
_MOUNT = "größe\u4e16"  # umlauts are in Latin-1, the other is not
# The program as Python begins and ends it, from a process that has imported it: it costs a tenth of a start.
_FORKING = """
import gc, json, os, sys
from importlib import import_module
from gigas_exporter.__main__ import main
for name in ("main", "serve", "demo", "collect", "check", "probe", "disks", "config", "bundled_files"):
    import_module(f"gigas_exporter.cli.{name}")
gc.freeze()
for line in sys.stdin:
    task = json.loads(line)
    child = os.fork()
    if child == 0:
        break
    answer = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(1, f"{answer}\\n".encode())
else:
    sys.exit()
os.environ |= task["environ"]
os.chdir(task["directory"])
sys.argv[1:] = task["arguments"]
os.dup2(os.open("stderr", os.O_WRONLY | os.O_CREAT), 2)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
if task["file"] is None:
    os.close(1)
    sys.stdout = sys.__stdout__ = None  # as Python does
else:
    os.dup2(os.open(task["file"], os.O_WRONLY | os.O_CREAT), 1)
    sys.stdout.reconfigure(encoding=task["encoding"])  # as PYTHONIOENCODING does
sys.exit(main())
"""


class _Forking:
    """Runs commands, each in a child of one process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(
        self, directory: Path, environ: Mapping[str, str], *arguments: str, file: str | None, encoding: str = "utf-8"
    ) -> tuple[int, list[str]]:
        """Run a command with standard output going into a file, or closed; return its status and what stderr got."""
        task = {"arguments": arguments, "environ": environ, "directory": str(directory), "file": file}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({**task, "encoding": encoding}) + "\n")
        status = int(self._process.stdout.readline())
        return status, (directory / "stderr").read_text(encoding="utf-8").splitlines()


@contextmanager
def _forking(**environ: str) -> Iterator[_Forking]:
    command, pipe = [sys.executable, "-c", _FORKING], subprocess.PIPE
    with subprocess.Popen(
        command, env={**os.environ, **environ}, stdin=pipe, stdout=pipe, text=True, bufsize=1
    ) as process:
        yield _Forking(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def buffered() -> Iterator[_Forking]:
    """Commands as a shell starts them."""
    with _forking() as forking:
        yield forking


@pytest.fixture(scope="module")
def unbuffered() -> Iterator[_Forking]:
    """Commands as a container starts them."""
    with _forking(PYTHONUNBUFFERED="1") as forking:
        yield forking


_CASES = [
    *(("buffered", "full", command) for command in _COMMANDS),
    *(("buffered", "closed", command) for command in _COMMANDS if not command.endswith("--help")),
    *(("unbuffered", "full", command) for command in ("--help", "collect", "check", "check --nagios")),
    *(("unbuffered", "closed", command) for command in ("--help", "check")),
]


@pytest.mark.parametrize("case", _CASES, ids=" ".join)
def test_what_cannot_be_written_is_one_line_and_no_success(
    cloud: SimulatorServer, request: pytest.FixtureRequest, tmp_path: Path, case: tuple[str, str, str]
) -> None:
    """Each command says it in one line and exits with what it has for a failure, however Python buffers."""
    buffering, output, command = case
    forking: _Forking = request.getfixturevalue(buffering)
    (tmp_path / "good.yml").write_text("accounts: [{id: 1, api_key: k}]", encoding="utf-8")
    environ = {} if command.startswith("config check") else account_environment(cloud)
    status, (*others, last) = forking.run(
        tmp_path, environ, *command.split(), file="/dev/full" if output == "full" else None
    )
    words = "No space left on device" if output == "full" else "standard output is closed"
    assert last == f"gigas-exporter: cannot write: {words}"
    assert status == _COMMANDS[command]
    if "--yes" in command:  # which disk it is, and what is done to it
        assert "This disk will be changed. Some changes need a reboot." in others
    else:
        assert len([line for line in others if " level=warn " not in line]) <= 1  # a summary beside records


@pytest.fixture
def written(cloud: SimulatorServer, buffered: _Forking, tmp_path: Path) -> Callable[[str, str], bytes]:
    """List disks, one of which has a mount point of many scripts, with standard output in an encoding."""
    cloud.world.change_disk(cloud.world.disks("4242")[0].id, mount_point=_MOUNT)

    def run(encoding: str, form: str) -> bytes:
        command = ("disks", "list", "--output", form)
        done = buffered.run(tmp_path, account_environment(cloud), *command, file="stdout", encoding=encoding)
        assert done == (0, [])
        return (tmp_path / "stdout").read_bytes()

    return run


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252"])
@pytest.mark.parametrize(("form", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_read_the_same_whatever_the_encoding(
    written: Callable[[str, str], bytes], encoding: str, form: str, load: Callable[[str], Any]
) -> None:
    """What an encoding lacks is escaped as JSON and YAML escape it."""
    records = load(written(encoding, form).decode(encoding))
    assert _MOUNT in [record["mount_point"] for record in records]


@pytest.mark.parametrize("form", ["table", "csv"])
@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8", _MOUNT), ("latin-1", r"größe\u4e16")],
)
def test_people_see_an_escape_and_no_defect(
    written: Callable[[str, str], bytes], encoding: str, form: str, shown: str
) -> None:
    """A character that the terminal's encoding lacks is written as its number, and all others as they are."""
    assert shown in written(encoding, form).decode(encoding)
