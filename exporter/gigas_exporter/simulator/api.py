"""The simulated API: routes, permissions and read operations."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

from gigas_exporter.simulator import write_operations
from gigas_exporter.simulator.cloud import SimulatedCloud
from gigas_exporter.simulator.credentials import Principal
from gigas_exporter.simulator.http import SimError, SimRequest, SimResponse, json_response
from gigas_exporter.simulator.json_encoding import (
    Json,
    dump,
    dump_items,
    encode_account,
    encode_backup,
    encode_disk,
    encode_machine,
    encoding_for,
)
from gigas_exporter.simulator.records import AccountRecord, BackupRecord, DiskRecord
from gigas_exporter.simulator.state import CloudState

_ACCOUNT = r"/account/(?P<account>[^/]+)"
_DISK = _ACCOUNT + r"/disk/(?P<disk>[^/]+)"
_ROUTES: tuple[tuple[str, str, str], ...] = (
    ("POST", r"/token", "create_token"),
    ("GET", r"/accounts", "list_accounts"),
    ("GET", _ACCOUNT + r"/disks", "list_disks"),
    ("GET", _DISK, "get_disk"),
    ("PUT", _DISK, "edit_disk"),
    ("DELETE", _DISK, "delete_disk"),
    ("POST", _DISK + r"/build", "build_disk"),
    ("GET", _DISK + r"/backups", "list_disk_backups"),
    ("POST", _DISK + r"/backup", "create_backup"),
    ("POST", _DISK + r"/template", "create_template"),
    ("GET", _ACCOUNT + r"/backups", "list_backups"),
    ("GET", _ACCOUNT + r"/backup/(?P<backup>[^/]+)", "get_backup"),
    ("GET", _ACCOUNT + r"/virtual_machines", "list_virtual_machines"),
)
_COMPILED = tuple((method, re.compile(pattern), operation) for method, pattern, operation in _ROUTES)
_BACKUP_FILTERS = {"min_disk_size", "disk_id", "operating_system", "operating_system_distro", "locked"}


@dataclass(frozen=True, slots=True)
class MatchedRoute:
    """The operation of a request (``unknown`` if none matches) and the ids in its path."""

    operation: str
    account: str | None = None
    disk: str | None = None
    backup: str | None = None


def identify(method: str, path: str) -> MatchedRoute:
    """Return the route of a request."""
    for known_method, pattern, operation in _COMPILED:
        match = pattern.fullmatch(path) if method == known_method else None
        if match is not None:
            return MatchedRoute(operation, **match.groupdict())
    return MatchedRoute("unknown")


class Api:
    """Answers requests with the state of a simulated cloud."""

    def __init__(self, world: SimulatedCloud) -> None:
        self._world = world
        self._spells_as_text = itertools.cycle((True, False)).__next__
        self._readers: dict[str, Callable[[CloudState, AccountRecord, MatchedRoute, SimRequest], SimResponse]] = {
            "list_disks": self._list_disks,
            "get_disk": self._get_disk,
            "list_disk_backups": self._list_disk_backups,
            "list_backups": self._list_backups,
            "get_backup": self._get_backup,
            "list_virtual_machines": self._list_machines,
        }

    def answer(self, route: MatchedRoute, request: SimRequest) -> SimResponse:
        """Return the response to a request."""
        try:
            with self._world.state() as state:
                return self._answer(state, route, request)
        except SimError as error:
            return error.response

    def _answer(self, state: CloudState, route: MatchedRoute, request: SimRequest) -> SimResponse:
        if route.operation == "unknown":
            raise SimError(HTTPStatus.NOT_FOUND, "no such resource")
        if route.operation == "create_token":
            return self._create_token(request)
        principal = self._world.access.principal(request.authorization, state.now)
        if principal is None:
            raise SimError(HTTPStatus.UNAUTHORIZED, "not authorised")
        if route.operation == "list_accounts":
            return self._list_accounts(state, principal, request)
        account = _account(state, route.account or "", principal)
        reader = self._readers.get(route.operation)
        if reader is not None:
            return reader(state, account, route, request)
        if principal.readonly:
            raise SimError(HTTPStatus.FORBIDDEN, "the token is read-only")
        disk = _disk(account, route.disk)
        return write_operations.OPERATIONS[route.operation](self._world, state, disk, request)

    def _create_token(self, request: SimRequest) -> SimResponse:
        fields = request.fields()
        login, password, readonly = fields.get("login"), fields.get("password"), fields.get("readonly", False)
        if not isinstance(login, str) or not isinstance(password, str):
            raise SimError(HTTPStatus.UNPROCESSABLE_ENTITY, "login and password are mandatory")
        access = self._world.access
        user = access.login(login, password)
        if user is None:
            raise SimError(HTTPStatus.UNAUTHORIZED, "wrong login or password")
        expires_at = self._world.now() + self._world.token_life_seconds
        token, expires = access.issue(user, expires_at, readonly=readonly in {True, "1", "true"}), int(expires_at)
        # The documentation shows the date as text and as a number, and further fields.
        if self._spells_as_text():
            return json_response({"token": token, "expires": str(expires), "refresh_token": f"refresh-{token}"})
        return json_response({"token": token, "expires": expires})

    def _page(self, total: int, part: Callable[[int, int], bytes], request: SimRequest) -> SimResponse:
        """Return a page (Gigas docs, Pagination); 400 for an invalid limit or offset.

        ``part`` returns the items between two indexes, as the inside of a JSON array.
        """
        limit, offset = request.number("limit", self._world.default_limit) or 0, request.number("offset", 0) or 0
        if limit < 1:
            raise SimError(HTTPStatus.BAD_REQUEST, "limit must be at least 1")
        limit = min(limit, self._world.max_limit)
        headers = (
            ("X-Total", str(total)),
            ("X-Total-Pages", str(-(-total // limit))),
            ("X-Per-Page", str(limit)),
            ("X-Page", str(offset // limit + 1)),
        )
        return SimResponse(HTTPStatus.OK, b"[" + part(offset, offset + limit) + b"]", headers)

    def _list_accounts(self, state: CloudState, principal: Principal, request: SimRequest) -> SimResponse:
        items = [
            encode_account(account, encoding_for(self._world.style, account.position, account.number))
            for account in state.accounts.values()
            if str(account.number) in principal.account_ids
        ]
        return self._page(len(items), lambda begin, end: dump_items(items[begin:end]), request)

    def _encode_disk(self, disk: DiskRecord) -> bytes:
        if disk.encoded is None:
            disk.encoded = dump(encode_disk(disk, encoding_for(self._world.style, disk.account.position, disk.number)))
        return disk.encoded

    def _encode_backup(self, disk: DiskRecord, backup: BackupRecord) -> Json:
        return encode_backup(disk, backup, encoding_for(self._world.style, disk.account.position, backup.number))

    def _list_disks(
        self, state: CloudState, account: AccountRecord, _route: MatchedRoute, request: SimRequest
    ) -> SimResponse:
        disks = _filtered_disks(state.ordered(account), request)
        return self._page(len(disks), lambda begin, end: b",".join(map(self._encode_disk, disks[begin:end])), request)

    def _get_disk(
        self, _state: CloudState, account: AccountRecord, route: MatchedRoute, _request: SimRequest
    ) -> SimResponse:
        return SimResponse(HTTPStatus.OK, self._encode_disk(_disk(account, route.disk)))

    def _list_disk_backups(
        self, state: CloudState, account: AccountRecord, route: MatchedRoute, request: SimRequest
    ) -> SimResponse:
        disk = _disk(account, route.disk)
        disks = [disk] if disk.size_gb >= (request.number("min_disk_size") or 0) else []
        return self._backup_page(state, disks, state.cumulative_counts(disks), request)

    def _backup_page(
        self, state: CloudState, disks: list[DiskRecord], ends: list[int], request: SimRequest
    ) -> SimResponse:
        def part(begin: int, end: int) -> bytes:
            return dump_items(self._encode_backup(*found) for found in state.slice_of(disks, ends, begin, end))

        return self._page(ends[-1] if ends else 0, part, request)

    def _list_backups(
        self, state: CloudState, account: AccountRecord, _route: MatchedRoute, request: SimRequest
    ) -> SimResponse:
        if not _BACKUP_FILTERS & set(request.query):
            return self._backup_page(state, state.ordered(account), state.backup_ends(account), request)
        locked = request.flag("locked")
        found = [
            self._encode_backup(disk, backup)
            for disk in _filtered_backup_disks(state.ordered(account), request)
            for backup in state.backups_of(disk)
            if locked in {None, backup.locked}
        ]
        return self._page(len(found), lambda begin, end: dump_items(found[begin:end]), request)

    def _get_backup(
        self, state: CloudState, account: AccountRecord, route: MatchedRoute, _request: SimRequest
    ) -> SimResponse:
        found = state.find_backup(account, _id(route.backup))
        if found is None:
            raise SimError(HTTPStatus.NOT_FOUND, "no such backup")
        return json_response(self._encode_backup(*found))

    def _list_machines(
        self, _state: CloudState, account: AccountRecord, _route: MatchedRoute, request: SimRequest
    ) -> SimResponse:
        def part(begin: int, end: int) -> bytes:
            machines = itertools.islice(account.machines.values(), begin, end)
            return dump_items(
                encode_machine(vm, encoding_for(self._world.style, account.position, vm.number)) for vm in machines
            )

        return self._page(len(account.machines), part, request)


def _id(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else -1  # noqa: PLR2004 - digits of 2^63


def _account(state: CloudState, account_id: str, principal: Principal) -> AccountRecord:
    account = state.accounts.get(_id(account_id))
    if account is None:
        raise SimError(HTTPStatus.NOT_FOUND, "no such account")
    if str(account.number) not in principal.account_ids:
        raise SimError(HTTPStatus.FORBIDDEN, "the account belongs to another user")
    return account


def _disk(account: AccountRecord, disk_id: str | None) -> DiskRecord:
    disk = account.disks.get(_id(disk_id))
    if disk is None:
        raise SimError(HTTPStatus.NOT_FOUND, "no such disk")
    return disk


def _filtered_disks(disks: list[DiskRecord], request: SimRequest) -> list[DiskRecord]:
    store, group = request.number("data_store_id"), request.number("data_store_group_id")
    machine, mount_point = request.number("virtual_machine_id"), request.query.get("mount_point")
    is_swap, primary = request.flag("is_swap"), request.flag("primary")
    if (store, group, machine, mount_point, is_swap, primary) == (None,) * 6:
        return disks
    return [
        disk
        for disk in disks
        if store in {None, disk.store}
        and group in {None, disk.store_group}
        and (machine is None or machine == disk.machine)
        and is_swap in {None, disk.is_swap}
        and primary in {None, disk.primary}
        and (mount_point is None or mount_point in (disk.mount_point or ""))
    ]


def _filtered_backup_disks(disks: Iterable[DiskRecord], request: SimRequest) -> list[DiskRecord]:
    """Return the disks that match the filters of backups; the undocumented unit of ``min_disk_size`` is GB here."""
    smallest, disk_id = request.number("min_disk_size", 0) or 0, request.number("disk_id")
    system, distro = request.query.get("operating_system"), request.query.get("operating_system_distro")
    return [
        disk
        for disk in disks
        if disk.size_gb >= smallest
        and disk_id in {None, disk.number}
        and system in {None, disk.system.name}
        and distro in {None, disk.system.distro}
    ]
