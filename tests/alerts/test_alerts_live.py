"""From a disk's error in the simulated cloud to the message on somebody's phone, through the real programs.

Time runs sixty times as fast here, and only here: every duration in the rules is divided by sixty, and so are the
intervals of scraping and polling and the time that stale data is served. What the rules say with their own durations
is tested by promtool.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from gigas_exporter.bundle.alerts import RULE_FILES
from gigas_exporter.simulator import SimulatorServer, World
from support.notifications import Receiver, quick, receiving
from support.programs import (
    Alertmanager,
    Exporter,
    Prometheus,
    account_environment,
    alertmanager,
    await_true,
    exporter,
    prometheus,
)

ACCOUNT = "4242"
PATIENCE_SECONDS = 60.0

WITHOUT_MANAGER = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: ["*.rules.yml"]
scrape_configs:
  - {{job_name: gigas, static_configs: [{{targets: ["{exporter}"]}}]}}
"""
CONFIG = (
    WITHOUT_MANAGER
    + """
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{manager}"]}}]}}]}}
"""
)


def sixtieth(rules: str) -> str:
    """Return a rule file whose every duration, also those written in seconds, is a sixtieth."""
    shorter = {"m": "s", "h": "m"}
    text = re.sub(
        r"(?<![\w$])(\d+)([mhd])\b(?![^\n]*\.\s*$)",
        lambda found: f"{int(found[1]) * 24}m" if found[2] == "d" else found[1] + shorter[found[2]],
        rules,
    )
    return re.sub(r"(>|<=) (900|300)\b", lambda found: f"{found[1]} {int(found[2]) // 60}", text)


@dataclass(frozen=True)
class Live:
    """All programs, running."""

    simulator: SimulatorServer
    metrics: Prometheus
    manager: Alertmanager
    receiver: Receiver
    disk_id: str

    def firing(self) -> set[str]:
        """The alerts that fire in Prometheus."""
        return {labels["alertname"] for labels, _ in self.metrics.query('ALERTS{alertstate="firing"}')}


@pytest.fixture
def watched(directory: Path, tmp_path: Path) -> Iterator[tuple[SimulatorServer, Exporter, str]]:
    """A cloud with one healthy disk, the exporter, and beside them the rules."""
    world = World(seed=3, disks=40, style="plain", eventful=False)
    kept = next(
        disk.id
        for disk in world.disks(ACCOUNT)
        if disk.id not in world.stories and disk.virtual_machine_id and disk.autobackup and not disk.is_swap
    )
    for disk in world.disks(ACCOUNT):
        if disk.id != kept:
            world.delete_disk(disk.id)
    flags = ("--poll.interval=1s", "--poll.backups-interval=5s", "--poll.max-staleness=15s")
    with ExitStack() as stack:
        simulator = stack.enter_context(SimulatorServer(world))
        environ = account_environment(simulator, GIGAS_API_MAX_REQUESTS_PER_SECOND="0")
        for name in RULE_FILES:
            (tmp_path / name).write_text(sixtieth((directory / name).read_text(encoding="utf-8")), encoding="utf-8")
        yield simulator, stack.enter_context(exporter(tmp_path, environ, *flags)), kept


@pytest.fixture
def live(directory: Path, tmp_path: Path, watched: tuple[SimulatorServer, Exporter, str]) -> Iterator[Live]:
    """The same with Prometheus, Alertmanager and a webhook."""
    simulator, served, kept = watched
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving())
        example = (directory / "alertmanager.example.yml").read_text(encoding="utf-8")
        manager = stack.enter_context(alertmanager(tmp_path, quick(example, receiver)))
        config = CONFIG.format(manager=manager.url.removeprefix("http://"), exporter=served.url.removeprefix("http://"))
        yield Live(simulator, stack.enter_context(prometheus(tmp_path, config)), manager, receiver, kept)


def test_nothing_but_durations_differs(directory: Path) -> None:
    """The quick rules are the shipped ones in everything but their times."""
    shipped = "".join((directory / name).read_text(encoding="utf-8") for name in RULE_FILES)
    digits = re.compile(r"\d+[smhd]\b|(?:>|<=) \d+")
    assert digits.sub("", sixtieth(shipped)) == digits.sub("", shipped)
    assert "for: 5s\n    " in sixtieth(shipped)


