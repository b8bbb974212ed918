"""The levers over HTTP, for other processes."""

from __future__ import annotations

from typing import Any

import pytest

from gigas_exporter.simulator import SimulatedCloud

DISKS = "/account/4242/disks"
WRONG_FIELDS: tuple[dict[str, Any], ...] = (
    *({"virtual_machine_id": []}, {"error": "yes"}, {"status": None}, {"disk_size": True}, {"disk_size": -1}),
    *({"error": True, "created_at": 1e18}, {"updated_at": -1e18}),
)
"""Of a disk."""


def test_the_state_is_the_truth_without_secrets(call: Any, world: SimulatedCloud) -> None:
    """Everything that the world holds is told in one form, whole or for one account, and no secret with it."""
    state = call.get("/_sim/state").json()
    assert [account["id"] for account in state["accounts"]] == ["4242", "4243"]
    assert (state["now"], state["speed"], state["seed"], state["scenarios"]) == (world.now(), 1.0, 7, world.scenarios)
    one = call.get("/_sim/state", account="4243")
    (account,) = one.json()["accounts"]
    assert [disk["id"] for disk in account["disks"]] == [disk.id for disk in world.disks("4243")]
    assert account["disks"][0]["size_bytes"] == world.disks("4243")[0].size_bytes
    assert [backup["date_created"] for backup in account["backups"]] == [b.date_created for b in world.backups("4243")]
    assert len(account["virtual_machines"]) == len(world.machines("4243"))
    assert not any(secret in one.text for secret in world.secrets)


def test_disks_are_made_and_taken_away(call: Any, world: SimulatedCloud) -> None:
    """A new disk is listed last, with a new id, healthy unless told otherwise; a deleted one goes with its backups."""
    made = call("POST", "/_sim/disks", json={"mount_point": "/srv/extra", "size_gb": 5, "error": True})
    disk = world.disks("4242")[-1]
    assert (made.status_code, made.json()["id"]) == (201, disk.id)
    assert (disk.mount_point, disk.size_bytes, disk.error, disk.autobackup) == ("/srv/extra", 5 * 2**30, True, True)
    assert disk.virtual_machine_id == world.machines("4242")[-1].id
    fields = {"account_id": "4243", "mount_point": None, "virtual_machine_id": None}
    swap = call("POST", "/_sim/disks", json=fields).json()
    assert (swap["is_swap"], swap["autobackup"], swap["virtual_machine_id"]) == (True, False, None)
    world.make_backup(disk.id)
    assert call("DELETE", f"/_sim/disks/{disk.id}").status_code == 204
    assert len(call.items("/account/4242/disks")) == 20
    assert not any(backup.disk_id == disk.id for backup in world.backups("4242"))


def test_fields_of_disks_are_changed(call: Any, world: SimulatedCloud) -> None:
    """Error, lock, machine and any other field of a disk can be set, and are seen at once; the others stay."""
    fields = {"error": True, "locked": True, "virtual_machine_id": None, "status": "odd", "created_at": 5}
    before = world.disk("10001")
    changed = call("POST", "/_sim/disks/10001", json={**fields, "disk_size": 77}).json()
    assert {name: changed[name] for name in fields} == fields
    disk = world.disk("10001")
    assert (disk.error, disk.virtual_machine_id, disk.size_bytes) == (True, None, 77 * 2**30)
    assert (disk.mount_point, disk.autobackup) == (before.mount_point, before.autobackup)
    world.change_disk("10001", error=False, locked=False, virtual_machine_id="503")
    disk = world.disk("10001")
    assert (disk.error, disk.locked, disk.virtual_machine_id, disk.status) == (False, False, "503", "odd")


def test_backups_are_made_and_taken_away(call: Any, world: SimulatedCloud, clock: Any) -> None:
    """A backup can have any age, status and size; all can be removed, and the next comes on schedule."""
    path = "/_sim/disks/10001/backups"
    made = call("POST", path, json={"age_seconds": 3600, "status": "odd", "size": 1024}).json()
    assert (made["date_created"], made["status"], made["size_bytes"]) == (clock() - 3600, "odd", 1024)
    assert made["id"] in {backup.id for backup in world.backups("4242", "10001")}
    assert world.make_backup("10001", size=None).size_bytes is None
    assert call("DELETE", path).status_code == 204
    assert world.backups("4242", "10001") == ()
    clock.advance(25 * 3600)
    assert len(world.backups("4242", "10001")) == 1


