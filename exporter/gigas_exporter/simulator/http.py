"""The simulated API's requests and responses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from pydantic import ValidationError

from gigas_exporter.simulator.json_encoding import dump

Headers = tuple[tuple[str, str], ...]

_BOOLEANS = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class SimRequest:
    """A whole request.

    Attributes:
        path: Without the query, percent-decoded.
        query: The last value of each parameter.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    authorization: str | None = field(default=None, repr=False)
    body: bytes = field(default=b"", repr=False)

    def number(self, name: str, default: int | None = None) -> int | None:
        """Return a parameter as a whole number; 400 if it is none."""
        text = self.query.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004 - digits of 2^63
            raise SimError(HTTPStatus.BAD_REQUEST, f"{name} must be a whole number")
        return int(text)

    def flag(self, name: str) -> bool | None:
        """Return a parameter as a boolean; 400 if it is none."""
        text = self.query.get(name)
        if text is None:
            return None
        if text.lower() not in _BOOLEANS:
            raise SimError(HTTPStatus.BAD_REQUEST, f"{name} must be a boolean")
        return _BOOLEANS[text.lower()]

    def fields(self) -> dict[str, object]:
        """Return the body as a JSON object; 400 if it is none."""
        try:
            fields = json.loads(self.body) if self.body.strip() else {}
        except (ValueError, RecursionError):
            raise SimError(HTTPStatus.BAD_REQUEST, "the body is not JSON") from None
        if not isinstance(fields, dict):
            raise SimError(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
        return fields


@dataclass(frozen=True, slots=True)
class SimResponse:
    """A response; the server adds the length and the type of the body."""

    status: int
    body: bytes = b""
    headers: Headers = ()
    content_type: str = "application/json"


class SimError(Exception):
    """Ends a request with an error status."""

    def __init__(self, status: int, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.response = SimResponse(status, dump({"error": {"code": int(status), "message": message}}), headers)


def json_response(value: object, status: int = HTTPStatus.OK, headers: Headers = ()) -> SimResponse:
    """Return a response with a JSON body."""
    return SimResponse(status, dump(value), headers)


def describe_error(error: ValidationError) -> str:
    """Return the first error, preceded by its field."""
    first = error.errors()[0]
    return ": ".join((*map(str, first["loc"][:1]), first["msg"]))
