"""The ``Authorization`` header: two ways to send a token, and what is pasted along."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gigas_exporter.errors import ConfigError
from gigas_exporter.gigas.credentials import fits_header
from gigas_exporter.gigas.login import Scheme
from gigas_exporter.secret import Secret

# A key may begin with any of these characters; what is left out must be followed by what no key has.
_PASTED = re.compile(
    r"(?:(?:-H|--header)(?:\s+|=|(?=[\"']|authorization\s*:)))?"
    r"(?:(?P<quote>[\"'])(?=.+(?P=quote)$|authorization\s*:|bearer\s))?"
    r"(?:authorization\s*:\s*)?(?:bearer\s+)?(?=.)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class AuthHeader:
    """A header's value, and a number unique to it."""

    value: Secret
    generation: int


def other_scheme(scheme: Scheme) -> Scheme:
    """Return the other way to send a token."""
    return "bearer" if scheme == "raw" else "raw"


def without_scheme(secret: Secret) -> Secret:
    """Return a token or key without the header, scheme and quotes pasted along."""
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
    return secret if scheme == "raw" else Secret(f"Bearer {secret.reveal()}")
