"""The image, built from the Dockerfile as it stands and run hardened, by buildah and podman without an engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from support.containers import BASE, BUILD_ARGUMENTS, limits, podman
from support.programs import await_true, run_program
from support.timing import allowed

pytestmark = pytest.mark.field

_MEMORY_BYTES = 256 << 20
# In version 2 of control groups and in version 1.
_READ_MEMORY_LIMIT = """
from pathlib import Path
group = Path("/sys/fs/cgroup")
files = group / "memory.max", group / "memory/memory.limit_in_bytes"
print(*(path.read_text().strip() for path in files if path.exists()))
"""


class _Container:
    """The image, run hardened: nothing to write to, no capability, no network but loopback, little memory."""

    def __init__(self, image: str, directory: Path, *command: str) -> None:
        self._podman = podman()
        self._pid_file = directory / "pid"
        options: tuple[str | Path, ...] = (
            *("create", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            # podman's own timer for the check needs systemd.
            *("--network", "none", "--memory", str(_MEMORY_BYTES), *limits(), "--health-interval", "disable"),
            *("--pidfile", self._pid_file),
        )
        self._name = self.podman(*options, image, *command).stdout.split()[-1]

    def start(self) -> None:
        self.podman("start", self._name)

    def stop_after(self, seconds: float) -> float:
        """Start it, send SIGTERM so long after the image's program has begun; return how long it then took to end."""
        with subprocess.Popen([*self._podman, "start", self._name], stdout=subprocess.DEVNULL):
            await_true(lambda: self._pid_file.exists() and self._pid_file.read_text(), what="its process")
            # The kernel keeps a signal from a first process that is not ready for it. Once tini has a child, it is.
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
            await_true(children.read_text, what="the exporter's process", pause=0.001)
            time.sleep(seconds)
            os.kill(self.pid, signal.SIGTERM)
            return self.seconds_to_its_end()

    @property
    def pid(self) -> int:
        """The process ID of its process 1 out here."""
        return int(self._pid_file.read_text())

    def seconds_to_its_end(self) -> float:
        """Wait until its process is gone; what podman needs for its own part does not count."""
        began = time.monotonic()
        await_true(lambda: not Path(f"/proc/{self.pid}").exists(), what="the end")
        return time.monotonic() - began

    def podman(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run_program(*self._podman, *arguments, check=check)

    def healthy(self) -> bool:
        return self.podman("healthcheck", "run", self._name, check=False).returncode == 0

    def python(self, code: str) -> str:
        return self.podman("exec", self._name, "python", "-c", code).stdout.strip()

    def exit_status(self) -> int:
        return int(self.podman("wait", self._name).stdout)

    def remove(self) -> None:
        self.podman("rm", "--force", "--time", "0", self._name, check=False)


@pytest.fixture
def show(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return a function that shows a figure among the results, as tests/conftest.py does at the end."""
    return partial(record_property, "shown")


@pytest.fixture
def container(image: str, tmp_path: Path) -> Iterator[_Container]:
    """Return a container of the demo that is not started yet, and is gone at the end."""
    made = _Container(image, tmp_path, "demo")
    yield made
    made.remove()


def test_the_image_says_what_it_is(image: str, show: Callable[[str], None]) -> None:
    """Its labels, user, port, signal and command are there; it has few layers of its own, of little size."""
    inspected, base = json.loads(run_program(*podman(), "image", "inspect", image, BASE).stdout)
    config = inspected["Config"]
    prefix = "org.opencontainers.image."
    labels = {key.removeprefix(prefix): value for key, value in config["Labels"].items() if key.startswith(prefix)}
    assert labels == {
        "title": "gigas-exporter",
        "description": "Prometheus exporter for the disks and backups of Gigas cloud accounts",
        "licenses": "Apache-2.0",
        "version": BUILD_ARGUMENTS["VERSION"],
        "revision": BUILD_ARGUMENTS["REVISION"],
        "created": BUILD_ARGUMENTS["CREATED"],
        "source": BUILD_ARGUMENTS["SOURCE"],
        "url": BUILD_ARGUMENTS["SOURCE"],
        "documentation": f"{BUILD_ARGUMENTS['SOURCE']}/tree/main/docs",
        "authors": "the contributors of gigas-exporter",
        "vendor": "gigas-exporter",
        "base.name": BASE,
        "base.digest": "",  # a build without a digest takes the tag's newest image
    }
    assert (config["User"], config["Cmd"]) == ("65532:65532", ["serve"])
    assert config["Entrypoint"] == ["tini", "-e", "143", "--", "gigas-exporter"]
    assert "10063/tcp" in config["ExposedPorts"]
    assert config["StopSignal"] == "SIGTERM"
    added = inspected["Size"] - base["Size"]
    layers = len(inspected["RootFS"]["Layers"]) - len(base["RootFS"]["Layers"])
    lines = run_program(*podman(), "history", "--format", "{{.Size}} {{.CreatedBy}}", image).stdout.splitlines()
    history = "\n".join(line for line in lines if not line.startswith("0 B "))
    show(f"{inspected['Size'] / 1e6:.0f} MB, {added / 1e6:.0f} MB and {layers} layers above the base\n{history}")
    assert added < 45e6
    assert layers <= 3


def test_it_runs_with_nothing_and_is_healthy_until_it_is_stopped(
    container: _Container, show: Callable[[str], None]
) -> None:
    """Hardened it gets healthy as nobody with no capability; unhealthy under SIGSTOP; it leaves with 0."""
    container.start()
    began = time.monotonic()
    await_true(container.healthy, what="its health")
    show(f"healthy after {time.monotonic() - began:.1f} s")
    (exporter,) = container.python("print(open('/proc/1/task/1/children').read())").split()
    status = container.python(f"print(open('/proc/{exporter}/status').read())")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["Uid"].split() == ["65532"] * 4
    assert {fields[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")} == {"0" * 16}
    assert fields["NoNewPrivs"] == "1"
    show(f"resident: {fields['VmRSS'].strip()}, at most {fields['VmHWM'].strip()}")
    assert container.python("import os; print(os.statvfs('/').f_flag & os.ST_RDONLY)") == "1"
    assert container.python("import socket; print(*(name for _, name in socket.if_nameindex()))") == "lo"
    assert container.python(_READ_MEMORY_LIMIT) == str(_MEMORY_BYTES)
    packages = container.python(
        "import importlib.metadata as m; print(*sorted(d.name for d in m.distributions()))"
    ).split()
    assert "gigas-exporter" in packages
    assert not {"pip", "setuptools", "hatchling", "pytest"} & set(packages)
    container.python(f"import os; os.kill({exporter}, {signal.SIGSTOP:d})")  # tini cannot pass this one on
    assert not container.healthy()
    container.python(f"import os; os.kill({exporter}, {signal.SIGCONT:d})")
    await_true(container.healthy, what="its health")
    os.kill(container.pid, signal.SIGTERM)
    assert container.seconds_to_its_end() < allowed(1.0)
    assert container.exit_status() == 0


@pytest.mark.parametrize("delay_seconds", [0.0, 0.1, 0.3, 1.0])
def test_a_sigterm_early_on_is_not_lost(
    container: _Container, delay_seconds: float, show: Callable[[str], None]
) -> None:
    """It ends with 0 within a second, however early the signal comes."""
    taken = container.stop_after(delay_seconds)
    show(f"SIGTERM after {delay_seconds:g} s: gone in {taken:.2f} s")
    assert taken < allowed(1.0)
    assert container.exit_status() == 0
