"""Whose the backups are that the API lists under a disk's address."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gigas_exporter.errors import DecodeError
from gigas_exporter.model import Backup

__all__ = ["ambiguous_disks", "own_backups"]


def own_backups(backups: Collection[Backup], disk_id: str, listed: Collection[str]) -> Collection[Backup]:
    """Return the backups of a disk out of its own list: all, unless some are of other listed disks.

    Raises:
        DecodeError: Some are, and none names this disk: the API may list what it likes under the disk's address.
    """
    if all(each.disk_id == disk_id or each.disk_id not in listed for each in backups):
        return backups
    own = [each for each in backups if each.disk_id == disk_id]
    if not own:
        raise DecodeError("disk_id", "a disk's own list of backups has those of other disks")
    return own


def ambiguous_disks(
    unnamed: Mapping[str, Collection[tuple[str, float | None]]], machines: Mapping[str, str | None]
) -> set[str]:
    """Return the disks that share backups with disks that are not known to be of the same virtual machine.

    A backup that names no disk may be of all disks of its virtual machine, but of those of two it cannot be: the API
    may list what it likes under a disk's address.
    """
    owners: dict[tuple[str, float | None], set[str]] = {}
    for disk_id, backups in unnamed.items():
        for backup in backups:
            owners.setdefault(backup, set()).add(disk_id)
    return {
        disk_id
        for disk_ids in owners.values()
        if len(disk_ids) > 1 and len({machines.get(each) for each in disk_ids} - {None}) != 1
        for disk_id in disk_ids
    }
