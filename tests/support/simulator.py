"""The simulator for tests, with every kind of fault and a log of the last requests."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, cast

from gigas_exporter.simulator import KINDS
from gigas_exporter.simulator import SimulatorServer as ShippedServer
from gigas_exporter.simulator.api import MatchedRoute
from gigas_exporter.simulator.faults import Fault, FaultKind
from gigas_exporter.simulator.http import SimRequest, SimResponse
from gigas_exporter.simulator.json_encoding import dump
from gigas_exporter.simulator.server import SimulatorHandler
from support import response_corruption

FAULT_KINDS: Mapping[str, FaultKind] = {
    **KINDS,
    # on the connection
    "reset": FaultKind("resets the connection without a response"),
    "redirect": FaultKind("redirects the client to `value`", {"value": "http://elsewhere.example/"}),
    "drip_headers": FaultKind("sends the head byte by byte, `seconds` apart", {"seconds": 0.05}),
    "drip_body": FaultKind("sends the body byte by byte, `seconds` apart", {"seconds": 0.05}),
    "truncated": FaultKind("closes in the middle of a body with a Content-Length"),
    "truncated_unframed": FaultKind("closes in the middle of a body without a Content-Length"),
    # paging
    "ignored_limit": FaultKind("one page with all items, without headers"),
    "lowered_limit": FaultKind("pages of at most `size` items", {"size": 10}),
    "no_headers": FaultKind("no X- headers"),
    "lying_total": FaultKind("X-Total is `size`", {"size": 1_000_000}),
    "moving_items": FaultKind("after the first page, items move `size` places towards the front", {"size": 1}),
    "endless_pages": FaultKind(
        'full pages without end, of the same items, or of new ones if `value` is "fresh"', {"value": None}
    ),
    # authentication
    "expired_token": FaultKind("new tokens live `seconds`", {"seconds": 0.0}),
    **response_corruption.KINDS,
}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_FRESH_IDS = 900_000_000
_ENDLESS_LIMIT = 50
_KEPT = 10_000

_Parameters = Mapping[str, Mapping[str, Any]]
"""The parameters of faults, by kind."""


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request and the status of its response.

    Attributes:
        status: 0 without a response.
    """

    operation: str
    method: str
    path: str
    query: Mapping[str, str]
    status: int


