"""What each form of a value on the wire becomes."""

from __future__ import annotations

import json
import logging
from collections import Counter
from typing import Any

import pytest

from gigas_exporter.decode import (
    MAX_TEXT_LENGTH,
    Decoder,
    InvalidFields,
    decode_array,
    decode_items,
    decode_json,
    parse_timestamp,
)
from gigas_exporter.errors import DecodeError
from gigas_exporter.model import Account, Backup, Disk, VirtualMachine

_DECODER = Decoder()
decode_disk = _DECODER.disk
decode_backup = _DECODER.backup
decode_virtual_machine = _DECODER.virtual_machine
decode_account = _DECODER.account

NEW_YEAR = 1704067200.0  # 2024-01-01T00:00:00Z

FULL_DISK = {
    "id": 1001,
    "virtual_machine_id": "501",
    "disk_size": 20,
    "status": "built",
    "error": False,
    "locked": 0,
    "is_swap": "false",
    "autobackup": 1,
    "mount_point": "/srv",
    "add_to_linux_fstab": "1",
    "data_store_id": 3,
    "data_store_group_id": None,
    "created_at": "2024-01-01T00:00:00Z",
    "updated_at": "1704067200",
    "something_new": {"nested": []},
}


def disk(**fields: object) -> tuple[Disk, Counter[str]]:
    invalid: Counter[str] = Counter()
    found = decode_disk({"id": 1, **fields}, invalid)
    assert found is not None
    return found, invalid


def test_decodes_every_field_of_a_disk() -> None:
    """A disk as the documentation describes it comes out whole, and unknown fields do not matter."""
    invalid: Counter[str] = Counter()
    assert decode_disk(FULL_DISK, invalid) == Disk(
        id="1001",
        virtual_machine_id="501",
        size_bytes=20 * 2**30,
        status="built",
        error=False,
        locked=False,
        is_swap=False,
        autobackup=True,
        mount_point="/srv",
        add_to_linux_fstab=True,
        data_store_id="3",
        data_store_group_id=None,
        created_at=NEW_YEAR,
        updated_at=NEW_YEAR,
    )
    assert not invalid


def test_decodes_every_field_of_a_backup() -> None:
    """A backup comes out whole, with its size in bytes."""
    raw = {
        "id": "b-1",
        "disk_id": 1001,
        "date_created": NEW_YEAR,
        "status": "built",
        "operating_system": "linux",
        "operating_system_distro": "debian",
        "template_id": 7,
        "backup_size": 1.5,
        "locked": "TRUE",
        "backup_type": "gigas-automatic",
    }
    expected = Backup(
        id="b-1",
        disk_id="1001",
        date_created=NEW_YEAR,
        status="built",
        operating_system="linux",
        operating_system_distro="debian",
        template_id="7",
        size_bytes=1536,
        locked=True,
        backup_type="gigas-automatic",
    )
    assert decode_backup(raw, Counter()) == expected


def test_never_keeps_the_initial_password() -> None:
    """A machine's first password is in nothing that was decoded."""
    raw = {
        "id": 5,
        "label": "db",
        "hostname": "h",
        "type": "standard",
        "status": "online",
        "initial_password": "canary",
    }
    found = decode_virtual_machine(raw, Counter())
    assert found == VirtualMachine("5", "db", "h", "standard", "online")
    assert "canary" not in repr(found)


def test_names_an_account_by_its_domain() -> None:
    """An account that was discovered has no name but its domain."""
    assert decode_account({"id": 4242, "domain": "example.com", "status": 1}, Counter()) == Account(
        "4242", "example.com"
    )


@pytest.mark.parametrize("decode", [decode_disk, decode_backup, decode_virtual_machine, decode_account])
def test_missing_and_null_fields_are_absent_and_not_counted(decode: Any) -> None:
    """An item of nothing but an id is fine, and so is one of nulls."""
    invalid: Counter[str] = Counter()
    fields = dict.fromkeys([*FULL_DISK, "date_created", "backup_size", "label", "domain"])
    for raw in ({"id": "x"}, {**fields, "id": "x"}):
        item = decode(raw, invalid)
        values = {name: getattr(item, name) for name in item.__slots__}
        assert not any(value for name, value in values.items() if name not in {"id", "missing", "unknown"})
    assert not invalid


