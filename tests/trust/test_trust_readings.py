"""What a real account may look like, and what must come of it: never a false well, never a false alarm."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gigas_exporter.backup_statuses import BackupStatuses
from gigas_exporter.cli.poll_once import poll_once
from gigas_exporter.clock import SystemClock
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.gigas import ApiSettings, ReadClient
from gigas_exporter.model import Account
from gigas_exporter.statuspage import StatusPage
from gigas_exporter.statuspage.query import Query
from support.commands import run_command
from support.polling import api_key
from support.small_api import Answer, SmallApi, ago
from support.timing import ShiftedClock
from trust.conftest import ACCOUNT, BACKUPS, DISKS, MACHINES, MISSED, Told, backups_of

Tell = Callable[..., Told]

NEWEST = MISSED * 1000
"""The id of the newest backup of the disk that may have missed its backups."""


def newest(api: SmallApi, **fields: Any) -> None:
    """Give the newest backup of the disk other fields, and a date of an hour ago."""
    for item in backups_of(api, MISSED):
        if item["id"] == NEWEST:
            item.update({"date_created": ago(hours=1), **fields})


def each_disk(api: SmallApi, field: str, value: Any) -> None:
    """Give each disk another value."""
    for item in api.lists[DISKS]:
        item[field] = value


def page(api: SmallApi) -> str:
    """Return the status page after one poll."""
    account = AccountSettings(Account("4242"), api_key("k"))
    store = poll_once(Settings(accounts=(account,), api=ApiSettings(api.url, max_requests_per_second=0.0))).store
    return StatusPage(store, SystemClock(), telemetry_path="/metrics").render(Query())[1].decode()


def assert_missed(told: Told) -> None:
    """The one disk that missed its backups is found, and all that is there is understood."""
    assert told.status == 1, told.words
    assert "1 backup missed" in told.words
    assert told.nagios == 2
    assert told.finding("backup_missed") == {str(MISSED)}
    assert told.finding("not_understood") == set()
    assert told.metric("gigas_account_disks_with_finding", finding="backup_missed") == [1]


def assert_well(told: Told) -> None:
    """All is well."""
    assert told.status == 0, told.words
    assert "all 4 disks are well" in told.words
    assert told.nagios == 0
    assert told.metric("gigas_account_disks") == [4]


def assert_failed(told: Told, words: str) -> None:
    """The list could not be read: nothing is said of the disks, and nothing of what is listed is believed."""
    assert told.status == 2, told.words
    assert words in told.words
    assert "well" not in told.words
    assert told.nagios == 3
    assert told.metric("gigas_up") == [0]


def assert_not_understood(told: Told, field: str, disks: int = 4) -> None:
    """So many disks are not understood, and it is said which field it is."""
    assert told.status == 2, told.words
    assert f"{disks} not understood" in told.words
    assert field in told.words
    assert "well" not in told.words
    assert told.nagios >= 2
    assert len(told.finding("not_understood")) == disks
    assert told.metric("gigas_account_disks_with_finding", finding="not_understood") == [disks]


def test_a_plain_account_is_well(api: SmallApi, tell: Tell) -> None:
    """The account that all of this starts from."""
    assert_well(tell())
    # Without X-Per-Page, it is looked once what follows the page, and whether an offset counts items.
    assert api.asked.count(BACKUPS) == 9


def test_a_missed_backup_is_found(missed: SmallApi, tell: Tell) -> None:
    """The other that it starts from."""
    del missed
    assert_missed(tell())


@pytest.mark.parametrize("key", ["disk", "backup", "anything"])
def test_items_may_be_wrapped(missed: SmallApi, tell: Tell, key: str) -> None:
    """They are unwrapped."""
    for path, items in missed.lists.items():
        missed.lists[path] = [{key: item} for item in items]
    assert_missed(tell())


@pytest.mark.parametrize("value", [None, "a/b"])
@pytest.mark.parametrize("path", [DISKS, BACKUPS])
def test_an_item_without_readable_id_makes_a_list_not_whole(api: SmallApi, tell: Tell, path: str, value: Any) -> None:
    """A failed poll: which disk it is cannot be said."""
    api.lists[path][1]["id"] = value
    told = tell()
    assert told.status == 2
    assert "an item has no id that can be read" in told.words
    assert "well" not in told.words
    assert told.metric("gigas_exporter_poll_success", resource=path.rpartition("/")[2]) == [0]


@pytest.mark.parametrize("change", [{"is_swap": True}, {"autobackup": False}, {"error": True}])
def test_two_different_items_of_one_id(missed: SmallApi, tell: Tell, change: dict[str, Any]) -> None:
    """Which of them is true is not known, so that the list is not whole; one that only comes twice is harmless."""
    first = missed.lists[DISKS][MISSED - 1]
    missed.lists[DISKS].append({**first, "id": str(MISSED)})
    assert_missed(tell())
    missed.lists[DISKS][-1].update(change)
    assert_failed(tell(), "list_disks: two different items have the same id")


def test_a_backup_that_names_two_disks(missed: SmallApi, tell: Tell) -> None:
    """In two items of the same id: whose it is is not known."""
    missed.lists[BACKUPS].append({**missed.lists[BACKUPS][0], "disk_id": MISSED})
    told = tell()
    assert told.status == 2
    assert "list_backups: two different items have the same id" in told.words


@pytest.mark.parametrize(
    ("match", "field"), [("mount_point: '/srv/db*'", "mount_point"), ("virtual_machine_label: 'db*'", "label")]
)
def test_blanks_around_what_a_rule_asks_for(missed: SmallApi, tell: Tell, match: str, field: str) -> None:
    """Nobody sees them: the rule matches all the same."""
    text = " /srv/db " if field == "mount_point" else " db-1"
    for item in missed.lists[DISKS if field == "mount_point" else MACHINES]:
        item[field] = text
    assert_missed(tell(config=f"backup_policy: [{{match: {{{match}}}, max_age: 26h}}, {{required: false, reason: x}}]"))


def test_a_list_of_errors_is_not_empty(api: SmallApi, tell: Tell) -> None:
    """Nor is one of which no item can be read."""
    for items in ([{"error": "no such account"}], [None], [{"name": "a"}, {"name": "b"}]):
        api.lists[DISKS] = items
        assert_failed(tell(), "no id that can be read")


def test_flags_in_words(missed: SmallApi, tell: Tell) -> None:
    """Understood, of swap and of errors; of autobackup "no" means that nothing backs the disk up."""
    each_disk(missed, "is_swap", "no")
    each_disk(missed, "error", "no")
    each_disk(missed, "autobackup", "yes")
    assert_missed(tell())
    each_disk(missed, "autobackup", "no")
    told = tell()
    assert told.status == 1
    assert "4 unprotected" in told.words
    assert len(told.finding("unprotected")) == 4


@pytest.mark.parametrize("field", ["autobackup", "is_swap", "error"])
@pytest.mark.parametrize("value", [2, "missing", "renamed"])
def test_a_deciding_field_that_is_not_understood(api: SmallApi, tell: Tell, field: str, value: Any) -> None:
    """Those disks are not understood."""
    for item in api.lists[DISKS]:
        kept = item.pop(field)
        if value == "renamed":
            item[f"has_{field}s"] = kept
        elif value != "missing":
            item[field] = value
    told = tell()
    assert_not_understood(told, field)
    assert told.metric("gigas_exporter_poll_invalid_items", resource="disks", field=field) == [4]


def test_a_field_that_is_not_understood_where_it_decides_nothing(missed: SmallApi, tell: Tell) -> None:
    """It is counted, and changes nothing."""
    each_disk(missed, "locked", "perhaps")
    each_disk(missed, "disk_size", "large")
    told = tell()
    assert_missed(told)
    assert told.metric("gigas_exporter_poll_invalid_items", resource="disks", field="locked") == [4]


def test_an_error_is_what_has_content(api: SmallApi, tell: Tell) -> None:
    """What is empty says that there is none."""
    each_disk(api, "error", "")
    assert_well(tell())
    api.lists[DISKS][0]["error"] = "I/O error on sda"
    told = tell()
    assert told.status == 1
    assert "1 disk error" in told.words
    assert told.finding("disk_error") == {"1"}


@pytest.mark.parametrize(
    "status",
    [
        *("error", "Disk-Error", "failed: I/O", "DEGRADED", "I/O error on sda", "has errors, see log"),
        *("hardware_error (sda)", {"state": "error"}, ["failed"], "fallido", "missing", "no disponible"),
        *("dañada", "sectores defectuosos", "fuera de servicio", "critical", "stuck"),
    ],
)
def test_a_status_says_error_while_the_flag_does_not(api: SmallApi, tell: Tell, status: Any) -> None:
    """It is found, by words that can be configured."""
    api.lists[DISKS][0]["status"] = status
    told = tell()
    assert told.status == 1
    assert told.finding("disk_error") == {"1"}
    if isinstance(status, str):
        assert_well(tell(config="disk_status: {error: [odd]}"))


@pytest.mark.parametrize("status", ["errors: 0", "built, no errors seen", {"state": "built"}, 3, "3", True])
def test_a_disks_status_that_is_not_understood(api: SmallApi, tell: Tell, status: Any) -> None:
    """A word of error that another denies, and what is no text: the settings can say what it means."""
    api.lists[DISKS][0]["status"] = status
    told = tell()
    assert_not_understood(told, "disk status", disks=1)
    assert told.metric("gigas_exporter_poll_invalid_items", resource="disks", field="status") == [1]
    assert_well(tell(config="api: {fields: {status: null}}"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("errors", ["I/O"]), ("failed", True), ("error_message", "I/O"), ("state", "failed"), ("hasError", 1)),
        *(("result", "no errors?"), ("exit_status", "perhaps"), ("failed_at", ago(hours=1)), ("health", ["failed"])),
    ],
)
def test_an_error_under_another_name(api: SmallApi, tell: Tell, field: str, value: Any) -> None:
    """A field that is documented nowhere may deny the flag, under its own name, and is no error."""
    name = "has_error" if field == "hasError" else field
    api.lists[DISKS][0][field] = value
    told = tell()
    assert_not_understood(told, f"{name.replace('_', ' ')} is not understood for 1 disk", disks=1)
    assert f"api.fields: {{{name}: null}}" in told.words
    assert told.finding("disk_error") == set()
    assert told.metric("gigas_disk_error", disk_id="1") == []
    assert invalid_fields(told) == {name}
    assert_well(tell(config=f"api: {{fields: {{{name}: null}}}}"))
    probe = run_command(api.url, "probe")
    assert f"disks.{name}: 1 of 4 not understood" in probe.output
    assert f"api.fields: {{{name}: null}}" in probe.output
    api.lists[DISKS][0]["error"] = True
    assert tell().finding("disk_error") == {"1"}


@pytest.mark.parametrize(
    "fields",
    [
        {"built": False},
        {"status": None, "locked": True},
        {"status": None, "backup_size": 0},
        {"error": True},
        {"marked_for_delete": True},
        {"isExpired": True},
        {"status": "failed: no space left"},
        {"status": "in-progress"},
    ],
)
def test_a_backup_that_is_not_usable(missed: SmallApi, tell: Tell, fields: Mapping[str, Any]) -> None:
    """The newest usable one is what counts."""
    newest(missed, **fields)
    told = tell()
    assert_missed(told)
    (at,) = told.metric("gigas_disk_backup_last_timestamp_seconds", disk_id=str(MISSED))
    assert datetime.now(UTC).timestamp() - at > 80 * 3600


@pytest.mark.parametrize("fields", [{"locked": True}, {"status": None, "built": True}, {"status": "something odd"}])
def test_a_backup_that_is_usable(missed: SmallApi, tell: Tell, fields: Mapping[str, Any]) -> None:
    """A good status, one that is built without any, or a word that nobody knows, which can be seen."""
    newest(missed, **{"status": "completed", **fields})
    told = tell()
    assert_well(told)
    status = fields.get("status", "completed") or ""
    assert told.metric("gigas_account_backups_by_status", status=status) == [12.0 if status == "completed" else 1.0]
    assert ("counts as usable" in told.words) == (status == "something odd")


@pytest.mark.parametrize(
    ("fields", "invalid"),
    [
        ({"status": "completed without errors"}, "status"),
        ({"status": "data loss"}, "status"),
        ({"status": "unidad averiada"}, "status"),
        ({"status": "45% complete", "locked": True}, "status"),
        ({"status": "completed", "built": "perhaps"}, "built"),
        ({"status": "completed", "error": {"code": 0, "message": ""}}, "error"),
    ],
)
def test_a_status_that_is_doubtful(missed: SmallApi, tell: Tell, fields: Mapping[str, Any], invalid: str) -> None:
    """A word that denies another, or says otherwise in the midst, is not understood; its text can be configured."""
    newest(missed, **fields)
    told = tell()
    assert_not_understood(told, "status", disks=1)
    assert told.finding("backup_missed") == {str(MISSED)}
    assert "counts as usable" not in told.words
    assert told.metric("gigas_exporter_poll_invalid_items", resource="backups", field=invalid) == [1]
    if invalid == "status":
        assert_well(tell(config=f"backup_status: {{good: ['{fields['status']}', completed]}}"))


CONTRADICTING = (("state", "pending"), ("isRunning", True), ("expires_at", ago(hours=5)), ("errors", ["no space left"]))
"""What is documented nowhere, and denies that a backup is usable, or may."""


def invalid_fields(told: Told) -> set[str]:
    """Return the fields of which a metric tells that they are not understood."""
    counts = {labels: value for (name, labels), value in told.samples.items() if name.endswith("_poll_invalid_items")}
    return {dict(labels)["field"] for labels, value in counts.items() if value}


@pytest.mark.parametrize(("field", "value"), [*CONTRADICTING, ("progress", 40)])
def test_a_field_that_contradicts_a_good_status(missed: SmallApi, tell: Tell, field: str, value: Any) -> None:
    """The newest backup is not taken as usable without a word, unless it is said that the field says nothing."""
    newest(missed, status="completed", **{field: value})
    told = tell()
    assert_not_understood(told, "status", disks=1)
    assert told.finding("backup_missed") == {str(MISSED)}
    assert told.finding("backup_failed") == set()
    name = re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", field).removeprefix("is_")
    assert invalid_fields(told) == {name}
    assert_well(tell(config=f"api: {{fields: {{{name}: null}}}}"))


@pytest.mark.parametrize("fields", [*({field: value} for field, value in CONTRADICTING), {"status": "without errors"}])
def test_good_backups_that_are_all_contradicted(api: SmallApi, tell: Tell, fields: Mapping[str, Any]) -> None:
    """No disk counts as never backed up, nor its last backup as failed, for what only denies or is undocumented."""
    for item in backups_of(api):
        item.update({"status": "built", "built": True, **fields})
    told = tell()
    assert_not_understood(told, "backup status")
    assert told.finding("never_backed_up") == told.finding("backup_failed") == set()


@pytest.mark.parametrize("fields", [{"state": "failed"}, {"failed": True}, {"result": "ok", "progress": 100}])
def test_a_field_beside_no_status(missed: SmallApi, tell: Tell, fields: Mapping[str, Any]) -> None:
    """It stays not understood."""
    newest(missed, status=None, **fields)
    told = tell()
    assert_not_understood(told, "status", disks=1)
    assert told.finding("backup_failed") == set()


def test_a_backup_under_way_beside_good_ones(api: SmallApi, tell: Tell) -> None:
    """Its progress contradicts nothing, and nothing is to be set."""
    before = run_command(api.url, "probe").exit_code
    for item in [each for each in backups_of(api) if not each["id"] % 10]:
        item.update({"status": "building", "built": False, "progress": 40, "state": "running"})
    told = tell()
    assert told.status == 0
    assert invalid_fields(told) == set()
    probe = run_command(api.url, "probe")
    assert probe.exit_code == before
    assert "null" not in probe.output.split("progress")[-1]


@pytest.mark.parametrize(("field", "value"), [("progress", 40), ("expires_at", ago(hours=5)), ("errors", ["x"])])
def test_the_probe_names_the_field_that_contradicts(missed: SmallApi, field: str, value: Any) -> None:
    """Also where another backup has it that is well, and how to say that it says nothing."""
    for item in backups_of(missed):
        item[field] = None
    newest(missed, status="completed", **{field: value})
    probe = run_command(missed.url, "probe")
    assert probe.exit_code == 1
    assert f"backups.{field}: 1 of 12 not understood" in probe.output
    assert "backups.status" not in probe.output
    assert f"api.fields: {{{field}: null}}" in probe.output


def test_fields_that_agree_with_a_good_status(api: SmallApi, tell: Tell) -> None:
    """A healthy account stays well, whatever it says besides."""
    agreeing = {"state": "stored", "completed": True, "progress": 100, "expires_at": ago(days=-5), "isExpired": False}
    for item in [*backups_of(api), *api.lists[DISKS]]:
        item.update(agreeing)
    told = tell()
    assert_well(told)
    assert invalid_fields(told) == set()


@pytest.mark.parametrize(("hours", "is_usable"), [(1, True), (3, False)])
def test_a_backup_expires_while_nothing_else_changes(api: SmallApi, hours: int, *, is_usable: bool) -> None:
    """A page is understood anew once an expiry in it has come, although its bytes are the same."""
    for item in api.lists[BACKUPS]:
        item["expires_at"] = ago(hours=-2)
    clock = ShiftedClock()
    client = ReadClient(ApiSettings(api.url, max_requests_per_second=0.0), api_key("k"), clock=clock)
    with closing(client):
        statuses, outcomes = BackupStatuses(), []
        for clock.wall_ahead in (0.0, hours * 3600.0):
            pages = client.sweep_backups("4242", lambda backups: [statuses.outcome(each) for each in backups]).items
            outcomes.append({outcome for page in pages for outcome in page})
    assert outcomes == [{"usable"}, {"usable" if is_usable else "unclear"}]


@pytest.mark.parametrize("date", ["2026-03-31T10:00:00+02:00[Europe/Madrid]", None])
def test_the_newest_backup_has_no_readable_date(missed: SmallApi, tell: Tell, date: str | None) -> None:
    """It may be in time, so that it is not known whether a backup was missed."""
    newest(missed, date_created=date)
    told = tell()
    assert_not_understood(told, "date_created", disks=1)
    assert told.finding("backup_missed") == {str(MISSED)}


@pytest.mark.parametrize(
    ("fields", "is_readable"),
    [
        ({"status": None}, True),
        ({}, True),
        ({"status": "", "progress": 100}, True),
        ({"built": True, "backup_size": "0 KB"}, False),
        ({"built": True, "backup_size": 0}, False),
        ({"built": True, "locked": True}, False),
    ],
)
@pytest.mark.parametrize("is_all", [True, False])
def test_a_backup_without_a_status(
    missed: SmallApi, tell: Tell, fields: dict[str, Any], *, is_readable: bool, is_all: bool
) -> None:
    """Nothing says that it is usable, unless it is built: it is not known, and the settings can accept it."""
    for item in backups_of(missed, MISSED):
        if is_all or item["id"] == NEWEST:
            del item["status"]
            item.update(fields, date_created=ago(hours=1))
    told = tell()
    assert told.finding("never_backed_up") == set()
    assert told.status in {1, 2}
    if is_all or is_readable:
        assert_not_understood(told, "status", disks=1)
    accepted = tell(config="api: {fields: {status: null}}")
    if is_readable:
        assert_well(accepted)
    else:
        assert accepted.status == told.status


def test_a_status_that_is_no_text(missed: SmallApi, tell: Tell) -> None:
    """Not usable, and not understood where that backup would decide; its text can be configured."""
    newest(missed, status=3)
    told = tell()
    assert_not_understood(told, "status", disks=1)
    assert told.finding("backup_missed") == {str(MISSED)}
    assert told.metric("gigas_exporter_poll_invalid_items", resource="backups", field="status") == [1]
    assert_well(tell(config="backup_status: {good: ['3', completed]}"))
    assert_missed(tell(config="backup_status: {failed: ['3']}"))


def without_own(api: SmallApi, **fields: Any) -> None:
    """Have the first disk's backups name something else in the account's list, and no list of its own."""
    api.lists[f"{ACCOUNT}/disk/1/backups"] = []
    for item in api.lists[BACKUPS]:
        if item["disk_id"] == 1:
            del item["disk_id"]
            item.update(fields)


def without_backups(api: SmallApi, disk: int = MISSED) -> None:
    """Take the backups of one disk out of both lists."""
    api.lists[BACKUPS] = [item for item in api.lists[BACKUPS] if item.get("disk_id") != disk]
    api.lists[f"{ACCOUNT}/disk/{disk}/backups"] = []


@pytest.mark.parametrize(
    "fields",
    [
        {"target_type": "VirtualMachine", "target_id": 501},
        {"disk_id": None, "target_type": "virtual_server", "target_id": "501"},
        {"disk_id": 501, "target_type": "VirtualMachine"},
        {"disk_id": 501, "target_type": "VM", "target_id": 501},
        {"disk_id": None, "virtual_machine": {"id": 501, "label": "vm-1"}},
        {"disk_id": 0, "virtual_machine_id": 501},
        {"disk_id": "0", "virtual_machine_id": 501, "target_type": "VirtualMachine"},
    ],
)
def test_backups_of_a_machine(api: SmallApi, tell: Tell, fields: Mapping[str, Any]) -> None:
    """They name no disk and are counted; a disk of that machine is not said to be never backed up."""
    without_own(api, **fields)
    told = tell()
    assert told.status == 2, told.words
    assert told.finding("backups_unreadable") == {"1"}
    assert told.finding("never_backed_up") == set()
    assert told.metric("gigas_account_backups_unassigned") == [3]
    assert "3 backups name no listed disk" in told.words


@pytest.mark.parametrize(
    "fields",
    [
        *({"target_type": "Disk", "target_id": 1}, {"disk": {"id": 1}}, {"disk_ids": [1]}, {"disk": "1"}),
        *({"disk_ids": [1, "1"]}, {"disk_ids": [{"id": 1}]}, {"disk_id": 1, "disk_ids": [1, 2]}),
        {"target_type": "Disk", "disk_ids": [1]},
        *({"disk_id": 1, "target_id": 1, "target_type": kind} for kind in ("full", "Snapshot", 7)),
    ],
)
def test_backups_that_name_their_disk_elsewhere(api: SmallApi, tell: Tell, fields: Mapping[str, Any]) -> None:
    """They are the disk's."""
    without_own(api, **fields)
    assert_well(tell())


