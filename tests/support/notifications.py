"""A webhook that records Alertmanager's notifications, and faster versions of its configuration and the rules."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification: its receiver and its body."""

    receiver: str
    body: dict[str, Any]

    def names(self, status: str) -> list[str]:
        """Return the names of the alerts with a status, sorted."""
        return sorted(each["labels"]["alertname"] for each in self.body["alerts"] if each["status"] == status)


@dataclass
class Receiver:
    """The notifications, in order of arrival."""

    url: str
    notifications: list[Notification] = field(default_factory=list)

    def told(self, alert: str, status: str = "firing", **labels: str) -> list[Notification]:
        """Return the notifications that contain an alert."""
        wanted = {"alertname": alert, **labels}.items()
        return [
            message
            for message in tuple(self.notifications)
            if any(each["status"] == status and wanted <= each["labels"].items() for each in message.body["alerts"])
        ]


def alert(labels: Mapping[str, str], *, resolved: bool = False) -> dict[str, Any]:
    """Return an alert as Prometheus sends it, just resolved or firing for five more minutes."""
    now = datetime.now(UTC)
    ends = now - timedelta(seconds=1) if resolved else now + timedelta(minutes=5)
    return {"labels": labels, "startsAt": (now - timedelta(minutes=1)).isoformat(), "endsAt": ends.isoformat()}


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Listen on loopback until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.notifications.append(Notification(self.path.strip("/"), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="webhook")
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


def quick(example: str, receiver: Receiver) -> str:
    """Shorten the waits of the example configuration to a second, and send notifications to the receiver."""
    text = re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", example)
    return text.replace("http://127.0.0.1:9099", receiver.url)


def sixtieth(rules: str) -> str:
    """Divide every duration of a rule file by 60, including those in seconds."""
    shorter = {"m": "s", "h": "m"}
    text = re.sub(
        r"(?<=[\[ ])(\d+)([mhd])(?=[\]\s])(?![^\n]*\.\s*$)",
        lambda found: f"{int(found[1]) * 24}m" if found[2] == "d" else found[1] + shorter[found[2]],
        rules,
    )
    return re.sub(r"> 900\b", "> 15", text)
