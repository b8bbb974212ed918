"""Which disk owns the backups that a disk's list has."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from gigas_exporter.errors import DecodeError
from gigas_exporter.model import Backup

MAY_BE_THEIRS = "the account's backups that name no disk may be theirs"
"""Why the empty own lists of :func:`possible_owners` are not believed."""
_SHARED = "the same backups are listed for disks of different virtual machines"
_OF_OTHERS = "a disk's own list of backups has those of other disks"
_UNLISTED = "a disk's own list of backups names a disk that is not listed"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a disk's own list of backups leaves to be believed.

    Attributes:
        ids: The backups that do not name the disk.
        name: What all of those call their disk instead, if they name one.
        named: Those that name the disk, as hashes.
    """

    ids: frozenset[str]
    name: str | None
    named: array[int]


@dataclass(frozen=True, slots=True)
class Owners:
    """Which disk each backup of an account's list names, as hashes.

    Attributes:
        machines: What the backups that name no disk name as their virtual machine, ``None`` among it.
        candidates: The disks that some backup names together with others.
        is_unclear: Whether it is not understood which disk some backup names; it may be any.
    """

    ids: array[int]
    disks: array[int]
    machines: frozenset[str | None]
    candidates: frozenset[str]
    is_unclear: bool

    @classmethod
    def of(cls, backups: Sequence[Backup]) -> Owners:
        """Return what some backups name."""
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
    """Which disks the backups in an account's list name.

    Attributes:
        pages: By page of the list.
        is_named: Whether a backup is known to be of a listed disk.
    """

    pages: Sequence[Owners] = ()
    is_named: bool = False


def own_backups(
    backups: Sequence[Backup], disk_id: str, machines: Mapping[str, str | None]
) -> tuple[Sequence[Backup], Claim]:
    """Return a disk's backups in its own list, and a claim to be checked.

    Those are all where none names another disk, else those that name the disk. Where all name one disk that is not
    listed, that may be what the API calls this one.

    Args:
        backups: All that the list has.
        disk_id: The disk.
        machines: By listed disk, the virtual machine that it is attached to.

    Raises:
        DecodeError: None is the disk's: the API may list what it likes under the disk's address.
    """
    mine = _of_its_machine(
        [each for each in backups if not each.disk_ids or disk_id in each.disk_ids], disk_id, machines
    )
    if backups and not mine:
        raise DecodeError("disk_id", _OF_OTHERS)
    backups = mine
    names = {each.disk_id for each in backups}
    name = None
    if not names <= {disk_id, None}:
        if disk_id in names:
            backups = [each for each in backups if each.disk_id == disk_id]
        elif len(names) > 1 or not names.isdisjoint(machines):
            raise DecodeError("disk_id", _OF_OTHERS)
        else:
            (name,) = names
    unnamed = frozenset(each.id for each in backups if each.disk_id != disk_id)
    return backups, Claim(unnamed, name, array("q", (hash(each.id) for each in backups if each.disk_id == disk_id)))


def _of_its_machine(backups: Sequence[Backup], disk_id: str, machines: Mapping[str, str | None]) -> Sequence[Backup]:
    """Return the backups that name a disk, or its virtual machine.

    Of those that name other machines, too, only its own are. Another machine that no listed disk is attached to may be
    the one that it was attached to before.
    """
    machine = machines.get(disk_id)
    named = {each.virtual_machine_id for each in backups if each.disk_id != disk_id} - {None}
    is_mixed = not named.isdisjoint(set(machines.values()) - {machine})
    if machine in named:
        believed = {machine, None} if is_mixed else {None, *named}
    elif machine is None:
        believed = set() if is_mixed and len(named) > 1 else {None, *named}
    else:
        believed = set() if is_mixed or len(named) > 1 else {None, *named}
    return [each for each in backups if each.disk_id == disk_id or each.virtual_machine_id in believed]


def disputed_disks(
    claims: Mapping[str, Claim], machines: Mapping[str, str | None], swept: SweptOwners
) -> dict[str, str]:
    """Return the disks whose own lists are not believed, and why.

    A backup that names no disk may be of all disks of its virtual machine, but of those of two it cannot be, nor of a
    disk where the account's list, or another own list, names another for it. An unlisted name is believed only where no
    backup names a listed disk, and where the lists of several disks have one each.

    Args:
        claims: By disk, what its own list leaves to be believed.
        machines: By disk, the virtual machine that it is attached to.
        swept: What the backups in the account's list name.
    """
    disputed: dict[str, str] = {}
    names = Counter(claim.name for claim in claims.values() if claim.name is not None)
    are_names_believed = len(names) > 1 and not swept.is_named and not any(claim.named for claim in claims.values())
    claimants: dict[str, list[str]] = {}
    for disk_id, claim in claims.items():
        if claim.name is not None and not (are_names_believed and names[claim.name] == 1):
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
        believed = {disk_id: {hash(disk_id), hash(claims[disk_id].name)} for disk_id in by_hash[backup]}
        disputed.update({disk_id: _OF_OTHERS for disk_id, names_of_it in believed.items() if owner not in names_of_it})
    return disputed


def _named_by_account(pages: Iterable[Owners], ids: Collection[int]) -> Iterator[tuple[int, int]]:
    """Return some backups, each with the disk that the account's list names."""
    if ids:
        for owners in pages:
            yield from (pair for pair in zip(owners.ids, owners.disks, strict=True) if pair[0] in ids)


def possible_owners(unbacked: Iterable[str], machines: Mapping[str, str | None], swept: SweptOwners) -> set[str]:
    """Return the disks that may own backups which name no one disk.

    Those are the several disks that one names, else all disks of its machine; where nothing is named, or what is named
    is not understood, any disk.

    Args:
        unbacked: The disks.
        machines: By disk, the virtual machine that it is attached to.
        swept: What the backups in the account's list name.
    """
    named = {machine for owners in swept.pages for machine in owners.machines}
    if (None in named and not swept.is_named) or any(owners.is_unclear for owners in swept.pages):
        return set(unbacked)
    named.discard(None)
    candidates = {disk_id for owners in swept.pages for disk_id in owners.candidates}
    return {each for each in unbacked if each in candidates or machines.get(each) in named}
