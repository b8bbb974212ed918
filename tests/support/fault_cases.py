"""Run one fault case: an exporter polls two accounts, and the fault affects one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.errors import Reason
from gigas_exporter.gigas import FixedSecret, LoginCredential
from gigas_exporter.inventory import Resource
from gigas_exporter.model import Account
from gigas_exporter.secret import Secret
from gigas_exporter.simulator import SimulatedCloud
from support.in_process_exporter import InProcessExporter, Scrape, in_process_exporter
from support.polling import api_key, settings_for
from support.programs import await_true
from support.simulator import SimulatorServer

STRUCK, OTHER = "4242", "4243"
STALENESS = 60.0
JUST_BEFORE = 0.001
Shared = Literal["api_key", "login"]
READ = "gigas_disk_backups_poll_success"

RESOURCES: Mapping[str, Resource] = {
    "list_disks": "disks",
    "list_backups": "backups",
    "list_disk_backups": "backups",
    "list_virtual_machines": "virtual_machines",
    "create_token": "disks",
}
SERIES: Mapping[Resource, tuple[str, ...]] = {
    "disks": ("gigas_disk_", "gigas_virtual_machine_"),
    "backups": ("gigas_disk_backups", "gigas_disk_backup_last", "gigas_disk_backup_oldest"),
    "virtual_machines": ("gigas_virtual_machine_",),
}


@dataclass(frozen=True)
class Failing:
    """A fault that must fail the polls of one resource.

    Attributes:
        kind: The simulator's kind of fault.
        reason: Its reason in ``gigas_exporter_poll_failures_total``.
        or_reason: Another reason that is accepted.
        shared: The kind of credential that both accounts share; ``None`` gives each its own key.
        code: Its code in ``gigas_exporter_api_requests_total``.
        retried: Whether requests must be retried.
        computes: Whether the exporter or the simulator needs much processor time.
    """

    kind: str
    reason: Reason
    code: str
    retried: bool = False
    operation: str = "list_disks"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    api: Mapping[str, Any] = field(default_factory=dict)
    source: str = "auto"
    login: bool = False
    or_reason: Reason | None = None
    shared: Shared | None = None
    computes: bool = False

    def __str__(self) -> str:
        words = [self.operation, self.kind, *(f"{name}={value}" for name, value in self.parameters.items())]
        return "-".join(map(str, [*words, *([f"shared {self.shared}"] if self.shared else [])]))

    @property
    def resource(self) -> Resource:
        return RESOURCES[self.operation]


@dataclass(frozen=True)
class Harmless:
    """A fault despite which polls must succeed.

    Attributes:
        invalid: Its field in ``gigas_exporter_invalid_items_total``, if any.
        judge: Compares the scrapes before and during the fault.
    """

    kind: str
    judge: Callable[[Scrape, Scrape], None]
    operation: str = "list_disks"
    invalid: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    api: Mapping[str, Any] = field(default_factory=dict)
    source: str = "auto"

    def __str__(self) -> str:
        words = [self.operation, self.kind, *(f"{name}={value!r:.30}" for name, value in self.parameters.items())]
        return "-".join(map(str, words))

    @property
    def resource(self) -> Resource:
        return RESOURCES[self.operation]


Case = Failing | Harmless


def case_settings(cloud: SimulatorServer, case: Case) -> Settings:
    """Return settings with short intervals and the credentials of the case."""
    # A busy machine must not cause timeouts in other cases.
    timed = isinstance(case, Failing) and "timeout" in (case.reason, case.or_reason)
    api = {"timeout_seconds": 1.0 if timed else 5.0, **case.api}
    settings = settings_for(
        cloud, api=api, interval=0.3, backups_interval=0.3, max_staleness=STALENESS, backups_source=case.source
    )
    if not isinstance(case, Failing):
        return settings
    if case.shared is not None:
        main = cloud.world.access.main
        login = LoginCredential(main.login, FixedSecret(Secret(main.password), "the test"))
        one = login if case.shared == "login" else api_key(main.api_key)
        return replace(settings, accounts=tuple(replace(each, credential=one) for each in settings.accounts))
    if not case.login:
        return settings
    user = cloud.world.credentials(STRUCK)
    credential = LoginCredential(user.login, FixedSecret(Secret(user.password), "the test"))
    return Settings(
        accounts=(AccountSettings(Account(STRUCK), credential), settings.accounts[1]),
        api=settings.api,
        poll=settings.poll,
    )


def play(case: Case) -> None:
    """Run one case."""
    world = SimulatedCloud(seed=3, disks=24, accounts=2, eventful=False)
    with SimulatorServer(world) as cloud, in_process_exporter(case_settings(cloud, case)) as exporter:
        for account in (STRUCK, OTHER):
            exporter.await_all_well(account)
        # The first sweep may have started before the disks were listed; it then has no disks without backups.
        exporter.await_polls("backups", STRUCK, OTHER)
        before = exporter.scrape()
        if isinstance(case, Failing):
            _play_failing(case, cloud, exporter, before)
        else:
            _play_harmless(case, cloud, exporter, before)
        assert exporter.service.healthy()
        assert exporter.get("/-/ready").status_code == 200
        _assert_other_untouched(exporter, before)


def assert_same(now: Scrape, before: Scrape, account_id: str, *prefixes: str) -> None:
    """Assert that an account's series are as before, except those on whether its backups could be read."""
    old, new = (
        {
            key: value
            for key, value in each.about(account_id, *prefixes).items()
            if key[0] != READ and ("finding", "backups_unreadable") not in key[1]
        }
        for each in (before, now)
    )
    assert old, "there was nothing to compare with"
    changed = {key: (old.get(key), new.get(key)) for key in old | new if old.get(key) != new.get(key)}
    assert not changed, f"{len(changed)} series changed, such as {next(iter(changed.items()))}"


