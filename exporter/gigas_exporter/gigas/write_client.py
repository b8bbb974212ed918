"""The API's changing operations as methods.

It owns what comes back of a change. Only errors of :mod:`gigas_exporter.errors` leave it.
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
    """What the API answered to a change.

    Attributes:
        value: The object that the answer holds, ``None`` when it holds none that can be understood.
        status: 202 when the change goes on in the background.
        body: The parsed answer with all its fields, ``None`` when it is no JSON. Where the token of a background
            operation stands in it is documented nowhere. A machine's ``initial_password`` is taken out.
        headers: By name in lower case.
    """

    value: _T | None
    status: int
    body: object
    headers: Mapping[str, str]


class Client(ReadClient):
    """Also changes things.

    A change is sent once; only one that the API rejected for its credential is sent again.
    """

    _readonly = False

    def send(self, request: ApiRequest[_T], *, deadline: Deadline | None = None) -> ChangeResult[_T]:
        """Send a change that was described before.

        Raises:
            GigasError: The API refused it, or it is not known whether it took effect; the message says which.
        """

        def interpret(answer: RawResponse) -> ChangeResult[_T]:
            try:
                body = _without_secrets(decode_json(answer.body, request.operation))
            except DecodeError:
                body = None  # the status says that the change was taken; an answer that says no more changes nothing
            value = request.decode(self._decoder, body, Counter()) if isinstance(body, dict) else None
            return ChangeResult(value, answer.status, body, answer.headers)

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
            # A gateway answers for an API that may still be at it; 501 alone says that nothing was tried.
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