OF_ANY_DISK: tuple[Mapping[str, Any], ...] = (
    *({"disk_ids": [1, "a b"]}, {"disk_ids": {"1": {}}}, {"disk": {"id": {}}}, {"disk_id": [1]}),
)
OF_SOME_DISKS: tuple[Mapping[str, Any], ...] = (
    *({"disk_ids": [1, 2]}, {"disk": None, "disk_ids": [1, 2]}, {"disk_ids": "1, 2"}),
    {"disk_id": None, "disk_ids": [1, 2], "virtual_machine_id": 501},
    {"disk_ids": [2, {"id": "1"}], "target_type": "Snapshot"},
    {"disk_id": [1], "virtual_machine_id": 501},
    {"disk_ids": [1, "a b"], "virtual_machine": {"id": 501}},
)
"""Some that they name, or else those of their machine."""


@pytest.mark.parametrize(
    ("fields", "never", "unreadable"),
    [
        *((fields, set(), {"1", "3"}) for fields in OF_ANY_DISK),
        *((fields, {"3"}, {"1"}) for fields in OF_SOME_DISKS),
    ],
)
def test_backups_of_one_of_several_disks(
    api: SmallApi, tell: Tell, fields: Mapping[str, Any], never: set[str], unreadable: set[str]
) -> None:
    """Only a disk that they cannot be of is never backed up."""
    without_own(api, **fields)
    without_backups(api, 3)
    told = tell()
    assert told.status == 2, told.words
    assert told.finding("never_backed_up") == never
    assert told.finding("backups_unreadable") == unreadable
    assert told.metric("gigas_exporter_poll_invalid_items", resource="backups", field="disk_id") == [3]


