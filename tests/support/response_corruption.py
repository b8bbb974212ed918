"""Faults that corrupt response bodies, for the tests' simulator."""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from gigas_exporter.simulator.faults import Fault, FaultKind
from gigas_exporter.simulator.http import SimResponse
from gigas_exporter.simulator.json_encoding import dump


def _kind(description: str, **defaults: Any) -> FaultKind:
    return FaultKind(description, {"field": None, **defaults})


KINDS: Mapping[str, FaultKind] = {
    # other bodies
    "html": _kind("an HTML page as the body"),
    "empty": _kind("no body"),
    "truncated_json": _kind("half of the JSON as a whole body"),
    "not_an_array": _kind("a list wrapped into an object"),
    "deep_nesting": _kind("100,000 brackets"),
    "gzip_bomb": _kind("an array of `size` bytes that is small on the wire", size=64 << 20),
    "huge_body": _kind("an array of `size` bytes", size=32 << 20),
    "crowded_body": _kind(
        "an array of `size` bytes with `value` in it as often as there is room", size=16 << 20, value="[[]]"
    ),
    # other values in the items; `field` says in which field
    "wrong_types": _kind("fields have values of another type"),
    "nulls": _kind("fields are null"),
    "nan": _kind("a number is NaN"),
    "infinity": _kind("a number is 1e999"),
    "long_number": _kind("a number has 5,000 digits"),
    "invalid_utf8": _kind("a text has bytes that are not UTF-8"),
    "lone_surrogate": _kind("a text has half of a surrogate pair"),
    "long_text": _kind("a text of 100 kB"),
    "future_dates": _kind("dates are `seconds` in the future", seconds=86_400.0),
    "duplicate_ids": _kind("the first item is repeated with another status"),
}

_NESTING = 100_000
_LONG_NUMBER = 5_000
_LONG_TEXT = 100_000
_BLOCK = 1 << 20
_GZIP = 31
_MARK = "@@corrupt@@"
_NUMBERS = ("disk_size", "backup_size", "memory")
_TEXTS = ("mount_point", "label", "operating_system_distro", "domain", "status")
_DATES = ("created_at", "updated_at", "date_created", "expires")
_PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>\n"

_RAW: Mapping[str, tuple[tuple[str, ...], bytes]] = {
    "nan": (_NUMBERS, b"NaN"),
    "infinity": (_NUMBERS, b"1e999"),
    "long_number": (_NUMBERS, b"9" * _LONG_NUMBER),
    "invalid_utf8": (_TEXTS, b'"\xff\xfe\x80bad"'),
    "lone_surrogate": (_TEXTS, b'"half \\ud83d of a pair"'),
    "long_text": (_TEXTS, b'"' + b"x" * _LONG_TEXT + b'"'),
}

Item = dict[str, Any]


def corrupt(answer: SimResponse, faults: Iterable[Fault], now: float) -> SimResponse:
    """Apply faults to a response; values inside the body are changed only if it is successful.

    Faults that need a readable body are applied before those that leave none.
    """
    success = HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES and answer.body
    for fault in sorted(faults, key=lambda fault: (fault.kind not in _ITEMS, fault.kind not in _RAW)):
        kind = fault.kind
        if kind in _BODIES:
            answer = _BODIES[kind](answer, fault)
        elif success and (kind in _ITEMS or kind in _RAW):
            with suppress(ValueError):  # an earlier fault may have left invalid JSON
                content = json.loads(answer.body)
                if kind in _ITEMS:
                    answer = replace(answer, body=dump(_changed(content, _ITEMS[kind], fault, now)))
                else:
                    answer = replace(answer, body=_with_raw(content, fault, *_RAW[kind]))
    return answer


def _html(answer: SimResponse, _fault: Fault) -> SimResponse:
    return replace(answer, body=_PAGE, content_type="text/html", headers=())


