"""Set fields of disks and backups without an operation of the API.

Every value is checked before anything is changed, so that what is stored can always be encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gigas_exporter.simulator.records import AccountRecord, DiskRecord
from gigas_exporter.simulator.state import CloudState

# What can be encoded: dates have a year of four digits, and a disk's bytes stay below 2^63.
_Timestamp = Annotated[float, Field(ge=0, le=250_000_000_000), AfterValidator(int)]


class _Fields(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _Disk(_Fields):
    """Fields of a disk; their names are those of its record, the aliases those of the API."""

    error: bool = False
    locked: bool = False
    is_swap: bool = False
    autobackup: bool = False
    fstab: bool = Field(default=False, alias="add_to_linux_fstab")
    status: str = ""
    mount_point: str | None = None
    size_gb: Annotated[float, Field(ge=0, le=1 << 32), AfterValidator(int)] = Field(default=0, alias="disk_size")
    created_at: _Timestamp = 0
    updated_at: _Timestamp = 0
    machine: int | str | None = Field(default=None, alias="virtual_machine_id")


class _Backup(_Fields):
    status: str
    created_at: _Timestamp = 0
    size: Annotated[float, Field(ge=0, le=1 << 62)] | None


def check_disk(account: AccountRecord, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of a disk of the account by the names of its record.

    Raises:
        KeyError: The account has no such virtual machine.
        ValueError: There is no such field, or a value does not fit.
    """
    changed = _Disk.model_validate(fields).model_dump(exclude_unset=True)
    if changed.get("machine") is not None:
        changed["machine"] = account.machines[number_of(changed["machine"])].number
    return changed


def change_disk(state: CloudState, disk: DiskRecord, fields: Mapping[str, Any]) -> None:
    """Set all these fields of a disk, or none."""
    changed = check_disk(disk.account, fields)
    state.switch_autobackup(disk, on=changed.pop("autobackup", disk.autobackup))
    disk.touch(state.now)
    for name, value in changed.items():
        setattr(disk, name, value)
    if {"locked", "status"} & set(changed):
        disk.operation = 0


def check_backup(fields: Mapping[str, Any]) -> None:
    """Raise unless these are valid fields of a backup."""
    _Backup.model_validate(fields)


def number_of(text: str | int) -> int:
    """Return an id as a number.

    Raises:
        KeyError: It is not a number.
    """
    try:
        return int(text)
    except ValueError:
        raise KeyError(text) from None