def test_an_own_list_of_backups_of_several_other_disks(api: SmallApi, tell: Tell) -> None:
    """Such as that of their machine: they are not the disk's, and it is not well by them."""
    without_backups(api, 3)
    api.lists[f"{ACCOUNT}/disk/3/backups"] = [
        {**item, "id": 7000 + number, "disk_id": None, "disk_ids": [1, 2]}
        for number, item in enumerate(api.lists[f"{ACCOUNT}/disk/1/backups"])
    ]
    told = tell()
    assert told.status == 2, told.words
    assert told.finding("backups_unreadable") == {"3"}


def test_an_alias_that_names_machines_too(api: SmallApi, tell: Tell) -> None:
    """``api.fields: {disk_id: target_id}`` takes no machine for the disk that has the same number."""
    for item in api.lists[BACKUPS] + [each for n in (1, 2, 3, 4) for each in api.lists[f"{ACCOUNT}/disk/{n}/backups"]]:
        item["target_id"] = item.pop("disk_id")
        item["target_type"] = "VirtualMachine" if item["target_id"] == 1 else "Disk"
    api.lists[f"{ACCOUNT}/disk/1/backups"] = []
    told = tell(config="api: {fields: {disk_id: target_id}}")
    assert told.finding("never_backed_up") == {"1"}
    assert told.metric("gigas_account_backups_unassigned") == [3]


