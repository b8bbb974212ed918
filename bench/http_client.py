"""Requests on loopback with little overhead, so that the measured time is the server's.

A body is read to its end into a reused buffer, without being decompressed or parsed.
"""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from typing import Any, Literal

__all__ = ["ACCEPT", "Connection", "Format", "ask_json", "free_port", "status_of"]

Format = Literal["text", "openmetrics"]
ACCEPT: dict[Format, str] = {
    "text": "text/plain;version=0.0.4",
    "openmetrics": "application/openmetrics-text;version=1.0.0",
}
_TIMEOUT_SECONDS = 120.0
_BUFFER_BYTES = 1 << 20
_OK = 200


class Connection:
    """A persistent connection to a port on loopback."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._buffer = bytearray(_BUFFER_BYTES)
        self._socket = self._connect()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def scrape(self, form: Format = "text", *, gzip: bool = True) -> float:
        """GET ``/metrics`` and return the seconds from the first byte sent to the last one read."""
        return self.get("/metrics", form, gzip=gzip)[0]

    def get(self, path: str, form: Format = "text", *, gzip: bool = False, keep: bool = False) -> tuple[float, bytes]:
        """GET a path; return the seconds it took and, with ``keep``, the body."""
        encoding = "gzip" if gzip else "identity"
        request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Accept: {ACCEPT[form]}\r\nAccept-Encoding: {encoding}\r\n\r\n"
        ).encode()
        began = time.perf_counter()
        try:
            self._socket.sendall(request)
            head, rest = self._read_head()
        except ConnectionError:  # the server has closed the connection
            self._socket = self._connect()
            began = time.perf_counter()
            self._socket.sendall(request)
            head, rest = self._read_head()
        status, fields = _parse(head)
        if status != _OK or (gzip and fields.get("content-encoding") != "gzip"):
            raise RuntimeError(f"GET {path}: {status}, {fields}")
        kept = bytearray(rest) if keep else None
        self._read_body(fields, rest, kept)
        took = time.perf_counter() - began
        chunked = fields.get("transfer-encoding") == "chunked"
        return took, _joined(bytes(kept or b"")) if chunked else bytes(kept or b"")

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port), _TIMEOUT_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _read_head(self) -> tuple[bytes, bytes]:
        read = b""
        while b"\r\n\r\n" not in read:
            got = self._socket.recv(1 << 16)
            if not got:
                raise ConnectionResetError("closed before a response")
            read += got
        head, _, rest = read.partition(b"\r\n\r\n")
        return head, rest

    def _read_body(self, fields: dict[str, str], rest: bytes, kept: bytearray | None) -> None:
        length = fields.get("content-length")
        chunked = fields.get("transfer-encoding") == "chunked"
        tail, remaining = rest[-5:], None if length is None else int(length) - len(rest)
        while remaining is None or remaining > 0:
            if chunked and tail == b"0\r\n\r\n":
                return
            count = self._socket.recv_into(self._buffer)
            if count == 0:
                if remaining is None and not chunked:
                    self._socket = self._connect()
                    return
                raise ConnectionResetError("closed within a body")
            if remaining is not None:
                remaining -= count
            tail = (tail + self._buffer[max(0, count - 5) : count])[-5:]
            if kept is not None:
                kept += self._buffer[:count]


def _parse(head: bytes) -> tuple[int, dict[str, str]]:
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(status.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


def _joined(chunks: bytes) -> bytes:
    """Decode a chunked body."""
    parts = []
    position = 0
    while position < len(chunks):
        end = chunks.index(b"\r\n", position)
        size = int(chunks[position:end], 16)
        parts.append(chunks[end + 2 : end + 2 + size])
        position = end + size + 4
    return b"".join(parts)


def status_of(url: str) -> int:
    """Return the status of a GET, 0 without a response."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  # loopback, over http
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


def ask_json(method: str, url: str, content: object = None, headers: dict[str, str] | None = None) -> tuple[Any, Any]:
    """Send a request with a JSON body; return the decoded response and its headers."""
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, body, headers or {}, method=method)  # noqa: S310  # loopback, over http
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
        read = answer.read()
        return (json.loads(read) if read else None), answer.headers


def free_port() -> int:
    """Return a free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
