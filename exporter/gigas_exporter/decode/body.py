"""Strict and bounded parsing of a response's body as JSON."""

from __future__ import annotations

import json
import math

from gigas_exporter.decode.fields import kind_of
from gigas_exporter.errors import DecodeError

MAX_VALUES = 1_000_000
"""Limit for one response; one of the maximum size that is full of disks has fewer values."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def decode_json(body: bytes, operation: str) -> object:
    """Parse a body as strict UTF-8 JSON.

    Raises:
        DecodeError: It is not, or holds too many values; the message quotes nothing from it.
    """
    if _values_at_most(body) > MAX_VALUES:
        raise DecodeError("body", f"the response to {operation} holds more than {MAX_VALUES} values")
    try:
        return json.loads(body.removeprefix(_BYTE_ORDER_MARK).decode("utf-8"), object_pairs_hook=_object)
    except UnicodeDecodeError:
        detail = "is not UTF-8"
    except RecursionError:
        detail = "is nested too deeply"
    except ValueError:
        detail = "is not JSON: something before the API may have answered" if body.strip() else "is empty"
    raise DecodeError("body", f"the response to {operation} {detail}")


def _object(members: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object; a name that is given different values gets NaN."""
    value = dict(members)
    if len(value) < len(members):
        contradicted = {name for name, each in members if repr(each) != repr(value[name])}
        value.update(dict.fromkeys(contradicted, math.nan))
    return value


def _values_at_most(body: bytes) -> int:
    """Return an upper bound of the number of values in a body.

    Each follows a comma or an opening bracket; those inside strings count, too. A short body needs no counting. Values
    take up to 40 times the memory of their text.
    """
    return len(body) if len(body) <= MAX_VALUES else sum(map(body.count, (b",", b"[", b"{")))


def decode_array(body: bytes, operation: str) -> list[object]:
    """Parse a body that must be a JSON array."""
    value = decode_json(body, operation)
    if not isinstance(value, list):
        raise DecodeError("body", f"the response to {operation} is a JSON {kind_of(value)}, not an array")
    return value
