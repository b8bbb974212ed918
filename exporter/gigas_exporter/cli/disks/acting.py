"""``disks backup``, ``template``, ``edit``, ``build`` and ``delete``: what changes something.

It owns that nothing changes before a person has seen the disk and agreed, or has said ``--yes``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, Literal, TypeVar

import click

from gigas_exporter import human
from gigas_exporter.cli.disks.access import account_options, get_disk, one_account, report_disks
from gigas_exporter.cli.disks.waiting import wait_for_backup
from gigas_exporter.cli.options import Gigabytes, GroupedCommand
from gigas_exporter.cli.output import render_json, render_yaml
from gigas_exporter.cli.progress import progress
from gigas_exporter.config.durations import parse_duration
from gigas_exporter.errors import GigasError
from gigas_exporter.gigas import Answer, Client, Request
from gigas_exporter.gigas.operations import (
    build_disk_request,
    create_backup_request,
    create_template_request,
    delete_disk_request,
    edit_disk_request,
)
from gigas_exporter.model import Backup
from gigas_exporter.report import DiskReport

__all__ = ["backup", "build", "delete", "edit", "template"]

_F = TypeVar("_F", bound=Callable[..., Any])
_Output = Literal["table", "json", "yaml"]

_ERASES: Final = "ALL DATA ON THIS DISK WILL BE LOST."


def _acting_options(function: _F) -> _F:
    for option in (
        click.option("--dry-run", is_flag=True, help="Print the request and send nothing."),
        click.option("--yes", is_flag=True, help="Go on without asking."),
        click.option(
            "--output",
            type=click.Choice(["table", "json", "yaml"]),
            default="table",
            show_default=True,
            help="How the API's answer is written.",
        ),
    ):
        function = option(function)
    return account_options(click.argument("disk")(function))


@click.command(cls=GroupedCommand, epilog="\b\nExample:\n  gigas-exporter disks backup --account 4242 17 --wait")
@click.option(
    "--wait", is_flag=True, envvar="GIGAS_WAIT", show_envvar=True, help="Follow it until the new backup can be used."
)
@click.option(
    "--timeout",
    default="2h",
    show_default=True,
    metavar="DURATION",
    envvar="GIGAS_TIMEOUT",
    show_envvar=True,
    help="How long --wait waits.",
)
@_acting_options
def backup(disk: str, wait: bool, timeout: str, account: str | None, **options: Any) -> None:
    """Make a backup of DISK."""
    try:
        seconds = parse_duration(timeout)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timeout") from None
    action = _Action(account, disk, options)
    known = action.backup_ids() if wait and not action.dry_run else frozenset()
    answer = action.carry_out(
        lambda account_id: create_backup_request(account_id, disk), "A backup of this disk will be made."
    )
    if answer is not None and not wait:
        action.say_how_to_see(answer)
    if answer is not None and wait:
        new_id = answer.value.id if answer.value is not None else None
        action.follow(
            lambda client: wait_for_backup(
                client, action.access, action.account_id, disk, known_ids=known, new_id=new_id, timeout_seconds=seconds
            )
        )


@click.command(
    cls=GroupedCommand,
    epilog="\b\nExample:\n  gigas-exporter disks template --account 4242 17 --label golden-image --console-id 3",
)
@click.option("--label", required=True, envvar="GIGAS_LABEL", show_envvar=True, help="The template's name.")
@click.option(
    "--console-id",
    required=True,
    metavar="ID",
    envvar="GIGAS_CONSOLE_ID",
    show_envvar=True,
    help="The API's console_id.",
)
@_acting_options
def template(disk: str, label: str, console_id: str, account: str | None, **options: Any) -> None:
    """Make a template of DISK."""
    _Action(account, disk, options).carry_out(
        lambda account_id: create_template_request(account_id, disk, label=label, console_id=console_id),
        f"A template named {label} will be made of this disk.",
    )


@click.command(
    cls=GroupedCommand,
    epilog="""\b
