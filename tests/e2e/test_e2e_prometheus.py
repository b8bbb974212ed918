"""The main job, end to end: simulated API, the exporter as a process of its own, and a real Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gigas_exporter.model import Backup, Disk
from gigas_exporter.simulator import SimulatedCloud
from support.programs import Prometheus, account_environment, await_true, exporter, prometheus
from support.simulator import SimulatorServer

ACCOUNT = "4242"
LIMIT_SECONDS = 26 * 3600.0

SCRAPES_EACH_SECOND = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: gigas
    static_configs: [{{targets: ["{target}"]}}]
"""

ALWAYS = (
    "gigas_up",
    "gigas_account_info",
    "gigas_disk_info",
    "gigas_disk_status",
    "gigas_disk_size_bytes",
    "gigas_disk_error",
    "gigas_disk_locked",
    "gigas_disk_swap",
    "gigas_disk_autobackup",
    "gigas_disk_created_timestamp_seconds",
    "gigas_disk_updated_timestamp_seconds",
    "gigas_disk_backups",
    "gigas_disk_backups_failed",
    "gigas_disk_backups_poll_success",
    "gigas_disk_backup_last_timestamp_seconds",
    "gigas_disk_backup_age_seconds",
    "gigas_disk_backup_last_size_bytes",
    "gigas_disk_backup_oldest_timestamp_seconds",
    "gigas_disk_backup_required",
    "gigas_disk_backup_max_age_seconds",
    "gigas_virtual_machine_info",
    "gigas_exporter_build_info",
    "gigas_exporter_poll_success",
    "gigas_exporter_poll_last_success_timestamp_seconds",
    "gigas_exporter_poll_duration_seconds",
    "gigas_exporter_poll_interval_seconds",
    "gigas_exporter_polls_total",
    "gigas_exporter_poll_failures_total",
    "gigas_exporter_api_requests_total",
    "gigas_exporter_api_request_duration_seconds_bucket",
    "gigas_exporter_api_retries_total",
    "gigas_exporter_invalid_items_total",
    "gigas_exporter_config_last_reload_successful",
    "gigas_exporter_config_last_reload_success_timestamp_seconds",
    "process_resident_memory_bytes",
    "python_info",
)

Truth = dict[str, float]


def usable(backups: tuple[Backup, ...]) -> list[Backup]:
    """The backups that could be restored."""
    return [backup for backup in backups if backup.status == "completed"]


def newest(world: SimulatedCloud, disk: Disk) -> Backup | None:
    """A disk's newest usable backup."""
    found = usable(world.backups(ACCOUNT, disk.id))
    return max(found, key=lambda backup: backup.date_created or 0.0, default=None)


def required(disk: Disk) -> bool:
    """The default policy."""
    return not disk.is_swap and disk.autobackup is True


PER_DISK: dict[str, Callable[[SimulatedCloud, Disk], float | None]] = {
    "gigas_disk_info": lambda _, disk: 1.0,
    "gigas_disk_status": lambda _, disk: None if disk.status is None else 1.0,
    "gigas_disk_size_bytes": lambda _, disk: disk.size_bytes,
    "gigas_disk_error": lambda _, disk: disk.error,
    "gigas_disk_locked": lambda _, disk: disk.locked,
    "gigas_disk_swap": lambda _, disk: disk.is_swap,
    "gigas_disk_autobackup": lambda _, disk: disk.autobackup,
    "gigas_disk_created_timestamp_seconds": lambda _, disk: disk.created_at,
    "gigas_disk_updated_timestamp_seconds": lambda _, disk: disk.updated_at,
    "gigas_disk_backups": lambda world, disk: len(usable(world.backups(ACCOUNT, disk.id))),
    "gigas_disk_backups_failed": lambda world, disk: sum(
        backup.status == "failed" for backup in world.backups(ACCOUNT, disk.id)
    ),
    "gigas_disk_backups_poll_success": lambda _, disk: 1.0,
    "gigas_disk_backup_last_timestamp_seconds": lambda world, disk: getattr(newest(world, disk), "date_created", None),
    "gigas_disk_backup_last_size_bytes": lambda world, disk: getattr(newest(world, disk), "size_bytes", None),
    "gigas_disk_backup_oldest_timestamp_seconds": lambda world, disk: min(
        (backup.date_created or 0.0 for backup in usable(world.backups(ACCOUNT, disk.id))), default=None
    ),
    "gigas_disk_backup_required": lambda _, disk: required(disk),
    "gigas_disk_backup_max_age_seconds": lambda _, disk: LIMIT_SECONDS if required(disk) else None,
}
"""By metric, its value for a disk, out of the simulated cloud's own state."""


