"""What is not known of a disk, a backup or a machine, and what is known to be nothing."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gigas_exporter.decode import (
    SIZE_UNITS,
    Decoder,
    DecodeSettings,
    SizeUnit,
    decode_array,
)
from gigas_exporter.model import Backup, Disk

_DECODER = Decoder()
decode_disk = _DECODER.disk
decode_backup = _DECODER.backup
decode_machine = _DECODER.virtual_machine

KNOWN: dict[str, Any] = {
    "id": 1,
    "error": False,
    "autobackup": True,
    "is_swap": False,
    "mount_point": "/srv",
    "virtual_machine_id": 5,
}
LONG = "x" * 300


def disk(decoder: Decoder | None = None, **fields: Any) -> tuple[Disk, Counter[str]]:
    """A disk of which all is known but what is given, and what was counted."""
    invalid: Counter[str] = Counter()
    found = (decoder or Decoder()).disk({**KNOWN, **fields}, invalid)
    assert found is not None
    return found, invalid


def backup(decoder: Decoder | None = None, **fields: Any) -> tuple[Backup, Counter[str]]:
    """A backup, and what was counted."""
    invalid: Counter[str] = Counter()
    found = (decoder or Decoder()).backup({"id": 1, "status": "completed", **fields}, invalid)
    assert found is not None
    return found, invalid


@pytest.mark.parametrize("field", sorted(KNOWN.keys() - {"id"}))
def test_a_field_without_its_key_is_not_known(field: str) -> None:
    """What the API does not say at all is neither false nor none, and is no wrong value either."""
    raw = {name: value for name, value in KNOWN.items() if name != field}
    invalid: Counter[str] = Counter()
    found = decode_disk(raw, invalid)
    assert found is not None
    assert found.unknown == found.missing == {field}
    assert getattr(found, field) is None
    assert not invalid


@pytest.mark.parametrize("value", [None, "", " "])
def test_an_empty_value_is_known_only_where_it_means_none(value: object) -> None:
    """A disk without mount point or machine is such a disk; one without a word on autobackup may be either."""
    for field in ("mount_point", "virtual_machine_id", "error"):
        assert disk(None, **{field: value})[0].unknown == frozenset()
    for field in ("autobackup", "is_swap"):
        found, invalid = disk(None, **{field: value})
        assert found.unknown == found.missing == {field}
        assert not invalid


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("error", 2),
        ("error", "2"),
        ("error", float("nan")),
        ("autobackup", "maybe"),
        ("autobackup", 2),
        ("autobackup", "none"),
        ("is_swap", []),
        ("locked", {}),
        ("mount_point", 5),
        ("mount_point", LONG),
        ("virtual_machine_id", [5]),
        ("virtual_machine_id", "a/b"),
        ("virtual_machine_id", {"name": "db"}),
        ("created_at", "soon"),
        ("disk_size", "large"),
        ("status", 3),
    ],
)
def test_a_value_that_is_not_understood_is_not_known(field: str, value: object) -> None:
    """It is counted, and never taken for another; a text that was cut may have matched a rule by its end."""
    found, invalid = disk(None, **{field: value})
    assert found.unknown == {field}
    assert found.missing == frozenset()
    assert invalid == {field: 1}
    assert getattr(found, field.replace("disk_size", "size_bytes")) == (LONG[:256] if value == LONG else None)


@pytest.mark.parametrize(
    ("field", "first", "last"),
    [
        ("error", "true", "false"),
        ("error", "false", "null"),
        ("locked", "true", "false"),
        ("autobackup", "false", "true"),
        ("is_swap", "1", "0"),
        ("is_swap", "0", "false"),
        ("mount_point", '"/a"', '"/b"'),
        ("virtual_machine_id", "5", "6"),
        ("status", '"error"', '"built"'),
        ("created_at", '"2026-01-01T00:00:00Z"', '"2026-01-02T00:00:00Z"'),
    ],
)
def test_a_field_with_two_values_is_not_known(field: str, first: str, last: str) -> None:
    """Which of them is meant is not; the same value twice is that value."""
    rest = json.dumps({name: value for name, value in KNOWN.items() if name != field}).strip("{}")

    def read(*values: str) -> tuple[Disk, Counter[str]]:
        members = "".join(f', "{field}": {value}' for value in values)
        (raw,) = decode_array(f"[{{{rest}{members}}}]".encode(), "list_disks")
        invalid: Counter[str] = Counter()
        found = Decoder().disk(raw, invalid)
        assert found is not None
        return found, invalid

    twice, invalid = read(first, last)
    assert field in twice.unknown
    assert invalid[field] == 1
    assert read(last, last) == read(last)


def test_two_ids_are_none() -> None:
    """And the list with such an item is not whole."""
    (raw,) = decode_array(b'[{"id": 1, "id": 2}]', "list_disks")
    assert Decoder().disk(raw, Counter()) is None


def test_a_date_ahead_is_known() -> None:
    """It was understood, and only the clock of one side is wrong."""
    found, invalid = Decoder().disk({**KNOWN, "created_at": 2e9}, Counter(), 1.9e9), 0
    assert found is not None
    assert (found.unknown, found.created_at, invalid) == (frozenset(), 2e9, 0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(value, False) for value in (None, "", " ", "none", "None ", False, 0, "no", "0", "off")],
        ([], False),
        ({}, False),
        *[(value, True) for value in (True, 1, "yes", "I/O error on sda", "ok?")],
        ([None, 5], True),
        ({"code": 5}, True),
    ],
)
def test_any_content_of_an_error_is_an_error(value: object, expected: bool) -> None:
    """The field is a flag, or says what is wrong; only what is empty says that nothing is."""
    found, invalid = disk(error=value)
    assert (found.error, found.has_error, found.unknown) == (expected, expected, frozenset())
    assert not invalid


@pytest.mark.parametrize(
    "status", ["error", "ERROR", "disk_error", "failed: I/O", "failed: no space", "degraded", {"state": "x"}]
)
def test_a_status_can_say_what_the_flag_does_not(status: object) -> None:
    """A disk has an error where its status is a word for one, whatever the flag says."""
    found, _ = disk(Decoder(DecodeSettings(disk_error_words=frozenset({"error", "failed", "degraded"}))), status=status)
    assert found.has_error is (True if isinstance(status, str) else None)
    assert found.error is False
    found, _ = disk(Decoder(DecodeSettings(disk_error_words=frozenset({"built"}))), status=status)
    assert found.has_error is (False if isinstance(status, str) else None)


def test_a_word_of_the_configuration_is_no_other_word_denied() -> None:
    """As that other one followed by what turns its meaning."""
    for words, expected in (({"halted"}, None), ({"halted", "halted ok"}, True)):
        found, _ = disk(Decoder(DecodeSettings(disk_error_words=frozenset(words))), status="Halted-OK")
        assert found.has_error is expected


@pytest.mark.parametrize(
    ("raw", "identity"),
    [
        ({"disk": {"id": 7}}, "7"),
        ({"anything": {"id": "a", "status": 1}}, "a"),
        ({"disk": {"id": None}}, None),
        ({"disk": {"name": "x"}}, None),
        ({"disk": [{"id": 7}]}, None),
        ({"disk": {"id": 7}, "links": {}}, None),
        ({"disk": {"disk": {"id": 7}}}, None),
        ({"error": "not found"}, None),
    ],
)
def test_an_item_may_be_wrapped_in_one_key(raw: object, identity: str | None) -> None:
    """Whatever the key is called; with anything beside it, it is no wrapping that anybody knows."""
    for decode in (decode_disk, decode_backup, decode_machine):
        invalid: Counter[str] = Counter()
        found = decode(raw, invalid)
        assert (found.id if found else None) == identity
        assert invalid["id"] == (identity is None)


@pytest.mark.parametrize(
    ("value", "disk_id", "unknown"),
    [
        ({"id": 5}, "5", False),
        ({"id": "5", "label": "x"}, "5", False),
        (None, None, False),
        ("", None, False),
        ({}, None, True),
        ({"id": None}, None, True),
        ([5], None, True),
        ("..", None, True),
    ],
)
def test_a_reference_may_be_the_object_that_it_refers_to(value: object, disk_id: str | None, unknown: bool) -> None:
    """A backup's disk may come whole; one without a readable id is not known rather than none."""
    found, invalid = backup(disk_id=value)
    assert found.disk_id == disk_id
    assert found.unknown == ({"disk_id"} if unknown else set())
    assert invalid == ({"disk_id": 1} if unknown else {})


