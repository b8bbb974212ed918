"""Control of the simulated cloud over HTTP, under ``/_sim/``, on loopback only and without authentication.

Bodies and responses are JSON with the names of :class:`.SimulatedCloud`: dates in UNIX seconds, backup sizes in bytes.

======  ============================  ==========================================================================
GET     /_sim/                        what there is
GET     /_sim/state                   what is true, in one form; ``?account=4242`` for one account
GET     /_sim/requests                counts by operation and by status, connections, the most at once
DELETE  /_sim/requests                set them to 0
GET     /_sim/faults                  the active faults, how often each struck, and every kind
POST    /_sim/faults                  ``{"kind": "status", "operation": "list_*", "status": 503, "count": 2}``
DELETE  /_sim/faults[/<number>]       end all, or one
POST    /_sim/disks                   make a disk: ``{"account_id": "4242", "mount_point": "/srv", "size_gb": 20}``
POST    /_sim/disks/<id>              ``{"error": true, "locked": false, "virtual_machine_id": null, ...}``
DELETE  /_sim/disks/<id>              delete it
POST    /_sim/disks/<id>/backups      ``{"age_seconds": 3600}`` or ``{"created_at": ..., "status": "failed"}``
DELETE  /_sim/disks/<id>/backups      delete all its backups
POST    /_sim/backups/<id>            ``{"created_at": ..., "status": ..., "size": ...}``
DELETE  /_sim/backups/<id>            delete it
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
_PLAIN_TEXT = "text/plain; charset=utf-8"

Fields = dict[str, Any]

_OF_READING = frozenset({"missing", "status_is_error", "status_type", "unknown"})
"""Fields of the model that say how it was decoded."""


def _fields(item: Disk | Backup | VirtualMachine) -> dict[str, Any]:
    return {name: value for name, value in asdict(item).items() if name not in _OF_READING}


class Control:
    """Answers requests under ``/_sim/``."""

    def __init__(self, world: SimulatedCloud, faults: Faults, log: RequestLog) -> None:
        self._world, self._faults, self._log = world, faults, log
        number = r"(\d{1,18})"
        routes: tuple[tuple[str, str, Callable[..., object]], ...] = (
            ("GET", "", lambda _: SimResponse(HTTPStatus.OK, (__doc__ or "").encode(), content_type=_PLAIN_TEXT)),
            ("GET", "state", self._state),
            ("GET", "requests", self._requests),
            ("DELETE", "requests", lambda _: log.clear()),
            ("GET", "faults", self._list_faults),
            ("POST", "faults", lambda request: _created({"id": faults.add(**request.fields())})),
            ("DELETE", "faults", lambda _: faults.clear()),
            ("DELETE", f"faults/{number}", lambda _, fault: faults.remove(int(fault))),
            ("POST", "disks", lambda request: _created(_fields(world.add_disk(**request.fields())))),
            ("POST", f"disks/{number}", lambda request, disk: _fields(world.change_disk(disk, **request.fields()))),
            ("DELETE", f"disks/{number}", lambda _, disk: world.delete_disk(disk)),
            ("POST", f"disks/{number}/backups", self._make_backup),
            ("DELETE", f"disks/{number}/backups", lambda _, disk: world.remove_backups(disk)),
            (
                *("POST", f"backups/{number}"),
                lambda request, backup: _fields(world.change_backup(backup, **request.fields())),
            ),
            ("DELETE", f"backups/{number}", lambda _, backup: world.remove_backup(backup)),
            ("DELETE", "tokens", lambda _: world.revoke_tokens()),
        )
        self._routes = tuple((method, re.compile(pattern), handler) for method, pattern, handler in routes)

    def answer(self, request: SimRequest) -> SimResponse:
        """Answer a request; an unknown id, field or path is a 404, a value that does not fit a 422."""
        path = request.path.removeprefix(CONTROL_PATH)
        matches = [(method, pattern.fullmatch(path), handler) for method, pattern, handler in self._routes]
        found = {method: (match, handler) for method, match, handler in matches if match is not None}
        if request.method not in found:
            status = HTTPStatus.METHOD_NOT_ALLOWED if found else HTTPStatus.NOT_FOUND
            return SimError(status, status.phrase).answer
        match, handler = found[request.method]
        try:
            return _response(handler(request, *match.groups()))
        except KeyError as error:
            return SimError(HTTPStatus.NOT_FOUND, f"not known: {error.args[0]}").answer
        except (ValueError, TypeError) as error:
            # Of Python's message about arguments, the name of the function means nothing to a client.
            return SimError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error).rpartition("() ")[2]).answer
        except SimError as error:
            return error.answer

    def _state(self, request: SimRequest) -> Fields:
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
        return {**facts, "scenarios": dict(world.scenarios), "accounts": accounts}

    def _requests(self, _request: SimRequest) -> Fields:
        log = self._log
        statuses: dict[str, dict[str, int]] = {}
        for (operation, status), count in sorted(log.statuses.items()):
            statuses.setdefault(operation, {})[str(status)] = count
        return {
            "total": log.total,
            "operations": dict(log.counts),
            "statuses": statuses,
            "connections": log.connections,
            "peak": log.peak,
        }

    def _list_faults(self, _request: SimRequest) -> Fields:
        kinds = {name: kind.description for name, kind in self._faults.kinds.items()}
        return {"faults": self._faults.listing(), "kinds": kinds}

    def _make_backup(self, request: SimRequest, disk_id: str) -> SimResponse:
        fields: Fields = request.fields()
        if "age_seconds" in fields:
            fields["created_at"] = self._world.now() - float(fields.pop("age_seconds"))
        return _created(_fields(self._world.make_backup(disk_id, **fields)))


def _created(value: Fields) -> SimResponse:
    return json_response(value, HTTPStatus.CREATED)


def _response(value: object) -> SimResponse:
    """Return a value as JSON, nothing as a 204, and a response as it is."""
    if value is None:
        return SimResponse(HTTPStatus.NO_CONTENT)
    return value if isinstance(value, SimResponse) else json_response(value)
