"""One account as the API shows it: its lists and its disks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gigas_exporter import formatting
from gigas_exporter.backup_statuses import count_statuses
from gigas_exporter.backup_summary import BackupSummary, summarize_backups
from gigas_exporter.cli.probe.facts import describe_list, reason_of
from gigas_exporter.cli.probe.fields import Problem, decoders
from gigas_exporter.cli.probe.lists import ListReading, Recorder, read_list
from gigas_exporter.clock import Clock
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.errors import DecodeError, GigasError
from gigas_exporter.gigas import LoginStates, ReadClient
from gigas_exporter.inventory import (
    AccountInventory,
    BackupSnapshot,
    DiskSnapshot,
    MachineSnapshot,
    StalenessLimits,
    locked_since,
)
from gigas_exporter.model import Backup, Disk
from gigas_exporter.policy import max_ages
from gigas_exporter.poller.backup_owners import (
    MAY_BE_THEIRS,
    Claim,
    Owners,
    SweptOwners,
    disputed_disks,
    own_backups,
    possible_owners,
)
from gigas_exporter.report import Finding, count_findings, doubt_of_empty, report_account

_GIB: Final = 2**30
_PLAUSIBLE_DISK_BYTES: Final = (_GIB / 4, 64 * 1024 * _GIB)
_PLAUSIBLE_SHARE: Final = (1e-4, 20.0)
_ENDLESS: Final = StalenessLimits(float("inf"), float("inf"))
_MAX_ASKED_DISKS: Final = 20
"""How many disks without a backup in the account's list are asked for their own; the exporter asks more of them."""


@dataclass(slots=True)
class AccountProbe:
    """What was found about one account.

    Attributes:
        number: Stands for the account, which is not named.
        facts: What is shown of it.
    """

    number: int
    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def probe_account(
    number: int,
    settings: Settings,
    account: AccountSettings,
    clock: Clock,
    progress: Callable[[str], None],
    *,
    login_states: LoginStates,
) -> AccountProbe:
    """Read each list of an account, and the own backups of some disks."""
    recorder, decode = Recorder(), decoders(settings.api, clock.wall())
    account_id = account.account.id
    with ReadClient(
        settings.api, account.credential, clock=clock, login_states=login_states, on_response=recorder
    ) as client:
        progress(f"account {number}: disks")
        disks = read_list(recorder, "disks", lambda: client.list_disks(account_id), decode)
        progress(f"account {number}: virtual machines")
        machines = read_list(recorder, "virtual_machines", lambda: client.list_virtual_machines(account_id), decode)
        progress(f"account {number}: backups")
        backups = read_list(recorder, "backups", lambda: client.list_backups(account_id), decode)
        lists = [disks, machines, backups]
        inventory = _inventory(account, settings, clock, lists)
        own_disk = _disk_to_ask(inventory, disks, backups)
        if own_disk is not None:
            progress(f"account {number}: backups of one disk")
            disk_id = own_disk.id
            lists.append(
                read_list(recorder, "disk_backups", lambda: client.list_disk_backups(account_id, disk_id), decode)
            )
        own_lists = _OwnLists(frozenset(disk.id for disk in disks.decoded_items))
        if own_disk is not None:
            # An empty list that may be incomplete confirms nothing.
            own_lists.items[own_disk.id] = items = lists[-1].items if not lists[-1].doubts else lists[-1].items or None
            if items is not None:
                own_lists.read(own_disk.id, lambda: items)
        unbacked = _without_backup(inventory, clock.wall())
        for asked in [each for each in unbacked if each not in own_lists.items][:_MAX_ASKED_DISKS]:
            progress(f"account {number}: backups of {len(own_lists.items)} disks")
            own_lists.read(asked, lambda: client.list_disk_backups(account_id, asked).items)  # noqa: B023
    own_lists.check(inventory.disks.disks.values() if inventory.disks else (), backups.decoded_items, unbacked)
    inventory = _with_own_lists(inventory, own_lists, unbacked, settings, clock.monotonic())
    found = AccountProbe(number)
    found.facts = {"account": number, "lists": []}
    for reading in lists:
        facts, problems = describe_list(reading, number, settings, clock.wall())
        found.facts["lists"].append(facts)
        found.problems += problems
    found.problems += _across(number, lists, own_disk)
    if doubt := doubt_of_empty(inventory, clock.monotonic()):
        found.problems.append(Problem(number, "disks", None, f"an empty list, {doubt}", "another credential"))
    if own_lists.error is not None:
        reason = reason_of(own_lists.error)[0]
        found.problems.append(
            Problem(number, "disk_backups", None, f"{own_lists.failed} not accepted: {reason}", unreadable=True)
        )
    judged = found.facts["disks"] = _judged(inventory, clock, sum(each not in own_lists.items for each in unbacked))
    unclear = 0 if judged is None else judged["findings"].get(Finding.NOT_UNDERSTOOD.value, 0)
    if unclear and not any(problem.list in {"disks", "virtual_machines"} for problem in found.problems):
        found.problems.append(Problem(number, "disks", None, f"{unclear} disks cannot be judged: not understood"))
    return found