@pytest.mark.parametrize("way", ["null", "missing", "empty", "nested", "text", "left out", "another disk"])
@pytest.mark.parametrize("is_missed", [False, True])
def test_backups_that_do_not_name_their_disk(api: SmallApi, tell: Tell, way: str, is_missed: bool) -> None:
    """Before a disk is said to be never backed up its own list was asked; what names no listed disk is counted."""
    for item in backups_of(api, MISSED) if is_missed else ():
        item["date_created"] = ago(hours=60 + 24 * (item["id"] % 10))
    changes: Mapping[str, Callable[[dict[str, Any]], Any]] = {
        "null": lambda item: item.update(disk_id=None),
        "missing": lambda item: item.pop("disk_id"),
        "empty": lambda item: item.update(disk_id=""),
        "nested": lambda item: item.update(disk_id={"id": item["disk_id"]}),
        "text": lambda item: item.update(disk_id=f" {item['disk_id']}"),
        "another disk": lambda item: item.update(disk_id=999),
    }
    if way == "left out":
        api.lists[BACKUPS] = [item for item in api.lists[BACKUPS] if item["disk_id"] == 1]
    else:
        for item in api.lists[BACKUPS]:
            changes[way](item)
    told = tell()
    (assert_missed if is_missed else assert_well)(told)
    assert told.finding("never_backed_up") == set()
    named = way in {"nested", "text", "left out"}
    assert told.metric("gigas_account_backups_unassigned") == [0.0 if named else 12.0]


@pytest.mark.parametrize("hours", [30, 60])
def test_an_accounts_list_without_the_newest_backups(api: SmallApi, tell: Tell, hours: int) -> None:
    """The disk's own list has them, so that none is late; the probe says so, too."""
    api.lists[BACKUPS] = [item for item in api.lists[BACKUPS] if item["id"] not in {NEWEST, NEWEST + 1}]
    for item in api.lists[BACKUPS]:
        if item["id"] == NEWEST + 2:
            item["date_created"] = ago(hours=hours)
    assert_well(tell())
    assert "4 disks; no findings" in run_command(api.url, "probe").output


def test_a_disk_without_backups_anywhere(api: SmallApi, tell: Tell) -> None:
    """Both witnesses agree."""
    without_backups(api)
    told = tell()
    assert told.status == 1
    assert "1 never backed up" in told.words
    assert told.finding("never_backed_up") == {str(MISSED)}


