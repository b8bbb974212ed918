"""The simulated API over HTTP/1.1, with a thread for each connection.

Responses come from :mod:`.api` or, under ``/_sim/``, from :mod:`.control`. This module applies the faults.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import select
import socket
import socketserver
import sys
import threading
import urllib.parse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Self, cast

from gigas_exporter.formatting import format_address, format_duration
from gigas_exporter.simulator.api import Api, MatchedRoute, identify
from gigas_exporter.simulator.cloud import SimulatedCloud
from gigas_exporter.simulator.control import CONTROL_PATH, Control
from gigas_exporter.simulator.faults import KINDS, Fault, FaultKind, Faults
from gigas_exporter.simulator.http import SimError, SimRequest, SimResponse
from gigas_exporter.simulator.json_encoding import dump

_logger = logging.getLogger(__name__)

_LENGTH_DIGITS = 6
_IDLE_SECONDS = 300.0
_POLL_SECONDS = 0.02
_CLOSE_SECONDS = 5.0


class _Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Accepts connections, and can close all of them."""

    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], family: socket.AddressFamily, served: SimulatorServer) -> None:
        self.address_family = family
        self.served = served
        self._open: dict[socket.socket, threading.Thread] = {}
        super().__init__(address, served.handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's arguments
        error = sys.exception()
        if isinstance(error, OSError):
            _logger.debug("connection from %s ended early: %s", client_address, error)
        else:
            _logger.error("a request from %s could not be answered", client_address, exc_info=error)

    def server_close(self) -> None:
        """Close all connections, and wait a few seconds for each thread."""
        super().server_close()
        remaining = dict(self._open)
        for connection in remaining:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in remaining.values():
            thread.join(_CLOSE_SECONDS)


class SimulatorHandler(BaseHTTPRequestHandler):
    """Serves one connection."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "gigas-simulator", ""
    wbufsize = -1  # so that the headers and the body are sent together
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS

    @property
    def served(self) -> SimulatorServer:
        """The server of this connection."""
        return cast(_Listener, self.server).served

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log for debugging only."""
        _logger.debug(format, *args)

    def _serve(self) -> None:
        body = self._read_body()
        if body is None:
            return
        split = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(split.path)
        query = dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True))
        request = SimRequest(self.command, path, query, self.headers.get("Authorization"), body)
        served = self.served
        if path.startswith(CONTROL_PATH) and served.control is not None:
            self.send(served.control.answer(request), ())
            return
        route = identify(request.method, path)
        with served.counting:
            served.requests[route.operation] += 1
        hits = served.faults.take(route.operation, route.account)
        response = self.respond(route, request, hits)
        if response is None:
            self.close_connection = True
        else:
            self.send(response, tuple(hits.values()))

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815 - the base class's names

    def respond(self, route: MatchedRoute, request: SimRequest, hits: Mapping[int, Fault]) -> SimResponse | None:
        """Return the response under these faults; ``None`` closes the connection."""
        for number, fault in hits.items():
            if fault.kind == "latency":
                self.served.closing.wait(fault.seconds)
            elif fault.kind == "hang":
                self._hang(number)
                return None
            elif fault.kind == "close":
                return None
        response = self.answer(route, request, tuple(hits.values()))
        for fault in hits.values():
            if fault.kind == "value":
                response = _with_value(response, fault)
        return response

    def answer(self, route: MatchedRoute, request: SimRequest, faults: Sequence[Fault]) -> SimResponse:
        """Return the API's response, or the status of a fault."""
        fault = next((each for each in faults if each.kind == "status"), None)
        if fault is None:
            return self.served.api.answer(route, request)
        headers = () if fault.retry_after is None else (("Retry-After", fault.retry_after),)
        return SimError(fault.status, "simulated fault", headers).response

    def _read_body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        if length.isdecimal() and len(length) <= _LENGTH_DIGITS and "Transfer-Encoding" not in self.headers:
            return self.rfile.read(int(length))
        self.close_connection = True
        self.send(SimError(HTTPStatus.BAD_REQUEST, "the body is too large, or has no length").response, ())
        return None

    def _hang(self, number: int) -> None:
        waiting = select.poll()
        waiting.register(self.connection, select.POLLIN)
        while self.served.faults.is_active(number) and not self.served.closing.wait(_POLL_SECONDS):
            if waiting.poll(0) and not self.connection.recv(1, socket.MSG_PEEK):
                return

    def send(self, response: SimResponse, faults: Sequence[Fault]) -> None:  # noqa: ARG002 - for subclasses
        """Send a response."""
        self.send_head(response)
        self.wfile.write(response.body)

    def send_head(self, response: SimResponse, *, framed: bool = True) -> None:
        """Send the status line and headers; without ``framed``, the body ends with the connection."""
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        if response.body:
            self.send_header("Content-Type", response.content_type)
        if framed and response.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()


