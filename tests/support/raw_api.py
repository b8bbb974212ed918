"""A small API of its own: any number of accounts, of which some leave every request unanswered."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from typing import Any, Self

from support.small_api import Answer, serving

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


class RawApi:
    """Answers GETs with short lists and logins with a token, or not at all.

    Attributes:
        accounts: The ids that ``/accounts`` lists, or whole items.
        hanging: The ids of accounts that get no response.
        lists: By path, a status and body instead of the usual.
        requests: When each request came, by the monotonic clock, with its path.
        latency_seconds: How long each response takes.
    """

    def __init__(self, accounts: Collection[Any] = (), hanging: Collection[str] = ()) -> None:
        self.accounts = list(accounts)
        self.hanging = set(hanging)
        self.lists: dict[str, tuple[int, Any]] = {}
        self.requests: list[tuple[float, str]] = []
        self.latency_seconds = 0.0
        self.url = ""
        self._serving = serving(self)

    def __enter__(self) -> Self:
        self._serving.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._serving.__exit__(None, None, None)

    def count(self, part: str = "") -> int:
        """How many requests had this in their path."""
        return sum(part in path for _, path in self.requests)

    def by_account(self, resource: str) -> Counter[str]:
        """How many requests there were for a resource, by account."""
        return Counter(path.split("/")[2] for _, path in self.requests if path.endswith(f"/{resource}"))

    def respond(self, target: str) -> Answer | None:
        """Return status, body and headers for a request, or nothing where it hangs."""
        path = target.partition("?")[0]
        self.requests.append((time.monotonic(), path))
        if path.startswith("/account/") and path.split("/")[2] in self.hanging:
            return None
        time.sleep(self.latency_seconds)
        if path in self.lists:
            status, body = self.lists[path]
            return status, b"" if body is None else body, {}
        if path == "/accounts":
            accounts = [each if isinstance(each, dict) else {"id": each, "status": "active"} for each in self.accounts]
            return 200, accounts, {}
        return 200, [_DISK] if path.endswith("/disks") else [], {}