def test_a_disk_whose_own_list_cannot_be_read(api: SmallApi, tell: Tell) -> None:
    """With one witness only, nothing is said to be never backed up."""
    api.lists[BACKUPS] = [item for item in api.lists[BACKUPS] if item["disk_id"] != MISSED]
    api.answers[f"{ACCOUNT}/disk/{MISSED}/backups"] = lambda _: (403, {"error": "no"}, {})
    told = tell()
    assert told.status == 2
    assert told.finding("never_backed_up") == set()
    assert told.finding("backups_unreadable") == {str(MISSED)}
    assert "the backups of 1 disk are unreadable: list_disk_backups: the API answered 403" in told.words


@pytest.mark.parametrize("is_swept", [True, False])
def test_own_lists_that_are_not_of_the_disk(api: SmallApi, tell: Tell, *, is_swept: bool) -> None:
    """An API that lists all backups under each disk's address says nothing of the disk that none of them names."""
    others = [item for item in api.lists[BACKUPS] if item["disk_id"] != MISSED]
    for path in api.lists:
        if path.endswith("/backups"):
            api.lists[path] = list(others)
    if not is_swept:
        del api.lists[BACKUPS]
    told = tell()
    assert told.status == 2, told.words
    assert told.finding("backups_unreadable") == {str(MISSED)}
    assert told.finding("never_backed_up") == set()
    assert told.metric("gigas_disk_backups", disk_id="1") == [3]
    assert "a disk's own list contains backups of other disks" in told.words


@pytest.mark.parametrize("is_attached", [True, False])
@pytest.mark.parametrize("is_swept", [True, False])
def test_own_lists_that_are_alike(api: SmallApi, tell: Tell, *, is_swept: bool, is_attached: bool) -> None:
    """Backups that name no disk and are listed for disks of several machines, or of none, say nothing of any disk."""
    if not is_attached:
        each_disk(api, "virtual_machine_id", None)
    everything = [{**item, "disk_id": None} for item in api.lists[BACKUPS] if item["disk_id"] != MISSED]
    for path in api.lists:
        if path.endswith("/backups"):
            api.lists[path] = list(everything)
    if not is_swept:
        del api.lists[BACKUPS]
    told = tell()
    assert told.status == 2, told.words
    assert (str(MISSED) in told.finding("backups_unreadable")) == is_swept  # without a sweep the poll fails as a whole
    assert told.finding("never_backed_up") == set()
    assert "the same backups are listed for disks of different virtual machines" in told.words


@pytest.mark.parametrize("is_sibling", [True, False])
@pytest.mark.parametrize("is_swept", [True, False])
def test_an_own_list_of_what_other_own_lists_name(
    missed: SmallApi, tell: Tell, *, is_swept: bool, is_sibling: bool
) -> None:
    """The backups of others say nothing of a disk though they name none in its own list."""
    if is_sibling:
        for disk in missed.lists[DISKS]:
            disk["virtual_machine_id"] = 501
    others = [{**item, "disk_id": None} for item in missed.lists[BACKUPS] if item["disk_id"] != MISSED]
    missed.lists[f"{ACCOUNT}/disk/{MISSED}/backups"] = others
    if not is_swept:
        del missed.lists[BACKUPS]
    told = tell()
    assert told.status == (1 if is_swept else 2), told.words
    assert told.finding("backup_missed" if is_swept else "backups_unreadable") == {str(MISSED)}
    missed.answers[f"{ACCOUNT}/disk/{MISSED}"] = lambda _query: (200, missed.lists[DISKS][MISSED - 1], {})
    assert "well" not in run_command(missed.url, "disks", "show", str(MISSED)).output


@pytest.mark.parametrize("is_attached", [True, False])
def test_the_only_disk_asked_for_has_the_backups_of_all(api: SmallApi, tell: Tell, *, is_attached: bool) -> None:
    """Its own list proves nothing where the API has the same backups under disks that nobody asked for."""
    if not is_attached:
        api.lists[DISKS][MISSED - 1]["virtual_machine_id"] = None
    everything = [{**item, "disk_id": None} for item in api.lists[BACKUPS]]
    for path in api.lists:
        if path.endswith("/backups"):
            api.lists[path] = list(everything)
    asked = f"{{match: {{disk_id: {MISSED}}}, max_age: 26h}}"
    told = tell(config=f"backup_policy: [{asked}, {{required: false, reason: x}}]")
    assert told.status == 2, told.words
    assert told.finding("backups_unreadable") == {str(MISSED)}
    api.answers[f"{ACCOUNT}/disk/{MISSED}"] = lambda _query: (200, api.lists[DISKS][MISSED - 1], {})
    shown = run_command(api.url, "disks", "show", str(MISSED)).output
    assert "backups unreadable" in shown
    assert "well" not in shown


@pytest.mark.parametrize(
    ("own", "listed", "said"),
    [
        ([], None, "backups unreadable"),
        (None, True, "well"),
        ([], True, "well"),
        ([], 500, "list_backups: the API answered 500"),
        ([], 404, "never backed up"),
    ],
)
def test_a_disk_shown_alone_by_the_accounts_list(api: SmallApi, own: Any, listed: Any, said: str) -> None:
    """It is never backed up, or not read, only where the account's list says so, too."""
    for item in api.lists[BACKUPS] if listed is None else ():
        item.update(disk_id=None, virtual_machine_id=500 + item["disk_id"])
    if listed not in {None, True}:
        api.answers[BACKUPS] = lambda _: (listed, b"", {})
    status = 200 if own == [] else 403
    api.answers[f"{ACCOUNT}/disk/{MISSED}/backups"] = lambda _: (status, own, {})
    api.answers[f"{ACCOUNT}/disk/{MISSED}"] = lambda _: (200, api.lists[DISKS][MISSED - 1], {})
    shown = run_command(api.url, "disks", "show", str(MISSED)).output
    assert said in shown
    assert ("never backed up" in shown) == (listed == 404)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize(
    ("path", "spoilt", "said"),
    [
        (BACKUPS, (500, [], {}), "backups could not be read: list_backups: the API answered 500"),
        (BACKUPS, (200, [], {"X-Total": "99"}), "backups could not be read: list_backups: "),
        (BACKUPS, (200, [], {"Link": '</x>; rel="next"'}), "backups may be incomplete according to the header Link"),
        (
            DISKS,
            (200, [], {"Link": '</x>; rel="next"'}),
            "the list of disks may be incomplete according to the header Link",
        ),
        (f"{ACCOUNT}/disk/{MISSED}/backups", (200, [{"id": 1, "status": 3}], {}), ""),
    ],
)
def test_disks_show_and_list_say_what_check_says(
    api: SmallApi, path: str, spoilt: Answer, said: str, count: int
) -> None:
    """What is not known by the account's lists is known of no disk, be it the only one, whatever its own list has."""
    disks = api.lists[DISKS] = api.lists[DISKS][MISSED - 1 :][:count]
    ids = [disk["id"] for disk in disks]
    api.lists[BACKUPS] = [each for each in api.lists[BACKUPS] if each["disk_id"] in ids]
    status, extra, headers = spoilt
    api.answers[path] = lambda query: (status, extra or (api.lists[path] if query["offset"] == "0" else []), headers)
    for disk in disks:
        api.answers[f"{ACCOUNT}/disk/{disk['id']}"] = partial(lambda found, _: (200, found, {}), disk)
    commands = [["check"], ["disks", "list"], *(["disks", "show", str(each)] for each in ids)]
    checked, listed, *shown = (run_command(api.url, *each, "--output", "json") for each in commands)
    assert checked.exit_code == (2 if said else 0)
    verdicts = {each["disk_id"]: each["verdict"] for each in json.loads(checked.stdout)}
    assert {each["disk_id"]: each["verdict"] for each in json.loads(listed.stdout)} == verdicts
    assert {each["disk_id"]: each["verdict"] for one in shown for each in json.loads(one.stdout)} == verdicts
    assert all(said in outcome.stderr for outcome in (checked, listed, *shown))