@pytest.mark.parametrize("raw", [None, 1, "x", [], True, {}, {"id": None}, {"id": ""}, {"id": "  "}, {"id": True}])
@pytest.mark.parametrize("decode", [decode_disk, decode_backup, decode_virtual_machine, decode_account])
def test_an_item_without_readable_id_is_skipped_and_counted(decode: Any, raw: object) -> None:
    """Without an id there is nothing to name a series by."""
    invalid: Counter[str] = Counter()
    assert decode(raw, invalid) is None
    assert invalid == {"id": 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, "7"),
        (0, "0"),
        (7.0, "7"),
        ("007", "007"),
        (" 7 ", "7"),
        ("3f2a-b:c_d.e@f", "3f2a-b:c_d.e@f"),
        ("é١", "é١"),
        (10**30, str(10**30)),
        *((text, None) for text in ("..", ".", "~", "*", "--yes")),
        *((f"1{char}reboot", None) for char in "/\n ;$`()|&'\"\\*#{}\x00\u2028\ud800"),
        *((number, None) for number in (7.5, float("inf"), float("nan"), 1e300, 10**300)),
        ([1], None),
        ({}, None),
        ("x" * 257, None),
    ],
)
def test_ids_are_text(value: object, expected: str | None) -> None:
    """Numbers and strings are ids, and compare as text; what is more in a path or a shell is none."""
    invalid: Counter[str] = Counter()
    found = decode_disk({"id": value}, invalid)
    assert (found.id if found else None) == expected
    assert bool(invalid) == (expected is None)


@pytest.mark.parametrize("field", ["locked", "created_at", "disk_size", "status", "data_store_id"])
@pytest.mark.parametrize("value", ["", " \t", None])
def test_what_is_empty_is_absent(field: str, value: object) -> None:
    """An empty value is no value, and not a wrong one."""
    found, invalid = disk(**{field: value})
    assert found == disk()[0]
    assert not invalid


@pytest.mark.parametrize("value", ["", None, 0, "0", "0 ", 0.0])
def test_an_empty_reference_refers_to_nothing(value: object) -> None:
    """A disk that is attached to no machine is no misreading."""
    found, invalid = disk(virtual_machine_id=value)
    assert found.virtual_machine_id is None
    assert not invalid


