"""The facts and problems of one list.

They are counts, forms and settings. The only API values shown are status words, and only safe ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gigas_exporter import formatting
from gigas_exporter.backup_statuses import BackupStatuses
from gigas_exporter.cli.probe.fields import (
    DECIDING,
    Field,
    Problem,
    form_of,
    has_zone,
    known_key,
    problem_of,
    safe_name,
    safe_word,
    similar_field,
    survey_fields,
)
from gigas_exporter.cli.probe.lists import ListReading
from gigas_exporter.config import Settings
from gigas_exporter.decode import STATE_FIELDS
from gigas_exporter.errors import ApiError, AuthError, DecodeError, GigasError, IncompleteError, TransportError
from gigas_exporter.gigas.error_messages import API_URL, likely_cause
from gigas_exporter.gigas.ratelimit import WorkTimeoutError
from gigas_exporter.model import Backup, Disk
from gigas_exporter.report import is_ahead

_STATUSES_SHOWN: Final = 20
_HOUR: Final = 3600.0
_LONGEST_OFFSET_SECONDS: Final = 14.5 * _HOUR
_PAGING: Final = ("x-total", "x-total-pages", "x-per-page", "x-page")
_PRESENT: Final = (
    *("content-range", "link", "x-next-page", "x-next-cursor", "x-has-more", "next-range"),
    *("x-pagination", "total", "total-count", "x-total-count", "x-total-items", "pagination-count"),
)
_MAX_DIGITS: Final = 9
_ABSENT_FLAGS: Final = frozenset({"null", "empty text", "blank text"})

_TAKEN_AS: Final = {
    "usable": "usable",
    "failed": "failed",
    "unfinished": "unfinished",
    "unclear": "not understood",
    "locked_or_empty": "not usable while locked or empty",
}


def reason_of(error: GigasError) -> tuple[str, str]:
    """Return why a list was rejected, and the setting to try."""
    reason = "the exporter cannot read it (gigas-exporter check says why)", ""
    match error:
        case AuthError():
            reason = "the credential is not accepted (401)", "another credential, or api.login"
        case ApiError(status=status):
            cause, setting = likely_cause(error.operation, status)
            reason = f"HTTP status {status}: {cause}", setting
        case WorkTimeoutError():
            reason = "it was not complete within the time limit of a poll", error.settings
        case TransportError(reason="timeout"):
            reason = "no complete response in time", "api.timeout"
        case TransportError():
            reason = "no connection, or it was interrupted", f"{API_URL}, api.proxy, api.ca_file"
        case DecodeError(field="body" | "disk_id", detail=detail):  # the detail holds nothing of the body
            reason = detail, ""
        case DecodeError(field=field):
            reason = f"items whose {safe_name(field) or 'field'} cannot be read, or does not fit", ""
        case IncompleteError():  # the message holds only counts
            reason = str(error).partition(": ")[2], "api.page_size"
    return reason


def describe_list(reading: ListReading, settings: Settings, wall: float) -> tuple[dict[str, Any], list[Problem]]:
    """Return the facts and the problems of a list."""
    items, words = reading.raw_items, settings.status_words
    fields, hidden, strange = survey_fields(reading.name, items, reading.decode)
    newest_dates, notes, date_problems = _dates(reading, fields, wall)
    problems = [
        *_error_problems(reading),
        *_field_problems(reading.name, fields, len(items), settings.api.decoding.fields),
        *_status_problems(reading, words),
        *date_problems,
    ]
    if strange:
        text = f"{strange} of {len(items)} items are not JSON objects"
        problems.append(problem_of(reading.name, None, text))
    total = max((_number(answer.headers.get("x-total", "")) or 0 for answer in reading.responses), default=0)
    if reading.error is None and len(items) < total:
        text = f"{len(items)} distinct items, but X-Total is {total}"
        problems.append(problem_of(reading.name, None, text, "api.page_size"))
    problems += [
        problem_of(reading.name, None, f"there may be more items, says the header {header}", "api.page_size")
        for header in reading.doubts
        if not header.startswith("X-Total ") or len(items) >= total
    ]
    facts: dict[str, Any] = {
        "list": reading.name,
        "accepted": reading.error is None,
        "reason": None if reading.error is None else reason_of(reading.error)[0],
        "responses": [_response(answer, page) for answer, page in zip(reading.responses, reading.pages, strict=True)],
        "items": len(items),
        "items_wrapped_in": None if reading.wrapper is None else known_key(reading.wrapper),
        "fields": [_field(each, len(items)) for each in fields.values()],
        "field_names_not_shown": hidden,
    }
    if statuses := _statuses(reading, words):
        facts["statuses"] = statuses
    if newest_dates:
        facts |= {"newest_dates": newest_dates, "notes": notes}
    sizes = [size for item in reading.decoded_items if (size := getattr(item, "size_bytes", None))]
    if sizes:
        name = "disk_size" if reading.name == "disks" else "backup_size"
        facts["sizes"] = {name: f"{_decade(min(sizes))[0]} to {_decade(max(sizes))[1]}"}
    return facts, problems


def _decade(size_bytes: float) -> tuple[str, str]:
    """Return the powers of ten around a size, in its unit."""
    number, unit = formatting.format_size(size_bytes).split()
    low = 10 ** (len(str(int(float(number)))) - 1)
    return f"{low} {unit}", f"{low * 10} {unit}"


def _error_problems(reading: ListReading) -> list[Problem]:
    if reading.error is None:
        return []
    text, setting = reason_of(reading.error)
    setting = setting.removeprefix("try ")
    if reading.alternative and reading.alternative not in setting:
        setting = ", or ".join(filter(None, (setting, f"{reading.alternative}, as a disk's own list is accepted")))
    text = f"{reading.rejected} not accepted: {text}" if reading.rejected else f"not accepted: {text}"
    return [problem_of(reading.name, None, text, setting, unreadable=reading.is_needed)]


def _response(answer: Any, page: Sequence[object] | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"status": answer.status, "items": None if page is None else len(page)}
    for name in _PAGING:
        value = answer.headers.get(name)
        if value is not None:
            number = _number(value)
            facts[name] = "not a number" if number is None else number
    facts.update({name: "present" for name in _PRESENT if name in answer.headers})
    return facts


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None


def _field(each: Field, items: int) -> dict[str, Any]:
    return {
        "field": each.name,
        "read": each.used,
        "present": each.present,
        "absent": items - each.present,
        "forms": dict(each.forms.most_common(_STATUSES_SHOWN)),
        "not_understood": each.not_understood,
    }


def _field_problems(
    list_name: str, fields: Mapping[str, Field], items: int, aliases: Mapping[str, str | None]
) -> Iterator[Problem]:
    for each in fields.values():
        if not items or not each.used:
            continue
        present = each.present
        if each.name in aliases:
            theirs = aliases[each.name]
            present = items if theirs is None else max(present, fields[theirs].present if theirs in fields else 0)
        if each.not_understood:
            forms = ", ".join(form for form, _ in each.forms.most_common(3)) or "absent"
            text = f"{each.not_understood} of {items} not understood ({forms})"
            yield problem_of(list_name, each.name, text, _setting_for(each))
        elif each.name in DECIDING[list_name] and present < items:
            absent = "absent from every item" if present == 0 else f"absent from {items - present} of {items} items"
            other = similar_field(each.name, fields)
            setting = f"api.fields: {{{each.name}: {other or 'THEIR_NAME'}}}"
            if each.name == "error" and other is None:
                setting += ", or {error: null} where the API has no such field"
            yield problem_of(list_name, each.name, absent, setting)
        elif (empty := sum(each.forms[form] for form in _ABSENT_FLAGS)) and (
            each.name in {"autobackup", "is_swap"}
            or (each.name == "date_created" and list_name == "backups" and empty == items)
        ):  # an unfinished backup may have no date yet
            text = f"{empty} of {items} are null or empty"
            yield problem_of(list_name, each.name, text, f"api.fields: {{{each.name}: THEIR_NAME}}")


def _setting_for(each: Field) -> str:
    """Return the setting to change, or what to do if there is none."""
    if each.name in {"disk_size", "backup_size"}:
        return f"api.{each.name}_unit"
    if each.name == "status":
        return "disk_status.error where it means an error; api.fields: {status: null} where it never does"
    if each.name in STATE_FIELDS:
        return f"api.fields: {{{each.name}: null}} where it says nothing"
    if each.kind == "date":
        return "no setting: report it with this output (api.time_zone is for dates without a zone)"
    return "no setting: report it with this output"


def _statuses(reading: ListReading, words: BackupStatuses) -> list[dict[str, Any]]:
    """Return the statuses, and how the exporter reads the items with each."""
    taken: dict[str, Counter[str]] = {}
    for item in reading.decoded_items:
        if isinstance(item, Backup):
            taken.setdefault(_shown_status(item), Counter())[_TAKEN_AS[words.outcome(item)]] += 1
        elif isinstance(item, Disk):
            what = "error" if item.status_is_error else "not understood" if "status" in item.unknown else "no error"
            taken.setdefault(_shown_status(item), Counter())[what] += 1
    ordered = sorted(taken.items(), key=lambda entry: (-entry[1].total(), entry[0]))
    rows = [{"status": status, "taken_as": dict(outcomes)} for status, outcomes in ordered[:_STATUSES_SHOWN]]
    if rest := ordered[_STATUSES_SHOWN:]:
        count = sum(outcomes.total() for _, outcomes in rest)
        rows.append({"status": f"{len(rest)} other statuses", "taken_as": {"not shown": count}})
    return rows


def _shown_status(item: Backup | Disk) -> str:
    if isinstance(item, Backup) and item.status_type is not None:
        return f"a JSON {item.status_type}"
    if item.status is None:
        return "none"
    return safe_word(item.status) or form_of(item.status, "status")


def _status_problems(reading: ListReading, words: BackupStatuses) -> Iterator[Problem]:
    backups = [item for item in reading.decoded_items if isinstance(item, Backup)]
    unclear = Counter(
        _shown_status(each)
        for each in backups
        if words.outcome(each) == "unclear" and each.unknown.isdisjoint(STATE_FIELDS)
    )
    if unclear:
        forms = ", ".join(form for form, _ in unclear.most_common(3))
        text = f"{unclear.total()} of {len(backups)} not understood ({forms})"
        yield problem_of(reading.name, "status", text, "backup_status")
    texts = Counter(each.status for each in backups if each.status is not None and each.status_type is None)
    for status in words.unmatched(texts)[:_STATUSES_SHOWN]:
        shown = safe_word(status)
        how = "says more than a known word" if words.match(status) else "matches no known word"
        text = f"{shown or form_of(status, 'status')} {how} and counts as usable ({texts[status]} times)"
        listed = shown or "THE_WORD"
        setting = f"add {listed} to backup_status.good, failed or unfinished; a list replaces the default one"
        yield problem_of(reading.name, "status", text, setting)


def _dates(
    reading: ListReading, fields: Mapping[str, Field], wall: float
) -> tuple[dict[str, str], list[str], list[Problem]]:
    """Return the age of each date field's newest value, the notes and the problems."""
    ages: dict[str, str] = {}
    notes: list[str] = []
    problems: list[Problem] = []
    for name in ("created_at", "updated_at", "date_created"):
        dates = [date for item in reading.decoded_items if (date := getattr(item, name, None)) is not None]
        if not dates:
            continue
        age = wall - max(dates)
        ages[name] = f"{formatting.format_age(abs(age))} {'ahead' if age < 0 else 'ago'}"
        is_zoned = name not in fields or all(has_zone(form) for form in fields[name].forms if form != "null")
        if is_ahead(max(dates), wall):
            setting = "the clock of this machine, or of the API" if is_zoned else "api.time_zone"
            text = f"the newest date is {formatting.format_age(-age)} in the future"
            problems.append(problem_of(reading.name, name, text, setting))
        if not is_zoned and _HOUR / 2 <= age <= _LONGEST_OFFSET_SECONDS:
            notes.append(
                f"{reading.name}.{name}: the newest date is {formatting.format_age(age)} ago and has no zone;"
                " if anything was created or changed since, set api.time_zone"
            )
    return ages, notes, problems
