"""What single values of the wire are taken for.

Each function returns ``None`` for what is absent and for what is not understood; only the latter is a :data:`Problem`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import tzinfo

from gigas_exporter.decode.timestamps import NUMBER, parse_timestamp
from gigas_exporter.status_words import DISK_ERROR_WORDS, tells_error

__all__ = [
    "AHEAD",
    "MAX_TEXT_LENGTH",
    "NOT_UNDERSTOOD",
    "InvalidFields",
    "Problem",
    "decode_errors",
    "decode_flag",
    "decode_id",
    "decode_reference",
    "decode_size",
    "decode_text",
    "decode_timestamp",
    "is_gone",
    "kind_of",
    "report_problems",
    "text_of",
]

MAX_TEXT_LENGTH = 256

_log = logging.getLogger(__name__)

Problem = tuple[str, object, str]
"""A field, its value, and what is wrong with it."""
NOT_UNDERSTOOD = "is not understood"
AHEAD = "lies in the future"

_MAX_SIZE_BYTES = 2**60
_MAX_EXACT_FLOAT = 2**53
_ID_END = 10**MAX_TEXT_LENGTH
# What needs no quotes in a path or a shell and is no option: alerts hold commands with ids, which people paste.
_ID = re.compile(r"\w[\w.:@+,=%-]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_FLAGS: dict[object, bool] = {
    **dict.fromkeys((True, "true", "1", "yes", "on", "t", "y", "enabled"), True),
    **dict.fromkeys((False, "false", "0", "no", "off", "f", "n", "disabled"), False),
}
_NO_ERROR = frozenset({"", "none"})
# It seems to deny that there is an error.
_MAY_BE_NO_ERROR = re.compile(
    r"(no|without|0|zero)[ _-]+(errors?|failures?|problems?)|n/?a|nil|null|never|ok(ay)?|success(ful)?|-+|0x0+"
)
_ERROR_FIELDS = frozenset(
    {
        "error",
        "error_code",
        "error_message",
        "errors",
        "failed",
        "failure",
        "has_error",
        "has_errors",
        "has_failed",
        "is_failed",
    }
)
_OUTCOME_FIELDS = frozenset({"outcome", "result", "state"})
# The first is OnApp's, the platform that our fields come from.
_GONE_FIELDS = frozenset({"marked_for_delete", "deleted", "deleted_at", "is_deleted"})


class InvalidFields(Counter[str]):
    """How many values of each field were not understood in one page of a list.

    Args:
        logged_fields: The fields that were logged already; shared by all lists of a kind, so that each is logged once.
    """

    def __init__(self, logged_fields: set[str] | None = None) -> None:
        super().__init__()
        self.logged_fields: set[str] = set() if logged_fields is None else logged_fields


def report_problems(problems: Iterable[Problem], invalid: Counter[str]) -> None:
    """Count problems by field; log each field's first."""
    for field, value, detail in problems:
        invalid[field] += 1
        if isinstance(invalid, InvalidFields):
            if field in invalid.logged_fields:
                continue
            invalid.logged_fields.add(field)
        elif invalid[field] > 1:
            continue
        _log.warning("a value %s", detail, extra={"field": field, "type": kind_of(value)})


def decode_id(value: object) -> str | None:
    """Return an id as text; one that could be more than an id in a path or a command is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        # Python's own limit on the digits of an int is far above; a number that long is no id.
        return str(value) if -_ID_END < value < _ID_END else None
    if isinstance(value, str):
        text = value.strip()
        return text if len(text) <= MAX_TEXT_LENGTH and _ID.fullmatch(text) else None
    if isinstance(value, float) and value.is_integer() and abs(value) <= _MAX_EXACT_FLOAT:
        return str(int(value))
    return None


def decode_reference(value: object, field: str, problems: list[Problem]) -> str | None:
    """Return another object's id, which may be all that stands for it or a field of the whole object."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    identity = decode_id(value.get("id") if isinstance(value, dict) else value)
    if identity is None:
        problems.append((field, value, NOT_UNDERSTOOD))
        return None
    return sys.intern(identity)


