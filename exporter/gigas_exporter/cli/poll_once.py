"""Poll once, for check, collect, disks and probe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from gigas_exporter import logs
from gigas_exporter.clock import Clock, StopEvent, SystemClock
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.gigas import DEFAULT_DEADLINE_SECONDS, ReadClient
from gigas_exporter.inventory import AccountInventory, Resource, StalenessLimits
from gigas_exporter.metrics import MetricsRenderer, Telemetry
from gigas_exporter.model import Disk
from gigas_exporter.poller.account import AccountPoller, PollOutcome
from gigas_exporter.poller.account_source import ACCOUNTS_INCOMPLETE
from gigas_exporter.poller.service import Service
from gigas_exporter.poller.store import Store
from gigas_exporter.report import account_errors

_log = logs.get_logger(__name__)
_NEVER_STALE: Final = StalenessLimits(float("inf"), float("inf"))


@dataclass(frozen=True, slots=True)
class PollResult:
    """The result of one poll of every account.

    Attributes:
        skipped: How many of the listed accounts discovery skipped.
        is_account_list_incomplete: Whether there may be more accounts than were listed.
    """

    store: Store
    page: MetricsRenderer
    clock: Clock
    skipped: int = 0
    is_account_list_incomplete: bool = False

    @property
    def inventories(self) -> tuple[AccountInventory, ...]:
        """The inventory of each account."""
        return self.store.snapshot()

    def errors(self) -> list[str]:
        """Return what could not be read and why, worded as in the log."""
        now = self.clock.monotonic()
        errors = [error for inventory in self.inventories for error in account_errors(inventory, now)]
        return [*errors, ACCOUNTS_INCOMPLETE] if self.is_account_list_incomplete else errors

    def was_read(self, resource: Resource) -> bool:
        """Return whether a resource was read for every account."""
        outcomes = [inventory.outcomes.get(resource) for inventory in self.inventories]
        return all(outcome is not None and outcome.success for outcome in outcomes)


def poll_once(settings: Settings, progress: Callable[[str, Resource, bool], None] = lambda *_: None) -> PollResult:
    """Poll every account once.

    Raises:
        GigasError: The accounts could not be listed.
    """
    logs.configure(settings.log.level, settings.log.format)
    for warning in settings.warnings:
        _log.warning("Configuration warning", warning=warning)
    clock = SystemClock()
    telemetry = Telemetry()
    store = Store()
    service = Service(settings, store, telemetry, clock=clock)
    try:
        service.poll_once(progress)
    finally:
        service.stop()
    return PollResult(
        store,
        MetricsRenderer(store, telemetry, clock),
        clock,
        service.source.skipped,
        is_account_list_incomplete=service.source.is_incomplete,
    )


def poll_account(
    settings: Settings,
    account: AccountSettings,
    client: ReadClient,
    clock: Clock,
    *,
    shown: Mapping[str, Disk] = MappingProxyType({}),
    on_end: Callable[[Resource, PollOutcome], None] = lambda *_: None,
    needs_disks: bool = True,
) -> tuple[AccountInventory, Mapping[Resource, PollOutcome]]:
    """Poll one account once with the given client.

    Return its inventory and the outcome of each poll; for the options, see :class:`.AccountPoller`.
    """
    account_id, store = account.account.id, Store()
    empty = AccountInventory(account.account, _NEVER_STALE, thresholds=settings.thresholds)
    store.replace(lambda _: {account_id: empty})
    poller = AccountPoller(
        account_id,
        client,
        settings,
        store=store,
        observer=Telemetry(),
        clock=clock,
        stop=StopEvent(),
        shown=shown,
        list_seconds=DEFAULT_DEADLINE_SECONDS,
    )
    ended = poller.poll_all(on_end, needs_disks=needs_disks)
    return store.get(account_id) or empty, ended
