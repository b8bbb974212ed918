"""A small API of JSON lists over real HTTP, in which a test may replace any response."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from support.scripted_api import ScriptedApi, Seen, Wire

Answer = tuple[int, Any, Mapping[str, str]]


def ago(**delta: float) -> str:
    """Return the date a given time ago, with its zone."""
    return (datetime.now(UTC) - timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


class SmallApi(ScriptedApi):
    """Serves lists.

    Attributes:
        lists: The items by path, served in pages by ``limit`` and ``offset``.
        answers: Functions of the query that return a response instead, by path.
        asked: The paths of the requests so far.
    """

    def __init__(self, lists: dict[str, list[Any]] | None = None) -> None:
        self.lists = {} if lists is None else lists
        self.answers: dict[str, Callable[[Mapping[str, str]], Answer]] = {}
        self.asked: list[str] = []
        super().__init__(self._reply)

    def _reply(self, seen: Seen, wire: Wire) -> None:
        self.asked.append(seen.path)
        wire.reply(*self.respond(seen))

    def respond(self, seen: Seen) -> Answer:
        """Return status, body and headers for a request."""
        if seen.path in self.answers:
            return self.answers[seen.path](seen.query)
        if seen.path not in self.lists:
            return 404, {"errors": ["no such thing"]}, {}
        items = self.lists[seen.path]
        offset, limit = int(seen.query.get("offset", 0)), int(seen.query.get("limit", 20))
        return 200, items[offset : offset + limit], {"X-Total": str(len(items))}


def healthy(account: str = "4242", disks: int = 4) -> dict[str, list[Any]]:
    """Return the lists of an account whose disks are well; each has three good backups."""
    path = f"/account/{account}"
    lists: dict[str, list[Any]] = {f"{path}/disks": [], f"{path}/virtual_machines": [], f"{path}/backups": []}
    for number in range(1, disks + 1):
        disk = {
            "id": number,
            "virtual_machine_id": 500 + number,
            "disk_size": 40,
            "status": "built",
            "error": False,
            "locked": False,
            "is_swap": False,
            "autobackup": True,
            "mount_point": "/",
            "created_at": ago(days=90),
            "updated_at": ago(days=9),
        }
        lists[f"{path}/disks"].append(disk)
        lists[f"{path}/virtual_machines"].append({"id": 500 + number, "label": f"vm-{number}", "hostname": "host"})
        own = [
            {
                "id": 1000 * number + age,
                "disk_id": number,
                "date_created": ago(days=age, minutes=20),
                "status": "completed",
                "backup_size": 9_000_000,
                "locked": False,
                "backup_type": "gigas-automatic",
            }
            for age in range(3)
        ]
        lists[f"{path}/disk/{number}/backups"] = own
        lists[f"{path}/backups"] += copy.deepcopy(own)
    return lists