def _empty(answer: SimResponse, _fault: Fault) -> SimResponse:
    return replace(answer, body=b"")


def _half(answer: SimResponse, _fault: Fault) -> SimResponse:
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def _wrapped(answer: SimResponse, _fault: Fault) -> SimResponse:
    return replace(answer, body=b'{"data":' + (answer.body or b"null") + b"}")


def _nested(answer: SimResponse, _fault: Fault) -> SimResponse:
    return replace(answer, body=b"[" * _NESTING + b"]" * _NESTING)


def _bomb(answer: SimResponse, fault: Fault) -> SimResponse:
    body = _compressed(fault.parameters["size"])
    return replace(answer, body=body, headers=(*answer.headers, ("Content-Encoding", "gzip")))


@functools.lru_cache(maxsize=2)
def _compressed(size: int) -> bytes:
    blank = b" " * _BLOCK
    compressor = zlib.compressobj(wbits=_GZIP)
    size = max(0, size - 2)
    parts = [compressor.compress(b"["), *(compressor.compress(blank) for _ in range(size // _BLOCK))]
    return b"".join(
        [*parts, compressor.compress(b" " * (size % _BLOCK)), compressor.compress(b"]"), compressor.flush()]
    )


def _huge(answer: SimResponse, fault: Fault) -> SimResponse:
    return replace(answer, body=b"[" + b" " * max(0, (fault.parameters["size"]) - 2) + b"]")


def _crowded(answer: SimResponse, fault: Fault) -> SimResponse:
    item = str(fault.parameters["value"]).encode()
    return replace(answer, body=b"[" + b",".join([item] * (((fault.parameters["size"]) - 1) // (len(item) + 1))) + b"]")


_BODIES: Mapping[str, Callable[[SimResponse, Fault], SimResponse]] = {
    "html": _html,
    "empty": _empty,
    "truncated_json": _half,
    "not_an_array": _wrapped,
    "deep_nesting": _nested,
    "gzip_bomb": _bomb,
    "huge_body": _huge,
    "crowded_body": _crowded,
}


def _changed(content: Any, change: Callable[[Item, Fault, float], Item], fault: Fault, now: float) -> Any:
    if isinstance(content, list):
        items = [change(item, fault, now) for item in content]
        return items + [{**item, "status": "duplicate"} for item in items[:1] if fault.kind == "duplicate_ids"]
    return change(content, fault, now)


def _same(item: Item, _fault: Fault, _now: float) -> Item:
    return item


def _mistyped(item: Item, fault: Fault, _now: float) -> Item:
    """Replace values with objects; ids only if they are the fault's ``field``."""
    fields = [fault.parameters["field"]] if fault.parameters["field"] else [name for name in item if name != "id"]
    return {**item, **{name: {"unexpected": [name]} for name in fields}}


def _nulled(item: Item, fault: Fault, _now: float) -> Item:
    fields = [fault.parameters["field"]] if fault.parameters["field"] else [name for name in item if name != "id"]
    return {**item, **dict.fromkeys(fields)}


def _ahead(item: Item, fault: Fault, now: float) -> Item:
    ahead = int(now + (fault.parameters["seconds"]))
    fields = (fault.parameters["field"],) if fault.parameters["field"] else _DATES
    return {**item, **{name: ahead for name in fields if name in item}}


_ITEMS: Mapping[str, Callable[[Item, Fault, float], Item]] = {
    "wrong_types": _mistyped,
    "nulls": _nulled,
    "future_dates": _ahead,
    "duplicate_ids": _same,
}


def _with_raw(content: Any, fault: Fault, candidates: tuple[str, ...], raw: bytes) -> bytes:
    """Replace the value of a field with raw bytes."""
    for item in content if isinstance(content, list) else [content]:
        name = fault.parameters["field"] or next((name for name in candidates if name in item), candidates[-1])
        item[name] = _MARK
    return dump(content).replace(f'"{_MARK}"'.encode(), raw)
