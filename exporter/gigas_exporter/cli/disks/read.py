"""``disks list``, ``show`` and ``backups``, which change nothing.

The API's raw items are shown without the fields whose names suggest a secret.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

import click

from gigas_exporter import formatting
from gigas_exporter.cli.accounts import account_options, no_such_account, select_account, select_accounts
from gigas_exporter.cli.disks.lookup import (
    NoDiskError,
    NoMachineError,
    disk_argument,
    find_machine,
    get_disk,
    report_disks,
)
from gigas_exporter.cli.messages import progress, warn
from gigas_exporter.cli.options import (
    FINDING,
    GIBIBYTES,
    NAME,
    GroupedCommand,
    env_var_used_for,
    output_option,
    size_for_api,
)
from gigas_exporter.cli.output import Format, Record, Table, render, render_json
from gigas_exporter.cli.records import DISKS, backups_table
from gigas_exporter.clock import SystemClock
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.decode import Decoder
from gigas_exporter.errors import ApiError, GigasError
from gigas_exporter.gigas import ApiRequest, ApiSettings, Listing, LoginStates, RawResponse, ReadClient
from gigas_exporter.model import Backup
from gigas_exporter.report import DiskReport, Finding, explain_not_understood, paging_doubts, worst_first

_FILTERS: Final = ("data_store_id", "virtual_machine_id", "is_swap", "mount_point", "data_store_group_id", "primary")
_FILTER_REJECTED: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
_SECRET: Final = re.compile(r"pass|pwd|token|secret|key|auth|credential|contrase|clave", re.IGNORECASE)


class _RawItems:
    """Collects the raw items of some operations, as the client's ``on_response``.

    Attributes:
        by_id: The readable items.
        all: All distinct items, including those without an id, by their JSON.
    """

    def __init__(self, settings: ApiSettings, *operations: str) -> None:
        decoder = Decoder(settings.decoding)
        self._operations = operations
        self._decode = decoder.backup if "list_disk_backups" in operations else decoder.disk
        self.by_id: dict[str, Any] = {}
        self.all: dict[str, Any] = {}

    def __call__(self, request: ApiRequest[Any], response: RawResponse) -> None:
        """Keep the items of a response."""
        if request.operation not in self._operations or response.status != HTTPStatus.OK:
            return
        try:
            body = json.loads(response.body.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return  # the client reports it
        for raw in body if isinstance(body, list) else [body]:
            value = _without_secrets(raw)
            self.all[json.dumps(value)] = value
            item = self._decode(raw, Counter())
            if item is not None:
                self.by_id[item.id] = value

    def as_records(self, table: Table[Any], **owner: str) -> list[Record]:
        """Return the items of a rejected list as records."""
        return [{**dict.fromkeys(table.fields), **owner, "raw": item} for item in self.all.values()]


def _without_secrets(value: Any) -> Any:
    """Return a value without the fields whose names suggest a secret."""
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
    "--virtual-machine-id", type=NAME, metavar="VM", help="Only disks of this virtual machine, by id or name."
)
@click.option("--is-swap/--no-is-swap", default=None, help="Only swap disks, or only others.")
@click.option("--mount-point", metavar="TEXT", help="Only disks whose mount point contains TEXT.")
@click.option("--data-store-group-id", metavar="ID", help="Only disks in this group of data stores.")
@click.option("--primary/--no-primary", default=None, help="Only primary disks of machines, or only the others.")
@click.option(
    "--finding",
    "findings",
    type=FINDING,
    multiple=True,
    help="Only disks with this finding, such as never_backed_up; repeatable.",
)
@output_option("table", "json", "yaml", "csv")
@account_options(help="Only this account, by id or name.")
def list_disks(*, findings: tuple[Finding, ...], output: Format, account: str | None, **flags: Any) -> None:
    """List disks and their findings, worst first.

    The API applies all filters but --finding.
    """
    filters = {name: flags.pop(name) for name in _FILTERS}
    _warn_env_filters((*filters, "findings"))
    with progress("reading disks and their backups"):
        settings, accounts = select_accounts(account, flags)
        raws = {each.account.id: _RawItems(settings.api, "list_disks") for each in accounts if output == "json"}
        reports, errors, unread = _list_all(settings, accounts, filters, raws)
    if errors and not unread and len(errors) == len(accounts):
        raise errors[0]
    shown = worst_first(each for each in reports if not findings or not set(findings).isdisjoint(each.findings))
    if output == "json":
        records = [{**DISKS.record(each), "raw": raws[each.account.id].by_id.get(each.disk.id)} for each in shown]
        click.echo(render_json([*records, *unread]), nl=False)
    elif shown or output != "table":
        click.echo(render(shown, DISKS, output), nl=False)
    elif not errors:
        is_filtered = findings or any(value is not None for value in filters.values())
        click.echo("No disk matches." if is_filtered else "The API lists no disks.")
    for sentence in explain_not_understood(shown):
        warn(sentence)
    if errors and len(accounts) == 1:
        raise errors[0]
    if errors:
        raise GigasError(f"{len(errors)} of {len(accounts)} accounts could not be read")


def _warn_env_filters(names: Iterable[str]) -> None:
    """Warn about filters that come from the environment."""
    for name in names:
        variable = env_var_used_for(name)
        if variable is not None:
            warn(f"{variable} is set, so only a part is shown")


def _list_all(
    settings: Settings,
    accounts: tuple[AccountSettings, ...],
    filters: Mapping[str, Any],
    raws: Mapping[str, _RawItems],
) -> tuple[list[DiskReport], list[GigasError], list[Record]]:
    """Return the disks of all accounts, the errors, and the raw items of rejected lists.

    Accounts that cannot be read do not hide the others. If there are several, each error is printed to stderr.
    """
    reports: list[DiskReport] = []
    errors: list[GigasError] = []
    unread: list[Record] = []
    without_machine: list[NoMachineError] = []
    login_states = LoginStates()
    for each in accounts:
        raw = raws.get(each.account.id)
        try:
            with ReadClient(settings.api, each.credential, login_states=login_states, on_response=raw) as client:
                reports.extend(_list_account(settings, each, client, filters))
        except NoMachineError as error:
            without_machine.append(error)
        except GigasError as error:
            errors.append(error)
            unread += [] if raw is None else raw.as_records(DISKS, account_id=each.account.id)
            if len(accounts) > 1:
                warn(f"account {each.account.id}: {error}")
    if without_machine and len(without_machine) + len(errors) == len(accounts):
        raise without_machine[0]
    return reports, errors, unread


def _list_account(
    settings: Settings, account: AccountSettings, client: ReadClient, filters: Mapping[str, Any]
) -> list[DiskReport]:
    account_id, machine = account.account.id, filters["virtual_machine_id"]
    if machine is not None:
        filters = {**filters, "virtual_machine_id": find_machine(client, account_id, machine)}
    is_filtered = any(value is not None for value in filters.values())
    try:
        if not is_filtered:
            return report_disks(settings, account, client)
        disks = client.list_disks(account_id, **filters).items
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise no_such_account(client, account_id) or error from None
        if error.status in _FILTER_REJECTED and is_filtered:
            words = f' ("{error.api_message}")' if error.api_message else ""
            given = " or ".join(_option(name, value) for name, value in filters.items() if value is not None)
            raise GigasError(
                f"{error.operation}: the API answered {error.status}{words}: it may not accept {given}"
                f" ({error.address})"
            ) from None
        raise
    if not disks and machine is not None:
        find_machine(client, account_id, machine, must_exist=True)
    return report_disks(settings, account, client, disks) if disks else []


def _option(name: str, value: object) -> str:
    """Return the variable or the option that set a filter."""
    return env_var_used_for(name) or f"--{'no-' if value is False else ''}{name.replace('_', '-')}"


@click.command(cls=GroupedCommand, epilog="\b\nExample:\n  gigas-exporter disks show --account 4242 17")
@disk_argument
@output_option("table", "json", "yaml", "csv")
@account_options()
def show(disk: str, output: Format, account: str | None, **flags: Any) -> None:
    """Show everything that is known about DISK, and its verdict."""
    settings, chosen = select_account(account, flags)
    raw = _RawItems(settings.api, "get_disk")
    what = f"reading disk {disk}, and the account's disks and backups"
    with progress(what), ReadClient(settings.api, chosen.credential, on_response=raw) as client:
        found = get_disk(client, chosen.account.id, disk)
        (report,) = report_disks(settings, chosen, client, (found,))
    record = DISKS.record(report)
    if output == "json":
        click.echo(render_json([{**record, "raw": raw.by_id.get(found.id)}]), nl=False)
        return
    if output != "table":
        click.echo(render([report], DISKS, output), nl=False)
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
@click.option("--min-disk-size", type=GIBIBYTES, help="Only backups of disks of at least this size.")
@output_option("table", "json", "yaml", "csv")
@account_options()
def backups(disk: str, min_disk_size: float | None, output: Format, account: str | None, **flags: Any) -> None:
    """List the backups of DISK, newest first.

    If DISK no longer exists, list the account's backups that name it.
    """
    _warn_env_filters(("min_disk_size",))
    settings, chosen = select_account(account, flags)
    raw = _RawItems(settings.api, "list_disk_backups", "list_backups")
    table = backups_table(SystemClock().wall())
    with ReadClient(settings.api, chosen.credential, on_response=raw) as client:
        size = size_for_api(min_disk_size, settings.api.decoding.disk_size_unit)
        try:
            listing = _read_backups(client, chosen.account.id, disk, size)
        except NoDiskError:
            raise
        except GigasError:
            if output == "json" and raw.all:
                click.echo(render_json(raw.as_records(table, disk_id=disk)), nl=False)
            raise
    found = sorted(listing.items, key=lambda backup: backup.date_created or 0.0, reverse=True)
    if headers := paging_doubts(listing.invalid):
        warn(f"the list of backups may be incomplete according to the header {' and '.join(headers)}")
    if others := sum(each.disk_id not in {None, disk} for each in found):
        warn(
            f"{formatting.format_count(others, 'backup')} {'names' if others == 1 else 'name'} a disk other than {disk}"
        )
    if output == "json":
        click.echo(render_json([{**table.record(each), "raw": raw.by_id.get(each.id)} for each in found]), nl=False)
    elif found or output != "table":
        click.echo(render(found, table, output), nl=False)
    else:
        click.echo(f"The API lists no backup of disk {disk}{'' if min_disk_size is None else ' that matches'}.")


def _read_backups(client: ReadClient, account_id: str, disk: str, size: float | None) -> Listing[Backup]:
    """Return the list of a disk's backups; if the disk is gone, the account's backups that name it.

    Raises:
        GigasError: They cannot be read, or neither the disk nor a backup of it exists.
    """
    try:
        get_disk(client, account_id, disk)
    except NoDiskError as gone:
        with suppress(GigasError):  # the error about the disk says more
            listing = client.list_backups(account_id, min_disk_size=size)
            left = tuple(each for each in listing.items if disk in {each.disk_id, *each.disk_ids})
            if left:
                warn(f"account {account_id} no longer has disk {disk}; these backups still name it")
                return replace(listing, items=left)
        raise gone from None
    return client.list_disk_backups(account_id, disk, min_disk_size=size)
