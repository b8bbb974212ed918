"""What an error status of the API is likely to mean, and which setting to try.

The documentation names no errors, so that each cause is a guess, and is written as one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Final

from gigas_exporter.secret import Secret

__all__ = ["api_message", "likely_cause"]

_MAX_MESSAGE_LENGTH = 200

_LOCKED: Final = "the account may be locked, or changing ({peer}); ask Gigas if it stays so"
_SERVER: Final = "the API has an error of its own, or is not available now ({peer})"
_CAUSES: Final[Mapping[int, str]] = {
    HTTPStatus.PAYMENT_REQUIRED: "the account may have unpaid bills ({peer}); ask Gigas",
    HTTPStatus.FORBIDDEN: (
        "the credential may have no right to it ({peer}); check the account's id and the credential's rights"
    ),
    HTTPStatus.NOT_FOUND: "there may be no such account, or no API at {peer}; check the account's id and api.url",
    HTTPStatus.REQUEST_TIMEOUT: _SERVER,
    HTTPStatus.CONFLICT: _LOCKED,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "{peer} does not take JSON; check api.url",
    HTTPStatus.LOCKED: _LOCKED,
    HTTPStatus.TOO_EARLY: _SERVER,
    HTTPStatus.TOO_MANY_REQUESTS: "it asks for fewer requests ({peer}); lower api.max_requests_per_second",
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: "the account may be closed for legal reasons ({peer}); ask Gigas",
}
_NO_BACKUPS: Final = "the API may have no list of all backups ({peer}); try poll.backups_source: disk"
_BACKUPS_CAUSES: Final[Mapping[int, str]] = {
    HTTPStatus.FORBIDDEN: (
        "the credential may not read all backups of the account ({peer}); try poll.backups_source: disk"
    ),
    HTTPStatus.NOT_FOUND: _NO_BACKUPS,
    HTTPStatus.METHOD_NOT_ALLOWED: _NO_BACKUPS,
}
_TOO_LARGE: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
_NO_LOGIN: Final = "there may be no such way to log in ({peer}); check api.url and api.login"
_NO_SUCH_ITEM: Final = "it may have been deleted ({peer}); check its id"
_OTHER: Final = "it may be another API than the documented one ({peer}); check api.url"
_UNLABELLED: Final = frozenset({"base", "message"})
_PAGE_SIZE: Final = "it may not take so many items a page ({peer}); lower api.page_size"
_REDIRECT: Final = "redirects are not followed ({peer}); check api.url"


def likely_cause(operation: str, status: int, peer: str) -> str:
    """Return the cause and the setting to try for an error status of a reading operation, with the address.

    Args:
        operation: The API operation that failed.
        status: The HTTP status.
        peer: Where the request went: host and port, of the proxy too.
    """
    return _cause(operation, status).replace("{peer}", peer)


def _cause(operation: str, status: int) -> str:
    if status < HTTPStatus.BAD_REQUEST:
        return _REDIRECT
    if operation.startswith("list_") and status in _TOO_LARGE:
        return _PAGE_SIZE
    if operation == "list_backups" and status in _BACKUPS_CAUSES:
        return _BACKUPS_CAUSES[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _SERVER
    if operation == "create_token" and status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        return _NO_LOGIN
    is_item = operation.startswith("get_") and status == HTTPStatus.NOT_FOUND
    return _NO_SUCH_ITEM if is_item else _CAUSES.get(status, _OTHER)


def api_message(body: bytes, secrets: Iterable[Secret]) -> str | None:
    """Return the API's own words about an error (``errors`` or ``error`` of a JSON object), fit to be printed.

    Args:
        body: Of the response.
        secrets: What must not be in the words, should the API quote it.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    text = "; ".join(_texts(value.get("errors") or value.get("error")))
    for secret in secrets:
        text = text.replace(secret.reveal(), "***")
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return f"{text[: _MAX_MESSAGE_LENGTH - 1]}…" if len(text) > _MAX_MESSAGE_LENGTH else text or None


def _texts(value: object) -> Iterator[str]:
    """Yield the texts of ``"…"``, ``["…"]`` or ``{"field": ["…"]}``."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (each for each in value if isinstance(each, str))
    elif isinstance(value, dict):
        for field, each in value.items():
            label = "" if field in _UNLABELLED else f"{field}: "
            yield from (f"{label}{text}" for text in _texts(each if isinstance(each, str | list) else None))
