"""Render the probe's document as text for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gigas_exporter.formatting import format_count
from gigas_exporter.report import Finding

_TITLES: Final = {
    "accounts": "accounts (GET /accounts)",
    "disks": "disks (GET /account/ID/disks)",
    "virtual_machines": "virtual machines (GET /account/ID/virtual_machines)",
    "backups": "backups (GET /account/ID/backups)",
    "disk_backups": "backups by disk (GET /account/ID/disk/ID/backups)",
}
_WIDTH: Final = 23


def render_text(document: Mapping[str, Any]) -> str:
    """Return the document as lines, problems first."""
    return "".join(f"{line}\n" for line in _lines(document))


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"gigas-exporter {document['version']} probe of {document['api']}"
    yield f"settings: {', '.join(f'{name} {value}' for name, value in document['settings'].items())}"
    yield ""
    yield f"RESULT: {document['result']}"
    for problem in document["problems"]:
        yield f"  - {_where(problem)}: {problem['problem']}"
        if problem["try"]:
            yield f"    try: {problem['try']}"
    if document["accounts_list"] is not None:
        yield ""
        yield from _list(document["accounts_list"])
    for account in document["accounts"]:
        yield ""
        yield f"ACCOUNT {account['account']}: {_judged(account['disks'])}"
        for facts in account["lists"]:
            yield ""
            yield from _list(facts)


def _where(problem: Mapping[str, Any]) -> str:
    account = "" if problem["account"] is None else f"account {problem['account']}, "
    field = "" if problem["field"] is None else f".{problem['field']}"
    return f"{account}{problem['list']}{field}"


def _judged(judged: Mapping[str, Any] | None) -> str:
    if judged is None:
        return "its disks cannot be judged"
    if judged["disks"] == 0:
        return "0 disks, so their fields are unknown: the account has none, or the credential may not see them"
    counts = judged["findings"].items()
    findings = ", ".join(f"{count} {Finding(word).words(count)}" for word, count in counts) or "no findings"
    unread = "" if judged["backups_known"] else "; backups not read"
    if not_asked := judged["disks_not_asked"]:
        unread += f"; the own lists of {not_asked} without a backup in the account's list were not read"
    return f"{format_count(judged['disks'], 'disk')}; {findings}{unread}"


def _list(facts: Mapping[str, Any]) -> Iterator[str]:
    verdict = "accepted" if facts["accepted"] else f"NOT ACCEPTED: {facts['reason']}"
    yield f"{_TITLES[facts['list']]}: {verdict}; {facts['items']} items"
    yield from _responses(facts["responses"])
    if facts["items_wrapped_in"] is not None:
        yield f"  each item is wrapped in {facts['items_wrapped_in']}"
    if facts["items"]:
        for field in facts["fields"]:
            yield f"  {field['field']:<{_WIDTH}} {_field(field, facts['items'])}"
    if facts["field_names_not_shown"]:
        yield f"  and {facts['field_names_not_shown']} fields whose names are not shown"
    for row in facts.get("statuses", ()):
        taken = ", ".join(f"{count} × {outcome}" for outcome, count in row["taken_as"].items())
        yield f"  status {row['status']}: {taken}"
    for name, decades in facts.get("sizes", {}).items():
        yield f"  {name} is read as {decades}"
    for name, distance in facts.get("newest_dates", {}).items():
        yield f"  newest {name}: {distance}"
    for note in facts.get("notes", ()):
        yield f"  note: {note}"


def _responses(responses: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    lines: Counter[str] = Counter()
    for response in responses:
        shown = (f"{name} {value}" for name, value in response.items() if name not in {"status", "items"})
        items = "no JSON array" if response["items"] is None else f"{response['items']} items"
        lines[f"  response {response['status']}: {', '.join([items, *shown])}"] += 1
    for line, count in lines.items():
        yield line if count == 1 else f"{line} ({count} times)"


def _field(field: Mapping[str, Any], items: int) -> str:
    parts = [f"{count} × {form}" if count != items else form for form, count in field["forms"].items()]
    if field["absent"]:
        parts.append("absent" if field["absent"] == items else f"{field['absent']} × absent")
    text = "; ".join(parts)
    if field["not_understood"]:
        return f"{text}  <- {field['not_understood']} NOT UNDERSTOOD"
    return text if field["read"] else f"{text} (not read)"
