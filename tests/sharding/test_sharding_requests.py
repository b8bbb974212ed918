"""What is said of the requests an hour is what the simulated cloud counts."""

from __future__ import annotations

import time

import pytest

from gigas_exporter.cli.config.summary import requests_per_hour
from gigas_exporter.simulator import SimulatedCloud
from support.polling import Watching, settings_for
from support.simulator import SimulatorServer

DISKS = 90
RETENTION = 4
PAGE_SIZE = 20
ACCOUNTS = 3


@pytest.mark.parametrize("source", ["account", "disk"])
def test_the_estimate_bounds_what_a_cycle_asks_for(source: str) -> None:
    """One cycle makes no more requests than the formula gives for one interval, and hardly fewer."""
    world = SimulatedCloud(seed=3, disks=DISKS, accounts=ACCOUNTS, retention=RETENTION, eventful=False)
    with SimulatorServer(world) as cloud:
        settings = settings_for(
            cloud, api={"page_size": PAGE_SIZE}, interval=600.0, backups_interval=600.0, backups_source=source
        )
        machines = max(len(world.machines(account_id)) for account_id in world.account_ids)
        estimate = requests_per_hour(settings, DISKS, machines, RETENTION)
        watching = Watching(settings)
        try:
            deadline = time.monotonic() + 20
            while watching.observed.ended("backups") < ACCOUNTS or watching.observed.ended("disks") < ACCOUNTS:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            watching.service.stop()
        assert all(failure is None for _, _, failure in watching.observed.polls)
        expected = estimate.total("account" if source == "account" else "disk") / 6
        assert cloud.requests.total() <= expected
        assert cloud.requests.total() >= 0.75 * expected
