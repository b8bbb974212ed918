"""Set fields of disks and backups, by the API's names, without an operation of the API.

Every value is checked before anything is changed, so that what is stored can always be encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gigas_exporter.simulator.records import KIBIBYTE, AccountRecord, BackupRecord, DiskRecord
from gigas_exporter.simulator.state import CloudState

__all__ = ["change_backup", "change_disk", "check_backup", "check_disk", "machine_of", "number_of"]

# What can be encoded: dates have a year of four digits, and a disk's bytes stay below 2^63.
_LATEST_MOMENT = 250_000_000_000
_LARGEST_GB = 1 << 32
_LARGEST_BACKUP_BYTES = 1 << 62

_Fits = Callable[[object], bool]


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _text(value: object) -> bool:
    return isinstance(value, str)


def _up_to(largest: int) -> _Fits:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= largest


def _or_none(fits: _Fits) -> _Fits:
    return lambda value: value is None or fits(value)


_timestamp = _up_to(_LATEST_MOMENT)
_DISK: Mapping[str, _Fits] = {
    **dict.fromkeys(("error", "locked", "is_swap", "autobackup", "add_to_linux_fstab"), _flag),
    "status": _text,
    "mount_point": _or_none(_text),
    "disk_size": _up_to(_LARGEST_GB),
    "created_at": _timestamp,
    "updated_at": _timestamp,
    "virtual_machine_id": _or_none(lambda value: isinstance(value, int | str)),
}
_BACKUP: Mapping[str, _Fits] = {
    "status": _text,
    "created_at": _timestamp,
    "size": _or_none(_up_to(_LARGEST_BACKUP_BYTES)),
    "locked": _flag,
}
_ATTRIBUTES = {name: name for name in ("error", "locked", "is_swap", "status", "mount_point")} | {
    "add_to_linux_fstab": "fstab"
}
_NUMBERS = {"disk_size": "size_gb", "created_at": "created_at", "updated_at": "updated_at"}


def check_disk(account: AccountRecord, fields: Mapping[str, Any]) -> None:
    """Raise unless these are fields of a disk of the account, with values that fit them."""
    _check("disk", _DISK, fields)
    if "virtual_machine_id" in fields:
        machine_of(account, fields["virtual_machine_id"])


def change_disk(state: CloudState, disk: DiskRecord, fields: Mapping[str, Any]) -> None:
    """Set fields of a disk; either all are set, or none is and an error says why."""
    check_disk(disk.account, fields)
    if "virtual_machine_id" in fields:
        disk.machine = machine_of(disk.account, fields["virtual_machine_id"])
    disk.touch(state.now)
    for name, value in fields.items():
        if name == "autobackup":
            state.switch_autobackup(disk, on=value)
        elif name in _NUMBERS:
            setattr(disk, _NUMBERS[name], int(value))
        elif name in _ATTRIBUTES:
            setattr(disk, _ATTRIBUTES[name], value)
    if {"locked", "status"} & set(fields):
        disk.operation = 0


def check_backup(fields: Mapping[str, Any]) -> None:
    """Raise unless these are valid fields of a backup."""
    _check("backup", _BACKUP, fields)


def change_backup(backup: BackupRecord, fields: Mapping[str, Any]) -> None:
    """Set fields of a backup; either all are set, or none is and an error says why."""
    check_backup(fields)
    backup.status = fields.get("status", backup.status)
    backup.created_at = int(fields.get("created_at", backup.created_at))
    backup.locked = fields.get("locked", backup.locked)
    if "size" in fields:
        backup.size_kb = None if fields["size"] is None else int(fields["size"]) // KIBIBYTE


def _check(kind: str, known: Mapping[str, _Fits], fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if name not in known:
            raise KeyError(f"no field of a {kind}: {name}")
        if not known[name](value):
            shown = value if isinstance(value, int | float) else f"a {type(value).__name__}"
            raise ValueError(f"{name}: {shown} does not fit")


def number_of(text: str) -> int:
    """Return an id as a number.

    Raises:
        KeyError: It is none.
    """
    try:
        return int(text)
    except ValueError:
        raise KeyError(text) from None


def machine_of(account: AccountRecord, machine_id: str | None) -> int | None:
    """Return the number of a machine of the account, ``None`` for no machine."""
    return None if machine_id is None else account.machines[number_of(machine_id)].number
