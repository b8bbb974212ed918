"""What undocumented fields, and the names of an owner, make of a backup or a disk."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from gigas_exporter.backup_statuses import BackupStatuses
from gigas_exporter.decode import Decoder, DecodeSettings, InvalidFields
from gigas_exporter.decode.fields import Problem
from gigas_exporter.decode.owner import Owner, decode_owner

NOW = 1704283200.0  # 2024-01-03T12:00:00Z
BACKUP = {"id": 9, "disk_id": 7, "date_created": "2024-01-01T00:00:00Z", "status": "completed", "locked": False}
DISK = {"id": 7, "virtual_machine_id": 5, "status": "active", "error": False, "is_swap": False, "autobackup": True}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"error": None, "failed": 0, "errors": [], "deleted": {"at": None}, "marked_for_delete": False},
        {"state": "stored", "progress": 100, "completed": True, "pending": False, "error_code": 0, "isExpired": False},
        {"state": "-", "progress": [], "completed": {}, "running": {}, "deleted_at": "0000-00-00"},
        {"state": None, "completed": None, "progress": None, "expires_at": None, "in_progress": False},
        {"finished": "2024-01-02", "available": "2024-01-02T00:00:00Z", "expires_at": "never"},
        {"completed": 100, "percent": 1.0, "progress": {"percent": "100 %"}, "valid_until": "2030-01-01"},
        {
            "complete": "100%",
            "phase": "3 of 3",
            "deletedAt": None,
            "success": 1,
            "pending": [],
            "last_error": "timeout",
        },
        {"failed_at": "0000-00-00 00:00:00", "completed": "0000-00-00T00:00:00Z", "phase": "2/2", "pending": 0},
        {"exit_code": 0, "is_deleted": 0, "has_failed": "no", "cancelled_at": None, "errors": {"base": []}},
        *({"built": True, "progress": progress} for progress in (0, 1, 40, 99.6, "40 %", {"percent": 40})),
        {"error_message": "No error", "exit_status": "OK", "success": "ok", "available": "available"},
        {"status_message": "No errors found", "result": "Completed without errors", "errors": "n/a"},
        {"error_message": "The operation completed successfully.", "failure": "sin errores", "failed_at": ""},
        {"errors": {"code": [0, ""]}, "expires_at": "2024-01-02"},
        {"phase": "3", "state": 7},
    ],
)
def test_a_field_that_denies_nothing_changes_nothing(fields: dict[str, Any]) -> None:
    """What is empty, or says the same as a good status, of a backup or a disk."""
    invalid = Counter[str]()
    backup, disk = (
        Decoder().backup({**BACKUP, **fields}, invalid, NOW),
        Decoder().disk({**DISK, **fields}, invalid, NOW),
    )
    assert backup is not None
    assert disk is not None
    assert BackupStatuses().outcome(backup) == "usable"
    assert disk.error is False
    assert not invalid


@pytest.mark.parametrize(
    ("field", "name", "values"),
    [
        ("state", "state", ("pending", "in_progress", "Building", "deleting", "partial", "45%", "stopped", "failed")),
        ("state", "state", ({"name": "failed"},)),
        ("phase", "phase", ("uploading", "terminated", "1/2")),
        ("completed", "completed", (False, "no", 0, 40, "perhaps", {"a": 1})),
        *((field, field, (False,)) for field in ("finished", "restorable", "result")),
        *((field, field, (True,)) for field in ("in_progress", "pending", "partial")),
        ("success", "success", (False, "no")),
        ("isValid", "valid", (False,)),
        ("is_ready", "ready", (False,)),
        ("isReady", "ready", ("perhaps",)),
        ("ready", "ready", ("2024-01-09", "2024-13-45")),
        ("isRunning", "running", (True, "2024-01-03T11:00:00Z")),
        ("isIncomplete", "incomplete", (True,)),
        ("lifecycle_state", "lifecycle_state", ("deleting",)),
        ("job_status", "job_status", ("failed",)),
        ("expires_at", "expires_at", ("2024-01-02T00:00:00Z", "2024-01-01", 1_600_000_000_000)),
        ("validUntil", "valid_until", ("2020-01-31 10:00:00",)),
        ("failed_at", "failed_at", ("2024-01-02T00:00:00Z", "2024-01-01", "perhaps")),
        ("removed_at", "removed_at", ("2099-01-31 10:00:00", "perhaps")),
        ("return_code", "return_code", (255,)),
        ("exit_code", "exit_code", (1,)),
        ("exit_status", "exit_status", ("killed",)),
        ("failure_reason", "failure_reason", ("x",)),
        ("failed", "failed", ("yes",)),
        ("has_error", "has_error", (True,)),
        ("errors", "errors", (3, ["no space left"], {"code": [0, 7]})),
        ("errorMessage", "error_message", ("no space left", "completed with 2 errors")),
        ("result", "result", ("error", "0 errors, 1 failed", "completed with errors")),
        ("statusMessage", "status_message", ("failed: no space",)),
        ("progress", "progress", (40, 0, 0.4, 99.9, "45", "45 %", "uploading", {"done": 3}, {"done": 3, "of": 9})),
        ("percentComplete", "percent_complete", (99.9,)),
        ("percentage_complete", "percentage_complete", (30,)),
        ("isBuilt", "is_built", (False,)),
    ],
)
def test_a_field_can_only_make_a_good_backup_unclear(field: str, name: str, values: tuple[Any, ...]) -> None:
    """It is counted under its own name, so that a user finds it, unless it is said to say nothing."""
    for value in values:
        fields, invalid = {**BACKUP, field: value}, Counter[str]()
        backup = Decoder().backup(fields, invalid, NOW)
        accepted = Decoder(DecodeSettings(fields={name: None})).backup(fields, Counter(), NOW)
        assert backup is not None
        assert accepted is not None
        assert (BackupStatuses().outcome(backup), invalid) == ("unclear", {name: 1}), value
        assert BackupStatuses().outcome(accepted) == "usable", value


@pytest.mark.parametrize(
    ("outcome", "fields"),
    [
        ("usable", {"locked": True}),
        ("usable", {"status": "completed successfully", "locked": True}),
        ("usable", {"status": "Backup-Completed", "locked": True}),
        ("usable", {"status": "Terminado", "locked": True}),
        ("usable", {"status": None, "built": True}),
        ("unfinished", {"built": False}),
        ("unfinished", {"status": None, "built": False}),
        ("unfinished", {"marked_for_delete": True}),
        ("unfinished", {"deleted": True}),
        ("unfinished", {"deleted": "2024-01-01"}),
        ("unfinished", {"removed_at": "2024-01-02"}),
        ("unfinished", {"isExpired": "yes"}),
        ("unfinished", {"to_be_deleted": 1}),
        ("unfinished", {"cancelled": True}),
        ("unfinished", {"cancelledAt": 1_600_000_000}),
        ("unfinished", {"aborted": "yes"}),
        ("unfinished", {"built": True, "deletedAt": "2024-01-03T11:00:00Z"}),
        ("failed", {"error": True}),
        ("locked_or_empty", {"status": None, "locked": True}),
        ("locked_or_empty", {"status": "something odd", "locked": "yes"}),
        ("locked_or_empty", {"status": None, "backup_size": 0}),
        ("locked_or_empty", {"status": "", "backup_size": "0"}),
        ("locked_or_empty", {"status": None, "built": True, "locked": True}),
        ("unclear", {"status": "45% complete", "locked": True}),
        ("unclear", {"status": "90 percent complete", "locked": True}),
        ("unclear", {"built": "perhaps"}),
        ("unclear", {"error": {"code": 0, "message": ""}}),
    ],
)
def test_the_fields_that_decide_beside_the_status(outcome: str, fields: dict[str, Any]) -> None:
    """What says that it failed, is not finished or is no more wins over any status."""
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
        ("failed", ("failed: no space left", "COMPLETED_WITH_FAILURES", "copia interrumpida", " error ")),
        ("failed", ("failed: timeout", "cancelled by user", "ABORTING", "erróneo", "Rechazada", "stuck", "disk full")),
        ("unfinished", ("IN_PROGRESS", "InProgress", "NotBuilt", "en cola", "en ejecución", "en espera")),
        ("unfinished", ("incomplete", "incompleto", "deleting", "Cancelling", "caducada", "ELIMINADO")),
        ("unfinished", ("accepted", "purged", "orphan")),
        ("failed", ("Truncated", "corruption detected", "ausente")),
        ("usable", ("completed (100 %)", "completed 12/11/2026", "realizada", "something odd")),
        ("unclear", ("not available", "no backup", "built: false", "unsuccessfully completed", "Partially_Completed")),
        ("unclear", ("completed, 3 failed disks", "backup failed at step 3", "completed without errors", "50%")),
        ("unclear", ("completed 3/10", "active: uploaded 3 of 9 GB", "to be completed", "created, awaiting data")),
        ("unclear", ("0", "False", "None", "errors: 0", "casi completado", "Terminated normally", "--")),
        ("unclear", ("completed " + "x" * 300 + " failed",)),
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
    """The documented one wins; several, and a machine, are no disk; several, or one that cannot be read, are told."""
    problems: list[Problem] = []
    assert decode_owner(fields, problems) == owner
    assert [field for field, _, _ in problems] == ["disk_id"] * (len(set(map(str, fields.get("disk_ids", [])))) > 1)
