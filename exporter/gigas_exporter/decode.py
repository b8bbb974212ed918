"""From the API's JSON to the domain model, tolerant field by field.

It owns what each field of the wire may look like and what is made of it. It knows no transport, no metric and no
configuration. The rules: ``null`` and missing fields are absent; a value that cannot be understood is absent too, is
counted under its field's name and logged once by field and type, never by value; unknown fields are ignored, and so
``initial_password`` is never read. Nothing is guessed.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from gigas_exporter.errors import DecodeError
from gigas_exporter.model import Account, Backup, Disk, VirtualMachine

__all__ = [
    "MAX_TEXT_LENGTH",
    "MAX_VALUES",
    "Decode",
    "Misreadings",
    "decode_account",
    "decode_array",
    "decode_backup",
    "decode_disk",
    "decode_items",
    "decode_json",
    "decode_moment",
    "decode_virtual_machine",
]

MAX_TEXT_LENGTH = 256
MAX_VALUES = 1_000_000
"""In one answer; one of the largest size that is full of disks has fewer."""

_log = logging.getLogger(__name__)

_GIBIBYTE = 2**30
_KIBIBYTE = 2**10
_MAX_SIZE_BYTES = 2**60
_MAX_EXACT_FLOAT = 2**53
# A number is seconds or milliseconds by its range: from 1973 on, so that 20240131 is no moment, to the end of 2099.
_FIRST_MOMENT = 1e8
_LAST_MOMENT = 4102444800.0
_FLAGS: dict[object, bool] = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}
_ID_END = 10**MAX_TEXT_LENGTH
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_T_co = TypeVar("_T_co", covariant=True)
_Item = TypeVar("_Item", Account, Backup, Disk, VirtualMachine)


class Misreadings(Counter[str]):
    """How many values of each field were not understood in one page of a list.

    Args:
        announced: The fields that were logged already; shared by all lists of a kind, so that each is logged once.
    """

    def __init__(self, announced: set[str] | None = None) -> None:
        super().__init__()
        self.announced: set[str] = set() if announced is None else announced


class Decode(Protocol[_T_co]):
    """What turns one JSON value into an object of the domain."""

    def __call__(self, raw: object, invalid: Counter[str], latest: float = ...) -> _T_co | None:
        """Return the object, or ``None`` when it has no readable id."""
        ...


def decode_json(body: bytes, operation: str) -> object:
    """Parse a body as strict UTF-8 JSON.

    Raises:
        DecodeError: It is not, or holds too many values; the message holds nothing of the body.
    """
    if _values_at_most(body) > MAX_VALUES:
        raise DecodeError("body", f"the answer to {operation} holds more than {MAX_VALUES} values")
    try:
        return json.loads(body.removeprefix(_BYTE_ORDER_MARK).decode("utf-8"))
    except UnicodeDecodeError:
        detail = "is not UTF-8"
    except RecursionError:
        detail = "is nested too deeply"
    except ValueError:
        detail = "is not JSON" if body.strip() else "is empty"
    raise DecodeError("body", f"the answer to {operation} {detail}")


def _values_at_most(body: bytes) -> int:
    """Return a bound of how many values a body holds, each of which takes up to 40 times its text in memory.

    Each follows a comma or opens what it is in; those inside of texts are counted too. Few bytes need no counting.
    """
    return len(body) if len(body) <= MAX_VALUES else sum(map(body.count, (b",", b"[", b"{")))


def decode_array(body: bytes, operation: str) -> list[object]:
    """Parse a body that must be a JSON array.

    Raises:
        DecodeError: It is something else; an object around the list is not documented and counts as that.
    """
    value = decode_json(body, operation)
    if not isinstance(value, list):
        raise DecodeError("body", f"the answer to {operation} is a JSON {_kind(value)}, not an array")
    return value


def decode_items(
    raw_items: Iterable[object], decode: Decode[_Item], invalid: Counter[str], latest: float = math.inf
) -> dict[str, _Item]:
    """Decode a list's items by id; when an id comes twice, the last one wins."""
    items: dict[str, _Item] = {}
    for raw in raw_items:
        item = decode(raw, invalid, latest)
        if item is not None:
            items[item.id] = item
    return items


