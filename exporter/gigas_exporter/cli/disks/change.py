"""One change of one disk: shown, confirmed, sent.

It owns that nothing changes before a person has seen the disk and agreed, or has said ``--yes``.
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
from gigas_exporter.cli.disks.accounts import get_disk, report_disks
from gigas_exporter.cli.output import render_json, render_yaml
from gigas_exporter.cli.progress import progress
from gigas_exporter.errors import ApiError, GigasError
from gigas_exporter.gigas import ApiRequest, ChangeResult, Client, ReadClient
from gigas_exporter.model import Backup, Disk
from gigas_exporter.report import DiskReport

_Output = Literal["table", "json", "yaml"]

_REFUSALS: Final = frozenset({400, 402, 403, 404, 405, 409, 415, 422, 423, 429, 501})
"""The statuses with which an API says that it did not do what was asked."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a change would do.

    Attributes:
        consequence: What will happen, for people.
        differences: By field, the old and the new value in words.
    """

    request: ApiRequest[Any]
    consequence: str
    differences: Mapping[str, tuple[str, str]] = field(default_factory=dict)


class Change:
    """A change of a disk, from its shared options."""

    def __init__(self, account: str | None, disk_id: str, options: dict[str, Any]) -> None:
        self._disk_id = disk_id
        self.dry_run: bool = options.pop("dry_run")
        self._yes: bool = options.pop("yes")
        self._output: _Output = options.pop("output")
        self.selection, self._account = select_account(account, options)
        self.account_id = self._account.account.id

    def run(self, plan: Callable[[ReadClient, str, Disk], Plan], *, type_id: bool = False) -> ChangeResult[Any] | None:
        """Show the disk, ask, and send the request; return ``None`` after a dry run.

        Raises:
            GigasError: There is no such disk, it was not confirmed, or the API rejected it; nothing was changed unless
                the message says so.
        """
        with self._client() as client:
            with progress(f"reading disk {self._disk_id}"):
                disk = get_disk(client, self.account_id, self._disk_id)
                planned = plan(client, self.account_id, disk)
                (report,) = report_disks(self.selection, self._account, client, (disk,))
            click.echo(_describe(report), err=True)
            for name, (old, new) in planned.differences.items():
                title = name.removeprefix("add_to_").removesuffix("_id").replace("_", " ")
                click.echo(formatting.escape_control_chars(f"{title:<16} {old} -> {new}"), err=True)
            click.echo(formatting.escape_control_chars(planned.consequence), err=True)
            if disk.locked:
                click.echo("It is locked: another operation on it is under way, and the API may refuse this.", err=True)
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

    def wait(self, wait_for: Callable[[Client], str]) -> None:
        """Wait for something, and tell people how it ended."""
        with self._client() as client:
            click.echo(formatting.escape_control_chars(wait_for(client)), err=self._output != "table")

    def print_status_hint(self, answer: ChangeResult[Any]) -> None:
        """Say, to people, which command shows what was begun."""
        if self._output == "table" and answer.status == HTTPStatus.ACCEPTED:
            words = ("gigas-exporter", "disks", "backups", "--account", self.account_id, self._disk_id)
            click.echo(f"See how far it is: {formatting.escape_control_chars(shlex.join(words))}", err=True)

    def _client(self) -> Client:
        return Client(self.selection.settings.api, self._account.credential)

    def _confirm(self, *, type_id: bool) -> None:
        if self._yes:
            return
        try:
            if type_id:
                question = f"Type the id of the disk ({formatting.escape_control_chars(self._disk_id)}) to go on"
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
        url = f"{self.selection.settings.api.url}{request.target}"
        if self._output == "table":
            click.echo(f"{request.method} {url}")
            if request.json is not None:
                click.echo(render_json(request.json), nl=False)
        else:
            differences = {name: {"old": old, "new": new} for name, (old, new) in planned.differences.items()}
            facts = {"operation": request.operation, "method": request.method, "url": url, "body": request.json}
            click.echo(self._format({**facts, "changes": differences}), nl=False)

    def _print_result(self, request: ApiRequest[Any], answer: ChangeResult[Any]) -> None:
        if self._output != "table":
            facts = {"operation": request.operation, "status": answer.status, "answer": answer.body}
            click.echo(self._format(facts), nl=False)
            return
        words = request.operation.replace("_", " ")
        in_background = answer.status == HTTPStatus.ACCEPTED
        state = "accepted; it runs in the background" if in_background else "done"
        made = f" as backup {answer.value.id}" if isinstance(answer.value, Backup) else ""
        click.echo(formatting.escape_control_chars(f"{words}: {state}{made}"))

    def _format(self, facts: dict[str, Any]) -> str:
        return render_json(facts) if self._output == "json" else render_yaml(facts)


def _send(client: Client, request: ApiRequest[Any]) -> ChangeResult[Any]:
    """Send a change once; a refusal says that nothing was changed."""
    try:
        return client.send(request)
    except ApiError as error:
        if error.status not in _REFUSALS:
            raise
        raise GigasError(f"{error}. Nothing was changed") from None


def _describe(report: DiskReport) -> str:
    disk = report.disk
    facts = (
        ("disk", disk.id),
        ("account", report.account.name or report.account.id),
        ("virtual machine", report.machine_name or "none"),
        ("mount point", disk.mount_point or "none"),
        ("status", f"{disk.status or 'unknown'}{', locked' if disk.locked else ''}"),
        ("size", formatting.format_size(disk.size_bytes) or "unknown"),
        ("last backup", report.age if report.age_seconds is None else f"{report.age} ago"),
        ("verdict", report.verdict),
    )
    return "\n".join(f"{title:<16} {formatting.escape_control_chars(text)}" for title, text in facts)
