"""Standard output that takes nothing, or not every character: told in one line, escaped, and never a success."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from support.programs import account_environment
from support.simulator import SimulatorServer

_COMMANDS = {
    "--help": 1,
    "--version": 1,
    "collect --help": 1,
    "check --help": 1,
    "disks list": 1,
    "disks list --output json": 1,
    "collect": 1,
    "simulate --listen 127.0.0.1:0": 1,
    "demo --web.listen-address 127.0.0.1:0": 1,
    "check": 2,
    "check --output csv": 2,
    "check --nagios": 3,
}
_PROGRAM = [sys.executable, "-m", "gigas_exporter"]
_MOUNT = "größe\u4e16"  # umlauts are in Latin-1, the other is not


def _full() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    os.dup2(descriptor, 1)


def _closed() -> None:
    os.close(1)


@pytest.mark.parametrize(
    ("make", "words"),
    [(_full, "No space left on device"), (_closed, "standard output is closed")],
    ids=["full", "closed"],
)
@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [*((command, False) for command in _COMMANDS), *((command, True) for command in ("--help", "collect", "check"))],
)
def test_what_cannot_be_written_is_one_line_and_no_success(
    cloud: SimulatorServer, command: str, make: Callable[[], None], words: str, *, unbuffered: bool
) -> None:
    """Each command says it in one line and exits with what it has for a failure, however Python buffers."""
    done = subprocess.run(
        [*_PROGRAM, *command.split()],
        env=account_environment(cloud, **({"PYTHONUNBUFFERED": "1"} if unbuffered else {})),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=make,
        text=True,
        timeout=60,
        check=False,
    )
    *others, last = done.stderr.splitlines()
    assert last == f"gigas-exporter: cannot write: {words}"
    assert done.returncode == _COMMANDS[command]
    assert len(others) <= 1  # what `check --output csv` says beside its records


@pytest.fixture
def written(cloud: SimulatorServer) -> Callable[[str, str], bytes]:
    """List disks, one of which has a mount point of many scripts, with standard output in an encoding."""
    cloud.world.change_disk(cloud.world.disks("4242")[0].id, mount_point=_MOUNT)

    def run(encoding: str, form: str) -> bytes:
        done = subprocess.run(
            [*_PROGRAM, "disks", "list", "--output", form],
            env=account_environment(cloud, PYTHONIOENCODING=encoding),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout

    return run


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252"])
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
    [("utf-8", _MOUNT), ("ascii", r"gr\u00f6\u00dfe\u4e16"), ("latin-1", r"größe\u4e16")],
)
def test_people_see_an_escape_and_no_defect(
    written: Callable[[str, str], bytes], encoding: str, form: str, shown: str
) -> None:
    """A character that the terminal's encoding lacks is written as its number, and all others as they are."""
    assert shown in written(encoding, form).decode(encoding)
