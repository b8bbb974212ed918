"""The fields that say how an item is, besides the documented ones: an error, an end, a deletion, a progress.

The documentation has none of them, so that each is a guess: what they say can make an item worse and never better.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date, tzinfo
from typing import Literal, NamedTuple

from gigas_exporter.decode.fields import NOT_UNDERSTOOD, Problem, decode_flag, text_of
from gigas_exporter.decode.timestamps import NUMBER, parse_timestamp
from gigas_exporter.status_words import DISK_ERROR_WORDS, parse_words, tells_error

__all__ = ["STATE_FIELDS", "BackupState", "decode_errors", "decode_state"]

_Kind = Literal["error", "word", "gone", "done", "running", "progress", "expiry"]

STATE_FIELDS: Mapping[str, _Kind] = {
    # Whatever is neither empty nor false says that the item failed.
    **dict.fromkeys(
        parse_words("error, error_code, error_message, error_msg, error_reason, errors, last_error"), "error"
    ),
    **dict.fromkeys(parse_words("corrupt, corrupted, failed, failure, failure_message, failure_reason"), "error"),
    **dict.fromkeys(parse_words("exit_code, exit_status, return_code"), "error"),
    # A word, which is compared as a status is.
    **dict.fromkeys(parse_words("backup_state, backup_status, health, lifecycle, lifecycle_state, outcome"), "word"),
    **dict.fromkeys(parse_words("phase, result, stage, state, status_message, status_text, task_state"), "word"),
    # True says that the backup is no more, or soon will be. marked_for_delete is OnApp's, from which our fields come.
    **dict.fromkeys(
        parse_words("aborted, aborted_at, canceled, canceled_at, cancelled, cancelled_at, deleted"), "gone"
    ),
    **dict.fromkeys(parse_words("deleted_at, expired, failed_at, marked_for_delete, removed, removed_at"), "gone"),
    **dict.fromkeys(parse_words("trashed, trashed_at"), "gone"),
    # False says that the backup is not usable, or not yet.
    **dict.fromkeys(parse_words("available, complete, completed, finished, ready, restorable, succeeded"), "done"),
    **dict.fromkeys(parse_words("success, successful, usable, valid"), "done"),
    # True says the same.
    **dict.fromkeys(parse_words("in_progress, incomplete, partial, pending, running"), "running"),
    # Less than 100 per cent says the same.
    **dict.fromkeys(parse_words("percent, percent_complete, percentage, progress, progress_percent"), "progress"),
    # A date in the past says the same.
    **dict.fromkeys(parse_words("expire_at, expired_at, expires, expires_at, expiration, expiration_date"), "expiry"),
    **dict.fromkeys(parse_words("expiry, expiry_date, valid_until"), "expiry"),
}
"""What each field says. ``api.fields`` finds one under another name, or has null for one that says nothing."""


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
# It seems to deny that there is an error.
_MAY_BE_NO_ERROR = re.compile(
    r"(no|without|0|zero)[ _-]+(errors?|failures?|problems?)|n/?a|nil|null|never|ok(ay)?|success(ful)?|-+|0x0+"
)
_NO_WORD = re.compile(r"[-\s]*|none|null|nil|n/?a", re.IGNORECASE)
_PERCENT = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*%?\s*", re.ASCII)
_WHOLE_PERCENT = 100
_DAY_SECONDS = 86400.0
# What is given as the latest moment lies some minutes ahead; nothing is called expired before it surely is.
_EXPIRED_SECONDS = 600.0


class BackupState(NamedTuple):
    """What the fields say of a backup.

    Attributes:
        has_error: Whether there was an error; ``None`` where that is not understood.
        is_gone: Whether it is deleted, or soon will be.
        words: Statuses besides its own.
    """

    has_error: bool | None
    is_gone: bool
    words: tuple[str, ...]


def decode_errors(item: Mapping[str, object], problems: list[Problem], ignored: Collection[str] = ()) -> bool | None:
    """Return whether a field that tells of errors says that there is one; ``None`` where it is not understood.

    Such as ``error``, or a ``state`` with a word of error. Whatever its name, it is a problem of ``error``.
    """
    return False if _SPELLINGS.isdisjoint(item) else _errors(_state_fields(item, ignored), problems)


def decode_state(
    item: Mapping[str, object],
    problems: list[Problem],
    latest: float,
    time_zone: tzinfo,
    ignored: Collection[str] = (),
) -> BackupState:
    """Return what the fields say of a backup; one that says that it is not usable, or that may, is a problem.

    Args:
        item: The backup.
        problems: Where what contradicts is added, under the field's name.
        latest: UNIX seconds some minutes ahead of now.
        time_zone: The zone of dates that name none.
        ignored: The fields that say nothing.
    """
    if _SPELLINGS.isdisjoint(item):
        return _NOTHING_SAID
    found = list(_state_fields(item, ignored))
    is_gone, words = False, []
    for name, value in found:
        kind = STATE_FIELDS[name]
        if kind == "gone" and not _is_empty(value):
            is_gone = decode_flag(value, "error", problems) is True or is_gone
        elif (kind == "word" or (kind == "progress" and not _PERCENT.fullmatch(str(value)))) and isinstance(value, str):
            words += [] if _NO_WORD.fullmatch(value) else [value]
        elif _contradicts(kind, value, latest, time_zone):
            problems.append((name, value, "contradicts that the backup is usable"))
    return BackupState(_errors(found, problems), is_gone, tuple(words))


_NOTHING_SAID = BackupState(has_error=False, is_gone=False, words=())


def _state_fields(item: Mapping[str, object], ignored: Collection[str]) -> Iterator[tuple[str, object]]:
    for spelling in _SPELLINGS.intersection(item):
        name = _BY_SPELLING[spelling]
        if name not in ignored:
            yield name, item[spelling]


def _contradicts(kind: _Kind, value: object, latest: float, time_zone: tzinfo) -> bool:
    """Return whether a value says that a backup is not usable, or may say so."""
    if value is None or value == "":
        return False
    if kind in {"done", "running"}:
        problems: list[Problem] = []
        flag = decode_flag(value, kind, problems)
        is_date = bool(problems) and parse_timestamp(value, time_zone) is not None
        return not is_date and (bool(problems) or flag is (kind == "running"))
    if kind == "progress":
        match = _PERCENT.fullmatch(str(value))
        is_share = isinstance(value, float) and value == 1
        return not is_share and (match is None or float(match[1]) < _WHOLE_PERCENT)
    if kind == "expiry":
        expiry = parse_timestamp(value, time_zone)
        return (_end_of_day(value) if expiry is None else expiry) < latest - _EXPIRED_SECONDS < float("inf")
    return False


def _end_of_day(value: object) -> float:
    """Return the end of a day in UNIX seconds, infinity for anything else."""
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        day = None
    return float("inf") if day is None else (day - date(1970, 1, 1)).days * _DAY_SECONDS + 2 * _DAY_SECONDS


def _errors(
    fields: Collection[tuple[str, object]] | Iterator[tuple[str, object]], problems: list[Problem]
) -> bool | None:
    said: list[bool | None] = []
    for name, value in fields:
        if STATE_FIELDS[name] == "error":
            said.append(_decode_error(value, problems))
        elif STATE_FIELDS[name] == "word":
            said.append(tells_error(DISK_ERROR_WORDS, text_of(value)))
            if said[-1] is None:
                problems.append(("error", value, NOT_UNDERSTOOD))
    return True if True in said else None if None in said else False


def _decode_error(value: object, problems: list[Problem]) -> bool | None:
    """Return whether an ``error`` that is present says that there is one: a flag, or else any content."""
    if value is None or value is True or value is False or value in ([], {}):
        return bool(value)
    if isinstance(value, str):
        text = value.strip().casefold()
        if text in _NO_ERROR:
            return False
        said: list[Problem] = []
        flag = decode_flag(value, "error", said)
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
