"""What the API can do wrong in a value or a list without failing the poll: one series less, or none at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.fault_cases import STRUCK, Case, Harmless, assert_same
from support.in_process_exporter import Scrape

SMALL_PAGES = {"page_size": 5}
HOSTILE_TEXT = 'a "quoted"\\path\nwith <b>lines</b>, {braces} and \x7f'
LONG_AGO_ZONELESS, LONG_AGO = "2024-01-31T12:30:00", 1706704200.0


def nothing_changes(before: Scrape, during: Scrape) -> None:
    """Every series is there as it was."""
    assert_same(during, before, STRUCK, "gigas_disk_", "gigas_virtual_machine_")


def only_missing(*names: str) -> Callable[[Scrape, Scrape], None]:
    """These metrics have no series any more; all others of the disks are as they were."""

    def judge(before: Scrape, during: Scrape) -> None:
        was, now = (each.about(STRUCK, "gigas_disk_") for each in (before, during))
        assert {key: value for key, value in was.items() if key[0] not in names} == now
        assert {name for name, _ in was} >= set(names)

    return judge


def no_disk_is_understood(before: Scrape, during: Scrape) -> None:
    """Each disk is said to be not understood, and not to be without an error."""
    assert not during.by_disk("gigas_disk_error", STRUCK)
    findings = [dict(labels) for labels in during.of("gigas_disk_finding", account_id=STRUCK)]
    not_understood = {each["disk_id"] for each in findings if each["finding"] == "not_understood"}
    assert not_understood == before.by_disk("gigas_disk_error", STRUCK).keys()


def mount_points_are(text: str) -> Callable[[Scrape, Scrape], None]:
    """Each disk's mount point reads back as this."""

    def judge(before: Scrape, during: Scrape) -> None:
        mount_points = {dict(labels)["mount_point"] for labels in during.of("gigas_disk_info", account_id=STRUCK)}
        assert mount_points == {text}
        disks = before.by_disk("gigas_disk_info", STRUCK).keys()
        assert during.by_disk("gigas_disk_info", STRUCK).keys() == disks

    return judge


def ages_are_zero(before: Scrape, during: Scrape) -> None:
    """No backup is older than now, and none is younger."""
    ages = during.by_disk("gigas_disk_backup_age_seconds", STRUCK)
    assert ages.keys() == before.by_disk("gigas_disk_backup_age_seconds", STRUCK).keys()
    assert set(ages.values()) == {0.0}


def created_at(moment: float) -> Callable[[Scrape, Scrape], None]:
    """Each disk was created then."""

    def judge(before: Scrape, during: Scrape) -> None:
        created = during.by_disk("gigas_disk_created_timestamp_seconds", STRUCK)
        assert created.keys() == before.by_disk("gigas_disk_created_timestamp_seconds", STRUCK).keys()
        assert set(created.values()) == {moment}

    return judge


def the_last_wins(before: Scrape, during: Scrape) -> None:
    """The disk that came twice has one status, that of its second coming."""
    statuses = [dict(labels) for labels in during.of("gigas_disk_status", account_id=STRUCK)]
    assert len({each["disk_id"] for each in statuses}) == len(statuses)
    assert [each["status"] for each in statuses].count("duplicate") == 1
    assert during.by_disk("gigas_disk_info", STRUCK) == before.by_disk("gigas_disk_info", STRUCK)


def no_disk_is_lost(before: Scrape, during: Scrape) -> None:
    """The disks are those that there were."""
    assert during.by_disk("gigas_disk_info", STRUCK) == before.by_disk("gigas_disk_info", STRUCK)


def every_disk_has(value: float) -> Callable[[Scrape, Scrape], None]:
    """Each disk has an error, or none has."""

    def judge(before: Scrape, during: Scrape) -> None:
        errors = during.by_disk("gigas_disk_error", STRUCK)
        assert errors.keys() == before.by_disk("gigas_disk_error", STRUCK).keys()
        assert set(errors.values()) == {value}

    return judge


def of_disks(kind: str, field: str) -> Harmless:
    """A field of all disks is spoilt, and only what is made of it is missing."""
    return Harmless(kind, only_missing(*METRICS_OF_FIELDS[field]), parameters={"field": field}, invalid=field)


METRICS_OF_FIELDS = {
    "disk_size": ("gigas_disk_size_bytes",),
    "status": ("gigas_disk_status",),
    "error": ("gigas_disk_error",),
    "locked": ("gigas_disk_locked",),
    "created_at": ("gigas_disk_created_timestamp_seconds",),
    "updated_at": ("gigas_disk_updated_timestamp_seconds",),
}

CASES = (
    # values
    *(of_disks("wrong_types", field) for field in METRICS_OF_FIELDS if field not in {"error", "status"}),
    Harmless("wrong_types", every_disk_has(1.0), parameters={"field": "error"}),
    Harmless("wrong_types", no_disk_is_understood, parameters={"field": "status"}, invalid="status"),
    of_disks("nan", "disk_size"),
    of_disks("infinity", "disk_size"),
    *(
        Harmless("nulls", only_missing(*METRICS_OF_FIELDS[field]), parameters={"field": field})
        for field in METRICS_OF_FIELDS
        if field != "error"
    ),
    Harmless(
        "value",
        no_disk_is_understood,
        parameters={"field": "error", "value": 2},
        invalid="error",
    ),
    Harmless(
        "wrong_types",
        only_missing("gigas_disk_backup_last_size_bytes", "gigas_disk_backup_typical_size_bytes"),
        operation="list_backups",
        parameters={"field": "backup_size"},
        invalid="backup_size",
    ),
    # texts
    Harmless("value", mount_points_are(HOSTILE_TEXT), parameters={"field": "mount_point", "value": HOSTILE_TEXT}),
    Harmless("lone_surrogate", mount_points_are("half \ufffd of a pair"), parameters={"field": "mount_point"}),
    Harmless("long_text", mount_points_are("x" * 256), parameters={"field": "mount_point"}, invalid="mount_point"),
    # dates
    Harmless("future_dates", ages_are_zero, operation="list_backups", parameters={"seconds": 100.0}),
    Harmless(
        "future_dates",
        ages_are_zero,
        operation="list_backups",
        parameters={"seconds": 86400.0},
        invalid="date_created",
    ),
    *(
        Harmless("value", created_at(LONG_AGO), parameters={"field": "created_at", "value": value})
        for value in (LONG_AGO_ZONELESS, LONG_AGO_ZONELESS.replace("T", " "), LONG_AGO, LONG_AGO * 1000, "1706704200")
    ),
    *(
        Harmless(
            "value",
            only_missing("gigas_disk_created_timestamp_seconds"),
            parameters={"field": "created_at", "value": value},
            invalid="created_at",
        )
        for value in (20240131, "yesterday", "2024-01-31", -1, 1e300)
    ),
    # lists
    Harmless("duplicate_ids", the_last_wins),
    Harmless("duplicate_ids", no_disk_is_lost, api=SMALL_PAGES, parameters={"skip": 1}),
    Harmless("lowered_limit", nothing_changes, parameters={"size": 3}),
    Harmless("ignored_limit", nothing_changes, api=SMALL_PAGES),
    Harmless("no_headers", nothing_changes, api=SMALL_PAGES),
    Harmless("lying_total", nothing_changes, parameters={"size": 3}),
    Harmless("no_headers", nothing_changes, operation="list_backups", api=SMALL_PAGES),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_strange_answer_costs_what_it_spoils_and_no_more(case: Harmless, outcomes: Callable[[Case], None]) -> None:
    """The poll succeeds, what cannot be understood is left out and counted, and all else is as it was."""
    outcomes(case)
