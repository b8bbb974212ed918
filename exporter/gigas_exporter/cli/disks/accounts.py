"""Which account a ``disks`` command is about, and the client for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final, TypeVar

import click

from gigas_exporter import human, logs
from gigas_exporter.cli.options import QUIET, read_settings, settings_options
from gigas_exporter.clock import Budget, Clock, SystemClock
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.config.load import ACCOUNT_VARIABLES
from gigas_exporter.errors import ApiError, ConfigError, GigasError
from gigas_exporter.gigas import ReadClient
from gigas_exporter.inventory import AccountInventory, DisksReading, MachinesReading, StalenessLimits
from gigas_exporter.model import Account, Disk, VirtualMachine
from gigas_exporter.poller.account import with_requirements
from gigas_exporter.poller.backups import BackupsReader
from gigas_exporter.poller.discovery import discover
from gigas_exporter.report import DiskReport, report_account, worst_first

__all__ = [
    "AccountSelection",
    "account_options",
    "get_disk",
    "report_disks",
    "select_account",
    "select_accounts",
    "warn",
]

_ACCOUNT_ID: Final = "GIGAS_ACCOUNT_ID"
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class AccountSelection:
    """The settings of a command, and the accounts that it is about."""

    settings: Settings
    accounts: tuple[AccountSettings, ...]
    clock: Clock


def account_options(function: _F) -> _F:
    """Add ``--account`` and the options that say how the API is reached."""
    function = settings_options(("config", "api", "log"), without=("shard",), defaults=QUIET)(function)
    return click.option(
        "--account",
        metavar="ID",
        help="The account, by id or name; needed where there are several. [env: GIGAS_ACCOUNT_ID]",
    )(function)


def select_accounts(account: str | None, flags: Mapping[str, Any], *, offline: bool = False) -> AccountSelection:
    """Return the account that is asked for, or else all that are configured.

    Raises:
        ConfigError: The settings are wrong, or there is no such account.
    """
    settings, account = _settings_for(account, flags)
    logs.configure(settings.log.level, settings.log.format)
    clock = SystemClock()
    accounts = settings.accounts
    if settings.discovery is not None:
        credential = settings.discovery
        if account is not None:
            accounts = (AccountSettings(Account(account), credential),)
        elif offline:
            raise ConfigError("the accounts are known to the API alone: choose one with --account")
        else:
            with ReadClient(settings.api, credential) as client:
                accounts = discover(client, credential)
    elif account is not None:
        accounts = tuple(each for each in accounts if account in {each.account.id, each.account.name})
        if not accounts:
            known = ", ".join(each.account.id for each in settings.accounts)
            raise ConfigError(f"--account {account}: not among the configured accounts ({known})")
    return AccountSelection(settings, accounts, clock)


def select_account(
    account: str | None, flags: Mapping[str, Any], *, offline: bool = False
) -> tuple[AccountSelection, AccountSettings]:
    """Return the one account that a command acts on; ``offline`` asks nothing of the API for it.

    Raises:
        ConfigError: It is not clear which.
    """
    selection = select_accounts(account, flags, offline=offline)
    if len(selection.accounts) != 1:
        known = ", ".join(each.account.id for each in selection.accounts)
        raise ConfigError(
            f"there are several accounts ({known}): choose one with --account" if known else "there is no account"
        )
    return selection, selection.accounts[0]


def _settings_for(account: str | None, flags: Mapping[str, Any]) -> tuple[Settings, str | None]:
    """Return the settings, and which of their accounts is chosen.

    ``GIGAS_ACCOUNT_ID`` is the account itself where a variable holds its credential, else a choice among those of the
    configuration file, as ``--account`` is.
    """
    environ = dict(os.environ)
    if any(environ.get(name) for name in ACCOUNT_VARIABLES if name != _ACCOUNT_ID):
        if account is not None:
            environ[_ACCOUNT_ID] = account
    elif flags.get("config_file") or environ.get("GIGAS_CONFIG_FILE"):
        account = account or environ.get(_ACCOUNT_ID) or None
        environ.pop(_ACCOUNT_ID, None)
    return read_settings(flags, environ, defaults=QUIET), account


def get_disk(client: ReadClient, account_id: str, disk_id: str) -> Disk:
    """Return a disk.

    Raises:
        GigasError: It cannot be read, there is none, or the API took the id for that of another.
    """
    try:
        disk = client.get_disk(account_id, disk_id)
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise GigasError(f"account {account_id} has no disk {disk_id}") from None
        if error.status == HTTPStatus.FORBIDDEN:
            raise GigasError(f"account {account_id}, disk {disk_id}: the credential has no right to it (403)") from None
        raise
    if disk.id != disk_id:  # an API that reads 17x as 17 would have the wrong disk changed
        raise GigasError(f"asked for disk {disk_id}, the API answered with disk {disk.id}; nothing was done")
    return disk


def report_disks(
    selection: AccountSelection, account: AccountSettings, client: ReadClient, disks: tuple[Disk, ...]
) -> list[DiskReport]:
    """Return the verdict on some disks, worst first; what cannot be read of machines and backups is said on stderr."""
    clock, settings = selection.clock, selection.settings
    account_id = account.account.id
    began = clock.monotonic()
    inventory = AccountInventory(account.account, StalenessLimits(float("inf"), float("inf")))
    reading = DisksReading({disk.id: disk for disk in disks}, {disk.id: began for disk in disks}, began)
    inventory = replace(inventory, disks=reading)
    try:
        machines: tuple[VirtualMachine, ...] = client.list_virtual_machines(account_id).items
        by_id = {machine.id: machine for machine in machines}
        inventory = replace(inventory, machines=MachinesReading(by_id, clock.monotonic()))
    except GigasError as error:
        warn(f"account {account_id}: virtual machines are not named: {error}")
    reader = BackupsReader(
        client,
        account_id,
        # One disk is asked for by itself: a sweep of a large account for its sake would be long.
        "disk" if len(disks) == 1 else settings.poll.backups_source,
        settings.status_words,
        interval_seconds=settings.poll.backups_interval,
        concurrency=settings.api.max_concurrency,
        clock=clock,
    )
    try:
        poll = reader.read(lambda _: [disk.id for disk in disks], None, lambda seconds: Budget(clock, seconds))
        inventory = replace(inventory, backups=poll.reading)
    except GigasError as error:
        warn(f"account {account_id}: backups are not shown: {error}")
    inventory = with_requirements(inventory, settings.policy)
    return worst_first(report_account(inventory, wall=clock.wall(), monotonic=clock.monotonic()))


def warn(message: str) -> None:
    """Say on stderr what is missing from the answer."""
    click.echo(f"gigas-exporter: {human.printable(message)}", err=True)
