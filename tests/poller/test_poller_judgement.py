"""What is made of what was read: which backups count, and which rule of the policy a disk falls under."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from gigas_exporter.config import Settings, load_settings
from poller.conftest import Watch
from support.polling import Watching, await_true, settings_for
from support.simulator import SimulatorServer

ACCOUNT = "4242"
HOUR = 3600.0


def settings_of(server: SimulatorServer, directory: Path, text: str, **poll: Any) -> Settings:
    """Settings that watch the cloud under the policy and words of a file."""
    path = directory / "exporter.yml"
    path.write_text(f"accounts: [{{id: {ACCOUNT}, api_key: k}}]\n{text}\n", encoding="utf-8")
    asked = load_settings(path, {}, {})
    return replace(
        settings_for(server, **{"interval": 60.0, "backups_interval": 60.0, **poll}),
        policy=asked.policy,
        status_words=asked.status_words,
    )


def policy(*rules: str) -> str:
    """The section of a file with these rules."""
    return "\n".join(["backup_policy:", *(f"  - {{{rule}}}" for rule in rules)])


def limits(watching: Watching) -> dict[str, float | None]:
    """By disk id, how old the newest backup may be in hours, ``None`` where none is required."""
    # The labels of machines come by a poll of their own.
    await_true(lambda: watching.inventory().disks and watching.inventory().machines)
    requirements = watching.inventory().requirements
    return {
        disk_id: None if asked.max_age_seconds is None else asked.max_age_seconds / HOUR
        for disk_id, asked in requirements.items()
    }


def test_a_rule_by_label_applies_once_the_machines_are_known(
    server: SimulatorServer, watch: Watch, tmp_path: Path
) -> None:
    """The label is the machine's, and a disk without a machine has none to match, not even by a star."""
    server.world.change_disk("10001", virtual_machine_id=None)
    first, *_ = server.world.machines(ACCOUNT)
    assert first.label is not None
    rules = policy(
        f"match: {{virtual_machine_label: '{first.label[:-1]}?'}}, max_age: 5h",
        "match: {virtual_machine_label: '*'}, max_age: 6h",
    )
    near = {vm.id for vm in server.world.machines(ACCOUNT) if (vm.label or "")[:-1] == first.label[:-1]}
    expected = {
        disk.id: 5.0 if disk.virtual_machine_id in near else None if disk.virtual_machine_id is None else 6.0
        for disk in server.world.disks(ACCOUNT)
    }
    assert limits(watch(settings_of(server, tmp_path, rules))) == expected


def test_labels_that_are_refused_are_not_known(server: SimulatorServer, watch: Watch, tmp_path: Path) -> None:
    """A rule by label before an exemption keeps its limit while the machines answer 403."""
    server.faults.add("status", "list_virtual_machines", status=403)
    rules = policy("match: {virtual_machine_label: 'db*'}, max_age: 6h", "required: false, reason: scratch")
    watching = watch(settings_of(server, tmp_path, rules))
    await_true(lambda: watching.inventory().disks and "virtual_machines" in watching.inventory().outcomes)
    attached = {disk.id for disk in server.world.disks(ACCOUNT) if disk.virtual_machine_id is not None}
    asked = watching.inventory().requirements
    assert {asked[disk_id].max_age_seconds for disk_id in attached} == {6 * HOUR}
    assert {asked[disk_id].undecided for disk_id in attached} == {("virtual_machine_label",)}


def test_without_a_policy_autobackup_decides(server: SimulatorServer, watch: Watch) -> None:
    """Swap is exempt with a reason, what has autobackup on must have a backup of 26 hours, the rest is not required."""
    server.world.change_disk("10001", is_swap=True, mount_point="swap")
    watching = watch(settings_for(server, interval=60.0, backups_interval=60.0))
    expected = {disk.id: 26.0 if disk.autobackup and not disk.is_swap else None for disk in server.world.disks(ACCOUNT)}
    assert limits(watching) == expected
    exempt = {disk_id for disk_id, asked in watching.inventory().requirements.items() if asked.reason is not None}
    assert exempt == {disk.id for disk in server.world.disks(ACCOUNT) if disk.is_swap}


def test_the_words_are_the_operators(server: SimulatorServer, watch: Watch, tmp_path: Path) -> None:
    """A list that is given stands in place of the usual one; the other stays."""
    server.world.remove_backups("10001")
    for status in ("Lost", "stopped", "failed", "pending"):
        server.world.make_backup("10001", status=status)
    settings = settings_of(server, tmp_path, "backup_status: {failed: [' LOST ']}")
    watching = watch(settings)
    await_true(lambda: watching.inventory().backups and watching.inventory().disks)
    watching.service.stop()
    found = watching.inventory().backup_summary("10001", time.monotonic())
    assert found is not None
    assert (found.usable, found.failed, found.unclear) == (1, 1, 1)
