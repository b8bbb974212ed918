"""From a disk's error in the simulated cloud to the message on somebody's phone, through the real programs.

Time runs sixty times as fast here, and only here: every duration in the rules is divided by sixty, and so are the
intervals of scraping and polling and the time that stale data is served. What the rules say with their own durations
is tested by promtool.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from gigas_exporter.bundle.alerts import RULE_FILES
from gigas_exporter.simulator import SimulatedCloud
from support.notifications import Receiver, quick, receiving, sixtieth
from support.programs import (
    Alertmanager,
    account_environment,
    alertmanager,
    await_true,
    exporter,
    field_tool,
    prometheus,
)
from support.simulator import SimulatorServer
from support.victoria import victoria

ACCOUNT = "4242"
PATIENCE_SECONDS = 120.0
QUICK = ("--poll.interval=1s", "--poll.backups-interval=5s", "--poll.max-staleness=15s")

SCRAPES = """
global: {{scrape_interval: 1s, scrape_timeout: 1s{more}}}
scrape_configs:
  - {{job_name: gigas, static_configs: [{{targets: [{targets}]}}]}}
"""
OF_PROMETHEUS = """
rule_files: ["*.rules.yml"]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{manager}"]}}]}}]}}
"""


def test_nothing_but_durations_differs(directory: Path) -> None:
    """The quick rules are the shipped ones in everything but their times."""
    shipped = "".join((directory / name).read_text(encoding="utf-8") for name in RULE_FILES)
    digits = re.compile(r"\d+[smhd]\b|> \d+")
    assert digits.sub("", sixtieth(shipped)) == digits.sub("", shipped)
    assert "for: 5s\n" in sixtieth(shipped)
    assert "offset 1m" in sixtieth(shipped)


@dataclass(frozen=True)
class Live:
    """All programs, running; two exporters watch the same account, each through an API of its own."""

    world: SimulatedCloud
    apis: tuple[SimulatorServer, SimulatorServer]
    instances: tuple[str, str]
    manager: Alertmanager
    receiver: Receiver
    disk_id: str

    def told(self, alert: str, status: str = "firing", instance: int = 0) -> bool:
        """Whether a message told of an alert of one of the exporters."""
        return bool(self.receiver.told(alert, status, instance=self.instances[instance]))

    def inhibited(self, instance: int) -> list[bool]:
        """Whether each alert about the disk, as one of the exporters sees it, is inhibited."""
        return [
            bool(each["status"]["inhibitedBy"])
            for each in self.manager.alerts()
            if each["labels"].get("disk_id") == self.disk_id and each["labels"]["instance"] == self.instances[instance]
        ]


def _healthy_disk(world: SimulatedCloud) -> str:
    """Delete all disks of the account but one that is well, and return that."""
    kept = next(
        disk.id
        for disk in world.disks(ACCOUNT)
        if disk.id not in world.scenarios and disk.virtual_machine_id and disk.autobackup and not disk.is_swap
    )
    for disk in world.disks(ACCOUNT):
        if disk.id != kept:
            world.delete_disk(disk.id)
    return kept


@pytest.fixture(
    params=[
        "debian",
        pytest.param("testing", marks=pytest.mark.field),
        pytest.param("victoria", marks=pytest.mark.field),
    ]
)
def live(request: pytest.FixtureRequest, directory: Path, tmp_path: Path) -> Iterator[Live]:
    """The shipped rules and the Alertmanager example between two exporters and a webhook; with an external label."""
    newer = request.param != "debian"
    world = SimulatedCloud(seed=3, disks=40, style="plain", eventful=False)
    kept = _healthy_disk(world)
    for name in RULE_FILES:
        (tmp_path / name).write_text(sixtieth((directory / name).read_text(encoding="utf-8")), encoding="utf-8")
    with ExitStack() as stack:
        apis = (stack.enter_context(SimulatorServer(world)), stack.enter_context(SimulatorServer(world)))
        served = [stack.enter_context(exporter(tmp_path, account_environment(api), *QUICK)) for api in apis]
        receiver = stack.enter_context(receiving())
        example = quick((directory / "alertmanager.example.yml").read_text(encoding="utf-8"), receiver)
        manager = stack.enter_context(alertmanager(tmp_path, example, field_tool("alertmanager") if newer else None))
        first, second = (each.url.removeprefix("http://") for each in served)
        targets = f'"{first}", "{second}"'
        if request.param == "victoria":
            scrapes = SCRAPES.format(targets=targets, more="")
            stack.enter_context(victoria(tmp_path, scrapes, tmp_path / "*.rules.yml", manager.url, "site=a"))
        else:
            more = ", evaluation_interval: 1s, external_labels: {site: a}"
            config = SCRAPES.format(targets=targets, more=more)
            config += OF_PROMETHEUS.format(manager=manager.url.removeprefix("http://"))
            stack.enter_context(prometheus(tmp_path, config, program=field_tool("prometheus") if newer else None))
        yield Live(world, apis, (first, second), manager, receiver, kept)


def test_from_an_error_to_one_message_and_through_an_outage(live: Live) -> None:
    """An error is paged once, rightly; an exporter that goes blind is told and silences only itself; all resolves."""
    receiver, disk_id = live.receiver, live.disk_id
    await_true(lambda: live.apis[1].world.disks(ACCOUNT), PATIENCE_SECONDS)
    time.sleep(5)
    assert receiver.notifications == [], "a healthy disk is no news"

    disk = live.world.disk(disk_id)
    machine = next(each for each in live.world.machines(ACCOUNT) if each.id == disk.virtual_machine_id)
    live.world.change_disk(disk_id, error=True)
    await_true(
        lambda: live.told("GigasDiskError") and live.told("GigasDiskError", instance=1), PATIENCE_SECONDS, "pages"
    )
    message = receiver.told("GigasDiskError")[-1]
    assert message.receiver == "pager"
    assert {each["labels"]["instance"] for each in message.body["alerts"]} == set(live.instances), "merged by grouping"
    alert = message.body["alerts"][0]
    name = machine.label or machine.hostname
    assert (alert["labels"]["virtual_machine"], alert["labels"]["site"]) == (name, "a")
    assert alert["annotations"]["description"].startswith(
        f"The API has reported an error of disk {disk_id} ({disk.mount_point or 'no mount point'}, {name}) in account "
    )
    assert f"&var-disk_id={disk_id}" in alert["annotations"]["dashboard_url"]
    assert alert["annotations"]["command"] == f"gigas-exporter disks show --account {ACCOUNT} {disk_id}"

    live.apis[1].faults.add(kind="status", operation="list_*", status=503)
    await_true(lambda: live.told("GigasApiFailing", instance=1), PATIENCE_SECONDS, "the outage of one")
    await_true(lambda: live.told("GigasDataStale", instance=1), PATIENCE_SECONDS, "that its data is stale")
    await_true(lambda: all(live.inhibited(1)), PATIENCE_SECONDS, "its silence")
    assert live.inhibited(0) == [False], "the other one still speaks"
    assert not live.told("GigasApiFailing", instance=0)
    assert not live.told("GigasDiskError", "resolved", instance=0)
    assert not live.told("GigasDiskError", "resolved", instance=1), "blind is not mended"

    live.world.change_disk(disk_id, error=False)
    live.apis[1].faults.clear()
    await_true(lambda: live.told("GigasDataStale", "resolved", 1), PATIENCE_SECONDS, "fresh data")
    await_true(lambda: live.told("GigasDiskError", "resolved", 0), PATIENCE_SECONDS, "word of the disk's recovery")
    await_true(lambda: not live.manager.alerts(), PATIENCE_SECONDS, "the end of all alerts")


def test_prometheus_answers_every_query_of_the_runbooks(directory: Path, tmp_path: Path) -> None:
    """What a woken person copies from a runbook runs, also while a disk seems to be there twice."""
    world = SimulatedCloud(seed=3, disks=40, style="plain", eventful=False)
    with SimulatorServer(world) as simulator:
        environ = account_environment(simulator)
        with exporter(tmp_path, environ, "--poll.interval=1s") as served:
            config = SCRAPES.format(targets=f'"{served.url.removeprefix("http://")}"', more="")
            with prometheus(tmp_path, config) as metrics:
                await_true(lambda: metrics.query("gigas_disk_backups"), PATIENCE_SECONDS, "the backups")
                (labels, _) = metrics.query('gigas_disk_info{virtual_machine_id!=""}')[0]
                world.change_disk(labels["disk_id"], virtual_machine_id=None)
                moved = f'gigas_disk_info{{disk_id="{labels["disk_id"]}", virtual_machine_id=""}}'
                await_true(lambda: metrics.query(moved), PATIENCE_SECONDS, "the move")
                for path in (directory / "runbooks").glob("*.md"):
                    for query in re.findall(r"```promql\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
                        metrics.query(query)