def _inventory(
    account: AccountSettings,
    settings: Settings,
    clock: Clock,
    lists: Sequence[ListReading],
) -> AccountInventory:
    """Return what the exporter would know after reading the disks, virtual machines and backups."""
    disks, machines, backups = lists
    now = clock.monotonic()
    inventory = AccountInventory(account.account, _ENDLESS)
    if disks.items is not None:
        by_id = {disk.id: disk for disk in disks.items}
        since = locked_since(by_id, None, clock.wall())
        inventory = replace(inventory, disks=DiskSnapshot(by_id, dict.fromkeys(by_id, now), now, since))
    if machines.items is not None:
        by_id = {machine.id: machine for machine in machines.items}
        inventory = replace(inventory, machines=MachineSnapshot(by_id, now))
    if backups.items is not None:
        grouped: dict[str, list[Backup]] = {}
        for backup in backups.items:
            if backup.disk_id is not None:
                grouped.setdefault(backup.disk_id, []).append(backup)
        summaries = {disk_id: summarize_backups(each, settings.status_words, now) for disk_id, each in grouped.items()}
        whole = all(backup.disk_id is not None for backup in backups.items)
        by_status = count_statuses(backups.items)
        backups_reading = BackupSnapshot(summaries, frozenset(), now if whole else None, now, by_status)
        inventory = replace(inventory, backups=backups_reading)
    return inventory.with_requirements(settings.policy)


@dataclass(slots=True)
class _OwnLists:
    """The own lists of some disks by id, ``None`` where one could not be read."""

    listed: frozenset[str]
    items: dict[str, Sequence[Backup] | None] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    failed: int = 0
    error: GigasError | None = None

    def read(self, disk_id: str, read: Callable[[], Sequence[Backup]]) -> None:
        """Read the list of one disk more."""
        try:
            self.items[disk_id], self.claims[disk_id] = own_backups(read(), disk_id, self.listed)
        except GigasError as error:
            self._fail(disk_id, error)

    def check(self, disks: Collection[Disk], backups: Sequence[Backup], unbacked: Collection[str]) -> None:
        """Drop the lists that do not fit to the others, or to the account's."""
        machines = {disk.id: disk.virtual_machine_id for disk in disks}
        is_named = not self.listed.isdisjoint(backup.disk_id for backup in backups)
        swept = SweptOwners((Owners.of(backups),), is_named)
        for disk_id, detail in disputed_disks(self.claims, machines, swept).items():
            self._fail(disk_id, DecodeError("disk_id", detail))
        empty = [each for each in unbacked if (items := self.items.get(each)) is not None and not items]
        swept = replace(swept, is_named=is_named or any(self.items.values()))
        for disk_id in possible_owners(empty, machines, swept):
            self._fail(disk_id, DecodeError("disk_id", MAY_BE_THEIRS))

    def _fail(self, disk_id: str, error: GigasError) -> None:
        self.items[disk_id] = None
        self.failed += 1
        self.error = self.error or error


def _without_backup(inventory: AccountInventory, wall: float) -> list[str]:
    """Return the disks without a usable backup in time in the account's list."""
    if inventory.backups is None:
        return []
    known = inventory.backups.summaries
    newest = {each: known[each].newest_at or 0.0 for each in known if known[each].usable}
    return [each for each, limit in max_ages(inventory.requirements).items() if newest.get(each, 0.0) + limit < wall]


