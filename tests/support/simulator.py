"""The simulator as tests have it: with every kind of fault, and a record of the last requests."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from gigas_exporter.simulator import KINDS, Faults, RequestLog
from gigas_exporter.simulator import SimulatorServer as ShippedServer
from gigas_exporter.simulator.api import MatchedRoute
from gigas_exporter.simulator.faults import Fault, FaultKind
from gigas_exporter.simulator.http import SimRequest, SimResponse
from gigas_exporter.simulator.json_encoding import dump
from gigas_exporter.simulator.server import SimulatorHandler
from support import response_corruption

__all__ = ["FAULT_KINDS", "LoggedRequest", "SimulatorServer"]

FAULT_KINDS: Mapping[str, FaultKind] = {
    **KINDS,
    # on the connection
    "reset": FaultKind("resets the connection without an answer"),
    "redirect": FaultKind("sends the client to `value`, another host", {"value": "http://elsewhere.example/"}),
    "drip_headers": FaultKind("sends the head byte by byte, `seconds` apart", {"seconds": 0.05}),
    "drip_body": FaultKind("sends the body byte by byte, `seconds` apart", {"seconds": 0.05}),
    "truncated": FaultKind("closes in the middle of the body, whose whole length was announced"),
    "truncated_unframed": FaultKind("closes in the middle of a body whose end is the connection's end"),
    # paging
    "ignored_limit": FaultKind("everything comes at once, without headers"),
    "lowered_limit": FaultKind("pages of at most `size` items", {"size": 10}),
    "no_headers": FaultKind("no X- headers"),
    "lying_total": FaultKind("X-Total is `size`", {"size": 1_000_000}),
    "moving_items": FaultKind("items have moved towards the front by `size` after the first page", {"size": 1}),
    "endless_pages": FaultKind(
        'full pages for ever, of the same items, or of new ones when `value` is "fresh"', {"value": None}
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
"""By kind of fault, its parameters."""


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request and what it got.

    Attributes:
        status: 0 when nothing was answered.
        at: UNIX seconds of the world's clock.
        connection: Number of the connection that it came over.
    """

    operation: str
    account: str | None
    method: str
    path: str
    query: Mapping[str, str]
    status: int
    at: float
    connection: int


class _Log(RequestLog):
    """Keeps the last requests, too, without anything secret."""

    def __init__(self, server: SimulatorServer) -> None:
        super().__init__()
        self._server = server
        self._recent: deque[LoggedRequest] = deque(maxlen=_KEPT)

    def note(self, call: MatchedRoute, request: SimRequest, status: int, connection: int) -> None:
        """Count and keep a request."""
        super().note(call, request, status, connection)
        kept = (call.operation, call.account, request.method, request.path, request.query, status)
        self._recent.append(LoggedRequest(*kept, at=self._server.world.now(), connection=connection))

    def clear(self) -> None:
        """Set all to nothing."""
        super().clear()
        self._recent.clear()

    @property
    def recent(self) -> tuple[LoggedRequest, ...]:
        """The last requests that were decided on, oldest first."""
        return tuple(self._recent)


class _Handler(SimulatorHandler):
    """Does what the faults of tests say."""

    served: SimulatorServer

    def respond(self, call: MatchedRoute, request: SimRequest, hits: Mapping[int, Fault]) -> SimResponse | None:
        """Return the response, its body corrupted; ``None`` for a reset."""
        if any(fault.kind == "reset" for fault in hits.values()):
            # Closed here and now: the base class would shut it down first, and so send an end before the reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.connection.close()
            return None
        response = super().respond(call, request, hits)
        if response is None:
            return None
        return response_corruption.corrupt(response, hits.values(), self.served.world.now())

    def answer(self, call: MatchedRoute, request: SimRequest, faults: Sequence[Fault]) -> SimResponse:
        """Answer a request with what faults do to pages and tokens."""
        parameters = {fault.kind: fault.parameters for fault in faults}
        if "redirect" in parameters:
            return SimResponse(HTTPStatus.FOUND, headers=(("Location", parameters["redirect"]["value"]),))
        if call.operation == "create_token":
            with self.served.creating_token:
                return self._create_token(call, request, faults, parameters)
        limit, offset = _page_of(request)
        changed = replace(request, query={**request.query, **_other_page(limit, offset, parameters)})
        if "ignored_limit" in parameters:
            return self._everything(call, changed, faults)
        response = super().answer(call, changed, faults)
        return _with_other_headers(response, offset, parameters) if response.status == HTTPStatus.OK else response

    def _create_token(
        self,
        call: MatchedRoute,
        request: SimRequest,
        faults: Sequence[Fault],
        parameters: _Parameters,
    ) -> SimResponse:
        world = self.served.world
        life = world.token_life_seconds
        if "expired_token" in parameters:
            world.token_life_seconds = parameters["expired_token"]["seconds"] or 0.0
        try:
            return super().answer(call, request, faults)
        finally:
            world.token_life_seconds = life

    def _everything(self, call: MatchedRoute, request: SimRequest, faults: Sequence[Fault]) -> SimResponse:
        items: list[object] = []
        while True:
            query = {**request.query, "limit": str(self.served.world.max_limit), "offset": str(len(items))}
            response = super().answer(call, replace(request, query=query), faults)
            found = json.loads(response.body) if response.status == HTTPStatus.OK else None
            if not isinstance(found, list):
                return response
            items += found
            if not found:
                return replace(response, body=dump(items), headers=())

    def send(self, response: SimResponse, faults: Sequence[Fault]) -> None:
        """Send a response, half of it or slowly."""
        fault = {fault.kind: fault for fault in faults}
        drip = fault.get("drip_headers") or fault.get("drip_body")
        unframed = "truncated_unframed" in fault
        if unframed or "truncated" in fault:
            self.close_connection = True
            self.wfile.write(self.head(response, framed=not unframed) + response.body[: len(response.body) // 2])
        elif drip is None:
            super().send(response, faults)
        else:
            head = self.head(response)
            whole = b"" if drip.kind == "drip_headers" else head
            self.wfile.write(whole)
            for byte in (head + response.body).removeprefix(whole):
                if self.served.closing.wait(drip.parameters["seconds"]):
                    self.close_connection = True
                    return
                self.wfile.write(bytes([byte]))


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
    """The simulated API with the kinds of faults of tests.

    Attributes:
        creating_token: Held while a token is made, whose life a fault may change.
    """

    handler = _Handler
    requests: _Log

    def __init__(self, *arguments: object, **named: object) -> None:
        self.creating_token = threading.Lock()
        super().__init__(*arguments, **named)  # type: ignore[arg-type]

    def make_faults(self) -> Faults:
        """Return no faults, of all kinds."""
        return Faults(self.world.seed, FAULT_KINDS)

    def make_log(self) -> _Log:
        """Return an empty log."""
        return _Log(self)
