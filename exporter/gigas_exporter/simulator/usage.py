"""How to use the simulated API, with curl commands."""

from __future__ import annotations

from gigas_exporter.formatting import format_duration
from gigas_exporter.simulator.server import SimulatorServer


def describe(server: SimulatorServer) -> str:
    """Return lines for people: what is simulated, demo credentials, commands to try."""
    world, url = server.world, server.url
    account = world.account_ids[0]
    disks = {account_id: world.disks(account_id) for account_id in world.account_ids}
    count = sum(map(len, disks.values()))
    disk_id = disks[account][0].id if disks[account] else "DISK_ID"
    user = world.credentials(account)
    troubles = ", ".join(sorted(set(world.scenarios.values()))) or "none"
    return f"""\
Simulated Gigas API at {url}: {count} disks in {len(disks)} account{"s" if len(disks) > 1 else ""} ({", ".join(disks)}).
Seed {world.seed}, speed {world.speed:g}: a daily backup is made every {format_duration(86_400 / world.speed)}.
Disks in trouble: {troubles}.

API key    {world.api_key}
Login      {world.login}
Password   {world.password}
(or for account {account} alone: {user.api_key}, {user.login}, {user.password})

List the disks, and the backups of one:
  curl -s -H 'Authorization: Bearer {world.api_key}' '{url}/account/{account}/disks?limit=5'
  curl -s -H 'Authorization: Bearer {world.api_key}' {url}/account/{account}/disk/{disk_id}/backups
Log in for a session token:
  curl -s -d '{{"login": "{world.login}", "password": "{world.password}"}}' {url}/token
{"" if server.control is None else _levers(url, account, disk_id)}
Watch it:
  GIGAS_API_URL={url} GIGAS_ACCOUNT_ID={account} GIGAS_API_KEY={world.api_key} gigas-exporter serve
"""


def _levers(url: str, account: str, disk_id: str) -> str:
    return f"""\
Make something go wrong, and see what is true:
  curl -s -d '{{"error": true}}' {url}/_sim/disks/{disk_id}
  curl -s -d '{{"kind": "status", "status": 503, "operation": "list_*"}}' {url}/_sim/faults
  curl -s -X DELETE {url}/_sim/faults
  curl -s '{url}/_sim/state?account={account}'
Everything that can be done:
  curl -s {url}/_sim/
"""
