"""The fields of a list's items, and which values are not understood.

Owns what the exporter reads of each field, and which setting helps where it does not fit. It shows no value.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gigas_exporter.cli.probe.forms import FieldKind, form_of, safe_name
from gigas_exporter.decode import STATE_FIELDS, Decode, Decoder
from gigas_exporter.gigas import ApiSettings
from gigas_exporter.model import Backup

_DISK: Final[Mapping[str, FieldKind]] = {
    "id": "id",
    "virtual_machine_id": "id",
    "disk_size": "size",
    "status": "status",
    "error": "flag",
    "locked": "flag",
    "is_swap": "flag",
    "autobackup": "flag",
    "mount_point": "text",
    "add_to_linux_fstab": "flag",
    "data_store_id": "id",
    "data_store_group_id": "id",
    "created_at": "date",
    "updated_at": "date",
}
_BACKUP: Final[Mapping[str, FieldKind]] = {
    "id": "id",
    "disk_id": "id",
    "date_created": "date",
    "status": "status",
    "operating_system": "text",
    "operating_system_distro": "text",
    "template_id": "id",
    "backup_size": "size",
    "locked": "flag",
    "backup_type": "choice",
    "built": "flag",
    "error": "flag",
    "virtual_machine_id": "id",
}
_MACHINE: Final[Mapping[str, FieldKind]] = {
    "id": "id",
    "label": "text",
    "hostname": "text",
    "type": "choice",
    "status": "status",
}
_ACCOUNT: Final[Mapping[str, FieldKind]] = {
    "id": "id",
    "domain": "text",
    "status": "choice",
    "product_id": "id",
    "api_url": "text",
}

FIELDS: Final[Mapping[str, Mapping[str, FieldKind]]] = {
    "accounts": _ACCOUNT,
    "disks": _DISK,
    "virtual_machines": _MACHINE,
    "backups": _BACKUP,
    "disk_backups": _BACKUP,
}
DECIDING: Final[Mapping[str, frozenset[str]]] = {
    "disks": frozenset({"id", "error", "autobackup", "is_swap", "mount_point", "virtual_machine_id"}),
    "backups": frozenset({"id", "disk_id", "date_created", "status"}),
    "disk_backups": frozenset({"id", "date_created", "status"}),
    "virtual_machines": frozenset({"id", "label"}),
    "accounts": frozenset({"id"}),
}
"""The fields without which nothing can be judged: absent from every item, they are reported."""

_OTHER_KINDS: Final[Mapping[str, FieldKind]] = {
    "created_at": "date",
    "locked": "flag",
    "primary": "flag",
    "product_id": "id",
    "suspended": "flag",
    "updated_at": "date",
}
_NAMES_SHOWN: Final = 40


def decoders(settings: ApiSettings, wall: float) -> Mapping[str, Decode[Any]]:
    """Return the decoders of each list's items, as of a time."""
    decoder = Decoder(settings.decoding)

    def backup(raw: object, invalid: Counter[str], latest: float = wall) -> Backup | None:
        counts: Counter[str] = Counter()
        item = decoder.backup(raw, counts, latest)
        if item is not None and item.date_created is not None:  # it lies ahead, which is told in other words
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


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not fit.

    Attributes:
        account: The account's number in this report; ``None`` for the list of accounts.
        list: The list's name.
        field: The field, where it is one.
        text: What does not fit, without any value.
        setting: What to change, empty where nothing can be.
        unreadable: Whether a list could not be read.
    """

    account: int | None
    list: str
    field: str | None
    text: str
    setting: str = ""
    unreadable: bool = False


@dataclass(slots=True)
class Field:
    """A field over all items of a list.

    Attributes:
        used: Whether the exporter reads it.
        present: In how many items it is there.
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
    fields = {name: Field(name, kind, used=True) for name, kind in known.items()}
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
            each = fields.setdefault(name, Field(name, _OTHER_KINDS.get(name, "unknown"), used=False))
            each.present += 1
            each.forms[form_of(value, each.kind)] += 1
    return fields, len(hidden), strange


def similar_field(name: str, fields: Mapping[str, Field]) -> str | None:
    """Return the API's field that may be ours."""
    others = [other for other in fields if not fields[other].used]
    containing = [other for other in others if name.replace("is_", "") in other.lower()]
    near = difflib.get_close_matches(name, others, n=1, cutoff=0.6)
    return next(iter([*containing, *near]), None)
