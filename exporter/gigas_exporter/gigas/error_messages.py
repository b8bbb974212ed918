"""Why a request failed, in words of our own, and which setting to try.

The HTTP library's words may quote what was sent. The documentation names no errors, so that each cause of an error
status is a guess, and is written as one.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Final

from gigas_exporter.errors import TransportError
from gigas_exporter.gigas.http_response import ConnectionEndedError
from gigas_exporter.secret import Secret

_MAX_MESSAGE_LENGTH = 200

API_URL: Final = "api.url (GIGAS_API_URL)"
"""The setting of the API's address, and the variable that goes before it."""

_Cause = tuple[str, str]
"""What is likely to be wrong, and what to do."""

_LOCKED: Final = "the account may be locked, or changing", "ask Gigas if it stays so"
_SERVER: Final = "the API has an error of its own, or is not available now", ""
_CAUSES: Final[Mapping[int, _Cause]] = {
    HTTPStatus.PAYMENT_REQUIRED: ("the account may have unpaid bills", "ask Gigas"),
    HTTPStatus.FORBIDDEN: (
        "the credential may have no right to it",
        "check the account's id and the credential's rights",
    ),
    HTTPStatus.NOT_FOUND: ("there may be no such account, or no API here", f"check the account's id and {API_URL}"),
    HTTPStatus.REQUEST_TIMEOUT: _SERVER,
    HTTPStatus.CONFLICT: _LOCKED,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("it may not take JSON", f"check {API_URL}"),
    HTTPStatus.LOCKED: _LOCKED,
    HTTPStatus.TOO_EARLY: _SERVER,
    HTTPStatus.TOO_MANY_REQUESTS: ("it asks for fewer requests", "lower api.max_requests_per_second"),
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: ("the account may be closed for legal reasons", "ask Gigas"),
}
_NO_BACKUPS: Final = "the API may have no list of all backups", "try poll.backups_source: disk"
_BACKUPS_CAUSES: Final[Mapping[int, _Cause]] = {
    HTTPStatus.FORBIDDEN: (
        "the credential may not read all backups of the account",
        "try poll.backups_source: disk",
    ),
    HTTPStatus.NOT_FOUND: _NO_BACKUPS,
    HTTPStatus.METHOD_NOT_ALLOWED: _NO_BACKUPS,
}
_NOT_TAKEN: Final = "it does not take what was asked", ""
_NOT_NOW: Final = "the disk does not allow it now", "another operation on it may be running"
_NO_SUCH_CHANGE: Final = "the API cannot do this", ""
_CHANGE_CAUSES: Final[Mapping[int, _Cause]] = {
    HTTPStatus.BAD_REQUEST: _NOT_TAKEN,
    HTTPStatus.FORBIDDEN: ("the credential has no right to change it", "it may be for reading only"),
    HTTPStatus.NOT_FOUND: ("the disk is gone, or the API cannot do this", ""),
    HTTPStatus.METHOD_NOT_ALLOWED: _NO_SUCH_CHANGE,
    HTTPStatus.CONFLICT: _NOT_NOW,
    HTTPStatus.UNPROCESSABLE_ENTITY: _NOT_TAKEN,
    HTTPStatus.LOCKED: _NOT_NOW,
    HTTPStatus.TOO_MANY_REQUESTS: ("it asks for fewer requests", "try again in a while"),
    HTTPStatus.NOT_IMPLEMENTED: _NO_SUCH_CHANGE,
}
_TOO_LARGE: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
_NO_LOGIN: Final = "there may be no such way to log in", f"check {API_URL} and api.login"
_NO_SUCH_ITEM: Final = "it may have been deleted", "check its id"
_OTHER: Final = "it may be another API than the documented one", f"check {API_URL}"
_READING: Final = ("list_", "get_", "create_token")
_UNLABELLED: Final = frozenset({"base", "message"})
_PAGE_SIZE: Final = "it may not take so many items a page", "lower api.page_size"
_REDIRECT: Final = "redirects are not followed", f"check {API_URL}"


def likely_cause(operation: str, status: int) -> _Cause:
    """Return the likely cause of an error status, and what to do, if anything."""
    if status < HTTPStatus.BAD_REQUEST:
        return _REDIRECT
    if not operation.startswith(_READING) and status in _CHANGE_CAUSES:
        return _CHANGE_CAUSES[status]
    if operation.startswith("list_") and status in _TOO_LARGE:
        return _PAGE_SIZE
    if operation == "list_backups" and status in _BACKUPS_CAUSES:
        return _BACKUPS_CAUSES[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _SERVER
    cause = _CAUSES.get(status, _OTHER)
    if operation == "create_token" and status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        cause = _NO_LOGIN
    elif operation.startswith("get_") and status == HTTPStatus.NOT_FOUND:
        cause = _NO_SUCH_ITEM
    return cause


def describe_status(operation: str, status: int, peer: str) -> str:
    """Return the likely cause, where the request went, and what to do."""
    cause, advice = likely_cause(operation, status)
    return f"{cause} ({peer})" + (f"; {advice}" if advice else "")


def is_json(body: bytes) -> bool:
    """Return whether a body is JSON, as the API's own are."""
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def api_message(body: bytes, secrets: Iterable[Secret]) -> str | None:
    """Return the API's own words about an error, fit to be printed.

    They are under ``errors`` or ``error`` of a JSON object.

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


class RequestNotSentError(TransportError):
    """The request was certainly not sent."""


class UntrustedCertificateError(RequestNotSentError):
    """The server's certificate was rejected."""


class ProxyRefusedError(OSError):
    """The proxy did not connect to the API."""


def transport_error(
    operation: str, error: Exception, *, timed_out: bool, is_sent: bool, has_proxy: bool, peer: str
) -> TransportError:
    """Return our error for one of a connection.

    Args:
        operation: The API operation.
        error: Only its kind is told, and what the system or TLS says of it.
        timed_out: Whether the deadline had passed.
        is_sent: Whether any of the request may have been sent.
        has_proxy: Whether the connection is one to a proxy.
        peer: Where the request went, in words: a wrong address is seen in no other message.
    """
    kind: type[TransportError] = TransportError if is_sent else RequestNotSentError
    setting = "api.proxy" if has_proxy else API_URL
    if timed_out:
        return kind(operation, "timeout", f"no complete response in time ({peer}); raise api.timeout if it is slow")
    match error:
        case TimeoutError():
            return kind(operation, "timeout", f"the connection timed out ({peer})")
        case ssl.SSLCertVerificationError():
            kind, setting = UntrustedCertificateError, "api.ca_file"
            words = f"the certificate is not accepted: {error.verify_message}"
        case ssl.SSLError():
            words = f"TLS failed: {error.reason or 'unknown reason'}"
            setting = f"api.proxy and {API_URL}" if has_proxy else API_URL
        case socket.gaierror():
            words = "the host's name cannot be resolved"
        case ProxyRefusedError():
            words = "the proxy did not connect to the API"
        case ConnectionRefusedError():
            words = f"the connection failed: {error.strerror}"
        case ConnectionEndedError():
            words, setting = str(error), ""
        case OSError(strerror=str()):
            words, setting = f"the connection failed: {error.strerror}", ""
        case _:
            words, setting = "the response is no HTTP that can be understood", ""
    return kind(operation, "connection", f"{words} ({peer})" + (f"; check {setting}" if setting else ""))
