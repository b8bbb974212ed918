"""What the simulated API answers to those who read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from gigas_exporter.simulator import SimulatedCloud

ACCOUNT = "/account/4242"


def test_accounts_are_listed_with_their_documented_fields(call: Any, world: SimulatedCloud) -> None:
    """The accounts' list has id, status, product and domain of each."""
    accounts = call.items("/accounts")
    assert [str(account["id"]) for account in accounts] == list(world.account_ids) == ["4242", "4243"]
    assert {"id", "status", "product_id", "domain"} <= set(accounts[0])


def test_backups_are_the_same_by_account_by_disk_and_one_by_one(call: Any, world: SimulatedCloud) -> None:
    """The three ways to read backups agree with each other and with the truth."""
    everything = call.items(f"{ACCOUNT}/backups")
    by_disk = [item for disk in world.disks("4242") for item in call.items(f"{ACCOUNT}/disk/{disk.id}/backups")]
    assert everything == by_disk
    assert [str(item["id"]) for item in everything] == [backup.id for backup in world.backups("4242")]
    assert len({item["id"] for item in everything}) == len(everything) > 20
    for item in everything[:: len(everything) // 10]:
        assert call.get(f"{ACCOUNT}/backup/{item['id']}").json() == item
    by_hand = world.make_backup(world.disks("4242")[0].id, size=2**30)
    found = call.get(f"{ACCOUNT}/backup/{by_hand.id}").json()
    assert (found["backup_type"], found["backup_size"]) == ("gigas", 2**20)


def test_machines_carry_a_password_that_the_truth_leaves_out(call: Any, world: SimulatedCloud) -> None:
    """The list of machines holds the canary, as the real one holds a secret; the world's truth does not."""
    machines = call.items(f"{ACCOUNT}/virtual_machines")
    assert all(world.canary in machine["initial_password"] for machine in machines)
    assert [machine["label"] for machine in machines] == [machine.label for machine in world.machines("4242")]
    assert world.canary not in repr(world.machines("4242"))
    assert world.canary in world.secrets


def _same(value: object, wanted: str) -> bool:
    return str(value) == wanted


@pytest.mark.parametrize(
    "filters",
    [
        {"is_swap": "1"},
        {"is_swap": "false"},
        {"mount_point": "/var"},
        {"data_store_id": "12"},
        {"data_store_group_id": "2"},
        {"virtual_machine_id": "502"},
        {"primary": "true"},
        {"primary": "0", "is_swap": "0", "mount_point": "log"},
    ],
)
def test_disks_are_filtered(call: Any, filters: dict[str, str]) -> None:
    """A filter lets through the disks that fit, all of them, and no other."""
    fits: dict[str, Callable[[Any, str], bool]] = {
        "mount_point": lambda value, wanted: wanted in (value or ""),
        "is_swap": lambda value, wanted: value == (wanted in {"1", "true"}),
        "primary": lambda value, wanted: value == (wanted in {"1", "true"}),
    }
    expected = [
        disk
        for disk in call.items(f"{ACCOUNT}/disks")
        if all(fits.get(name, _same)(disk[name], wanted) for name, wanted in filters.items())
    ]
    assert call.items(f"{ACCOUNT}/disks", **filters) == expected
    assert 0 < len(expected) < 20


def test_backups_are_filtered(call: Any, world: SimulatedCloud) -> None:
    """Each filter of the backups' lists lets through what fits."""
    everything = call.items(f"{ACCOUNT}/backups")
    sizes = {disk.id: (disk.size_bytes or 0) >> 30 for disk in world.disks("4242")}
    disk_id = everything[0]["disk_id"]
    cases: list[tuple[dict[str, Any], Callable[[Any], bool]]] = [
        ({"min_disk_size": 100}, lambda item: sizes[str(item["disk_id"])] >= 100),
        ({"disk_id": disk_id}, lambda item: item["disk_id"] == disk_id),
        ({"operating_system": "linux"}, lambda item: item["operating_system"] == "linux"),
        ({"operating_system_distro": "ubuntu"}, lambda item: item["operating_system_distro"] == "ubuntu"),
        ({"locked": "1"}, lambda item: item["locked"]),
        ({"locked": "0", "min_disk_size": 100}, lambda i: not i["locked"] and sizes[str(i["disk_id"])] >= 100),
    ]
    for query, fits in cases:
        expected = [item for item in everything if fits(item)]
        assert call.items(f"{ACCOUNT}/backups", **query) == expected
        assert expected
    assert call.items(f"{ACCOUNT}/disk/{disk_id}/backups", min_disk_size=sizes[str(disk_id)] + 1) == []
    assert call.items(f"{ACCOUNT}/backups", min_disk_size=99_999) == []


@pytest.mark.parametrize("path", ["/disks", "/backups", "/virtual_machines"])
def test_pages_join_to_the_whole_and_say_where_they_are(call: Any, path: str) -> None:
    """Pages of any size join to the same list, and the X- headers count right."""
    whole = call.items(ACCOUNT + path)
    for limit in (1, 3, len(whole), 500):
        assert call.items(ACCOUNT + path, limit=limit) == whole
    page = call.get(ACCOUNT + path, limit=3, offset=3)
    assert page.json() == whole[3:6]
    assert page.headers["X-Total"] == str(len(whole))
    assert page.headers["X-Total-Pages"] == str(-(-len(whole) // 3))
    assert (page.headers["X-Per-Page"], page.headers["X-Page"]) == ("3", "2")
    assert call.get(ACCOUNT + path, offset=10_000).json() == []


def test_a_limit_is_lowered_to_what_the_world_allows(call: Any, world: SimulatedCloud) -> None:
    """A page is never larger than the world's limit, and its own default without one."""
    world.default_limit, world.max_limit = 4, 6
    assert len(call.get(f"{ACCOUNT}/disks").json()) == 4
    page = call.get(f"{ACCOUNT}/disks", limit=1000)
    assert len(page.json()) == 6
    assert page.headers["X-Per-Page"] == "6"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/account/4242/disks?limit=0", 400),
        ("/account/4242/disks?limit=many", 400),
        ("/account/4242/disks?offset=-1", 400),
        ("/account/4242/disks?is_swap=perhaps", 400),
        ("/account/4242/backups?min_disk_size=big", 400),
        ("/account/4242/backups?locked=2", 400),
        ("/account/9999/disks", 404),
        ("/account/none/disks", 404),
        ("/account/4242/disk/1", 404),
        ("/account/4242/disk/10021", 404),
        ("/account/4242/disk/x/backups", 404),
        ("/account/4242/backup/1", 404),
        ("/account/4242/backup/100010000000", 404),
        ("/account/4242/everything", 404),
        ("/", 404),
        ("/token", 404),
        ("/account/4242/disk/10001/build", 404),
    ],
)
def test_what_cannot_be_answered_is_refused(call: Any, path: str, status: int) -> None:
    """Wrong parameters are a 400, unknown things and wrong methods a 404, with a JSON body."""
    answer = call.get(path)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == status


def test_values_are_spelt_in_several_ways(serve: Any, clock: Any) -> None:
    """Each account spells booleans, ids and dates in its own way, and the plain and mixed styles do as they say."""
    call = serve(SimulatedCloud(disks=12, accounts=6, clock=clock, eventful=False))
    first = [call.get(f"/account/{account}/disks").json()[0] for account in call.server.world.account_ids]
    assert {type(item["autobackup"]) for item in first} == {bool, int, str}
    assert {type(item["id"]) for item in first} == {int, str}
    dates = [item["created_at"] for item in first]
    assert len({(type(date), len(str(date)), "T" in str(date)) for date in dates}) == 6
    written_out = [datetime.fromisoformat(date) for date in dates if "-" in str(date)]
    assert {moment.tzinfo is None for moment in written_out} == {True, False}
    plain = serve(SimulatedCloud(disks=12, accounts=6, clock=clock, style="plain")).get("/account/4247/disks").json()
    assert {type(item["id"]) for item in plain} == {int}
    mixed = serve(SimulatedCloud(disks=12, clock=clock, style="mixed")).get("/account/4242/disks").json()
    assert {type(item["error"]) for item in mixed} == {bool, int, str}
