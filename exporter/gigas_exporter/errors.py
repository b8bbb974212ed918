"""Every error that the package raises on purpose.

::

    GigasError
    ├── ConfigError       a setting, a configuration file or a secret file is wrong; the user can fix it
    ├── TransportError    there was no complete response: timeout, connection
    ├── AuthError         the API does not accept the credential (401, or a rejected login)
    ├── ApiError          the API answered with an error status
    ├── DecodeError       the response, or a field of it, cannot be decoded
    └── IncompleteError   a list could not be read completely and consistently

``reason`` is the error's label value in ``gigas_exporter_poll_failures_total``. A message is one sentence with the
status, the address, the likely cause and the setting to try. It never holds a secret, and quotes a response's body only
to say why the API rejected a change or a filter.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal, get_args

__all__ = [
    "REASONS",
    "ApiError",
    "AuthError",
    "ConfigError",
    "DecodeError",
    "GigasError",
    "IncompleteError",
    "Reason",
    "TransportError",
    "strip_traceback",
]

Reason = Literal[
    "timeout", "connection", "auth", "forbidden", "rate_limited", "server", "invalid", "incomplete", "other"
]
REASONS: tuple[Reason, ...] = get_args(Reason)


class GigasError(Exception):
    """Base of all errors of this package."""

    reason: Reason = "other"


class ConfigError(GigasError):
    """A wrong setting: what, where and what to do.

    Attributes:
        problems: All problems, one line each; by default the message alone.
    """

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems or (message,)


class TransportError(GigasError):
    """The API sent no complete response.

    Attributes:
        reason: ``timeout`` or ``connection``.
        operation: The API operation that failed, such as ``list_disks``.
    """

    def __init__(self, operation: str, reason: Literal["timeout", "connection"], detail: str) -> None:
        super().__init__(f"{operation}: {detail}")
        self.operation = operation
        self.reason = reason


class AuthError(GigasError):
    """The API rejects the credential, even when renewed or read again."""

    reason: Reason = "auth"


class ApiError(GigasError):
    """The API answered with an error status.

    Attributes:
        status: The HTTP status.
        operation: The API operation that failed.
        retry_after: Seconds that the API asked to wait; ``None`` if it did not, or if that is not understood.
        detail: The likely cause, and the setting to try.
        address: Host and port that the request went to, and those of the proxy.
        api_message: Why the API rejected a change or filter, in its own words: printable, short, without secrets.
        is_foreign: Whether the body is neither empty nor JSON, so that a gateway in front of the API may have sent it.
    """

    def __init__(
        self,
        operation: str,
        status: int,
        retry_after: float | None = None,
        detail: str = "",
        *,
        api_message: str | None = None,
        address: str = "",
        is_foreign: bool = False,
    ) -> None:
        words = f' ("{api_message}")' if api_message else ""
        super().__init__(f"{operation}: the API answered {status}{words}" + (f": {detail}" if detail else ""))
        self.address = address
        self.is_foreign = is_foreign
        self.api_message = api_message
        self.operation = operation
        self.status = status
        self.retry_after = retry_after
        self.detail = detail
        self.reason = _reason_of_status(status)

    def with_more(self, advice: str) -> ApiError:
        """Return a copy with text appended to ``detail``."""
        return ApiError(
            self.operation,
            self.status,
            self.retry_after,
            self.detail + advice,
            api_message=self.api_message,
            address=self.address,
            is_foreign=self.is_foreign,
        )


class DecodeError(GigasError):
    """A response, or a field of it, cannot be decoded.

    Attributes:
        field: The field, or ``body`` for the whole response.
        detail: What is wrong with it.
        address: Where the response came from: host and port, of the proxy too; empty for a field.
    """

    reason: Reason = "invalid"

    def __init__(self, field: str, detail: str, address: str = "") -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail
        self.address = address

    def __str__(self) -> str:
        """Return the sentence, with the address where it is known."""
        return super().__str__() + (f" ({self.address})" if self.address else "")


class IncompleteError(GigasError):
    """A list changed while it was read, repeated or lacked items, or never ended."""

    reason: Reason = "incomplete"


def strip_traceback(error: GigasError) -> GigasError:
    """Remove the traceback, whose frames keep whole responses in memory."""
    error.__context__ = None
    return error.with_traceback(None)


def _reason_of_status(status: int) -> Reason:
    if status == HTTPStatus.FORBIDDEN:
        return "forbidden"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limited"
    return "server" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "other"
