"""An API over real sockets that answers as a test scripts it, byte by byte where needed."""

from __future__ import annotations

import http.client
import io
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Seen:
    """A request as it arrived, with the number of its connection and the monotonic time."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    at: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


class Wire:
    """The server's end of a connection."""

    def __init__(self, sock: socket.socket, stop: threading.Event) -> None:
        self._sock = sock
        self._stop = stop
        self.is_open = True

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def drip(self, data: bytes, seconds: float) -> None:
        """Send byte by byte, ``seconds`` apart."""
        for position in range(len(data)):
            if self._stop.wait(seconds):
                return
            self.send(data[position : position + 1])

    def hang(self) -> None:
        """Send nothing until the client leaves or the test ends."""
        self.receive()
        self.close()

    def close(self) -> None:
        self.is_open = False

    def receive(self) -> bytes:
        return self._sock.recv(65536)

    def tunnel(self, port: int) -> None:
        """Act as a proxy to a port on loopback whose server only sends responses."""
        with socket.create_connection(("127.0.0.1", port)) as upstream:
            self.send(b"HTTP/1.1 200 OK\r\n\r\n")
            upstream.settimeout(0.1)
            while data := self.receive():
                upstream.sendall(data)
                with suppress(TimeoutError):
                    while data := upstream.recv(65536):
                        self.send(data)

    def reply(self, status: int = 200, body: Any = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send a response; a body other than bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + content)


Script = Callable[[Seen, Wire], object]


class ScriptedApi:
    """Calls a script for each request, with a thread for each connection, until the end of the block.

    Attributes:
        seen: The requests so far.
        connections: The number of accepted connections.
    """

    def __init__(
        self, script: Script, context: ssl.SSLContext | None = None, handshake: Callable[[Wire], None] | None = None
    ) -> None:
        self._script, self._context, self._handshake = script, context, handshake
        self.seen: list[Seen] = []
        self.connections = 0
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'http' if context is None else 'https'}://127.0.0.1:{self.port}"
        self._sockets: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def operations(self) -> list[str]:
        return [f"{seen.method} {seen.path}" for seen in self.seen]

    def close(self) -> None:
        self._stop.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for sock in list(self._sockets):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(sock, self.connections))
            self._threads.append(thread)
            self._sockets.add(sock)
            thread.start()

    def _serve(self, accepted: socket.socket, number: int) -> None:
        sock = accepted
        with suppress(OSError, ssl.SSLError, ValueError):
            if self._handshake is not None:
                self._handshake(Wire(sock, self._stop))
            elif self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
                self._sockets.add(sock)
            with sock.makefile("rb") as stream:
                wire = Wire(sock, self._stop)
                while wire.is_open and (seen := _read_request(stream, number)) is not None:
                    self.seen.append(seen)
                    self._script(seen, wire)
        self._sockets -= {sock, accepted}
        sock.close()


def _read_request(stream: io.BufferedReader, connection: int) -> Seen | None:
    line = stream.readline().decode("latin-1")
    if not line.strip():
        return None
    method, target, _ = line.split(" ", 2)
    message = http.client.parse_headers(stream)
    headers = {name.lower(): value for name, value in message.items()}
    body = stream.read(int(headers.get("content-length", "0")))
    return Seen(method, target, headers, body, connection)
