"""The file that ``collect`` writes: whole or as it was, whatever happens in between."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lifecycle.conftest import Run
from support.programs import account_environment, await_true, running
from support.simulator import SimulatorServer

Collect = Callable[[str | Path], "subprocess.CompletedProcess[str]"]

OLD = "# what was there before\n"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A file of an earlier run."""
    directory = tmp_path / "textfiles"
    directory.mkdir()
    (directory / "gigas.prom").write_text(OLD, encoding="utf-8")
    return directory / "gigas.prom"


@pytest.fixture
def collect(run: Run, cloud: SimulatorServer) -> Collect:
    """Run the command to its end, with an output."""
    return lambda output: run("collect", "--output", str(output), environ=account_environment(cloud))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
def test_whoever_kills_it_finds_the_old_file(
    tmp_path: Path, cloud: SimulatorServer, output: Path, collect: Collect, number: signal.Signals
) -> None:
    """Killed in the middle, the old file is whole, nothing else lies about, and the next run replaces it."""
    hang = cloud.faults.add("hang", "list_backups")
    command = [sys.executable, "-m", "gigas_exporter", "collect", "--output", str(output)]
    with running(command, tmp_path, account_environment(cloud)) as process:
        await_true(lambda: cloud.requests["list_backups"])
        process.end(number)
    assert output.read_text(encoding="utf-8") == OLD
    assert [each.name for each in output.parent.iterdir()] == [output.name]
    cloud.faults.remove(hang)
    assert collect(output).returncode == 0
    assert "gigas_disk_info{" in output.read_text(encoding="utf-8")


def test_a_reader_never_sees_half_a_file(
    tmp_path: Path, cloud: SimulatorServer, output: Path, collect: Collect
) -> None:
    """Runs that are killed at any moment leave the old file or the new one, never a piece."""
    command = [sys.executable, "-m", "gigas_exporter", "collect", "--output", str(output)]
    collect(output)
    whole = output.read_text(encoding="utf-8").count("\n")
    for delay in (0.6, 0.8, 1.0, 1.2):
        with running(command, tmp_path, account_environment(cloud)) as process:
            time.sleep(delay)
            process.popen.kill()
            process.popen.wait(10)
        text = output.read_text(encoding="utf-8")
        assert text.endswith("\n")
        assert abs(text.count("\n") - whole) < whole / 10


def test_a_full_disk_is_one_line(cloud: SimulatorServer, output: Path, run: Run) -> None:
    """Where no more can be written the old file stays, nothing half-written does, and the exit status is 1."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    environ = account_environment(
        cloud, PYTHONDONTWRITEBYTECODE="1", COVERAGE_PROCESS_START="", COVERAGE_PROCESS_CONFIG=""
    )
    done = run("collect", "--output", str(output), environ=environ, preexec_fn=limit)
    assert done.returncode == 1
    assert done.stderr == f"gigas-exporter: cannot write {output}: File too large\n"
    assert output.read_text(encoding="utf-8") == OLD
    assert [each.name for each in output.parent.iterdir()] == [output.name]


@pytest.mark.parametrize("command", ["collect --output {}/gigas.prom", "dashboards {}", "alerts {}"])
def test_a_read_only_file_system_is_one_line(cloud: SimulatorServer, tmp_path: Path, command: str) -> None:
    """A mount in a namespace of its own; the path and the reason are named, and the exit status is 1."""
    script = 'mount -t tmpfs -o ro none "$1" || exit 77; shift; exec "$@"'
    line = [sys.executable, "-m", "gigas_exporter", *command.format(tmp_path).split()]
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(tmp_path), *line],
        env=account_environment(cloud),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip("no user namespaces here")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("gigas-exporter: cannot ")
    assert str(tmp_path) in done.stderr
    assert "Read-only file system" in done.stderr


def test_a_directory_that_is_not_there_is_one_line(tmp_path: Path, collect: Collect) -> None:
    """Nothing is made up: the path is named and the exit status is 1."""
    done = collect(tmp_path / "nowhere" / "gigas.prom")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No such file or directory" in done.stderr


def test_a_link_goes_on_pointing_to_its_file(tmp_path: Path, output: Path, collect: Collect) -> None:
    """What it points to is replaced, whole, and the link itself is not."""
    link = tmp_path / "link.prom"
    link.symlink_to(output)
    assert collect(link).returncode == 0
    assert link.readlink() == output
    assert "gigas_disk_info{" in output.read_text(encoding="utf-8")


def test_a_dash_is_standard_output(tmp_path: Path, collect: Collect) -> None:
    """No file of that name is made."""
    done = collect("-")
    assert done.returncode == 0
    assert "gigas_disk_info{" in done.stdout
    assert not (tmp_path / "-").exists()
    assert collect("./-").stdout == ""
    assert "gigas_disk_info{" in (tmp_path / "-").read_text(encoding="utf-8")


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path, collect: Collect) -> None:
    """A pipe takes the metrics, and standard output does under its name in /dev, which stays what it was."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        try:
            done = collect(pipe)
            shown, _ = reader.communicate(timeout=10)
        finally:
            reader.kill()
    assert (done.returncode, pipe.is_fifo()) == (0, True)
    assert "gigas_disk_info{" in shown
    output = tmp_path / "stdout"
    output.symlink_to("/proc/self/fd/1")
    done = collect(output)
    assert (done.returncode, output.is_symlink()) == (0, True)
    assert "gigas_disk_info{" in done.stdout


def test_standard_output_that_is_appended_to_a_file_keeps_the_file(
    tmp_path: Path, cloud: SimulatorServer, output: Path
) -> None:
    """What the file held before stays before the metrics, whatever name standard output is given by."""
    with output.open("ab") as log:
        subprocess.run(
            [sys.executable, "-m", "gigas_exporter", "collect", "--output", "/dev/stdout"],
            env=account_environment(cloud),
            cwd=tmp_path,
            stdout=log,
            timeout=30,
            check=True,
        )
    text = output.read_text(encoding="utf-8")
    assert text.startswith(OLD)
    assert "gigas_disk_info{" in text
