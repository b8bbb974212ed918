"""A hostile API over real sockets, and an exporter without a schedule: it polls when it is told to."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from gigas_exporter.clock import StopEvent, SystemClock
from gigas_exporter.config import AccountSettings, PollSettings, Settings
from gigas_exporter.gigas import ApiSettings
from gigas_exporter.inventory import RESOURCES
from gigas_exporter.metrics import MetricsRenderer, Telemetry
from gigas_exporter.model import Account
from gigas_exporter.poller.service import Service
from gigas_exporter.poller.store import Store
from gigas_exporter.statuspage import StatusPage
from gigas_exporter.statuspage.query import Query
from support.polling import api_key
from support.small_api import Answer, SmallApi, serving

ACCOUNT = "1"


class HostileApi(SmallApi):
    """Answers by the last word of the path, whatever the offset is.

    Attributes:
        bodies: What is answered, as ``disks``, ``backups`` and ``virtual_machine``.
    """

    def __init__(self) -> None:
        super().__init__({})
        self.bodies: dict[str, bytes] = {}

    def respond(self, target: str) -> Answer:
        """Return the body of the list."""
        name = target.partition("?")[0].rpartition("/")[2]
        return 200, next((body for known, body in self.bodies.items() if known in name), b"[]"), {}


class Exporter:
    """Client, poller, page and status page."""

    def __init__(self, url: str) -> None:
        settings = Settings(
            accounts=(AccountSettings(Account(ACCOUNT), api_key("a-key")),),
            api=ApiSettings(url=url, timeout_seconds=20.0, max_requests_per_second=0.0),
            poll=PollSettings(interval=60.0, backups_interval=60.0),
        )
        clock = SystemClock()
        self.telemetry, self.store = Telemetry(), Store()
        self.page = MetricsRenderer(self.store, self.telemetry, clock)
        self.status_page = StatusPage(self.store, clock, telemetry_path="/metrics")
        self.store.subscribe(self.page.refresh)
        self.service = Service(settings, self.store, self.telemetry, clock=clock)
        self.service._update_store({ACCOUNT: settings.accounts[0]})
        self._poller = self.service._poller(settings.accounts[0], StopEvent())

    def poll(self) -> dict[str, bool]:
        """Poll everything once; by resource, whether it went well."""
        return {resource: self._poller.poll(resource).failure is None for resource in ("disks", *RESOURCES[1:])}

    def exposition(self, *, openmetrics: bool) -> str:
        """The page."""
        return b"".join(self.page.render(openmetrics=openmetrics, gzip=False).chunks).decode("utf-8")

    def status(self) -> str:
        """The status page with all of its disks' first rows, and the pages of the first disks."""
        (inventory,) = self.store.snapshot()
        disks = list(inventory.disks.disks)[:3] if inventory.disks is not None else []
        queries = (Query(), *(Query(account=ACCOUNT, disk=disk_id) for disk_id in disks))
        return "".join(self.status_page.render(query)[1].decode("utf-8") for query in queries)


@pytest.fixture(scope="module", autouse=True)
def silent() -> Iterator[None]:
    """Thousands of lines about values that are no values help nobody."""
    logger = logging.getLogger("gigas_exporter")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.fixture(scope="module")
def api() -> Iterator[HostileApi]:
    """The hostile API."""
    with serving(HostileApi()) as server:
        yield server


@pytest.fixture(scope="module")
def polled(api: HostileApi) -> Iterator[Exporter]:
    """The exporter of that API."""
    exporter = Exporter(api.url)
    yield exporter
    exporter.service.stop()
