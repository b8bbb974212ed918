"""The fields of a list's items: their forms, and what is not understood.

Owns which fields the exporter reads, and what may be shown of a value: its type and form, never its content. Dates are
shown as patterns, ids as lengths, a status only if it is a short word, and a key only if this project knows it.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gigas_exporter.decode import FIELDS as DECODED_FIELDS
from gigas_exporter.decode import STATE_FIELDS, Decode, Decoder
from gigas_exporter.formatting import format_count
from gigas_exporter.gigas import ApiSettings
from gigas_exporter.model import Backup
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
_KNOWN_KEYS: Final = DECODED_FIELDS | parse_words(
    "id, name, href, label, state, status, data, items, disk, disks, backup, backups,"
    " virtual_machine, virtual_machines, account, accounts"
)
_MANY: Final = 100  # digits; str() rejects numbers with thousands of them
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
    """Return whether a date of this form has a zone, or needs none."""
    return form.startswith("number") or re.search(r"(?:[Zz]|UTC|GMT|[+-]99:?99)$|^9+(?:\.9+)?$", form) is not None


def known_key(key: str) -> str:
    """Return a key that this project knows; of another, which may be personal, only the length."""
    return key if key in _KNOWN_KEYS else f"a key of {format_count(len(key), 'character')}"


def _keys(value: Mapping[str, object]) -> str:
    """Return an object's known keys, and the number of the others."""
    known = sorted(value.keys() & _KNOWN_KEYS)
    others = [known_key(key) for key in value if key not in _KNOWN_KEYS]
    return ", ".join([*known, *(others if len(others) <= 1 else [f"{len(others)} keys"])])


def safe_word(text: str) -> str | None:
    """Return a status word that may be shown, else ``None``."""
    return text if _WORD.fullmatch(text) else None


def safe_name(name: str) -> str | None:
    """Return a field's name that may be shown, else ``None``."""
    return name if _NAME.fullmatch(name) else None


_KINDS: Final[Mapping[FieldKind, tuple[str, ...]]] = {
    "id": ("id", "disk_id", "virtual_machine_id", "data_store_id", "data_store_group_id", "template_id", "product_id"),
    "size": ("disk_size", "backup_size"),
    "flag": ("error", "locked", "is_swap", "autobackup", "add_to_linux_fstab", "built", "primary", "suspended"),
    "date": ("created_at", "updated_at", "date_created"),
    "status": ("status",),
    "choice": ("type", "backup_type"),
    "text": ("mount_point", "label", "hostname", "domain", "api_url", "operating_system", "operating_system_distro"),
}
_KIND_OF: Final = {name: kind for kind, names in _KINDS.items() for name in names}
_BACKUP: Final = (
    *("id", "disk_id", "date_created", "status", "operating_system", "operating_system_distro", "template_id"),
    *("backup_size", "locked", "backup_type", "built", "error", "virtual_machine_id"),
)
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "accounts": ("id", "domain", "status", "product_id", "api_url"),
    "disks": (
        *("id", "virtual_machine_id", "disk_size", "status", "error", "locked", "is_swap", "autobackup", "mount_point"),
        *("add_to_linux_fstab", "data_store_id", "data_store_group_id", "created_at", "updated_at"),
    ),
    "virtual_machines": ("id", "label", "hostname", "type", "status"),
    "backups": _BACKUP,
    "disk_backups": _BACKUP,
}
"""The fields that the exporter reads, by list."""

DECIDING: Final[Mapping[str, frozenset[str]]] = {
    "disks": frozenset({"id", "error", "autobackup", "is_swap", "mount_point", "virtual_machine_id"}),
    "backups": frozenset({"id", "disk_id", "date_created", "status"}),
    "disk_backups": frozenset({"id", "date_created", "status"}),
    "virtual_machines": frozenset({"id", "label"}),
    "accounts": frozenset({"id"}),
}
"""The fields that a verdict needs, by list. An item without one is reported."""

_NAMES_SHOWN: Final = 40


def decoders(settings: ApiSettings, wall: float) -> Mapping[str, Decode[Any]]:
    """Return the decoder of each list's items, at ``wall`` (UNIX seconds)."""
    decoder = Decoder(settings.decoding)

    def backup(raw: object, invalid: Counter[str], latest: float = wall) -> Backup | None:
        counts: Counter[str] = Counter()
        item = decoder.backup(raw, counts, latest)
        if item is not None and item.date_created is not None:  # in the future, which is reported separately
            del counts["date_created"]
        invalid.update(counts)
        return item

    return {
        "accounts": decoder.account,
        "disks": decoder.disk,
        "virtual_machines": decoder.virtual_machine,
        "backups": backup,
        "disk_backups": backup,
    }


Problem = dict[str, Any]
"""A problem, as :func:`problem_of` returns it."""


def problem_of(
    list_name: str, field_name: str | None, text: str, setting: str = "", *, unreadable: bool = False
) -> Problem:
    """Return a problem in its JSON form; the caller adds the account's number.

    Args:
        list_name: The list.
        field_name: The field, if the problem is about one.
        text: The problem, without any value of the API.
        setting: What to change; empty if nothing can be changed.
        unreadable: Whether a list could not be read.
    """
    place = {"account": None, "list": list_name, "field": field_name}
    return {**place, "problem": text, "try": setting, "unreadable": unreadable}


@dataclass(slots=True)
class Field:
    """A field in all items of a list.

    Attributes:
        used: Whether the exporter reads it.
        present: How many items have it.
        forms: How often each form of its values occurs.
        not_understood: How many of its values are not understood.
    """

    name: str
    kind: FieldKind
    used: bool
    present: int = 0
    forms: Counter[str] = field(default_factory=Counter)
    not_understood: int = 0


def survey_fields(list_name: str, items: Iterable[object], decode: Decode[Any]) -> tuple[dict[str, Field], int, int]:
    """Return the fields by name, and the numbers of hidden names and non-objects."""
    known = FIELDS[list_name]
    fields = {name: Field(name, _KIND_OF[name], used=True) for name in known}
    hidden: set[str] = set()
    strange = 0
    for item in items:
        invalid: Counter[str] = Counter()
        decode(item, invalid)
        for name, count in invalid.items():
            if name in STATE_FIELDS:
                fields.setdefault(name, Field(name, "unknown", used=True)).used = True
            if name in fields:
                fields[name].not_understood += count
        if not isinstance(item, dict):
            strange += 1
            continue
        for name, value in item.items():
            if name not in fields and (safe_name(name) is None or len(fields) >= _NAMES_SHOWN + len(known)):
                hidden.add(name)
                continue
            each = fields.setdefault(name, Field(name, _KIND_OF.get(name, "unknown"), used=False))
            each.present += 1
            each.forms[form_of(value, each.kind)] += 1
    return fields, len(hidden), strange


def similar_field(name: str, fields: Mapping[str, Field]) -> str | None:
    """Return a field of the API that may be ours under another name."""
    others = [other for other in fields if not fields[other].used]
    containing = [other for other in others if name.replace("is_", "") in other.lower()]
    near = difflib.get_close_matches(name, others, n=1, cutoff=0.6)
    return next(iter([*containing, *near]), None)