def test_no_disks_beside_machines(api: SmallApi) -> None:
    """The list of disks says, as check does, that no disks are not believed where there are machines."""
    api.lists[DISKS] = []
    doubt = "the list of disks is empty, although the account has"
    assert doubt in run_command(api.url, "check").output
    assert doubt in run_command(api.url, "disks", "list").stderr


def test_disks_that_backups_name_in_another_way(api: SmallApi, tell: Tell) -> None:
    """It is believed to be of the disk under whose address it is listed, where each has a name of its own."""
    for item in backups_of(api):
        item["disk_id"] = f"disk-{item['disk_id']}"
    assert_well(tell())
    del api.lists[BACKUPS]
    assert_well(tell())


def assert_unreadable(told: Told, *disks: int) -> None:
    """Nothing is known of the backups of some disks: they neither have none nor are they well."""
    assert told.status == 2, told.words
    assert told.finding("backups_unreadable") == {str(disk) for disk in disks}
    assert told.finding("never_backed_up") == set()
    assert told.metric("gigas_disk_backups", disk_id=str(MISSED)) == []


@pytest.mark.parametrize("is_swept", [True, False])
@pytest.mark.parametrize("is_alike", [True, False])
def test_own_lists_that_name_a_disk_that_is_not_listed(
    api: SmallApi, tell: Tell, *, is_swept: bool, is_alike: bool
) -> None:
    """They are not believed where other backups name listed disks, or where all lists name the same one."""
    without_backups(api)
    others = [{**item, "disk_id": 99} for item in api.lists[f"{ACCOUNT}/disk/1/backups"]]
    for disk in range(1, 5) if is_alike else [MISSED]:
        api.lists[f"{ACCOUNT}/disk/{disk}/backups"] = list(others)
    if is_swept:
        assert_unreadable(tell(), MISSED)
        return
    del api.lists[BACKUPS]
    told = tell()
    assert told.status == 2, told.words
    assert ("contains backups of other disks", "the same backups are listed")[is_alike] in told.words
    assert told.finding("never_backed_up") == set()


def test_the_only_own_list_names_a_disk_that_is_not_listed(api: SmallApi, tell: Tell) -> None:
    """With one disk there is nothing to tell by."""
    api.lists[DISKS] = [item for item in api.lists[DISKS] if item["id"] == MISSED]
    for path in (BACKUPS, f"{ACCOUNT}/disk/{MISSED}/backups"):
        api.lists[path] = [{**item, "disk_id": 99} for item in api.lists[path]]
    assert_unreadable(tell(), MISSED)


@pytest.mark.parametrize("is_all", [True, False])
def test_an_own_list_of_what_the_account_lists_for_others(api: SmallApi, tell: Tell, *, is_all: bool) -> None:
    """Backups that name no disk there, and another one here, are not the disk's, though no other disk was asked."""
    without_backups(api)
    others = api.lists[BACKUPS] if is_all else api.lists[BACKUPS][:1]
    api.lists[f"{ACCOUNT}/disk/{MISSED}/backups"] = [{**item, "disk_id": None} for item in others]
    told = tell()
    assert_unreadable(told, MISSED)
    assert "a disk's own list contains backups of other disks" in told.words


@pytest.mark.parametrize("is_attached", [True, False])
@pytest.mark.parametrize("is_swept", [True, False])
def test_an_own_list_of_other_machines_backups(
    missed: SmallApi, tell: Tell, *, is_swept: bool, is_attached: bool
) -> None:
    """Backups that name no disk, but the machines of other disks, are not the disk's, though no other list has them."""
    own = f"{ACCOUNT}/disk/{MISSED}/backups"
    items = [{**item, "virtual_machine_id": 500 + item["disk_id"], "disk_id": None} for item in missed.lists[BACKUPS]]
    missed.lists[own] = items
    if is_swept:
        missed.lists[BACKUPS] = items
    else:
        del missed.lists[BACKUPS]
    if not is_attached:
        missed.lists[DISKS][MISSED - 1]["virtual_machine_id"] = None
    told = tell()
    if is_attached:  # its own are among them
        assert told.status == 1, told.words
        assert told.finding("backup_missed") == {str(MISSED)}
    else:
        assert_unreadable(told, MISSED)
        assert "a disk's own list contains backups of other disks" in told.words
    assert run_command(missed.url, "probe").exit_code in {1, 2}
    missed.lists[own] = items[:3] if is_attached else [*items[:3], *items[-3:]]
    assert_unreadable(tell(), MISSED)


@pytest.mark.parametrize("is_moved", [True, False])
@pytest.mark.parametrize("machine", [501, 599])
def test_an_own_list_of_the_machine_that_a_disk_was_moved_from(
    api: SmallApi, tell: Tell, machine: int, *, is_moved: bool
) -> None:
    """Its old backups may name one without a listed disk, or others beside its own machine."""
    own = f"{ACCOUNT}/disk/{MISSED}/backups"
    for item in api.lists[own]:
        item.update(virtual_machine_id=machine, disk_id=None)
    if is_moved:
        api.lists[own][0]["virtual_machine_id"] = 500 + MISSED
    api.lists[BACKUPS] = [item for item in api.lists[BACKUPS] if item["disk_id"] != MISSED]
    told = tell()
    if machine == 599 or is_moved:  # no disk's, or before it
        assert_well(told)
    else:
        assert_unreadable(told, MISSED)


@pytest.mark.parametrize("machine", [501, 598])
def test_an_own_list_of_two_machines_that_a_disk_was_detached_from(api: SmallApi, tell: Tell, machine: int) -> None:
    """They are its backups where no disk is attached to those machines."""
    own = f"{ACCOUNT}/disk/{MISSED}/backups"
    for item in api.lists[own]:
        item.update(virtual_machine_id=machine, disk_id=None)
    api.lists[own][0]["virtual_machine_id"] = 599
    api.lists[DISKS][MISSED - 1]["virtual_machine_id"] = None
    api.lists[BACKUPS] = [item for item in api.lists[BACKUPS] if item["disk_id"] != MISSED]
    told = tell()
    if machine == 598:
        assert told.metric("gigas_disk_backups", disk_id=str(MISSED)) == [3]
        assert told.finding("backups_unreadable") == set()
    else:
        assert_unreadable(told, MISSED)


