"""What makes each alert true, from which minute on, what comes near it, and what it then says.

It knows the estate's levers and the alerts' words, and nothing of promtool.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from alerts.estate import HOUR, LIMIT_SECONDS, Account, Disk, Estate, Timeline, always, at, span

__all__ = ["TRIGGERS", "Trigger", "estate"]

GIB = 1 << 30
Level = Literal["disk", "account", "exporter", "none"]


def estate(minutes: int, disks: int = 3) -> Estate:
    """An estate in good order: one exporter, one account."""
    return Estate([Account("4242", [Disk(str(17 + number)) for number in range(disks)])], minutes)


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """How one alert comes about.

    Attributes:
        start: The minute at which its cause begins.
        wait: Minutes from the cause to the alert.
        apply: Bring the cause about, from a minute on and until another.
        near: Bring about what is not quite enough, for ever.
        says: The description, as it is when the alert begins to fire.
        command: The command that the alert names.
        dashboard: The dashboard that it links to.
        labels: Labels that the alert has besides those of its level.
        tail: Minutes for which the cause is felt after its end.
        lasts: Minutes after the beginning of the cause at which the alert still says the same.
        disks: How many disks the account has.
        evaluated_every: Minutes between two evaluations; more where the way is long.
        of_job: Whether it is about all exporters of a job together.
    """

    level: Level
    severity: Literal["critical", "warning", "info"]
    apply: Callable[[Estate, int, int], None]
    near: Callable[[Estate], None]
    says: str
    wait: int
    start: int = 10
    command: str | None = None
    dashboard: str = "gigas-disk"
    labels: Mapping[str, str] = field(default_factory=dict)
    tail: int = 0
    lasts: int = 0
    disks: int = 1
    evaluated_every: int = 1
    of_job: bool = False

    @property
    def fires(self) -> int:
        """The minute at which the alert fires."""
        return self.start + self.wait


def _set(**timelines: Timeline) -> Callable[[Estate], None]:
    """Set values of the first account's first disk."""

    def change(estate: Estate) -> None:
        estate.accounts[0].disks[0].values.update({f"gigas_disk_{name}": line for name, line in timelines.items()})

    return change


def _while(**values: tuple[float | None, float | None]) -> Callable[[Estate, int, int], None]:
    """Give the first disk other values for a while: name=(before and after, within)."""

    def change(estate: Estate, first: int, end: int) -> None:
        _set(**{name: span(inside, first, end, outside) for name, (outside, inside) in values.items()})(estate)

    return change


def _old_backup(factor: int) -> Callable[[Estate, int, int], None]:
    """A backup that is exactly as old as allowed in the minute before; the next one comes at the end."""

    def change(estate: Estate, first: int, end: int) -> None:
        last = (first - 1) * 60 - factor * LIMIT_SECONDS
        _set(backup_last_timestamp_seconds=at(last, end, end * 60))(estate)

    return change


def _never(estate: Estate, first: int, end: int) -> None:
    _set(
        backups=at(0, end, 1),
        backup_last_timestamp_seconds=at(None, end, end * 60),
        backup_last_size_bytes=at(None, end, GIB),
        created_timestamp_seconds=always((first - 1) * 60 - LIMIT_SECONDS),
    )(estate)


def _never_but_free(estate: Estate) -> None:
    _never(estate, 10, estate.minutes + 1)
    _set(backup_required=always(0), backup_max_age_seconds=always(None))(estate)


def _move(estate: Estate, first: int, end: int) -> None:
    estate.accounts[0].disks[0].machine = span("", first, end, "501")


def _unknown_machine(estate: Estate) -> None:
    estate.accounts[0].disks[0].machine = always("999")


def _gone(count: int) -> Callable[[Estate, int, int], None]:
    def change(estate: Estate, first: int, end: int) -> None:
        for disk in estate.accounts[0].disks[:count]:
            disk.present = span(False, first, end, True)

    return change


def _exporter(attribute: str) -> Callable[[Estate, int, int], None]:
    return lambda estate, first, end: setattr(estate, attribute, (first, end))


def _account(attribute: str) -> Callable[[Estate, int, int], None]:
    return lambda estate, first, end: setattr(estate.accounts[0], attribute, (first, end))


