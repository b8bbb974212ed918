"""Control of the simulated cloud, under ``/_sim/`` and without authentication.

Bodies and responses are JSON with the names of ``SimulatedCloud``: dates in UNIX seconds, backup sizes in bytes.

======  ============================  ==========================================================================
GET     /_sim/                        this page
GET     /_sim/state                   the state of the cloud; ``?account=4242`` for one account
GET     /_sim/requests                number of API requests by operation
DELETE  /_sim/requests                reset these numbers
GET     /_sim/faults                  active faults, how often each struck, and every kind of fault
POST    /_sim/faults                  add one: ``{"kind": "status", "operation": "list_*", "status": 503, "count": 2}``
DELETE  /_sim/faults                  remove all faults
POST    /_sim/disks                   add a disk: ``{"account_id": "4242", "mount_point": "/srv", "size_gb": 20}``
POST    /_sim/disks/<id>              change it: ``{"error": true, "locked": false, "virtual_machine_id": null, ...}``
DELETE  /_sim/disks/<id>              delete it
POST    /_sim/disks/<id>/backups      add one: ``{"age_seconds": 3600}`` or ``{"created_at": ..., "status": "failed"}``
DELETE  /_sim/disks/<id>/backups      delete all its backups
======  ============================  ==========================================================================
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError

from gigas_exporter.model import Backup, Disk, VirtualMachine
from gigas_exporter.simulator.cloud import SimulatedCloud
from gigas_exporter.simulator.faults import Faults
from gigas_exporter.simulator.http import SimError, SimRequest, SimResponse, describe_error, json_response

CONTROL_PATH = "/_sim/"

Fields = dict[str, Any]


def _fields(item: Disk | Backup | VirtualMachine) -> Fields:
    """Return an item's fields, without those that only decoding sets."""
    decoded = {"missing", "status_is_error", "status_type", "unknown"}
    return {name: value for name, value in asdict(item).items() if name not in decoded}


class Control:
    """Answers requests under ``/_sim/``."""

    def __init__(self, world: SimulatedCloud, faults: Faults, requests: Counter[str]) -> None:
        self._world, self._faults = world, faults
        disk = r"disks/(\d{1,18})"
        page = SimResponse(HTTPStatus.OK, (__doc__ or "").encode(), content_type="text/plain; charset=utf-8")
        routes: tuple[tuple[str, str, Callable[..., object]], ...] = (
            ("GET", "", lambda _: page),
            ("GET", "state", self._state),
            ("GET", "requests", lambda _: {"total": requests.total(), "operations": dict(requests)}),
            ("DELETE", "requests", lambda _: requests.clear()),
            ("GET", "faults", self._list_faults),
            ("POST", "faults", lambda request: _created({"id": faults.add(**request.fields())})),
            ("DELETE", "faults", lambda _: faults.clear()),
            ("POST", "disks", lambda request: _created(_fields(world.add_disk(**request.fields())))),
            ("POST", disk, lambda request, disk_id: _fields(world.change_disk(disk_id, **request.fields()))),
            ("DELETE", disk, lambda _, disk_id: world.delete_disk(disk_id)),
            ("POST", f"{disk}/backups", self._make_backup),
            ("DELETE", f"{disk}/backups", lambda _, disk_id: world.remove_backups(disk_id)),
        )
        self._routes = tuple((method, re.compile(pattern), handler) for method, pattern, handler in routes)

    def answer(self, request: SimRequest) -> SimResponse:
        """Answer a request: 404 for an unknown path or id, 422 for invalid values."""
        path = request.path.removeprefix(CONTROL_PATH)
        found = (
            (handler, pattern.fullmatch(path)) for method, pattern, handler in self._routes if method == request.method
        )
        handler, match = next(((handler, match) for handler, match in found if match is not None), (None, None))
        if handler is None or match is None:
            return SimError(HTTPStatus.NOT_FOUND, "no such resource").response
        try:
            return _response(handler(request, *match.groups()))
        except KeyError as error:
            return SimError(HTTPStatus.NOT_FOUND, f"not known: {error.args[0]}").response
        except ValidationError as error:
            return SimError(HTTPStatus.UNPROCESSABLE_ENTITY, describe_error(error)).response
        except (ValueError, TypeError) as error:
            # Python's message about arguments starts with the name of the function, which clients do not know.
            return SimError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error).rpartition("() ")[2]).response
        except SimError as error:
            return error.response

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
    """Return a value as JSON, ``None`` as a 204."""
    if value is None:
        return SimResponse(HTTPStatus.NO_CONTENT)
    return value if isinstance(value, SimResponse) else json_response(value)
