"""A minimal API with any number of accounts, some of which never respond."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from typing import Any

from support.scripted_api import ScriptedApi, Seen, Wire

_DISK = {
    "id": 1,
    "virtual_machine_id": 7,
    "disk_size": 20,
    "status": "built",
    "error": False,
    "locked": False,
    "is_swap": True,
    "autobackup": False,
    "mount_point": None,
}


class RawApi(ScriptedApi):
    """Answers each request with a short list, or not at all.

    Attributes:
        accounts: The ids or whole items that ``/accounts`` lists.
        hanging: The ids of the accounts that never respond.
        lists: Statuses and bodies to return instead, by path.
        latency_seconds: How long each response takes.
    """

    def __init__(self, accounts: Collection[Any] = (), hanging: Collection[str] = ()) -> None:
        self.accounts = list(accounts)
        self.hanging = set(hanging)
        self.lists: dict[str, tuple[int, Any]] = {}
        self.latency_seconds = 0.0
        super().__init__(self._reply)

    @property
    def requests(self) -> list[tuple[float, str]]:
        """The monotonic time and the path of each request."""
        return [(seen.at, seen.path) for seen in tuple(self.seen)]

    def count(self, part: str = "") -> int:
        """Return how many requests had this in their path."""
        return sum(part in path for _, path in self.requests)

    def by_account(self, resource: str) -> Counter[str]:
        """Return the number of requests for a resource by account."""
        return Counter(path.split("/")[2] for _, path in self.requests if path.endswith(f"/{resource}"))

    def _reply(self, seen: Seen, wire: Wire) -> None:
        path = seen.path
        if path.startswith("/account/") and path.split("/")[2] in self.hanging:
            wire.hang()
            return
        time.sleep(self.latency_seconds)
        if path in self.lists:
            status, body = self.lists[path]
            wire.reply(status, b"" if body is None else body)
        elif path == "/accounts":
            wire.reply(
                200, [each if isinstance(each, dict) else {"id": each, "status": "active"} for each in self.accounts]
            )
        else:
            wire.reply(200, [_DISK] if path.endswith("/disks") else [])
