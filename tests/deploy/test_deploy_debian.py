"""The Debian package, built in a clean root of its release and used under a systemd of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.programs import field_tool, give_up, run_program

pytestmark = pytest.mark.field


def test_the_package_is_built_and_lives(repository: Path) -> None:
    """It is built and free of lintian errors; installed, started, reloaded, upgraded, removed and purged.

    This is for Debian 12; `make deb try-deb` does it for each release.
    """
    field_tool("mmdebstrap", fetched=False)
    field_tool("systemd-nspawn", fetched=False)
    if os.geteuid() != 0:
        give_up("a root is made and booted as root", field=True)
    for script in ("build-deb", "try-deb"):
        run_program(repository / "scripts" / script, "bookworm", seconds=900)
