"""``disks list``, ``show`` and ``backups``: nothing that changes anything.

Of the API's own values nothing is kept under a name that may be that of a secret.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import click

from gigas_exporter import formatting
from gigas_exporter.cli.accounts import (
    AccountSelection,
    account_options,
    no_such_account,
    select_account,
    select_accounts,
)
from gigas_exporter.cli.disks.lookup import NoMachineError, disk_argument, find_machine, get_disk, report_disks
from gigas_exporter.cli.messages import progress, warn
from gigas_exporter.cli.options import (
    FindingName,
    Gibibytes,
    GroupedCommand,
    Name,
    env_var_used_for,
    output_option,
    size_for_api,
)
from gigas_exporter.cli.output import Format, Record, Table, render
from gigas_exporter.cli.records import BACKUPS, DISKS, backup_record, disk_record
from gigas_exporter.config import AccountSettings
from gigas_exporter.decode import Decoder
from gigas_exporter.errors import ApiError, GigasError
from gigas_exporter.gigas import ApiRequest, ApiSettings, LoginStates, RawResponse, ReadClient
from gigas_exporter.report import DiskReport, Finding, explain_not_understood, worst_first

_FILTERS: Final = ("data_store_id", "virtual_machine_id", "is_swap", "mount_point", "data_store_group_id", "primary")
_NOT_TAKEN: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
_SECRET: Final = re.compile(r"pass|pwd|token|secret|key|auth|credential|contrase|clave", re.IGNORECASE)
_RAW_OPERATIONS: Final = ("get_disk", "list_disks", "list_disk_backups")


class RawItems:
    """Keeps items of responses; given as ``on_response``."""

    def __init__(self, settings: ApiSettings) -> None:
        self._decoder = Decoder(settings.decoding)
        self._items: dict[str, dict[str, Any]] = {}
        self._all: dict[str, dict[str, Any]] = {}

    def __call__(self, request: ApiRequest[Any], response: RawResponse) -> None:
        """Keep the items of a response, by id."""
        if request.operation not in _RAW_OPERATIONS or response.status != HTTPStatus.OK:
            return
        decode = self._decoder.backup if request.operation == "list_disk_backups" else self._decoder.disk
        try:
            body = json.loads(response.body.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return  # the client says what is wrong with it
        kept, shown = (items.setdefault(request.operation, {}) for items in (self._items, self._all))
        for raw in body if isinstance(body, list) else [body]:
            value = _without_secrets(raw)
            shown[json.dumps(value)] = value
            item = decode(raw, Counter())
            if item is not None:
                kept[item.id] = value

    def get(self, operation: str, item_id: str) -> Any:
        """Return an item as the API sent it, ``None`` where it was not read."""
        return self._items.get(operation, {}).get(item_id)

    def take_all(self, operation: str) -> list[Any]:
        """Return and drop all different items of a list, also those without id."""
        return list(self._all.pop(operation, {}).values())


def _without_secrets(value: Any) -> Any:
    """Return a value without what may be a secret by its name."""
    if isinstance(value, dict):
        return {name: _without_secrets(part) for name, part in value.items() if not _SECRET.search(name)}
    if isinstance(value, list):
        return [_without_secrets(part) for part in value]
    return value


@click.command(
    "list",
    cls=GroupedCommand,
    epilog="""\b
