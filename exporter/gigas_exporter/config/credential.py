"""One credential out of what was given for it, in the file or in the environment: exactly one kind, and readable."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

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
from gigas_exporter.secret import Secret

__all__ = ["CREDENTIAL_KEYS", "make_credential", "variable_of"]

_SECRETS: Final = ("token", "api_key", "password")
CREDENTIAL_KEYS: Final = ("token", "token_file", "api_key", "api_key_file", "login", "password", "password_file")
"""What a credential is made from, as the file calls it."""


def variable_of(key: str) -> str:
    """Return the environment variable that gives the same as a key of the file."""
    return f"GIGAS_{key.upper()}"


def make_credential(given: Mapping[str, Secret | Path | str], path: str | None, directory: Path = Path()) -> Credential:
    """Return the credential that ``given`` makes; a secret file is read once, to see that it can be.

    Args:
        given: What was given, by the keys of :data:`CREDENTIAL_KEYS`.
        path: Where in the file it was given, such as ``accounts[0]``; ``None`` for the environment.
        directory: That from which relative names of files count.

    Raises:
        ConfigError: With every problem found.
    """
    place = _Place(path, directory)
    problems = [
        place.problem(f"{place.name(secret)} and {place.name(f'{secret}_file')} are both given; keep one")
        for secret in _SECRETS
        if secret in given and f"{secret}_file" in given
    ]
    if problem := _wrong_kind(given, place):
        problems.append(place.problem(problem))
    if problems:
        raise ConfigError("; ".join(problems), tuple(problems))
    if "login" in given:
        return LoginCredential(str(given["login"]).strip(), _source(given, "password", place))
    if "token" in given or "token_file" in given:
        return TokenCredential(_source(given, "token", place))
    return ApiKeyCredential(_source(given, "api_key", place))


class _Place:
    """How things are called where the credential was given."""

    def __init__(self, path: str | None, directory: Path) -> None:
        self._path = path
        self.directory = directory

    def name(self, key: str) -> str:
        return key if self._path is not None else variable_of(key)

    def origin(self, key: str) -> str:
        return variable_of(key) if self._path is None else f"{self._path}.{key}"

    def problem(self, words: str) -> str:
        return words if self._path is None else f"{self._path}: {words}"


def _wrong_kind(given: Mapping[str, object], place: _Place) -> str | None:
    """Return why what was given is not exactly one kind of credential."""
    token, key, login, password, password_file = map(
        place.name, ("token", "api_key", "login", "password", "password_file")
    )
    has_password = "password" in given or "password_file" in given
    kinds = [place.name(kind) for kind in ("token", "api_key") if kind in given or f"{kind}_file" in given]
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


def _source(given: Mapping[str, object], name: str, place: _Place) -> SecretSource:
    path = given.get(f"{name}_file")
    if isinstance(path, Path):
        file = SecretFile(path)
        origin = place.origin(f"{name}_file")
        if _may_be_secret(path, place.directory):
            raise ConfigError(f"{origin}: there is no such file; the secret itself belongs into {place.name(name)}")
        try:
            _check(name, file.read(), f"secret file {path}")
        except ConfigError as error:
            raise ConfigError(f"{origin}: {error}") from None
        return file
    secret = given[name]
    assert isinstance(secret, Secret)  # noqa: S101  (narrows the type)
    fixed = FixedSecret(secret, place.origin(name))
    _check(name, fixed.read(), fixed.origin)
    return fixed


def _may_be_secret(path: Path, directory: Path) -> bool:
    """Return whether a file that is not there may be a secret that was given in place of its file's name.

    Only what names a directory that there is, other than the root and the one from which names count, is none.
    """
    if os.access(path, os.F_OK):  # unlike Path.exists it takes names of any length
        return False
    return path.parent in {directory, Path("/")} or not os.access(path.parent, os.F_OK)


def _check(name: str, secret: Secret, origin: str) -> None:
    """Refuse what cannot be sent: all but passwords go into a header, and quotes of a text processor do not."""
    if name != "password" and not fits_header(secret):
        raise ConfigError(f"{origin}: has a character that no HTTP header can hold, such as a typographic quote")