def truth(world: SimulatedCloud, metric: str) -> Truth:
    """By disk id, the values that a metric must have."""
    values = {disk.id: PER_DISK[metric](world, disk) for disk in world.disks(ACCOUNT)}
    return {disk_id: float(value) for disk_id, value in values.items() if value is not None}


def seen(server: Prometheus, metric: str) -> Truth:
    """By disk id, the values that Prometheus has."""
    found = server.query(metric)
    values = {labels["disk_id"]: value for labels, value in found}
    assert len(values) == len(found), f"{metric}: a disk has several series"
    return values


def agrees(server: Prometheus, world: SimulatedCloud, metric: str) -> bool:
    """Whether Prometheus has exactly the true values of a metric."""
    return seen(server, metric) == truth(world, metric)


def assert_all_agree(server: Prometheus, world: SimulatedCloud) -> None:
    """Prometheus knows of each disk what the simulated cloud holds."""
    for metric in PER_DISK:
        await_true(partial(agrees, server, world, metric), what=f"agreement on {metric}")
    ages = seen(server, "gigas_disk_backup_age_seconds")
    dates = truth(world, "gigas_disk_backup_last_timestamp_seconds")
    assert ages.keys() == dates.keys()
    for disk_id, age in ages.items():
        assert age == pytest.approx(time.time() - dates[disk_id], abs=5.0)


def assert_labels_are_the_clouds(server: Prometheus, world: SimulatedCloud) -> None:
    """Names come through Prometheus as they are in the cloud, whatever characters they hold."""
    disks = {disk.id: disk for disk in world.disks(ACCOUNT)}
    for labels, _ in server.query("gigas_disk_info"):
        disk = disks[labels["disk_id"]]
        assert labels.get("mount_point", "") == (disk.mount_point or "")
        assert labels.get("virtual_machine_id", "") == (disk.virtual_machine_id or "")
        assert labels["account_id"] == ACCOUNT
    machines = {machine.id: machine for machine in world.machines(ACCOUNT)}
    found = server.query("gigas_virtual_machine_info")
    assert {labels["virtual_machine_id"] for labels, _ in found} == set(machines)
    for labels, _ in found:
        machine = machines[labels["virtual_machine_id"]]
        assert (labels["label"], labels["hostname"]) == (machine.label, machine.hostname)


@pytest.mark.parametrize("source", ["account", "disk"])
@pytest.mark.parametrize("credential", ["api_key", "login"])
def test_prometheus_sees_what_the_cloud_holds(tmp_path: Path, source: str, credential: str) -> None:
    """Every metric of the contract is there with the cloud's values, before and after disks and backups change."""
    world = SimulatedCloud(seed=5, disks=24, speed=0.001)
    with SimulatorServer(world) as cloud:
        environ = account_environment(cloud)
        if credential == "login":
            user = world.credentials(ACCOUNT)
            secret = tmp_path / "password"
            secret.write_text(user.password + "\n")
            del environ["GIGAS_API_KEY"]
            environ |= {"GIGAS_LOGIN": user.login, "GIGAS_PASSWORD_FILE": str(secret)}
        flags = ["--poll.interval=1s", "--poll.backups-interval=1s", f"--backups.source={source}"]
        flags.append("--api.max-requests-per-second=0")
        with exporter(tmp_path, environ, *flags) as served:
            config = SCRAPES_EACH_SECOND.format(target=served.url.removeprefix("http://"))
            with prometheus(tmp_path, config) as server:
                assert_all_agree(server, world)
                assert_labels_are_the_clouds(server, world)
                gone, broken, fresh = (disk.id for disk in world.disks(ACCOUNT)[-3:])
                world.delete_disk(gone)
                world.change_disk(broken, error=True)
                world.make_backup(fresh)
                assert_all_agree(server, world)
                assert server.one(f'gigas_disk_error{{disk_id="{broken}"}}') == 1.0
                cloud.faults.add("value", "list_disks", field="add_to_linux_fstab", value="perhaps")
                await_true(lambda: server.one('gigas_exporter_invalid_items_total{field="add_to_linux_fstab"}'))
                for metric in ALWAYS:
                    assert server.query(metric), f"{metric} is missing"
                expiry = server.one("gigas_exporter_api_token_expiry_timestamp_seconds")
                assert (expiry is not None) == (credential == "login")
                assert server.one("gigas_up") == 1.0
                cloud.faults.add("status", "list_disks", status=500)
                await_true(lambda: server.one("gigas_up") == 0.0)
                assert seen(server, "gigas_disk_size_bytes") == truth(world, "gigas_disk_size_bytes")
        assert not [secret for secret in world.secrets if secret in served.process.stderr]
