"""Status pages over inventories that tests make, served by the real server, and a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
import requests

from gigas_exporter.clock import SystemClock
from gigas_exporter.inventory import AccountInventory
from gigas_exporter.poller.store import Store
from gigas_exporter.simulator import SimulatedCloud
from gigas_exporter.statuspage import StatusPage, StatusPageHandler
from gigas_exporter.web import Request, Response, Server
from statuspage.browser import Browser, browsing
from support.inventories import KnownInventories
from support.polling import poll_once, settings_for
from support.simulator import SimulatorServer
from support.timing import ShiftedClock


class Site:
    """A served status page."""

    def __init__(self, *inventories: AccountInventory) -> None:
        self.source = KnownInventories(*inventories)
        self.clock = ShiftedClock()
        self.visited: list[str] = []
        self.page = StatusPage(
            self.source, self.clock, telemetry_path="/metrics", dashboard_base="https://grafana.example.com/x"
        )
        self._handler = StatusPageHandler(self.page)
        self._server = Server([("127.0.0.1", 0)], self._answer, None, SystemClock())
        self._server.start()
        host, port = self.address
        self.url = f"http://{host}:{port}/"

    async def _answer(self, request: Request) -> Response:
        self.visited.append(request.path)
        return await self._handler(request)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self._server.address

    def get(self, **query: Any) -> requests.Response:
        """Ask for the page, with a query."""
        return requests.get(self.url, params=query, timeout=20)

    def close(self) -> None:
        """End it."""
        self._server.close(1.0)


Serve = Callable[..., Site]


@pytest.fixture
def site() -> Iterator[Serve]:
    """Serve inventories until the test ends."""
    with ExitStack() as stack:
        yield lambda *inventories: stack.enter_context(closing(Site(*inventories)))


def polled(disks: int, *, broken: bool = False) -> tuple[AccountInventory, ...]:
    """Return what is known of two accounts with all troubles among them; ``broken``: the API has failed since."""
    with SimulatorServer(SimulatedCloud(seed=0, disks=disks, accounts=2)) as server:
        settings, store = settings_for(server, max_staleness=900.0), Store()
        poll_once(settings, store)
        if broken:
            server.faults.add("status", status=500)
            poll_once(settings, store)
        return store.snapshot()


@pytest.fixture(scope="session")
def fleet() -> tuple[AccountInventory, ...]:
    """What is known of two small accounts with all troubles, the hostile one too."""
    return polled(disks=32)


@pytest.fixture(scope="session")
def broken_fleet() -> tuple[AccountInventory, ...]:
    """The same after the API has gone down: one good reading, then only failures."""
    return polled(disks=32, broken=True)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, shared by the tests of a process."""
    with browsing() as started:
        yield started
