"""Undocumented fields that may show that a backup is unusable or that a disk has an error.

Each is a guess. One that says that a backup is gone makes it unusable; any other makes the backup or disk not
understood, if it seemed well without that field.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, tzinfo
from typing import Literal

from gigas_exporter.backup_statuses import BackupStatuses
from gigas_exporter.decode.fields import NOT_UNDERSTOOD, NUMBER, Problem, decode_flag, parse_timestamp, text_of
from gigas_exporter.status_words import DISK_ERROR_WORDS, means_error, parse_words

_Kind = Literal["error", "word", "gone", "done", "running", "progress", "expiry"]

_NAMES: Mapping[_Kind, str] = {
    # Anything but false means that the backup or disk failed.
    "error": "broken, corrupt, corrupted, damaged, err, error_code, error_message, error_msg, error_reason,"
    " error_text, errors, exit_code, exit_status, failed, failed_at, failed_reason, failure, failure_message,"
    " failure_reason, fault, has_error, invalid, is_error, return_code, unusable",
    # A word, compared like a status.
    "word": "backup_result, backup_state, backup_status, current_state, health, job_status, lifecycle, lifecycle_state,"
    " outcome, phase, result, stage, state, state_name, status_message, status_text, task_state, task_status",
    # True or a past date means that the backup is gone, or soon will be. OnApp has marked_for_delete.
    "gone": "aborted, aborted_at, canceled, canceled_at, cancelled, cancelled_at, deleted, deleted_at, destroyed,"
    " destroyed_at, expired, marked_for_delete, marked_for_deletion, pending_delete, pending_deletion, purged,"
    " purged_at, removed, removed_at, to_be_deleted, trashed, trashed_at",
    # Anything but true, a past date, 100 % or a good word means that the backup is not usable, or not yet.
    "done": "available, can_restore, complete, completed, finished, is_built, ready, restorable, succeeded, success,"
    " successful, usable, valid",
    # Anything but false means the same.
    "running": "building, busy, creating, in_progress, incomplete, partial, pending, running",
    # Less than 100 % means the same, unless the backup is built.
    "progress": "completion, percent, percent_complete, percentage, percentage_complete, progress, progress_percent",
    # A past date means the same.
    "expiry": "expiration, expiration_date, expire_at, expired_at, expires, expires_at, expiry, expiry_date,"
    " valid_until",
}
STATE_FIELDS: Mapping[str, _Kind] = {name: kind for kind, names in _NAMES.items() for name in parse_words(names)}
"""The kind of each field. ``api.fields`` may give a field another name, or null to ignore it."""

StateField = tuple[str, object]
"""A name in :data:`STATE_FIELDS`, and the value."""


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_BY_SPELLING = {
    spelling: name
    for name in STATE_FIELDS
    for prefix in ("", "is_", "has_")
    for spelling in (prefix + name, _camel(prefix + name))
}
_SPELLINGS = frozenset(_BY_SPELLING)
_NO_ERROR = frozenset({"", "none"})
# Texts that seem to say that there is no error.
_NO_ERRORS = (
    r"((the operation |backup )?(completed|finished|done|ok|success)[ ,:;-]+(with )?)?"
    r"(no|without|0|zero|sin|ning[uú]n)[ _-]+(errors?|errores|failures?|fallos?|problems?|problemas?)( found)?\.?"
)
_MAY_BE_NO_ERROR = re.compile(
    rf"{_NO_ERRORS}|n/?a|nil|null|none\.|ningun[oa]|never|ok(ay)?|success(ful)?|-+|0x0+"
    r"|((the operation )?completed|finished)( successfully)?\.?"
)
_SAYS_NOTHING: Mapping[_Kind, re.Pattern[str]] = {"error": _MAY_BE_NO_ERROR, "word": re.compile(_NO_ERRORS)}
_NOTHING = re.compile(r"[-\s]*|none|null|nil|n/?a|0000-00-00.*", re.IGNORECASE)
_PERCENT = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*%?\s*", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_COMPLETE_PERCENT = 100
_DAY_SECONDS = 86400.0
# ``latest`` is some minutes ahead of the clock; a backup must not count as expired before it is.
_EXPIRED_SECONDS = 600.0


def state_fields(item: Mapping[str, object], ignored: Collection[str]) -> list[StateField]:
    """Return the fields that say something and are not ignored."""
    if _SPELLINGS.isdisjoint(item):
        return []
    found = ((_BY_SPELLING[spelling], item[spelling]) for spelling in _SPELLINGS.intersection(item))
    return [(name, value) for name, value in found if name not in ignored and not _says_nothing(name, value)]


def is_gone(fields: Iterable[StateField], latest: float, time_zone: tzinfo) -> bool:
    """Return whether a field says that a backup is gone, or soon will be."""
    return any(STATE_FIELDS[name] == "gone" and _flag(value, latest, time_zone) for name, value in fields)


def backup_contradictions(
    fields: Iterable[StateField], statuses: BackupStatuses, latest: float, time_zone: tzinfo, *, is_built: bool
) -> Iterator[Problem]:
    """Yield the fields that say or suggest that a backup is unusable."""
    for name, value in fields:
        kind = STATE_FIELDS[name]
        if kind == "word":
            is_denied = _is_bad_word(value, statuses)
        elif kind == "progress":
            is_denied = _is_under_way(value, statuses, is_built=is_built)
        elif kind == "expiry":
            is_denied = _expiry(value, time_zone) < latest < float("inf")
        elif kind == "done":
            is_denied = _flag(value, latest, time_zone) is not True and not _is_done(name, value, statuses)
        else:
            is_denied = _flag(value, latest, time_zone) is not False
        if is_denied:
            yield name, value, "contradicts that the backup is usable"


def disk_contradictions(fields: Iterable[StateField]) -> Iterator[Problem]:
    """Yield the fields that say or suggest that a disk has an error."""
    for name, value in fields:
        kind = STATE_FIELDS[name]
        if (kind == "error" and decode_flag(value, name, []) is not False) or (kind == "word" and _is_bad_word(value)):
            yield name, value, "contradicts that the disk has no error"


def soonest_expiry(fields: Iterable[StateField], time_zone: tzinfo) -> float:
    """Return the earliest expiry date; infinity without one."""
    return min(
        (_expiry(value, time_zone) for name, value in fields if STATE_FIELDS[name] == "expiry"), default=float("inf")
    )


def decode_error(value: object, problems: list[Problem]) -> bool | None:
    """Return whether the value of ``error`` reports one, by flag or content."""
    if value is None or value is True or value is False or value in ([], {}):
        return bool(value)
    if isinstance(value, str):
        text = value.strip().casefold()
        if text in _NO_ERROR:
            return False
        flag = decode_flag(value, "error", [])
        if flag is None and (NUMBER.fullmatch(text) or _MAY_BE_NO_ERROR.fullmatch(text)):
            problems.append(("error", value, NOT_UNDERSTOOD))
            return None
        return True if flag is None else flag
    if isinstance(value, dict | list) and _is_empty(value):
        problems.append(("error", value, NOT_UNDERSTOOD))
        return None
    return decode_flag(value, "error", problems) if isinstance(value, int | float) else True


def _says_nothing(name: str, value: object) -> bool:
    if isinstance(value, str):
        text = value.strip()
        nothing = _SAYS_NOTHING.get(STATE_FIELDS[name], _NOTHING)
        return bool(nothing.fullmatch(text.casefold()) or _NOTHING.fullmatch(text))
    is_share = STATE_FIELDS[name] in {"done", "progress"}  # where 0 has a meaning
    return value is None or value in ([], {}) or (not is_share and isinstance(value, dict | list) and _is_empty(value))


def _flag(value: object, latest: float, time_zone: tzinfo) -> bool | None:
    """Return a flag; a past date is true, any other value ``None``."""
    flag = decode_flag(value, "", [])
    if flag is not None:
        return flag
    day = _day(value)
    moment = parse_timestamp(value, time_zone) if day is None else day - _DAY_SECONDS  # some zones begin it earlier
    return True if moment is not None and moment <= latest else None


def _is_bad_word(value: object, statuses: BackupStatuses | None = None) -> bool:
    if not isinstance(value, str):
        if value is False:
            return statuses is not None
        return isinstance(value, dict | list) and means_error(DISK_ERROR_WORDS, text_of(value)) is not False
    match = None if statuses is None or NUMBER.fullmatch(value) else statuses.match(value)
    return match != "good" and (match is not None or means_error(DISK_ERROR_WORDS, value) is not False)


def _is_under_way(value: object, statuses: BackupStatuses, *, is_built: bool) -> bool:
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    if _PERCENT.fullmatch(str(value)):
        is_share = isinstance(value, float) and value == 1
        return not (is_built or is_share or _is_complete(value))
    return _is_bad_word(value, statuses) if isinstance(value, str) else value is not True


def _is_done(name: str, value: object, statuses: BackupStatuses) -> bool:
    is_word = isinstance(value, str) and (value.strip().casefold() == name or statuses.match(value) == "good")
    return is_word or _is_complete(value)


def _is_complete(value: object) -> bool:
    match = _PERCENT.fullmatch(str(value))
    return match is not None and float(match[1]) >= _COMPLETE_PERCENT


def _expiry(value: object, time_zone: tzinfo) -> float:
    """Return when something expires, infinity if that is not understood."""
    day = _day(value)
    moment = parse_timestamp(value, time_zone) if day is None else day + 2 * _DAY_SECONDS  # some zones end it later
    return float("inf") if moment is None else moment + _EXPIRED_SECONDS


def _day(value: object) -> float | None:
    """Return when a date without time begins in UTC, ``None`` for anything else."""
    if not isinstance(value, str) or not _DAY.fullmatch(value.strip()):
        return None
    try:
        return (date.fromisoformat(value.strip()) - date(1970, 1, 1)).days * _DAY_SECONDS
    except ValueError:
        return None


def _is_empty(value: object) -> bool:
    """Return whether a value is empty, or holds only empty values."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, dict | list):
            left.extend(each.values() if isinstance(each, dict) else each)
        elif each not in (None, "", 0):
            return False
    return True