def _with_own_lists(
    inventory: AccountInventory, own: _OwnLists, unbacked: Collection[str], settings: Settings, now: float
) -> AccountInventory:
    """Return what the exporter would know with those disks' own lists."""
    reading = inventory.backups
    if reading is None:
        return inventory
    read = {
        each: summarize_backups(backups, settings.status_words, now)
        for each in unbacked
        if (backups := own.items.get(each)) is not None
    }
    known = reading.summaries
    own_first = {each: mine for each, mine in read.items() if each not in known or _is_better(mine, known[each])}
    summaries = {**known, **own_first}
    failed = frozenset(each for each in unbacked if each not in known or not known[each].usable) - frozenset(read)
    return replace(
        inventory,
        backups=replace(reading, summaries=summaries, failed_disks=failed, confirmed=frozenset(read)),
    )


def _is_better(own: BackupSummary, swept: BackupSummary) -> bool:
    return (own.newest_at or 0.0) > (swept.newest_at or 0.0) or (own.usable > 0 and not swept.usable)


def _disk_to_ask(inventory: AccountInventory, disks: ListReading, backups: ListReading) -> Disk | None:
    """Return a required disk without listed backups, else the first."""
    items = [item for item in disks.decoded_items if isinstance(item, Disk)]
    listed = {backup.disk_id for backup in backups.decoded_items}
    for disk in items:
        requirement = inventory.requirements.get(disk.id)
        if requirement is not None and requirement.required and disk.id not in listed:
            return disk
    return items[0] if items else None


def _across(number: int, lists: list[ListReading], own_disk: Disk | None) -> list[Problem]:
    """Return what does not fit between the lists."""
    by_name: Mapping[str, ListReading] = {reading.name: reading for reading in lists}
    disks, backups = by_name["disks"].decoded_items, by_name["backups"].decoded_items
    problems: list[Problem] = []

    def add(name: str, field: str, text: str, setting: str) -> None:
        problems.append(Problem(number, name, field, text, setting))

    ids = {disk.id for disk in disks}
    unassigned = sum(backup.disk_id not in ids for backup in backups)
    if unassigned and by_name["disks"].items is not None:
        add("backups", "disk_id", f"{unassigned} of {len(backups)} name no listed disk", "poll.backups_source: disk")
    own = by_name.get("disk_backups")
    if own is not None and own_disk is not None and by_name["backups"].items is not None:
        missing = {backup.id for backup in own.decoded_items} - {backup.id for backup in backups}
        if missing:
            text = f"{len(missing)} of {len(own.decoded_items)} backups of one disk's own list are not in the account's"
            add("disk_backups", "id", text, "poll.backups_source: disk")
    problems += _sizes(number, disks, (*backups, *(own.decoded_items if own is not None else ())))
    return problems


def _sizes(number: int, disks: tuple[Any, ...], backups: tuple[Any, ...]) -> list[Problem]:
    """Return sizes that are hardly meant in the unit in which they are read."""
    by_id = {disk.id: disk.size_bytes for disk in disks if disk.size_bytes}
    problems = []
    typical = _median(list(by_id.values()))
    if typical is not None and not _PLAUSIBLE_DISK_BYTES[0] <= typical <= _PLAUSIBLE_DISK_BYTES[1]:
        magnitude = formatting.format_size(10 ** (len(str(round(typical))) - 1)).split()[-1]
        problems.append(
            Problem(number, "disks", "disk_size", f"a typical disk would have some {magnitude}", "api.disk_size_unit")
        )
    shares = [each.size_bytes / by_id[each.disk_id] for each in backups if each.size_bytes and each.disk_id in by_id]
    share = _median(shares)
    if share is not None and not _PLAUSIBLE_SHARE[0] <= share <= _PLAUSIBLE_SHARE[1]:
        text = f"a typical backup would have {share:.0e} times the size of its disk"
        problems.append(Problem(number, "backups", "backup_size", text, "api.backup_size_unit"))
    return problems


def _median(values: list[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None


def _judged(inventory: AccountInventory, clock: Clock, not_asked: int) -> dict[str, Any] | None:
    """Return how many disks have each finding, ``None`` when the disks could not be read.

    ``not_asked`` is how many disks without a backup in the account's list were not asked for their own.
    """
    if inventory.disks is None:
        return None
    reports = report_account(inventory, wall=clock.wall(), monotonic=clock.monotonic())
    counts = count_findings(reports)
    return {
        "disks": len(reports),
        "findings": {finding.value: counts[finding] for finding in Finding if counts[finding]},
        "backups_known": inventory.backups is not None,
        "disks_not_asked": not_asked,
    }
