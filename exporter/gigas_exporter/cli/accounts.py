"""Which accounts a command is about.

Owns the choice among the accounts of the configuration, or of the API where they are discovered, by id or name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeVar

import click

from gigas_exporter import formatting, logs
from gigas_exporter.cli.options import QUIET, read_settings, settings_options
from gigas_exporter.clock import Clock, SystemClock
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.config.load import ACCOUNT_VARIABLES
from gigas_exporter.errors import ApiError, ConfigError, GigasError
from gigas_exporter.gigas import ReadClient
from gigas_exporter.model import Account
from gigas_exporter.poller.account_source import discover

__all__ = [
    "AccountSelection",
    "account_options",
    "account_settings",
    "choose_account",
    "no_such_account",
    "select_account",
    "select_accounts",
]

_ACCOUNT_ID: Final = "GIGAS_ACCOUNT_ID"
_SHOWN: Final = 20
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class AccountSelection:
    """A command's settings, and the accounts it is about."""

    settings: Settings
    accounts: tuple[AccountSettings, ...]
    clock: Clock


def account_options(function: _F) -> _F:
    """Add ``--account`` and the options of the API."""
    function = settings_options(("config", "api", "log"), without=("shard",), defaults=QUIET)(function)
    return click.option(
        "--account",
        metavar="ACCOUNT",
        help="The account, by id or name; needed where there are several. [env: GIGAS_ACCOUNT_ID]",
    )(function)


def account_settings(account: str | None, flags: Mapping[str, Any]) -> tuple[Settings, str | None]:
    """Return the settings and the chosen account.

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


def select_accounts(account: str | None, flags: Mapping[str, Any]) -> AccountSelection:
    """Return the account asked for, or all accounts.

    Raises:
        ConfigError: The settings are wrong, or there is no such account.
        GigasError: The accounts could not be listed.
    """
    settings, account = account_settings(account, flags)
    logs.configure(settings.log.level, settings.log.format)
    accounts = settings.accounts
    if settings.discovery is not None:
        try:
            with ReadClient(settings.api, settings.discovery) as client:
                accounts, _ = discover(client, settings.discovery)
        except ApiError:
            # A credential may be allowed to read an account and not to list them.
            if account is None:
                raise
            accounts = (AccountSettings(Account(account), settings.discovery),)
    return AccountSelection(settings, choose_account(accounts, account), SystemClock())


def select_account(account: str | None, flags: Mapping[str, Any]) -> tuple[AccountSelection, AccountSettings]:
    """Return the one account that a command acts on.

    Raises:
        ConfigError: It is not clear which.
    """
    selection = select_accounts(account, flags)
    if len(selection.accounts) != 1:
        known = _known(each.account for each in selection.accounts)
        raise ConfigError(
            f"there are several accounts ({known}): choose one with --account" if known else "there is no account"
        )
    return selection, selection.accounts[0]


def choose_account(accounts: tuple[AccountSettings, ...], account: str | None) -> tuple[AccountSettings, ...]:
    """Return the account with an id or else a name, or all where none is asked for.

    Raises:
        ConfigError: There is none; the message names those that there are.
    """
    if account is None:
        return accounts
    chosen = [each for each in accounts if each.account.id == account] or [
        each for each in accounts if each.account.name == account
    ]
    if not chosen:
        raise ConfigError(_no_account(f"--account {account}", account, [each.account for each in accounts]))
    return tuple(chosen)


def no_such_account(client: ReadClient, account_id: str) -> GigasError | None:
    """Return the error for an account that the API does not know, ``None`` where it may be another thing.

    For use after a 404: asks for the disks, and for the accounts so as to name those that there are.
    """
    try:
        client.list_disks(account_id)
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            return None
    except GigasError:
        return None
    else:
        return None
    try:
        known = list(client.list_accounts().items)
    except GigasError:
        known = []
    if any(each.id == account_id for each in known):
        return GigasError(f"account {account_id}: the API has no list of its disks (404); it may be another product")
    return GigasError(_no_account(f"account {account_id}", account_id, known))


def _no_account(subject: str, given: str, known: Iterable[Account]) -> str:
    accounts = list(known)
    names = [text for each in accounts for text in (each.id, each.name) if text]
    listed = f" (there are: {_known(accounts)})" if accounts else ""
    return f"{subject}: no such account{formatting.did_you_mean(given, names)}{listed}"


def _known(accounts: Iterable[Account]) -> str:
    shown = [f"{each.id} ({each.name})" if each.name else each.id for each in accounts]
    rest = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + rest
