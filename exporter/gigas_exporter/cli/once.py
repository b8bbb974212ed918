"""One poll of everything, for the commands that look once and leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gigas_exporter import logs
from gigas_exporter.cli.application import tell_warnings
from gigas_exporter.clock import Clock, SystemClock
from gigas_exporter.config import Settings
from gigas_exporter.inventory import Resource
from gigas_exporter.metrics import Page, Telemetry
from gigas_exporter.poller.service import Service
from gigas_exporter.poller.store import Store

__all__ = ["Once", "poll_once"]


@dataclass(frozen=True, slots=True)
class Once:
    """What one poll gave.

    Attributes:
        unread: By account id, the resources that could not be read; virtual machines are enrichment and not counted.
    """

    store: Store
    page: Page
    unread: Mapping[str, frozenset[Resource]]
    clock: Clock


def poll_once(settings: Settings, progress: Callable[[str, Resource, bool], None] = lambda *_: None) -> Once:
    """Poll every account once.

    Raises:
        GigasError: The accounts could not be listed.
    """
    logs.configure(settings.log.level, settings.log.format)
    tell_warnings(settings)
    clock = SystemClock()
    telemetry = Telemetry()
    store = Store()
    service = Service(settings, store, telemetry, clock=clock)
    try:
        failed = service.poll_once(progress)
    finally:
        service.stop()
    unread = {account_id: frozenset(resources - {"virtual_machines"}) for account_id, resources in failed.items()}
    page = Page(store, telemetry, clock)
    return Once(store, page, {account_id: resources for account_id, resources in unread.items() if resources}, clock)