def _with_value(response: SimResponse, fault: Fault) -> SimResponse:
    if response.status >= HTTPStatus.MULTIPLE_CHOICES or not response.body:
        return response
    content = json.loads(response.body)
    for item in content if isinstance(content, list) else [content]:
        item[fault.field] = fault.value
    return replace(response, body=dump(content))


class SimulatorServer:
    """Serves the API of a simulated cloud until it is closed.

    Args:
        world: The cloud.
        host: Address to listen on; the paths under ``/_sim/`` exist only on loopback.
        port: 0 for any free port.

    Attributes:
        handler: Serves each connection.
        kinds: The kinds of faults that can be added.
        faults: The active faults, initially none.
        requests: The number of requests by operation, without those to ``/_sim/``.
        counting: Held while requests are counted.
        closing: Set when the server closes.
    """

    handler: type[SimulatorHandler] = SimulatorHandler
    kinds: Mapping[str, FaultKind] = KINDS

    def __init__(self, world: SimulatedCloud, host: str = "127.0.0.1", port: int = 0) -> None:
        self.world = world
        self.faults = Faults(world.seed, self.kinds)
        self.requests: Counter[str] = Counter()
        self.counting = threading.Lock()
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
        return f"http://{format_address(self.address)}"

    def close(self) -> None:
        """Stop listening, and close every connection."""
        if not self.closing.is_set():
            self.closing.set()
            self._listener.shutdown()
            self._listener.server_close()
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def describe(server: SimulatorServer) -> str:
    """Return a greeting with the cloud's size, credentials, and commands to try."""
    world, url = server.world, server.url
    account = world.account_ids[0]
    disks = {account_id: world.disks(account_id) for account_id in world.account_ids}
    count = sum(map(len, disks.values()))
    disk_id = disks[account][0].id if disks[account] else "DISK_ID"
    user = world.credentials(account)
    scenarios = ", ".join(sorted(set(world.scenarios.values()))) or "none"
    return f"""\
Simulated Gigas API at {url}: {count} disks in {len(disks)} account{"s" if len(disks) > 1 else ""} ({", ".join(disks)}).
Seed {world.seed}, speed {world.speed:g}: a daily backup is made every {format_duration(86_400 / world.speed)}.
Scenarios of disks: {scenarios}.

API key    {world.api_key}
Login      {world.login}
Password   {world.password}
(for account {account} alone: {user.api_key}, {user.login}, {user.password})

List the disks, and the backups of one:
  curl -s -H 'Authorization: Bearer {world.api_key}' '{url}/account/{account}/disks?limit=5'
  curl -s -H 'Authorization: Bearer {world.api_key}' {url}/account/{account}/disk/{disk_id}/backups
Log in for a session token:
  curl -s -d '{{"login": "{world.login}", "password": "{world.password}"}}' {url}/token
{"" if server.control is None else _control_commands(url, account, disk_id)}
Monitor it:
  GIGAS_API_URL={url} GIGAS_ACCOUNT_ID={account} GIGAS_API_KEY={world.api_key} gigas-exporter serve
"""


def _control_commands(url: str, account: str, disk_id: str) -> str:
    return f"""\
Cause errors, and show the state of the cloud:
  curl -s -d '{{"error": true}}' {url}/_sim/disks/{disk_id}
  curl -s -d '{{"kind": "status", "status": 503, "operation": "list_*"}}' {url}/_sim/faults
  curl -s -X DELETE {url}/_sim/faults
  curl -s '{url}/_sim/state?account={account}'
List all such requests:
  curl -s {url}/_sim/
"""
