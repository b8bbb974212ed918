"""Poll one account: read a resource, publish what came, keep what was known when nothing did, and tell of it.

This is the one place that catches broadly: whatever goes wrong in a poll ends here, as a counted and logged failure.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from gigas_exporter.clock import Budget, Clock
from gigas_exporter.errors import GigasError, Reason, without_frames
from gigas_exporter.gigas import ReadClient
from gigas_exporter.inventory import (
    AccountInventory,
    DisksReading,
    MachinesReading,
    Outcome,
    Resource,
    locked_since,
)
from gigas_exporter.logs import get_logger
from gigas_exporter.model import Disk, VirtualMachine
from gigas_exporter.policy import Policy
from gigas_exporter.poller.backups import BackupsReader
from gigas_exporter.poller.loop import poll_deadline
from gigas_exporter.poller.store import Store

__all__ = ["AccountPoller", "PollObserver"]

_log = get_logger(__name__)

_WAIT_FOR_DISKS_STEP_SECONDS = 0.05


class PollObserver(Protocol):
    """Hears of every poll that ended."""

    def poll(self, account_id: str, resource: Resource, failure: Reason | None) -> None:
        """One poll ended, well when ``failure`` is ``None``."""

    def invalid(self, account_id: str, resource: Resource, field: str, count: int) -> None:
        """So many values of a field could not be understood."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What a successful poll gave: the change it makes to the inventory, what was invalid, and facts for the log."""

    change: Callable[[AccountInventory], AccountInventory]
    invalid: Mapping[str, int]
    facts: Mapping[str, object]


