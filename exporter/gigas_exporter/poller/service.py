"""Poll all accounts of a configuration into a store.

The service schedules polls for the present accounts, also after a reload. It does not know how the data is served.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import NamedTuple

from gigas_exporter.clock import Clock, StopEvent
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.errors import ApiError, ConfigError, GigasError
from gigas_exporter.gigas import Credential
from gigas_exporter.inventory import RESOURCES, AccountInventory, Resource, StalenessLimits
from gigas_exporter.poller.account import AccountPoller
from gigas_exporter.poller.account_source import AccountSource
from gigas_exporter.poller.client_pool import ClientPool
from gigas_exporter.poller.observer import PollerObserver
from gigas_exporter.poller.scheduler import PollTask, Scheduler, poll_deadline
from gigas_exporter.poller.store import Store

_STOP_SECONDS = 1.0
_ACCOUNTS_AT_ONCE = 8


class _WatchedAccount(NamedTuple):
    """An account's polls, and the event that stops them."""

    account: AccountSettings
    stop: StopEvent
    tasks: tuple[PollTask, ...]


class Service:
    """Polls every account of the settings into ``store``.

    Attributes:
        source: Lists the accounts to watch.

    Raises:
        ConfigError: A client cannot be made with these settings.
    """

    def __init__(self, settings: Settings, store: Store, observer: PollerObserver, *, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._observer = observer
        self._clock = clock
        self._clients = ClientPool(observer, clock, login_retry_seconds=settings.poll.interval)
        self.scheduler = Scheduler(clock)
        self._stop = StopEvent()
        self._lock = threading.RLock()
        self._watched: dict[str, _WatchedAccount] = {}
        self._discovery: PollTask | None = None
        try:
            self.source = self._make_source(settings)
        except ConfigError:
            self._clients.close()
            raise

    def start(self) -> None:
        """Start polling; first polls are due immediately.

        Raises:
            RuntimeError: No thread can be started.
        """
        self.scheduler.start()
        with self._lock:
            self._watch_all()

    def reload(self, settings: Settings) -> None:
        """Apply new settings, and poll all accounts at once.

        Raises:
            ConfigError: A client cannot be made with them; the old settings stay in force.
        """
        source = self._make_source(settings)
        with self._lock:
            old = self._settings
            self._clients.reload_credentials()
            self.source.stop.set()
            self.source.stop.detach()
            self._settings, self.source = settings, source
            if replace(old, web=settings.web, log=settings.log, accounts=settings.accounts) != settings:
                self._stop_polling(list(self._watched))
            self._watch_all()
        credentials = [settings.discovery, *(each.credential for each in settings.accounts)]
        self._clients.keep_only(settings.api, {each for each in credentials if each is not None})

    def stop(self) -> None:
        """Stop all polls; those that run publish nothing any more.

        It takes no lock: adding very many accounts holds the lock for seconds.
        """
        self._stop.set()
        self.scheduler.stop(_STOP_SECONDS)
        self._clients.close()

    def not_ready(self) -> str | None:
        """Return why the exporter is not ready, ``None`` once all accounts' disks were read."""
        inventories = self._store.handled() or self._store.snapshot()
        if not self.source.listed and not inventories:
            return "the accounts have not been listed yet"
        if not inventories and self.source.skipped:
            return f"no account is watched: discovery skips all {self.source.skipped}"
        waiting = [inventory.account.id for inventory in inventories if inventory.disks is None]
        if not waiting:
            return None
        return f"the disks of {len(waiting)} account(s) have not been read yet, among them account {waiting[0]}"

    def healthy(self) -> bool:
        """Return whether polls make progress."""
        return not self.scheduler.is_stalled()

    def poll_once(self, progress: Callable[[str, Resource, bool], None]) -> dict[str, dict[Resource, GigasError]]:
        """Poll every resource of every account once; return the failures by account id.

        Backups are polled only if the disks could be read. ``progress`` is called after each poll with account id,
        resource and success, from several threads.

        Raises:
            GigasError: The accounts could not be listed, or there are none.
        """
        source = self.source
        accounts = self._list_accounts(source)
        self._update_store(accounts)

        def poll(account: AccountSettings) -> dict[Resource, GigasError]:
            ended = self._poller(account, self._stop).poll_all(
                lambda resource, outcome: progress(account.account.id, resource, outcome.failure is None)
            )
            return {resource: failure for resource, (failure, *_) in ended.items() if failure is not None}

        with ThreadPoolExecutor(_ACCOUNTS_AT_ONCE, thread_name_prefix="poll") as pool:
            try:
                failed = dict(zip(accounts, pool.map(poll, accounts.values()), strict=True))
            except BaseException:
                self._stop.set()  # an interrupt does not wait for requests in flight
                raise
        for account_id, failures in failed.items():
            disks = failures.get("disks")
            # Poll again: a gateway's 404 counts when it is repeated after another account's disks were read.
            if isinstance(disks, ApiError) and disks.is_foreign and disks.status == HTTPStatus.NOT_FOUND:
                failed[account_id] = poll(accounts[account_id])
        watched = {inventory.account.id for inventory in self._store.snapshot()}
        self._observer.accounts(len(watched), 0, source.skipped)
        if source.skipped and not watched:
            raise GigasError(f"no account is left: discovery skips all {source.skipped}")
        return {account_id: failures for account_id, failures in failed.items() if account_id in watched}

    def _make_source(self, settings: Settings) -> AccountSource:
        """Make the clients and the source; this can fail, so a reload does it first."""
        for account in settings.accounts:
            if settings.owns(account.account.id):
                self._clients.get(settings.api, account.credential)
        client = None if settings.discovery is None else self._clients.get(settings.api, settings.discovery)
        return AccountSource(settings, self._clock, client, StopEvent(self._stop))

    def _watch_all(self) -> None:
        source, poll = self.source, self._settings.poll
        if self._discovery is not None:
            self.scheduler.remove((self._discovery,))
            self._discovery = None
        if source.credential is None:
            self._sync_accounts(self._list_accounts(source))
        else:
            self._discovery = PollTask(
                "discovery",
                partial(self._discover, source, source.credential),
                lambda: poll.interval if source.is_failing or not source.listed else poll.backups_interval,
                poll_deadline(poll.interval),
            )
            self.scheduler.add((self._discovery,))
        self.scheduler.run_now([task for each in self._watched.values() for task in each.tasks])

    def _discover(self, source: AccountSource, credential: Credential, _: Callable[[], bool]) -> bool:
        """List the accounts and watch them; if that fails, watch those known before."""
        succeeded = False
        try:
            accounts = self._list_accounts(source)
            succeeded = True
        except GigasError:
            known = [inventory.account for inventory in self._store.snapshot()]
            accounts = {each.id: AccountSettings(each, credential) for each in known}
        with self._lock:
            if not source.stop.is_set() and (succeeded or (accounts and not self._watched)):
                self._sync_accounts(accounts)
                source.listed = source.listed or succeeded
                self._report_accounts()
        found = source.find_missing() if succeeded else {}
        with self._lock:
            if found and not source.stop.is_set():
                # Some of the others may have been skipped meanwhile.
                watched = {each: accounts[each] for each in accounts if each in self._watched}
                self._sync_accounts(dict(sorted((watched | found).items())))
        return False

    def _list_accounts(self, source: AccountSource) -> dict[str, AccountSettings]:
        try:
            accounts = source.list()
        except GigasError:
            if not source.stop.is_set():
                self._observer.discovery(success=False)
            raise
        self._observer.discovery(success=None if source.credential is None else not source.is_incomplete)
        return accounts

    def _sync_accounts(self, accounts: Mapping[str, AccountSettings]) -> None:
        """Watch these accounts and no others."""
        if self._stop.is_set():
            return
        changed = [each for each, watched in self._watched.items() if accounts.get(each) != watched.account]
        self._stop_polling(changed)
        self._update_store(accounts)
        new: dict[str, _WatchedAccount] = {}
        for account_id, each in accounts.items():
            if self._stop.is_set():  # very many accounts must not delay shutdown
                return
            if account_id not in self._watched:
                stop = StopEvent(self._stop)
                tasks = self._poller(each, stop).tasks(each.credential, self._report_accounts)
                new[account_id] = _WatchedAccount(each, stop, tasks)
        self._watched.update(new)
        self.scheduler.add([task for each in new.values() for task in each.tasks])
        self._report_accounts()

    def _stop_polling(self, account_ids: Iterable[str]) -> None:
        stopped = [self._watched.pop(account_id) for account_id in account_ids]
        for each in stopped:
            each.stop.set()
            each.stop.detach()
        self.scheduler.remove([task for each in stopped for task in each.tasks])

    def _update_store(self, accounts: Mapping[str, AccountSettings]) -> None:
        """Make the store hold the inventories of these accounts and no others."""
        gone: set[str] = set()

        def change(known: Mapping[str, AccountInventory]) -> dict[str, AccountInventory]:
            gone.update(known.keys() - accounts.keys())
            return {account_id: self._inventory(each, known.get(account_id)) for account_id, each in accounts.items()}

        self._store.replace(change)
        for account_id in accounts:
            if self._stop.is_set():
                return
            self._observer.account(account_id)
        self._clear_state(gone)

    def _clear_state(self, account_ids: Collection[str]) -> None:
        if account_ids:
            self._observer.forget(account_ids)
        for account_id in account_ids:
            self._clients.remove_account(account_id)

    def _report_accounts(self) -> None:
        """Report how many accounts are watched, unpolled and skipped."""
        with self._lock:
            watched = list(self._watched.values())
            unpolled = sum(not any(task.began for task in each.tasks) for each in watched)
            self._observer.accounts(len(watched) if self.source.listed else None, unpolled, self.source.skipped)

    def _inventory(self, account: AccountSettings, known: AccountInventory | None) -> AccountInventory:
        """Return the known inventory or a new one, with the present settings."""
        poll = self._settings.poll
        limits = StalenessLimits.of(poll.max_staleness, poll.interval, poll.backups_interval)
        intervals: dict[Resource, float] = {
            resource: poll.backups_interval if resource == "backups" else poll.interval for resource in RESOURCES
        }
        inventory = replace(
            known or AccountInventory(account.account, limits),
            account=account.account,
            limits=limits,
            intervals=intervals,
            thresholds=self._settings.thresholds,
        )
        return inventory.with_requirements(self._settings.policy)

    def _poller(self, account: AccountSettings, stop: StopEvent) -> AccountPoller:
        account_id = account.account.id
        return AccountPoller(
            account_id,
            self._clients.get(self._settings.api, account.credential, account_id),
            self._settings,
            store=self._store,
            observer=self._observer,
            clock=self._clock,
            stop=stop,
            on_missing=partial(self._skip_missing, account, stop) if self.source.credential is not None else None,
        )

    def _skip_missing(self, account: AccountSettings, stop: StopEvent, error: ApiError) -> bool:
        outcomes = [inventory.outcomes.get("disks") for inventory in self._store.snapshot()]
        if error.is_foreign and not any(each is not None and each.success for each in outcomes):
            return False  # the API may be down
        with self._lock:
            if stop.is_set() or not self.source.skip_missing(account.account):
                return False
            account_id = account.account.id
            if account_id in self._watched:
                self._stop_polling([account_id])
            self._store.replace(lambda known: {each: known[each] for each in known if each != account_id})
            self._clear_state([account_id])
            self._report_accounts()
        return True
