"""The exporter in the test's process: service, store, metrics, status page and web server, over real sockets.

Only signals and start-up are missing. The metrics can also be rendered as of a later time, so that staleness is tested
to the millisecond without waiting.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import requests

from gigas_exporter.clock import SystemClock
from gigas_exporter.config import Settings
from gigas_exporter.errors import Reason
from gigas_exporter.inventory import AccountInventory, Resource
from gigas_exporter.metrics import MetricsRenderer, Telemetry
from gigas_exporter.poller.service import Service
from gigas_exporter.poller.store import Store
from gigas_exporter.statuspage import StatusPage, StatusPageHandler
from gigas_exporter.web import Server, build_routes
from support.metrics_text import samples
from support.programs import await_true
from support.timing import ShiftedClock

Labels = tuple[tuple[str, str], ...]


class Scrape:
    """One exposition."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = samples(text)

    def of(self, name: str, **labels: str) -> dict[Labels, float]:
        """Return the series of a metric that have these labels, among others."""
        wanted = labels.items()
        return {
            each: value
            for (found, each), value in self.samples.items()
            if found == name and wanted <= dict(each).items()
        }

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of these series."""
        return sum(self.of(name, **labels).values())

    def by_disk(self, name: str, account_id: str) -> dict[str, float]:
        """Return the values of a metric by disk id."""
        return {dict(labels)["disk_id"]: value for labels, value in self.of(name, account_id=account_id).items()}

    def about(self, account_id: str, *prefixes: str) -> dict[tuple[str, Labels], float]:
        """Return an account's series with these prefixes, without the age, which changes by itself."""
        return {
            (name, labels): value
            for (name, labels), value in self.samples.items()
            if name.startswith(prefixes)
            and name != "gigas_disk_backup_age_seconds"
            and dict(labels).get("account_id") == account_id
        }


class _Lines(logging.Handler):
    """Keeps the lines of poll loops with their threads, by which those of one service are found.

    Threads are compared as objects, because the system reuses their ids.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.kept: list[tuple[threading.Thread, str, dict[str, object]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append((threading.current_thread(), record.getMessage(), getattr(record, "facts", {})))


class _Levels:
    """Counts the exporters that need the poll loops' lines; the last one restores the log level."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.users = 0
        self.before = logging.NOTSET

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


_levels = _Levels()


