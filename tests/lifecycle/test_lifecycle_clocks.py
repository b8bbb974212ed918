"""Clocks that are set: ages follow the wall clock, schedules and staleness do not."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from gigas_exporter.metrics import MetricsRenderer, Telemetry
from gigas_exporter.poller.service import Service
from gigas_exporter.poller.store import Store
from support.metrics_text import metric
from support.polling import Observed, await_true, settings_for
from support.simulator import SimulatorServer
from support.timing import ShiftedClock

ACCOUNT = "4242"
HOUR, YEAR = 3600.0, 365 * 86400.0


def shown(page: MetricsRenderer) -> float | None:
    """The age of the first disk's newest backup, if it is known yet."""
    text = b"".join(page.render(openmetrics=False, gzip=False).chunks).decode()
    return metric(text, "gigas_disk_backup_age_seconds", account_id=ACCOUNT, disk_id="10001")


def age(page: MetricsRenderer) -> float:
    """The age of the first disk's newest backup."""
    value = shown(page)
    assert value is not None
    return value


@pytest.mark.parametrize("jump", [HOUR, -HOUR, YEAR, -YEAR])
def test_a_jump_moves_ages_and_nothing_else(cloud: SimulatorServer, jump: float) -> None:
    """The poll rate stays, no data grows stale or is lost, and ages are what the new time says, but never negative."""
    clock, store, observed = ShiftedClock(), Store(), Observed()
    page = MetricsRenderer(store, Telemetry(), clock)
    store.subscribe(page.refresh)
    settings = settings_for(cloud, max_staleness=30.0)
    service = Service(replace(settings, accounts=settings.accounts[:1]), store, observed, clock=clock)
    service.start()
    try:
        await_true(lambda: shown(page) is not None)
        before = age(page)
        clock.wall_ahead = jump
        assert age(page) == pytest.approx(max(0.0, before + jump), abs=5.0)
        polls, began = observed.ended("disks"), time.monotonic()
        await_true(lambda: observed.ended("disks") >= polls + 3)
        assert time.monotonic() - began > 1.5
        assert age(page) == pytest.approx(max(0.0, before + jump), abs=15.0)
        assert service.healthy()
        assert not [key for key in observed.polls if key[2] is not None]
    finally:
        service.stop()
