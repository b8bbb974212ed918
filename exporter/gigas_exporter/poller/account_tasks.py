"""The periodic polls of one account; that of the disks goes first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from gigas_exporter.clock import StopEvent
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.inventory import Resource
from gigas_exporter.poller.account import AccountPoller
from gigas_exporter.poller.scheduler import PollTask, poll_deadline

# How much of a request's time an account has that never answered, while other such accounts wait.
_PATIENCE_SHARE = 0.2
_MIN_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class AccountTasks:
    """An account's tasks, and the event that stops what they run."""

    account: AccountSettings
    stop: StopEvent
    tasks: tuple[PollTask, ...]

    @classmethod
    def of(
        cls,
        account: AccountSettings,
        stop: StopEvent,
        poller: AccountPoller,
        settings: Settings,
        *,
        on_begin: Callable[[], None],
    ) -> Self:
        """Return the tasks of an account; ``on_begin`` is called as its first poll begins."""
        patience = max(_MIN_PATIENCE_SECONDS, settings.api.timeout_seconds * _PATIENCE_SHARE)

        def task(resource: Resource, interval: float, leader: PollTask | None = None) -> PollTask:
            def run(may_retry: Callable[[], bool]) -> bool:
                if resource == "disks" and not poller.has_polled:
                    on_begin()
                return poller.poll(resource, may_retry=may_retry).hung

            return PollTask(
                f"{resource} {account.account.id}",
                run,
                lambda: interval,
                max(interval, poll_deadline(interval)),
                credential=account.credential,
                slots=settings.api.max_concurrency,
                rank=1 if resource == "backups" else 0,
                is_long=resource == "backups",
                leader=leader,
                abort=lambda: poller.abort(resource, patience),
                patience_seconds=patience,
            )

        disks = task("disks", settings.poll.interval)
        machines = task("virtual_machines", settings.poll.interval, disks)
        return cls(account, stop, (disks, machines, task("backups", settings.poll.backups_interval, disks)))
