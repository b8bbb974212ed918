"""The simulated API's write operations (Gigas docs, pages Disk and Backup).

Most start a background operation, which locks the disk for the cloud's ``operation_seconds``. A backup does not lock
the disk, and a small edit is done at once. A header of the response has the operation's id; the documentation does not
say where the real API returns it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gigas_exporter.simulator.cloud import SimulatedCloud
from gigas_exporter.simulator.http import SimError, SimRequest, SimResponse, describe_error, json_response
from gigas_exporter.simulator.json_encoding import encode_backup, encode_disk, encoding_for
from gigas_exporter.simulator.records import BackupRecord, DiskRecord
from gigas_exporter.simulator.schedule import draw
from gigas_exporter.simulator.state import CloudState

_LARGEST_GB = 65_536
_LONGEST_TEXT = 255


def _token(world: SimulatedCloud, state: CloudState, disk: DiskRecord) -> tuple[tuple[str, str], ...]:
    return (("X-Operation-Token", f"{draw(world.seed, disk.number, next(state.sequence)):016x}"),)


def _require_unlocked(disk: DiskRecord) -> None:
    if disk.locked:
        # The status is undocumented, so accounts differ.
        status = HTTPStatus.UNPROCESSABLE_ENTITY if disk.account.position % 2 else HTTPStatus.CONFLICT
        raise SimError(status, "the disk is locked by another operation")


def _invalid(field: str, detail: str) -> SimError:
    return SimError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{field} {detail}")


def _disk_answer(world: SimulatedCloud, state: CloudState, disk: DiskRecord, status: int) -> SimResponse:
    style = encoding_for(world.style, disk.account.position, disk.number)
    return json_response(encode_disk(disk, style), status, _token(world, state, disk))


def _backup_answer(world: SimulatedCloud, state: CloudState, disk: DiskRecord, backup: BackupRecord) -> SimResponse:
    style = encoding_for(world.style, disk.account.position, backup.number)
    return json_response(encode_backup(disk, backup, style), HTTPStatus.ACCEPTED, _token(world, state, disk))


class _Edit(BaseModel):
    """The body of an edit."""

    model_config = ConfigDict(extra="forbid")

    disk_size: int = Field(default=0, ge=1, le=_LARGEST_GB)
    virtual_machine_id: int | None = None
    autobackup: bool = False
    mount_point: str | None = Field(default=None, max_length=_LONGEST_TEXT)
    add_to_linux_fstab: bool = False
    force_reboot: bool = False


def _edit(world: SimulatedCloud, state: CloudState, disk: DiskRecord, request: SimRequest) -> SimResponse:
    """Edit a disk; the status is 202 if that takes a while, else 200."""
    fields = request.fields()
    _require_unlocked(disk)
    try:
        edit = _Edit.model_validate(fields)
    except ValidationError as error:
        raise SimError(HTTPStatus.UNPROCESSABLE_ENTITY, describe_error(error)) from None
    # All values are checked before anything is changed.
    size = edit.disk_size if "disk_size" in fields else disk.size_gb
    machine = edit.virtual_machine_id if "virtual_machine_id" in fields else disk.machine
    if not fields:
        raise _invalid("the body", "has nothing to edit")
    if size < disk.size_gb:
        raise _invalid("disk_size", "must not be smaller than it is")
    if machine is not None and machine not in disk.account.machines:
        raise _invalid("virtual_machine_id", "is no virtual machine of this account")
    if disk.is_swap and edit.autobackup:
        raise _invalid("autobackup", "is not for swap disks")
    takes_a_while = size != disk.size_gb or machine != disk.machine or edit.force_reboot
    disk.size_gb, disk.machine = size, machine
    if "mount_point" in fields:
        disk.mount_point = edit.mount_point
    if "add_to_linux_fstab" in fields:
        disk.fstab = edit.add_to_linux_fstab
    if "autobackup" in fields:
        state.switch_autobackup(disk, on=edit.autobackup)
    disk.touch(state.now)
    if takes_a_while:
        state.lock_for(disk, world.operation_seconds, "resizing")
    return _disk_answer(world, state, disk, HTTPStatus.ACCEPTED if takes_a_while else HTTPStatus.OK)


def _build(world: SimulatedCloud, state: CloudState, disk: DiskRecord, request: SimRequest) -> SimResponse:
    """Format a disk, which also clears its error."""
    request.fields()
    _require_unlocked(disk)

    def finish() -> None:
        disk.error, disk.status = False, "built"
        disk.touch(state.now)

    state.lock_for(disk, world.operation_seconds, "building", finish)
    return _disk_answer(world, state, disk, HTTPStatus.ACCEPTED)


def _delete(world: SimulatedCloud, state: CloudState, disk: DiskRecord, _request: SimRequest) -> SimResponse:
    """Delete a disk, which is locked until it is gone."""
    _require_unlocked(disk)
    headers = _token(world, state, disk)
    state.lock_for(disk, world.operation_seconds, "deleting", lambda: state.remove_disk(disk.number))
    return SimResponse(HTTPStatus.ACCEPTED, headers=headers)


def _create_backup(world: SimulatedCloud, state: CloudState, disk: DiskRecord, request: SimRequest) -> SimResponse:
    """Make a manual backup, which is pending at first."""
    request.fields()
    _require_unlocked(disk)
    backup = state.new_backup(disk, None, "pending", None)
    backup.locked = True

    def finish() -> None:
        size = disk.size_gb << 20
        usual = size // 5 if disk.schedule is None else min(int(disk.schedule.base_kb), size)
        backup.status, backup.locked, backup.size_kb = "completed", False, max(64, usual)

    answer = _backup_answer(world, state, disk, backup)
    state.later(world.operation_seconds, finish)
    return answer


def _create_template(world: SimulatedCloud, state: CloudState, disk: DiskRecord, request: SimRequest) -> SimResponse:
    """Make a template of a disk. It is in no list."""
    fields = request.fields()
    _require_unlocked(disk)
    for name in ("label", "console_id"):
        value = fields.get(name)
        if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
            raise _invalid(name, "is mandatory")
    template = BackupRecord(next(state.backup_ids), disk.number, int(state.now), "pending", None, False, True)
    state.lock_for(disk, world.operation_seconds, disk.status)
    return _backup_answer(world, state, disk, template)


OPERATIONS: Mapping[str, Callable[[SimulatedCloud, CloudState, DiskRecord, SimRequest], SimResponse]] = {
    "edit_disk": _edit,
    "build_disk": _build,
    "delete_disk": _delete,
    "create_backup": _create_backup,
    "create_template": _create_template,
}