@pytest.mark.parametrize(
    ("value", "status", "kind"),
    [
        ("built", "built", None),
        ("", None, None),
        (None, None, None),
        (3, "3", "number"),
        (True, "true", "boolean"),
        (1.5, "1.5", "number"),
        ({"state": "done"}, '{"state": "done"}', "object"),
        (["done"], '["done"]', "array"),
    ],
)
def test_a_backups_status_of_any_type_can_be_compared(value: object, status: str | None, kind: str | None) -> None:
    """Whether it is understood depends on the words that it is compared with, so nothing is counted yet."""
    found, invalid = backup(status=value)
    assert (found.status, found.status_type) == (status, kind)
    assert found.unknown == (frozenset() if status else {"status"})
    assert not invalid


@pytest.mark.parametrize(("value", "built"), [(False, False), ("yes", True), (None, None), (0, False)])
def test_a_backup_can_say_whether_it_is_built(value: object, built: bool | None) -> None:
    """The platform that the field names come from lists backups under way with this flag."""
    assert backup(built=value)[0].built is built
    assert backup(built="half")[0].unknown == {"built"}


@pytest.mark.parametrize(
    ("raw", "label", "unknown"),
    [
        ({"label": "db"}, "db", set()),
        ({"label": None}, None, set()),
        ({"label": ""}, None, set()),
        ({}, None, {"label"}),
        ({"label": 5}, None, {"label"}),
        ({"label": LONG}, LONG[:256], {"label"}),
    ],
)
def test_a_machines_label_may_be_not_known(raw: dict[str, object], label: str | None, unknown: set[str]) -> None:
    """Rules match on it, so that a label which is not there is not one that fits nothing."""
    found = decode_machine({"id": 5, **raw}, Counter())
    assert found is not None
    assert found.label == label
    assert found.unknown == unknown


