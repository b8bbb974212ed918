"""The three kinds of credential, and where their secrets come from.

A secret is checked when it is read: a line break or a control character inside would otherwise travel into a header
and from there into the text of an HTTP library's error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gigas_exporter.errors import ConfigError
from gigas_exporter.files import read_text
from gigas_exporter.secret import Secret

_MAX_SECRET_BYTES = 64 * 1024
_HEADER_CHARACTERS = 256  # those of Latin-1


class SecretSource(Protocol):
    """Where a secret comes from; it may change."""

    @property
    def origin(self) -> str:
        """Where it comes from, for error messages."""
        ...

    def read(self) -> Secret:
        """Return the secret as it is now.

        Raises:
            ConfigError: It cannot be read, or is no usable secret.
        """
        ...


@dataclass(frozen=True, slots=True)
class FixedSecret:
    """A secret that was given once; ``origin`` says where, for error messages, and makes no other secret of it."""

    secret: Secret
    origin: str = field(compare=False)

    def read(self) -> Secret:
        """Return the secret without the white space around it."""
        return _checked(self.secret.reveal(), self.origin)


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file that holds only a secret, read each time to allow rotation."""

    path: Path

    @property
    def origin(self) -> str:
        """The file, for error messages."""
        return f"secret file {self.path}"

    def read(self) -> Secret:
        """Return the file's text, stripped."""
        return _checked(read_text(self.path, self.origin, _MAX_SECRET_BYTES), self.origin)


@dataclass(frozen=True, slots=True)
class TokenCredential:
    """A session token made elsewhere, sent raw (Gigas docs, page Authentication); it cannot be renewed."""

    token: SecretSource


@dataclass(frozen=True, slots=True)
class ApiKeyCredential:
    """An API key, sent as ``Bearer`` (Gigas docs, page API Keys); it is never refreshed."""

    key: SecretSource


@dataclass(frozen=True, slots=True)
class LoginCredential:
    """A login and its password, which ``POST /token`` turns into session tokens (Gigas docs, page Authentication)."""

    login: str
    password: SecretSource


Credential = TokenCredential | ApiKeyCredential | LoginCredential


def fits_header(secret: Secret) -> bool:
    """Return whether a header can hold the secret."""
    return all(ord(character) < _HEADER_CHARACTERS for character in secret.reveal())


def _checked(text: str, origin: str) -> Secret:
    text = text.strip()
    if not text:
        raise ConfigError(f"{origin}: is empty")
    if not text.isprintable():
        raise ConfigError(f"{origin}: has a line break or invisible character inside; it must be one line of text")
    return Secret(text)
