"""What a request and a response are to those who answer; knows nothing of sockets, TLS or parsing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

__all__ = ["Handler", "Request", "Response", "plain"]


@dataclass(frozen=True, slots=True)
class Request:
    """A complete and well-formed request.

    Attributes:
        method: As sent, such as ``GET``.
        path: The decoded path, without the query.
        query: The decoded query; of a name that is given twice, the last.
        headers: By lower-case name; a header that is given twice is joined with a comma.
        party: Whose it is; where there is a queue, requests of the same party share its turns.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    party: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """What to answer. The server adds ``Content-Length``, ``Date`` and ``Connection`` and leaves a HEAD's body out.

    Attributes:
        status: The HTTP status.
        headers: ``Content-Type`` and whatever else belongs to this answer.
        chunks: The body in pieces, which are sent as they lie and never copied together.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[bytes, ...] = field(default=(), repr=False)


Handler = Callable[[Request], Response]


def plain(status: int, text: str | None = None, **headers: str) -> Response:
    """Return a response of one line of text, the status' own phrase by default.

    ``headers`` are given in Python's spelling: ``retry_after="1"`` is ``Retry-After: 1``.
    """
    body = (text if text is not None else HTTPStatus(status).phrase).rstrip("\n") + "\n"
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return Response(status, {"Content-Type": "text/plain; charset=utf-8", **named}, (body.encode(),))
