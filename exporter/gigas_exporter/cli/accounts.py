"""Select a command's accounts, by id or name.

The candidates are the configured accounts or, with discovery, those that the API lists.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import click

from gigas_exporter import formatting, logs
from gigas_exporter.cli.options import NAME, QUIET, F, compose, read_settings, settings_options
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.config.flags import ACCOUNT_ID
from gigas_exporter.config.parsers import parse_id
from gigas_exporter.errors import ApiError, AuthError, ConfigError, GigasError, IncompleteError
from gigas_exporter.gigas import Credential, ReadClient
from gigas_exporter.model import Account
from gigas_exporter.poller.account_source import discover

_SHOWN: Final = 20
_WITHOUT_LIST: Final = frozenset({403, 404, 405, 501})


def account_options(help: str = "Account id or name; required if there are several.") -> Callable[[F], F]:  # noqa: A002  # as in click
    """Return a decorator that adds ``--account`` and the options of the API."""
    settings = settings_options(("config", "api", "log"), without=("shard",), defaults=QUIET)
    return compose(account_option(help=help), settings)


def account_option(*names: str, help: str, multiple: bool = False) -> Callable[[F], F]:  # noqa: A002  # as in click
    """Return a decorator that adds ``--account``."""
    text = f"{help} [env: {ACCOUNT_ID}]"
    return click.option("--account", *names, type=NAME, metavar="ACCOUNT", multiple=multiple, help=text)


def account_settings(asked: Collection[str], flags: Mapping[str, Any]) -> Settings:
    """Load the settings and configure logging; ``--account`` overrides ``GIGAS_ACCOUNT_ID``.

    With ``--account`` and a credential from the environment, the candidates are the accounts that it may see.
    """
    environ = dict(os.environ)
    if asked:
        environ.pop(ACCOUNT_ID, None)
    settings = read_settings(flags, environ, defaults=QUIET, needs_account=not asked)
    logs.configure(settings.log.level, settings.log.format)
    return settings


def find_accounts(settings: Settings, asked: Collection[str]) -> tuple[AccountSettings, ...]:
    """Return the accounts with these ids or names; all if none is asked for.

    Raises:
        ConfigError: An account does not exist; the message names those that do.
        GigasError: The accounts could not be listed.
    """
    credential = settings.discovery
    if credential is None:
        return choose_accounts(settings.accounts, asked)
    with ReadClient(settings.api, credential) as client:
        listed: tuple[AccountSettings, ...] = ()
        list_error: GigasError | None = None
        try:
            listed, _ = discover(client, credential)
        except GigasError as error:
            if not asked or not _may_be_unlisted(error, asked):
                raise
            list_error = error
        return choose_accounts(listed, asked, lambda given: _unlisted(client, credential, given, listed, list_error))


def choose_accounts(
    accounts: tuple[AccountSettings, ...],
    asked: Collection[str],
    unlisted: Callable[[str], AccountSettings] | None = None,
) -> tuple[AccountSettings, ...]:
    """Return the accounts with these ids or, failing that, names; all if none is asked for.

    ``unlisted`` returns an account that is not among ``accounts``, or raises.

    Raises:
        ConfigError: An account does not exist; the message names those that do.
    """
    if not asked:
        return accounts
    chosen: dict[str, AccountSettings] = {}
    for given in asked:
        found = [each for each in accounts if each.account.id == given]
        found = found or [each for each in accounts if each.account.name == given]
        if not found:
            if unlisted is None:
                raise _no_account(given, [each.account for each in accounts])
            found = [unlisted(given)]
        chosen |= {each.account.id: each for each in found}
    return tuple(chosen.values())


def _may_be_unlisted(error: GigasError, asked: Collection[str]) -> bool:
    """Return whether the accounts may exist although listing them failed.

    A credential may be allowed to read an account but not to list accounts; the list may also be empty, or have no
    readable id. After a temporary error, only the account of GIGAS_ACCOUNT_ID is used, because it needs no list.
    """
    if _is_without_list(error) or isinstance(error, IncompleteError) or type(error) is GigasError:
        return True
    return set(asked) == {os.environ.get(ACCOUNT_ID)} and not isinstance(error, AuthError)


def _is_without_list(error: GigasError) -> bool:
    """Return whether the API never lists accounts for the credential."""
    return isinstance(error, ApiError) and error.status in _WITHOUT_LIST


def _unlisted(
    client: ReadClient,
    credential: Credential,
    given: str,
    listed: tuple[AccountSettings, ...],
    list_error: GigasError | None,
) -> AccountSettings:
    """Return an account that is not listed but may be readable.

    Raises:
        GigasError: The account does not exist; ``list_error`` if listing failed.
    """
    try:
        account = Account(parse_id(given))
    except ValueError:
        raise list_error or _no_account(given, [each.account for each in listed]) from None
    if (error := no_such_account(client, given)) is not None:
        raise list_error or error
    return AccountSettings(account, credential)


def select_accounts(account: str | None, flags: Mapping[str, Any]) -> tuple[Settings, tuple[AccountSettings, ...]]:
    """Return the settings, and the given account or all accounts.

    Raises:
        ConfigError: The settings are invalid, or the account does not exist.
        GigasError: The accounts could not be listed.
    """
    asked = () if account is None else (account,)
    settings = account_settings(asked, flags)
    return settings, find_accounts(settings, asked)


def select_account(account: str | None, flags: Mapping[str, Any]) -> tuple[Settings, AccountSettings]:
    """Return the settings, and the one account that a command acts on.

    Raises:
        ConfigError: There are several accounts, or none.
    """
    settings, accounts = select_accounts(account, flags)
    if len(accounts) != 1:
        known = _known(each.account for each in accounts)
        raise ConfigError(
            f"there are several accounts ({known}): choose one with --account" if known else "there is no account"
        )
    return settings, accounts[0]


def no_such_account(client: ReadClient, account_id: str) -> GigasError | None:
    """Return the error for an account that does not exist, else ``None``.

    Call it after a 404. It lists the account's disks, and then the accounts, to name them in the message.
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
    except GigasError as error:
        if not _is_without_list(error):
            return error
        known = []
    if any(each.id == account_id for each in known):
        return GigasError(f"account {account_id}: the API has no list of its disks (404); it may be another product")
    return _no_account(account_id, known)


def _no_account(given: str, known: Iterable[Account]) -> ConfigError:
    accounts = list(known)
    names = [text for each in accounts for text in (each.id, each.name) if text]
    listed = f" (accounts: {_known(accounts)})" if accounts else ""
    return ConfigError(f"account {given}: no such account{formatting.did_you_mean(given, names)}{listed}")


def _known(accounts: Iterable[Account]) -> str:
    shown = [f"{each.id} ({each.name})" if each.name else each.id for each in accounts]
    rest = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + rest