def test_a_reference_that_is_no_id_is_left_out_and_counted() -> None:
    """A list where an id should be costs that field only."""
    found, invalid = disk(virtual_machine_id=[5], status="built")
    assert (found.virtual_machine_id, found.status) == (None, "built")
    assert invalid == {"virtual_machine_id": 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (False, False),
        (1, True),
        (0, False),
        (1.0, True),
        ("true", True),
        ("False", False),
        ("1", True),
        ("0", False),
        *((word, True) for word in ("yes", "On", "t", "Y", "enabled", "true ", " TRUE")),
        *((word, False) for word in ("no", "OFF", "f", "N", "Disabled", "\tfalse\n")),
        ("maybe", None),
        ("2", None),
        ("tr ue", None),
        (2, None),
        (-1, None),
        (float("nan"), None),
        ([], None),
        ({}, None),
    ],
)
def test_flags(value: object, expected: bool | None) -> None:
    """True and false in all their words are flags, whatever their case and the blanks around them; nothing else is."""
    found, invalid = disk(locked=value)
    assert found.locked is expected
    assert invalid == ({"locked": 1} if expected is None else {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-01-01T00:00:00Z", NEW_YEAR),
        ("2024-01-01T00:00:00.123456789Z", NEW_YEAR + 0.123456),
        ("2024-01-01T02:00:00+02:00", NEW_YEAR),
        ("2024-01-01T02:00:00+0200", NEW_YEAR),
        ("2024-01-01T00:00:00", NEW_YEAR),
        ("2024-01-01T00:00", NEW_YEAR),
        ("2024-01-01 00:00:00", NEW_YEAR),
        ("2024-01-01 00:00:00 UTC", NEW_YEAR),
        ("2024-01-01 00:00:00 gmt", NEW_YEAR),
        ("2024-01-01 01:00:00 +0100", NEW_YEAR),
        ("2024-01-01 01:00:00 +01:00", NEW_YEAR),
        ("2024-01-01t00:00:00z", NEW_YEAR),
        (" 2024-01-01T00:00:00Z\n", NEW_YEAR),
        (" 1704067200 ", NEW_YEAR),
        ("Mon, 01 Jan 2024 00:00:00 GMT", NEW_YEAR),
        ("mon, 1 jan 2024 01:00:00 +0100", NEW_YEAR),
        ("Mon, 01 Jan 2024 00:00:00 -0000", NEW_YEAR),
        (1704067200, NEW_YEAR),
        (1704067200.5, NEW_YEAR + 0.5),
        ("1704067200", NEW_YEAR),
        ("1704067200.5", NEW_YEAR + 0.5),
        (1704067200500, NEW_YEAR + 0.5),
        ("1704067200500", NEW_YEAR + 0.5),
        ("1369241120", 1369241120.0),
        *(
            (f"Mon, {text}", None)
            for text in ("01 Jan 2024 00:00:00 CET", "32 Jan 2024 00:00:00 GMT", "01 Jan 2024 00:00:00")
        ),
        *((f"{year}T23:59:59Z", None) for year in ("2024-13-01", "0001-01-01", "9999-12-31")),
        *((text, None) for text in ("soon", "2024-01-01", "2024-01-01 00:00:00 CET", "0001-01-01T00:00:00+10:00")),
        *((text, None) for text in ("01/02/2024 10:00:00", "١٧٠٤٠٦٧٢٠٠")),
        *((number, None) for number in (0, -1704067200, 20240131, 20240131120000, 1704067200000000, 10**400)),
        *((value, None) for value in (1e999, float("nan"), True)),
        ([], None),
        ({}, None),
    ],
)
def test_moments(value: object, expected: float | None) -> None:
    """Each form of date is read, and none is guessed."""
    assert parse_timestamp(value) == (None if expected is None else pytest.approx(expected, abs=1e-5))
    found, invalid = disk(created_at=value)
    assert (found.created_at is None) == (expected is None)
    assert invalid == ({"created_at": 1} if expected is None else {})


def test_a_date_ahead_is_kept_and_counted() -> None:
    """A clock that is wrong somewhere is worth a count, but the date is what the API said."""
    invalid: Counter[str] = Counter()
    found = decode_backup({"id": 1, "date_created": NEW_YEAR}, invalid, NEW_YEAR - 1)
    assert found is not None
    assert found.date_created == NEW_YEAR
    assert invalid == {"date_created": 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (20, 20 * 2**30),
        (0, 0),
        (0.5, 2**29),
        ("20", 20 * 2**30),
        ("0.5", 2**29),
        (-1, None),
        ("-1", None),
        (" 20 ", 20 * 2**30),
        (1e10, None),
        (10**400, None),
        (float("inf"), None),
        (float("-inf"), None),
        (float("nan"), None),
        (True, None),
        ("20 GB", None),
        ("NaN", None),
        ([20], None),
    ],
)
def test_sizes(value: object, expected: int | None) -> None:
    """Sizes become whole bytes; what is negative, absurd or no number does not."""
    found, invalid = disk(disk_size=value)
    assert found.size_bytes == expected
    assert invalid == ({"disk_size": 1} if expected is None else {})


