"""A simulated Gigas API: a fleet that lives, over real HTTP, for demos and tests.

::

    import requests

    from gigas_exporter.simulator import SimulatorServer, SimulatedCloud

    world = SimulatedCloud(seed=1, disks=40, accounts=2)
    with SimulatorServer(world) as server:
        disks = requests.get(
            f"{server.url}/account/{world.account_ids[0]}/disks",
            params={"limit": 200},
            headers={"Authorization": f"Bearer {world.api_key}"},
            timeout=5,
        ).json()
        world.change_disk("10001", error=True)                          # change what is true
        server.faults.add("status", "list_backups", status=404)        # make answers go wrong
        assert server.requests["list_disks"] == 1

``speed`` compresses schedules: a daily backup is made every 24 h / ``speed``, while every date that the API gives is
the clock's own, so that an exporter beside it computes sensible ages. What the real API leaves open is taken here in
every reading that the project copes with: accounts spell booleans, ids and dates differently (``style``), and a locked
disk is refused with 409 by some accounts, with 422 by others.

It is imported by the commands ``demo`` and ``simulate`` and by tests only, and knows no other part of the exporter than
the domain's model.
"""

from gigas_exporter.simulator.cloud import SimulatedCloud
from gigas_exporter.simulator.faults import KINDS, Faults
from gigas_exporter.simulator.json_encoding import STYLES
from gigas_exporter.simulator.request_log import RequestLog
from gigas_exporter.simulator.server import SimulatorServer
from gigas_exporter.simulator.usage import describe

__all__ = [
    "KINDS",
    "STYLES",
    "Faults",
    "RequestLog",
    "SimulatedCloud",
    "SimulatorServer",
    "describe",
]