class InProcessExporter:
    """A running exporter."""

    def __init__(self, settings: Settings) -> None:
        self.telemetry = Telemetry()
        self.store = Store()
        clock = SystemClock()
        self.page = MetricsRenderer(self.store, self.telemetry, clock)
        self.store.subscribe(self.page.refresh)
        self.service = Service(settings, self.store, self.telemetry, clock=clock)
        routes = build_routes(
            self.page,
            telemetry_path="/metrics",
            ready=self.service.not_ready,
            healthy=self.service.healthy,
            reload=None,
            index=StatusPageHandler(StatusPage(self.store, clock, telemetry_path="/metrics")),
        )
        self._server = Server([("127.0.0.1", 0)], routes)
        self._lines = _Lines()
        self.url = f"http://127.0.0.1:{self._server.address[1]}"
        self._session = requests.Session()
        self._session.trust_env = False

    def start(self) -> None:
        logger = logging.getLogger("gigas_exporter.poller.account")
        logger.addHandler(self._lines)
        with _levels:
            if not _levels.users:
                _levels.before = logger.level
                logger.setLevel(logging.INFO)
            _levels.users += 1
        self._server.start()
        self.service.start()

    def close(self) -> None:
        self.service.stop()
        self._session.close()
        self._server.close(1.0)
        logger = logging.getLogger("gigas_exporter.poller.account")
        logger.removeHandler(self._lines)
        with _levels:
            _levels.users -= 1
            if not _levels.users:
                logger.setLevel(_levels.before)

    def get(self, path: str) -> requests.Response:
        """GET a path."""
        return self._session.get(self.url + path, timeout=10)

    def scrape(self) -> Scrape:
        """Scrape and parse."""
        answer = self.get("/metrics")
        assert answer.status_code == HTTPStatus.OK
        return Scrape(answer.content.decode("utf-8"))

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of these series as in a scrape, but cheaper, for tests that wait."""
        lines = b"".join(self.page.render(openmetrics=False, gzip=False).chunks).decode("utf-8").split("\n")
        return Scrape("\n".join(line for line in lines if line.startswith(f"{name}{{"))).total(name, **labels)

    def scrape_at(self, monotonic: float) -> Scrape:
        """Return a scrape of a page that is rendered now, as of a later time."""
        clock = ShiftedClock()
        page = MetricsRenderer(self.store, self.telemetry, clock)
        clock.monotonic_at = monotonic
        return Scrape(b"".join(page.render(openmetrics=False, gzip=False).chunks).decode("utf-8"))

    def inventory(self, account_id: str) -> AccountInventory:
        """Return the inventory of an account."""
        inventory = self.store.get(account_id)
        assert inventory is not None
        return inventory

    def succeeded(self, account_id: str, resource: Resource) -> bool:
        """Return whether the metrics say that the last poll succeeded."""
        return self.total("gigas_exporter_poll_success", account_id=account_id, resource=resource) == 1

    def polls(self, account_id: str, resource: Resource) -> float:
        """Return how many polls of a resource have ended."""
        return self.total("gigas_exporter_polls_total", account_id=account_id, resource=resource)

    def failures(self, account_id: str, resource: Resource, reason: Reason | None = None) -> float:
        """Return how many polls failed, for one reason or for any."""
        labels = {"account_id": account_id, "resource": resource} | ({"reason": reason} if reason else {})
        return self.total("gigas_exporter_poll_failures_total", **labels)

    def await_all_well(self, account_id: str) -> None:
        """Wait until the last poll of each resource of an account succeeded."""
        resources: tuple[Resource, ...] = ("disks", "virtual_machines", "backups")
        await_true(lambda: all(self.succeeded(account_id, resource) for resource in resources), seconds=120)

    def await_polls(self, resource: Resource, *account_ids: str) -> None:
        """Wait until a poll of each account has started and ended."""
        targets = {each: self.polls(each, resource) + 2 for each in account_ids}
        await_true(lambda: all(self.polls(each, resource) >= target for each, target in targets.items()))

    @contextmanager
    def between_polls(self, account_id: str, resource: Resource) -> Iterator[None]:
        """Start no poll during the block, which begins when no poll of the resource is running.

        If the API changed between the requests of a poll, its outcome would be uncertain.
        """
        scheduler, name = self.service.scheduler, f"{resource} {account_id}"
        while True:
            with scheduler._lock:
                if not any(task.name == name for task in scheduler._running):
                    yield
                    return
            time.sleep(0.002)

    def log_lines(self, account_id: str, resource: Resource) -> list[tuple[str, dict[str, object]]]:
        """Return the log lines about polls of a resource, in order, without those of the first success."""
        threads = set(self.service.scheduler.threads())
        return [
            (message, facts)
            for thread, message, facts in list(self._lines.kept)
            if thread in threads
            and (facts.get("account"), facts.get("resource")) == (account_id, resource)
            and message != "First poll done"
            # If a fault starts or ends during a poll, some disks may be read and others not.
            and not message.startswith("Backups of ")
        ]


@contextmanager
def in_process_exporter(settings: Settings) -> Iterator[InProcessExporter]:
    """Run an exporter until the end of the block."""
    exporter = InProcessExporter(settings)
    exporter.start()
    try:
        yield exporter
    finally:
        exporter.close()
        for thread in exporter.service.scheduler.threads():
            thread.join(5.0)
            assert not thread.is_alive(), "a poll did not end"