@pytest.mark.parametrize(
    ("value", "expected", "counted"),
    [
        ("", None, False),
        (" \n", None, False),
        (" /srv ", " /srv ", False),
        ("ñ🙂", "ñ🙂", False),
        ('a"b\\c\nd', 'a"b\\c\nd', False),
        ("a\ud800b\udfff", "a\ufffdb\ufffd", False),
        ("x" * 256, "x" * 256, False),
        ("x" * 100_000, "x" * MAX_TEXT_LENGTH, True),
        (5, None, True),
        (False, None, True),
        ([], None, True),
    ],
)
def test_texts(value: object, expected: str | None, counted: bool) -> None:
    """Texts stay as they are, but for their length and for what no output could hold."""
    found, invalid = disk(mount_point=value)
    assert found.mount_point == expected
    assert invalid == ({"mount_point": 1} if counted else {})


def test_of_items_with_the_same_id_the_last_wins() -> None:
    """One id is one item, whether it came as a number or as text."""
    raw = [{"id": 1, "status": "old"}, {"id": 2}, {"id": "1", "status": "new"}]
    items = decode_items(raw, decode_disk, Counter())
    assert list(items) == ["1", "2"]
    assert items["1"].status == "new"


def test_says_field_and_type_once_but_never_the_value(caplog: pytest.LogCaptureFixture) -> None:
    """Ten thousand broken values are ten thousand counts and one line, without what stood there."""
    invalid: Counter[str] = Counter()
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            decode_disk({"id": 1, "status": ["canary"], "locked": {"canary": 1}}, invalid)
    assert invalid == {"status": 100, "locked": 100}
    assert {record.getMessage() for record in caplog.records} == {"A value is not understood"}
    facts = [(record.__dict__["field"], record.__dict__["type"]) for record in caplog.records]
    assert sorted(facts) == [("locked", "object"), ("status", "array")]


def test_the_pages_of_one_list_share_what_was_said(caplog: pytest.LogCaptureFixture) -> None:
    """Each page counts for itself, and the list has one line."""
    said: set[str] = set()
    pages = [InvalidFields(said), InvalidFields(said)]
    with caplog.at_level(logging.WARNING):
        for page in pages:
            decode_disk({"id": None}, page)
            decode_disk({"id": None}, page)
    assert [dict(page) for page in pages] == [{"id": 2}, {"id": 2}]
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("raw", "kind"), [(None, "null"), (True, "boolean"), (1.5, "number"), ("x", "string"), ({}, "object")]
)
def test_an_answer_that_is_no_array_is_an_error(raw: object, kind: str) -> None:
    """Anything but an array is a failed poll, never an empty fleet."""
    with pytest.raises(DecodeError, match=f"list_disks is a JSON {kind}, not an array") as caught:
        decode_array(json.dumps(raw).encode(), "list_disks")
    assert caught.value.field == "body"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is empty"),
        (b"<html>canary</html>", "is not JSON"),
        (b'[{"id": 1}, {"id"', "is not JSON"),
        (b'["\xff"]', "is not UTF-8"),
        ("[1]".encode("utf-16"), "is not UTF-8"),
        (b"[" * 200_000, "is nested too deeply"),
        (b"[" + b"9" * 5000 + b"]", "is not JSON"),
        (b"[" + b",".join([b"[[]]"] * 400_000) + b"]", "holds more than 1000000 values"),
    ],
)
def test_a_body_that_is_no_json_is_an_error_of_one_line(body: bytes, words: str) -> None:
    """Whatever a body is, the error is ours and quotes nothing."""
    with pytest.raises(DecodeError, match=words) as caught:
        decode_array(body, "list_disks")
    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_that_json_does_not_know_cost_one_value() -> None:
    """NaN and numbers beyond all bounds are left out; the rest of the page stays."""
    raw = decode_json(b'{"id": 1, "disk_size": 1e999, "created_at": NaN, "status": "built"}', "get_disk")
    invalid: Counter[str] = Counter()
    found = decode_disk(raw, invalid)
    assert found is not None
    assert (found.status, found.size_bytes, found.created_at) == ("built", None, None)
    assert invalid == {"disk_size": 1, "created_at": 1}


def test_a_byte_order_mark_is_no_matter() -> None:
    """Some servers put one before UTF-8; it says nothing."""
    assert decode_array(b"\xef\xbb\xbf[]", "list_disks") == []
