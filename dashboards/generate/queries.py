"""The PromQL that several dashboards share: which series are meant, and how they get names.

It owns expressions as text and knows nothing of panels. Every selector goes through a `Scope`, so that none forgets
the variables that the reader chose. The exporter judges the disks: what is found stands in `gigas_disk_finding`, with
names, and in `gigas_account_disks_with_finding`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ALERTS",
    "BY_DISK",
    "DISK",
    "EXPORTER",
    "FINDINGS_BY_URGENCY",
    "FLEET",
    "ITS_DISK",
    "Scope",
    "account_named",
    "backup_age",
    "disks_with",
    "firing",
    "found",
    "named",
    "of_exporters",
    "up",
    "with_value",
    "without_value",
]

BY_ACCOUNT = "job, instance, account_id"
BY_DISK = f"{BY_ACCOUNT}, disk_id"
ITS_DISK = "instance, account_id, disk_id, virtual_machine_id"
FINDINGS_BY_URGENCY = (
    "never_backed_up|backup_missed|disk_error",
    "not_understood|backups_unreadable",
    "backup_stale|locked_long|backup_failed",
    "unprotected",
    "backup_shrank|detached",
)
"""The findings, most urgent first, those that are equally urgent together: a late backup before none required."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The series that the variables of a dashboard select; called with a metric, it gives the selector."""

    matchers: str

    def __call__(self, metric: str, extra: str = "") -> str:
        """Return the selector of ``metric``, with more matchers where given."""
        return f"{metric}{{{f'{self.matchers}, {extra}' if extra else self.matchers}}}"


EXPORTER = Scope('job=~"$job", instance=~"$instance"')
FLEET = Scope(f'{EXPORTER.matchers}, account_id=~"$account_id"')
DISK = Scope(f'{FLEET.matchers}, disk_id="$disk_id"')
ALERTS = Scope(f'alertname=~"Gigas.*", {EXPORTER.matchers}, account_id=~"$account_id|"')
"""The alerts of the chosen exporters and accounts, and those that are about no account."""


def of_exporters(metric: str) -> str:
    """Return a metric that every scrape has, of exporters only: 'All' jobs are all that Prometheus scrapes."""
    return f"{EXPORTER(metric)} and on (job, instance) {EXPORTER('gigas_exporter_build_info')}"


def up() -> str:
    """Return whether the targets answer that were exporters at any time in the range."""
    seen = f"last_over_time({EXPORTER('gigas_exporter_build_info')}[$__range])"
    return f"({EXPORTER('up')} and on (job, instance) {seen})"


def firing(alerts: Scope, extra: str = "") -> str:
    """Return those of the alerts that fire."""
    return alerts("ALERTS", 'alertstate="firing"' + (f", {extra}" if extra else ""))


def _finding(findings: str) -> str:
    return f'finding{"=~" if "|" in findings else "="}"{findings}"'


def found(findings: str) -> str:
    """Return the series that tell of a finding, one a disk; ``findings`` are alternatives."""
    return FLEET("gigas_disk_finding", _finding(findings))


def disks_with(findings: str) -> str:
    """Return how many disks of each account have a finding; ``findings`` are alternatives."""
    return FLEET("gigas_account_disks_with_finding", _finding(findings))


def backup_age(scope: Scope) -> str:
    """Return the age of the newest backup of the chosen disk; from the time, which `collect` writes, too."""
    return f"clamp_min(time() - min({scope('gigas_disk_backup_last_timestamp_seconds')}), 0)"


def with_value(found: str, value: str) -> str:
    """Return the disks of ``found`` that have a series in ``value``, with that value."""
    return f"{found} * on ({ITS_DISK}) group_left () {value}"


def without_value(found: str, value: str) -> str:
    """Return the disks of ``found`` without a series in ``value``, as NaN, so that a table lists them too."""
    return f"NaN * ({found} unless on ({ITS_DISK}) {value})"


def account_named(expression: str) -> str:
    """Return ``expression``, whose series are accounts', with the account's ``name``."""
    return f"{expression} * on ({BY_ACCOUNT}) group_left (name) {FLEET('gigas_account_info')}"


def named(expression: str) -> str:
    """Return ``expression``, one series a disk, with the labels ``virtual_machine`` and ``mount_point``."""
    return f"{expression} * on ({ITS_DISK}) group_left (virtual_machine, mount_point) {EXPORTER('gigas_disk_info')}"
