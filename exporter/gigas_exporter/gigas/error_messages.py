"""Why a request failed, and which setting to try.

The HTTP library's own messages are not used, as they may quote the request. The API's errors are undocumented, so the
cause of an error status is a guess, and is written as one.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import traceback
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Final

import urllib3.exceptions

from gigas_exporter.errors import TransportError
from gigas_exporter.secret import Secret

_MAX_MESSAGE_LENGTH = 200

API_URL: Final = "api.url (GIGAS_API_URL)"
"""The setting of the API's address, and the environment variable that overrides it."""

_Cause = tuple[str, str]
"""The likely cause, and what to do."""

_LOCKED: Final = "the account may be locked, or changing", "ask Gigas if this goes on"
_SERVER: Final = "the API has an internal error, or is unavailable", ""
_CAUSES: Final[Mapping[int, _Cause]] = {
    HTTPStatus.PAYMENT_REQUIRED: ("the account may have unpaid bills", "ask Gigas"),
    HTTPStatus.FORBIDDEN: (
        "the credential may have no right to it",
        "check the account's id and the credential's rights",
    ),
    HTTPStatus.NOT_FOUND: ("there may be no such account, or no API here", f"check the account's id and {API_URL}"),
    HTTPStatus.REQUEST_TIMEOUT: _SERVER,
    HTTPStatus.CONFLICT: _LOCKED,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("it may not accept JSON", f"check {API_URL}"),
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
_NOT_ACCEPTED: Final = "it does not accept the request", ""
_NOT_NOW: Final = "the disk does not allow it now", "another operation on it may be running"
_NO_SUCH_CHANGE: Final = "the API cannot do this", ""
_CHANGE_CAUSES: Final[Mapping[int, _Cause]] = {
    HTTPStatus.BAD_REQUEST: _NOT_ACCEPTED,
    HTTPStatus.FORBIDDEN: ("the credential has no right to change it", "it may be read-only"),
    HTTPStatus.NOT_FOUND: ("the disk is gone, or the API cannot do this", ""),
    HTTPStatus.METHOD_NOT_ALLOWED: _NO_SUCH_CHANGE,
    HTTPStatus.CONFLICT: _NOT_NOW,
    HTTPStatus.UNPROCESSABLE_ENTITY: _NOT_ACCEPTED,
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
_NO_LOGIN: Final = "the API may not offer this kind of login", f"check {API_URL} and api.login"
_NO_SUCH_ITEM: Final = "it may have been deleted", "check its id"
_OTHER: Final = "it may be another API than the documented one", f"check {API_URL}"
_READING: Final = ("list_", "get_", "create_token")
_UNLABELLED: Final = frozenset({"base", "message"})
_PAGE_SIZE: Final = "it may not accept so many items per page", "lower api.page_size"
_REDIRECT: Final = "redirects are not followed", f"check {API_URL}"


def likely_cause(operation: str, status: int) -> _Cause:
    """Return an error status' likely cause, and what to do."""
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
    """Return the API's own message about an error in a printable form.

    It is under ``errors`` or ``error`` of a JSON object.

    Args:
        body: The response's body.
        secrets: Replaced by ``***``, should the API quote them.
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


_BEFORE_SENDING = (socket.gaierror, ConnectionRefusedError)
_MESSAGES: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "the host's name cannot be resolved"),
    (http.client.RemoteDisconnected, "the connection ended before the response"),
    (http.client.IncompleteRead, "the response ended too early"),
    (urllib3.exceptions.IncompleteRead, "the response ended too early"),
    (urllib3.exceptions.ProxyError, "the proxy did not connect to the API"),
)
# The setting to check, by a cause of the error; the first match counts.
_SETTINGS: tuple[tuple[type[BaseException], str], ...] = (
    (ssl.SSLCertVerificationError, "api.ca_file"),
    (urllib3.exceptions.ProxyError, "api.proxy"),
    (ssl.SSLError, API_URL),
    (socket.gaierror, API_URL),
    (ConnectionRefusedError, API_URL),
)


class RequestNotSentError(TransportError):
    """The request was certainly not sent."""


class UntrustedCertificateError(RequestNotSentError):
    """The server's certificate was rejected."""


def transport_error(operation: str, error: BaseException, *, timed_out: bool, peer: str) -> TransportError:
    """Convert an error of the HTTP library.

    Args:
        operation: The API operation.
        error: The library's error; of its text, the message has only what the operating system or TLS says.
        timed_out: Whether the deadline had passed.
        peer: Where the request went: no other message shows a wrong address.
    """
    if timed_out:
        return TransportError(
            operation, "timeout", f"no complete response in time ({peer}); raise api.timeout if it is slow"
        )
    causes = list(_causes(error))
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return TransportError(operation, "timeout", f"the connection timed out ({peer})")
    setting = next((name for kind, name in _SETTINGS if any(isinstance(cause, kind) for cause in causes)), None)
    message = f"{_detail(causes)} ({peer})" + (f"; check {setting}" if setting else "")
    kind = TransportError
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        kind = UntrustedCertificateError
    elif any(isinstance(cause, _BEFORE_SENDING) for cause in causes):
        kind = RequestNotSentError
    return kind(operation, "connection", message)


def clear_tracebacks(error: BaseException) -> None:
    """Clear the frames of an error and of its causes.

    urllib3's frames refer to the error as well: the cycle would keep the connection until garbage is collected.
    """
    for cause in _causes(error):
        traceback.clear_frames(cause.__traceback__)
        cause.__traceback__ = None


def _detail(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or 'unknown reason'}"
    for kind, words in _MESSAGES:
        if any(isinstance(cause, kind) for cause in causes):
            return words
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return f"the connection failed: {cause.strerror}"
    return "the response is not valid HTTP"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes, which libraries keep in several attributes."""
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        cause = queue.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            queue += [getattr(cause, "reason", None), cause.__cause__, cause.__context__, *cause.args]
