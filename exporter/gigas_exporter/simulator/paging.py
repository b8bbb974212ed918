"""Pages of lists: ``limit``, ``offset`` and the X- headers (Gigas docs, Pagination), and the ways they go wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from gigas_exporter.simulator.http import SimError, SimRequest, SimResponse
from gigas_exporter.simulator.json_encoding import dump_items

__all__ = ["PagingOptions", "Rows", "page"]

_FRESH_IDS = 900_000_000
_ENDLESS_LIMIT = 50


@dataclass(frozen=True, slots=True)
class PagingOptions:
    """How the platform pages wrongly, if at all.

    Attributes:
        ignores_limit: Everything comes at once, and no headers.
        max_limit: The largest page, instead of the world's.
        headers: Whether the X- headers are sent.
        total: What X-Total says, whatever is true.
        shift: By how much the items have moved towards the front once the first page was read.
        endless: Full pages for ever: the same items over again, or ``fresh`` ones.
    """

    ignores_limit: bool = False
    max_limit: int | None = None
    headers: bool = True
    total: int | None = None
    shift: int = 0
    endless: Literal["repeat", "fresh"] | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """A list that can be sliced without making all of it; a slice is JSON, the inside of an array."""

    total: int
    slice: Callable[[int, int], bytes]


def page(rows: Rows, request: SimRequest, quirks: PagingOptions, default_limit: int, max_limit: int) -> SimResponse:
    """Return the page that the request asks for.

    Raises:
        SimError: 400, for a limit or offset that is none.
    """
    limit, offset = request.number("limit", default_limit) or 0, request.number("offset", 0) or 0
    if limit < 1:
        raise SimError(HTTPStatus.BAD_REQUEST, "limit must be at least 1")
    limit = min(limit, max_limit if quirks.max_limit is None else quirks.max_limit)
    if quirks.endless is not None:
        return SimResponse(HTTPStatus.OK, _array(_endless_items(rows, offset, limit, quirks.endless)))
    if quirks.ignores_limit:
        return SimResponse(HTTPStatus.OK, _array(rows.slice(0, rows.total)))
    begin = offset + quirks.shift if offset else 0
    items = rows.slice(max(0, begin), max(0, begin) + limit)
    total = rows.total if quirks.total is None else quirks.total
    headers = (
        ("X-Total", str(total)),
        ("X-Total-Pages", str(-(-total // limit))),
        ("X-Per-Page", str(limit)),
        ("X-Page", str(offset // limit + 1)),
    )
    return SimResponse(HTTPStatus.OK, _array(items), headers if quirks.headers else ())


def _array(items: bytes) -> bytes:
    return b"[" + items + b"]"


def _endless_items(rows: Rows, offset: int, limit: int, kind: str) -> bytes:
    items = rows.slice(0, min(limit, _ENDLESS_LIMIT))
    if kind == "repeat" or not items:
        return items
    return dump_items(
        {**item, "id": type(item["id"])(_FRESH_IDS + offset + place)}
        for place, item in enumerate(json.loads(_array(items)))
    )
