"""The Dockerfile: what it promises is in it, and its steps, done by hand in a clean root, give a running exporter."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.dockerfile import CleanRoot, Instruction, read_stages

_NOBODY = 65532


@pytest.fixture(scope="module")
def stages(repository: Path) -> list[list[Instruction]]:
    return read_stages(repository / "Dockerfile")


def _all(stage: list[Instruction], name: str) -> list[str]:
    return [instruction.arguments for instruction in stage if instruction.name == name]


def test_the_base_can_be_pinned_by_digest(stages: list[list[Instruction]]) -> None:
    """Both stages start from the same slim image, to which a digest can be given."""
    arguments, build, final = stages
    assert _all(arguments, "ARG") == ["PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm", "BASE_DIGEST="]
    bases = {base.partition(" AS ")[0] for base in _all(build, "FROM") + _all(final, "FROM")}
    assert bases == {"${PYTHON_IMAGE}${BASE_DIGEST:+@${BASE_DIGEST}}"}


def test_installs_are_locked_by_hash(stages: list[list[Instruction]]) -> None:
    """Whatever pip takes from an index is locked by hash and a wheel; the rest it takes from nowhere."""
    commands = [part.strip() for run in _all(stages[1], "RUN") for part in run.split("&&")]
    installs = [command for command in commands if re.search(r"\bpip\b.* (install|wheel) ", command)]
    assert len(installs) == 4
    for install in installs:
        assert {"--require-hashes", "--only-binary"} <= set(install.split()) or "--no-index" in install


def test_the_final_stage_has_nothing_to_build_with(stages: list[list[Instruction]]) -> None:
    """The final stage installs nothing, takes the finished environment alone, and removes pip."""
    final = stages[2]
    assert _all(final, "COPY") == ["--from=build /opt/gigas-exporter /opt/gigas-exporter"]
    assert [run.split()[:4] for run in _all(final, "RUN")] == [["python", "-m", "pip", "uninstall"]]


def test_the_image_runs_without_privileges(stages: list[list[Instruction]]) -> None:
    """The user is numeric, so that Kubernetes can see that it is not root; nothing is written at run time."""
    final = stages[2]
    assert _all(final, "USER") == [f"{_NOBODY}:{_NOBODY}"]
    assert "PYTHONDONTWRITEBYTECODE=1" in _all(final, "ENV")[0]
    assert not _all(final, "VOLUME")


def test_the_image_says_what_it_is(stages: list[list[Instruction]]) -> None:
    """The OCI labels, the port, the signal, the health check and the command are there."""
    final = stages[2]
    labels = set(re.findall(r"org\.opencontainers\.image\.([\w.]+)=", _all(final, "LABEL")[0]))
    assert {"title", "description", "licenses", "version", "revision", "source", "base.name"} <= labels
    assert _all(final, "EXPOSE") == ["10063"]
    assert _all(final, "STOPSIGNAL") == ["SIGTERM"]
    assert _all(final, "ENTRYPOINT") == ['["gigas-exporter"]']
    assert _all(final, "CMD") == ['["serve"]']
    assert "127.0.0.1:10063/-/healthy" in _all(final, "HEALTHCHECK")[0]


@pytest.fixture(scope="module")
def image(repository: Path, stages: list[list[Instruction]]) -> Iterator[CleanRoot]:
    """A root in which all steps of the Dockerfile were done, that anybody may read and nobody but its owner write."""
    directory = Path(tempfile.mkdtemp(prefix="gigas-image-"))  # pytest's own is closed to other users
    try:
        directory.chmod(0o755)
        root = CleanRoot(directory, repository)
        root.start()
        for stage in stages[1:]:
            root.begin_stage()
            for instruction in stage:
                root.carry_out(instruction)
        yield root
    finally:
        shutil.rmtree(directory)


def test_the_steps_give_a_lean_environment(image: CleanRoot) -> None:
    """Only the runtime packages are in the final root: no pip, no build tool, no test tool."""
    packages = image.directory / "opt/gigas-exporter/lib"
    names = {path.name.partition("-")[0].lower() for path in packages.rglob("*.dist-info")}
    assert "gigas_exporter" in names
    assert not names & {"pip", "setuptools", "hatchling", "editables", "pytest", "build", "ruff"}
    assert not list((image.directory / "usr/local").rglob("pip-*.dist-info"))
    assert not (image.directory / "src").exists()


def test_the_image_carries_dashboards_and_alerts(image: CleanRoot, tmp_path: Path) -> None:
    """A container's user can write the bundled dashboards and alerts out."""
    for what in ("dashboards", "alerts"):
        subprocess.run(
            ["gigas-exporter", what, tmp_path / what],
            env=image.environment,
            cwd=image.directory,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )
        assert list((tmp_path / what).iterdir())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _can_be_entered_by_others(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


def test_the_image_runs_and_its_health_check_sees_it(image: CleanRoot, stages: list[list[Instruction]]) -> None:
    """As another user, in a root that it cannot write, the demo gets healthy by the image's check, and stops."""
    port = _free_port()
    final = stages[2]
    (entrypoint,) = (instruction.words for instruction in final if instruction.name == "ENTRYPOINT")
    (check,) = (instruction for instruction in final if instruction.name == "HEALTHCHECK")
    probe = Instruction("CMD", check.arguments.partition("CMD ")[2].replace("10063", str(port))).words
    python = Path(image.directory / "opt/gigas-exporter/bin/python")
    other_user = _NOBODY if os.geteuid() == 0 and _can_be_entered_by_others(python) else None
    process = subprocess.Popen(
        [*entrypoint, "demo", "--web.listen-address", f"127.0.0.1:{port}"],
        env=image.environment | {"HOME": "/nonexistent"},
        cwd=image.directory,
        user=other_user,
        group=other_user,
        extra_groups=[] if other_user else None,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            deadline = time.monotonic() + 20
            status = 1
            while status and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.2)
                status = subprocess.run(
                    probe, env=image.environment, stderr=subprocess.DEVNULL, check=False, timeout=10
                ).returncode
            assert status == 0, process.poll()
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=10)
            assert process.returncode == 0, log
            assert "Traceback" not in log
        finally:
            process.kill()
