"""The API's changing operations as methods.

It owns the results of changes. It raises only errors of :mod:`gigas_exporter.errors`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, Literal, TypeVar

from gigas_exporter.clock import Deadline
from gigas_exporter.decode import decode_json
from gigas_exporter.errors import ApiError, DecodeError, TransportError
from gigas_exporter.gigas.api_requests import (
    ApiRequest,
    build_disk_request,
    create_backup_request,
    create_template_request,
    delete_disk_request,
    edit_disk_request,
)
from gigas_exporter.gigas.client import ReadClient
from gigas_exporter.gigas.error_messages import RequestNotSentError
from gigas_exporter.gigas.http_response import RawResponse
from gigas_exporter.gigas.ratelimit import DeadlineExceededError
from gigas_exporter.model import Backup, Disk

_T = TypeVar("_T")
_OUTCOME_UNKNOWN = "whether the change took effect is not known"
_NOT_ATTEMPTED = HTTPStatus.NOT_IMPLEMENTED


@dataclass(frozen=True, slots=True)
class ChangeResult(Generic[_T]):
    """The API's response to a change.

    Attributes:
        value: The object in the response, ``None`` if there is none or it cannot be understood.
        status: 202 if the change goes on in the background.
        body: The parsed body with all its fields, ``None`` if it is no JSON. Where it holds the token of a background
            operation is undocumented. A machine's ``initial_password`` is removed.
        headers: By lower-case name.
    """

    value: _T | None
    status: int
    body: object
    headers: Mapping[str, str]


class Client(ReadClient):
    """Reads from the API and changes things.

    A change is sent once, and again only if the API rejected its credential.
    """

    _readonly = False

    def send(self, request: ApiRequest[_T], *, deadline: Deadline | None = None) -> ChangeResult[_T]:
        """Send a change that was built before.

        Raises:
            GigasError: The API rejected it, or it is not known whether it took effect; the message says which.
        """

        def interpret(response: RawResponse) -> ChangeResult[_T]:
            try:
                body = _without_secrets(decode_json(response.body, request.operation))
            except DecodeError:
                body = None  # the status alone says that the change was accepted
            value = request.decode(self._decoder, body, Counter()) if isinstance(body, dict) else None
            return ChangeResult(value, response.status, body, response.headers)

        try:
            return self._session.call(request, self._deadline(deadline), interpret, retry=False)
        except TransportError as error:
            if error.operation != request.operation or isinstance(error, DeadlineExceededError | RequestNotSentError):
                raise
            detail = str(error).removeprefix(f"{error.operation}: ")
            detail += f"; {_OUTCOME_UNKNOWN}"
            reason: Literal["timeout", "connection"] = "timeout" if error.reason == "timeout" else "connection"
            raise TransportError(error.operation, reason, detail) from None
        except ApiError as error:
            # A gateway may answer while the API still makes the change; only 501 says that nothing was attempted.
            if error.operation != request.operation or error.reason != "server" or error.status == _NOT_ATTEMPTED:
                raise
            raise error.with_more(f"; {_OUTCOME_UNKNOWN}") from None

    def edit_disk(
        self, account_id: str, disk_id: str, *, deadline: Deadline | None = None, **changes: Any
    ) -> ChangeResult[Disk]:
        """Change a disk; the changes are those of :func:`edit_disk_request`."""
        return self.send(edit_disk_request(account_id, disk_id, **changes), deadline=deadline)

    def build_disk(self, account_id: str, disk_id: str, *, deadline: Deadline | None = None) -> ChangeResult[Disk]:
        """Build a disk, which erases its data."""
        return self.send(build_disk_request(account_id, disk_id), deadline=deadline)

    def delete_disk(self, account_id: str, disk_id: str, *, deadline: Deadline | None = None) -> ChangeResult[None]:
        """Delete a disk: its data is erased."""
        return self.send(delete_disk_request(account_id, disk_id), deadline=deadline)

    def create_backup(self, account_id: str, disk_id: str, *, deadline: Deadline | None = None) -> ChangeResult[Backup]:
        """Make a backup of a disk."""
        return self.send(create_backup_request(account_id, disk_id), deadline=deadline)

    def create_template(
        self, account_id: str, disk_id: str, *, label: str, console_id: str, deadline: Deadline | None = None
    ) -> ChangeResult[Backup]:
        """Make a template of a disk."""
        return self.send(
            create_template_request(account_id, disk_id, label=label, console_id=console_id), deadline=deadline
        )


def _without_secrets(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_secrets(part) for name, part in value.items() if name != "initial_password"}
    if isinstance(value, list):
        return [_without_secrets(part) for part in value]
    return value