def decode_disk(raw: object, invalid: Counter[str], latest: float = math.inf) -> Disk | None:
    """Decode a disk (Gigas docs, page Disk); ``None`` when it has no readable id.

    Args:
        raw: One parsed JSON value.
        invalid: Where values that are not understood are counted by field.
        latest: UNIX seconds; a date after it is kept, and counted.
    """
    if (found := _identified(raw, invalid)) is None:
        return None
    identity, get = found[0], found[1].get
    return Disk(
        id=sys.intern(identity),
        virtual_machine_id=_reference(get("virtual_machine_id"), "virtual_machine_id", invalid),
        size_bytes=_size(get("disk_size"), "disk_size", invalid, _GIBIBYTE),
        status=_text(get("status"), "status", invalid),
        error=_flag(get("error"), "error", invalid),
        locked=_flag(get("locked"), "locked", invalid),
        is_swap=_flag(get("is_swap"), "is_swap", invalid),
        autobackup=_flag(get("autobackup"), "autobackup", invalid),
        mount_point=_text(get("mount_point"), "mount_point", invalid),
        add_to_linux_fstab=_flag(get("add_to_linux_fstab"), "add_to_linux_fstab", invalid),
        data_store_id=_reference(get("data_store_id"), "data_store_id", invalid),
        data_store_group_id=_reference(get("data_store_group_id"), "data_store_group_id", invalid),
        created_at=_moment(get("created_at"), "created_at", invalid, latest),
        updated_at=_moment(get("updated_at"), "updated_at", invalid, latest),
        unknown=_unknown(found[1]),
    )


def _unknown(raw: dict[str, Any]) -> frozenset[str]:
    scrap: Counter[str] = Counter()
    names = {
        name for name in ("error", "autobackup", "is_swap", "mount_point", "virtual_machine_id") if name not in raw
    }
    names.update(name for name in ("autobackup", "is_swap") if raw.get(name) is None)
    for name in ("error", "autobackup", "is_swap"):
        _flag(raw.get(name), name, scrap)
    _text(raw.get("mount_point"), "mount_point", scrap)
    _reference(raw.get("virtual_machine_id"), "virtual_machine_id", scrap)
    return frozenset(names | scrap.keys())


def decode_backup(raw: object, invalid: Counter[str], latest: float = math.inf) -> Backup | None:
    """Decode a backup (Gigas docs, page Backup); ``None`` when it has no readable id."""
    if (found := _identified(raw, invalid)) is None:
        return None
    identity, get = found[0], found[1].get
    return Backup(
        id=identity,
        disk_id=_reference(get("disk_id"), "disk_id", invalid),
        date_created=_moment(get("date_created"), "date_created", invalid, latest),
        status=_text(get("status"), "status", invalid),
        operating_system=_text(get("operating_system"), "operating_system", invalid),
        operating_system_distro=_text(get("operating_system_distro"), "operating_system_distro", invalid),
        template_id=_reference(get("template_id"), "template_id", invalid),
        size_bytes=_size(get("backup_size"), "backup_size", invalid, _KIBIBYTE),
        locked=_flag(get("locked"), "locked", invalid),
        backup_type=_text(get("backup_type"), "backup_type", invalid),
    )


def decode_virtual_machine(raw: object, invalid: Counter[str], latest: float = math.inf) -> VirtualMachine | None:
    """Decode a virtual machine (Gigas docs, page Virtual Machines); ``None`` when it has no readable id."""
    del latest  # no date of a virtual machine is kept
    if (found := _identified(raw, invalid)) is None:
        return None
    identity, get = found[0], found[1].get
    return VirtualMachine(
        id=sys.intern(identity),
        label=_text(get("label"), "label", invalid),
        hostname=_text(get("hostname"), "hostname", invalid),
        type=_text(get("type"), "type", invalid),
        status=_text(get("status"), "status", invalid),
    )


def decode_account(raw: object, invalid: Counter[str], latest: float = math.inf) -> Account | None:
    """Decode an account (Gigas docs, page Accounts), named by its ``domain``; ``None`` when it has no readable id."""
    del latest  # no date of an account is kept
    if (found := _identified(raw, invalid)) is None:
        return None
    return Account(id=found[0], name=_text(found[1].get("domain"), "domain", invalid))


