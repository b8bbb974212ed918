"""The levers over HTTP, for tests and demos in other processes: everything under ``/_sim/``.

Only served on loopback, without authentication, and never with a secret in an answer. Bodies and answers are JSON, in
the words of :class:`.SimulatedCloud`: dates are UNIX seconds and backup sizes bytes.

======  ============================  ==========================================================================
GET     /_sim/                        what there is
GET     /_sim/state                   the truth, normalised; ``?account=4242`` for one account
GET     /_sim/requests                counts by operation and by status, connections, the most at once
DELETE  /_sim/requests                forget them
GET     /_sim/faults                  the faults in force, and how often each struck; and every kind
POST    /_sim/faults                  ``{"kind": "status", "operation": "list_*", "status": 503, "count": 2}``
DELETE  /_sim/faults[/<number>]       end all, or one
POST    /_sim/disks                   make a disk: ``{"account_id": "4242", "mount_point": "/srv", "size_gb": 20}``
POST    /_sim/disks/<id>              ``{"error": true, "locked": false, "virtual_machine_id": null, ...}``
DELETE  /_sim/disks/<id>              take it away
POST    /_sim/disks/<id>/backups      ``{"age_seconds": 3600}`` or ``{"created_at": ..., "status": "failed"}``
DELETE  /_sim/disks/<id>/backups      take all its backups away
POST    /_sim/backups/<id>            ``{"created_at": ..., "status": ..., "size": ...}``
DELETE  /_sim/backups/<id>            take it away
DELETE  /_sim/tokens                  end every session
======  ============================  ==========================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from gigas_exporter.model import Backup, Disk, VirtualMachine
from gigas_exporter.simulator.cloud import SimulatedCloud
from gigas_exporter.simulator.faults import Faults
from gigas_exporter.simulator.http import SimError, SimRequest, SimResponse, json_response
from gigas_exporter.simulator.request_log import RequestLog

__all__ = ["CONTROL_PATH", "Control"]

CONTROL_PATH = "/_sim/"

Fields = dict[str, Any]


_OF_READING = frozenset({"missing", "status_is_error", "status_type", "unknown"})
"""What the domain's objects say of how they were read; the truth has none of it."""


def _fields(item: Disk | Backup | VirtualMachine) -> dict[str, Any]:
    return {name: value for name, value in asdict(item).items() if name not in _OF_READING}


