"""Rude clients in hundreds do not keep the whole exporter, with 10,000 disks, from answering scrapes."""

from __future__ import annotations

from pathlib import Path

import pytest

from soak.slow_clients import measure
from support.timing import allowed

PROMISED_SECONDS = 1.0
PROMISED_TOGETHER_SECONDS = 5.0
ALLOWED_GROWTH_MEGABYTES = 80  # 200 status pages with 128 KiB each under way, and what glibc's two arenas keep


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_scrapes_are_answered_among_rude_and_many_clients(tmp_path: Path, tls: bool) -> None:
    """All of them, the usual one within a second unless hundreds scrape at once, and the memory comes back."""
    quiet, *others = measure(tmp_path, scrapes=5, together=[100], rounds=1, tls=tls)
    for figures in (quiet, *others):
        assert figures.answered == figures.asked, figures
        promised = PROMISED_TOGETHER_SECONDS if "scrapes at once" in figures.name else PROMISED_SECONDS
        assert figures.median < allowed(promised), figures
        assert figures.resident_megabytes < quiet.resident_megabytes + ALLOWED_GROWTH_MEGABYTES, figures