Examples:
  gigas-exporter disks list --virtual-machine-id 501
  gigas-exporter disks list --mount-point /srv --output json""",
)
@click.option("--data-store-id", metavar="ID", help="Only disks on this data store.")
@click.option(
    "--virtual-machine-id", type=Name(), metavar="VM", help="Only disks of this virtual machine, by id or name."
)
@click.option("--is-swap/--no-is-swap", default=None, help="Only swap disks, or only others.")
@click.option("--mount-point", metavar="TEXT", help="Only disks whose mount point contains TEXT.")
@click.option("--data-store-group-id", metavar="ID", help="Only disks in this group of data stores.")
@click.option("--primary/--no-primary", default=None, help="Only first disks of a machine, or only others.")
@click.option(
    "--finding",
    "findings",
    type=FindingName(),
    multiple=True,
    metavar="FINDING",
    help="Only disks with this finding, such as never_backed_up; repeatable.",
)
@output_option("table", "json", "yaml", "csv")
@account_options(help="Only this account, by id or name.")
def list_disks(*, findings: tuple[Finding, ...], output: Format, account: str | None, **flags: Any) -> None:
    """List disks with the findings of each, worst first.

    All filters but --finding are the API's own.
    """
    filters = {name: flags.pop(name) for name in _FILTERS}
    _warn_env_filters((*filters, "findings"))
    with progress("reading disks and their backups"):
        selection = select_accounts(account, flags)
        raw = RawItems(selection.settings.api) if output == "json" else None
        reports, errors, unread = _list_all(selection, filters, raw)
    if errors and not unread and len(errors) == len(selection.accounts):
        raise errors[0]
    shown = [each for each in reports if not findings or not set(findings).isdisjoint(each.findings)]
    records = [_with_raw(disk_record(each), raw, "list_disks", each.disk.id) for each in worst_first(shown)] + unread
    if records or output != "table":
        click.echo(render(records, DISKS, output), nl=False)
    elif not errors:
        is_filtered = findings or any(value is not None for value in filters.values())
        click.echo("No disk fits." if is_filtered else "The API lists no disks.")
    for sentence in explain_not_understood(shown):
        warn(sentence)
    if errors and len(selection.accounts) == 1:
        raise errors[0]
    if errors:
        raise GigasError(f"{len(errors)} of {len(selection.accounts)} accounts could not be read")


def _with_raw(record: Record, raw: RawItems | None, operation: str, item_id: str) -> Record:
    return record if raw is None else {**record, "raw": raw.get(operation, item_id)}


def _only_raw(raw: RawItems | None, operation: str, table: Table, **owner: str) -> list[Record]:
    """Return the items of a list that is not accepted, as records."""
    items = [] if raw is None else raw.take_all(operation)
    return [{**dict.fromkeys(table.fields), **owner, "raw": item} for item in items]


def _warn_env_filters(names: Iterable[str]) -> None:
    """Say which filters come from the environment: a part must not pass for all."""
    for name in names:
        variable = env_var_used_for(name)
        if variable is not None:
            warn(f"only a part is shown, since {variable} is set")


def _list_all(
    selection: AccountSelection, filters: Mapping[str, Any], raw: RawItems | None
) -> tuple[list[DiskReport], list[GigasError], list[Record]]:
    """Return the disks of all accounts; one that cannot be read is said on stderr, and hides no other.

    The last are the items of lists that were not accepted.
    """
    reports: list[DiskReport] = []
    errors: list[GigasError] = []
    unread: list[Record] = []
    without_machine: list[NoMachineError] = []
    login_states = LoginStates()
    for each in selection.accounts:
        try:
            with ReadClient(
                selection.settings.api, each.credential, login_states=login_states, on_response=raw
            ) as client:
                reports.extend(_list_account(selection, each, client, filters, raw))
        except NoMachineError as error:
            without_machine.append(error)
        except GigasError as error:
            errors.append(error)
            unread += _only_raw(raw, "list_disks", DISKS, account_id=each.account.id)
            if len(selection.accounts) > 1:
                warn(f"account {each.account.id}: {error}")
    if without_machine and len(without_machine) + len(errors) == len(selection.accounts):
        raise without_machine[0]
    return reports, errors, unread


def _list_account(
    selection: AccountSelection,
    account: AccountSettings,
    client: ReadClient,
    filters: Mapping[str, Any],
    raw: RawItems | None,
) -> list[DiskReport]:
    account_id, machine = account.account.id, filters["virtual_machine_id"]
    if machine is not None:
        filters = {**filters, "virtual_machine_id": find_machine(client, account_id, machine)}
    try:
        disks = client.list_disks(account_id, **filters).items
        if raw is not None:
            raw.take_all("list_disks")
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise no_such_account(client, account_id) or error from None
        if error.status in _NOT_TAKEN and any(value is not None for value in filters.values()):
            words = f' ("{error.api_message}")' if error.api_message else ""
            given = " or ".join(_option(name, value) for name, value in filters.items() if value is not None)
            raise GigasError(
                f"{error.operation}: the API answered {error.status}{words}: it may not accept {given}"
                f" ({error.address})"
            ) from None
        raise
    if not disks and machine is not None:
        find_machine(client, account_id, machine, must_exist=True)
    are_all = all(value is None for value in filters.values())
    return report_disks(selection, account, client, disks, are_all=are_all)


def _option(name: str, value: object) -> str:
    """Return how a filter was given: by its variable or its option."""
    return env_var_used_for(name) or f"--{'no-' if value is False else ''}{name.replace('_', '-')}"


@click.command(cls=GroupedCommand, epilog="\b\nExample:\n  gigas-exporter disks show --account 4242 17")
@disk_argument
@output_option("table", "json", "yaml", "csv")
@account_options()
def show(disk: str, output: Format, account: str | None, **flags: Any) -> None:
    """Show all that is known of DISK, and the verdict on it."""
    selection, chosen = select_account(account, flags)
    raw = RawItems(selection.settings.api) if output == "json" else None
    with ReadClient(selection.settings.api, chosen.credential, on_response=raw) as client:
        found = get_disk(client, chosen.account.id, disk)
        (report,) = report_disks(selection, chosen, client, (found,))
    record = _with_raw(disk_record(report), raw, "get_disk", found.id)
    if output != "table":
        click.echo(render([record], DISKS, output), nl=False)
        return
    shown = {
        **record,
        "size_bytes": formatting.format_size(found.size_bytes),
        "last_backup_size_bytes": formatting.format_size(record["last_backup_size_bytes"]),
        "backup_age_seconds": report.age,
        "max_age_seconds": formatting.format_limit(report.requirement.max_age_seconds),
    }
    width = max(map(len, shown))
    for name, value in shown.items():
        if name not in {"severity", "findings", "not_understood"} and value not in {None, ""}:
            text = ("no", "yes")[value] if isinstance(value, bool) else formatting.escape_control_chars(str(value))
            title = name.removesuffix("_seconds").removesuffix("_bytes").replace("_", " ")
            click.echo(f"{title:<{width}}  {text}")


@click.command(cls=GroupedCommand, epilog="\b\nExample:\n  gigas-exporter disks backups --account 4242 17")
@disk_argument
@click.option("--min-disk-size", type=Gibibytes(), help="Only backups of at least this disk size.")
@output_option("table", "json", "yaml", "csv")
@account_options()
def backups(disk: str, min_disk_size: float | None, output: Format, account: str | None, **flags: Any) -> None:
    """List the backups of DISK, newest first."""
    _warn_env_filters(("min_disk_size",))
    selection, chosen = select_account(account, flags)
    raw = RawItems(selection.settings.api) if output == "json" else None
    with ReadClient(selection.settings.api, chosen.credential, on_response=raw) as client:
        get_disk(client, chosen.account.id, disk)
        try:
            size = size_for_api(min_disk_size, selection.settings.api.decoding.disk_size_unit)
            listing = client.list_disk_backups(chosen.account.id, disk, min_disk_size=size)
        except GigasError:
            if unread := _only_raw(raw, "list_disk_backups", BACKUPS, disk_id=disk):
                click.echo(render(unread, BACKUPS, output), nl=False)
            raise
    found = sorted(listing.items, key=lambda backup: backup.date_created or 0.0, reverse=True)
    wall = selection.clock.wall()
    records = [_with_raw(backup_record(each, wall), raw, "list_disk_backups", each.id) for each in found]
    if not records and output == "table":
        click.echo(f"Disk {disk} has no backup{'' if min_disk_size is None else ' that fits'}.")
        return
    click.echo(render(records, BACKUPS, output), nl=False)
