"""The sections about accounts and credentials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationInfo, model_validator

from gigas_exporter.config.field_types import FilePath, FilledSection, Id, SecretText, Source, StatusWord, Text, key
from gigas_exporter.disclosure import may_be_secret
from gigas_exporter.errors import ConfigError
from gigas_exporter.gigas.credentials import (
    ApiKeyCredential,
    Credential,
    FixedSecret,
    LoginCredential,
    SecretFile,
    SecretSource,
    TokenCredential,
    fits_header,
)
from gigas_exporter.model import Account
from gigas_exporter.status_words import fold_status
from gigas_exporter.validation_errors import ConfigProblem, CrossKeyError

_SECRETS: Final = ("token", "api_key", "password")
_ENDED_STATUSES: Final = frozenset({"terminated", "cancelled", "canceled"})
_WORKING_DIRECTORY: Final = Source()


class CredentialSection(FilledSection):
    """Credential for the API: exactly one of `token`, `api_key`, or `login` with `password`.

    Each secret may be given here or, better, in a file of its own, named by the key that ends in `_file`. Such a file
    is read again when the API rejects the secret, and on reload, so that secrets can be rotated without a restart.
    """

    token: SecretText | None = key(None, "secret", "Session token, sent without a prefix. It cannot be renewed.")
    token_file: FilePath | None = key(None, "path", "File that holds the token.")
    api_key: SecretText | None = key(None, "secret", "API key, sent as Bearer. Gigas recommends this kind.")
    api_key_file: FilePath | None = key(None, "path", "File that holds the API key.")
    login: Text | None = key(None, "text", "E-mail address to log in with; session tokens are requested as needed.")
    password: SecretText | None = key(None, "secret", "Password of the login.")
    password_file: FilePath | None = key(None, "path", "File that holds the password.")

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> CredentialSection:
        if info.context is not None and (problems := _problems(self._given_keys(), info.context)):
            raise CrossKeyError(problems)
        return self

    def to_credential(self, path: str = "", source: Source = _WORKING_DIRECTORY) -> Credential:
        """Return the client's credential; ``path`` is its location in the file."""
        given = self._given_keys()
        (name,) = _secrets_in(given)
        origin = f"{path}.{name}" if path else source.name(name)
        secret: SecretSource = FixedSecret(given[name], origin) if name in given else SecretFile(given[f"{name}_file"])
        if name == "password":
            return LoginCredential(given["login"].strip(), secret)
        return TokenCredential(secret) if name == "token" else ApiKeyCredential(secret)

    def _given_keys(self) -> dict[str, Any]:
        return {name: value for name in CredentialSection.model_fields if (value := getattr(self, name)) is not None}


class AccountSection(CredentialSection):
    """An account to watch, with its credential: exactly one of `token`, `api_key`, or `login` with `password`."""

    id: Id = Field(description="The account's id, a number or text.", json_schema_extra={"kind": "id"})
    name: Text | None = key(None, "text", "What people call it; the label `name` of `gigas_account_info`.")


class DiscoveryFilter(FilledSection):
    """Which discovered accounts are watched. A status or product that is not known excludes no account."""

    status: list[StatusWord] | None = key(
        None, "list of text", "Statuses of the accounts to watch; without it, all but terminated and cancelled ones."
    )
    product_id: list[Id] | None = key(None, "list of ids", "Products of the accounts to watch; without it, all.")

    def excludes(self, account: Account) -> bool:
        """Return whether the account is not watched."""
        status = None if account.status is None else fold_status(account.status)
        if status is not None and (status not in self.status if self.status else status in _ENDED_STATUSES):
            return True
        return account.product_id is not None and account.product_id not in (self.product_id or {account.product_id})


def _secrets_in(given: Mapping[str, Any]) -> list[str]:
    return [name for name in _SECRETS if name in given or f"{name}_file" in given]


def _problems(given: Mapping[str, Any], source: Source) -> list[ConfigProblem]:
    problems = [
        f"{source.name(secret)} and {source.name(f'{secret}_file')} are both given; keep one"
        for secret in _SECRETS
        if secret in given and f"{secret}_file" in given
    ]
    if problem := _wrong_kind(given, source):
        problems.append(problem)
    if problems:
        return [ConfigProblem((), problem) for problem in problems]
    (name,) = _secrets_in(given)
    given_as = name if name in given else f"{name}_file"
    try:
        _check_secret(name, given[given_as], source)
    except ConfigError as error:
        return [ConfigProblem((given_as,), str(error))]
    return []


def _wrong_kind(given: Mapping[str, Any], source: Source) -> str | None:
    """Return why this is not exactly one credential."""
    token, key, login, password, password_file = map(
        source.name, ("token", "api_key", "login", "password", "password_file")
    )
    has_password = "password" in given or "password_file" in given
    kinds = [source.name(kind) for kind in _secrets_in(given) if kind != "password"]
    if "login" in given or has_password:
        kinds.append(login if "login" in given else password)
    if len(kinds) > 1:
        return f"{' and '.join(kinds)} are different kinds of credential; keep one"
    if not kinds:
        return f"no credential: give one of {token}, {key}, or {login} with {password}, or a file with the secret"
    if "login" in given and not has_password:
        return f"{login} needs {password} or {password_file}"
    if has_password and "login" not in given:
        return f"{password} needs {login}"
    return None


def _check_secret(name: str, given: Any, source: Source) -> None:
    """Read a secret once; all but passwords must fit an HTTP header.

    Raises:
        ConfigError: It cannot be read or sent.
    """
    prefix = ""
    if isinstance(given, Path):
        if may_be_secret(given, source.directory):
            raise ConfigError(f"there is no such file; the secret itself goes under {source.name(name)}")
        secret, prefix = SecretFile(given).read(), f"secret file {given}: "
    else:
        try:
            secret = FixedSecret(given, "").read()
        except ConfigError as error:
            raise ConfigError(str(error).removeprefix(": ")) from None
    if name != "password" and not fits_header(secret):
        raise ConfigError(f"{prefix}has a character that no HTTP header can hold, such as a typographic quote")
