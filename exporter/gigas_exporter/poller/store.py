"""The latest immutable inventory of each account, written by polls and read by scrapes.

Readers see only complete inventories. The store does not look inside them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from gigas_exporter.inventory import AccountInventory


class Store:
    """The inventories of all accounts; thread-safe."""

    def __init__(self) -> None:
        self._on_change: Callable[[], object] = lambda: None
        self._lock = threading.Lock()
        self._inventories: dict[str, AccountInventory] = {}
        self._snapshot: tuple[AccountInventory, ...] = ()
        self._version = 0
        self._handled: tuple[int, tuple[AccountInventory, ...]] = 0, ()

    def subscribe(self, on_change: Callable[[], object]) -> None:
        """Call ``on_change`` after each change, in the thread that made it and outside the lock."""
        self._on_change = on_change

    @property
    def version(self) -> int:
        """The number of changes; a snapshot taken after reading it has all of them."""
        return self._version

    def snapshot(self) -> tuple[AccountInventory, ...]:
        """Return all inventories as of one moment, ordered by account id."""
        return self._snapshot

    def handled(self) -> tuple[AccountInventory, ...]:
        """Return the newest snapshot that the subscriber has handled."""
        return self._handled[1]

    def get(self, account_id: str) -> AccountInventory | None:
        """Return the inventory of one account."""
        return self._inventories.get(account_id)

    def replace(self, change: Callable[[Mapping[str, AccountInventory]], Mapping[str, AccountInventory]]) -> None:
        """Replace all inventories with the result of ``change``.

        ``change`` is called inside the lock, so that no concurrent :meth:`update` is lost.
        """
        with self._lock:
            self._inventories = dict(change(self._inventories))
            state = self._publish()
        self._notify(state)

    def update(
        self,
        account_id: str,
        change: Callable[[AccountInventory], AccountInventory],
        still_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Change one account's inventory, unless the account was removed.

        ``still_wanted`` is called inside the lock: a poll that a reload has stopped cannot overwrite its successor.
        """
        with self._lock:
            inventory = self._inventories.get(account_id)
            if inventory is None or not still_wanted():
                return
            self._inventories[account_id] = change(inventory)
            state = self._publish()
        self._notify(state)

    def _publish(self) -> tuple[int, tuple[AccountInventory, ...]]:
        self._snapshot = tuple(self._inventories[account_id] for account_id in sorted(self._inventories))
        self._version += 1
        return self._version, self._snapshot

    def _notify(self, state: tuple[int, tuple[AccountInventory, ...]]) -> None:
        self._on_change()
        with self._lock:
            self._handled = max(self._handled, state, key=lambda each: each[0])
