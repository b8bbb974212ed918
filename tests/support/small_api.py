"""A small API of JSON lists over real HTTP, each of which a test may answer in its own way."""

from __future__ import annotations

import copy
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qsl, urlsplit

Answer = tuple[int, Any, Mapping[str, str]]


def ago(**delta: float) -> str:
    """Return the date so long ago, with its zone."""
    return (datetime.now(UTC) - timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


class SmallApi:
    """Lists by path; ``answers`` goes before them.

    Attributes:
        lists: By path, the items; pages are made of them by ``limit`` and ``offset``.
        answers: By path, what answers a request instead: it gets the query.
        asked: The paths of the requests so far.
    """

    def __init__(self, lists: dict[str, list[Any]]) -> None:
        self.lists = lists
        self.answers: dict[str, Callable[[Mapping[str, str]], Answer]] = {}
        self.asked: list[str] = []
        self.url = ""

    def respond(self, target: str) -> Answer:
        """Return status, body and headers for a request."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query))
        self.asked.append(parts.path)
        if parts.path in self.answers:
            return self.answers[parts.path](query)
        if parts.path not in self.lists:
            return 404, {"errors": ["no such thing"]}, {}
        items = self.lists[parts.path]
        offset, limit = int(query.get("offset", 0)), int(query.get("limit", 20))
        return 200, items[offset : offset + limit], {"X-Total": str(len(items))}


class Responder(Protocol):
    """What can be served; its address is set before the first request."""

    url: str

    def respond(self, target: str) -> Answer | None:
        """Return status, body and headers for a request; nothing: it hangs until the client leaves."""


_Api = TypeVar("_Api", bound=Responder)


def healthy(account: str = "4242", disks: int = 4) -> dict[str, list[Any]]:
    """Return the lists of an account whose disks are well: each has three good backups."""
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


def small_api(lists: dict[str, list[Any]]) -> AbstractContextManager[SmallApi]:
    """Serve lists on loopback until the end of the block."""
    return serving(SmallApi(lists))


@contextmanager
def serving(api: _Api) -> Iterator[_Api]:
    """Serve an API on loopback until the end of the block."""
    connections: set[socket.socket] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # head and body in one segment

        def setup(self) -> None:
            connections.add(self.request)
            super().setup()

        def finish(self) -> None:
            super().finish()
            connections.discard(self.request)

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            answer = api.respond(self.path)
            if answer is None:
                self.close_connection = True
                self.rfile.read(1)
                return
            status, body, headers = answer
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the base class's names

        def log_message(self, *_: Any) -> None:
            """Write nothing."""

    class Listener(ThreadingHTTPServer):
        daemon_threads = False  # else their sockets are closed at some time or never
        request_queue_size = 512

    server = Listener(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        for connection in list(connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        server.server_close()
        thread.join()