def decode_moment(value: object) -> float | None:
    """Return UNIX seconds for a date in any of the forms seen, ``None`` for anything else.

    ISO 8601 with or without zone, ``YYYY-MM-DD HH:MM:SS``, UNIX seconds or milliseconds as a number or its text. A date
    without a zone is UTC; a day without a time is not understood, for a backup's age would be a guess.
    """
    if isinstance(value, str):
        if len(value) >= len("2024-01-31T12:30") and value[4] == "-" and value[10] in "T ":
            return _written_moment(value)
        return _numbered_moment(float(value)) if _NUMBER.fullmatch(value) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _numbered_moment(value)
    return None


def _written_moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text.removesuffix(" UTC"))
        seconds = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < _LAST_MOMENT else None


def _numbered_moment(number: float) -> float | None:
    if _FIRST_MOMENT <= number < _LAST_MOMENT:
        return float(number)
    if _FIRST_MOMENT * 1000 <= number < _LAST_MOMENT * 1000:
        return number / 1000
    return None


def _moment(value: object, field: str, invalid: Counter[str], latest: float) -> float | None:
    if value is None:
        return None
    seconds = decode_moment(value)
    if seconds is None:
        _misread(value, field, invalid)
    elif seconds > latest:
        _misread(value, field, invalid, "lies in the future")
    return seconds


def _identified(raw: object, invalid: Counter[str]) -> tuple[str, dict[str, Any]] | None:
    if isinstance(raw, dict):
        value = raw.get("id")
        identity = _identifier(value)
        if identity is not None:
            return identity, raw
        _misread(value, "id", invalid)
    else:
        _misread(raw, "id", invalid)
    return None


def _identifier(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        # Python's own limit on the digits of an int is far above; a number that long is no id.
        return str(value) if -_ID_END < value < _ID_END else None
    if isinstance(value, str) and 0 < len(value) <= MAX_TEXT_LENGTH and not value.isspace():
        return _encodable(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= _MAX_EXACT_FLOAT:
        return str(int(value))
    return None


def _reference(value: object, field: str, invalid: Counter[str]) -> str | None:
    """Return another object's id; an empty text refers to none."""
    if value is None or value == "":
        return None
    identity = _identifier(value)
    if identity is None:
        _misread(value, field, invalid)
        return None
    return sys.intern(identity)


def _text(value: object, field: str, invalid: Counter[str]) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= MAX_TEXT_LENGTH and value.isascii():  # as nearly all are
        return sys.intern(value)
    if not isinstance(value, str):
        _misread(value, field, invalid)
        return None
    if len(value) > MAX_TEXT_LENGTH:
        _misread(value, field, invalid, f"is longer than {MAX_TEXT_LENGTH} characters")
        value = value[:MAX_TEXT_LENGTH]
    return sys.intern(_encodable(value))


def _encodable(text: str) -> str:
    """Replace what no UTF-8 output could hold; one such character would otherwise lose a whole scrape."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _flag(value: object, field: str, invalid: Counter[str]) -> bool | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return value
    flag: bool | None = None
    if isinstance(value, str):
        flag = _FLAGS.get(value.lower())
    elif isinstance(value, int | float):
        flag = _FLAGS.get(value)
    if flag is None:
        _misread(value, field, invalid)
    return flag


def _size(value: object, field: str, invalid: Counter[str], unit: int) -> int | None:
    if value is None:
        return None
    number = float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
    if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number <= _MAX_SIZE_BYTES / unit:
        return round(number * unit)
    _misread(value, field, invalid)
    return None


def _misread(value: object, field: str, invalid: Counter[str], detail: str = "is not understood") -> None:
    invalid[field] += 1
    if isinstance(invalid, Misreadings):
        if field in invalid.announced:
            return
        invalid.announced.add(field)
    elif invalid[field] > 1:
        return
    _log.warning("a value %s", detail, extra={"field": field, "type": _kind(value)})


def _kind(value: object) -> str:
    """Return what JSON calls a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, dict) else "array"
