"""What polls would have read, put there by a test."""

from __future__ import annotations

from gigas_exporter.inventory import AccountInventory
from gigas_exporter.poller.store import Store


class KnownInventories(Store):
    """A store of what the test says; ``readings`` counts how often somebody asked for all of it."""

    def __init__(self, *inventories: AccountInventory) -> None:
        super().__init__()
        self.readings = 0
        self.put(*inventories)

    def put(self, *inventories: AccountInventory) -> None:
        """Know these inventories from now on, and no others."""
        self.replace(lambda _: {each.account.id: each for each in inventories})

    def snapshot(self) -> tuple[AccountInventory, ...]:
        self.readings += 1
        return super().snapshot()
