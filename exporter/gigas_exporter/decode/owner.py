"""Which disk and virtual machine a backup names.

The ``disk_id`` of a machine's backup counts only if it cannot be the machine's own id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from gigas_exporter.decode.fields import NOT_UNDERSTOOD, Problem, decode_reference

_NONE = "0"
# OnApp has Disk and VirtualMachine as target_type, and the id of either as target_id.
_DISK = re.compile(r"disk|volume", re.IGNORECASE)
_MACHINE = re.compile(r"machine|server|instance|\bvm", re.IGNORECASE)
_FIELDS = frozenset({"disk", "disk_ids", "target_id", "target_type", "virtual_machine"})


class Owner(NamedTuple):
    """The disk and the machine that a backup names, if any.

    Attributes:
        disk_ids: The disks that it names, if several; which of them was backed up is not understood.
    """

    disk_id: str | None
    virtual_machine_id: str | None
    disk_ids: tuple[str, ...] = ()


def decode_owner(item: Mapping[str, object], problems: list[Problem]) -> Owner:
    """Return a backup's disk and machine; prefer ``disk_id``, unless it may be a machine's."""
    disk_id = _reference(item.get("disk_id"), "disk_id", problems)
    machine_id = _reference(item.get("virtual_machine_id"), "virtual_machine_id", [])
    if _FIELDS.isdisjoint(item):
        return Owner(disk_id, machine_id)
    if machine_id is None and isinstance(item.get("virtual_machine"), dict):
        machine_id = _reference(item["virtual_machine"], "virtual_machine_id", [])
    target_id = _reference(item.get("target_id"), "disk_id", [])
    kind = item.get("target_type")
    if isinstance(kind, str) and _DISK.search(kind):
        disk_id = disk_id or target_id
    elif isinstance(kind, str) and _MACHINE.search(kind):
        is_own = (target_id or machine_id) is not None and disk_id not in {target_id, machine_id}
        return Owner(disk_id if is_own else None, machine_id or target_id or disk_id)
    if disk_id is not None:
        return Owner(disk_id, machine_id)
    disk_ids = _other_references(item, problems)
    return Owner(disk_ids[0], machine_id) if len(disk_ids) == 1 else Owner(None, machine_id, disk_ids)


def _other_references(item: Mapping[str, object], problems: list[Problem]) -> tuple[str, ...]:
    """Return the disks in ``disk`` or ``disk_ids``; several are a problem."""
    disks = item.get("disk_ids")
    if isinstance(disks, str):
        disks = disks.replace(",", " ").split()
    values = [item["disk"]] if item.get("disk") else disks if isinstance(disks, list) else [disks]
    count = len(problems)
    found = tuple(dict.fromkeys(each for value in values if (each := _reference(value, "disk_id", problems))))
    if len(problems) > count:  # the backup may be of the disk whose id is not understood
        return ()
    if len(found) > 1:
        problems.append(("disk_id", values, NOT_UNDERSTOOD))
    return found


def _reference(value: object, field: str, problems: list[Problem]) -> str | None:
    identity = decode_reference(value, field, problems)
    return None if identity == _NONE else identity