@pytest.mark.parametrize("way", ["machine", "nothing"])
def test_backups_that_name_only_a_machine(api: SmallApi, tell: Tell, way: str) -> None:
    """They may be of any of its disks, and where none names anything, of any disk, whose own lists have none."""
    machine = way == "machine"
    for item in api.lists[BACKUPS]:
        item.update(virtual_machine_id=500 + item["disk_id"] if machine else None, disk_id=None)
    for disk in range(1, 5):
        api.lists[f"{ACCOUNT}/disk/{disk}/backups"] = []
    told = tell()
    assert_unreadable(told, 1, 2, 3, 4)
    assert "the account's backups that name no disk may be theirs" in told.words
    api.lists[BACKUPS] = api.lists[BACKUPS][:3]
    if machine:
        told = tell()
        assert told.finding("backups_unreadable") == {"1"}
        assert told.finding("never_backed_up") == {"2", "3", "4"}


@pytest.mark.parametrize(
    ("fields", "status", "finding"),
    [
        ({"status": "Respaldado"}, 2, "not_understood"),
        ({"status": "Respaldado", "date_created": None}, 2, "not_understood"),
        ({"status": None}, 2, "not_understood"),
        ({"status": "creating"}, 1, "never_backed_up"),
    ],
)
def test_a_disk_all_of_whose_backups_are_locked(
    api: SmallApi, tell: Tell, fields: dict[str, Any], status: int, finding: str
) -> None:
    """None is usable; with statuses that nobody knows it is not known whether there is one."""
    for item in backups_of(api, MISSED):
        item.update(locked=True, **fields)
    told = tell()
    assert told.status == status, told.words
    assert told.finding(finding) == {str(MISSED)}
    assert told.finding("never_backed_up") <= {str(MISSED)} - told.finding("not_understood")


@pytest.mark.parametrize("total", ["45", "8", None])
def test_a_page_that_repeats_items_of_an_earlier_one(api: SmallApi, tell: Tell, total: str | None) -> None:
    """The list is not whole, however often it is read."""
    headers = {} if total is None else {"X-Total": total}
    items = api.lists[DISKS]

    def answer(query: Mapping[str, str]) -> tuple[int, Any, Mapping[str, str]]:
        offset = int(query["offset"])
        return 200, items[:2] if offset < 2 else [items[0], items[2]] if offset < 4 else [], headers

    api.answers[DISKS] = answer
    assert_failed(tell(page_size=2), "list_disks")


def test_a_total_that_is_never_reached(api: SmallApi, tell: Tell) -> None:
    """A single check cannot tell."""
    api.answers[DISKS] = lambda query: (200, api.lists[DISKS][int(query["offset"]) :], {"X-Total": "5"})
    told = tell()
    assert told.status == 2, told.words
    assert told.nagios == 3


def test_dates_in_another_form(missed: SmallApi, tell: Tell) -> None:
    """Understood."""
    for item in (*backups_of(missed), *missed.lists[DISKS]):
        for field in {"date_created", "created_at", "updated_at"} & item.keys():
            item[field] = format_datetime(datetime.fromisoformat(item[field]), usegmt=True)
    assert_missed(tell())


@pytest.mark.parametrize("zone", ["Europe/Madrid", "America/Bogota"])
def test_dates_without_a_zone_in_local_time(api: SmallApi, tell: Tell, zone: str) -> None:
    """With the setting, an age is what it is: neither a late backup passes, nor is one in time late."""
    for hours, finding in ((27.0, {str(MISSED)}), (25.0, set())):
        for item in backups_of(api):
            aged = hours + 24 * (item["id"] % 10) if item["disk_id"] == MISSED else 1 + 24 * (item["id"] % 10)
            moment = datetime.now(UTC) - timedelta(hours=aged)
            item["date_created"] = f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"
        told = tell(config=f"api: {{time_zone: {zone}}}")
        assert told.finding("backup_stale") == finding
        assert told.status == int(bool(finding)), told.words


@pytest.mark.parametrize("value", ["soon", "2026-01-31", None, "missing"])
def test_dates_that_are_not_understood(api: SmallApi, tell: Tell, value: Any) -> None:
    """The disk's backups cannot be read, which is not the same as none."""
    for item in backups_of(api, MISSED):
        item["date_created"] = value
        if value == "missing":
            del item["date_created"]
    told = tell()
    assert told.status == 2
    assert told.finding("backups_unreadable") == {str(MISSED)}
    assert told.finding("never_backed_up") == set()
    assert "the backups of 1 disk are unreadable: no date_created is understood (gigas-exporter probe" in told.words


def test_dates_that_lie_ahead(api: SmallApi, tell: Tell) -> None:
    """How old the newest backup is cannot be said; the settings that may be wrong are."""
    for item in backups_of(api):
        item["date_created"] = ago(hours=-2)
    told = tell()
    assert told.status == 2
    assert len(told.finding("backups_unreadable")) == 4
    assert "the backups of 4 disks are unreadable: the newest lies in the future (api.time_zone, or" in told.words
    api.answers[f"{ACCOUNT}/disk/2"] = lambda _query: (200, api.lists[DISKS][1], {})
    for command in ("show", "backups"):
        shown = run_command(api.url, "disks", command, "2").output
        assert "in the future" in shown
        assert " 0s" not in shown


EMPTY = (
    "account 4242: the API lists neither disks nor virtual machines: there are none, or its credential may not see them"
)


def test_an_account_that_lists_nothing_beside_one_that_is_well(api: SmallApi, tmp_path: Path) -> None:
    """That it may hide its disks is said beside the good news of the other."""
    api.lists.update({f"/account/7/{name}": [] for name in ("disks", "backups", "virtual_machines")})
    path = tmp_path / "two.yml"
    path.write_text("accounts: [{id: 4242, api_key: k}, {id: 7, api_key: k}]")
    said = run_command(api.url, "check", GIGAS_CONFIG_FILE=str(path), GIGAS_ACCOUNT_ID="", GIGAS_API_KEY="")
    assert said.exit_code == 0, said.output
    assert said.stdout == f"all 4 disks are well; {EMPTY.replace('4242', '7')}\n"


def test_a_policy_that_requires_no_backup(api: SmallApi, tell: Tell) -> None:
    """That all disks are well says nothing then of any backup."""
    rules = "[{match: {disk_id: 99}, max_age: 26h}, {required: false, reason: x}]"
    told = tell(config=f"backup_policy: {rules}")
    assert told.status == 0
    assert told.words.endswith("4 exempt; backup_policy requires no backup of any disk\n")
    assert "backup_policy" not in tell().words


