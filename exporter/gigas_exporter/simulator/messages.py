"""What goes in and out of the simulated API, before and after HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from gigas_exporter.simulator.wire import dump

__all__ = ["Answer", "Refusal", "Request", "answer_json"]

Headers = tuple[tuple[str, str], ...]

_FLAGS = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Request:
    """A request as read whole.

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
        """Return a query parameter that is a whole number of 0 and more.

        Raises:
            Refusal: 400, when it is something else.
        """
        text = self.query.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004 - digits of 2^63
            raise Refusal(HTTPStatus.BAD_REQUEST, f"{name} must be a whole number")
        return int(text)

    def flag(self, name: str) -> bool | None:
        """Return a query parameter that is a boolean in any of its spellings.

        Raises:
            Refusal: 400, when it is something else.
        """
        text = self.query.get(name)
        if text is None:
            return None
        if text.lower() not in _FLAGS:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"{name} must be a boolean")
        return _FLAGS[text.lower()]

    def fields(self) -> dict[str, object]:
        """Return the body, which must be a JSON object; none at all counts as an empty one.

        Raises:
            Refusal: 400, when it is something else.
        """
        try:
            fields = json.loads(self.body) if self.body.strip() else {}
        except (ValueError, RecursionError):
            raise Refusal(HTTPStatus.BAD_REQUEST, "the body is no JSON") from None
        if not isinstance(fields, dict):
            raise Refusal(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
        return fields


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; framing headers are the server's business."""

    status: int
    body: bytes = b""
    headers: Headers = ()
    content_type: str = "application/json"


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a defect
    """The request ends here with an error status."""

    def __init__(self, status: int, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.answer = Answer(status, dump({"error": {"code": int(status), "message": message}}), headers)


def answer_json(value: object, status: int = HTTPStatus.OK, headers: Headers = ()) -> Answer:
    """Return an answer with a JSON body."""
    return Answer(status, dump(value), headers)
