"""Changing a disk by hand, in the words of the API, with values that are checked: a lever, not an operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gigas_exporter.simulator.estate import Estate
from gigas_exporter.simulator.records import AccountRecord, DiskRecord

__all__ = ["change_disk", "machine_of", "number_of"]

_FLAGS = frozenset({"error", "locked", "is_swap", "autobackup", "add_to_linux_fstab"})
_TEXTS = frozenset({"status", "mount_point"})
_NUMBERS = frozenset({"disk_size", "created_at", "updated_at"})
_ATTRIBUTES = {name: name for name in (_FLAGS | _TEXTS | _NUMBERS) - {"autobackup"}} | {
    "disk_size": "size_gb",
    "add_to_linux_fstab": "fstab",
}


def change_disk(estate: Estate, disk: DiskRecord, fields: Mapping[str, Any]) -> None:
    """Set fields of a disk; either all are set, or none is and an error says why."""
    for name, value in fields.items():
        _check(name, value)
    if "virtual_machine_id" in fields:
        disk.machine = machine_of(disk.account, fields["virtual_machine_id"])
    disk.touch(estate.now)
    for name, value in fields.items():
        if name == "autobackup":
            estate.switch_autobackup(disk, on=value)
        elif name in _ATTRIBUTES:
            setattr(disk, _ATTRIBUTES[name], int(value) if name in _NUMBERS else value)
    if {"locked", "status"} & set(fields):
        disk.operation = 0


def _check(name: str, value: object) -> None:
    """Raise unless ``name`` is a field of a disk and ``value`` fits it."""
    if name in _FLAGS:
        fits = isinstance(value, bool)
    elif name in _TEXTS:
        fits = isinstance(value, str) or (value is None and name == "mount_point")
    elif name in _NUMBERS:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    elif name == "virtual_machine_id":
        fits = value is None or isinstance(value, int | str)
    else:
        raise KeyError(f"no field of a disk: {name}")
    if not fits:
        raise ValueError(f"{name}: a {type(value).__name__} does not fit")


def number_of(text: str) -> int:
    """Return an id as the platform has it; one that is no number is a :class:`KeyError`."""
    try:
        return int(text)
    except ValueError:
        raise KeyError(text) from None


def machine_of(account: AccountRecord, machine_id: str | None) -> int | None:
    """Return a machine of the account as the platform has it, ``None`` for none."""
    return None if machine_id is None else account.machines[number_of(machine_id)].number