Examples:
  gigas-exporter disks edit --account 4242 17 --autobackup
  gigas-exporter disks edit --account 4242 17 --size 40 --force-reboot""",
)
@click.option("--size", "disk_size", type=Gigabytes(), envvar="GIGAS_SIZE", show_envvar=True, help="New size.")
@click.option(
    "--virtual-machine-id",
    metavar="ID",
    envvar="GIGAS_VIRTUAL_MACHINE_ID",
    show_envvar=True,
    help="Attach it to this machine.",
)
@click.option(
    "--autobackup/--no-autobackup",
    default=None,
    envvar="GIGAS_AUTOBACKUP",
    show_envvar=True,
    help="Whether the platform backs it up.",
)
@click.option(
    "--mount-point", metavar="TEXT", envvar="GIGAS_MOUNT_POINT", show_envvar=True, help="Where it is mounted."
)
@click.option(
    "--add-to-linux-fstab/--no-add-to-linux-fstab",
    default=None,
    envvar="GIGAS_ADD_TO_LINUX_FSTAB",
    show_envvar=True,
    help="Whether it gets a line in /etc/fstab.",
)
@click.option(
    "--force-reboot/--no-force-reboot",
    default=None,
    envvar="GIGAS_FORCE_REBOOT",
    show_envvar=True,
    help="Whether the machine may be rebooted for it.",
)
@_acting_options
def edit(
    disk: str,
    *,
    disk_size: float | None,
    virtual_machine_id: str | None,
    autobackup: bool | None,
    mount_point: str | None,
    add_to_linux_fstab: bool | None,
    force_reboot: bool | None,
    account: str | None,
    **options: Any,
) -> None:
    """Change DISK."""
    changes = {
        "disk_size": disk_size,
        "virtual_machine_id": virtual_machine_id,
        "autobackup": autobackup,
        "mount_point": mount_point,
        "add_to_linux_fstab": add_to_linux_fstab,
        "force_reboot": force_reboot,
    }
    words = ", ".join(f"{name} = {value}" for name, value in changes.items() if value is not None)
    reboot = "Its machine will be rebooted if that is needed." if force_reboot else "Some changes need a reboot."
    _Action(account, disk, options).carry_out(
        lambda account_id: edit_disk_request(account_id, disk, **changes),  # type: ignore[arg-type]
        f"This disk will be changed: {words}. {reboot}",
    )


@click.command(cls=GroupedCommand, epilog="\b\nExample:\n  gigas-exporter disks build --account 4242 17")
@_acting_options
def build(disk: str, account: str | None, **options: Any) -> None:
    """Build DISK anew, which formats it: its data is lost."""
    _Action(account, disk, options).carry_out(
        lambda account_id: build_disk_request(account_id, disk),
        f"This disk will be built, which formats it. {_ERASES}",
        type_id=True,
    )


@click.command(cls=GroupedCommand, epilog="\b\nExample:\n  gigas-exporter disks delete --account 4242 17")
@_acting_options
def delete(disk: str, account: str | None, **options: Any) -> None:
    """Delete DISK: its data is erased."""
    _Action(account, disk, options).carry_out(
        lambda account_id: delete_disk_request(account_id, disk),
        f"This disk will be deleted. {_ERASES}",
        type_id=True,
    )


class _Action:
    """One change of one disk, from the options that all changes share."""

    def __init__(self, account: str | None, disk_id: str, options: dict[str, Any]) -> None:
        self._disk_id = disk_id
        self.dry_run: bool = options.pop("dry_run")
        self._yes: bool = options.pop("yes")
        self._output: _Output = options.pop("output")
        self.access, self._account = one_account(account, options, offline=self.dry_run)
        self.account_id = self._account.account.id

    def carry_out(
        self, describe: Callable[[str], Request[Any]], consequence: str, *, type_id: bool = False
    ) -> Answer[Any] | None:
        """Show the disk, ask, and send the request; return ``None`` after a dry run.

        Raises:
            GigasError: It was not agreed to, or the API refused it; nothing was changed unless the message says so.
        """
        request = describe(self.account_id)
        if self.dry_run:
            self._show(request)
            return None
        with self._client() as client:
            with progress(f"reading disk {self._disk_id}"):
                disk = get_disk(client, self.account_id, self._disk_id)
                (report,) = report_disks(self.access, self._account, client, (disk,))
            click.echo(_describe(report), err=True)
            click.echo(human.printable(consequence), err=True)
            self._ask(type_id=type_id)
            answer = client.send(request)
        self._tell(request, answer)
        return answer

    def backup_ids(self) -> frozenset[str]:
        """Return the ids of the backups that the disk has now."""
        with self._client() as client:
            get_disk(client, self.account_id, self._disk_id)
            return frozenset(each.id for each in client.list_disk_backups(self.account_id, self._disk_id).items)

    def follow(self, wait: Callable[[Client], str]) -> None:
        """Wait for something, and tell how it ended; to programs, the answer that they were given was all."""
        with self._client() as client:
            click.echo(human.printable(wait(client)), err=self._output != "table")

    def say_how_to_see(self, answer: Answer[Any]) -> None:
        """Say, to people, which command shows what was begun."""
        if self._output == "table" and answer.status == HTTPStatus.ACCEPTED:
            words = ("gigas-exporter", "disks", "backups", "--account", self.account_id, self._disk_id)
            click.echo(f"See how far it is: {human.printable(shlex.join(words))}", err=True)

    def _client(self) -> Client:
        return Client(self.access.settings.api, self._account.credential)

    def _ask(self, *, type_id: bool) -> None:
        if self._yes:
            return
        try:
            if type_id:
                question = f"Type the id of the disk ({human.printable(self._disk_id)}) to go on"
                agreed = click.prompt(question, err=True) == self._disk_id
            else:
                agreed = click.confirm("Go on?", err=True)
        except click.Abort:
            click.echo(err=True)
            agreed = False
        if not agreed:
            raise GigasError("not agreed to: nothing was changed (--yes goes on without asking)")

    def _show(self, request: Request[Any]) -> None:
        url = f"{self.access.settings.api.url}{request.target}"
        if self._output == "table":
            click.echo(f"{request.method} {url}")
            if request.json is not None:
                click.echo(render_json(request.json), nl=False)
        else:
            facts = {"operation": request.operation, "method": request.method, "url": url, "body": request.json}
            click.echo(self._written(facts), nl=False)

    def _tell(self, request: Request[Any], answer: Answer[Any]) -> None:
        if self._output != "table":
            facts = {"operation": request.operation, "status": answer.status, "answer": answer.body}
            click.echo(self._written(facts), nl=False)
            return
        words = request.operation.replace("_", " ")
        in_background = answer.status == HTTPStatus.ACCEPTED
        state = "accepted; it goes on in the background" if in_background else "done"
        made = f" as backup {answer.value.id}" if isinstance(answer.value, Backup) else ""
        click.echo(human.printable(f"{words}: {state}{made}"))

    def _written(self, facts: dict[str, Any]) -> str:
        return render_json(facts) if self._output == "json" else render_yaml(facts)


def _describe(report: DiskReport) -> str:
    disk = report.disk
    last = "none" if report.age_seconds is None else f"{human.age(report.age_seconds)} ago"
    facts = (
        ("disk", disk.id),
        ("account", report.account.name or report.account.id),
        ("virtual machine", report.machine_name or "none"),
        ("mount point", disk.mount_point or "none"),
        ("size", human.size(disk.size_bytes) or "unknown"),
        ("last backup", last if report.backups is not None else "unknown"),
        ("verdict", ", ".join(finding.value for finding in report.findings) or "well"),
    )
    return "\n".join(f"{title:<16} {human.printable(text)}" for title, text in facts)
