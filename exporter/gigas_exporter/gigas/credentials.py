"""The three kinds of credential, and their secrets.

A secret is checked when it is read: a line break or control character in it would otherwise get into a header, and from
there into the text of an HTTP library's error.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Literal

from gigas_exporter.clock import Deadline
from gigas_exporter.errors import ConfigError
from gigas_exporter.files import read_text
from gigas_exporter.secret import Secret

Scheme = Literal["raw", "bearer"]
"""How a token is sent: as it is, or after ``Bearer``."""

_MAX_SECRET_BYTES = 64 * 1024
_HEADER_CHARACTERS = 256  # those of Latin-1


@dataclass(frozen=True, slots=True)
class FixedSecret:
    """A secret that was given as a value; ``origin`` says where."""

    secret: Secret
    origin: str = field(compare=False)

    def read(self) -> Secret:
        """Return the secret without the white space around it.

        Raises:
            ConfigError: It is empty, or not one line of printable text.
        """
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
        """Return the file's present text without the white space around it.

        Raises:
            ConfigError: It cannot be read, is empty, or is not one line of printable text.
        """
        return _checked(read_text(self.path, self.origin, _MAX_SECRET_BYTES), self.origin)


SecretSource = FixedSecret | SecretFile


@dataclass(frozen=True, slots=True)
class TokenCredential:
    """A session token, sent raw, never renewed (Gigas docs, Authentication)."""

    token: SecretSource


@dataclass(frozen=True, slots=True)
class ApiKeyCredential:
    """An API key (Gigas docs, page API Keys), sent as ``Bearer``, never refreshed."""

    key: SecretSource


@dataclass(frozen=True, slots=True)
class LoginCredential:
    """A login and its password, for session tokens (Gigas docs, page Authentication)."""

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


# A key may itself begin like this; so a prefix must be followed by a character that no key has.
_PASTED = re.compile(
    r"(?:(?:-H|--header)(?:\s+|=|(?=[\"']|authorization\s*:)))?"
    r"(?:(?P<quote>[\"'])(?=.+(?P=quote)$|authorization\s*:|bearer\s))?"
    r"(?:authorization\s*:\s*)?(?:bearer\s+)?(?=.)",
    re.IGNORECASE,
)


def other_scheme(scheme: Scheme) -> Scheme:
    """Return the other way to send a token."""
    return "bearer" if scheme == "raw" else "raw"


def without_scheme(secret: Secret) -> Secret:
    """Return a secret without the header name, scheme and quotes pasted with it."""
    text = secret.reveal()
    match = _PASTED.match(text)
    if match is None or not match[0]:
        return secret
    rest = text[match.end() :]
    return Secret(rest.removesuffix(match["quote"] or ""))


def header_value(scheme: Scheme, secret: Secret) -> Secret:
    """Return the header's value for a token or key.

    Raises:
        ConfigError: It has characters that no header can hold.
    """
    if not fits_header(secret):
        raise ConfigError("the token or API key has characters that no HTTP header can hold")
    return Secret(secret.reveal() if scheme == "raw" else f"Bearer {secret.reveal()}")


class SecretAuth:
    """A fixed token or an API key.

    Args:
        kind: What it is, for error messages.
        is_scheme_fixed: Whether the other scheme is never tried.
    """

    def __init__(self, source: SecretSource, kind: str, scheme: Scheme, *, is_scheme_fixed: bool) -> None:
        self._source = source
        self._kind = kind
        self._first_scheme: Scheme = scheme
        self._scheme: Scheme = scheme
        self._is_scheme_fixed = is_scheme_fixed
        self._lock = threading.Lock()
        self._secret: Secret | None = None
        self._header: Secret | None = None
        self._must_read = True
        self._rejected_schemes: set[Scheme] = set()

    @property
    def secret_name(self) -> str:
        """The secret to check or replace, for error messages."""
        return f"the {self._kind} in {self._source.origin}"

    def header(self, deadline: Deadline) -> Secret:
        """Return the header's value, the same object until it changes."""
        del deadline  # a file is read without waiting
        with self._lock:
            if self._must_read:
                self._read()
            assert self._header is not None  # noqa: S101  (narrows the type)
            return self._header

    def on_success(self, used: Secret) -> None:
        """Note that the API accepts the scheme."""
        with self._lock:
            if used is self._header:
                self._is_scheme_fixed = True
                self._rejected_schemes = set()

    def on_rejected(self, used: Secret, status: int, deadline: Deadline) -> bool:
        """Return whether to repeat the request with a new ``header()``.

        It reads the secret again. If that is the same, it switches to the other scheme unless one was accepted before.
        """
        del deadline
        with self._lock:
            is_other_untried = not self._rejected_schemes
            if used is not self._header:
                return is_other_untried or len(self._rejected_schemes) == 1
            if self._read():
                return True
            if self._secret is None or self._is_scheme_fixed or status != HTTPStatus.UNAUTHORIZED:
                return False
            # Once both were rejected, requests use them in turn: the API may have rejected everything for a while.
            self._rejected_schemes = {*self._rejected_schemes, self._scheme}
            self._scheme = other_scheme(self._scheme)
            self._header = header_value(self._scheme, self._secret)
            return is_other_untried

    def reload(self) -> None:
        """Read the secret again before the next request."""
        self._must_read = True

    def _read(self) -> bool:
        """Read the secret; return whether it has changed."""
        secret = without_scheme(self._source.read())
        header_value(self._scheme, secret)
        self._must_read = False
        if secret == self._secret:
            return False
        self._secret = secret
        if not self._is_scheme_fixed:
            self._scheme, self._rejected_schemes = self._first_scheme, set()
        self._header = header_value(self._scheme, secret)
        return True
