"""All accounts of a configuration, polled: which there are, since when, and whether all goes well.

The service owns the threads. It knows nothing of how anything is served.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Protocol

from gigas_exporter.clock import Budget, Clock
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.errors import ConfigError, GigasError
from gigas_exporter.gigas import Credential
from gigas_exporter.inventory import RESOURCES, AccountInventory, Resource, StalenessLimits
from gigas_exporter.logs import get_logger
from gigas_exporter.poller.account import AccountPoller, PollObserver
from gigas_exporter.poller.backups import BackupsReader
from gigas_exporter.poller.clients import Clients, RequestObserver
from gigas_exporter.poller.discovery import discover
from gigas_exporter.poller.loop import Loop, poll_deadline
from gigas_exporter.poller.store import Store

__all__ = ["Service", "ServiceObserver"]

_log = get_logger(__name__)

_STUCK_AFTER_DEADLINES = 3
_JOIN_SECONDS = 1.0
_ACCOUNTS_AT_ONCE = 8


class ServiceObserver(PollObserver, RequestObserver, Protocol):
    """Hears of accounts besides polls and requests."""

    def account(self, account_id: str) -> None:
        """An account is watched from now on."""

    def forget(self, account_id: str) -> None:
        """An account is watched no more."""

    def discovery(self, success: bool | None) -> None:
        """The accounts were listed, or could not be; ``None`` where they are configured."""


class _Watch:
    """The polling of one account: its loops, and the event that ends them."""

    def __init__(self, stop: threading.Event, loops: tuple[Loop, ...]) -> None:
        self.stop = stop
        self.loops = loops


class Service:
    """Polls every account of ``settings`` into ``store``, from :meth:`start` to :meth:`stop`.

    A service is one generation: for a reload the old one is stopped and a new one started over the same store, which
    keeps what is known of the accounts that stay.

    Raises:
        ConfigError: A client cannot be made of the settings; nothing has begun by then.
    """

    def __init__(self, settings: Settings, store: Store, observer: ServiceObserver, *, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._observer = observer
        self._clock = clock
        self._clients = Clients(settings.api, observer, clock)
        self._rng = random.Random()  # noqa: S311  # jitter, no secret
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._watches: dict[str, _Watch] = {}
        self._discovery: Loop | None = None
        self._discovered = settings.discovery is None
        self._discovery_fails = False
        self._is_half_started = False
        self._is_wanted: Callable[[], bool] = lambda: True
        self._make_clients()

    def start(self, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Begin to poll; the first poll of each resource starts at once.

        Args:
            is_wanted: Asked before each account: where there are many, the first ones' polls keep the rest waiting.

        Raises:
            RuntimeError: There are not enough threads; some accounts may be polled by then.
        """
        self._is_wanted = is_wanted
        try:
            self._begin_all()
        except RuntimeError:
            self._is_half_started = True
            raise

    def stop(self) -> None:
        """End all polls, waiting a moment for those under way; they publish nothing any more."""
        self._stop.set()
        with self._lock:
            for watch in self._watches.values():
                watch.stop.set()
        deadline = self._clock.monotonic() + _JOIN_SECONDS
        for loop in self._loops():
            loop.join(max(0.0, deadline - self._clock.monotonic()))
        self._clients.close()

    def not_ready(self) -> str | None:
        """Return why not every account's disk list has been read yet, ``None`` when each has been."""
        inventories = self._store.snapshot()
        if not self._discovered and not inventories:
            return "the accounts have not been listed yet"
        waiting = [inventory.account.id for inventory in inventories if inventory.disks is None]
        if not waiting:
            return None
        return f"the disks of {len(waiting)} account(s) have not been read yet, among them account {waiting[0]}"

    def healthy(self) -> bool:
        """Return whether every loop is alive and none is stuck; not so where some could not be started."""
        return not self._is_half_started and not any(loop.stuck() for loop in self._loops())

    def poll_once(self, progress: Callable[[str, Resource, bool], None]) -> dict[str, set[Resource]]:
        """Poll every resource of every account once; return by account id which could not be read.

        Backups are not asked for where the disks could not be read.

        ``progress`` is called as each poll ends, with account, resource and success, from several threads.

        Raises:
            GigasError: The accounts could not be listed, or there is none.
        """
        credential = self._settings.discovery
        accounts = self._settings.accounts if credential is None else self._list_accounts(credential)
        wanted = self._wanted(accounts)
        self._adopt(wanted)

        def poll(account: AccountSettings) -> set[Resource]:
            poller = self._poller(account, self._stop)
            failed: set[Resource] = set()
            for resource in ("disks", "virtual_machines", "backups"):
                if resource == "backups" and "disks" in failed:
                    break  # disk by disk they would be waited for until the deadline; without disks they say nothing
                success = poller.poll(resource)
                failed.update(() if success else (resource,))
                progress(account.account.id, resource, success)
            return failed

        with ThreadPoolExecutor(_ACCOUNTS_AT_ONCE, thread_name_prefix="poll") as pool:
            try:
                return dict(zip(wanted, pool.map(poll, wanted.values()), strict=True))
            except BaseException:
                self._stop.set()  # whoever interrupts it does not wait for the requests under way
                raise

    def _begin_all(self) -> None:
        credential = self._settings.discovery
        if credential is None:
            self._observer.discovery(success=None)
            self._watch(self._settings.accounts)
            return
        poll = self._settings.poll
        discovery = Loop(
            "discovery",
            partial(self._discover, credential),
            lambda: poll.interval if self._discovery_fails or not self._discovered else poll.backups_interval,
            longest_seconds=_STUCK_AFTER_DEADLINES * poll_deadline(poll.interval),
            clock=self._clock,
            stop=self._stop,
            rng=self._rng,
        )
        discovery.start()
        self._discovery = discovery  # only now, for a loop that is known and not running counts as dead

    def _make_clients(self) -> None:
        """Make at once what can fail, so that a reload knows before it ends the generation before."""
        try:
            if self._settings.discovery is not None:
                self._clients.get(self._settings.discovery)
            for account in self._wanted(self._settings.accounts).values():
                self._clients.get(account.credential)
        except ConfigError:
            self._clients.close()
            raise

    def _loops(self) -> list[Loop]:
        with self._lock:
            loops = [loop for watch in self._watches.values() for loop in watch.loops]
        return loops if self._discovery is None else [*loops, self._discovery]

    def _discover(self, credential: Credential) -> None:
        """List the accounts and watch them; when that fails, those already watched stay."""
        try:
            accounts = self._list_accounts(credential)
        except GigasError as error:
            if self._stop.is_set():  # which is why it failed
                return
            level = _log.debug if self._discovery_fails else _log.warning
            level("cannot list accounts", reason=error.reason, error=str(error))
            self._discovery_fails = True
            self._go_on(credential)
            return
        if self._discovery_fails or not self._discovered:
            _log.info("accounts listed", accounts=len(accounts))
        self._discovery_fails = False
        self._watch(accounts)
        self._discovered = True

    def _go_on(self, credential: Credential) -> None:
        """Watch the accounts that an earlier generation left, which else nobody would poll until they are listed."""
        known = tuple(AccountSettings(inventory.account, credential) for inventory in self._store.snapshot())
        if known and not self._watches:
            self._watch(known)

    def _list_accounts(self, credential: Credential) -> tuple[AccountSettings, ...]:
        budget = Budget(self._clock, poll_deadline(self._settings.poll.interval), self._stop)
        try:
            accounts = discover(self._clients.get(credential), credential, budget)
        except GigasError:
            if not self._stop.is_set():
                self._observer.discovery(success=False)
            raise
        self._observer.discovery(success=True)
        return accounts

    def _wanted(self, accounts: tuple[AccountSettings, ...]) -> dict[str, AccountSettings]:
        return {each.account.id: each for each in accounts if self._settings.owns(each.account.id)}

    def _watch(self, accounts: tuple[AccountSettings, ...]) -> None:
        """Watch these accounts and no other."""
        wanted = self._wanted(accounts)
        with self._lock:
            gone = {account_id: watch for account_id, watch in self._watches.items() if account_id not in wanted}
            new = [account for account_id, account in wanted.items() if account_id not in self._watches]
            for account_id, watch in gone.items():
                watch.stop.set()
                del self._watches[account_id]
        self._adopt(wanted)
        for account_id in gone:
            self._clients.discard(account_id)
        for account in new:
            self._begin(account)

    def _adopt(self, wanted: dict[str, AccountSettings]) -> None:
        """Make the store hold the wanted accounts, each with what is known of it already."""
        gone: set[str] = set()

        def change(known: Mapping[str, AccountInventory]) -> dict[str, AccountInventory]:
            gone.update(known.keys() - wanted.keys())
            return {account_id: self._inventory(each, known.get(account_id)) for account_id, each in wanted.items()}

        # A list of accounts that comes when a reload has ended this generation must not undo what its successor did.
        self._store.replace(change, still_wanted=lambda: not self._stop.is_set())
        if self._stop.is_set():
            return
        for account_id in wanted:
            self._observer.account(account_id)
        for account_id in gone:
            self._observer.forget(account_id)

    def _inventory(self, account: AccountSettings, known: AccountInventory | None) -> AccountInventory:
        """Return what is known of an account, under the settings of this generation."""
        poll = self._settings.poll
        limits = StalenessLimits.of(poll.max_staleness, poll.interval, poll.backups_interval)
        intervals: dict[Resource, float] = {
            resource: poll.backups_interval if resource == "backups" else poll.interval for resource in RESOURCES
        }
        inventory = known or AccountInventory(account.account, limits)
        inventory = replace(
            inventory,
            account=account.account,
            limits=limits,
            intervals=intervals,
            thresholds=self._settings.thresholds,
        )
        return inventory.with_requirements(self._settings.policy)

    def _begin(self, account: AccountSettings) -> None:
        stop = threading.Event()
        poller = self._poller(account, stop)
        poll = self._settings.poll

        def loop(resource: Resource, interval: float) -> Loop:
            return Loop(
                f"{resource} {account.account.id}",
                partial(poller.poll, resource),
                lambda: interval,
                longest_seconds=_STUCK_AFTER_DEADLINES * max(interval, poll_deadline(interval)),
                clock=self._clock,
                stop=stop,
                rng=self._rng,
            )

        loops = (
            loop("disks", poll.interval),
            loop("virtual_machines", poll.interval),
            loop("backups", poll.backups_interval),
        )
        if self._stop.is_set() or not self._is_wanted():
            return
        try:
            for each in loops:
                each.start()
        except RuntimeError:  # there is no thread for one of them: the others must not poll what nobody knows of
            stop.set()
            raise
        with self._lock:  # only now, for a loop that is known and not running counts as dead
            self._watches[account.account.id] = _Watch(stop, loops)
            if self._stop.is_set():
                stop.set()

    def _poller(self, account: AccountSettings, stop: threading.Event) -> AccountPoller:
        settings = self._settings
        account_id = account.account.id
        client = self._clients.get(account.credential, account_id)
        backups = BackupsReader(
            client,
            account_id,
            settings.poll.backups_source,
            settings.status_words,
            interval_seconds=settings.poll.backups_interval,
            concurrency=settings.api.max_concurrency,
            clock=self._clock,
        )
        return AccountPoller(
            account_id,
            client,
            backups=backups,
            policy=settings.policy,
            store=self._store,
            observer=self._observer,
            interval_seconds=settings.poll.interval,
            clock=self._clock,
            stop=stop,
        )
