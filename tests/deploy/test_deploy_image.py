"""The image, built from the Dockerfile as it stands and run hardened, by buildah and podman without an engine.

Its base is made here under the name that the Dockerfile asks for, since no registry of images is needed for a test: a
minimal Debian with a CPython of the same minor version under ``/usr/local``.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.programs import await_true, field_tool

pytestmark = pytest.mark.field

_BASE = "docker.io/library/python:3.13-slim-bookworm"
_IMAGE = "localhost/gigas-exporter-test:built"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_PREPARE = r"""
cp "$1/usr/bin/python3.13" "$1/usr/local/bin/"
cp -a "$1/usr/lib/python3.13" "$1/usr/local/lib/"
rm -f "$1/usr/local/lib/python3.13/EXTERNALLY-MANAGED"
ln -s python3.13 "$1/usr/local/bin/python3"
ln -s python3.13 "$1/usr/local/bin/python"
chroot "$1" /usr/local/bin/python -c 'import glob, zipfile
(wheel,) = glob.glob("/usr/share/python-wheels/pip-*.whl")
zipfile.ZipFile(wheel).extractall("/usr/local/lib/python3.13/dist-packages")'
cat >"$1/usr/local/bin/pip" <<'END'
#!/usr/local/bin/python
import sys
from pip._internal.cli.main import main
sys.exit(main())
END
chmod 0755 "$1/usr/local/bin/pip"
"""


def _run(*command: str | Path, seconds: float = 60, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert not check or done.returncode == 0, (
        f"{' '.join(map(str, command))}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
    )
    return done


def _limits() -> list[str]:
    """Return the limits of a container, which must not be above this process's own."""
    limits = {"nofile": (resource.RLIMIT_NOFILE, 1024), "nproc": (resource.RLIMIT_NPROC, 4096)}
    own = {name: (resource.getrlimit(number)[1], wanted) for name, (number, wanted) in limits.items()}
    least = {
        name: wanted if hard == resource.RLIM_INFINITY else min(hard, wanted) for name, (hard, wanted) in own.items()
    }
    return [word for name, value in least.items() for word in ("--ulimit", f"{name}={value}:{value}")]


def _make_base(repository: Path, directory: Path) -> None:
    """Make the image that the Dockerfile starts from; it is kept, as other images are, for the next time."""
    buildah, mmdebstrap = field_tool("buildah", fetched=False), field_tool("mmdebstrap", fetched=False)
    if _run(buildah, "inspect", "--type", "image", _BASE, check=False).returncode == 0:
        return
    tree = directory / "tree"
    mirror = _run(repository / "scripts/debian-mirror").stdout.strip()
    packages = "--include=ca-certificates,python3.13,python3.13-venv"
    _run(mmdebstrap, "--quiet", "--variant=minbase", packages, "trixie", tree, mirror, seconds=600)
    _run("bash", "-euc", _PREPARE, "-", tree, seconds=60)
    container = _run(buildah, "from", "scratch").stdout.strip()
    _run("tar", "-C", tree, "-cf", directory / "tree.tar", ".")
    _run(buildah, "add", "-q", container, directory / "tree.tar", "/", seconds=300)
    path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    _run(buildah, "config", "--env", path, container)
    _run(buildah, "commit", "-q", "--rm", container, _BASE, seconds=300)
    shutil.rmtree(tree)


