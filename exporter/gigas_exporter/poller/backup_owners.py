"""Decide which disk owns a backup, where lists name it wrongly or not at all."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from gigas_exporter.errors import DecodeError
from gigas_exporter.model import Backup

MAY_BE_THEIRS = "the account's backups that name no disk may be theirs"
"""Why an empty own list does not prove that a disk of :func:`possible_owners` has no backup."""
_SHARED = "the same backups are listed for disks of different virtual machines"
_OF_OTHERS = "a disk's own list contains backups of other disks"
_UNLISTED = "a disk's own list of backups names a disk that is not listed"


@dataclass(frozen=True, slots=True)
class Claim:
    """The backups in a disk's own list, to be checked against other lists.

    Attributes:
        ids: The backups that do not name the disk.
        alias: The unlisted disk that all of ``ids`` name instead; ``None`` if they name none.
        named: Hashes of the backups that name the disk.
    """

    ids: frozenset[str]
    alias: str | None
    named: array[int]


@dataclass(frozen=True, slots=True)
class Owners:
    """The disks that the backups on a page of the account's list name.

    Attributes:
        ids: Hashes of the backups that name one disk.
        disks: Hashes of those disks, in the same order.
        machines: The virtual machines of backups that name no disk; ``None`` stands for backups that name neither.
        candidates: The disks of backups that name several.
        is_unclear: Whether the disk of some backup is not understood; it may be any.
    """

    ids: array[int]
    disks: array[int]
    machines: frozenset[str | None]
    candidates: frozenset[str]
    is_unclear: bool

    @classmethod
    def of(cls, backups: Sequence[Backup]) -> Owners:
        """Return the disks that these backups name."""
        named = [each for each in backups if each.disk_id is not None]
        unnamed = [each for each in backups if each.disk_id is None and not each.disk_ids]
        ids, disks = (array("q", map(hash, each)) for each in ([x.id for x in named], [x.disk_id for x in named]))
        return cls(
            ids,
            disks,
            frozenset(each.virtual_machine_id for each in unnamed),
            frozenset(disk_id for each in backups for disk_id in each.disk_ids),
            any("disk_id" in each.unknown and each.virtual_machine_id is None for each in unnamed),
        )


@dataclass(frozen=True, slots=True)
class SweptOwners:
    """The disks that the backups in the account's list name.

    Attributes:
        pages: One item per page of the list.
        is_named: Whether some backup, in this or an own list, is known to belong to a listed disk.
    """

    pages: Sequence[Owners] = ()
    is_named: bool = False


def own_backups(
    backups: Sequence[Backup], disk_id: str, machines: Mapping[str, str | None]
) -> tuple[Sequence[Backup], Claim]:
    """Return a disk's backups from its own list, and a claim to be checked.

    If some backups name another disk, only those that name this one are its own. If all name one unlisted disk, that
    may be an alias of this one.

    Args:
        backups: The backups in the list.
        disk_id: The disk.
        machines: By listed disk, the virtual machine that it is attached to.

    Raises:
        DecodeError: The list has backups, but none of this disk: the API may ignore the disk's id in the path.
    """
    candidates = [each for each in backups if not each.disk_ids or disk_id in each.disk_ids]
    own = _of_its_machine(candidates, disk_id, machines)
    if backups and not own:
        raise DecodeError("disk_id", _OF_OTHERS)
    backups = own
    named = {each.disk_id for each in backups}
    alias = None
    if not named <= {disk_id, None}:
        if disk_id in named:
            backups = [each for each in backups if each.disk_id == disk_id]
        elif len(named) > 1 or not named.isdisjoint(machines):
            raise DecodeError("disk_id", _OF_OTHERS)
        else:
            (alias,) = named
    unnamed = frozenset(each.id for each in backups if each.disk_id != disk_id)
    return backups, Claim(unnamed, alias, array("q", (hash(each.id) for each in backups if each.disk_id == disk_id)))


def _of_its_machine(backups: Sequence[Backup], disk_id: str, machines: Mapping[str, str | None]) -> Sequence[Backup]:
    """Return the backups that name a disk, or may be of its virtual machine.

    Backups of a machine that another listed disk is attached to are not the disk's. A machine without a listed disk may
    be the one that the disk was attached to before.
    """
    machine = machines.get(disk_id)
    named = {each.virtual_machine_id for each in backups if each.disk_id != disk_id} - {None}
    is_mixed = not named.isdisjoint(set(machines.values()) - {machine})
    if machine in named:
        trusted = {machine, None} if is_mixed else {None, *named}
    elif machine is None:
        trusted = set() if is_mixed and len(named) > 1 else {None, *named}
    else:
        trusted = set() if is_mixed or len(named) > 1 else {None, *named}
    return [each for each in backups if each.disk_id == disk_id or each.virtual_machine_id in trusted]


def disputed_disks(
    claims: Mapping[str, Claim], machines: Mapping[str, str | None], swept: SweptOwners
) -> dict[str, str]:
    """Return the disks whose own lists are not trusted, and why.

    A backup that names no disk may belong to all disks of one virtual machine. It cannot belong to disks of two
    machines, nor to a disk if another list names a different disk for it. An alias is trusted only if no backup names a
    listed disk, other disks have aliases, too, and none has the same.

    Args:
        claims: By disk, the claim of its own list.
        machines: By disk, the virtual machine that it is attached to.
        swept: The disks that the account's list names.
    """
    disputed: dict[str, str] = {}
    aliases = Counter(claim.alias for claim in claims.values() if claim.alias is not None)
    is_any_named = swept.is_named or any(claim.named for claim in claims.values())
    claimants: dict[str, list[str]] = {}
    for disk_id, claim in claims.items():
        if claim.alias is not None and (is_any_named or len(aliases) == 1 or aliases[claim.alias] > 1):
            disputed[disk_id] = _UNLISTED
        for each in claim.ids:
            claimants.setdefault(each, []).append(disk_id)
    for disk_ids in claimants.values():
        if len(disk_ids) > 1 and len({machines.get(each) for each in disk_ids} - {None}) != 1:
            disputed.update(dict.fromkeys(disk_ids, _SHARED))
    by_hash = {hash(each): disk_ids for each, disk_ids in claimants.items()}
    named_by_own = (
        (each, hash(disk_id)) for disk_id, claim in claims.items() for each in claim.named if each in by_hash
    )
    for backup, owner in chain(_named_by_account(swept.pages, by_hash.keys()), named_by_own):
        accepted = {disk_id: {hash(disk_id), hash(claims[disk_id].alias)} for disk_id in by_hash[backup]}
        disputed.update({disk_id: _OF_OTHERS for disk_id, owners in accepted.items() if owner not in owners})
    return disputed


def _named_by_account(pages: Iterable[Owners], ids: Collection[int]) -> Iterator[tuple[int, int]]:
    """Yield the backups with these hashes, each with the disk that the account's list names for it."""
    if ids:
        for owners in pages:
            yield from (pair for pair in zip(owners.ids, owners.disks, strict=True) if pair[0] in ids)


def possible_owners(unbacked: Iterable[str], machines: Mapping[str, str | None], swept: SweptOwners) -> set[str]:
    """Return the disks that may own a backup that does not name exactly one disk.

    Those are the disks that it names, else all disks of its virtual machine. It may be of any disk if it names neither
    and no backup is known to belong to a listed disk, or if its disk is not understood.

    Args:
        unbacked: The disks without a usable backup.
        machines: By disk, the virtual machine that it is attached to.
        swept: The disks that the account's list names.
    """
    named = {machine for owners in swept.pages for machine in owners.machines}
    if (None in named and not swept.is_named) or any(owners.is_unclear for owners in swept.pages):
        return set(unbacked)
    named.discard(None)
    candidates = {disk_id for owners in swept.pages for disk_id in owners.candidates}
    return {each for each in unbacked if each in candidates or machines.get(each) in named}
