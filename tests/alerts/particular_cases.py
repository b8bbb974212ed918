"""Cases of promtool that one alert or a few have beyond those of every alert: what once went wrong, or nearly.

Each is written as a scene of the estate and as the numbers of alerts, or as their descriptions, at some minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from alerts.estate import DAY, HOUR, LIMIT_SECONDS, Account, Disk, Estate, always, at, span
from alerts.triggers import GIB, estate

__all__ = ["day_cases", "particular_cases", "size_cases"]

Test = dict[str, Any]

_NAMES = "virtual_machine, virtual_machine_id"
_FIRST = 'virtual_machine="web-1", virtual_machine_id="501"'
_SECOND = 'virtual_machine="db-1.example.com", virtual_machine_id="502"'
_UNKNOWN = 'virtual_machine="VM 501", virtual_machine_id="501"'
_DETACHED = 'virtual_machine="detached"'


def _test(name: str, scene: Estate, *expected: Test) -> Test:
    return {
        "name": name,
        "interval": "1m",
        "input_series": scene.input_series(),
        "promql_expr_test": list(expected),
    }


def _firing(alert: str, minute: int, *machines: str) -> Test:
    """Expect an alert to fire at a minute, once for each of these machines."""
    return {
        "expr": f'group by ({_NAMES}) (ALERTS{{alertname="{alert}", alertstate="firing"}})',
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": f"{{{machine}}}", "value": 1} for machine in machines],
    }


def _minutes(alert: str, minute: int, firing: int) -> Test:
    """Expect for how many minutes one and the same alert has fired until a minute."""
    return {
        "expr": f'count_over_time(ALERTS{{alertname="{alert}", alertstate="firing"}}[{minute}m]) * on () group_left ()'
        f' count(last_over_time(ALERTS{{alertname="{alert}", alertstate="firing"}}[{minute}m]))',
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": _LABELS[alert], "value": firing}],
    }


def _labels(alert: str, severity: str) -> str:
    return (
        f'{{account_id="4242", alertname="{alert}", alertstate="firing", component="disk", disk_id="17",'
        f' instance="exporter:10063", job="gigas", mount_point="/srv", severity="{severity}",'
        ' virtual_machine="web-1", virtual_machine_id="501"}'
    )


_LABELS = {
    alert: _labels(alert, severity)
    for alert, severity in (
        ("GigasDiskError", "critical"),
        ("GigasDiskBackupStale", "warning"),
        ("GigasDiskNeverBackedUp", "critical"),
        ("GigasDiskBackupInFuture", "warning"),
        ("GigasDiskLockedTooLong", "warning"),
        ("GigasBackupsUnreadable", "warning"),
    )
} | {
    "GigasInventoryShrank": '{account_id="4242", alertname="GigasInventoryShrank", alertstate="firing",'
    ' component="account", instance="exporter:10063", job="gigas", severity="critical"}'
}
_NO_BACKUP = {
    "backups": always(0),
    "backup_last_timestamp_seconds": always(None),
    "backup_last_size_bytes": always(None),
}


def _scene(minutes: int, **values: Any) -> Estate:
    made = estate(minutes)
    made.accounts[0].disks[0].values.update({f"gigas_disk_{name}": line for name, line in values.items()})
    return made


def particular_cases() -> Iterator[Test]:
    """Yield those that are looked at minute by minute."""
    yield from _names()
    yield from _outages()
    yield from _losses()
    yield from _intervals()
    yield from _without_date()
    yield from _unwatched()


def _without_date() -> Iterator[Test]:
    no_date = {**_NO_BACKUP, "created_timestamp_seconds": always(None)}
    made = _scene(80, **no_date, backup_max_age_seconds=always(3600))
    made.exporter_down = (20, 30)
    yield _test(
        "a disk without a date of creation is as old as it has been seen: GigasDiskNeverBackedUp",
        made,
        _firing("GigasDiskNeverBackedUp", 75),
        _firing("GigasDiskNeverBackedUp", 76, _FIRST),
    )
    made = _scene(130, **no_date, backup_max_age_seconds=at(None, 100, 3600), backup_required=at(0, 100, 1))
    yield _test(
        "it is that old, too, where it must have a backup only later: GigasDiskNeverBackedUp",
        made,
        _firing("GigasDiskNeverBackedUp", 114),
        _firing("GigasDiskNeverBackedUp", 115, _FIRST),
    )

    made = _scene(
        150,
        backups=at(7, 120, 0),
        backup_last_timestamp_seconds=lambda minute: minute * 60 if minute < 120 else None,
        backup_last_size_bytes=at(GIB, 120, None),
        created_timestamp_seconds=always(None),
        backup_max_age_seconds=always(3600),
    )
    yield _test(
        "one that has lost all its backups is no new one: GigasDiskNeverBackedUp",
        made,
        _firing("GigasDiskNeverBackedUp", 134),
        _firing("GigasDiskNeverBackedUp", 135, _FIRST),
    )
    ahead = {**_NO_BACKUP, "created_timestamp_seconds": always(DAY * 60), "backup_max_age_seconds": always(3600)}
    yield _test(
        "one that was created in the future is as old as it has been seen: GigasDiskNeverBackedUp",
        _scene(80, **ahead),
        _firing("GigasDiskNeverBackedUp", 75),
        _firing("GigasDiskNeverBackedUp", 76, _FIRST),
    )
    dates_unknown = {"backup_last_timestamp_seconds": always(None), "backup_last_size_bytes": always(None)}
    made = _scene(60, **{name: at(4096, 10, None) for name in dates_unknown})
    yield _test(
        "backups of which none has a date are of an unknown age: GigasBackupsUnreadable",
        made,
        _firing("GigasBackupsUnreadable", 39),
        _firing("GigasBackupsUnreadable", 40, _FIRST),
    )
    made = _scene(150, backups_poll_success=at(1, 10, 0))
    made.accounts[0].backups_down = (60, 90)
    yield _test(
        "polls that fail as a whole for half an hour end nothing that was told before: GigasBackupsUnreadable",
        made,
        _minutes("GigasBackupsUnreadable", 150, 111),
    )
    free = {"backup_required": always(0), "backup_max_age_seconds": always(None)}
    yield _test(
        "their age is of no account where none is required: GigasBackupsUnreadable",
        _scene(60, **dates_unknown, **free),
        _firing("GigasBackupsUnreadable", 60),
    )


def _names() -> Iterator[Test]:
    unsaid = {"autobackup": always(None), "backup_required": always(0), "backup_max_age_seconds": always(None)}
    yield _test(
        "a disk of which it is not said whether it has automatic backups: GigasDiskUnprotected",
        _scene(70, **unsaid),
        _firing("GigasDiskUnprotected", 59),
        _firing("GigasDiskUnprotected", 60, _FIRST),
    )
    unprotected = {
        "autobackup": always(0),
        "backup_required": always(0),
        "backup_max_age_seconds": always(None),
    }
    made = _scene(120, error=at(0, 100, 1), **unprotected)
    made.accounts[0].disks[0].machine = at("501", 90, "502")
    yield _test(
        "an alert takes the names of its beginning, whatever another one holds: GigasDiskError, GigasDiskUnprotected",
        made,
        _firing("GigasDiskUnprotected", 89, _FIRST),
        _firing("GigasDiskUnprotected", 106, _FIRST),
        _firing("GigasDiskError", 106, _SECOND),
    )
    made = _scene(60, error=lambda minute: int(10 <= minute < 40 or minute >= 45))
    made.accounts[0].disks[0].machine = at("501", 42, "502")
    yield _test(
        "an alert that comes back while it is kept firing keeps its names: GigasDiskError",
        made,
        _firing("GigasDiskError", 44, _FIRST),
        _firing("GigasDiskError", 58, _FIRST),
        _minutes("GigasDiskError", 60, 46),
    )
    made = _scene(60, error=at(0, 10, 1))
    made.accounts[0].disks[0].machine = at("501", 31, "502")
    made.prometheus_down = (30, 33)
    yield _test(
        "a disk that moved while Prometheus was down is there twice for a while: GigasDiskError",
        made,
        *(_firing("GigasDiskError", minute, _FIRST) for minute in (33, 34, 36, 40)),
        _minutes("GigasDiskError", 60, 46),
    )
    made = _scene(60, error=at(0, 33, 1))
    made.accounts[0].disks[0].machine = at("501", 31, "502")
    made.prometheus_down = (30, 33)
    yield _test(
        "where a disk seems to be there twice, the younger one gives the names: GigasDiskError",
        made,
        _firing("GigasDiskError", 38, _SECOND),
    )
    for read, machine in ((1, _FIRST), (0, _UNKNOWN)):
        made = _scene(30, error=at(0, 12, 1))
        made.exporter_down = (0, 12)
        made.accounts[0].machines_read = span(None, 0, 15, read)
        yield _test(
            f"machines that {'were not read yet' if read else 'cannot be read'} when it began: GigasDiskError",
            made,
            _firing("GigasDiskError", 19),
            _firing("GigasDiskError", 20, machine),
        )
    for moved_to, what, last in (("502", "is gone", _SECOND), ("", "was detached before it went", _FIRST)):
        made = _scene(100)
        made.accounts[0].disks[0].machine = at("501", 70, moved_to)
        made.accounts[0].disks[0].present = at(True, 75, False)
        yield _test(
            f"a disk that {what} is named after its last machine: GigasDiskDisappeared",
            made,
            _firing("GigasDiskDisappeared", 80, last),
            _firing("GigasDiskDisappeared", 95, last),
        )
    made = _scene(100)
    made.accounts[0].disks[0].present = at(True, 75, False)
    made.accounts[0].machines = {"501": at(("web-1", "web-1.example.com"), 74, None)}
    yield _test(
        "a machine that went with its disk has its name: GigasDiskDisappeared",
        made,
        _firing("GigasDiskDisappeared", 80, _FIRST),
    )


def _outages() -> Iterator[Test]:
    made = _scene(90, **_NO_BACKUP)
    made.accounts[0].api_down = (40, 60)
    yield _test(
        "an outage of 20 minutes pages nobody again: GigasDiskNeverBackedUp",
        made,
        _minutes("GigasDiskNeverBackedUp", 90, 76),
    )
    made = _scene(100, **_NO_BACKUP)
    made.accounts[0].poll_seconds = 1800
    made.accounts[0].api_down, made.accounts[0].backups_down = (40, 70), (0, 0)
    yield _test(
        "one poll of half an hour that fails pages nobody again: GigasDiskNeverBackedUp",
        made,
        _minutes("GigasDiskNeverBackedUp", 100, 86),
    )
    made = _scene(60, error=at(0, 10, 1))
    made.exporter_down = (12, 13)
    yield _test("a missed scrape restarts no wait: GigasDiskError", made, _minutes("GigasDiskError", 60, 46))
    made = _scene(60, backup_last_timestamp_seconds=always(9 * 60 - LIMIT_SECONDS))
    made.exporter_down = (15, 17)
    yield _test(
        "backups that a restarted exporter has not read yet restart no wait: GigasDiskBackupStale",
        made,
        _minutes("GigasDiskBackupStale", 60, 36),
    )
    made = _scene(60, backup_last_timestamp_seconds=lambda minute: minute * 60 + 7200)
    made.exporter_down = (30, 32)
    yield _test(
        "backups that a restarted exporter has not read yet end no alert: GigasDiskBackupInFuture",
        made,
        _minutes("GigasDiskBackupInFuture", 60, 46),
    )
    made = _scene(330, locked=at(0, 10, 1))
    made.exporter_down = (150, 180)
    yield _test(
        "an outage two hours ago ends no alert: GigasDiskLockedTooLong",
        made,
        _minutes("GigasDiskLockedTooLong", 330, 145),
    )
    made = _scene(60, error=span(1, 0, 30, 0))
    made.exporter_down = (31, 33)
    yield _test(
        "what ended just before a missed scrape does not come back with it: GigasDiskError",
        made,
        _minutes("GigasDiskError", 60, 40),
    )

    made = _scene(240)
    made.exporter_down, made.lives = (60, 61), 14
    made.accounts[0].backups_down = (50, 241)
    yield _test(
        "an exporter that starts again and again does not seem young for ever: GigasBackupsDataStale",
        made,
        {
            "expr": 'group by (account_id) (ALERTS{alertname="GigasBackupsDataStale", alertstate="firing"})',
            "eval_time": "240m",
            "exp_samples": [{"labels": '{account_id="4242"}', "value": 1}],
        },
    )


def _unwatched() -> Iterator[Test]:
    def firing(alert: str, minute: int, *labels: str) -> Test:
        return {
            "expr": f'group by (job, account_id) (ALERTS{{alertname="{alert}", alertstate="firing"}})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": each, "value": 1} for each in labels],
        }

    made = estate(120)
    made.accounts.append(Account("4243", [Disk("99")], present=at(True, 20, False)))
    made.exporter_down = (70, 72)
    yield _test(
        "a restart pages nobody again: GigasAccountUnwatched",
        made,
        *(firing("GigasAccountUnwatched", minute, '{account_id="4243", job="gigas"}') for minute in (50, 70, 71, 72)),
    )
    vanished = estate(120)
    vanished.exporters_gone = (20, 121)
    for account, labels in (("99", ('{account_id="4242", job="gigas"}',)), ("4242", ())):
        test = _test(
            f"a job has no target any more, and another job watches account {account}: GigasAccountUnwatched",
            vanished,
            firing("GigasAccountUnwatched", 49),
            firing("GigasAccountUnwatched", 50, *labels),
            firing("GigasExporterAbsent", 120),
        )
        test["input_series"] += [
            {**each, "series": each["series"].replace('"gigas"', '"other"').replace('"4242"', f'"{account}"')}
            for each in estate(120).input_series()
        ]
        yield test
    made = estate(120)
    made.discovery = at(1, 10, 0)
    made.accounts[0].api_down = (30, 32)
    yield _test(
        "a failed poll restarts no wait: GigasDiscoveryFailing",
        made,
        firing("GigasDiscoveryFailing", 39),
        firing("GigasDiscoveryFailing", 40, '{job="gigas"}'),
    )
    made = estate(120)
    made.discovery, made.watching = at(1, 10, 0), always(False)
    yield _test(
        "a shard without any account lacks none while they cannot be listed: GigasNothingWatched",
        made,
        firing("GigasNothingWatched", 60),
    )


def _targets() -> Iterator[Test]:
    target = '{job="gigas", instance="exporter:10063"}'
    yield {
        "name": "a target that is another program now is no exporter: GigasExporterAbsent, GigasExporterDown",
        "interval": "1m",
        "input_series": [
            {"series": f"up{target}", "values": f"1+0x{DAY + 60} 0+0x60"},
            {"series": f"gigas_exporter_build_info{target}", "values": "1+0x19 stale"},
        ],
        "promql_expr_test": [
            {
                "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": '{alertname="GigasExporterAbsent"}', "value": 1}] if fires else [],
            }
            for minute, fires in ((34, False), (35, True), (DAY + 100, True))
        ],
    }


def _lost(minutes: int) -> Estate:
    """Two disks of three are gone from minute 70 on."""
    made = estate(minutes)
    for disk in made.accounts[0].disks[:2]:
        disk.present = at(True, 70, False)
    return made


def _losses() -> Iterator[Test]:
    for minute, when in ((95, "now"), (35, "an hour ago")):
        made = _lost(125)
        made.accounts[0].api_down = (minute, minute + 1)
        yield _test(
            f"a poll that fails {when} ends no alert about lost disks: GigasInventoryShrank",
            made,
            _minutes("GigasInventoryShrank", 125, 41),
        )
    for lost, fires in ((2, 1), (1, 0)):
        made = estate(240, disks=4)
        made.accounts[0].api_down = (60, 160)
        for disk in made.accounts[0].disks[:lost]:
            disk.present = at(True, 100, False)
        test = _minutes("GigasInventoryShrank", 240, 45)
        yield _test(
            f"an outage of more than an hour that takes {lost} of four disks: GigasInventoryShrank",
            made,
            test if fires else {**test, "exp_samples": []},
        )
    for end, restart, first in ((100, None, 115), (110, None, 125), (160, (185, 186), 175)):
        made = estate(240, disks=4)
        made.accounts[0].api_down, made.exporter_down = (60, end), restart
        for disk in made.accounts[0].disks[:2]:
            disk.present = at(True, 80, False)
        yield _test(
            f"an outage of {end - 60} minutes{' and a restart' if restart else ''} pages at once and once:"
            " GigasInventoryShrank",
            made,
            _firing("GigasInventoryShrank", first - 1),
            _minutes("GigasInventoryShrank", 240, 60 + end - first),
        )
    made = _lost(125)
    made.accounts[0].poll_seconds = 1800
    test = _test(
        "polls of half an hour see lost disks throughout: GigasInventoryShrank",
        made,
        _minutes("GigasInventoryShrank", 125, 41),
    )
    for each in test["input_series"]:
        if each["series"].startswith("gigas_exporter_poll_last_success") and 'resource="disks"' in each["series"]:
            each["values"] = "0+0x9 600+0x29 2400+0x29 4200+0x29 6000+0x25"
    yield test


def _each(interval: int, minute: int) -> int:
    """One more with each poll."""
    return minute // interval


def _intervals() -> Iterator[Test]:
    for interval, polls in ((HOUR, "an hour"), (12 * HOUR, "half a day")):
        for often in (True, False):
            made = estate(3 * interval)
            made.accounts[0].poll_seconds = interval * 60
            made.accounts[0].invalid_items = partial(_each, interval) if often else at(0, interval, 3)
            fired = {"labels": '{field="disk_size"}', "value": 1}
            yield _test(
                f"polls of {polls}, values that are {'always' if often else 'once'} not understood: GigasInvalidData",
                made,
                {
                    "expr": 'group by (field) (ALERTS{alertname="GigasInvalidData", alertstate="firing"})',
                    "eval_time": f"{2 * interval + 15}m",
                    "exp_samples": [fired] if often else [],
                },
            )


def day_cases() -> Iterator[Test]:
    """Yield what takes a day, looked at every five minutes."""
    made = _scene(1500)
    made.accounts[0].disks[0].machine = at("501", 10, "")
    made.exporter_down = (700, 730)
    yield _test(
        "an outage of half an hour is no reason to wait another day: GigasDiskDetached",
        made,
        _firing("GigasDiskDetached", 1449),
        _firing("GigasDiskDetached", 1450, _DETACHED),
    )
    made = _scene(1500)
    made.accounts[0].disks[0].machine = at("501", 10, "")
    made.accounts[0].slower_by = 5
    made.accounts.append(Account("4243", [Disk("99")]))
    made.exporter_down = (700, 710)
    yield _test(
        "an account that is read later than another after a restart is not attached meanwhile: GigasDiskDetached",
        made,
        _firing("GigasDiskDetached", 1455, _DETACHED),
    )
    made = _scene(1600)
    made.accounts[0].disks[0].machine = at("501", 10, "")
    made.accounts.append(Account("4243", [Disk("99")]))
    made.accounts[0].present = at(True, 1500, False)
    yield _test(
        "an account that is watched no longer is no outage: GigasDiskDetached",
        made,
        _firing("GigasDiskDetached", 1495, _DETACHED),
        _firing("GigasDiskDetached", 1515),
    )
    made = _scene(1500)
    made.accounts[0].disks[0].machine = span("", 10, 720, "501")
    made.exporter_down = (700, 710)
    made.accounts[0].api_down = (690, 715)
    yield _test(
        "a disk that is attached after an outage is detached no longer: GigasDiskDetached",
        made,
        _firing("GigasDiskDetached", 1490),
    )
    yield from _targets()


def size_cases() -> Iterator[Test]:
    """Yield what takes days: the sizes of one disk's daily backups, looked at every six hours."""
    weekly = [10.0 if day % 7 == 0 else 1.0 for day in range(16)]
    yield _sizes("a full backup among incremental ones", weekly)
    yield _sizes("the first backup is a full one", [10.0] + [1.0] * 11)
    yield _sizes("a new disk's second backup is smaller", [10.0, 1.0, 1.0], backups=2)
    yield _sizes("smaller than all for a week", [4.0] * 9 + [1.0], fires_on_day=9)
    yield _sizes("smaller after a week with a full one", [*weekly[:10], 0.4], fires_on_day=10)
    yield _sizes("an empty one", [4.0] * 9 + [0.0], fires_on_day=9)


