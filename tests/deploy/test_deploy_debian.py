"""The Debian package, built in a clean root of its release and used under a systemd of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.programs import field_tool

pytestmark = pytest.mark.field


def test_the_package_is_built_and_lives(repository: Path) -> None:
    """It is built and free of lintian errors; installed, started, reloaded, upgraded, removed and purged.

    This is for Debian 12; `make deb try-deb` does it for each release.
    """
    field_tool("mmdebstrap", fetched=False)
    field_tool("systemd-nspawn", fetched=False)
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("FIELD") == "required" else pytest.skip)("a root is made and booted as root")
    for script in ("build-deb", "try-deb"):
        done = subprocess.run(
            [repository / "scripts" / script, "bookworm"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=900,
        )
        assert done.returncode == 0, done.stdout
