"""What undocumented fields, and the names of an owner, make of a backup or a disk."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from gigas_exporter.backup_statuses import BackupStatuses
from gigas_exporter.decode import Decoder, DecodeSettings, InvalidFields
from gigas_exporter.decode.owner import Owner, decode_owner

NOW = 1704283200.0  # 2024-01-03T12:00:00Z
BACKUP = {"id": 9, "disk_id": 7, "date_created": "2024-01-01T00:00:00Z", "status": "completed", "locked": False}
DISK = {"id": 7, "virtual_machine_id": 5, "status": "active", "error": False, "is_swap": False, "autobackup": True}


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({}, "usable"),
        ({"state": "stored", "progress": 100, "completed": True, "pending": False, "error_code": 0}, "usable"),
        ({"state": "-", "progress": [], "completed": {}, "running": {}, "deleted_at": "0000-00-00"}, "usable"),
        ({"finished": "2024-01-02", "available": "2024-01-02T00:00:00Z", "expires_at": "never"}, "usable"),
        ({"completed": 100, "percent": 1.0, "progress": {"percent": "100 %"}, "valid_until": "2030-01-01"}, "usable"),
        ({"progress": 40, "built": True}, "usable"),
        ({"error_message": "No error", "exit_status": "OK", "success": "ok", "available": "available"}, "usable"),
        ({"status_message": "No errors found", "result": "Completed without errors"}, "usable"),
        ({"error_message": "The operation completed successfully.", "failure": "sin errores"}, "usable"),
        ({"result": "completed with errors"}, "unclear"),
        ({"error_message": "completed with 2 errors"}, "unclear"),
        ({"result": False}, "unclear"),
        ({"success": "no"}, "unclear"),
        ({"ready": "2024-01-09"}, "unclear"),
        ({"ready": "2024-13-45"}, "unclear"),
        ({"isReady": "perhaps"}, "unclear"),
        ({"completed": 0}, "unclear"),
        ({"has_error": True}, "unclear"),
        ({"failed_at": "2024-01-02T00:00:00Z"}, "unclear"),
        ({"errors": {"code": [0, ""]}}, "usable"),
        ({"errors": {"code": [0, 7]}}, "unclear"),
        ({"in_progress": True}, "unclear"),
        ({"state": "deleting"}, "unclear"),
        ({"phase": "3"}, "usable"),
        ({"state": {"name": "failed"}}, "unclear"),
        ({"state": 7}, "usable"),
        ({"progress": 40}, "unclear"),
        ({"progress": 99.9}, "unclear"),
        ({"progress": "uploading"}, "unclear"),
        ({"progress": {"done": 3, "of": 9}}, "unclear"),
        ({"expires_at": "2024-01-02T00:00:00Z"}, "unclear"),
        ({"expires_at": "2024-01-01"}, "unclear"),
        ({"expires_at": "2024-01-02"}, "usable"),
        ({"isBuilt": False}, "unclear"),
        ({"job_status": "failed"}, "unclear"),
        ({"percentage_complete": 30}, "unclear"),
    ],
)
def test_a_field_can_only_make_a_good_backup_unclear(fields: dict[str, Any], outcome: str) -> None:
    """What it denies is not understood; what is empty, or says the same, changes nothing."""
    backup = Decoder().backup({**BACKUP, **fields}, Counter(), NOW)
    assert backup is not None
    assert BackupStatuses().outcome(backup) == outcome


WORDS = BackupStatuses()


@pytest.mark.parametrize(
    ("outcome", "statuses"),
    [
        ("failed", (*sorted(WORDS.failed), "FAILED", " Failed ", "failed over", "backup_failed")),
        ("unfinished", (*sorted(WORDS.unfinished), "In Progress", "in-progress")),
        ("usable", (*sorted(WORDS.good), "failedover", "something new", "intact")),
        ("unclear", ("", "uncompleted", "notready", "inactive", "defragmenting", "creándose", "creandose")),
        ("unclear", ("being built", "being verified", "siendo creada", "construyendo", "se está construyendo")),
        ("unclear", ("destruyendo", "construyéndose", "nunca completada", "about to complete")),
        ("usable", ("initial backup completed", "Initial backup", "run completed", "run successful", "Run OK")),
        ("usable", ("morning backup completed", "existing", "passing", "comando completado", "start: ok")),
        ("unfinished", ("initial", "run", "START", "begin", "run begun", "run: deleted", "start, incomplete")),
        ("unclear", ("Scheduled: completed", "running backup completed", "completed after retrying", "created empty")),
        ("unclear", ("cannot complete", "couldn't be completed", "lista de espera ok", "ready, needs repair")),
        ("unclear", ("in queue", "backup creation")),
        ("unfinished", ("backup in creation", "creation", "queue")),
        ("usable", ("backup creation completed", "queue: done")),
        ("unclear", ("initial backup never completed", "run almost completed", "backup run", "leyendo", "run 5 of 9")),
    ],
)
def test_a_status_says_whether_a_backup_counts(outcome: str, statuses: tuple[str, ...]) -> None:
    """Known words make it failed or unfinished, however they are written; any other is usable."""
    found = {status: Decoder().backup({**BACKUP, "status": status}, Counter(), NOW) for status in statuses}
    assert {each for each, backup in found.items() if backup is None or WORDS.outcome(backup) != outcome} == set()


@pytest.mark.parametrize(
    ("status", "is_named"),
    [
        ("Completed (with warnings)", True),
        ("created?", True),
        ("Completada con avisos", True),
        ("online (limited)", True),
        ("something new", True),
        ("completed", False),
        ("backup_completed", False),
        ("Completed successfully.", False),
        ("completed: 100%", False),
        ("OK (2026-01-31)", False),
        ("failed: timeout", False),
        ("not available", False),
    ],
)
def test_a_status_that_counts_as_usable_and_is_not_plain_is_named(status: str, *, is_named: bool) -> None:
    """What matches no word, or says more than a good one, is told to whoever can look what it means."""
    assert WORDS.unmatched([status]) == ((status,) if is_named else ())


@pytest.mark.parametrize(
    "fields", [{"deleted": True}, {"removed_at": "2024-01-02"}, {"isExpired": "yes"}, {"to_be_deleted": 1}]
)
def test_a_deleted_backup_is_not_usable(fields: dict[str, Any]) -> None:
    """Whatever its status says."""
    backup = Decoder().backup({**BACKUP, **fields}, Counter(), NOW)
    assert backup is not None
    assert BackupStatuses().outcome(backup) != "usable"


def test_a_field_is_counted_under_its_own_name_unless_it_is_said_to_say_nothing() -> None:
    """So that a user finds it."""
    fields, invalid = {**BACKUP, "percentComplete": 40}, Counter[str]()
    Decoder().backup(fields, invalid, NOW)
    assert invalid == {"percent_complete": 1}
    accepted = Decoder(DecodeSettings(fields={"percent_complete": None})).backup(fields, invalid, NOW)
    assert accepted is not None
    assert BackupStatuses().outcome(accepted) == "usable"


def test_an_expiry_says_until_when_a_backup_counts() -> None:
    """The soonest of all backups that were decoded, with ten minutes for clocks that differ."""
    invalid = InvalidFields()
    for day in (9, 6, 8):
        Decoder().backup({**BACKUP, "expires_at": f"2024-01-0{day}T00:00:00Z"}, invalid, NOW)
    assert invalid.valid_until == NOW + 2.5 * 86400 + 600


@pytest.mark.parametrize(
    ("fields", "has_error"),
    [
        ({}, False),
        ({"health": "ok", "errors": [], "exit_code": 0}, False),
        ({"last_error": "resize timed out last year"}, False),
        ({"error_message": "i/o error"}, None),
        ({"error_message": "no errors", "health": False}, False),
        ({"health": "degraded"}, None),
        ({"health": {"state": "failed"}}, None),
        ({"error": "i/o error", "health": "ok"}, True),
        ({"error": {"code": [None, ""]}}, None),
        ({"error": "no errors"}, None),
        ({"error": "completed with errors"}, True),
        ({"status": "disconnected"}, False),
        ({"error": "none"}, False),
        ({"error": 2}, None),
    ],
)
def test_a_field_can_only_make_a_good_disk_not_understood(fields: dict[str, Any], has_error: bool | None) -> None:
    """An error is what the documented field says."""
    disk = Decoder().disk({**DISK, **fields}, Counter(), NOW)
    assert disk is not None
    assert disk.error is has_error


@pytest.mark.parametrize(
    ("fields", "owner"),
    [
        ({"disk_id": 7, "virtual_machine_id": 5}, Owner("7", "5")),
        ({"disk_id": 0}, Owner(None, None)),
        ({"disk": 7, "virtual_machine": {"id": 5}}, Owner("7", "5")),
        ({"disk_ids": [7, 7]}, Owner("7", None)),
        ({"disk_ids": [7, 8]}, Owner(None, None, ("7", "8"))),
        ({"disk_ids": [7, "?!"]}, Owner(None, None)),
        ({"disk_ids": []}, Owner(None, None)),
        ({"target_type": "Disk", "target_id": 7}, Owner("7", None)),
        ({"target_type": "VirtualMachine", "target_id": 5}, Owner(None, "5")),
        ({"target_type": "VirtualMachine", "target_id": 5, "disk_id": 7}, Owner("7", "5")),
        ({"target_type": "VirtualMachine", "target_id": 5, "disk_id": 5}, Owner(None, "5")),
        ({"target_type": "VirtualMachine", "virtual_machine_id": 5, "disk_id": 7}, Owner("7", "5")),
        ({"target_type": "VirtualMachine", "disk_id": 7}, Owner(None, "7")),
        ({"target_type": "full", "target_id": 17, "disk_id": 17}, Owner("17", None)),
    ],
)
def test_an_owner_in_whichever_field(fields: dict[str, Any], owner: Owner) -> None:
    """The documented one wins; several, and a machine, are no disk."""
    assert decode_owner(fields, []) == owner