class AccountPoller:
    """Polls the resources of one account into the store.

    Args:
        stop: Set when this poller is to end; its polls then end early and publish nothing any more.
    """

    def __init__(
        self,
        account_id: str,
        client: ReadClient,
        *,
        backups: BackupsReader,
        policy: Policy,
        store: Store,
        observer: PollObserver,
        interval_seconds: float,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._account_id = account_id
        self._client = client
        self._backups = backups
        self._policy = policy
        self._store = store
        self._observer = observer
        self._interval = interval_seconds
        self._clock = clock
        self._stop = stop
        self._told: set[Resource] = set()

    def poll(self, resource: Resource) -> bool:
        """Poll one resource once; return whether it could be read. Nothing is raised."""
        began = self._clock.monotonic()
        result = self._attempt(resource)
        if self._stop.is_set():
            return False
        duration = self._clock.monotonic() - began
        failure = result if isinstance(result, GigasError) else None
        last = self._last_outcome(resource)
        self._publish(resource, result, duration, last)
        self._observer.poll(self._account_id, resource, failure.reason if failure is not None else None)
        self._tell(resource, result, duration, last)
        return failure is None

    def _last_outcome(self, resource: Resource) -> Outcome:
        inventory = self._store.get(self._account_id)
        outcomes = inventory.outcomes if inventory is not None else {}
        return outcomes.get(resource, Outcome(False, 0.0, None))

    def _attempt(self, resource: Resource) -> _Read | GigasError:
        """Return what a poll gave; a method of its own, so that no frame holds the error that holds the frame."""
        read = {"disks": self._read_disks, "virtual_machines": self._read_machines, "backups": self._read_backups}
        try:
            return read[resource]()
        except GigasError as error:
            return without_frames(error)
        except Exception as error:  # noqa: BLE001  # the poll loop's boundary: a bug must not end the polling
            unexpected = GigasError(f"unexpected {type(error).__name__}")
            unexpected.__cause__ = error
            return unexpected

    def _publish(self, resource: Resource, result: _Read | GigasError, duration: float, last: Outcome) -> None:
        now, monotonic = self._clock.wall(), self._clock.monotonic()

        def change(inventory: AccountInventory) -> AccountInventory:
            if isinstance(result, _Read):
                outcome = Outcome(True, duration, now, invalid=result.invalid)
                return result.change(inventory).with_outcome(resource, outcome)
            since = monotonic if last.failing_since is None else last.failing_since
            outcome = Outcome(False, duration, last.last_success_at, since, str(result), last.invalid)
            return inventory.with_outcome(resource, outcome)

        self._store.update(self._account_id, change, still_wanted=lambda: not self._stop.is_set())
        if isinstance(result, _Read):
            for field, count in result.invalid.items():
                self._observer.invalid(self._account_id, resource, field, count)

    def _read_disks(self) -> _Read:
        began = self._clock.monotonic()
        listing = self._client.list_disks(self._account_id, budget=self._budget(poll_deadline(self._interval)))
        disks: Mapping[str, Disk] = {disk.id: disk for disk in listing.items}
        read_at, wall = self._clock.monotonic(), self._clock.wall()

        def change(inventory: AccountInventory) -> AccountInventory:
            seen: Mapping[str, float] = inventory.disks.first_seen if inventory.disks is not None else {}
            first_seen = {disk_id: seen.get(disk_id, began) for disk_id in disks}
            known = inventory.disks.disks if inventory.disks is not None else None
            # The same object for the same disks lets whoever renders them see at once that nothing changed.
            since = locked_since(disks, inventory.disks, wall)
            reading = DisksReading(known if known == disks else disks, first_seen, read_at, since)
            changed = replace(inventory, disks=reading)
            return changed if reading.disks is known else changed.with_requirements(self._policy)

        return _Read(change, listing.invalid, {"disks": len(disks)})

    def _read_machines(self) -> _Read:
        budget = self._budget(poll_deadline(self._interval))
        listing = self._client.list_virtual_machines(self._account_id, budget=budget)
        machines: Mapping[str, VirtualMachine] = {machine.id: machine for machine in listing.items}
        read_at = self._clock.monotonic()

        def change(inventory: AccountInventory) -> AccountInventory:
            known = inventory.machines.machines if inventory.machines is not None else None
            reading = MachinesReading(known if known == machines else machines, read_at)
            changed = replace(inventory, machines=reading)
            return changed if reading.machines is known else changed.with_requirements(self._policy)

        return _Read(change, listing.invalid, {"virtual_machines": len(machines)})

    def _read_backups(self) -> _Read:
        inventory = self._store.get(self._account_id)
        poll = self._backups.read(self._disk_ids, inventory.backups if inventory is not None else None, self._budget)
        facts: dict[str, object] = {
            "source": poll.source,
            "disks_with_backups": sum(1 for summary in poll.reading.summaries.values() if summary.usable),
        }
        if poll.reading.failed_disks:
            facts["disks_unread"] = len(poll.reading.failed_disks)
            facts["error"] = str(poll.first_failure or "no time was left")
        return _Read(lambda inventory: replace(inventory, backups=poll.reading), poll.invalid, facts)

    def _disk_ids(self, budget: Budget) -> Iterable[str]:
        """Return the account's disks; the first backups poll waits here for the first disk list."""
        while True:
            inventory = self._store.get(self._account_id)
            if inventory is not None and inventory.disks is not None:
                return tuple(inventory.disks.disks)
            if not budget.wait(_WAIT_FOR_DISKS_STEP_SECONDS):
                raise GigasError("backups: the disks of the account could not be read yet")

    def _budget(self, seconds: float) -> Budget:
        return Budget(self._clock, seconds, self._stop)

    def _tell(self, resource: Resource, result: _Read | GigasError, duration: float, last: Outcome) -> None:
        """Log a poll in one line; a failure when it begins and when it ends, not each time.

        One that is another after a reload is said once more: somebody may have reloaded to mend the first.
        """
        log = _log.bind(account=self._account_id, resource=resource, duration_seconds=round(duration, 3))
        since, is_first = last.failing_since, resource not in self._told
        self._told.add(resource)
        if isinstance(result, GigasError):
            if since is None or (is_first and str(result) != last.error):
                log.warning("poll failed", reason=result.reason, error=str(result), exc_info=result.__cause__ or False)
            else:
                log.debug("poll failed again", reason=result.reason, error=str(result))
            return
        if since is not None:
            log.info("poll succeeds again", failed_for_seconds=round(self._clock.monotonic() - since, 1))
        log.bind(**result.facts).info("poll done")
