"""Which disk and which virtual machine a backup names, in whichever fields.

A backup of a whole machine names no disk, whatever number stands where that of a disk would.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from gigas_exporter.decode.fields import NOT_UNDERSTOOD, Problem, decode_reference

__all__ = ["Owner", "decode_owner"]

_NONE = "0"
# OnApp has Disk and VirtualMachine as target_type, and the id of either as target_id.
_DISK = re.compile(r"disk|volume", re.IGNORECASE)
_MACHINE = re.compile(r"machine|server|instance|\bvm", re.IGNORECASE)
_FIELDS = frozenset({"disk", "disk_ids", "target_id", "target_type", "virtual_machine"})


class Owner(NamedTuple):
    """What a backup names, ``None`` where it names none."""

    disk_id: str | None
    virtual_machine_id: str | None


def decode_owner(item: Mapping[str, object], problems: list[Problem]) -> Owner:
    """Return the disk and the virtual machine that a backup names."""
    disk_id = _reference(item.get("disk_id"), "disk_id", problems)
    machine_id = _reference(item.get("virtual_machine_id"), "virtual_machine_id", [])
    if _FIELDS.isdisjoint(item):
        return Owner(disk_id, machine_id)
    if machine_id is None and isinstance(item.get("virtual_machine"), dict):
        machine_id = _reference(item["virtual_machine"], "virtual_machine_id", [])
    target_id = _reference(item.get("target_id"), "disk_id", [])
    kind = item.get("target_type")
    if isinstance(kind, str) and _DISK.search(kind):
        return Owner(disk_id or target_id, machine_id)
    if isinstance(kind, str) and _MACHINE.search(kind):
        is_own = target_id is not None and disk_id != target_id
        return Owner(disk_id if is_own else None, machine_id or target_id or disk_id)
    if kind is not None and disk_id is not None and disk_id == target_id:
        problems.append(("disk_id", kind, NOT_UNDERSTOOD))  # it is not known what has this id
        return Owner(None, machine_id)
    return Owner(disk_id or _other_reference(item, problems), machine_id)


def _other_reference(item: Mapping[str, object], problems: list[Problem]) -> str | None:
    """Return the disk that stands under another name; several cannot be taken for one."""
    disks = item.get("disk_ids")
    if isinstance(disks, list) and len(disks) > 1:
        problems.append(("disk_id", disks, NOT_UNDERSTOOD))
        return None
    value = item.get("disk", disks[0] if isinstance(disks, list) and disks else None)
    return _reference(value, "disk_id", problems)


def _reference(value: object, field: str, problems: list[Problem]) -> str | None:
    identity = decode_reference(value, field, problems)
    return None if identity == _NONE else identity
