"""One change of one disk: shown, confirmed, sent, and waited for.

Nothing is sent before a person has seen the disk and confirmed, or has given ``--yes``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Literal

import click

from gigas_exporter import formatting
from gigas_exporter.cli.accounts import select_account
from gigas_exporter.cli.disks.lookup import get_disk, report_disks
from gigas_exporter.cli.messages import progress
from gigas_exporter.cli.output import render_document, render_json
from gigas_exporter.clock import Deadline, SystemClock
from gigas_exporter.errors import ApiError, GigasError, Reason
from gigas_exporter.gigas import ApiRequest, ChangeResult, Client, ReadClient
from gigas_exporter.model import Backup, Disk
from gigas_exporter.report import DiskReport

_Output = Literal["table", "json", "yaml"]

_REJECTIONS: Final = frozenset({400, 402, 403, 404, 405, 409, 415, 422, 423, 429, 501})
"""The statuses that say that a request changed nothing."""

_RETRYABLE_REASONS: Final[frozenset[Reason]] = frozenset(
    {"timeout", "connection", "rate_limited", "server", "invalid", "incomplete"}
)
"""Temporary errors, after which the wait continues."""

_SHORTEST_STEP_SECONDS, _LONGEST_STEP_SECONDS = 0.5, 10.0
_STEP_SHARE = 0.1
_OUTCOMES: Final = {"unclear": "; this is not understood", "locked_or_empty": "; this is not known to be usable"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a change would do.

    Attributes:
        consequence: What will happen, as a sentence.
        differences: The old and the new value of each changed field, in words.
    """

    request: ApiRequest[Any]
    consequence: str
    differences: Mapping[str, tuple[str, str]] = field(default_factory=dict)