def test_from_an_error_to_one_message_and_through_an_outage(live: Live) -> None:
    """An error flag is told once, rightly; an outage of the API is told and holds it back; then all resolves."""
    receiver, disk_id = live.receiver, live.disk_id
    await_true(lambda: live.metrics.query("gigas_virtual_machine_info"), PATIENCE_SECONDS, "the names")
    machines = {machine.id: machine for machine in live.simulator.world.machines(ACCOUNT)}
    disk = live.simulator.world.disk(disk_id)

    live.simulator.world.set_error(disk_id)
    await_true(lambda: receiver.told("GigasDiskError"), PATIENCE_SECONDS, "the page")
    (message,) = receiver.told("GigasDiskError")
    (alert,) = message.body["alerts"]
    machine = machines[disk.virtual_machine_id or ""]
    assert message.receiver == "pager"
    assert alert["labels"]["virtual_machine"] == (machine.label or machine.hostname)
    assert alert["annotations"]["description"].startswith(
        f"Disk {disk_id} ({disk.mount_point or 'no mount point'}, {machine.label or machine.hostname}) in account"
    )
    assert f"var-account_id={ACCOUNT}&" in alert["annotations"]["dashboard_url"]
    assert alert["annotations"]["dashboard_url"].endswith(f"&var-disk_id={disk_id}")
    assert alert["annotations"]["runbook_url"].endswith("/GigasDiskError.md")
    assert alert["annotations"]["command"] == f"gigas-exporter disks show --account {ACCOUNT} {disk_id}"

    live.simulator.faults.add(kind="status", operation="list_*", status=503)
    await_true(lambda: receiver.told("GigasApiFailing"), PATIENCE_SECONDS, "the outage")
    await_true(lambda: receiver.told("GigasDataStale"), PATIENCE_SECONDS, "that data is stale")
    about_disk = [each for each in live.manager.alerts() if each["labels"].get("disk_id") == disk_id]
    assert all(each["status"]["inhibitedBy"] for each in about_disk)
    assert live.firing() >= {"GigasApiFailing", "GigasDataStale"}
    assert len(receiver.told("GigasDiskError")) == 1

    live.simulator.world.set_error(disk_id, error=False)
    live.simulator.faults.clear()
    await_true(lambda: receiver.told("GigasApiFailing", "resolved"), PATIENCE_SECONDS, "the end of the outage")
    await_true(lambda: receiver.told("GigasDataStale", "resolved"), PATIENCE_SECONDS, "fresh data")
    await_true(lambda: not live.firing() and not live.manager.alerts(), PATIENCE_SECONDS, "the end of all alerts")
    await_true(lambda: receiver.told("GigasDiskError", "resolved"), PATIENCE_SECONDS, "word of the disk's recovery")


def test_a_disk_that_moved_while_prometheus_was_down_keeps_its_alert(
    tmp_path: Path, watched: tuple[SimulatorServer, Exporter, str]
) -> None:
    """What ended meanwhile is still seen after the restart; no rule fails of it, and no alert is there twice."""
    simulator, served, disk_id = watched
    world = simulator.world
    config = WITHOUT_MANAGER.format(exporter=served.url.removeprefix("http://"))
    firing = 'ALERTS{alertname="GigasDiskError", alertstate="firing"}'
    world.set_error(disk_id)
    with prometheus(tmp_path, config) as before:
        await_true(lambda: before.query(firing), PATIENCE_SECONDS, "the alert")
        ((labels, _),) = before.query(firing)
        before.process.end(signal.SIGKILL)

    world.move_disk(disk_id, None)
    detached = f'disk_id="{disk_id}",virtual_machine_id=""'
    await_true(lambda: detached in served.get("/metrics").text, PATIENCE_SECONDS, "the move")
    with prometheus(tmp_path, config) as after:
        await_true(lambda: len(after.query("gigas_disk_info")) == 2, PATIENCE_SECONDS, "the disk, twice")
        new = 'ALERTS{alertname="GigasDiskDetached"}'
        await_true(lambda: after.query(new), PATIENCE_SECONDS, "another alert")
        await_true(lambda: after.query(firing), PATIENCE_SECONDS, "the alert after the restart")
        assert [its for its, _ in after.query(firing)] == [labels]
        assert [its["virtual_machine"] for its, _ in after.query(new)] == ["detached"]
        own = requests.get(f"{after.url}/metrics", timeout=10).text
    failures = re.findall(r"^prometheus_rule_evaluation_failures_total\{[^}]*\} (\S+)$", own, re.MULTILINE)
    assert failures
    assert set(failures) == {"0"}


def test_prometheus_answers_every_query_of_the_runbooks(
    directory: Path, tmp_path: Path, watched: tuple[SimulatorServer, Exporter, str]
) -> None:
    """What a woken person copies from a runbook runs, also while a disk seems to be there twice."""
    simulator, served, disk_id = watched
    with prometheus(tmp_path, WITHOUT_MANAGER.format(exporter=served.url.removeprefix("http://"))) as metrics:
        await_true(lambda: metrics.query("gigas_disk_backups"), PATIENCE_SECONDS, "the backups")
        simulator.world.move_disk(disk_id, None)
        await_true(lambda: metrics.query('gigas_disk_info{virtual_machine_id=""}'), PATIENCE_SECONDS, "the move")
        for path in (directory / "runbooks").glob("*.md"):
            for query in re.findall(r"```promql\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
                metrics.query(query)
