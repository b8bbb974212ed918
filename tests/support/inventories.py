"""A store with the inventories of a test."""

from __future__ import annotations

from gigas_exporter.inventory import AccountInventory
from gigas_exporter.poller.store import Store


class KnownInventories(Store):
    """A store of given inventories; ``readings`` counts the calls of ``snapshot``."""

    def __init__(self, *inventories: AccountInventory) -> None:
        super().__init__()
        self.readings = 0
        self.put(*inventories)

    def put(self, *inventories: AccountInventory) -> None:
        """Replace the inventories."""
        self.replace(lambda _: {each.account.id: each for each in inventories})

    def snapshot(self) -> tuple[AccountInventory, ...]:
        self.readings += 1
        return super().snapshot()