def _rising(attribute: str, each_minute: int) -> Callable[[Estate, int, int], None]:
    """A counter that rises for a while."""

    def change(estate: Estate, first: int, end: int) -> None:
        setattr(estate, attribute, lambda minute: max(0, min(minute, end) - first) * each_minute)

    return change


def _invalid(estate: Estate, first: int, end: int) -> None:
    estate.accounts[0].invalid_items = lambda minute: max(0, min(minute, end) - first)


def _reload(estate: Estate, first: int, end: int) -> None:
    estate.reload_successful = span(0, first, end, 1)


def _undiscovered(estate: Estate, first: int, end: int) -> None:
    estate.discovery = span(0, first, end, 1)


def _nothing_watched(estate: Estate, first: int, end: int) -> None:
    _undiscovered(estate, first, end)
    estate.watching = span(False, first, end, True)


def _unwatched(estate: Estate, first: int, end: int) -> None:
    estate.accounts[0].present = span(False, first, end, True)


WHO = "Disk 17 (/srv, web-1) in account 4242"
BACKUP = "gigas-exporter disks backup --account 4242 17 --wait"
BACKUPS = "gigas-exporter disks backups --account 4242 17"
EDIT = "gigas-exporter disks edit --account 4242 17 --autobackup"
LIST = "gigas-exporter disks list --account 4242"
CHECK = "gigas-exporter check --config.file /etc/gigas-exporter.yml"
SHOW = "gigas-exporter disks show --account 4242 17"
OPERATION = {"operation": "list_disks"}

