"""Sentences for people: what is wrong, why, and what to do."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from gigas_exporter import formatting
from gigas_exporter.inventory import AccountInventory, Resource
from gigas_exporter.policy import Thresholds
from gigas_exporter.report.disks import DiskReport
from gigas_exporter.report.findings import Finding
from gigas_exporter.report.judgement import BACKUP_STATUS, DISK_FIELDS, DISK_STATUS

_PROBE: Final = "gigas-exporter probe shows what the API sends"
_ADVICE: Final[Mapping[str, str]] = {
    "virtual_machine_label": "a rule of backup_policy asks for it, and the virtual machine could not be read",
    BACKUP_STATUS: f"{_PROBE}; set backup_status if its words are unknown, or api.fields if the field has another name,"
    " or to null if the API lacks it or it means nothing",
    DISK_STATUS: f"{_PROBE}; set disk_status.error to the words that mean an error, or api.fields: {{status: null}} if"
    " none does",
}

_PAGING_HEADERS: Final[Mapping[str, str]] = {
    "total": "X-Total (or another total)",
    "total_pages": "X-Total-Pages or X-Per-Page",
    "content_range": "Content-Range",
    "link": "Link (or another of a next page)",
}
"""Headers that may announce more items than were read, by the field name under which they are counted."""

_MAX_STATUSES_SHOWN: Final = 5

_COMMANDS: Final[Mapping[Finding, str]] = {
    Finding.NEVER_BACKED_UP: "disks backup --account {account} {disk} --wait",
    Finding.BACKUP_MISSED: "disks backup --account {account} {disk} --wait",
    Finding.BACKUP_STALE: "disks backup --account {account} {disk} --wait",
    Finding.BACKUPS_UNREADABLE: "disks backups --account {account} {disk}",
    Finding.BACKUP_FAILED: "disks backups --account {account} {disk}",
    Finding.BACKUP_SHRANK: "disks backups --account {account} {disk}",
    Finding.NOT_UNDERSTOOD: "probe --account {account}",
    Finding.UNPROTECTED: "disks edit --account {account} {disk} --autobackup",
}
_SHOW: Final = "disks show --account {account} {disk}"
_LATE: Final = "Its newest usable backup is {age}. The limit is {limit}. After {missed} it counts as missed."
_NOT_READ_YET: Final = (
    "their own lists were not read yet (if this goes on, a poll has too little time for them: raise"
    " api.max_requests_per_second, api.max_concurrency or poll.backups_interval)"
)
"""What no error explains: nothing failed, and the disk had no turn."""
_MAYBE_LATE: Final = (
    "It is not known whether any of its backups is usable, and even the newest is too old. The limit is {limit}. After"
    " {missed} it counts as missed."
)
_WHY: Final[Mapping[Finding, str]] = {
    Finding.NEVER_BACKED_UP: "It must have a backup younger than {limit}, and has no usable one.",
    Finding.BACKUP_MISSED: _LATE,
    Finding.DISK_ERROR: "The API reports an error: {error_flag}.",
    Finding.NOT_UNDERSTOOD: "What the API sends for {fields} is not understood, and is needed to judge the disk.",
    Finding.BACKUPS_UNREADABLE: "Its backups cannot be judged: {unreadable}.",
    Finding.BACKUP_STALE: _LATE,
    Finding.LOCKED_LONG: "It has been locked for {locked} or more: an operation on it is still running, or hangs.",
    Finding.BACKUP_FAILED: "The newest attempt to back it up failed{failed_at}.",
    Finding.UNPROTECTED: "No rule of the backup policy requires a backup of it, and no rule says why it needs none.",
    Finding.BACKUP_SHRANK: "Its newest backup has {newest}, less than half of the usual {typical}.",
    Finding.DETACHED: "It is attached to no virtual machine.",
    Finding.AWAITING: "It is younger than its limit, {limit}, and has no usable backup yet.",
    Finding.EXEMPT: "The backup policy says why it needs no backup: {reason}.",
}


def account_errors(inventory: AccountInventory, monotonic: float) -> list[str]:
    """Return what is not known about an account as a whole, one sentence each."""
    name = f"account {inventory.account.id}"
    by_error: dict[str, list[str]] = {}
    for resource in ("disks", "backups"):
        outcome = inventory.outcomes.get(resource)
        if outcome is not None and not outcome.success:
            by_error.setdefault(outcome.error or "", []).append(resource)
    errors = [f"{name}: {' and '.join(resources)} could not be read: {error}" for error, resources in by_error.items()]
    doubt, machines = doubt_of_empty(inventory, monotonic), inventory.outcomes.get("virtual_machines")
    if doubt:
        errors.append(
            f"{name}: the list of disks is empty, {doubt}: its credential may not see the disks"
            " (gigas-exporter probe shows what the API answers)"
        )
    if machines is not None and not machines.success and (doubt or _asks_for_labels(inventory)):
        errors.append(f"{name}: virtual machines could not be read: {machines.error}")
    errors.extend(
        f"{name}: the list of {resource.replace('_', ' ')} may be incomplete according to the header"
        f" {' and '.join(headers)} (gigas-exporter probe shows it; api.page_size may help)"
        for resource, outcome in inventory.outcomes.items()
        if (headers := paging_doubts(outcome.invalid))
    )
    is_known = inventory.current_disks(monotonic) is not None
    if is_known and inventory.backups is not None and inventory.current_backups(monotonic) is None:
        errors.append(f"{name}: backups were read too long ago to judge by")
    return errors


def paging_doubts(invalid: Mapping[str, int]) -> tuple[str, ...]:
    """Return the headers that announce more items than were read."""
    return tuple(header for name, header in _PAGING_HEADERS.items() if name in invalid)


def doubt_of_empty(inventory: AccountInventory, monotonic: float) -> str:
    """Return why an empty list of disks is not trusted, or an empty string.

    It is trusted only if the account is known to have neither virtual machines nor backups.
    """
    if inventory.current_disks(monotonic) != {}:
        return ""
    backups, machines = inventory.current_backups(monotonic), inventory.current_machines(monotonic)
    counts = {
        "backup": sum(backups.by_status.values()) if backups is not None else 0,
        "virtual machine": len(machines or {}),
    }
    left = [formatting.format_count(count, what) for what, count in counts.items() if count]
    if left:
        return f"although the account has {' and '.join(left)}"
    lists: Mapping[Resource, object] = {"backups": backups, "virtual_machines": machines}
    unread = [name.replace("_", " ") for name, each in lists.items() if each is None and name in inventory.outcomes]
    return f"and {' and '.join(unread)}, which would confirm it, could not be read" if unread else ""


def _asks_for_labels(inventory: AccountInventory) -> bool:
    return any("virtual_machine_label" in asked.undecided for asked in inventory.requirements.values())


def explain_all(reports: Sequence[DiskReport], inventories: Sequence[AccountInventory]) -> list[str]:
    """Return what is not understood, unreadable or contradictory, one sentence each."""
    return [
        *_explain_empty(inventories),
        *_explain_policy(reports),
        *explain_not_understood(reports),
        *_explain_unreadable(reports, inventories),
        *_explain_statuses(inventories),
        *_explain_unassigned(inventories),
    ]


def _explain_empty(inventories: Iterable[AccountInventory]) -> Iterator[str]:
    """Yield a sentence for each account without disks and virtual machines."""
    for inventory in inventories:
        snapshot = inventory.disks
        if snapshot is not None and not snapshot.disks and not doubt_of_empty(inventory, snapshot.read_at):
            yield (
                f"account {inventory.account.id}: the API lists neither disks nor virtual machines: there are none, or"
                " its credential may not see them"
            )


def _explain_policy(reports: Sequence[DiskReport]) -> Iterator[str]:
    """Yield a sentence if every disk is exempt or swap."""
    if reports and not any(each.requirement.required or Finding.UNPROTECTED in each.findings for each in reports):
        yield "backup_policy requires no backup of any disk"


def explain_not_understood(reports: Iterable[DiskReport]) -> list[str]:
    """Return which deciding fields are not understood, and what to do."""
    found = [(field, field in report.disk.missing) for report in reports for field in report.not_understood]
    counts, missing = Counter(field for field, _ in found), Counter(field for field, is_missing in found if is_missing)
    sentences = []
    for field, count in sorted(counts.items()):
        what = "is missing or empty in" if missing[field] == count else "is not understood for"
        advice = _ADVICE.get(field) or _advice(field, is_missing=missing[field] == count)
        sentences.append(f"{field.replace('_', ' ')} {what} {formatting.format_count(count, 'disk')} ({advice})")
    return sentences


def _advice(field: str, *, is_missing: bool) -> str:
    """Return what to do about a field that is not understood."""
    if field not in DISK_FIELDS and field != "date_created":
        return f"{_PROBE}; set api.fields: {{{field}: null}} if it means nothing"
    if not is_missing:
        return f"{_PROBE}; no setting helps, so please report it with that output"
    advice = f"{_PROBE}; set api.fields if {field} has another name"
    return f"{advice}, or to null if the API has none" if field == "error" else advice


def _explain_unreadable(reports: Iterable[DiskReport], inventories: Iterable[AccountInventory]) -> Iterator[str]:
    """Yield why backups are unreadable, each reason with the number of disks."""
    errors = {each.account.id: each.backups.error for each in inventories if each.backups is not None}
    counts = Counter(
        why_unreadable(report, errors.get(report.account.id))
        for report in reports
        if Finding.BACKUPS_UNREADABLE in report.findings
    )
    for why, count in counts.items():
        yield f"the backups of {formatting.format_count(count, 'disk')} are unreadable: {why}"


def why_unreadable(report: DiskReport, error: str | None) -> str:
    """Return why a disk's backups are unreadable; ``error`` is that of the account's last backups poll."""
    summary = report.backups
    if summary is None or not summary.usable:
        return error or _NOT_READ_YET
    if summary.newest_at is None:
        return f"no date_created is understood ({_PROBE}; set api.fields if it has another name)"
    if report.age_seconds is None:
        return "the newest lies in the future (api.time_zone, or the clock of this machine)"
    return error or _NOT_READ_YET


def _explain_statuses(inventories: Iterable[AccountInventory]) -> Iterator[str]:
    """Yield the statuses of backups that ``backup_status`` does not list exactly."""
    snapshots = [each.backups for each in inventories if each.backups is not None]
    statuses = sorted({status for snapshot in snapshots for status in snapshot.unmatched_statuses})
    if statuses:
        shown = ", ".join(statuses[:_MAX_STATUSES_SHOWN]) + (", …" if len(statuses) > _MAX_STATUSES_SHOWN else "")
        what = "backup_status does not list these backup statuses exactly"
        yield f"{what}; such a backup counts as usable unless it is locked: {shown}"


def _explain_unassigned(inventories: Iterable[AccountInventory]) -> Iterator[str]:
    """Yield how many backups name no listed disk, if there are any."""
    snapshots = [each.backups for each in inventories if each.disks is not None and each.disks.disks]
    count = sum(snapshot.unassigned or 0 for snapshot in snapshots if snapshot is not None)
    if count:
        yield f"{formatting.format_count(count, 'backup')} {'names' if count == 1 else 'name'} no listed disk"


def command_for(finding: Finding | None, report: DiskReport) -> str:
    """Return the command that helps with a finding; by default the one that shows the disk."""
    words = _SHOW if finding is None else _COMMANDS.get(finding, _SHOW)
    return "gigas-exporter " + words.format(account=shlex.quote(report.account.id), disk=shlex.quote(report.disk.id))


def explain_finding(finding: Finding, report: DiskReport, thresholds: Thresholds, error: str | None) -> str:
    """Return why a disk has a finding; ``error`` is that of the account's last backups poll."""
    disk, summary, limit = report.disk, report.backups, report.requirement.max_age_seconds
    failed_at = formatting.format_timestamp(summary.failed_at) if summary is not None else ""
    is_late = finding in {Finding.BACKUP_STALE, Finding.BACKUP_MISSED}
    words = _MAYBE_LATE if is_late and summary is not None and not summary.usable else _WHY[finding]
    return words.format(
        limit=formatting.format_limit(limit),
        missed=formatting.format_limit(limit and limit * thresholds.missed_factor),
        locked=formatting.format_limit(thresholds.locked_seconds),
        age=report.age if report.age_seconds is None else f"{report.age} old",
        error_flag=f"the status is {disk.status}" if disk.status_is_error else "error is set",
        fields=" and ".join(report.not_understood),
        unreadable=why_unreadable(report, error),
        failed_at=f", {failed_at}" if failed_at else "",
        newest=formatting.format_size(summary.newest_size_bytes) if summary is not None else "",
        typical=formatting.format_size(summary.typical_size_bytes) if summary is not None else "",
        reason=report.requirement.reason,
    )