@pytest.fixture(scope="module")
def image(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build the image; registries of packages are reached as this machine reaches them."""
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("FIELD") == "required" else pytest.skip)(
            "an image is built and run as root here"
        )
    field_tool("podman", fetched=False)
    directory = tmp_path_factory.mktemp("image")
    _make_base(repository, directory)
    settings = directory / "pip.conf"
    index = _run("python3", "-m", "pip", "config", "get", "global.index-url", check=False).stdout.strip()
    lines = ["[global]", *([f"cert = {_CERTIFICATES}"] if _CERTIFICATES.exists() else [])]
    settings.write_text("\n".join([*lines, *([f"index-url = {index}"] if index else []), ""]), encoding="utf-8")
    mounts = ["--volume", f"{settings}:/etc/pip.conf:ro"]
    if _CERTIFICATES.exists():
        mounts += ["--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro"]
    arguments = ["VERSION=1.2.3", "REVISION=abc", "SOURCE=https://example.test/gigas-exporter"]
    given = [word for each in arguments for word in ("--build-arg", each)]
    isolated = ["--isolation", "chroot", "--pull-never", "--format", "docker", *_limits(), *mounts]
    buildah = field_tool("buildah", fetched=False)
    _run(buildah, "build", *isolated, *given, "-t", _IMAGE, repository, seconds=900)
    return _IMAGE


class _Container:
    """The image, running hardened: nothing to write to, no capability, no network but loopback, little memory."""

    def __init__(self, image: str, *command: str) -> None:
        self._podman = [field_tool("podman", fetched=False), "--cgroup-manager", "cgroupfs", "--runtime", "runc"]
        done = self.podman(
            *("run", "--detach", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            # podman's own timer for the check needs systemd.
            *("--network", "none", "--memory", "256m", *_limits(), "--health-interval", "disable"),
            *(image, *command),
        )
        self._name = done.stdout.split()[-1]

    def podman(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return _run(*self._podman, *arguments, check=check)

    def healthy(self) -> bool:
        return self.podman("healthcheck", "run", self._name, check=False).returncode == 0

    def python(self, code: str) -> str:
        return self.podman("exec", self._name, "python", "-c", code).stdout.strip()

    def signal(self, name: str) -> None:
        self.podman("kill", "--signal", name, self._name)

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.podman("inspect", self._name).stdout)[0]["State"]
        return state

    def remove(self) -> None:
        self.podman("rm", "--force", "--time", "0", self._name, check=False)


@pytest.fixture
def started(image: str) -> Iterator[Callable[..., _Container]]:
    """Start containers that are gone at the end."""
    containers: list[_Container] = []

    def start(*command: str) -> _Container:
        containers.append(_Container(image, *command))
        return containers[-1]

    yield start
    for container in containers:
        container.remove()


@contextmanager
def _ended_within(seconds: float, container: _Container) -> Iterator[None]:
    """See the process itself gone in good time; what podman needs for its own part does not count."""
    process = Path("/proc") / str(container.state["Pid"])
    began = time.monotonic()
    yield
    await_true(lambda: not process.exists() or " Z " in (process / "stat").read_text(), what="the end")
    assert time.monotonic() - began < seconds


def test_the_image_says_what_it_is(image: str) -> None:
    """Its labels, user, port, signal and command are there; it has few layers of its own and no pip."""
    (inspected,) = json.loads(_run(field_tool("podman", fetched=False), "image", "inspect", image).stdout)
    config = inspected["Config"]
    prefix = "org.opencontainers.image."
    labels = {key.removeprefix(prefix): value for key, value in config["Labels"].items() if key.startswith(prefix)}
    named = {"title", "description", "licenses", "version", "revision", "source", "url", "documentation", "authors"}
    assert {key for key, value in labels.items() if value} >= {*named, "base.name"}
    assert (labels["version"], labels["revision"]) == ("1.2.3", "abc")
    assert (config["User"], config["Cmd"]) == ("65532:65532", ["serve"])
    assert config["Entrypoint"] == ["tini", "--", "gigas-exporter"]
    assert "10063/tcp" in config["ExposedPorts"]
    assert config["StopSignal"] == "SIGTERM"
    (base,) = json.loads(_run(field_tool("podman", fetched=False), "image", "inspect", _BASE).stdout)
    added = inspected["Size"] - base["Size"]
    assert added < 80e6


def test_it_runs_with_nothing_and_is_healthy_until_it_is_stopped(started: Callable[..., _Container]) -> None:
    """Hardened it gets healthy as nobody with no capability; unhealthy under SIGSTOP; it leaves with 0."""
    container = started("demo")
    await_true(container.healthy, what="its health")
    (exporter,) = container.python("print(open('/proc/1/task/1/children').read())").split()
    status = container.python(f"import os; print(os.getuid(), open('/proc/{exporter}/status').read())")
    assert status.split()[0] == "65532"
    assert "CapEff:\t0000000000000000" in status
    packages = container.python(
        "import importlib.metadata as m; print(*sorted(d.name for d in m.distributions()))"
    ).split()
    assert "gigas-exporter" in packages
    assert not {"pip", "setuptools", "hatchling", "pytest"} & set(packages)
    container.python(f"import os; os.kill({exporter}, {signal.SIGSTOP:d})")  # tini cannot pass this one on
    assert not container.healthy()
    container.python(f"import os; os.kill({exporter}, {signal.SIGCONT:d})")
    await_true(container.healthy, what="its health")
    with _ended_within(3.0, container):
        container.signal("TERM")
    await_true(lambda: not container.state["Running"], what="the end")
    assert container.state["ExitCode"] == 0


@pytest.mark.parametrize("delay_seconds", [0.0, 0.1, 0.3, 0.6, 0.9])
def test_a_sigterm_in_its_first_second_is_not_lost(started: Callable[..., _Container], delay_seconds: float) -> None:
    """It ends by the signal as long as Python has not blocked it, and with 0 from then on."""
    container = started("demo")
    time.sleep(delay_seconds)
    container.signal("TERM")
    await_true(lambda: not container.state["Running"], seconds=8, what="the end")
    assert container.state["ExitCode"] in {0, 128 + signal.SIGTERM}