def _sizes(name: str, sizes: list[float], backups: int = 7, fires_on_day: int | None = None) -> Test:
    labels = '{job="gigas", instance="exporter:10063", account_id="4242"'
    disk = f'{labels}, disk_id="17", virtual_machine_id="501"'
    minutes = len(sizes) * DAY
    values = " ".join(f"{int(size * GIB)}+0x{DAY - 1}" for size in sizes)
    ever = f'count(last_over_time(ALERTS{{alertname="GigasDiskBackupShrank", alertstate="firing"}}[{minutes}m]))'
    before = fires_on_day * DAY if fires_on_day is not None else minutes
    looks: list[Test] = [{"expr": ever, "eval_time": f"{before}m", "exp_samples": []}]
    if fires_on_day is not None:
        looks.append(
            {"expr": ever, "eval_time": f"{before + 6 * HOUR}m", "exp_samples": [{"labels": "{}", "value": 1}]}
        )
    return {
        "name": f"{name}: GigasDiskBackupShrank",
        "interval": "1m",
        "input_series": [
            {"series": "gigas_up" + labels + "}", "values": f"1+0x{minutes}"},
            {"series": f'gigas_disk_info{disk}, mount_point="/srv"}}', "values": f"1+0x{minutes}"},
            {"series": f"gigas_disk_backups{disk}}}", "values": f"{backups}+0x{minutes}"},
            {"series": f"gigas_disk_backup_last_size_bytes{disk}}}", "values": values},
        ],
        "promql_expr_test": looks,
    }
