"""A small API of its own over raw sockets: any number of accounts, of which some leave every request unanswered."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Collection
from types import TracebackType
from typing import Any, Self

_DISK = {
    "id": 1,
    "virtual_machine_id": 7,
    "disk_size": 20,
    "status": "built",
    "error": False,
    "locked": False,
    "is_swap": True,
    "autobackup": False,
    "mount_point": "/",
}


class RawApi:
    """Answers GETs with short lists and logins with a token, or not at all.

    Attributes:
        accounts: The ids that ``/accounts`` lists, or whole items.
        hanging: The ids of accounts that get no response.
        lists: By path, a status and body instead of the usual.
        requests: When each request came, by the monotonic clock, with its method and path.
        latency_seconds: How long each response takes.
    """

    def __init__(self, accounts: Collection[Any] = (), hanging: Collection[str] = ()) -> None:
        self.accounts = list(accounts)
        self.hanging = set(hanging)
        self.lists: dict[str, tuple[int, Any]] = {}
        self.requests: list[tuple[float, str, str]] = []
        self.latency_seconds = 0.0
        self.url = ""
        self._writers: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)

    def count(self, part: str = "") -> int:
        """How many requests had this in their path."""
        return sum(part in path for _, _, path in self.requests)

    def by_account(self, resource: str) -> Counter[str]:
        """How many requests there were for a resource, by account."""
        return Counter(path.split("/")[2] for _, _, path in self.requests if path.endswith(f"/{resource}"))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        for listener in server.sockets:
            self._loop.remove_reader(listener.fileno())
        # A connection that is just accepted gets its transport and its task, which registers it. Of a server that is
        # closed meanwhile asyncio would make the transport in part, and never close its socket.
        self._turn()
        server.close()
        for task in (tasks := asyncio.all_tasks(self._loop)):
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        for writer in self._writers:
            writer.transport.abort()
        self._turn()  # which closes the sockets
        self._loop.close()

    def _turn(self) -> None:
        """Let the loop turn often enough for all that is under way; a time would be too short on a busy machine."""
        for _ in range(10):
            self._loop.run_until_complete(asyncio.sleep(0))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, target = head.split(" ", 2)[:2]
                length = next((line for line in head.lower().split("\r\n") if line.startswith("content-length:")), ":0")
                await reader.readexactly(int(length.split(":")[1]))
                path = target.split("?")[0]
                self.requests.append((time.monotonic(), method, path))
                parts = path.split("/")
                if len(parts) > 2 and parts[2] in self.hanging:
                    await reader.read()  # until the client has had enough
                    break
                if self.latency_seconds:
                    await asyncio.sleep(self.latency_seconds)
                status, value = self._response(path)
                body = b"" if value is None else json.dumps(value).encode()
                head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _response(self, path: str) -> tuple[int, Any]:
        if path in self.lists:
            return self.lists[path]
        if path == "/accounts":
            return 200, [each if isinstance(each, dict) else {"id": each, "status": "active"} for each in self.accounts]
        if path.endswith("/disks"):
            return 200, [_DISK]
        return 200, []
