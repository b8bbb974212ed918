"""Requests and responses as handlers see them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

_MAX_BODY_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request.

    Attributes:
        method: As sent, such as ``GET``.
        path: The decoded path, without the query.
        query: The decoded query; a repeated name has its last value.
        headers: By lower-case name; the values of a repeated header are joined with a comma.
        client: The client's IPv4 address, or the /64 network of its IPv6 address.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    client: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """A response; the server adds ``Content-Length`` and ``Date``, and sends no body for HEAD.

    Attributes:
        chunks: The body in chunks, which are sent one after the other without being joined.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[bytes, ...] = field(default=(), repr=False)


Handler = Callable[[Request], Awaitable[Response]]


class HTTPError(Exception):
    """A request that is rejected before a handler sees it."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def text_response(status: int, text: str | None = None, **headers: str) -> Response:
    """Return a text response; by default the text is the status's reason phrase.

    Names of ``headers`` are written as Python identifiers: ``retry_after="1"`` is ``Retry-After: 1``.
    """
    body = (text if text is not None else HTTPStatus(status).phrase).rstrip("\n") + "\n"
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return Response(status, {"Content-Type": "text/plain; charset=utf-8", **named}, (body.encode(),))


def read_request(scope: Mapping[str, Any], client: str) -> Request:
    """Return the request of an ASGI scope.

    Raises:
        HTTPError: The body is too large, the HTTP version or transfer coding is not supported, or the URL is malformed.
    """
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("ascii"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    if scope["http_version"] not in {"1.0", "1.1"}:
        raise HTTPError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    if "transfer-encoding" in headers:
        raise HTTPError(HTTPStatus.NOT_IMPLEMENTED)
    if int(headers.get("content-length", 0)) > _MAX_BODY_BYTES:
        raise HTTPError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    path = scope["raw_path"].decode("ascii")
    if path.lower().startswith(("http://", "https://")):  # RFC 9112, 3.2.2: the absolute form must be accepted
        path = "/" + path.partition("://")[2].partition("/")[2]
    query = scope["query_string"].decode("ascii")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
        return Request(scope["method"], unquote(path, errors="strict"), dict(pairs), headers, client)
    except ValueError:
        raise HTTPError(HTTPStatus.BAD_REQUEST) from None
