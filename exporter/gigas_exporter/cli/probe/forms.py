"""Describe JSON values without their content.

Owns what may be shown of a value: its type and form, never what it says. Dates show as patterns, ids as their length,
a status as its word only where that is short and has nothing but letters, a key only where this project knows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from gigas_exporter.decode import FIELDS
from gigas_exporter.formatting import format_count
from gigas_exporter.status_words import parse_words

FieldKind = Literal["id", "size", "flag", "date", "status", "choice", "text", "unknown"]

_WORD: Final = re.compile(r"[A-Za-z _-]{1,32}")
_NAME: Final = re.compile(r"[A-Za-z_]{1,38}[0-9]{0,2}")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_SIZE: Final = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)( ?)([KMGTP]?i?B?)", re.ASCII)
_LETTERS: Final = re.compile(r"[A-Za-z]+")
_DATE: Final = re.compile(r"[A-Za-z0-9:.,/+ -]{1,40}", re.ASCII)
_FLAGS: Final = frozenset(
    {"true", "false", "yes", "no", "on", "off", "t", "f", "y", "n", "enabled", "disabled", "0", "1"}
)
_DATE_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "Day"),
    **dict.fromkeys(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], "Mon"),
    **{word: word for word in ("T", "t", "Z", "z", "UTC", "GMT")},
}
_CHOICES: Final = frozenset(
    {"gigas", "gigas-automatic", "standard", "autoscaled", "balancer", "balancer_failover", "firewall"}
)
_KNOWN_KEYS: Final = FIELDS | parse_words(
    "id, name, href, label, state, status, data, items, disk, disks, backup, backups,"
    " virtual_machine, virtual_machines, account, accounts"
)
_MANY: Final = 100  # digits; Python refuses to write numbers of thousands of them
_LARGEST: Final = 10**_MANY


def form_of(value: object, kind: FieldKind) -> str:
    """Return a value's form, such as ``number, 5 digits``."""
    form = "null"
    match value:
        case bool():
            form = "true" if value else "false"
        case int():
            form = _number_form(value, kind)
        case float():
            form = "number with a fraction"
        case str():
            form = _text_form(value, kind)
        case list():
            form = "list" if value else "empty list"
        case dict():
            form = f"object with {_keys(value)}" if value else "empty object"
    return form


def _number_form(value: int, kind: FieldKind) -> str:
    if kind == "flag" and value in {0, 1}:
        return str(value)
    if kind not in {"id", "date"}:
        return "number"
    digits = len(str(abs(value))) if abs(value) < _LARGEST else _MANY
    return f"number, {format_count(digits, 'digit')}"


def _text_form(text: str, kind: FieldKind) -> str:
    stripped = text.strip()
    form = _length(text)
    if not stripped:
        form = "blank text" if text else "empty text"
    elif kind == "flag" and stripped.lower() in _FLAGS:
        form = f'text "{stripped}"' + (" with blanks around" if text != stripped else "")
    elif kind == "date":
        form = _date_form(text)
    elif kind == "size" and (found := _SIZE.fullmatch(text)):
        form = f"text of a number{found[2]}{found[3]}"
    elif kind == "id" and text.isascii() and text.isdigit():
        form = f"text of {len(text)} digits"
    elif kind == "id" and _UUID.fullmatch(text):
        form = "UUID"
    elif (kind == "status" and safe_word(text) is not None) or (kind == "choice" and text in _CHOICES):
        form = f'text "{text}"'
    elif kind in {"text", "unknown"}:
        form = "text"
    return form


def _length(text: str) -> str:
    return f"text, {len(text)} characters"


def _date_form(text: str) -> str:
    """Return a date with a 9 for each digit, else its length."""
    if not _DATE.fullmatch(text) or any(word not in _DATE_WORDS for word in _LETTERS.findall(text)):
        return _length(text)
    if not any(char.isdigit() for char in text):
        return _length(text)
    return re.sub(r"[0-9]", "9", _LETTERS.sub(lambda word: _DATE_WORDS[word[0]], text))


def has_zone(form: str) -> bool:
    """Return whether a date of this form needs no zone."""
    return form.startswith("number") or re.search(r"(?:[Zz]|UTC|GMT|[+-]99:?99)$|^9+(?:\.9+)?$", form) is not None


def known_key(key: str) -> str:
    """Return a key that this project knows, else its length: it may be a name."""
    return key if key in _KNOWN_KEYS else f"a key of {format_count(len(key), 'character')}"


def _keys(value: Mapping[str, object]) -> str:
    """Return an object's keys; of those not known, the number."""
    known = sorted(value.keys() & _KNOWN_KEYS)
    others = [known_key(key) for key in value if key not in _KNOWN_KEYS]
    return ", ".join([*known, *(others if len(others) <= 1 else [f"{len(others)} keys"])])


def safe_word(text: str) -> str | None:
    """Return a status word that may be shown, else ``None``."""
    return text if _WORD.fullmatch(text) else None


def safe_name(name: str) -> str | None:
    """Return a field's name that may be shown, else ``None``."""
    return name if _NAME.fullmatch(name) else None
