"""Why an exchange failed, in words of our own: those of the HTTP library may quote what was sent."""

from __future__ import annotations

import http.client
import socket
import ssl
import traceback
from collections.abc import Iterator

import urllib3.exceptions

from gigas_exporter.errors import TransportError
from gigas_exporter.gigas.status_messages import API_URL

_BEFORE_SENDING = (socket.gaierror, ConnectionRefusedError)
_MESSAGES: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "the host's name cannot be resolved"),
    (http.client.RemoteDisconnected, "the connection ended before the response"),
    (http.client.IncompleteRead, "the response ended too early"),
    (urllib3.exceptions.IncompleteRead, "the response ended too early"),
    (urllib3.exceptions.ProxyError, "the proxy did not connect to the API"),
)
# The setting to check, by what is among the causes; the first that fits.
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
    """Return our error for the HTTP library's.

    Args:
        operation: The API operation.
        error: The library's error; only its kind is told, and what the system or TLS says of it.
        timed_out: Whether the deadline had passed.
        peer: Where the request went, in words: a wrong address is seen in no other message.
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
    """Let go of what the frames of an error and of its causes hold.

    urllib3's frames hold the error as well, and with it the connection, until somebody looks for cycles.
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
    return "the response is no HTTP that can be understood"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and all that it was made from, which the library keeps in several places."""
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        cause = queue.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            queue += [getattr(cause, "reason", None), cause.__cause__, cause.__context__, *cause.args]
