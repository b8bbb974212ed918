"""Services that poll a simulated cloud at short intervals, and what they report."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from gigas_exporter.clock import SystemClock
from gigas_exporter.config import AccountSettings, PollSettings, Settings
from gigas_exporter.errors import GigasError, Reason
from gigas_exporter.gigas import ApiKeyCredential, ApiSettings, Credential, FixedSecret
from gigas_exporter.inventory import AccountInventory, BackupSnapshot, Resource
from gigas_exporter.model import Account
from gigas_exporter.poller.service import Service
from gigas_exporter.poller.store import Store
from gigas_exporter.secret import Secret
from support import programs
from support.simulator import SimulatorServer

await_true = partial(programs.await_true, pause=0.01)


class Observed:
    """Records what a service reports."""

    def __init__(self) -> None:
        self.polls: Counter[tuple[str, Resource, Reason | None]] = Counter()
        self.invalids: Counter[tuple[str, Resource, str]] = Counter()
        self.requests: Counter[tuple[str, str]] = Counter()
        self.tokens: dict[str, float | None] = {}
        self.watched: list[str] = []
        self.forgotten: list[str] = []
        self.discoveries: list[bool | None] = []
        self.blocked: dict[str, bool] = {}
        self.counts: tuple[int | None, int, int] = (None, 0, 0)
        self._lock = threading.Lock()

    def poll(self, account_id: str, resource: Resource, failure: Reason | None) -> None:
        with self._lock:
            self.polls[account_id, resource, failure] += 1

    def invalid(self, account_id: str, resource: Resource, field: str, count: int) -> None:
        with self._lock:
            self.invalids[account_id, resource, field] += count

    def request(self, operation: str, code: str, seconds: float) -> None:
        with self._lock:
            self.requests[operation, code] += 1

    def retry(self, operation: str) -> None:
        pass

    def token(self, account_ids: Iterable[str], expires_at: float | None) -> None:
        self.tokens.update(dict.fromkeys(account_ids, expires_at))

    def login_blocked(self, account_ids: Iterable[str], blocked: bool) -> None:
        self.blocked.update(dict.fromkeys(account_ids, blocked))

    def accounts(self, watched: int | None, unpolled: int, skipped: int) -> None:
        self.counts = watched, unpolled, skipped

    def account(self, account_id: str) -> None:
        self.watched.append(account_id)

    def forget(self, account_ids: Collection[str]) -> None:
        self.forgotten.extend(account_ids)

    def discovery(self, success: bool | None) -> None:
        self.discoveries.append(success)

    def ended(self, resource: Resource) -> int:
        """Return how many polls of a resource ended, in all accounts."""
        with self._lock:
            return sum(count for (_, each, _), count in self.polls.items() if each == resource)


def api_key(key: str) -> Credential:
    """Return the credential of an API key."""
    return ApiKeyCredential(FixedSecret(Secret(key), "the test"))


def settings_for(server: SimulatorServer, *, api: dict[str, Any] | None = None, **poll: Any) -> Settings:
    """Return settings to poll all accounts of a simulated cloud at short intervals, each with its own key."""
    world = server.world
    accounts = tuple(
        AccountSettings(Account(account_id), api_key(world.credentials(account_id).api_key))
        for account_id in world.account_ids
    )
    poll = {"interval": 1.0, "backups_interval": 1.0, "max_staleness": 60.0, **poll}
    return Settings(
        accounts=accounts,
        api=replace(ApiSettings(url=server.url, timeout_seconds=2.0, max_requests_per_second=0.0), **(api or {})),
        poll=PollSettings(**poll),
    )


def poll_once(settings: Settings, store: Store | None = None) -> tuple[Service, dict[str, dict[Resource, GigasError]]]:
    """Poll everything once; return the stopped service, and the errors of its polls by account."""
    service = Service(settings, store or Store(), Observed(), clock=SystemClock())
    try:
        return service, service.poll_once(lambda *_: None)
    finally:
        service.stop()


class Watching:
    """A running service with its store and its reports."""

    def __init__(self, settings: Settings, store: Store | None = None, observed: Observed | None = None) -> None:
        self.store = store or Store()
        self.observed = observed or Observed()
        self.service = Service(settings, self.store, self.observed, clock=SystemClock())
        self.service.start()

    def inventory(self, account_id: str = "4242") -> AccountInventory:
        """Return the inventory of an account."""
        inventory = self.store.get(account_id)
        assert inventory is not None
        return inventory

    def backups(self, account_id: str = "4242") -> BackupSnapshot:
        """Return the backups of an account."""
        backups = self.inventory(account_id).backups
        assert backups is not None
        return backups

    def await_failed_disk(self) -> str:
        """Wait until the backups of a single disk cannot be read; return its id."""
        await_true(lambda: self.inventory().backups and self.backups().failed_disks)
        (disk_id,) = self.backups().failed_disks
        return disk_id

    def await_ready(self) -> None:
        """Wait until the accounts are listed and their disks are known."""
        await_true(lambda: self.service.not_ready() is None)

    def accounts(self) -> set[str]:
        """Return the ids of the accounts in the store."""
        return {inventory.account.id for inventory in self.store.snapshot()}

    def disks(self, account_id: str = "4242") -> set[str]:
        """Return the ids of the known disks."""
        reading = self.inventory(account_id).disks
        return set() if reading is None else set(reading.disks)

    def await_polls(self, resource: Resource, count: int = 1) -> None:
        """Wait until ``count`` more polls of a resource have started and ended."""
        # A running poll may have started before the test's last step, so one more is awaited.
        target = self.observed.ended(resource) + count + 1
        await_true(lambda: self.observed.ended(resource) >= target)