class _Handler(SimulatorHandler):
    """Applies the tests' kinds of faults."""

    @property
    def served(self) -> SimulatorServer:
        """The tests' server."""
        return cast(SimulatorServer, super().served)

    def setup(self) -> None:
        """Count the connection."""
        super().setup()
        with self.served.counting:
            self.served.connections += 1

    def respond(self, route: MatchedRoute, request: SimRequest, hits: Mapping[int, Fault]) -> SimResponse | None:
        """Return the response, and log the request without secrets."""
        response = self._respond(route, request, hits)
        status = 0 if response is None else response.status
        self.served.journal.append(LoggedRequest(route.operation, request.method, request.path, request.query, status))
        return response

    def _respond(self, route: MatchedRoute, request: SimRequest, hits: Mapping[int, Fault]) -> SimResponse | None:
        """Return the response, its body corrupted; ``None`` for a reset."""
        if any(fault.kind == "reset" for fault in hits.values()):
            # Closed here, because the base class would shut it down first and so send FIN before RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.connection.close()
            return None
        response = super().respond(route, request, hits)
        if response is None:
            return None
        return response_corruption.corrupt(response, hits.values(), self.served.world.now())

    def answer(self, route: MatchedRoute, request: SimRequest, faults: Sequence[Fault]) -> SimResponse:
        """Return the API's response, with the faults of pages and tokens."""
        parameters = {fault.kind: fault.parameters for fault in faults}
        if "redirect" in parameters:
            return SimResponse(HTTPStatus.FOUND, headers=(("Location", parameters["redirect"]["value"]),))
        if route.operation == "create_token":
            with self.served.creating_token:
                return self._create_token(route, request, faults, parameters)
        limit, offset = _page_of(request)
        changed = replace(request, query={**request.query, **_other_page(limit, offset, parameters)})
        if "ignored_limit" in parameters:
            return self._everything(route, changed, faults)
        response = super().answer(route, changed, faults)
        return _with_other_headers(response, offset, parameters) if response.status == HTTPStatus.OK else response

    def _create_token(
        self,
        route: MatchedRoute,
        request: SimRequest,
        faults: Sequence[Fault],
        parameters: _Parameters,
    ) -> SimResponse:
        world = self.served.world
        life = world.token_life_seconds
        if "expired_token" in parameters:
            world.token_life_seconds = parameters["expired_token"]["seconds"] or 0.0
        try:
            return super().answer(route, request, faults)
        finally:
            world.token_life_seconds = life

    def _everything(self, route: MatchedRoute, request: SimRequest, faults: Sequence[Fault]) -> SimResponse:
        items: list[object] = []
        while True:
            query = {**request.query, "limit": str(self.served.world.max_limit), "offset": str(len(items))}
            response = super().answer(route, replace(request, query=query), faults)
            found = json.loads(response.body) if response.status == HTTPStatus.OK else None
            if not isinstance(found, list):
                return response
            items += found
            if not found:
                return replace(response, body=dump(items), headers=())

    def send(self, response: SimResponse, faults: Sequence[Fault]) -> None:
        """Send a response, or half of it, or send it slowly."""
        fault = {fault.kind: fault for fault in faults}
        drip = fault.get("drip_headers") or fault.get("drip_body")
        unframed = "truncated_unframed" in fault
        if unframed or "truncated" in fault:
            self.close_connection = True
            self.send_head(response, framed=not unframed)
            self.wfile.write(response.body[: len(response.body) // 2])
        elif drip is not None:
            self._drip(response, drip.seconds, whole="drip_headers" in fault)
        else:
            super().send(response, faults)

    def _drip(self, response: SimResponse, seconds: float, *, whole: bool) -> None:
        """Send the body of a response byte by byte, with ``whole`` also its head."""
        sent, self.wfile = self.wfile, io.BytesIO()
        self.send_head(response)
        head, self.wfile = self.wfile.getvalue(), sent
        if not whole:
            self.connection.sendall(head)
        for byte in (head if whole else b"") + response.body:
            if self.served.closing.wait(seconds):
                self.close_connection = True
                return
            self.connection.sendall(bytes([byte]))


def _page_of(request: SimRequest) -> tuple[int, int]:
    limit, offset = (request.query.get(name, "") for name in ("limit", "offset"))
    return int(limit) if limit.isdigit() else 100, int(offset) if offset.isdigit() else 0


def _other_page(limit: int, offset: int, parameters: _Parameters) -> dict[str, str]:
    """Return the part of the query that faults change."""
    query = {}
    if "endless_pages" in parameters:
        query = {"limit": str(min(limit, _ENDLESS_LIMIT)), "offset": "0"}
    if "lowered_limit" in parameters:
        query["limit"] = str(min(limit, parameters["lowered_limit"]["size"]))
    if "moving_items" in parameters and offset:
        query["offset"] = str(max(0, offset + parameters["moving_items"]["size"]))
    return query


def _with_other_headers(response: SimResponse, offset: int, parameters: _Parameters) -> SimResponse:
    headers = dict(response.headers)
    if "lying_total" in parameters and "X-Total" in headers:
        total = parameters["lying_total"]["size"]
        headers |= {"X-Total": str(total), "X-Total-Pages": str(-(-total // int(headers["X-Per-Page"])))}
    if "no_headers" in parameters or "endless_pages" in parameters:
        headers = {}
    response = replace(response, headers=tuple(headers.items()))
    if parameters.get("endless_pages", {}).get("value") != "fresh":
        return response
    items = enumerate(json.loads(response.body))
    return replace(
        response, body=dump([{**item, "id": type(item["id"])(_FRESH_IDS + offset + place)} for place, item in items])
    )


class SimulatorServer(ShippedServer):
    """The simulated API with the tests' kinds of faults.

    Attributes:
        creating_token: Held while a token is created, because a fault may change its lifetime.
        connections: The number of accepted connections.
        journal: Holds :attr:`recent`.
    """

    handler = _Handler
    kinds = FAULT_KINDS

    def __init__(self, *arguments: object, **named: object) -> None:
        self.creating_token = threading.Lock()
        self.connections = 0
        self.journal: deque[LoggedRequest] = deque(maxlen=_KEPT)
        super().__init__(*arguments, **named)  # type: ignore[arg-type]

    @property
    def recent(self) -> tuple[LoggedRequest, ...]:
        """The last requests, oldest first."""
        return tuple(self.journal)
