"""Render the status page from one snapshot.

It knows neither the API nor the web server, only a source of snapshots and a visitor's query.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gigas_exporter import REPOSITORY, __version__, formatting
from gigas_exporter.clock import Clock
from gigas_exporter.inventory import AccountInventory, Resource, SnapshotSource
from gigas_exporter.report import (
    DiskReport,
    Finding,
    account_errors,
    count_findings,
    explain_all,
    needs_attention,
    report_account,
    worst_first,
)
from gigas_exporter.statuspage.chart import count_ages
from gigas_exporter.statuspage.disk import describe_disk
from gigas_exporter.statuspage.query import ROWS_PER_PAGE, Query

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

DOCUMENTATION: Final = f"{REPOSITORY}#readme"

State = tuple[int, int]
"""The version of the data, and the number of the current period of a few seconds."""

_HERE = Path(__file__).parent
_REFRESH_SECONDS: Final = 60
_MOST_PROBLEMS: Final = 10
_MOST_ACCOUNTS: Final = 20
_SHARED_SECONDS = 5.0  # reports are reused for so long: those of 10,000 disks take a few hundred milliseconds
_COLUMNS: Final = (
    ("", "Verdict", ""),
    ("vm", "Virtual machine", ""),
    ("mount", "Mount point", ""),
    ("disk", "Disk", "number"),
    ("account", "Account", ""),
    ("size", "Size", "number"),
    ("status", "Status", ""),
    ("age", "Backup age", "number"),
    ("limit", "Limit", "number"),
    ("backups", "Backups", "number"),
)


@dataclass(frozen=True)
class _Snapshot:
    """All reports at one time, shared by all pages.

    Attributes:
        accounts: The template context of each account, by id.
        overview: The part of the context of the page of all disks that does not depend on the query.
        read: How long ago the disks and backups were read, as a sentence.
    """

    state: State
    wall: float
    inventories: Sequence[AccountInventory]
    reports: Sequence[DiskReport]
    accounts: Mapping[str, Mapping[str, Any]]
    overview: Mapping[str, Any]
    read: str


class StatusPage:
    """Renders ``/`` in one thread at a time, with links to Grafana at ``dashboard_base``."""

    def __init__(
        self, source: SnapshotSource, clock: Clock, *, telemetry_path: str, dashboard_base: str | None = None
    ) -> None:
        self._source = source
        self._clock = clock
        self._telemetry_path = telemetry_path
        self._dashboard_base = dashboard_base
        self._snapshot: _Snapshot | None = None

    def headers(self, query: Query) -> Mapping[str, str]:
        """Return the HTTP headers of a page."""
        return {**self._headers, "Refresh": str(_REFRESH_SECONDS)} if query.refresh else self._headers

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        """The headers that forbid the page to load or run anything, and others to frame it."""
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'"
        return {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": f"{policy}; base-uri 'none'; frame-ancestors 'none'",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }

    def state(self) -> State:
        """Return the current state, with which cached pages are compared. Thread-safe."""
        return self._source.version, int(self._clock.wall() // _SHARED_SECONDS)

    def render(self, query: Query) -> tuple[HTTPStatus, bytes]:
        """Return the status and the requested page, as UTF-8.

        The status is 404 for an unknown disk, and 503 while the disks of its account are unknown.
        """
        snapshot = self._current()
        context = _disk(snapshot, query) if query.disk else _all_disks(snapshot, query)
        template = self._templates.get_template("disk.html.j2" if query.disk else "page.html.j2")
        html = template.render(
            query=query, read=snapshot.read, now=formatting.format_timestamp(snapshot.wall), **context
        )
        return context.get("status", HTTPStatus.OK), html.encode("utf-8", "replace")

    def _current(self) -> _Snapshot:
        state = self.state()
        if self._snapshot is None or self._snapshot.state != state:
            self._snapshot = self._judge(state)
        return self._snapshot

    def _judge(self, state: State) -> _Snapshot:
        wall, monotonic = self._clock.wall(), self._clock.monotonic()
        found = [
            (inventory, report_account(inventory, wall=wall, monotonic=monotonic))
            for inventory in self._source.snapshot()
        ]
        inventories = [inventory for inventory, _ in found]
        reports = worst_first(report for _, mine in found for report in mine)
        accounts = {each.account.id: _account(each, mine, wall, monotonic) for each, mine in found}
        errors = [error for account in accounts.values() for error in account["errors"]]
        problems = [*errors, *explain_all(reports, inventories)]
        ages = [f"{each} {ago}" for each in ("disks", "backups") if (ago := _read_ago(inventories, each, wall))]
        overview = {
            "accounts": list(accounts.values()),
            "unread": [each["name"] for each in accounts.values() if each["errors"] or each["stale"]],
            "problems": problems,
            "shown": frozenset(problems[:_MOST_PROBLEMS]),
            "unjudged": sum(not report.is_judged for report in reports),
            "counts": count_findings(reports),
            "attention": sum(map(needs_attention, reports)),
            "total": len(reports),
            "bars": count_ages(reports),
        }
        read = f"Read from the API: {', '.join(ages)}." if ages else ""
        return _Snapshot(state, wall, inventories, reports, accounts, overview, read)

    @cached_property
    def _style(self) -> str:
        return (_HERE / "style.css").read_text(encoding="utf-8")

    @cached_property
    def _templates(self) -> Environment:
        # Jinja takes 4 MB of memory, so it is loaded only when the page is requested.
        from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

        environment = Environment(
            loader=FileSystemLoader(_HERE),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.filters.update(
            size=formatting.format_size,
            age=formatting.format_age,
            limit=formatting.format_limit,
            printable=formatting.escape_control_chars,
            breakable=_with_line_breaks,
        )
        environment.globals.update(
            style=self._style,
            version=__version__,
            documentation=DOCUMENTATION,
            dashboards=self._dashboard_base,
            most_problems=_MOST_PROBLEMS,
            telemetry_path=f".{self._telemetry_path}",  # relative, so that a proxy may serve the page under a path
        )
        return environment


def _all_disks(snapshot: _Snapshot, query: Query) -> Mapping[str, Any]:
    chosen = query.apply(snapshot.reports)
    pages = max(1, math.ceil(len(chosen) / ROWS_PER_PAGE))
    page = min(query.page, pages)
    shown = [each for each in Finding if snapshot.overview["counts"][each] or query.show == each.metric]
    return {
        **snapshot.overview,
        "columns": _COLUMNS,
        "order": next(title for name, title, _ in _COLUMNS if name == query.sort),
        "findings": shown,
        "complaints": [*query.complaints, *_missing(snapshot, query, pages)],
        "chosen": len(chosen),
        "rows": chosen[(page - 1) * ROWS_PER_PAGE : page * ROWS_PER_PAGE],
        "page": page,
        "pages": pages,
    }


def _missing(snapshot: _Snapshot, query: Query, pages: int) -> Iterator[str]:
    """Yield a message for an account or page that does not exist."""
    known = list(snapshot.accounts)
    if query.account and query.account not in known:
        more = ", …" if len(known) > _MOST_ACCOUNTS else ""
        accounts = f"Accounts: {', '.join(known[:_MOST_ACCOUNTS])}{more}." if known else "None is watched yet."
        yield f"“{query.account}” is not an account watched here. {accounts}"
    if query.page > pages:
        yield f"There is no page {query.page}. The last page is {pages}."


def _disk(snapshot: _Snapshot, query: Query) -> Mapping[str, Any]:
    wanted = (query.account, query.disk)
    report = next((each for each in snapshot.reports if (each.account.id, each.disk.id) == wanted), None)
    account = snapshot.accounts.get(query.account)
    context = {"report": report, "problems": account["errors"] if account is not None else ()}
    if report is None:
        if account is None:
            return {**context, "status": HTTPStatus.NOT_FOUND, "why": "is not watched here"}
        if account["known"]:
            return {**context, "status": HTTPStatus.NOT_FOUND, "why": f"has no disk {query.disk}"}
        return {**context, "status": HTTPStatus.SERVICE_UNAVAILABLE, "why": "has disks that are not known now"}
    inventory = next(each for each in snapshot.inventories if each.account.id == query.account)
    return {**context, **describe_disk(report, inventory, snapshot.wall)}


def _account(
    inventory: AccountInventory, mine: Sequence[DiskReport], wall: float, monotonic: float
) -> Mapping[str, Any]:
    account, disks = inventory.account, inventory.outcomes.get("disks")
    is_known = inventory.current_disks(monotonic) is not None
    return {
        "id": account.id,
        "name": account.name or account.id,
        "up": None if disks is None else disks.success,
        "error": disks.error if disks is not None else None,
        "errors": account_errors(inventory, monotonic),
        "known": is_known,
        "disks": len(mine),
        "attention": sum(map(needs_attention, mine)),
        "size_bytes": sum(report.disk.size_bytes or 0 for report in mine),
        "disks_age": _age(inventory, "disks", wall),
        "backups_age": _age(inventory, "backups", wall),
        "stale": inventory.disks is not None and not is_known,
    }


def _age(inventory: AccountInventory, resource: Resource, wall: float) -> str:
    outcome = inventory.outcomes.get(resource)
    if outcome is None or outcome.last_success_at is None:
        return "never"
    return f"{formatting.format_age(max(0.0, wall - outcome.last_success_at))} ago"


def _read_ago(inventories: Sequence[AccountInventory], resource: Resource, wall: float) -> str:
    """Return how long ago the least recently read account was read."""
    read = [each.outcomes[resource].last_success_at for each in inventories if resource in each.outcomes]
    if len(read) < len(inventories) or None in read:
        return ""
    return formatting.format_ago(wall - min((each for each in read if each is not None), default=wall))


def _with_line_breaks(path: str | None) -> Markup:
    """Return a path as HTML that may break after each slash."""
    from markupsafe import Markup, escape  # noqa: PLC0415  # comes with Jinja

    return Markup("/<wbr>").join(escape(part) for part in formatting.escape_control_chars(path).split("/"))