def decode_text(value: object, field: str, problems: list[Problem]) -> str | None:
    """Return a text, cut where it is too long; a blank one is absent."""
    if value is None:
        return None
    if not isinstance(value, str):
        problems.append((field, value, NOT_UNDERSTOOD))
        return None
    if len(value) > MAX_TEXT_LENGTH:
        problems.append((field, value, f"is longer than {MAX_TEXT_LENGTH} characters"))
        value = value[:MAX_TEXT_LENGTH]
    if not value or value.isspace():
        return None
    # One character that no UTF-8 output could hold would otherwise lose a whole scrape.
    return sys.intern(value if value.isascii() else _SURROGATE.sub("\ufffd", value))


def text_of(value: object) -> str:
    """Return what a value that is no text looks like in JSON, as far as it is compared with words."""
    try:
        return sys.intern(json.dumps(value)[:MAX_TEXT_LENGTH])
    except RecursionError:
        return kind_of(value)


def decode_flag(value: object, field: str, problems: list[Problem]) -> bool | None:
    """Return a flag; a blank text is absent, and numbers other than 0 and 1 are none."""
    if value is True or value is False or value is None:
        return value
    flag: bool | None = None
    if isinstance(value, str):
        flag = _FLAGS.get(value)
        if flag is None:
            text = value.strip().casefold()
            flag = _FLAGS.get(text)
            if not text:
                return None
    elif isinstance(value, int | float):
        flag = _FLAGS.get(value)
    if flag is None:
        problems.append((field, value, NOT_UNDERSTOOD))
    return flag


def decode_errors(item: Mapping[str, object], problems: list[Problem]) -> bool | None:
    """Return whether a field that tells of errors says that there is one; ``None`` where it is not understood.

    Such as ``error``, or a ``state`` with a word of error. Whatever its name, it is a problem of ``error``.
    """
    said = [decode_error(item[name], problems) for name in _ERROR_FIELDS.intersection(item)]
    for name in _OUTCOME_FIELDS.intersection(item):
        said.append(tells_error(DISK_ERROR_WORDS, text_of(item[name])))
        if said[-1] is None:
            problems.append(("error", item[name], NOT_UNDERSTOOD))
    return True if True in said else None if None in said else False


def is_gone(item: Mapping[str, object], problems: list[Problem]) -> bool:
    """Return whether a field such as ``marked_for_delete`` is true; another content, such as a date, is a problem."""
    gone = False
    for name in _GONE_FIELDS.intersection(item):
        value = item[name]
        if not _is_empty(value):
            gone = decode_flag(value, "error", problems) is True or gone
    return gone


def decode_error(value: object, problems: list[Problem]) -> bool | None:
    """Return whether an ``error`` that is present says that there is one: a flag, or else any content."""
    if value is None or value is True or value is False or value in ([], {}):
        return bool(value)
    if isinstance(value, str):
        text = value.strip().casefold()
        if text in _NO_ERROR:
            return False
        flag = _FLAGS.get(text)
        if flag is None and (NUMBER.fullmatch(text) or _MAY_BE_NO_ERROR.fullmatch(text)):
            problems.append(("error", value, NOT_UNDERSTOOD))
            return None
        return True if flag is None else flag
    if isinstance(value, dict | list) and _is_empty(value):
        problems.append(("error", value, NOT_UNDERSTOOD))
        return None
    return decode_flag(value, "error", problems) if isinstance(value, int | float) else True


def _is_empty(value: object) -> bool:
    """Return whether a value is empty, or holds nothing but what is."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, dict | list):
            left.extend(each.values() if isinstance(each, dict) else each)
        elif each not in (None, "", 0):
            return False
    return True


def decode_size(value: object, field: str, problems: list[Problem], unit: int) -> int | None:
    """Return a size in bytes; blank text is absent."""
    if value is None:
        return None
    number = value
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        number = float(text) if NUMBER.fullmatch(text) else None
    if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number <= _MAX_SIZE_BYTES / unit:
        return round(number * unit)
    problems.append((field, value, NOT_UNDERSTOOD))
    return None


def decode_timestamp(
    value: object, field: str, problems: list[Problem], latest: float, time_zone: tzinfo
) -> float | None:
    """Return a date in UNIX seconds; one after ``latest`` is a problem, and kept. A blank text is absent."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    seconds = parse_timestamp(value, time_zone)
    if seconds is None:
        problems.append((field, value, NOT_UNDERSTOOD))
    elif seconds > latest:
        problems.append((field, value, AHEAD))
    return seconds


def kind_of(value: object) -> str:
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
