"""The simulated API on a socket: HTTP/1.1 with kept connections, a thread for each, one write for each answer.

It owns framing and what faults do to a connection. What is answered is the business of :mod:`.api`, or of
:mod:`.control` under ``/_sim/``.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import select
import socket
import socketserver
import struct
import sys
import threading
import time
import urllib.parse
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self, cast

from gigas_exporter.simulator.api import Api, MatchedRoute, identify
from gigas_exporter.simulator.cloud import SimulatedCloud
from gigas_exporter.simulator.control import CONTROL_PATH, Control
from gigas_exporter.simulator.faults import Fault, Faults, change_body, paging_options
from gigas_exporter.simulator.http import SimError, SimRequest, SimResponse
from gigas_exporter.simulator.request_log import LoggedRequest, RequestLog

__all__ = ["SimulatorServer"]

_logger = logging.getLogger(__name__)

_MAX_BODY_BYTES = 1 << 20
_IDLE_SECONDS = 300.0
_POLL_SECONDS = 0.02
_CLOSE_SECONDS = 5.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Accepts connections, and can end all of them."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], family: socket.AddressFamily, served: SimulatorServer) -> None:
        self.address_family = family
        self.served = served
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), name="gigas-simulator", daemon=True
        )
        with self._lock:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        # A shutdown would send an end before the reset that a fault asked for.
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_RESET_ON_CLOSE)) == _RESET_ON_CLOSE:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's arguments
        error = sys.exception()
        if isinstance(error, OSError):
            _logger.debug("connection from %s ended early: %s", client_address, error)
        else:
            _logger.error("a request from %s could not be answered", client_address, exc_info=error)

    def end_all(self) -> None:
        """Close every connection and wait for the threads, for a few seconds at most."""
        with self._lock:
            remaining = dict(self._open)
        for connection in remaining:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + _CLOSE_SECONDS
        for thread in remaining.values():
            thread.join(max(0.0, deadline - time.monotonic()))


class _Handler(BaseHTTPRequestHandler):
    """Serves one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS

    def setup(self) -> None:
        super().setup()
        self._served = cast(_Listener, self.server).served
        self._connection_number = self._served.requests.connect()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        _logger.debug(format, *args)

    def _serve(self) -> None:
        body = self._read_body()
        if body is None:
            return
        split = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(split.path)
        query = dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True))
        request = SimRequest(self.command, path, query, self.headers.get("Authorization"), body)
        if path.startswith(CONTROL_PATH) and self._served.control is not None:
            self._send(self._served.control.answer(request), {})
            return
        call, journal = identify(request.method, path), self._served.requests
        journal.begin(call.operation)
        try:
            self._serve_call(call, request)
        finally:
            journal.end()

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815 - the base class's names

    def _serve_call(self, call: MatchedRoute, request: SimRequest) -> None:
        served = self._served
        struck = served.faults.take(call.operation, call.account)
        faults = {fault.kind: fault for fault in struck.values()}
        if "latency" in faults:
            served.closing.wait(faults["latency"].seconds)
        if self._never_answered(struck):
            self._note(call, request, 0)
            return
        answer = _instead(faults)
        if answer is None:
            expired = faults.get("expired_token")
            life = expired.seconds or 0.0 if expired is not None else -1.0
            answer = served.api.answer(call, request, paging_options(faults), life)
        answer = change_body(answer, struck.values(), served.world.now())
        self._note(call, request, answer.status)
        self._send(answer, faults)

    def _note(self, call: MatchedRoute, request: SimRequest, status: int) -> None:
        self._served.requests.note(
            LoggedRequest(
                operation=call.operation,
                account=call.account,
                method=request.method,
                path=request.path,
                query=request.query,
                status=status,
                at=self._served.world.now(),
                connection=self._connection_number,
            )
        )

    def _read_body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers:
            self._reject(HTTPStatus.LENGTH_REQUIRED)
        elif not (length.isascii() and length.isdigit()):
            self._reject(HTTPStatus.BAD_REQUEST)
        elif len(length) > len(str(_MAX_BODY_BYTES)) or int(length) > _MAX_BODY_BYTES:
            self._reject(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            return self.rfile.read(int(length))
        return None

    def _reject(self, status: HTTPStatus) -> None:
        self.close_connection = True
        self._send(SimError(status, status.phrase).answer, {})

    def _never_answered(self, struck: Mapping[int, Fault]) -> bool:
        for number, fault in struck.items():
            if fault.kind == "hang":
                self._hang(number)
            elif fault.kind == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            elif fault.kind != "close":
                continue
            self.close_connection = True
            return True
        return False

    def _hang(self, number: int) -> None:
        waiting = select.poll()
        waiting.register(self.connection, select.POLLIN)
        while self._served.faults.is_active(number) and not self._served.closing.wait(_POLL_SECONDS):
            if waiting.poll(0) and not self.connection.recv(1, socket.MSG_PEEK):
                return

    def _send(self, answer: SimResponse, faults: Mapping[str, Fault]) -> None:
        unframed, truncated = "truncated_unframed" in faults, "truncated" in faults
        self.close_connection |= unframed or truncated
        head = self._head(answer, framed=not unframed)
        body = answer.body[: len(answer.body) // 2] if unframed or truncated else answer.body
        drip = faults.get("drip_headers") or faults.get("drip_body")
        if drip is None:
            self.wfile.write(head + body)
            return
        whole_head = b"" if drip.kind == "drip_headers" else head
        self.wfile.write(whole_head)
        dripping = head + body if drip.kind == "drip_headers" else body
        for position in range(len(dripping)):
            if self._served.closing.wait(drip.seconds):
                self.close_connection = True
                return
            self.wfile.write(dripping[position : position + 1])

    def _head(self, answer: SimResponse, *, framed: bool) -> bytes:
        status = HTTPStatus(answer.status) if answer.status in _KNOWN else None
        lines = [
            f"HTTP/1.1 {answer.status} {status.phrase if status else 'Unknown'}",
            "Server: gigas-simulator",
            f"Date: {self.date_time_string()}",
            *(f"{name}: {value}" for name, value in answer.headers),
        ]
        if answer.body:
            lines.append(f"Content-Type: {answer.content_type}")
        if framed and answer.status != HTTPStatus.NO_CONTENT:
            lines.append(f"Content-Length: {len(answer.body)}")
        if self.close_connection:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


_KNOWN = frozenset(int(status) for status in HTTPStatus)


def _instead(faults: Mapping[str, Fault]) -> SimResponse | None:
    """Return the answer that a fault puts in the place of the real one."""
    if "redirect" in faults:
        return SimResponse(HTTPStatus.FOUND, headers=(("Location", str(faults["redirect"].value)),))
    fault = faults.get("status")
    if fault is None:
        return None
    headers = () if fault.retry_after is None else (("Retry-After", fault.retry_after),)
    refusal = SimError(fault.status or HTTPStatus.INTERNAL_SERVER_ERROR, "a fault was asked for", headers)
    return refusal.answer


class SimulatorServer:
    """The simulated API of a world, served until closed.

    Args:
        world: What is served.
        host: Address to listen on. The control paths under ``/_sim/`` are there on loopback only.
        port: 0 for any that is free.
        faults: What goes wrong, by default nothing; more can be added at any time.

    Attributes:
        requests: What the API was asked, without the requests to ``/_sim/``.
        closing: Set once the server closes.
    """

    def __init__(
        self, world: SimulatedCloud, host: str = "127.0.0.1", port: int = 0, faults: Faults | None = None
    ) -> None:
        self.world = world
        self.faults = Faults(world.seed) if faults is None else faults
        self.requests = RequestLog()
        self.api = Api(world)
        self.closing = threading.Event()
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._listener = _Listener((str(address[0]), int(address[1])), family, self)
        self.address: tuple[str, int] = self._listener.server_address[0], self._listener.server_address[1]  # type: ignore[assignment]
        loopback = ipaddress.ip_address(self.address[0]).is_loopback
        self.control = Control(world, self.faults, self.requests) if loopback else None
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(_POLL_SECONDS,), name="gigas-simulator-accept", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The base URL, such as ``http://127.0.0.1:8063``."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def close(self) -> None:
        """Stop listening; end every connection and fault."""
        if not self.closing.is_set():
            self.closing.set()
            self._listener.shutdown()
            self._listener.server_close()
            self._listener.end_all()
            self._thread.join(_CLOSE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
