"""``disks list``, ``show`` and ``backups``: nothing that changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import click

from gigas_exporter import human
from gigas_exporter.cli.disks.accounts import (
    AccountSelection,
    account_options,
    get_disk,
    report_disks,
    select_account,
    select_accounts,
    warn,
)
from gigas_exporter.cli.options import Gigabytes, GroupedCommand, variable_of
from gigas_exporter.cli.output import Format, render
from gigas_exporter.cli.progress import progress
from gigas_exporter.cli.rows import BACKUPS, DISKS, backup_record, disk_record
from gigas_exporter.errors import ApiError, GigasError
from gigas_exporter.gigas import ReadClient
from gigas_exporter.report import DiskReport, worst_first

__all__ = ["backups", "list_disks", "output_option", "show"]

output_option = click.option(
    "--output",
    type=click.Choice(["table", "json", "yaml", "csv"]),
    default="table",
    show_default=True,
    help="How it is written.",
)


@click.command(
    "list",
    cls=GroupedCommand,
    epilog="""\b
Examples:
  gigas-exporter disks list --virtual-machine-id 501
  gigas-exporter disks list --mount-point /srv --output json""",
)
@click.option(
    "--data-store-id", metavar="ID", envvar="GIGAS_DATA_STORE_ID", show_envvar=True, help="On this data store."
)
@click.option(
    "--virtual-machine-id",
    metavar="ID",
    envvar="GIGAS_VIRTUAL_MACHINE_ID",
    show_envvar=True,
    help="Of this virtual machine.",
)
@click.option(
    "--is-swap/--no-is-swap",
    default=None,
    envvar="GIGAS_IS_SWAP",
    show_envvar=True,
    help="Swap disks, or all but those.",
)
@click.option(
    "--mount-point", metavar="TEXT", envvar="GIGAS_MOUNT_POINT", show_envvar=True, help="Whose mount point contains it."
)
@click.option(
    "--data-store-group-id",
    metavar="ID",
    envvar="GIGAS_DATA_STORE_GROUP_ID",
    show_envvar=True,
    help="In this group of data stores.",
)
@click.option(
    "--primary/--no-primary",
    default=None,
    envvar="GIGAS_PRIMARY",
    show_envvar=True,
    help="First disks of their machine, or all but those.",
)
@output_option
@account_options
def list_disks(
    *,
    data_store_id: str | None,
    virtual_machine_id: str | None,
    is_swap: bool | None,
    mount_point: str | None,
    data_store_group_id: str | None,
    primary: bool | None,
    output: Format,
    account: str | None,
    **flags: Any,
) -> None:
    """List disks with the verdict on each, worst first; the filters are the API's own."""
    filters = {
        "data_store_id": data_store_id,
        "virtual_machine_id": virtual_machine_id,
        "is_swap": is_swap,
        "mount_point": mount_point,
        "data_store_group_id": data_store_group_id,
        "primary": primary,
    }
    _tell_of_variables(filters)
    with progress("reading disks and their backups"):
        selection = select_accounts(account, flags)
        reports, errors = _list_all(selection, filters)
    if errors and len(errors) == len(selection.accounts) == 1:
        raise errors[0]
    records = [disk_record(report) for report in worst_first(reports)]
    if records or output != "table":
        click.echo(render(records, DISKS, output), nl=False)
    elif not errors:
        click.echo("No disk fits." if any(value is not None for value in filters.values()) else "There are no disks.")
    if errors:
        raise GigasError(f"{len(errors)} of {len(selection.accounts)} accounts could not be read")


def _tell_of_variables(names: Iterable[str]) -> None:
    """Say which filters come from the environment: a part of the disks must not pass for all of them."""
    for name in names:
        variable = variable_of(name)
        if variable is not None:
            warn(f"only a part is shown, since {variable} is set")


def _list_all(selection: AccountSelection, filters: Mapping[str, Any]) -> tuple[list[DiskReport], list[GigasError]]:
    """Return the disks of all accounts; one that cannot be read is said on stderr, and hides no other."""
    reports: list[DiskReport] = []
    errors: list[GigasError] = []
    for each in selection.accounts:
        try:
            with ReadClient(selection.settings.api, each.credential) as client:
                listing = client.list_disks(each.account.id, **filters)
                reports.extend(report_disks(selection, each, client, listing.items))
        except GigasError as refusal:
            is_unknown = isinstance(refusal, ApiError) and refusal.status == HTTPStatus.NOT_FOUND
            error = GigasError(f"{refusal}; is the account's id right?") if is_unknown else refusal
            errors.append(error)
            if len(selection.accounts) > 1:
                warn(f"account {each.account.id}: {error}")
    return reports, errors


@click.command(cls=GroupedCommand, epilog="\b\nExample:\n  gigas-exporter disks show --account 4242 17")
@click.argument("disk")
@output_option
@account_options
def show(disk: str, output: Format, account: str | None, **flags: Any) -> None:
    """Show all that is known of DISK, and the verdict on it."""
    selection, chosen = select_account(account, flags)
    with ReadClient(selection.settings.api, chosen.credential) as client:
        found = get_disk(client, chosen.account.id, disk)
        (report,) = report_disks(selection, chosen, client, (found,))
    record = disk_record(report)
    if output != "table":
        click.echo(render([record], DISKS, output), nl=False)
        return
    shown = {
        **record,
        "size_bytes": human.size(found.size_bytes),
        "last_backup_size_bytes": human.size(record["last_backup_size_bytes"]),
        "backup_age_seconds": human.age(report.age_seconds),
        "max_age_seconds": human.age(report.requirement.max_age_seconds),
    }
    width = max(map(len, shown))
    for name, value in shown.items():
        if name not in {"severity", "findings"} and value not in {None, ""}:
            text = ("no", "yes")[value] if isinstance(value, bool) else human.printable(str(value))
            title = name.removesuffix("_seconds").removesuffix("_bytes").replace("_", " ")
            click.echo(f"{title:<{width}}  {text}")


@click.command(cls=GroupedCommand, epilog="\b\nExample:\n  gigas-exporter disks backups --account 4242 17")
@click.argument("disk")
@click.option(
    "--min-disk-size",
    type=Gigabytes(),
    envvar="GIGAS_MIN_DISK_SIZE",
    show_envvar=True,
    help="Only backups of at least this disk size.",
)
@output_option
@account_options
def backups(disk: str, min_disk_size: float | None, output: Format, account: str | None, **flags: Any) -> None:
    """List the backups of DISK, newest first."""
    _tell_of_variables(("min_disk_size",))
    selection, chosen = select_account(account, flags)
    with ReadClient(selection.settings.api, chosen.credential) as client:
        get_disk(client, chosen.account.id, disk)
        listing = client.list_disk_backups(chosen.account.id, disk, min_disk_size=min_disk_size)
    found = sorted(listing.items, key=lambda backup: backup.date_created or 0.0, reverse=True)
    records = [backup_record(backup, selection.clock.wall()) for backup in found]
    if not records and output == "table":
        click.echo(f"Disk {disk} has no backup{'' if min_disk_size is None else ' that fits'}.")
        return
    click.echo(render(records, BACKUPS, output), nl=False)