ALIASES = Decoder(DecodeSettings(fields={"autobackup": "has_autobackups", "error": None, "id": "identifier"}))


def test_a_field_may_have_another_name() -> None:
    """The API's own name is read where ours is absent; ours goes before it."""
    raw = {name: value for name, value in KNOWN.items() if name not in {"id", "autobackup", "error"}}
    for item in ({**raw, "identifier": 9, "has_autobackups": "no"}, {"disk": {**raw, "id": 9, "has_autobackups": 0}}):
        found = ALIASES.disk(item, Counter())
        assert found is not None
        assert (found.id, found.autobackup, found.unknown) == ("9", False, frozenset())
    assert disk(ALIASES, has_autobackups=False)[0].autobackup is True
    assert disk(ALIASES, has_autobackups=False, autobackup=None)[0].autobackup is False


def test_a_field_may_be_accepted_as_absent() -> None:
    """Where the operator says that the API has no such field, its absence is known."""
    raw = {name: value for name, value in KNOWN.items() if name != "error"}
    found = ALIASES.disk(raw, Counter())
    assert found is not None
    assert (found.error, found.has_error, found.unknown) == (None, None, frozenset())
    assert disk(ALIASES, error=True)[0].error is True


@pytest.mark.parametrize(
    ("zone", "text", "utc"),
    [
        ("Europe/Madrid", "2026-07-01T12:00:00", "2026-07-01T10:00:00"),
        ("Europe/Madrid", "2026-01-01 12:00:00", "2026-01-01T11:00:00"),
        ("America/Bogota", "2026-01-01 12:00:00", "2026-01-01T17:00:00"),
        ("Europe/Madrid", "2026-10-25T02:30:00", "2026-10-25T00:30:00"),
        ("Europe/Madrid", "2026-07-01T12:00:00Z", "2026-07-01T12:00:00"),
        ("Europe/Madrid", "2026-07-01 12:00:00 UTC", "2026-07-01T12:00:00"),
        ("Europe/Madrid", "2026-07-01T12:00:00-03:00", "2026-07-01T15:00:00"),
        ("Europe/Madrid", "Wed, 01 Jul 2026 12:00:00 GMT", "2026-07-01T12:00:00"),
    ],
)
def test_a_date_without_zone_is_in_the_zone_of_the_settings(zone: str, text: str, utc: str) -> None:
    """One with a zone is in that; of an hour that occurs twice the earlier one is taken, which is the older age."""
    decoder = Decoder(DecodeSettings(time_zone=ZoneInfo(zone)))
    expected = datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp()
    assert backup(decoder, date_created=text)[0].date_created == expected
    assert disk(decoder, created_at=text)[0].created_at == expected


@pytest.mark.parametrize("unit", SIZE_UNITS)
def test_sizes_are_in_the_units_of_the_settings(unit: SizeUnit) -> None:
    """Disks and backups each have their own."""
    decoder = Decoder(DecodeSettings(disk_size_unit=unit, backup_size_unit="MB"))
    assert disk(decoder, disk_size="20")[0].size_bytes == 20 * SIZE_UNITS[unit]
    assert backup(decoder, backup_size=3)[0].size_bytes == 3_000_000
