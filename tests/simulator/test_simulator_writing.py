"""The operations that change something, and what they cost in time."""

from __future__ import annotations

from typing import Any

import pytest

from gigas_exporter.simulator import SimulatedCloud

DISK = "/account/4242/disk/10001"


def _edit(call: Any, disk: str = DISK, **fields: Any) -> Any:
    return call("PUT", disk, json=fields)


def test_a_small_edit_is_done_at_once(call: Any, world: SimulatedCloud) -> None:
    """Settings that need no work on the platform are changed with a 200 and no lock."""
    answer = _edit(call, mount_point="/srv/new", add_to_linux_fstab=0, autobackup=0)
    disk = world.disk("10001")
    assert answer.status_code == 200
    assert answer.json()["mount_point"] == disk.mount_point == "/srv/new"
    assert (disk.autobackup, disk.add_to_linux_fstab, disk.locked) == (False, False, False)
    assert "X-Operation-Token" in answer.headers


def test_a_resize_locks_the_disk_for_a_while(call: Any, world: SimulatedCloud, clock: Any) -> None:
    """A larger size is a 202; until it is done the disk is locked, and everything else is refused."""
    answer = _edit(call, disk_size="90")
    assert (answer.status_code, answer.json()["disk_size"], answer.json()["locked"]) == (202, 90, True)
    assert world.disk("10001").status == "resizing"
    for method, path, body in (
        ("PUT", DISK, {"autobackup": 1}),
        ("POST", f"{DISK}/build", None),
        ("POST", f"{DISK}/backup", None),
        ("POST", f"{DISK}/template", {"label": "x", "console_id": 1}),
        ("DELETE", DISK, None),
    ):
        assert call(method, path, json=body).status_code == 409
    clock.advance(world.operation_seconds)
    assert (world.disk("10001").locked, world.disk("10001").status) == (False, "built")


def test_another_account_refuses_a_locked_disk_in_another_way(call: Any, world: SimulatedCloud) -> None:
    """What a locked disk answers is undocumented: some accounts say 422."""
    world.change_disk("10021", locked=True)
    assert _edit(call, "/account/4243/disk/10021", autobackup=0).status_code == 422


def test_a_disk_moves_to_another_machine_and_off(call: Any, world: SimulatedCloud, clock: Any) -> None:
    """A move is a 202; null takes the disk off its machine."""
    assert _edit(call, virtual_machine_id="502").status_code == 202
    assert world.disk("10001").virtual_machine_id == "502"
    clock.advance(60)
    assert _edit(call, virtual_machine_id=None, force_reboot=1).json()["virtual_machine_id"] is None


WRONG_EDITS: tuple[dict[str, Any], ...] = (
    *({}, {"size": 5}, {"disk_size": 1}, {"disk_size": True}, {"disk_size": "much"}, {"disk_size": 10**6}),
    *({"virtual_machine_id": 999}, {"virtual_machine_id": "x"}, {"autobackup": 2}, {"autobackup": []}),
    *({"mount_point": 5}, {"mount_point": "x" * 256}, {"mount_point": "/fine", "autobackup": "perhaps"}),
)
WRONG_TEMPLATES: tuple[dict[str, Any], ...] = (
    *({}, {"label": "gold"}, {"console_id": 3}, {"label": "", "console_id": 3}, {"label": "x", "console_id": True}),
)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        *(("PUT", DISK, fields, 422) for fields in WRONG_EDITS),
        ("PUT", "/account/4242/disk/SWAP", {"autobackup": 1}, 422),
        *(("POST", f"{DISK}/template", fields, 422) for fields in WRONG_TEMPLATES),
        ("DELETE", "/account/4242/disk/10021", None, 404),
        ("POST", "/account/4242/disk/5/backup", None, 404),
        ("PUT", DISK, "{", 400),
        ("PATCH", DISK, None, 404),
    ],
)
def test_a_wrong_change_changes_nothing(
    call: Any, world: SimulatedCloud, method: str, path: str, body: Any, *, status: int
) -> None:
    """No part of what is not valid is done, of another account's disk, or one that is not there, nothing at all."""
    swap = next(disk.id for disk in world.disks("4242") if disk.is_swap)
    before = world.disks("4242"), world.disks("4243"), world.backups("4242")
    given = {"data": body} if isinstance(body, str) else {"json": body}
    assert call(method, path.replace("SWAP", swap), **given).status_code == status
    assert (world.disks("4242"), world.disks("4243"), world.backups("4242")) == before


def test_a_build_mends_a_disk_in_error(call: Any, world: SimulatedCloud, clock: Any) -> None:
    """Formatting is a 202, takes a while, and clears the error."""
    broken = next(disk.id for disk in world.disks("4242") if disk.error)
    answer = call("POST", f"/account/4242/disk/{broken}/build")
    assert (answer.status_code, answer.json()["status"]) == (202, "building")
    clock.advance(60)
    disk = world.disk(broken)
    assert (disk.error, disk.locked, disk.status) == (False, False, "built")


def test_a_deleted_disk_is_locked_until_it_is_gone(call: Any, world: SimulatedCloud, clock: Any) -> None:
    """Deletion is a 202 without a body; the disk and its backups vanish when it is done."""
    answer = call("DELETE", DISK)
    assert (answer.status_code, answer.content) == (202, b"")
    assert call.get(DISK).json()["status"] == "deleting"
    clock.advance(60)
    assert [call.get(path).status_code for path in (DISK, f"{DISK}/backups")] == [404, 404]
    assert len(call.items("/account/4242/disks")) == 19
    assert not any(backup.disk_id == "10001" for backup in world.backups("4242"))


def test_a_backup_by_hand_is_pending_then_completed(call: Any, world: SimulatedCloud, clock: Any) -> None:
    """Creating one is a 202 with the backup; its size is known once it is done."""
    answer = call("POST", f"{DISK}/backup")
    backup = answer.json()
    assert (answer.status_code, backup["status"], backup["backup_size"]) == (202, "pending", None)
    assert (backup["backup_type"], backup["disk_id"], backup["locked"]) == ("gigas", 10001, True)
    clock.advance(60)
    done = call.get(f"/account/4242/backup/{backup['id']}").json()
    assert (done["status"], done["locked"]) == ("completed", False)
    assert done["backup_size"] > 0
    world.operation_seconds = 0
    at_once = call("POST", f"{DISK}/backup").json()["id"]
    assert call.get(f"/account/4242/backup/{at_once}").json()["status"] == "completed"


def test_a_template_looks_like_a_backup_and_is_none(call: Any, world: SimulatedCloud) -> None:
    """The answer looks like a backup and is listed among none; the disk is locked meanwhile."""
    before = world.backups("4242")
    answer = call("POST", f"{DISK}/template", json={"label": "gold", "console_id": 1})
    assert (answer.status_code, answer.json()["disk_id"]) == (202, 10001)
    assert world.backups("4242") == before
    assert world.disk("10001").locked
