"""Build images with buildah and run them with podman, without a registry.

The base image is built here, under the name in the Dockerfile: a minimal Debian with a CPython of the same minor
version under ``/usr/local``.
"""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Sequence
from pathlib import Path

from support.programs import field_tool, give_up, run_program

BASE = "docker.io/library/python:3.13-slim-bookworm"
BUILD_ARGUMENTS = {
    "VERSION": "1.2.3",
    "REVISION": "abc",
    "CREATED": "2026-01-02T03:04:05Z",
    "SOURCE": "https://example.test/gigas-exporter",
}
_REPOSITORY = Path(__file__).resolve().parents[2]
_IMAGE = "localhost/gigas-exporter-test"
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


def podman() -> tuple[str, ...]:
    """Return the command that runs containers."""
    return (field_tool("podman", fetched=False), "--cgroup-manager", "cgroupfs", "--runtime", "runc")


def limits() -> list[str]:
    """Return the limits of a container, which must not exceed this process's own."""
    wanted = {"nofile": (resource.RLIMIT_NOFILE, 1024), "nproc": (resource.RLIMIT_NPROC, 4096)}
    own = {name: (resource.getrlimit(number)[1], most) for name, (number, most) in wanted.items()}
    least = {name: most if hard == resource.RLIM_INFINITY else min(hard, most) for name, (hard, most) in own.items()}
    return [word for name, value in least.items() for word in ("--ulimit", f"{name}={value}:{value}")]


def _make_base(directory: Path) -> None:
    """Build the base image of the Dockerfile, unless it exists."""
    buildah, mmdebstrap = field_tool("buildah", fetched=False), field_tool("mmdebstrap", fetched=False)
    if run_program(buildah, "inspect", "--type", "image", BASE, check=False).returncode == 0:
        return
    tree = directory / "tree"
    mirror = run_program(_REPOSITORY / "scripts/debian-mirror").stdout.strip()
    packages = "--include=ca-certificates,python3.13,python3.13-venv"
    run_program(mmdebstrap, "--quiet", "--variant=minbase", packages, "trixie", tree, mirror, seconds=600)
    run_program("bash", "-euc", _PREPARE, "-", tree, seconds=60)
    container = run_program(buildah, "from", "scratch").stdout.strip()
    run_program("tar", "-C", tree, "-cf", directory / "tree.tar", ".")
    run_program(buildah, "add", "-q", container, directory / "tree.tar", "/", seconds=300)
    path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    run_program(buildah, "config", "--env", path, container)
    run_program(buildah, "commit", "-q", "--rm", container, BASE, seconds=300)
    shutil.rmtree(tree)


def build_image(directory: Path) -> str:
    """Build the image from the Dockerfile, with this machine's access to package registries."""
    if os.geteuid() != 0:
        give_up("an image is built and run as root here", field=True)
    podman()
    _make_base(directory)
    settings = directory / "pip.conf"
    index = run_program("python3", "-m", "pip", "config", "get", "global.index-url", check=False).stdout.strip()
    lines = ["[global]", *([f"cert = {_CERTIFICATES}"] if _CERTIFICATES.exists() else [])]
    settings.write_text("\n".join([*lines, *([f"index-url = {index}"] if index else []), ""]), encoding="utf-8")
    mounts = ["--volume", f"{settings}:/etc/pip.conf:ro"]
    if _CERTIFICATES.exists():
        mounts += ["--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro"]
    arguments = [f"{name}={value}" for name, value in BUILD_ARGUMENTS.items()]
    given = [word for each in arguments for word in ("--build-arg", each)]
    isolated = ["--isolation", "chroot", "--pull-never", "--format", "docker", *limits(), *mounts]
    name = f"{_IMAGE}:built"
    before = set(run_program(*podman(), "images", "--quiet", name).stdout.split())
    run_program(field_tool("buildah", fetched=False), "build", *isolated, *given, "-t", name, _REPOSITORY, seconds=900)
    for old in before - set(run_program(*podman(), "images", "--quiet", name).stdout.split()):
        run_program(*podman(), "rmi", old, check=False)  # an image that has lost its name would stay
    return name


def add_to_base(name: str, files: Sequence[tuple[Path, str]], state: str, entrypoint: str) -> str:
    """Build an image of another program on the same base, run by nobody, with a writable directory."""
    buildah = field_tool("buildah", fetched=False)
    container = run_program(buildah, "from", "--pull-never", BASE).stdout.strip()
    for source, target in files:
        run_program(buildah, "add", "-q", container, source, target, seconds=120)
    run_program(buildah, "config", "--user", "65534:65534", "--workingdir", state, "--volume", state, container)
    run_program(buildah, "config", "--entrypoint", f'["{entrypoint}"]', container)
    empty = files[0][0].parent / "empty"
    empty.mkdir(exist_ok=True)
    run_program(buildah, "add", "-q", "--chown", "65534:65534", container, empty, state)
    image = f"{_IMAGE}:{name}"
    run_program(buildah, "commit", "-q", "--rm", container, image, seconds=300)
    return image
