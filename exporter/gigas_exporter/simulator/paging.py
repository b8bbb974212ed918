"""Pages of lists: ``limit``, ``offset`` and the X- headers (Gigas docs, Pagination)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from gigas_exporter.simulator.http import SimError, SimRequest, SimResponse


@dataclass(frozen=True, slots=True)
class Rows:
    """A list of which only the slice asked for is made: JSON, the inside of an array."""

    total: int
    slice: Callable[[int, int], bytes]


def page(rows: Rows, request: SimRequest, default_limit: int, max_limit: int) -> SimResponse:
    """Return the page asked for; an invalid limit or offset is a 400."""
    limit, offset = request.number("limit", default_limit) or 0, request.number("offset", 0) or 0
    if limit < 1:
        raise SimError(HTTPStatus.BAD_REQUEST, "limit must be at least 1")
    limit = min(limit, max_limit)
    headers = (
        ("X-Total", str(rows.total)),
        ("X-Total-Pages", str(-(-rows.total // limit))),
        ("X-Per-Page", str(limit)),
        ("X-Page", str(offset // limit + 1)),
    )
    return SimResponse(HTTPStatus.OK, b"[" + rows.slice(offset, offset + limit) + b"]", headers)