TRIGGERS: Mapping[str, Trigger] = {
    "GigasDiskError": Trigger(
        level="disk",
        severity="critical",
        apply=_while(error=(0, 1)),
        near=_set(error=lambda minute: int(minute % 5 != 0)),
        wait=5,
        says=f"{WHO} reports an error. What is on it may be unreadable or read-only.",
        command=SHOW,
    ),
    "GigasDiskLockedTooLong": Trigger(
        level="disk",
        severity="warning",
        apply=_while(locked=(0, 1)),
        near=_set(locked=lambda minute: int(minute % HOUR != 0)),
        wait=2 * HOUR + 15,
        evaluated_every=5,
        says=f"{WHO} has been locked without a break for more than 2h. An operation hangs, and neither changes nor"
        " backups are possible meanwhile.",
        command=SHOW,
    ),
    "GigasDiskUnprotected": Trigger(
        level="disk",
        severity="info",
        apply=_while(autobackup=(1, 0), backup_required=(1, 0), backup_max_age_seconds=(LIMIT_SECONDS, None)),
        near=_set(
            autobackup=always(0),
            swap=at(1, 2 * HOUR, 0),
            backup_exempt=at(0, 2 * HOUR, 1),
            backup_required=always(0),
            backup_max_age_seconds=always(None),
        ),
        wait=HOUR,
        says=f"{WHO} is not swap, is not known to have automatic backups on, and no rule of the backup policy asks for"
        " backups of it or says why it needs none.",
        command=EDIT,
    ),
    "GigasDiskAutobackupTurnedOff": Trigger(
        level="disk",
        severity="warning",
        apply=_while(autobackup=(1, 0)),
        near=_set(autobackup=always(0)),
        start=70,
        wait=5,
        says=f"{WHO} had automatic backups an hour ago and has them no longer.",
        command=EDIT,
    ),
    "GigasDiskDetached": Trigger(
        level="disk",
        severity="info",
        apply=_move,
        near=_unknown_machine,
        wait=24 * HOUR,
        says="Disk 17 (/srv, detached) in account 4242 is attached to no virtual machine. It is paid for and perhaps"
        " forgotten.",
        command=SHOW,
        labels={"virtual_machine": "detached"},
        evaluated_every=10,
    ),
    "GigasDiskDisappeared": Trigger(
        level="disk",
        severity="warning",
        apply=_gone(1),
        near=lambda estate: _move(estate, 70, estate.minutes + 1),
        start=70,
        wait=5,
        says=f"{WHO} was there an hour ago and is not in the account any more, while the API answers.",
        command=LIST,
    ),
    "GigasInventoryShrank": Trigger(
        level="account",
        severity="critical",
        apply=_gone(3),
        near=lambda estate: _gone(2)(estate, 70, estate.minutes + 1),
        disks=10,
        start=70,
        wait=15,
        lasts=HOUR + 3,
        says="30% of the disks that account 4242 had an hour ago, or before it could not be read, are gone, while the"
        " API answers.",
        command=LIST,
        dashboard="gigas-overview",
    ),
    "GigasDiskBackupStale": Trigger(
        level="disk",
        severity="warning",
        apply=_old_backup(1),
        near=_set(backup_last_timestamp_seconds=lambda minute: minute * 60 - LIMIT_SECONDS),
        wait=15,
        says=f"{WHO} was last backed up 1d 2h 16m 0s ago, which is over the limit of its policy.",
        command=BACKUP,
    ),
    "GigasDiskBackupMissed": Trigger(
        level="disk",
        severity="critical",
        apply=_old_backup(2),
        near=_set(backup_last_timestamp_seconds=lambda minute: minute * 60 - 2 * LIMIT_SECONDS),
        wait=15,
        says=f"{WHO} was last backed up 2d 4h 16m 0s ago, which is over twice the limit of its policy.",
        command=BACKUP,
    ),
    "GigasDiskNeverBackedUp": Trigger(
        level="disk",
        severity="critical",
        apply=_never,
        near=_never_but_free,
        wait=15,
        says=f"{WHO} has no usable backup, has existed longer than its policy's limit of 1d 2h 0m 0s, and must be"
        " backed up.",
        command=BACKUP,
    ),
    "GigasDiskBackupFailed": Trigger(
        level="disk",
        severity="warning",
        apply=_while(backups_failed=(0, 2)),
        near=_set(backups_failed=always(3)),
        start=70,
        wait=5,
        says=f"{WHO} has 2 more failed backups than an hour ago.",
        command=BACKUP,
    ),
    "GigasDiskBackupsDropped": Trigger(
        level="disk",
        severity="warning",
        apply=_while(backups=(7, 5)),
        near=_set(backups=at(7, 70, 6)),
        start=70,
        wait=30,
        says=f"{WHO} lost 2 usable backups within the last hour. Rotation takes one away and leaves others.",
        command=BACKUPS,
    ),
    "GigasDiskBackupShrank": Trigger(
        level="disk",
        severity="warning",
        apply=_while(backup_last_size_bytes=(4 * GIB, GIB)),
        near=_set(backup_last_size_bytes=at(4 * GIB, 70, 2 * GIB)),
        start=70,
        wait=15,
        says=f"{WHO} was last backed up in 1GiB, less than half of what its backups usually took in the last"
        " eight days.",
        command=BACKUPS,
    ),
    "GigasDiskBackupInFuture": Trigger(
        level="disk",
        severity="warning",
        apply=lambda estate, first, end: _set(
            backup_last_timestamp_seconds=lambda minute: minute * 60 + 7200 if first <= minute < end else 0
        )(estate),
        near=_set(backup_last_timestamp_seconds=lambda minute: minute * 60 + 300),
        wait=15,
        says=f"{WHO} has a backup that is dated 2h 0m 0s ahead. Its age cannot be judged, and a clock is wrong.",
        command=BACKUPS,
    ),
    "GigasBackupsUnreadable": Trigger(
        level="disk",
        severity="warning",
        apply=_while(backups_poll_success=(1, 0)),
        near=_set(backups_poll_success=lambda minute: int(minute % 30 == 0)),
        wait=30,
        says="The backups of disk 17 (/srv, web-1) in account 4242 cannot be read, so nobody knows how old they are.",
        command=BACKUPS,
    ),
    "GigasExporterDown": Trigger(
        level="exporter",
        severity="critical",
        apply=_exporter("exporter_down"),
        near=lambda estate: setattr(estate, "others", {"database:9104": 0}),
        wait=10,
        says="The exporter exporter:10063 of job gigas cannot be scraped. Nothing is known of the disks that it"
        " watches.",
    ),
    "GigasExporterAbsent": Trigger(
        level="none",
        severity="critical",
        apply=_exporter("exporters_gone"),
        near=lambda estate: _exporter("exporter_down")(estate, 10, estate.minutes + 1),
        wait=15,
        says="Prometheus scrapes no gigas-exporter, and none of its targets was one. Nobody watches the disks and their"
        " backups.",
    ),
    "GigasNothingWatched": Trigger(
        level="exporter",
        severity="critical",
        apply=_nothing_watched,
        near=lambda estate: _undiscovered(estate, 10, estate.minutes + 1),
        wait=15,
        says="The exporter exporter:10063 cannot list the accounts that it is to watch, and watches none. Nothing is"
        " known of their disks and backups.",
        command=CHECK,
    ),
    "GigasDiscoveryFailing": Trigger(
        level="exporter",
        severity="warning",
        apply=_undiscovered,
        near=lambda estate: setattr(estate, "discovery", lambda minute: int(minute % 30 == 0)),
        wait=30,
        says="The exporter exporter:10063 cannot list the accounts that its credential sees. It goes on with those that"
        " it knows, until it is restarted; new ones are watched by nobody.",
        command=CHECK,
    ),
    "GigasAccountUnwatched": Trigger(
        level="account",
        severity="warning",
        apply=_unwatched,
        near=lambda estate: _nothing_watched(estate, 10, estate.minutes + 1),
        wait=30,
        says="No exporter watches account 4242 any more, which one of job gigas watched within the last day. Nothing is"
        " known of its disks and backups.",
        command=LIST,
        dashboard="gigas-exporter",
        of_job=True,
    ),
    "GigasApiFailing": Trigger(
        level="account",
        severity="warning",
        apply=_account("api_down"),
        near=lambda estate: _account("backups_down")(estate, 10, estate.minutes + 1),
        wait=10,
        says="The exporter exporter:10063 has not been able to read the disks of account 4242. It goes on to serve what"
        " it read last, for a while.",
        command=LIST,
        dashboard="gigas-exporter",
    ),
    "GigasDataStale": Trigger(
        level="account",
        severity="critical",
        apply=_account("api_down"),
        near=lambda estate: _account("api_down")(estate, 10, 25),
        wait=15 + 5,
        says="The disks of account 4242 were last read 21m 0s ago. Their alerts and graphs show the past or nothing.",
        command=LIST,
        dashboard="gigas-exporter",
    ),
    "GigasBackupsDataStale": Trigger(
        level="account",
        severity="warning",
        apply=_account("backups_down"),
        near=lambda estate: _account("backups_down")(estate, 10, 30),
        wait=20 + 5,
        says="The backups of account 4242 were last read 26m 0s ago, which is more than four times the time between two"
        " polls.",
        dashboard="gigas-exporter",
    ),
    "GigasApiSlow": Trigger(
        level="exporter",
        severity="warning",
        apply=_rising("slow_requests", 5),
        near=lambda estate: setattr(estate, "slow_requests", lambda minute: minute // 2),
        wait=3 + 15,
        tail=8,
        says="One in ten requests of exporter:10063 for list_disks takes 9s or longer.",
        labels=OPERATION,
    ),
    "GigasApiErrors": Trigger(
        level="exporter",
        severity="warning",
        apply=_rising("failing_requests", 5),
        near=lambda estate: setattr(estate, "failing_requests", lambda minute: minute // 2),
        wait=3 + 15,
        tail=8,
        says="50% of the requests of exporter:10063 for list_disks fail.",
        labels=OPERATION,
    ),
    "GigasInvalidData": Trigger(
        level="account",
        severity="warning",
        apply=_invalid,
        near=lambda estate: setattr(estate.accounts[0], "invalid_items", lambda minute: minute // 60),
        wait=1 + 15,
        tail=15,
        says="15 values of disk_size in disks of account 4242 could not be understood in the last few polls. The series"
        " that they belong to are missing.",
        dashboard="gigas-exporter",
        labels={"resource": "disks", "field": "disk_size"},
    ),
    "GigasConfigReloadFailed": Trigger(
        level="exporter",
        severity="warning",
        apply=_reload,
        near=lambda estate: setattr(estate, "reload_successful", lambda minute: int(minute % 15 == 0)),
        wait=15,
        says="The last reload of exporter:10063 failed. It goes on with the configuration from before, and a restart"
        " would fail.",
        command="gigas-exporter config check /etc/gigas-exporter.yml",
    ),
}
