"""The API is gone altogether: nobody listens, or nobody takes the connection up; and it comes back at its address."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from gigas_exporter.errors import Reason
from gigas_exporter.simulator import SimulatedCloud
from support.fault_cases import SERIES, assert_same
from support.in_process_exporter import in_process_exporter
from support.polling import settings_for
from support.programs import await_true, unanswered
from support.simulator import SimulatorServer

ACCOUNTS = ("4242", "4243")


@contextmanager
def nobody(_address: tuple[str, int]) -> Iterator[None]:
    """Nobody listens: connections are refused."""
    yield


@pytest.mark.parametrize(("outage", "reason"), [(nobody, "connection"), (unanswered, "timeout")])
def test_an_api_that_is_gone_and_comes_back(
    outage: Callable[..., AbstractContextManager[object]], reason: Reason
) -> None:
    """All accounts keep their data, each says so once and counts it, and the next poll after the end heals them."""
    world = SimulatedCloud(seed=3, disks=24, accounts=2, eventful=False)
    first = SimulatorServer(world)
    settings = settings_for(first, api={"timeout_seconds": 0.4}, interval=0.5, backups_interval=0.5)
    with in_process_exporter(settings) as exporter:
        for account in ACCOUNTS:
            exporter.await_all_well(account)
        exporter.await_polls("backups", *ACCOUNTS)
        before = exporter.scrape()
        first.close()
        with outage(first.address):
            for account in ACCOUNTS:
                await_true(lambda account=account: exporter.failures(account, "disks", reason) >= 2)  # type: ignore[misc]
            during = exporter.scrape()
            assert exporter.service.healthy()
        with SimulatorServer(world, port=first.address[1]):
            for account in ACCOUNTS:
                assert during.total("gigas_up", account_id=account) == 0
                assert_same(during, before, account, *SERIES["disks"])
                exporter.await_all_well(account)
                assert_same(exporter.scrape(), before, account, *SERIES["disks"])
                await_true(lambda account=account: len(exporter.log_lines(account, "disks")) > 1)  # type: ignore[misc]
                said = [message for message, _ in exporter.log_lines(account, "disks")]
                assert said == ["Poll failed", "Poll succeeds again"]
