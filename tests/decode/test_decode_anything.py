"""No answer, however strange, gets anything but a value or a DecodeError out of decoding."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigas_exporter.decode import (
    decode_account,
    decode_array,
    decode_backup,
    decode_disk,
    decode_items,
    decode_virtual_machine,
)
from gigas_exporter.errors import DecodeError

FIELDS = [
    "id",
    "virtual_machine_id",
    "disk_size",
    "status",
    "locked",
    "is_swap",
    "autobackup",
    "error",
    "mount_point",
    "created_at",
    "date_created",
    "backup_size",
    "disk_id",
    "label",
    "hostname",
    "domain",
]

TEXT = st.text(st.characters(exclude_categories=()))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**8, 10**13),
    st.floats(),
    TEXT,
    st.datetimes().map(str),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.+Z-]{5,20}", fullmatch=True),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=5
)
ITEMS = VALUES | st.dictionaries(st.sampled_from(FIELDS), VALUES)


@pytest.mark.parametrize("decode", [decode_disk, decode_backup, decode_virtual_machine, decode_account])
@given(raw=st.lists(ITEMS, max_size=5))
def test_any_json_decodes(decode: Any, raw: list[Any]) -> None:
    """Any JSON becomes items with a usable id, finite numbers and text that UTF-8 can hold."""
    invalid: Counter[str] = Counter()
    items = decode_items(decode_array(json.dumps(raw).encode(), "x"), decode, invalid)
    assert len(items) + invalid["id"] <= len(raw)
    for identity, item in items.items():
        assert identity == item.id != ""
        for name in item.__slots__:
            value = getattr(item, name)
            if isinstance(value, str):
                assert len(value.encode()) <= 4 * 256
            elif isinstance(value, int | float):
                assert math.isfinite(value)
                assert value >= 0


@given(body=st.binary(max_size=200) | st.text(alphabet='[]{}",:0123456789eE+-.truefalsn\\u\x00').map(str.encode))
def test_any_bytes_are_an_array_or_an_error(body: bytes) -> None:
    """Any bytes give a list or a DecodeError of one line."""
    try:
        assert isinstance(decode_array(body, "list_disks"), list)
    except DecodeError as error:
        assert "\n" not in str(error)  # noqa: PT017  # either way out is right
