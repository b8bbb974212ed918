"""A simulated Gigas API over HTTP, for demos and tests.

::

    import requests

    from gigas_exporter.simulator import SimulatedCloud, SimulatorServer

    world = SimulatedCloud(seed=1, disks=40, accounts=2)
    with SimulatorServer(world) as server:
        disks = requests.get(
            f"{server.url}/account/{world.account_ids[0]}/disks",
            params={"limit": 200},
            headers={"Authorization": f"Bearer {world.api_key}"},
            timeout=5,
        ).json()
        world.change_disk("10001", error=True)                          # change the cloud's state
        server.faults.add("status", "list_backups", status=404)         # make requests fail
        assert server.requests["list_disks"] == 1

Where the documentation of the API is unclear, the accounts differ: in the types of booleans, ids and dates (``style``),
and in the status for a locked disk, 409 or 422.

Only the commands ``demo`` and ``simulate`` and tests import this package. From the exporter it imports only the model
and the formatting of values.
"""

from gigas_exporter.simulator.cloud import SimulatedCloud
from gigas_exporter.simulator.faults import KINDS, Faults
from gigas_exporter.simulator.json_encoding import STYLES
from gigas_exporter.simulator.server import SimulatorServer, describe

__all__ = [
    "KINDS",
    "STYLES",
    "Faults",
    "SimulatedCloud",
    "SimulatorServer",
    "describe",
]
