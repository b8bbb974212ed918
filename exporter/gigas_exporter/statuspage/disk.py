"""What a disk's page shows: findings with reasons, commands, backups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from gigas_exporter import formatting
from gigas_exporter.backup_summary import MAX_RECENT
from gigas_exporter.inventory import AccountInventory
from gigas_exporter.report import DiskReport, command_for, explain_finding, is_ahead

_BAR_WIDTH: Final = 360.0
_LIMIT_AT: Final = 180.0
_USABLE: Final[Mapping[str, str]] = {
    "usable": "yes",
    "failed": "no: it failed",
    "unfinished": "no: it is not finished",
    "unclear": "no: it is not understood",
    "locked_or_empty": "no: it is locked or empty",
}
"""Whether a backup is usable, and why not."""


def describe_disk(report: DiskReport, inventory: AccountInventory, wall: float) -> Mapping[str, Any]:
    """Return the template context of a disk's page."""
    error = inventory.backups.error if inventory.backups is not None else None
    listed = [] if report.backups is None else list(report.backups.recent)
    commands = [command_for(finding, report) for finding in report.findings]
    variables = {  # of the dashboard that the page links to
        "var-account_id": report.account.id,
        "var-virtual_machine": report.machine_name,
        "var-disk_id": report.disk.id,
    }
    return {
        "variables": urlencode(variables, errors="replace"),
        "findings": [
            (finding, explain_finding(finding, report, inventory.thresholds, error)) for finding in report.findings
        ],
        "commands": list(dict.fromkeys([*commands, command_for(None, report)])),
        "bar": _bar(report),
        "backups": [(title, text) for title, text in _backups(report, wall) if text],
        "listed": [
            {
                "created": formatting.format_timestamp(each.created_at),
                "age": _age(each.created_at, wall),
                "size": formatting.format_size(each.size_bytes) or "not known",
                "status": each.status or "none",
                "usable": _usable(each.outcome, each.created_at, wall),
            }
            for each in listed
        ],
        "only_newest": len(listed) == MAX_RECENT and _least_count(report) > MAX_RECENT,
        "facts": [(title, text) for title, text in _facts(report) if text],
    }


def _age(timestamp: float, wall: float) -> str:
    return "in the future" if is_ahead(timestamp, wall) else formatting.format_age(max(0.0, wall - timestamp))


def _usable(outcome: str, created_at: float, wall: float) -> str:
    if outcome == "usable" and is_ahead(created_at, wall):
        return "no: its date is in the future"
    return _USABLE[outcome]


def _least_count(report: DiskReport) -> int:
    """Return the least number of backups: of the unfinished ones, only the recent are known."""
    summary = report.backups
    if summary is None:
        return 0
    others = sum(each.outcome in {"unfinished", "locked_or_empty"} for each in summary.recent)
    return summary.usable + summary.failed + summary.unclear + others


def _bar(report: DiskReport) -> Mapping[str, Any] | None:
    """Return the bar of the backup's age, on a scale with the limit in its middle."""
    if report.age_seconds is None or not report.requirement.required:
        return None
    share = report.share_of_limit
    severity = "ok" if share <= 1 else report.severity.name.lower()
    return {"age": round(min(share * _LIMIT_AT, _BAR_WIDTH), 1), "limit": _LIMIT_AT, "severity": severity}


def _backups(report: DiskReport, wall: float) -> list[tuple[str, str]]:
    summary, requirement = report.backups, report.requirement
    rule = [
        ("Limit", formatting.format_limit(requirement.max_age_seconds) or "none"),
        ("Reason", requirement.reason or ""),
    ]
    if summary is None:
        return [("Usable", "not read"), *rule]

    def at(timestamp: float | None) -> str:
        if timestamp is None:
            return ""
        age = _age(timestamp, wall) + ("" if is_ahead(timestamp, wall) else " ago")
        return f"{age} ({formatting.format_timestamp(timestamp)})"

    return [
        ("Usable", str(summary.usable)),
        ("Newest", at(summary.newest_at) or ("of unknown date" if summary.usable else "none")),
        *rule,
        ("Size of the newest", formatting.format_size(summary.newest_size_bytes)),
        ("Typical size", formatting.format_size(summary.typical_size_bytes)),
        ("Oldest", at(summary.oldest_at)),
        ("Failed", str(summary.failed)),
        ("Last failed", at(summary.failed_at)),
        ("Not understood", str(summary.unclear or "")),
    ]


def _facts(report: DiskReport) -> list[tuple[str, str]]:
    disk, account = report.disk, report.account
    flags = {"locked": disk.locked, "swap": disk.is_swap, "automatic backups": disk.autobackup}
    return [
        ("Account", f"{account.name} ({account.id})" if account.name else account.id),
        ("Virtual machine", report.machine_name),
        ("Mount point", disk.mount_point or "none"),
        ("Size", formatting.format_size(disk.size_bytes)),
        ("Status", disk.status or ""),
        *((title.capitalize(), "not known" if flag is None else ("no", "yes")[flag]) for title, flag in flags.items()),
        ("Created", formatting.format_timestamp(disk.created_at)),
    ]