def _strike(case: Case, cloud: SimulatorServer, exporter: InProcessExporter) -> None:
    account = None if case.operation == "create_token" else STRUCK
    with exporter.between_polls(STRUCK, case.resource):
        cloud.faults.add(case.kind, case.operation, account=account, **case.parameters)


def _play_failing(case: Failing, cloud: SimulatorServer, exporter: InProcessExporter, before: Scrape) -> None:
    resource, prefixes = case.resource, SERIES[case.resource]
    retries = before.total("gigas_exporter_api_retries_total", operation=case.operation)
    asked = before.total("gigas_exporter_api_requests_total", operation=case.operation, code=case.code)
    _strike(case, cloud, exporter)
    if case.login:  # after the fault is added, or a poll might log in before
        cloud.world.revoke_tokens()
    await_true(lambda: exporter.failures(STRUCK, resource))
    reasons = {case.reason, case.or_reason or case.reason}
    counted = exporter.scrape().of("gigas_exporter_poll_failures_total", account_id=STRUCK, resource=resource)
    failures = {dict(labels)["reason"]: value for labels, value in counted.items() if value}
    assert set(failures) <= reasons, (
        f"polls failed for {failures}, not only for {sorted(reasons)}: {exporter.log_lines(STRUCK, resource)}"
    )
    during = exporter.scrape()
    assert during.total("gigas_exporter_api_requests_total", operation=case.operation, code=case.code) > asked
    if case.retried:
        assert during.total("gigas_exporter_api_retries_total", operation=case.operation) > retries
    assert during.total("gigas_exporter_poll_success", account_id=STRUCK, resource=resource) == 0
    assert during.total("gigas_exporter_poll_last_success_timestamp_seconds", account_id=STRUCK, resource=resource) > 0
    assert during.total("gigas_up", account_id=STRUCK) == (0 if resource == "disks" else 1)
    assert_same(during, before, STRUCK, *prefixes)
    # Unaffected data must be newer than the affected, or it would expire at the same time.
    exporter.await_polls("disks", OTHER, *(() if resource == "disks" else (STRUCK,)))
    _assert_expires_in_time(exporter, resource, prefixes)
    _assert_other_untouched(exporter, before)
    assert exporter.failures(OTHER, resource) == 0
    cloud.faults.clear()
    exporter.await_all_well(STRUCK)
    after = exporter.scrape()
    assert_same(after, before, STRUCK, "gigas_disk_", "gigas_virtual_machine_")
    assert after.total("gigas_up", account_id=STRUCK) == 1
    await_true(lambda: len(exporter.log_lines(STRUCK, resource)) > 1)
    assert [message for message, _ in exporter.log_lines(STRUCK, resource)] == ["Poll failed", "Poll succeeds again"]
    assert exporter.log_lines(STRUCK, resource)[0][1]["reason"] in reasons
    assert exporter.log_lines(OTHER, resource) == []


def _assert_expires_in_time(exporter: InProcessExporter, resource: Resource, prefixes: tuple[str, ...]) -> None:
    inventory = exporter.inventory(STRUCK)
    disks, machines, backups = inventory.disks, inventory.machines, inventory.backups
    assert disks is not None
    assert machines is not None
    assert backups is not None
    if resource == "backups":
        moments = [summary.read_at for summary in backups.summaries.values()]
        core = prefixes
    elif resource == "disks":
        moments, core = [disks.read_at], ("gigas_disk_info", "gigas_disk_status", "gigas_disk_size", "gigas_disk_error")
    else:
        moments, core = [machines.read_at], prefixes
    kept = exporter.scrape()
    served = exporter.scrape_at(min(moments) + STALENESS - JUST_BEFORE)
    assert served.about(STRUCK, *core).keys() == kept.about(STRUCK, *core).keys()
    gone = exporter.scrape_at(max(moments) + STALENESS)
    assert {name for name, _ in gone.about(STRUCK, *prefixes)} == ({READ} if resource == "backups" else set())
    assert gone.by_disk("gigas_disk_size_bytes", OTHER)


def _play_harmless(case: Harmless, cloud: SimulatorServer, exporter: InProcessExporter, before: Scrape) -> None:
    _strike(case, cloud, exporter)
    exporter.await_polls(case.resource, STRUCK)
    during = exporter.scrape()
    counted = during.of("gigas_exporter_invalid_items_total", account_id=STRUCK, resource=case.resource)
    fields = {dict(labels)["field"] for labels, value in counted.items() if value > 0}
    if case.invalid is not None:
        assert case.invalid in fields
    else:
        assert not fields
    assert during.total("gigas_up", account_id=STRUCK) == 1
    case.judge(before, during)
    with exporter.between_polls(STRUCK, case.resource):
        cloud.faults.clear()
    exporter.await_polls(case.resource, STRUCK)
    exporter.await_polls("backups", STRUCK)  # backups of restored disks are known after the next sweep
    after = exporter.scrape()
    assert exporter.failures(STRUCK, case.resource) == 0
    assert_same(after, before, STRUCK, "gigas_disk_", "gigas_virtual_machine_")
    assert exporter.log_lines(STRUCK, case.resource) == []


def _assert_other_untouched(exporter: InProcessExporter, before: Scrape) -> None:
    now = exporter.scrape()
    assert_same(now, before, OTHER, "gigas_disk_", "gigas_virtual_machine_")
    assert now.total("gigas_up", account_id=OTHER) == 1
    assert now.total("gigas_exporter_invalid_items_total", account_id=OTHER) == 0
