"""One poll of everything, for the commands that look once and leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gigas_exporter import logs
from gigas_exporter.cli.application import tell_warnings
from gigas_exporter.clock import Clock, SystemClock
from gigas_exporter.config import Settings
from gigas_exporter.errors import Reason
from gigas_exporter.inventory import RESOURCES, Resource
from gigas_exporter.metrics import Page, Telemetry
from gigas_exporter.poller.service import Service
from gigas_exporter.poller.store import Store

__all__ = ["Once", "poll_once"]

_WORDS: Final[Mapping[Reason, str]] = {
    "timeout": "the API did not answer in time",
    "connection": "the API cannot be reached",
    "auth": "the API does not accept the credential",
    "forbidden": "the API forbids it",
    "rate_limited": "the API asks for fewer requests",
    "server": "the API has an error",
    "invalid": "the answer cannot be understood",
    "incomplete": "the list changed while it was read",
    "other": "the API refused it; is the account's id right?",
}


@dataclass(frozen=True, slots=True)
class Once:
    """What one poll gave.

    Attributes:
        unread: By account id, the resources that could not be read, and why; virtual machines are enrichment and not
            counted.
    """

    store: Store
    page: Page
    unread: Mapping[str, Mapping[Resource, Reason]]
    clock: Clock

    def problems(self) -> list[str]:
        """Return what could not be read, one phrase for each account and reason."""
        phrases = []
        for account_id, failures in self.unread.items():
            for reason in dict.fromkeys(failures.values()):
                resources = " and ".join(resource for resource in failures if failures[resource] == reason)
                phrases.append(f"account {account_id}: {resources} could not be read, {_WORDS[reason]}")
        return phrases


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
    unread: dict[str, dict[Resource, Reason]] = {}
    for account_id, failures in failed.items():
        for resource in RESOURCES:
            if resource in failures and resource != "virtual_machines":
                unread.setdefault(account_id, {})[resource] = failures[resource].reason
    return Once(store, Page(store, telemetry, clock), unread, clock)
