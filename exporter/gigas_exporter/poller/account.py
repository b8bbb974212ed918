"""Poll one account. A failed poll is logged and counted, and keeps the last good data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from gigas_exporter.clock import Clock, Deadline, StopEvent
from gigas_exporter.config import Settings
from gigas_exporter.errors import ApiError, GigasError, IncompleteError, TransportError, strip_traceback
from gigas_exporter.gigas import Credential, Listing, ReadClient
from gigas_exporter.inventory import (
    AccountInventory,
    DiskSnapshot,
    MachineSnapshot,
    PollStatus,
    Resource,
    locked_since,
)
from gigas_exporter.logs import get_logger
from gigas_exporter.model import Disk, VirtualMachine
from gigas_exporter.policy import max_ages
from gigas_exporter.poller.backups import NO_TIME, BackupsReader, NewDeadline
from gigas_exporter.poller.observer import PollerObserver
from gigas_exporter.poller.own_lists import KnownDisks
from gigas_exporter.poller.scheduler import PollTask, poll_deadline
from gigas_exporter.poller.store import Store

_log = get_logger(__name__)

_WAIT_FOR_DISKS_STEP_SECONDS = 0.05
# Share of `api.timeout` in which an account that never answered must respond, while other such accounts wait.
_FIRST_RESPONSE_SHARE = 0.2
_MIN_FIRST_RESPONSE_SECONDS = 1.0
POLL_ORDER: tuple[Resource, ...] = ("disks", "virtual_machines", "backups")
"""The order of one poll. Backups come last: which lists of them are read depends on the disks and machines."""
_DISCOVER_ADVICE = ", or leave the account out with discover: {product_id: […], status: […]}"
"""Added to the error of a discovered account whose disks are not found."""


class PollOutcome(NamedTuple):
    """How a poll ended.

    Attributes:
        failure: The error of a failed poll.
        hung: Whether it failed because the API did not respond.
        partial: The error of the part that could not be read, in a poll that succeeded.
    """

    failure: GigasError | None
    hung: bool
    partial: GigasError | None = None


@dataclass(frozen=True, slots=True)
class _PollData:
    """The result of a successful poll; ``facts`` are logged."""

    change: Callable[[AccountInventory], AccountInventory]
    invalid: Mapping[str, int]
    facts: Mapping[str, object]
    partial: GigasError | None = None


class AccountPoller:
    """Polls the resources of one account into the store.

    Args:
        stop: Set when this poller must stop. Its polls then end early and publish nothing.
        on_missing: Called when disks that were never found answer 404. Returns whether the account is skipped from now
            on; the poll is then no failure. Only with discovery.
        shown: Disks that the caller has read, by id. Own lists of backups are read only for them; empty means for all.
        list_seconds: Time limit for reading disks or virtual machines; derived from ``poll.interval`` by default.
    """

    def __init__(
        self,
        account_id: str,
        client: ReadClient,
        settings: Settings,
        *,
        store: Store,
        observer: PollerObserver,
        clock: Clock,
        stop: StopEvent,
        on_missing: Callable[[ApiError], bool] | None = None,
        shown: Mapping[str, Disk] = MappingProxyType({}),
        list_seconds: float | None = None,
    ) -> None:
        self._account_id = account_id
        self._client = client
        self._backups = BackupsReader(client, account_id, settings, clock=clock)
        self._settings = settings
        self._store = store
        self._observer = observer
        self._clock = clock
        self._stop = stop
        self._on_missing = on_missing
        self._shown = shown
        self._list_seconds = list_seconds or poll_deadline(settings.poll.interval)
        self._logged: set[Resource] = set()
        self._running: dict[Resource, tuple[StopEvent, list[Deadline]]] = {}

    def tasks(self, credential: Credential, on_begin: Callable[[], None]) -> tuple[PollTask, ...]:
        """Return the periodic polls; ``on_begin`` is called when the first poll of the disks begins."""
        api, poll = self._settings.api, self._settings.poll
        limit = max(_MIN_FIRST_RESPONSE_SECONDS, api.timeout_seconds * _FIRST_RESPONSE_SHARE)

        def task(resource: Resource, interval: float, leader: PollTask | None = None) -> PollTask:
            def run(may_retry: Callable[[], bool]) -> bool:
                if resource == "disks" and not self._logged:
                    on_begin()
                return self.poll(resource, may_retry=may_retry).hung

            return PollTask(
                f"{resource} {self._account_id}",
                run,
                lambda: interval,
                max(interval, poll_deadline(interval)),
                credential=credential,
                slots=api.max_concurrency,
                rank=1 if resource == "backups" else 0,
                is_long=resource == "backups",
                leader=leader,
                abort=lambda: self._abort(resource, limit),
                first_response_seconds=limit,
            )

        disks = task("disks", poll.interval)
        machines = task("virtual_machines", poll.interval, disks)
        return disks, machines, task("backups", poll.backups_interval, disks)

    def _abort(self, resource: Resource, seconds: float) -> None:
        """Abort a poll that has waited ``seconds`` for its first response."""
        stop, deadlines = self._running.get(resource, (None, []))
        latest = self._clock.monotonic() - seconds
        # Each ``sent_at`` is read once: a response may reset it at any time.
        sent_at = [sent for each in deadlines if (sent := each.sent_at) is not None]
        if stop is not None and sent_at and min(sent_at) <= latest and not any(each.got_response for each in deadlines):
            stop.set()

    def poll_all(
        self, on_end: Callable[[Resource, PollOutcome], None] = lambda *_: None, *, needs_disks: bool = True
    ) -> dict[Resource, PollOutcome]:
        """Poll every resource once; with ``needs_disks``, backups only if the disks were read."""
        ended: dict[Resource, PollOutcome] = {}
        for resource in POLL_ORDER:
            if resource == "backups" and needs_disks and ended["disks"].failure is not None:
                break
            ended[resource] = self.poll(resource)
            on_end(resource, ended[resource])
        return ended

    def poll(self, resource: Resource, *, may_retry: Callable[[], bool] = lambda: True) -> PollOutcome:
        """Poll one resource once; never raise."""
        began = self._clock.monotonic()
        deadlines: list[Deadline] = []
        abort = StopEvent(self._stop)
        self._running[resource] = abort, deadlines

        def new_deadline(seconds: float) -> Deadline:
            deadlines.append(Deadline(self._clock, seconds, abort, may_retry=may_retry))
            return deadlines[-1]

        result = self._attempt(resource, new_deadline)
        abort.detach()
        if abort.is_set() and isinstance(result, GigasError):
            result = TransportError(f"list_{resource}", "timeout", "no response yet, and other accounts wait")
        duration = self._clock.monotonic() - began
        last = self._last_status(resource)
        was_found = last.last_success_at is not None or self._client.has_found_disks(self._account_id)
        on_missing = self._on_missing if resource == "disks" and not was_found else None
        if on_missing is not None and isinstance(result, ApiError) and result.status == HTTPStatus.NOT_FOUND:
            advised = result.with_more(_DISCOVER_ADVICE)
            # A 404 from a gateway counts as the API's own only when it is repeated.
            if (not result.is_foreign or last.error == str(advised)) and on_missing(result):
                return PollOutcome(result, hung=False)
            result = advised
        failure = result if isinstance(result, GigasError) else None
        if self._stop.is_set():
            return PollOutcome(failure, hung=False)
        self._publish(resource, result, duration, last)
        self._observer.poll(self._account_id, resource, failure.reason if failure is not None else None)
        self._log_result(resource, result, duration, last)
        hung = failure is not None and (abort.is_set() or deadlines[-1].timed_out)
        return PollOutcome(failure, hung, result.partial if isinstance(result, _PollData) else None)

    def _last_status(self, resource: Resource) -> PollStatus:
        inventory = self._store.get(self._account_id)
        outcomes = inventory.outcomes if inventory is not None else {}
        return outcomes.get(resource, PollStatus(False, 0.0, None))

    def _attempt(self, resource: Resource, new_deadline: NewDeadline) -> _PollData | GigasError:
        """Return a poll's result or error; in a function of its own, so that no frame keeps the error."""
        read = {"disks": self._read_disks, "virtual_machines": self._read_machines, "backups": self._read_backups}
        try:
            return read[resource](new_deadline)
        except GigasError as error:
            return strip_traceback(error)
        except Exception as error:  # noqa: BLE001  # the poll loop's boundary: a bug must not end the polling
            unexpected = GigasError(f"unexpected {type(error).__name__}")
            unexpected.__cause__ = error
            return unexpected

    def _publish(self, resource: Resource, result: _PollData | GigasError, duration: float, last: PollStatus) -> None:
        now, monotonic = self._clock.wall(), self._clock.monotonic()

        def change(inventory: AccountInventory) -> AccountInventory:
            if isinstance(result, _PollData):
                status = PollStatus(True, duration, now, invalid=result.invalid)
                return result.change(inventory).with_outcome(resource, status)
            since = monotonic if last.failing_since is None else last.failing_since
            status = PollStatus(False, duration, last.last_success_at, since, str(result), last.invalid)
            return inventory.with_outcome(resource, status)

        self._store.update(self._account_id, change, still_wanted=lambda: not self._stop.is_set())
        if isinstance(result, _PollData):
            for field, count in result.invalid.items():
                self._observer.invalid(self._account_id, resource, field, count)

    def _read_disks(self, new_deadline: NewDeadline) -> _PollData:
        began = self._clock.monotonic()
        listing = self._client.list_disks(self._account_id, deadline=new_deadline(self._list_seconds))
        disks: Mapping[str, Disk] = {disk.id: disk for disk in listing.items} | dict(self._shown)
        self._reject_first_204("disks", listing)
        read_at, wall = self._clock.monotonic(), self._clock.wall()

        def change(inventory: AccountInventory) -> AccountInventory:
            seen: Mapping[str, float] = inventory.disks.first_seen if inventory.disks is not None else {}
            first_seen = {disk_id: seen.get(disk_id, began) for disk_id in disks}
            known = inventory.disks.disks if inventory.disks is not None else None
            since = locked_since(disks, inventory.disks, wall)
            # Unchanged disks stay the same object, so that the renderer sees at once that nothing changed.
            snapshot = DiskSnapshot(known if known == disks else disks, first_seen, read_at, since)
            changed = replace(inventory, disks=snapshot)
            return changed if snapshot.disks is known else changed.with_requirements(self._settings.policy)

        return _PollData(change, listing.invalid, {"disks": len(disks)})

    def _read_machines(self, new_deadline: NewDeadline) -> _PollData:
        listing = self._client.list_virtual_machines(self._account_id, deadline=new_deadline(self._list_seconds))
        machines: Mapping[str, VirtualMachine] = {machine.id: machine for machine in listing.items}
        self._reject_first_204("virtual_machines", listing)
        read_at = self._clock.monotonic()

        def change(inventory: AccountInventory) -> AccountInventory:
            known = inventory.machines.machines if inventory.machines is not None else None
            snapshot = MachineSnapshot(known if known == machines else machines, read_at)
            changed = replace(inventory, machines=snapshot)
            return changed if snapshot.machines is known else changed.with_requirements(self._settings.policy)

        return _PollData(change, listing.invalid, {"virtual_machines": len(machines)})

    def _reject_first_204(self, resource: Literal["disks", "virtual_machines"], listing: Listing[Any]) -> None:
        """Reject the first 204 after a list with items; a client made by a reload does not know that list.

        Raises:
            IncompleteError: The previous poll succeeded, and there were items.
        """
        inventory = self._store.get(self._account_id)
        if listing.has_content or inventory is None or not self._last_status(resource).success:
            return
        disks, machines = inventory.disks, inventory.machines
        if (disks and disks.disks) if resource == "disks" else (machines and machines.machines):
            what = "status 204 where there were items before; it counts when it is repeated"
            raise IncompleteError(f"list_{resource}: {what}")

    def _read_backups(self, new_deadline: NewDeadline) -> _PollData:
        inventory = self._store.get(self._account_id)
        previous = inventory.backups if inventory is not None else None
        poll = self._backups.read(self._known_disks, previous, new_deadline)
        facts: dict[str, object] = {
            "source": poll.source,
            "disks_with_backups": sum(1 for summary in poll.reading.summaries.values() if summary.usable),
        }
        if poll.reading.failed_disks:
            facts["disks_unread"] = len(poll.reading.failed_disks)
            facts["error"] = poll.reading.error or NO_TIME
        log = _log.bind(account=self._account_id, resource="backups")
        if poll.reading.failed_disks and not (previous and previous.failed_disks):
            log.bind(**facts).warning("Backups of some disks cannot be read")
        elif previous and previous.failed_disks and not poll.reading.failed_disks:
            log.warning("Backups of all disks can be read again")
        return _PollData(lambda inventory: replace(inventory, backups=poll.reading), poll.invalid, facts, poll.failure)

    def _known_disks(self, deadline: Deadline) -> KnownDisks:
        """Return the account's disks; wait for the first disks poll to end."""
        while True:
            inventory = self._store.get(self._account_id)
            status = inventory.outcomes.get("disks") if inventory is not None else None
            if inventory is not None and inventory.disks is not None:
                required = max_ages(inventory.requirements)
                machines = {disk.id: disk.virtual_machine_id for disk in inventory.disks.disks.values()}
                is_readable = status is None or status.success
                return KnownDisks(machines, required, is_readable, only=self._shown.keys() or None)
            if status is not None or not deadline.wait(_WAIT_FOR_DISKS_STEP_SECONDS):
                raise GigasError("backups: the disks of the account could not be read yet")

    def _log_result(
        self, resource: Resource, result: _PollData | GigasError, duration: float, last: PollStatus
    ) -> None:
        """Log a poll at debug level, and a change of its outcome at a higher level.

        After a reload, a different error is a change, too: the reload may have been made to fix the first one.
        """
        log = _log.bind(account=self._account_id, resource=resource, duration_seconds=round(duration, 3))
        since, is_first = last.failing_since, resource not in self._logged
        self._logged.add(resource)
        if isinstance(result, GigasError):
            if since is None or (is_first and str(result) != last.error):
                log.warning("Poll failed", reason=result.reason, error=str(result), exc_info=result.__cause__ or False)
            else:
                log.debug("Poll failed again", reason=result.reason, error=str(result))
        elif since is not None:
            failed_for = round(self._clock.monotonic() - since, 1)
            log.bind(**result.facts).warning("Poll succeeds again", failed_for_seconds=failed_for)
        elif last.last_success_at is None:
            log.bind(**result.facts).info("First poll done")
        else:
            log.bind(**result.facts).debug("Poll done")
