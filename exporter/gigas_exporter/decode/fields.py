"""Decoders of single JSON values.

Each returns ``None`` for an absent value and for one that is not understood; only the latter is a :data:`Problem`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

MAX_TEXT_LENGTH = 256

_log = logging.getLogger(__name__)  # not gigas_exporter.logs: this package is also a library

Problem = tuple[str, object, str]
"""A field, its value, and what is wrong with it."""
NOT_UNDERSTOOD = "is not understood"
AHEAD = "lies in the future"

_MAX_SIZE_BYTES = 2**60
_MAX_EXACT_FLOAT = 2**53
_ID_END = 10**MAX_TEXT_LENGTH
# An id needs no quotes in a path or shell, and is no option, since people paste commands with ids from alerts.
_ID = re.compile(r"\w[\w.:@+,=%-]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_FLAGS: dict[object, bool] = {
    **dict.fromkeys((True, "true", "1", "yes", "on", "t", "y", "enabled"), True),
    **dict.fromkeys((False, "false", "0", "no", "off", "f", "n", "disabled"), False),
}


class InvalidFields(Counter[str]):
    """Number of values by field that were not understood in one page.

    Args:
        logged_fields: Fields that were logged already; shared by all lists of an operation, to log each field once.

    Attributes:
        valid_until: The greatest ``latest`` with which the decoders still return the same result for the page.
    """

    def __init__(self, logged_fields: set[str] | None = None) -> None:
        super().__init__()
        self.logged_fields: set[str] = set() if logged_fields is None else logged_fields
        self.valid_until = float("inf")


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
        _log.warning("A value %s", detail, extra={"field": field, "type": kind_of(value)})


def decode_id(value: object) -> str | None:
    """Return an id as text if it is safe in a command."""
    if isinstance(value, int) and not isinstance(value, bool):
        # A longer number is no id; Python's own limit on the digits of an int is far higher.
        return str(value) if -_ID_END < value < _ID_END else None
    if isinstance(value, str):
        text = value.strip()
        return text if len(text) <= MAX_TEXT_LENGTH and _ID.fullmatch(text) else None
    if isinstance(value, float) and value.is_integer() and abs(value) <= _MAX_EXACT_FLOAT:
        return str(int(value))
    return None


def decode_reference(value: object, field: str, problems: list[Problem]) -> str | None:
    """Return the id of another object, given as id or as object."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    identity = decode_id(value.get("id") if isinstance(value, dict) else value)
    if identity is None:
        problems.append((field, value, NOT_UNDERSTOOD))
        return None
    return sys.intern(identity)


def decode_text(value: object, field: str, problems: list[Problem]) -> str | None:
    """Return a text, cut if too long, ``None`` if blank."""
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
    # A lone surrogate cannot be encoded as UTF-8, and would make the whole scrape fail.
    return sys.intern(value if value.isascii() else _SURROGATE.sub("\ufffd", value))


def text_of(value: object) -> str:
    """Return the beginning of a value's JSON."""
    try:
        return sys.intern(json.dumps(value)[:MAX_TEXT_LENGTH])
    except RecursionError:
        return kind_of(value)


def decode_flag(value: object, field: str, problems: list[Problem]) -> bool | None:
    """Return a flag; the only numbers that are flags are 0 and 1."""
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


def decode_host(value: object) -> str | None:
    """Return the host of a URL, which may lack its scheme."""
    if not isinstance(value, str) or not value.strip():
        return None
    text = value.strip().casefold()
    try:
        return urlsplit(text if "//" in text else f"//{text}").hostname or text
    except ValueError:
        return text


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
    """Return UNIX seconds; a date after ``latest`` is a problem, but kept."""
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


NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)

# A number is seconds or milliseconds, whichever is from 2000 to 2099: neither 20240131 nor 202401311230 is a timestamp.
_FIRST_MOMENT = 946684800.0
_LAST_MOMENT = 4102444800.0
_MIN_DATE_LENGTH = len("2024-01-31T12:30")
_HTTP_DATE = re.compile(
    r"[A-Z]{3}, [0-9]{1,2} [A-Z]{3} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} (GMT|UTC?|Z|[+-][0-9]{4})", re.IGNORECASE
)
_SPACE_BEFORE_ZONE = re.compile(r" (?=[+-][0-9]{2}:?[0-9]{2}$)")


def parse_timestamp(value: object, time_zone: tzinfo = UTC) -> float | None:
    """Return UNIX seconds of a date in a known form.

    ``time_zone`` applies to dates that name none; a time that occurs twice there is the earlier one.
    """
    if isinstance(value, str):
        text = value.strip()
        if text[4:5] == "-" and len(text) >= _MIN_DATE_LENGTH and text[10] in "Tt ":
            return _parse_iso_date(text, time_zone)
        if NUMBER.fullmatch(text):
            return _parse_number(float(text))
        return _parse_http_date(text) if _HTTP_DATE.fullmatch(text) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _parse_number(value)
    return None


def _parse_iso_date(text: str, time_zone: tzinfo) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        text = _SPACE_BEFORE_ZONE.sub("", text.upper())
        if text.endswith((" UTC", " GMT")):
            text = text[:-4] + "Z"
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
    return _seconds(moment if moment.tzinfo is not None else moment.replace(tzinfo=time_zone))


def _parse_http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return _seconds(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def _seconds(moment: datetime) -> float | None:
    try:
        seconds = moment.timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < _LAST_MOMENT else None


def _parse_number(number: float) -> float | None:
    if _FIRST_MOMENT <= number < _LAST_MOMENT:
        return float(number)
    if _FIRST_MOMENT * 1000 <= number < _LAST_MOMENT * 1000:
        return number / 1000
    return None