class Change:
    """A change of a disk, with the options that all changes share."""

    def __init__(self, account: str | None, disk_id: str, options: dict[str, Any]) -> None:
        self._disk_id = disk_id
        self.dry_run: bool = options.pop("dry_run")
        self._yes: bool = options.pop("yes")
        self._output: _Output = options.pop("output")
        self.settings, self._account = select_account(account, options)
        self.account_id = self._account.account.id

    def run(self, plan: Callable[[ReadClient, str, Disk], Plan], *, type_id: bool = False) -> ChangeResult[Any] | None:
        """Show the disk, ask, and send the request; return ``None`` after a dry run.

        Raises:
            GigasError: The disk does not exist, the change was not confirmed, or the API rejected it. Nothing was
                changed unless the message says otherwise.
        """
        with self._client() as client:
            with progress(f"reading disk {self._disk_id}"):
                disk = get_disk(client, self.account_id, self._disk_id)
                planned = plan(client, self.account_id, disk)
                (report,) = report_disks(self.settings, self._account, client, (disk,))
            click.echo(_describe(report), err=True)
            for name, (old, new) in planned.differences.items():
                title = name.removeprefix("add_to_").removesuffix("_id").replace("_", " ")
                click.echo(formatting.escape_control_chars(f"{title:<16} {old} -> {new}"), err=True)
            click.echo(formatting.escape_control_chars(planned.consequence), err=True)
            if disk.locked:
                click.echo("The disk is locked by another operation, so the API may reject this one.", err=True)
            if self.dry_run:
                click.echo("Nothing was sent, because of --dry-run. The request would be:", err=True)
                self._print_request(planned)
                return None
            self._confirm(type_id=type_id)
            answer = _send(client, planned.request)
        self._print_result(planned.request, answer)
        return answer

    def backup_ids(self) -> frozenset[str]:
        """Return the ids of the disk's backups."""
        with self._client() as client:
            get_disk(client, self.account_id, self._disk_id)
            return frozenset(each.id for each in client.list_disk_backups(self.account_id, self._disk_id).items)

    def wait_for_backup(self, known_ids: frozenset[str], new_id: str | None, timeout_seconds: float) -> None:
        """Wait until the disk has a new usable backup.

        The new backup is the one with ``new_id``; while that is not listed, one whose id is not in ``known_ids``.
        Temporary errors of the API do not end the wait.

        Raises:
            GigasError: The backup failed, is not usable in time, or cannot be read.
        """
        clock, what = SystemClock(), f"the backup of disk {self._disk_id}"
        deadline = Deadline(clock, timeout_seconds)
        began = clock.monotonic()
        with self._client() as client, progress(f"waiting for {what}") as show:
            while True:
                listed, state = _list_backups(client, self.account_id, self._disk_id, deadline)
                new = [each for each in listed if each.id == new_id or each.id not in known_ids]
                found = max(new, key=lambda each: (each.id == new_id, each.date_created or 0.0), default=None)
                waited = clock.monotonic() - began
                if found is not None:
                    outcome = self.settings.status_words.outcome(found)
                    if outcome == "failed":
                        raise GigasError(
                            f"backup {found.id} of disk {self._disk_id} failed: its status is {found.status}"
                        )
                    if outcome == "usable":
                        break
                    state = f"backup {found.id} is {found.status or 'without a status'}{_OUTCOMES.get(outcome, '')}"
                show(f"waiting for {what}: {state}; {formatting.format_age(waited)} so far")
                step = min(max(_SHORTEST_STEP_SECONDS, waited * _STEP_SHARE), _LONGEST_STEP_SECONDS)
                if not deadline.wait(min(step, deadline.remaining())) or deadline.remaining() <= 0:
                    raise GigasError(
                        f"disk {self._disk_id} has no new usable backup after"
                        f" {formatting.format_age(timeout_seconds)} ({state}); it may still finish"
                    )
        ended = f"backup {found.id} of disk {self._disk_id} is usable; it took {formatting.format_age(waited)}"
        click.echo(formatting.escape_control_chars(ended), err=self._output != "table")

    def print_status_hint(self, answer: ChangeResult[Any]) -> None:
        """Print the command that shows the progress, unless the output is for programs."""
        if self._output == "table" and answer.status == HTTPStatus.ACCEPTED:
            words = ("gigas-exporter", "disks", "backups", "--account", self.account_id, self._disk_id)
            click.echo(f"To see the progress, run: {formatting.escape_control_chars(shlex.join(words))}", err=True)

    def _client(self) -> Client:
        return Client(self.settings.api, self._account.credential)

    def _confirm(self, *, type_id: bool) -> None:
        if self._yes:
            return
        try:
            if type_id:
                question = f"Type the id of the disk ({formatting.escape_control_chars(self._disk_id)}) to continue"
                agreed = click.prompt(question, err=True) == self._disk_id
            else:
                agreed = click.confirm("Continue?", err=True)
        except click.Abort:
            click.echo(err=True)
            agreed = False
        if not agreed:
            raise GigasError("aborted, nothing was changed (use --yes to skip the confirmation)")

    def _print_request(self, planned: Plan) -> None:
        request = planned.request
        url = f"{self.settings.api.url}{request.target}"
        if self._output == "table":
            click.echo(f"{request.method} {url}")
            if request.json is not None:
                click.echo(render_json(request.json), nl=False)
        else:
            differences = {name: {"old": old, "new": new} for name, (old, new) in planned.differences.items()}
            facts = {"operation": request.operation, "method": request.method, "url": url, "body": request.json}
            click.echo(render_document({**facts, "changes": differences}, self._output), nl=False)

    def _print_result(self, request: ApiRequest[Any], answer: ChangeResult[Any]) -> None:
        if self._output != "table":
            facts = {"operation": request.operation, "status": answer.status, "answer": answer.body}
            click.echo(render_document(facts, self._output), nl=False)
            return
        words = request.operation.replace("_", " ")
        in_background = answer.status == HTTPStatus.ACCEPTED
        state = "accepted; it runs in the background" if in_background else "done"
        made = f" as backup {answer.value.id}" if isinstance(answer.value, Backup) else ""
        click.echo(formatting.escape_control_chars(f"{words}: {state}{made}"))


def _send(client: Client, request: ApiRequest[Any]) -> ChangeResult[Any]:
    """Send a change once; after a rejection, the error says that nothing was changed."""
    try:
        return client.send(request)
    except ApiError as error:
        if error.status not in _REJECTIONS:
            raise
        raise GigasError(f"{error}. Nothing was changed") from None


def _describe(report: DiskReport) -> str:
    disk = report.disk
    facts = (
        ("disk", disk.id),
        ("account", report.account.name or report.account.id),
        ("virtual machine", report.machine_name),
        ("mount point", disk.mount_point or "none"),
        ("status", f"{disk.status or 'unknown'}{', locked' if disk.locked else ''}"),
        ("size", formatting.format_size(disk.size_bytes) or "unknown"),
        ("last backup", report.age if report.age_seconds is None else f"{report.age} ago"),
        ("verdict", report.verdict),
    )
    return "\n".join(f"{title:<16} {formatting.escape_control_chars(text)}" for title, text in facts)


def _list_backups(
    client: ReadClient, account_id: str, disk_id: str, deadline: Deadline
) -> tuple[tuple[Backup, ...], str]:
    """Return the disk's backups, and why the new one may be missing."""
    try:
        return client.list_disk_backups(account_id, disk_id, deadline=deadline).items, "it is not listed yet"
    except GigasError as error:
        if isinstance(error, ApiError) and error.status == HTTPStatus.NOT_FOUND:
            raise GigasError(f"account {account_id} no longer has disk {disk_id}") from None
        if error.reason not in _RETRYABLE_REASONS:
            raise
        return (), str(error)
