"""How many requests an hour a configuration makes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gigas_exporter.config import Settings
from gigas_exporter.config.schema import BackupsSource
from gigas_exporter.gigas.list_reader import LIST_END_TTL_SECONDS

_HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class RequestEstimate:
    """API requests an hour while nothing fails, for each kind of list."""

    disks: float
    virtual_machines: float
    accounts: float
    backups_by_account: float
    backups_by_disk: float

    def total(self, source: BackupsSource) -> float:
        """Return all requests an hour; ``auto`` is taken at its worst."""
        either = (self.backups_by_account, self.backups_by_disk)
        backups = {"account": either[0], "disk": either[1], "auto": max(either)}[source]
        return self.disks + self.virtual_machines + self.accounts + backups


def requests_per_hour(
    settings: Settings, disks: int, machines_per_account: int | None = None, backups_per_disk: int = 7
) -> RequestEstimate:
    """Return how many requests read ``disks`` disks, spread evenly over this process' accounts.

    A list of n items takes ``pages(n) = ⌈n / page_size⌉`` requests, at least one. With ``accounts`` as the accounts of
    this process and n for what one account has of a thing::

        disks               accounts × pages(disks)                      × 3600 / poll.interval
        virtual machines    accounts × pages(machines)                   × 3600 / poll.interval
        discovery           pages(accounts), if accounts are discovered  × 3600 / poll.backups_interval
        backups by account  accounts × pages(disks × backups per disk)   × 3600 / poll.backups_interval
        backups by disk     accounts × disks × pages(backups per disk)   × 3600 / poll.backups_interval

    Where n is a multiple of the page size, one more looks behind the last page: at most four times an hour, but each
    time for the backups of a disk.

    Logins and repeated requests come on top. When accounts are discovered, how many they are is not known and 1 is
    taken.

    Args:
        settings: What sets the pace.
        disks: Disks of all accounts of this process together.
        machines_per_account: Virtual machines of one account; ``None`` takes one for each disk, which is the most.
        backups_per_disk: Backups that are kept of each disk.
    """
    size = settings.api.page_size
    named = sum(settings.owns(known.account.id) for known in settings.accounts)
    accounts = 1 if settings.discovery is not None else named
    if accounts == 0:
        return RequestEstimate(0.0, 0.0, 0.0, 0.0, 0.0)
    each = -(-disks // accounts)
    machines = each if machines_per_account is None else machines_per_account
    poll, sweep = settings.poll.interval, settings.poll.backups_interval
    return RequestEstimate(
        disks=accounts * _requests(each, size, poll),
        virtual_machines=accounts * _requests(machines, size, poll),
        accounts=_requests(accounts, size, sweep) if settings.discovery is not None else 0.0,
        backups_by_account=accounts * _requests(each * backups_per_disk, size, sweep),
        backups_by_disk=disks * (backups_per_disk // size + 1) * _HOUR / sweep,
    )


def _requests(items: int, page_size: int, interval: float) -> float:
    pages = max(1, math.ceil(items / page_size))
    looks = _HOUR / (math.ceil(LIST_END_TTL_SECONDS / interval) * interval)
    return pages * _HOUR / interval + (looks if items and items % page_size == 0 else 0.0)
