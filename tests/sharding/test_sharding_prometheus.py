"""Several exporters share the accounts of one configuration, and Prometheus sees each disk exactly once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gigas_exporter.simulator import SimulatedCloud
from support.programs import Exporter, await_true, exporter, prometheus
from support.simulator import SimulatorServer

SHARDS = 2
ACCOUNTS = 8
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: gigas
    static_configs: [{{targets: [{targets}]}}]
"""


@pytest.fixture
def cloud() -> Iterator[SimulatorServer]:
    """A simulated cloud of several accounts in which nothing changes by itself."""
    with SimulatorServer(SimulatedCloud(seed=7, disks=80, accounts=ACCOUNTS, eventful=False)) as server:
        yield server


def configuration(cloud: SimulatorServer, directory: Path, *, discover: bool) -> Path:
    """Write the one configuration that all shards read."""
    lines = [f"api: {{url: {cloud.url}, max_requests_per_second: 0}}"]
    if discover:
        secret = directory / "key"
        secret.write_text(cloud.world.api_key)
        lines += ["discover: true", f"credential: {{api_key_file: {secret}}}"]
    else:
        lines.append("accounts:")
        for account_id in cloud.world.account_ids:
            secret = directory / f"key-{account_id}"
            secret.write_text(cloud.world.credentials(account_id).api_key)
            lines.append(f'  - {{id: "{account_id}", api_key_file: {secret}}}')
    path = directory / "gigas.yml"
    path.write_text("\n".join(lines) + "\n")
    return path


def start(stack: ExitStack, directory: Path, config: Path) -> list[Exporter]:
    """Start all shards."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIGAS_")}
    shards = []
    for number in range(1, SHARDS + 1):
        flags = (f"--config.file={config}", f"--shard={number}/{SHARDS}", "--poll.interval=1s")
        own = directory / f"shard-{number}"
        own.mkdir(exist_ok=True)
        shards.append(stack.enter_context(exporter(own, environ, *flags, "--poll.backups-interval=1s")))
    return shards


def accounts_of(shard: Exporter) -> set[str]:
    """The accounts that a shard watches."""
    lines = shard.get("/metrics").text.splitlines()
    return {line.split('account_id="')[1].split('"')[0] for line in lines if line.startswith("gigas_account_info{")}


@pytest.mark.parametrize("discover", [False, True], ids=["listed", "discovered"])
def test_prometheus_sees_every_disk_of_two_shards_once(
    tmp_path: Path, cloud: SimulatorServer, *, discover: bool
) -> None:
    """The union of both shards is the whole cloud, no account is in both, and neither is idle."""
    world = cloud.world
    disks = {disk.id for account_id in world.account_ids for disk in world.disks(account_id)}
    with ExitStack() as stack:
        shards = start(stack, tmp_path, configuration(cloud, tmp_path, discover=discover))
        first, second = map(accounts_of, shards)
        assert first | second == set(world.account_ids)
        assert not first & second
        assert first
        assert second
        targets = ", ".join(f'"{shard.url.removeprefix("http://")}"' for shard in shards)
        server = stack.enter_context(prometheus(tmp_path, CONFIG.format(targets=targets)))
        await_true(lambda: server.one("count(gigas_disk_info)") == len(disks), what="a complete union")
        assert {labels["disk_id"] for labels, _ in server.query("gigas_disk_info")} == disks
        assert server.query("count by (account_id, disk_id) (gigas_disk_info) > 1") == []
        assert server.query("count by (account_id) (gigas_up) > 1") == []
        await_true(lambda: server.one("count(gigas_disk_backups)") == len(disks), what="backups of all disks")
        assert server.one("sum(gigas_disk_backups)") == sum(
            backup.status == "completed" for account_id in world.account_ids for backup in world.backups(account_id)
        )


def test_a_shard_keeps_its_accounts_over_a_restart(tmp_path: Path, cloud: SimulatorServer) -> None:
    """Which account belongs to which shard depends on its id alone, so that no series moves to another instance."""
    config = configuration(cloud, tmp_path, discover=False)
    with ExitStack() as stack:
        before = [accounts_of(shard) for shard in start(stack, tmp_path, config)]
    backwards = tmp_path / "backwards"
    backwards.mkdir()
    head, *accounts = config.read_text().split("  - ")
    (backwards / "gigas.yml").write_text(head + "".join(f"  - {account.strip()}\n" for account in reversed(accounts)))
    with ExitStack() as stack:
        after = [accounts_of(shard) for shard in start(stack, backwards, backwards / "gigas.yml")]
    assert after == before
