"""What the exporter's own client reads of a simulated fleet is what the world says is true."""

from __future__ import annotations

from typing import Any

import pytest

from gigas_exporter.gigas import ApiKeyCredential, ApiSettings, FixedSecret, ReadClient
from gigas_exporter.secret import Secret
from gigas_exporter.simulator import SimulatedCloud


@pytest.mark.parametrize("style", ["plain", "account", "mixed", "wrapped", "words"])
def test_the_client_reads_the_truth_in_every_style(serve: Any, clock: Any, style: str) -> None:
    """However values are spelt, disks, backups and machines decode to the world's own objects, and none is invalid."""
    world = SimulatedCloud(seed=2, disks=130, accounts=6, clock=clock, style=style)
    settings = ApiSettings(url=serve(world).server.url, page_size=17, max_requests_per_second=0)
    with ReadClient(settings, ApiKeyCredential(FixedSecret(Secret(world.api_key), "test"))) as client:
        assert tuple(account.id for account in client.list_accounts().items) == world.account_ids
        for account in world.account_ids:
            disks, backups = client.list_disks(account), client.list_backups(account)
            machines = client.list_virtual_machines(account)
            assert disks.items == world.disks(account)
            assert client.get_disk(account, disks.items[0].id) == disks.items[0]
            assert backups.items == world.backups(account)
            assert machines.items == world.machines(account)
            assert {**disks.invalid, **backups.invalid, **machines.invalid} == {}