class Control:
    """Answers requests under ``/_sim/``."""

    def __init__(self, world: SimulatedCloud, faults: Faults, journal: RequestLog) -> None:
        self._world, self._faults, self._journal = world, faults, journal
        routes: tuple[tuple[str, str, Callable[..., SimResponse]], ...] = (
            ("GET", r"", self._help),
            ("GET", r"state", self._state),
            ("GET", r"requests", self._requests),
            ("DELETE", r"requests", self._forget_requests),
            ("GET", r"faults", self._list_faults),
            ("POST", r"faults", self._add_fault),
            ("DELETE", r"faults", self._clear_faults),
            ("DELETE", r"faults/(\d{1,18})", self._remove_fault),
            ("POST", r"disks", self._add_disk),
            ("POST", r"disks/(\d{1,18})", self._change_disk),
            ("DELETE", r"disks/(\d{1,18})", self._delete_disk),
            ("POST", r"disks/(\d{1,18})/backups", self._make_backup),
            ("DELETE", r"disks/(\d{1,18})/backups", self._remove_backups),
            ("POST", r"backups/(\d{1,18})", self._change_backup),
            ("DELETE", r"backups/(\d{1,18})", self._remove_backup),
            ("DELETE", r"tokens", self._revoke_tokens),
        )
        self._routes = tuple((method, re.compile(pattern), handler) for method, pattern, handler in routes)

    def answer(self, request: SimRequest) -> SimResponse:
        """Answer a request; what the world does not know is a 404, what it cannot do a 422."""
        path = request.path.removeprefix(CONTROL_PATH)
        allowed = []
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            if method != request.method:
                allowed.append(method)
                continue
            try:
                return handler(request, *match.groups())
            except KeyError as error:
                return SimError(HTTPStatus.NOT_FOUND, f"not known: {error.args[0]}").answer
            except (ValueError, TypeError) as error:
                # Of Python's words about arguments, those that name its own functions say nothing to who sent a body.
                return SimError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error).rpartition("() ")[2]).answer
            except SimError as refusal:
                return refusal.answer
        status = HTTPStatus.METHOD_NOT_ALLOWED if allowed else HTTPStatus.NOT_FOUND
        return SimError(status, status.phrase).answer

    def _help(self, _request: SimRequest) -> SimResponse:
        return SimResponse(HTTPStatus.OK, (__doc__ or "").encode(), content_type="text/plain; charset=utf-8")

    def _state(self, request: SimRequest) -> SimResponse:
        world = self._world
        wanted = request.query.get("account")
        accounts = [
            {
                "id": account_id,
                "disks": [_fields(disk) for disk in world.disks(account_id)],
                "backups": [_fields(backup) for backup in world.backups(account_id)],
                "virtual_machines": [_fields(machine) for machine in world.machines(account_id)],
            }
            for account_id in world.account_ids
            if wanted in {None, account_id}
        ]
        facts = {"now": world.now(), "start": world.start, "speed": world.speed, "seed": world.seed}
        return json_response({**facts, "stories": dict(world.stories), "accounts": accounts})

    def _requests(self, _request: SimRequest) -> SimResponse:
        journal = self._journal
        statuses: dict[str, dict[str, int]] = {}
        for (operation, status), count in sorted(journal.statuses.items()):
            statuses.setdefault(operation, {})[str(status)] = count
        return json_response(
            {
                "total": journal.total,
                "operations": dict(journal.counts),
                "statuses": statuses,
                "connections": journal.connections,
                "peak": journal.peak,
            }
        )

    def _forget_requests(self, _request: SimRequest) -> SimResponse:
        self._journal.clear()
        return SimResponse(HTTPStatus.NO_CONTENT)

    def _list_faults(self, _request: SimRequest) -> SimResponse:
        return json_response(
            {
                "faults": self._faults.listing(),
                "kinds": {name: kind.description for name, kind in self._faults.kinds.items()},
            }
        )

    def _add_fault(self, request: SimRequest) -> SimResponse:
        fields: Fields = request.fields()
        return json_response({"id": self._faults.add(**fields)}, HTTPStatus.CREATED)

    def _clear_faults(self, _request: SimRequest) -> SimResponse:
        self._faults.clear()
        return SimResponse(HTTPStatus.NO_CONTENT)

    def _remove_fault(self, _request: SimRequest, number: str) -> SimResponse:
        self._faults.remove(int(number))
        return SimResponse(HTTPStatus.NO_CONTENT)

    def _add_disk(self, request: SimRequest) -> SimResponse:
        fields: Fields = request.fields()
        return json_response(_fields(self._world.add_disk(**fields)), HTTPStatus.CREATED)

    def _change_disk(self, request: SimRequest, disk_id: str) -> SimResponse:
        return json_response(_fields(self._world.change_disk(disk_id, **request.fields())))

    def _delete_disk(self, _request: SimRequest, disk_id: str) -> SimResponse:
        self._world.delete_disk(disk_id)
        return SimResponse(HTTPStatus.NO_CONTENT)

    def _make_backup(self, request: SimRequest, disk_id: str) -> SimResponse:
        fields: Fields = request.fields()
        if "age_seconds" in fields:
            fields["created_at"] = self._world.now() - float(fields.pop("age_seconds"))
        return json_response(_fields(self._world.make_backup(disk_id, **fields)), HTTPStatus.CREATED)

    def _remove_backups(self, _request: SimRequest, disk_id: str) -> SimResponse:
        self._world.remove_backups(disk_id)
        return SimResponse(HTTPStatus.NO_CONTENT)

    def _change_backup(self, request: SimRequest, backup_id: str) -> SimResponse:
        return json_response(_fields(self._world.change_backup(backup_id, **request.fields())))

    def _remove_backup(self, _request: SimRequest, backup_id: str) -> SimResponse:
        self._world.remove_backup(backup_id)
        return SimResponse(HTTPStatus.NO_CONTENT)

    def _revoke_tokens(self, _request: SimRequest) -> SimResponse:
        self._world.revoke_tokens()
        return SimResponse(HTTPStatus.NO_CONTENT)
