"""A visitor's query, from the page's URL.

Every URL selects something; the page reports the parameters that it did not understand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from gigas_exporter.report import DiskReport, Finding, Severity

ROWS_PER_PAGE: Final = 100
_LONGEST_SEARCH = 200
_LONGEST_SHOWN = 60
_PAGE: Final = re.compile(r"[1-9][0-9]{0,5}")

_NOTHING = float("-inf")


def _age(report: DiskReport) -> float:
    return _NOTHING if report.age_seconds is None else report.age_seconds


SORTS: Final[Mapping[str, tuple[Callable[[DiskReport], object], bool]]] = {
    "account": (lambda report: (report.account.name or "", report.account.id), False),
    "vm": (lambda report: report.machine_name.casefold(), False),
    "mount": (lambda report: report.disk.mount_point or "", False),
    "disk": (lambda report: (len(report.disk.id), report.disk.id), False),
    "size": (lambda report: report.disk.size_bytes or 0, True),
    "status": (lambda report: report.disk.status or "", False),
    "age": (_age, True),
    "limit": (lambda report: report.requirement.max_age_seconds or 0.0, False),
    "backups": (lambda report: report.backups.usable if report.backups is not None else -1, False),
}
"""The sort key of each column, and whether it is sorted in descending order unless reversed."""


def _complaints(parameters: Mapping[str, str], *, has_show: bool) -> Iterator[str]:
    """Yield a sentence for each parameter that is not understood."""
    findings = ", ".join(finding.metric for finding in Finding)
    sort, page = parameters.get("sort", ""), parameters.get("page", "")
    if not has_show:
        yield f"Cannot show “{_cut(parameters['show'])}”. Show one of: all, attention, {findings}."
    if sort and sort not in SORTS:
        yield f"Cannot sort by “{_cut(sort)}”. Sort by one of: {', '.join(SORTS)}."
    if page and not _PAGE.fullmatch(page):
        yield f"There is no page “{_cut(page)}”. Pages are numbered from 1."
    for name in ("reverse", "refresh"):
        if (value := parameters.get(name, "")) not in {"", "0", "1"}:
            yield f"{name} must be 0 or 1, not “{_cut(value)}”."


def _cut(text: str) -> str:
    return f"{text[:_LONGEST_SHOWN]}…" if len(text) > _LONGEST_SHOWN else text


@dataclass(frozen=True, slots=True)
class Query:
    """The selection and the order of disks.

    Attributes:
        search: Words, each of which must occur in the account, machine, mount point, disk id, status or findings.
        show: ``all``, ``attention``, or the name of a finding in the metrics.
        account: An account id, or empty for all.
        sort: A key of :data:`SORTS`, or empty for worst first.
        reverse: Whether the order is reversed.
        page: Counted from 1.
        disk: The id of a disk of ``account`` to show alone; empty for the list.
        refresh: Whether the page reloads itself.
        complaints: A sentence for each parameter that is not understood.
    """

    search: str = ""
    show: str = "all"
    account: str = ""
    sort: str = ""
    reverse: bool = False
    page: int = 1
    disk: str = ""
    refresh: bool = True
    complaints: tuple[str, ...] = ()

    @classmethod
    def from_params(cls, parameters: Mapping[str, str]) -> Query:
        """Parse the parameters of a URL."""
        show, sort, page = parameters.get("show", "") or "all", parameters.get("sort", ""), parameters.get("page", "")
        folded, finding = show.strip().casefold(), Finding.parse(show)
        known = finding.metric if finding is not None else folded if folded in {"all", "attention"} else None
        return cls(
            search=parameters.get("q", "").strip()[:_LONGEST_SEARCH],
            show=known or "all",
            account=parameters.get("account", "")[:_LONGEST_SEARCH],
            sort=sort if sort in SORTS else "",
            reverse=parameters.get("reverse") == "1",
            page=int(page) if _PAGE.fullmatch(page) else 1,
            disk=parameters.get("disk", "")[:_LONGEST_SEARCH],
            refresh=parameters.get("refresh") != "0",
            complaints=tuple(_complaints(parameters, has_show=known is not None)),
        )

    @property
    def descending(self) -> bool:
        """Whether the largest, or the worst, comes first."""
        return (SORTS[self.sort][1] if self.sort else True) != self.reverse

    def address(self, **changes: object) -> str:
        """Return the relative URL of this query with some changes; its first page unless one is given."""
        other = replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]  # names of fields
        parameters = {
            "q": other.search,
            "show": "" if other.show == "all" else other.show,
            "account": other.account,
            "sort": other.sort,
            "reverse": "1" if other.reverse else "",
            "page": "" if other.page <= 1 else str(other.page),
            "disk": other.disk,
            "refresh": "" if other.refresh else "0",
        }
        query = urlencode({name: value for name, value in parameters.items() if value}, errors="replace")
        return "?" + query if query else "."

    def disk_address(self, account_id: str, disk_id: str) -> str:
        """Return the relative URL of a disk's page."""
        return Query(account=account_id, disk=disk_id, refresh=self.refresh).address()

    @property
    def reset_address(self) -> str:
        """The relative URL of all disks, worst first."""
        return Query(refresh=self.refresh).address()

    def apply(self, reports: Iterable[DiskReport]) -> list[DiskReport]:
        """Return the selected reports in the selected order."""
        words, finding = self.search.casefold().split(), Finding.parse(self.show)
        chosen = [report for report in reports if self._fits(report, words, finding)]
        if self.sort:
            return sorted(chosen, key=SORTS[self.sort][0], reverse=self.descending)  # type: ignore[arg-type]
        return chosen[::-1] if self.reverse else chosen

    def _fits(self, report: DiskReport, words: list[str], finding: Finding | None) -> bool:
        if self.account and report.account.id != self.account:
            return False
        if self.show == "attention" and report.severity < Severity.WARNING:
            return False
        if finding is not None and finding not in report.findings:
            return False
        if not words:
            return True
        disk = report.disk
        findings = " ".join(finding.value for finding in report.findings)
        text = "\n".join(
            (
                report.account.id,
                report.account.name or "",
                report.machine_name,
                disk.mount_point or "",
                disk.id,
                disk.status or "",
                findings,
            )
        ).casefold()
        return all(word in text for word in words)