def test_an_empty_list_with_204(api: SmallApi, tell: Tell) -> None:
    """It is empty."""
    for path in (DISKS, BACKUPS, MACHINES):
        api.answers[path] = lambda _: (204, b"", {})
    told = tell()
    assert told.status == 0, told.words
    assert told.words == f"the API lists no disks; {EMPTY}\n"


@pytest.mark.parametrize("answer", [(200, [], {}), (204, b"", {})], ids=["[]", "204"])
@pytest.mark.parametrize("left", ["12 backups and 4 virtual machines", "12 backups", "4 virtual machines"])
def test_no_disks_are_not_believed_while_something_else_is_there(
    api: SmallApi, tell: Tell, answer: Answer, left: str
) -> None:
    """What the account has besides is said, by the page too; its backups name no listed disk."""
    api.answers[DISKS] = lambda _: answer
    if "backups" not in left:
        api.answers[BACKUPS] = lambda _: (200, [], {})
    if "machines" not in left:
        api.answers[MACHINES] = lambda _: (403, {"error": "no"}, {})
    told = tell()
    sentence = f"account 4242: the list of disks is empty, although the account has {left}:"
    assert told.status == 2, told.words
    assert told.nagios == 3
    assert f"no disk could be checked; {sentence}" in told.words
    assert told.metric("gigas_account_backups_unassigned") == [12.0 if "backups" in left else 0.0]
    shown = page(api)
    assert sentence in shown
    assert "No disk is known." in shown
    assert "The API lists no disks." not in shown
    assert EMPTY not in shown


@pytest.mark.parametrize(
    ("status", "lists", "source"),
    [
        *((status, (BACKUPS, MACHINES), "auto") for status in (200, 400, 403, 404, 405, 500)),
        (403, (MACHINES,), "auto"),
        *((403, (BACKUPS, MACHINES), source) for source in ("account", "disk")),
    ],
)
def test_no_disks_are_not_believed_while_nothing_confirms_it(
    api: SmallApi, tell: Tell, status: int, lists: tuple[str, ...], source: str
) -> None:
    """A credential that may see no disks may see nothing; that there was no disk to ask is no answer about backups."""
    api.lists[DISKS] = api.lists[BACKUPS] = []
    for path in lists:
        api.answers[path] = lambda _: (status, b"<html>", {})
    told = tell(config=f"poll: {{backups_source: {source}}}")
    assert told.status == 2, told.words
    assert told.words.startswith("no disk could be checked; account 4242: ")
    assert "the list of disks is empty, and" in told.words
    assert "virtual machines, which would confirm it, could not be read" in told.words
    assert told.nagios == 3
    assert told.metric("gigas_account_disks_with_finding") == []
    assert told.metric("gigas_exporter_poll_invalid_items", resource="disks", field="total") == [1]


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_no_disks_while_only_the_backups_cannot_be_read(api: SmallApi, tell: Tell, status: int) -> None:
    """Without virtual machines there are no disks where the API has no list of all backups, or it is not wanted."""
    api.lists[DISKS] = api.lists[MACHINES] = []
    api.answers[BACKUPS] = lambda _: (status, {"errors": ["x"]}, {})
    told = tell()
    assert told.status == (0 if status == 404 else 2), told.words
    assert (EMPTY in told.words) == (status == 404)
    assert told.metric("gigas_exporter_poll_success", resource="backups") == [float(status == 404)]
    told = tell(config="poll: {backups_source: disk}")
    assert (told.status, told.words) == (0, f"the API lists no disks; {EMPTY}\n")
    assert told.metric("gigas_account_disks_with_finding", finding="not_understood") == [0]


def test_backups_that_name_no_listed_disk_are_told(missed: SmallApi, tell: Tell) -> None:
    """Those of deleted disks are no fault; how many there are is said by the page, too."""
    missed.lists[BACKUPS].append({**missed.lists[BACKUPS][0], "id": 1, "disk_id": 99})
    told = tell()
    assert_missed(told)
    assert "; 1 backup names no listed disk" in told.words
    assert told.metric("gigas_account_backups_unassigned") == [1]
    assert "1 backup names no listed disk" in page(missed)
    missed.lists[BACKUPS][-1]["disk_id"] = 1
    assert "no listed disk" not in tell().words


def test_a_204_that_names_items_is_not_empty(api: SmallApi, tell: Tell) -> None:
    """Its headers say that there are some."""
    api.answers[DISKS] = lambda _: (204, b"", {"X-Total": "4"})
    assert_failed(tell(), "list_disks")


@pytest.mark.parametrize("status", [201, 202, 203, 206])
@pytest.mark.parametrize("path", [DISKS, BACKUPS])
def test_a_list_with_another_success(api: SmallApi, tell: Tell, status: int, path: str) -> None:
    """A failed poll."""
    api.answers[path] = lambda _: (status, api.lists[path], {})
    told = tell()
    assert told.status == 2, told.words
    assert str(status) in told.words
    assert told.metric("gigas_exporter_poll_success", resource=path.rpartition("/")[2]) == [0]


@pytest.mark.parametrize("value", [0, "0", None, ""])
def test_a_disk_of_no_machine(missed: SmallApi, tell: Tell, value: Any) -> None:
    """Detached."""
    missed.lists[DISKS][0]["virtual_machine_id"] = value
    told = tell()
    assert_missed(told)
    assert told.finding("detached") == {"1"}


def test_a_disk_whose_machine_is_not_known(api: SmallApi, tell: Tell) -> None:
    """It is not detached, and decides where a rule asks for it."""
    each_disk(api, "virtual_machine_id", [1])
    told = tell()
    assert_well(told)
    assert told.finding("detached") == set()
    rule = "backup_policy: [{match: {virtual_machine_id: 501}, max_age: 6h}, {required: false, reason: dev}]"
    assert_not_understood(tell(config=rule), "virtual_machine_id")


@pytest.mark.parametrize(("status", "words"), [(301, "api.url"), (402, "unpaid bills"), (422, "api.page_size")])
def test_a_refused_list(api: SmallApi, tell: Tell, status: int, words: str) -> None:
    """The sentence has the status, and the setting to try."""
    api.answers[DISKS] = lambda _: (status, {"errors": ["x"]}, {})
    told = tell()
    assert_failed(told, words)
    assert str(status) in told.words


def test_fields_under_other_names(missed: SmallApi, tell: Tell) -> None:
    """With the setting they are read; where the API has none of it, that can be accepted."""
    for item in missed.lists[DISKS]:
        item["has_autobackups"] = item.pop("autobackup")
        del item["error"]
    assert tell().status == 2
    assert_missed(tell(config="api: {fields: {autobackup: has_autobackups, error: null}}"))


def test_sizes_in_other_units(api: SmallApi, tell: Tell) -> None:
    """With the settings they are what they are."""
    told = tell(config="api: {disk_size_unit: GB, backup_size_unit: MB}")
    assert told.metric("gigas_disk_size_bytes", disk_id="1") == [40e9]
    assert told.metric("gigas_disk_backup_last_size_bytes", disk_id="1") == [9e12]
    assert tell().metric("gigas_disk_size_bytes", disk_id="1") == [40 * 2.0**30]
