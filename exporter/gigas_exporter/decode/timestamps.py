"""Which forms of a date are read."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from email.utils import parsedate_to_datetime

NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)

# A number is seconds or milliseconds by its range: from 2000 on, so that neither 20240131 nor 202401311230 is a moment,
# to the end of 2099.
_FIRST_MOMENT = 946684800.0
_LAST_MOMENT = 4102444800.0
_SHORTEST = len("2024-01-31T12:30")
_HTTP_DATE = re.compile(
    r"[A-Z]{3}, [0-9]{1,2} [A-Z]{3} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} (GMT|UTC?|Z|[+-][0-9]{4})", re.IGNORECASE
)
_SPACE_BEFORE_ZONE = re.compile(r" (?=[+-][0-9]{2}:?[0-9]{2}$)")


def parse_timestamp(value: object, time_zone: tzinfo = UTC) -> float | None:
    """Return UNIX seconds of a date in a known form.

    ``time_zone`` is that of dates that name none; an hour that occurs twice there is the earlier one.
    """
    if isinstance(value, str):
        text = value.strip()
        if text[4:5] == "-" and len(text) >= _SHORTEST and text[10] in "Tt ":
            return _written(text, time_zone)
        if NUMBER.fullmatch(text):
            return _numbered(float(text))
        return _http_date(text) if _HTTP_DATE.fullmatch(text) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _numbered(value)
    return None


def _written(text: str, time_zone: tzinfo) -> float | None:
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


def _http_date(text: str) -> float | None:
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


def _numbered(number: float) -> float | None:
    if _FIRST_MOMENT <= number < _LAST_MOMENT:
        return float(number)
    if _FIRST_MOMENT * 1000 <= number < _LAST_MOMENT * 1000:
        return number / 1000
    return None
