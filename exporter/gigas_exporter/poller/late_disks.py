"""Reading the own lists of late disks.

A disk is late if its newest usable backup in the account's list is older than its limit.
"""

from __future__ import annotations

from collections.abc import Mapping

from gigas_exporter.backup_summary import BackupSummary
from gigas_exporter.clock import Clock, Deadline
from gigas_exporter.inventory import BackupSnapshot
from gigas_exporter.poller.backup_owners import SweptOwners
from gigas_exporter.poller.own_lists import DiskLists, KnownDisks, OwnListReader

_MAX_DISKS = 100
"""How many own lists of late disks are read in one poll."""
_AGREEING_SECONDS = 3600.0
"""How long a disk's own list is not read again if it had nothing newer, unless the account's list has."""


class LateDisks:
    """Reads late disks' own lists; remembers which agree with the account's."""

    def __init__(self, own_lists: OwnListReader, clock: Clock) -> None:
        self._own_lists = own_lists
        self._clock = clock
        self._agreeing: dict[str, tuple[float | None, float]] = {}

    def read(
        self,
        swept: Mapping[str, BackupSummary],
        previous: BackupSnapshot,
        disks: KnownDisks,
        deadline: Deadline,
        owners: SweptOwners,
    ) -> DiskLists:
        """Return the own lists that have a newer usable backup than the account's list.

        If there is such a list, the account's list leaves out new backups. Then late disks whose own lists were not
        read are ``failed``. Otherwise the account's list counts.

        Args:
            swept: Each disk's backups in the account's list.
            previous: The previous reading, used for own lists that cannot be read now.
            disks: The account's disks.
            deadline: Ends the reading; a list that cannot be read changes nothing.
            owners: The disks that the backups in the account's list name.
        """
        wall, now = self._clock.wall(), self._clock.monotonic()
        late = {
            each: swept[each].newest_at
            for each, limit in disks.required.items()
            if each in disks.ids
            and each in swept
            and swept[each].usable
            and (swept[each].newest_at or 0.0) + limit < wall
        }
        self._agreeing = {
            each: (newest_at, asked_at)
            for each, (newest_at, asked_at) in self._agreeing.items()
            if each in late and late[each] == newest_at and now < asked_at + _AGREEING_SECONDS
        }
        asked = [each for each in late if each not in self._agreeing]
        lists = self._own_lists.read(asked, disks, deadline, limit=_MAX_DISKS, swept=owners)
        newer: dict[str, BackupSummary] = {}
        unread: set[str] = set()
        for each in asked:
            own = lists.summaries.get(each)
            if own is not None and not _is_newer(own, swept[each]):
                self._agreeing[each] = late[each], now
                continue
            if own is None and each in previous.own_lists_read:
                own = previous.summaries.get(each)
            if own is not None and _is_newer(own, swept[each]):
                newer[each] = own
            else:
                unread.add(each)
        return DiskLists(newer, failed=unread if newer else set(), first_failure=lists.first_failure)


def _is_newer(own: BackupSummary, swept: BackupSummary) -> bool:
    return (own.newest_at or 0.0) > (swept.newest_at or 0.0)