def test_faults_are_set_listed_and_ended(call: Any) -> None:
    """Faults set over HTTP strike, are listed with their count, and end all at once."""
    added = call("POST", "/_sim/faults", json={"kind": "status", "operation": "list_*", "status": 503})
    number = added.json()["id"]
    assert added.status_code == 201
    assert call.get(DISKS).status_code == 503
    listing = call.get("/_sim/faults").json()
    assert (listing["faults"][0]["id"], listing["faults"][0]["struck"]) == (number, 1)
    assert "gzip_bomb" in listing["kinds"]
    assert call("DELETE", "/_sim/faults").status_code == 204
    assert len(call.get(DISKS).json()) == 20


def test_requests_are_counted_for_other_processes(call: Any) -> None:
    """Counts by operation can be read and forgotten; the control's own are not among them."""
    call.get(DISKS)
    call.get("/account/7/disks")
    seen = call.get("/_sim/requests").json()
    assert seen == {"total": 2, "operations": {"list_disks": 2}}
    assert call("DELETE", "/_sim/requests").status_code == 204
    assert call.get("/_sim/requests").json()["total"] == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "/_sim/disks/1", {}, 404, ""),
        ("POST", "/_sim/disks/10001", {"colour": "red"}, 422, ""),
        ("POST", "/_sim/disks/10001", {"virtual_machine_id": "1"}, 404, ""),
        *(("POST", path, fields, 422, "") for path in ("/_sim/disks/10001", "/_sim/disks") for fields in WRONG_FIELDS),
        *(
            ("POST", "/_sim/disks/10001/backups", fields, 422, "")
            for fields in ({"created_at": 1e18}, {"size": -1}, {"status": 5})
        ),
        ("POST", "/_sim/disks/10001", [], 400, ""),
        ("POST", "/_sim/faults", {"kind": "gremlin"}, 422, ""),
        ("POST", "/_sim/faults", {}, 422, "missing 1 required positional argument: 'kind'"),
        ("POST", "/_sim/faults", {"kind": "status", "colour": "red"}, 422, "colour: no parameter of status"),
        (
            "POST",
            "/_sim/faults",
            {"kind": "status", "status": 99},
            422,
            "status: Input should be greater than or equal to 200",
        ),
        (
            "POST",
            "/_sim/faults",
            {"kind": "status", "retry_after": "1\r\nX: y"},
            422,
            "retry_after: String should match pattern '^[ -~]*$'",
        ),
        (
            "POST",
            "/_sim/disks/10001",
            {"created_at": 1e18},
            422,
            "created_at: Input should be less than or equal to 250000000000",
        ),
        ("POST", "/_sim/disks/10001/backups", {"colour": "red"}, 422, ""),
        ("PUT", "/_sim/faults", None, 404, ""),
        ("GET", "/_sim/elsewhere", None, 404, ""),
    ],
)
def test_wrong_levers_are_refused(
    call: Any, world: SimulatedCloud, method: str, path: str, body: Any, *, status: int, words: str
) -> None:
    """An unknown id or path is a 404, what does not fit a 422 that may say so, and the world stays as it is."""
    before = world.disks("4242"), world.backups("4242")
    answer = call(method, path, json=body)
    assert answer.status_code == status
    assert words in {"", answer.json()["error"]["message"]}
    assert (world.disks("4242"), world.backups("4242")) == before
    assert len(call.items("/account/4242/backups")) == len(before[1])
    assert len(call.get(DISKS).json()) == 20


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_without_a_value_are_refused(call: Any, number: str) -> None:
    """What Python's JSON takes for a number is not one everywhere."""
    for path, body in (
        ("/_sim/faults", '{"kind": "latency", "seconds": %s}'),
        ("/_sim/disks/10001", '{"disk_size": %s}'),
        ("/_sim/disks/10001/backups", '{"age_seconds": %s}'),
    ):
        assert call("POST", path, data=body % number).status_code == 422
    assert len(call.get(DISKS).json()) == 20


def test_help_lists_every_path(call: Any) -> None:
    """The control's root explains itself in plain text."""
    answer = call.get("/_sim/")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "/_sim/faults" in answer.text
