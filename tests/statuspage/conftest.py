"""Status pages over inventories that tests make, served by the real server, and a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gigas_exporter.clock import SystemClock
from gigas_exporter.inventory import AccountInventory
from gigas_exporter.metrics import Telemetry
from gigas_exporter.poller.service import Service
from gigas_exporter.poller.store import Store
from gigas_exporter.simulator import SimulatedCloud
from gigas_exporter.statuspage import StatusPage, StatusPageHandler
from gigas_exporter.web import Request, Response, Server
from statuspage.browser import Browser, browsing
from support.polling import settings_for
from support.simulator import SimulatorServer
from support.timing import ShiftedClock


class Snapshots:
    """Inventories as a test says them."""

    def __init__(self, inventories: tuple[AccountInventory, ...] = ()) -> None:
        self.version = 1
        self.inventories = inventories

    def snapshot(self) -> tuple[AccountInventory, ...]:
        return self.inventories

    def replace(self, *inventories: AccountInventory) -> None:
        """Know these inventories from now on."""
        self.inventories, self.version = inventories, self.version + 1


class Site:
    """A served status page."""

    def __init__(self, source: Snapshots) -> None:
        self.source = source
        self.clock = ShiftedClock()
        self.visited: list[str] = []
        self.page = StatusPage(
            source, self.clock, telemetry_path="/metrics", dashboard_base="https://grafana.example.com/x"
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

    def close(self) -> None:
        """End it."""
        self._server.close(1.0)


@pytest.fixture
def site() -> Iterator[Callable[..., Site]]:
    """Serve inventories until the test ends."""
    sites: list[Site] = []

    def serve(*inventories: AccountInventory) -> Site:
        sites.append(Site(Snapshots(inventories)))
        return sites[-1]

    yield serve
    for each in sites:
        each.close()


def poll(server: SimulatorServer, store: Store) -> tuple[AccountInventory, ...]:
    """Read a simulated cloud once into a store; return all that is known then."""
    service = Service(settings_for(server, max_staleness=900.0), store, Telemetry(), clock=SystemClock())
    try:
        service.poll_once(lambda *_: None)
    finally:
        service.stop()
    return store.snapshot()


def polled(disks: int, *, broken: bool = False) -> tuple[AccountInventory, ...]:
    """Return what is known of two accounts with all troubles among them; ``broken``: the API has failed since."""
    with SimulatorServer(SimulatedCloud(seed=0, disks=disks, accounts=2)) as server:
        store = Store()
        inventories = poll(server, store)
        if broken:
            server.faults.add("status", status=500)
            inventories = poll(server, store)
        return inventories


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
