"""``disks backup``, ``template``, ``edit``, ``build`` and ``delete``: shown first, asked for, sent once."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.conftest import ACCOUNT, HOSTILE_TEXT, Run
from support.programs import account_environment, await_true
from support.simulator import SimulatorServer
from support.small_api import Answer, SmallApi, healthy
from support.timing import within

CHANGES: dict[str, tuple[list[str], str, str, dict[str, Any] | None]] = {
    "backup": ([], "POST", "/backup", None),
    "template": (
        ["--label", "golden", "--console-id", "3"], "POST", "/template", {"label": "golden", "console_id": "3"},
    ),
    "edit": (
        ["--size", "40", "--virtual-machine-id", "501", "--no-autobackup", "--mount-point", "/x",
         "--add-to-linux-fstab", "--force-reboot"],
        "PUT", "",
        {"disk_size": 40, "virtual_machine_id": "501", "autobackup": 0, "mount_point": "/x",
         "add_to_linux_fstab": 1, "force_reboot": 1},
    ),
    "build": ([], "POST", "/build", None),
    "delete": ([], "DELETE", "", None),
}  # fmt: skip
"""Command → its arguments, and method, path after the disk's and body of the request."""


def sent(cloud: SimulatorServer) -> list[tuple[str, str, int]]:
    """Return method, path and status of the changes that the cloud was asked for."""
    return [(each.method, each.path, each.status) for each in cloud.recent if each.method != "GET"]


@pytest.mark.parametrize("command", CHANGES)
def test_a_dry_run_shows_the_disk_and_the_request(
    run: Run, cloud: SimulatorServer, told: Callable[[str], str], command: str
) -> None:
    """--dry-run looks the disk up and prints method, address and body; it changes nothing and asks nothing."""
    arguments, method, path, body = CHANGES[command]
    disk = told("stale")
    outcome = run("disks", command, disk, *arguments, "--dry-run")
    assert outcome.status == 0
    assert re.search(rf"^disk +{disk}$", outcome.err, re.MULTILINE)
    first, _, rest = outcome.out.partition("\n")
    assert first == f"{method} {cloud.url}/account/4242/disk/{disk}{path}"
    assert (json.loads(rest) if rest else None) == body
    facts = json.loads(run("disks", command, disk, *arguments, "--dry-run", "--output", "json").out)
    assert (facts["method"], facts["body"]) == (method, body)
    assert sent(cloud) == []


@pytest.mark.parametrize("command", CHANGES)
def test_a_dry_run_of_a_disk_that_is_not_there_fails(run: Run, cloud: SimulatorServer, command: str) -> None:
    """Status 1, as the change itself would have."""
    outcome = run("disks", command, "17", *CHANGES[command][0], "--dry-run")
    assert (outcome.status, outcome.out) == (1, "")
    assert "account 4242 has no disk 17" in outcome.err
    assert sent(cloud) == []


def test_an_edit_shows_the_old_value_and_the_new(run: Run, told: Callable[[str], str]) -> None:
    """For people line by line, for programs by field."""
    disk = told("stale")
    shown = run("disks", "edit", disk, "--size", "400", "--no-autobackup", "--dry-run").err
    assert re.search(r"^disk size +\d+ GiB -> 400 GiB$", shown, re.MULTILINE)
    assert re.search(r"^autobackup +yes -> no$", shown, re.MULTILINE)
    facts = json.loads(run("disks", "edit", disk, "--no-autobackup", "--dry-run", "--output", "json").out)
    assert facts["changes"] == {"autobackup": {"old": "yes", "new": "no"}}


def test_an_edit_says_what_it_may_cost_or_that_it_does_nothing(
    run: Run, cloud: SimulatorServer, told: Callable[[str], str]
) -> None:
    """A smaller disk, no change at all, a disk that is locked, and a machine that is not there."""
    disk = told("stale")
    edit = ("disks", "edit", disk, "--dry-run")
    assert "IT BECOMES SMALLER: data beyond the new size is lost." in run(*edit, "--size", "1").err
    assert "SMALLER" not in run(*edit, "--size", "4000").err
    cloud.world.change_disk(disk, locked=False)
    same = run(*edit, "--autobackup").err
    assert "Nothing will change: this disk has these values already." in same
    assert "locked" not in same
    cloud.world.change_disk(disk, locked=True)
    assert "The disk is locked by another operation" in run("disks", "delete", disk, "--dry-run").err
    outcome = run(*edit, "--virtual-machine-id", "99999")
    assert (outcome.status, outcome.out) == (1, "")
    assert "account 4242 has no virtual machine 99999" in outcome.err
    cloud.faults.add("status", "list_virtual_machines", status=403)
    assert run(*edit, "--virtual-machine-id", "99999").status == 0  # it cannot be known


@pytest.mark.parametrize(
    ("unit", "old", "size", "sent_size", "said", "is_smaller"),
    [
        ("GB", 60, "56", 60.129542144, "55.87935447692871 GiB -> 56 GiB", False),
        ("GB", 60, "55", 59.05580032, "55.87935447692871 GiB -> 55 GiB", True),
        ("MiB", 57344, "55", 56320, "56 GiB -> 55 GiB", True),
        ("GiB", 20, "20.5", 20.5, "20 GiB -> 20.5 GiB", False),
    ],
)
def test_a_size_is_sent_in_the_apis_unit(  # noqa: PLR0917  # a table
    run: Run, tmp_path: Path, unit: str, old: int, size: str, sent_size: float, said: str, is_smaller: bool
) -> None:
    """What is said of a size is what is sent, whichever unit the API has: a shrink is no growth."""
    path = tmp_path / "unit.yml"
    path.write_text(f"api: {{disk_size_unit: {unit}}}\n")
    with SmallApi(healthy()) as api:
        disk = api.lists["/account/4242/disks"][0]
        disk["disk_size"] = old
        api.answers["/account/4242/disk/1"] = lambda _: (200, disk, {})
        queries = []

        def no_backups(query: Mapping[str, str]) -> Answer:
            queries.append(query)
            return 200, [], {}

        api.answers["/account/4242/disk/1/backups"] = no_backups
        environ = {"GIGAS_API_URL": api.url, "GIGAS_CONFIG_FILE": str(path)}
        outcome = run("disks", "edit", "1", "--size", size, "--dry-run", "--output", "json", **environ)
        queries.clear()
        assert run("disks", "backups", "1", "--min-disk-size", size, **environ).status == 0
    assert json.loads(outcome.out)["body"] == {"disk_size": sent_size}
    assert queries[0]["min_disk_size"] == str(sent_size)
    assert re.search(rf"^disk size +{re.escape(said)}$", outcome.err, re.MULTILINE)
    assert ("IT BECOMES SMALLER" in outcome.err) == is_smaller


def test_values_that_look_the_same_are_not(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """That nothing will change is said of equal values, not of equal words, which are exact."""
    disk = told("stale")
    cloud.world.change_disk(disk, disk_size=20, mount_point="none")
    said = run("disks", "edit", disk, "--size", "20.0000001", "--dry-run").err
    assert "Nothing will change" not in said
    assert "20 GiB -> 20.0000001 GiB" in said
    assert "IT BECOMES SMALLER" in run("disks", "edit", disk, "--size", "19.9999999", "--dry-run").err
    assert "Nothing will change" in run("disks", "edit", disk, "--size", "20", "--dry-run").err
    forced = run("disks", "edit", disk, "--size", "20", "--force-reboot", "--dry-run").err
    assert "Nothing will change" not in forced
    assert "Its machine will be rebooted if that is needed." in forced
    assert "Nothing will change" in run("disks", "edit", disk, "--size", "20", "--no-force-reboot", "--dry-run").err
    assert "Nothing will change" not in run("disks", "edit", disk, "--mount-point", "", "--dry-run").err
    cloud.world.change_disk(disk, mount_point=None)
    assert "none -> /x" in run("disks", "edit", disk, "--mount-point", "/x", "--dry-run").err


def test_a_number_is_a_machines_id(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """It is never taken for another machine's name, and goes on where the machines cannot be listed."""
    disk = told("stale")
    edit = ("disks", "edit", disk, "--virtual-machine-id", "99999", "--dry-run", "--output", "json")
    for field in ("label", "hostname"):
        cloud.faults.add("value", "list_virtual_machines", field=field, value="99999")
        outcome = run(*edit)
        assert (outcome.status, outcome.out) == (1, "")
        assert outcome.err.startswith("gigas-exporter: account 4242 has no virtual machine 99999")
        cloud.faults.clear()
    for kind in ("html", "close"):
        cloud.faults.add(kind, "list_virtual_machines")
        assert json.loads(run(*edit).out)["body"] == {"virtual_machine_id": "99999"}
        assert "list_virtual_machines" in run("disks", "edit", disk, "--virtual-machine-id", "x", "--dry-run").err
        cloud.faults.clear()


def test_a_machine_can_be_named(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """By label in any case; one that is not there is said with the nearest, several with their ids."""
    disk = told("stale")
    machine = next(each for each in cloud.world.machines(ACCOUNT) if each.label)
    name = (machine.label or "").upper()
    facts = json.loads(run("disks", "edit", disk, "--virtual-machine-id", name, "--dry-run", "--output", "json").out)
    assert facts["body"] == {"virtual_machine_id": machine.id}
    listed = json.loads(run("disks", "list", "--virtual-machine-id", name, "--output", "json").out)
    assert {each["virtual_machine_id"] for each in listed} == {machine.id}
    wrong = run("disks", "edit", disk, "--virtual-machine-id", f"{machine.label}x", "--dry-run")
    assert wrong.status == 1
    assert f"did you mean {machine.label}?" in wrong.err


@pytest.mark.parametrize("command", CHANGES)
def test_yes_goes_on_without_asking(run: Run, cloud: SimulatorServer, told: Callable[[str], str], command: str) -> None:
    """With --yes the change is made, once, after the disk and what will happen were shown."""
    arguments, method, path, _ = CHANGES[command]
    disk = told("error")
    arguments = [*(each if each != "40" else "4000" for each in arguments)]
    outcome = run("disks", command, disk, *arguments, "--yes")
    assert outcome.status == 0
    ((got_method, got_path, status),) = sent(cloud)
    assert (got_method, got_path) == (method, f"/account/4242/disk/{disk}{path}")
    assert 200 <= status < 300
    assert "mount point" in outcome.err
    assert "last backup" in outcome.err
    assert outcome.out.startswith({"backup": "create backup", "template": "create template"}.get(command, command))
    assert ("ALL DATA ON THIS DISK WILL BE LOST" in outcome.err) == (command in {"build", "delete"})


@pytest.mark.parametrize(
    ("command", "answer", "agreed"),
    [
        ("backup", "y\n", True),
        ("backup", "n\n", False),
        ("backup", "\n", False),
        ("backup", "", False),
        ("delete", "{disk}\n", True),
        ("delete", "y\n", False),
        ("delete", "{disk}0\n", False),
        ("delete", "", False),
        ("build", "{disk}\n", True),
        ("build", "yes\n", False),
    ],
)
def test_nothing_changes_unless_it_is_agreed_to(  # noqa: PLR0917  # fixtures
    run: Run, cloud: SimulatorServer, told: Callable[[str], str], command: str, answer: str, agreed: bool
) -> None:
    """A backup wants a yes; what erases data wants the disk's id typed. Silence is no."""
    disk = told("stale")
    outcome = run("disks", command, disk, stdin=answer.format(disk=disk))
    assert bool(sent(cloud)) == agreed
    assert outcome.status == (0 if agreed else 1)
    assert ("nothing was changed" in outcome.err) != agreed
    assert outcome.err.index("last backup") < outcome.err.index("will be")


def test_the_disk_is_shown_before_the_question(run: Run, told: Callable[[str], str]) -> None:
    """Machine, mount point, size, last backup and verdict stand before what will happen."""
    lines = run("disks", "backup", told("stale"), stdin="n\n").err.splitlines()
    assert [line.split("  ")[0] for line in lines[:8]] == [
        "disk", "account", "virtual machine", "mount point", "status", "size", "last backup", "verdict",
    ]  # fmt: skip
    assert lines[6].endswith("30h ago")
    assert lines[7].endswith("backup stale")
    assert lines[8] == "A backup of this disk will be made."


def test_what_an_edit_will_do_is_said(run: Run, told: Callable[[str], str]) -> None:
    """Each change is named with its value, and the reboot."""
    disk = told("stale")
    said = run("disks", "edit", disk, "--size", "400", "--force-reboot", stdin="n\n").err
    assert re.search(r"^disk size +\d+ GiB -> 400 GiB$", said, re.MULTILINE)
    assert re.search(r"^force reboot +no -> yes$", said, re.MULTILINE)
    assert "Its machine will be rebooted if that is needed." in said
    assert "Some changes need a reboot." in run("disks", "edit", disk, "--no-autobackup", stdin="n\n").err


@pytest.mark.parametrize("command", ["edit", "template"])
def test_variables_of_other_commands_change_nothing(run: Run, told: Callable[[str], str], command: str) -> None:
    """What is set for a list, alerts or another change does not become a part of this one."""
    variables = {
        "edit": {"SIZE": "7", "VIRTUAL_MACHINE_ID": "501", "MOUNT_POINT": "/x", "ADD_TO_LINUX_FSTAB": "1"},
        "template": {"LABEL": "golden", "CONSOLE_ID": "7"},
        "list": {"VIRTUAL_MACHINE_ID": "501", "MOUNT_POINT": "/x"},
    }
    stray = {
        f"GIGAS_DISKS_{other.upper()}_{name}": value
        for other, values in variables.items()
        if other != command
        for name, value in values.items()
    } | {"GIGAS_ALERTS_LABEL": "a=b"}
    if command == "edit":
        outcome = run("disks", "edit", told("stale"), "--autobackup", "--dry-run", "--output", "json", **stray)
        assert json.loads(outcome.out)["body"] == {"autobackup": 1}
    else:
        outcome = run("disks", "template", "17", "--console-id", "3", "--dry-run", **stray)
        assert outcome.status == 2
        assert "--label: is missing" in outcome.err


@pytest.mark.parametrize("agreed", [True, False])
def test_what_a_variable_changes_is_said(
    run: Run, cloud: SimulatorServer, told: Callable[[str], str], agreed: bool
) -> None:
    """A change that its own variable asks for is shown with the variable's name, --yes or not."""
    variables = {"GIGAS_DISKS_EDIT_MOUNT_POINT": "/srv/new", "GIGAS_DISKS_EDIT_AUTOBACKUP": "no"}
    outcome = run(
        "disks", "edit", told("stale"), "--size", "4000", *(["--yes"] if agreed else []), stdin="n\n", **variables
    )
    for words in (
        "-> 4000 GiB",
        "-> no (from GIGAS_DISKS_EDIT_AUTOBACKUP)",
        "-> /srv/new (from GIGAS_DISKS_EDIT_MOUNT_POINT)",
    ):
        assert words in outcome.err
    assert len(sent(cloud)) == agreed
    label = {"GIGAS_DISKS_TEMPLATE_LABEL": "golden"}
    said = run("disks", "template", told("stale"), "--console-id", "3", stdin="n\n", **label).err
    assert "A template named golden (from GIGAS_DISKS_TEMPLATE_LABEL) will be made of this disk." in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["edit", "17"], "nothing to change; give"),
        (["edit", "17", "--force-reboot"], "nothing to change; give"),
        (["edit", "17", "--size", "-1"], "--size: must be a number of GiB above 0"),
        (["edit", "17", "--size", "nan"], "--size: must be a number of GiB above 0"),
        (["edit", "17", "--size", "big"], "--size: must be a number of GiB"),
        (["template", "17", "--label", " ", "--console-id", "1"], "--label: is empty"),
        (["template", "17", "--label", "x"], "--console-id: is missing"),
        (["backup", "17", "--wait", "--timeout", "soon"], "--timeout"),
        (["backup", "17", "--timeout", "5m"], "--timeout: needs --wait"),
        (["backup", ".."], "an id must not be empty or consist of dots"),
        (["backup", "10003/backups"], "DISK: must be an id of letters, digits and . _ ~ -, such as 10003, without /"),
        (["delete"], "DISK: is missing"),
    ],
)
def test_wrong_use_is_status_2(run: Run, cloud: SimulatorServer, arguments: list[str], words: str) -> None:
    """What makes no sense is refused before the API hears of it."""
    outcome = run("disks", *arguments, "--yes")
    assert outcome.status == 2
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert cloud.requests.total() == 0


def test_programs_get_the_answer(run: Run, told: Callable[[str], str]) -> None:
    """--output json and yaml write what the API answered, and nothing else, to stdout."""
    disk = told("stale")
    answer = json.loads(run("disks", "backup", disk, "--yes", "--output", "json", "--wait").out)
    assert (answer["operation"], answer["status"]) == ("create_backup", 202)
    assert str(answer["answer"]["disk_id"]) == disk
    answer = yaml.safe_load(run("disks", "edit", disk, "--autobackup", "--yes", "--output", "yaml").out)
    assert (answer["operation"], answer["status"]) == ("edit_disk", 200)


def test_a_refusal_is_one_line(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """What the API refuses is told with its status; a disk that is none is not even tried."""
    locked = told("locked")
    outcome = run("disks", "delete", locked, "--yes")
    assert outcome.status == 1
    assert "status           built, locked\n" in outcome.err
    assert outcome.err.splitlines()[-1] == (
        'gigas-exporter: delete_disk: the API answered 409 ("the disk is locked by another operation"): '
        f"the disk does not allow it now ({cloud.url.removeprefix('http://')}); another operation on it may"
        " be running. Nothing was changed"
    )
    outcome = run("disks", "delete", "999", "--yes")
    assert outcome.err.startswith("gigas-exporter: account 4242 has no disk 999 (see: ")


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 418, 422, 423, 429, 500, 501, 503])
def test_each_refusal_says_what_became_of_the_change(
    run: Run, cloud: SimulatorServer, told: Callable[[str], str], status: int
) -> None:
    """A refusal changes nothing and says so where it is a known one; after the server's own errors nobody knows."""
    cloud.faults.add("status", "create_backup", status=status)
    outcome = run("disks", "backup", told("stale"), "--yes")
    assert (outcome.status, outcome.out) == (1, "")
    last = outcome.err.splitlines()[-1]
    assert str(status) in last
    assert cloud.url.removeprefix("http://") in last
    assert last.endswith(". Nothing was changed") == (status in {400, 402, 403, 404, 405, 409, 422, 423, 429, 501})
    assert last.endswith("; whether the change took effect is not known") == (status in {500, 503})
    assert ("the disk does not allow it now" in last) == (status in {409, 423})
    assert ("the API cannot do this" in last) == (status in {404, 405, 501})


def test_a_disk_that_the_credential_may_not_see_is_said(run: Run, cloud: SimulatorServer) -> None:
    """A person with the key of another account is told which right is missing."""
    outcome = run("disks", "backup", "17", "--yes", "--account", "4243")
    assert outcome.status == 1
    where = cloud.url.removeprefix("http://")
    assert outcome.err == (
        "gigas-exporter: account 4243, disk 17: get_disk: the API answered 403: the credential may have no right to it"
        f" ({where}); check the account's id and the credential's rights\n"
    )
    assert not sent(cloud)


def test_what_was_begun_can_be_looked_at(run: Run, told: Callable[[str], str]) -> None:
    """Who does not wait is told the command that shows the new backup, and it does."""
    outcome = run("disks", "backup", told("stale"), "--yes")
    command = outcome.err.splitlines()[-1].removeprefix("To see the progress, run: ").split()
    assert command[0] == "gigas-exporter"
    new_id = outcome.out.split()[-1]
    assert new_id in run(*command[1:]).out


def test_a_lost_answer_is_not_sent_again(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """A change whose answer is lost is told as unknown, and made once."""
    cloud.faults.add("close", "delete_disk")
    outcome = run("disks", "delete", told("stale"), "--yes")
    assert outcome.status == 1
    assert "whether the change took effect is not known" in outcome.err
    assert cloud.requests["delete_disk"] == 1


def test_wait_follows_the_backup(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """--wait ends well when the new backup can be used, and the disk is not stale any more then."""
    disk = told("stale")
    outcome = run("disks", "backup", disk, "--yes", "--wait")
    assert outcome.status == 0
    newest = max(cloud.world.backups(ACCOUNT, disk), key=lambda backup: backup.date_created or 0.0)
    assert outcome.out.splitlines()[-1].startswith(f"backup {newest.id} of disk {disk} is usable; it took ")
    assert "backup stale" not in run("disks", "show", disk).out
    (shown,) = json.loads(run("disks", "show", disk, "--output", "json").out)
    assert shown["findings"] == []  # an incident that is over leaves no other one, such as a backup that shrank


def test_wait_has_a_deadline(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """A backup that does not come in time is a failure that says how it stands."""
    cloud.world.operation_seconds = 600.0
    disk = told("stale")
    with within(10.0):
        outcome = run("disks", "backup", disk, "--yes", GIGAS_DISKS_BACKUP_WAIT="true", GIGAS_DISKS_BACKUP_TIMEOUT="1s")
    assert outcome.status == 1
    last = outcome.err.splitlines()[-1]
    assert f"disk {disk} has no new usable backup after 1s (backup " in last
    assert last.endswith("is pending); it may still finish")


@pytest.mark.parametrize("status", ["in-progress", "Creating (20%)", 3])
def test_wait_goes_on_until_the_backup_is_usable(
    run: Run, cloud: SimulatorServer, told: Callable[[str], str], status: object
) -> None:
    """By the judgement of all other commands: a word in another spelling, or one not understood, does not end it."""
    cloud.faults.add("value", "list_disk_backups", field="status", value=status, skip=3)
    outcome = run("disks", "backup", told("stale"), "--yes", "--wait", "--timeout", "1s")
    assert outcome.status == 1
    assert "has no new usable backup after 1s" in outcome.err.splitlines()[-1]


def test_an_interrupted_wait_says_how_to_go_on(cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """Ctrl-C ends the watching, not the backup, and leaves the command that shows how far it is."""
    cloud.world.operation_seconds = 600.0
    disk = told("stale")
    command = [sys.executable, "-m", "gigas_exporter", "disks", "backup", disk, "--yes", "--wait"]
    with subprocess.Popen(
        command, env=account_environment(cloud), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("create backup: accepted")
        looked = cloud.requests["list_disk_backups"]
        await_true(lambda: cloud.requests["list_disk_backups"] > looked, what="a look at the backups")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.splitlines()[-3:] == [
        f"To see the progress, run: gigas-exporter disks backups --account 4242 {disk}",
        "",  # ends the terminal's ^C
        "gigas-exporter: interrupted",
    ]


def test_wait_tells_a_backup_that_failed(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """A new backup whose status says that it failed ends the wait at once."""
    cloud.faults.add("value", "list_disk_backups", field="status", value="Failed", skip=3)
    outcome = run("disks", "backup", told("stale"), "--yes", "--wait")
    assert outcome.status == 1
    assert outcome.err.splitlines()[-1].endswith("failed: its status is Failed")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 404}, "account 4242 no longer has disk {disk}"),
        ({"status": 403}, "list_disk_backups: the API answered 403"),
        ({"status": 401}, "does not accept the credential"),
    ],
)
def test_wait_ends_when_it_is_in_vain(
    run: Run, cloud: SimulatorServer, told: Callable[[str], str], fault: dict[str, Any], words: str
) -> None:
    """A disk that is gone, or a credential that is refused, is not waited for."""
    disk = told("stale")
    cloud.faults.add("status", "list_disk_backups", skip=2, **fault)
    outcome = run("disks", "backup", disk, "--yes", "--wait", "--timeout", "20s")
    assert outcome.status == 1
    assert words.format(disk=disk) in outcome.err.splitlines()[-1]


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 503}, {"kind": "html"}])
def test_wait_outlives_what_passes(
    run: Run, cloud: SimulatorServer, told: Callable[[str], str], fault: dict[str, Any]
) -> None:
    """An API that cannot be read for a while is waited for."""
    cloud.world.operation_seconds = 1.0
    cloud.faults.add(operation="list_disk_backups", skip=2, count=4, **fault)
    outcome = run("disks", "backup", told("stale"), "--yes", "--wait")
    assert outcome.status == 0, outcome.err
    assert "is usable; it took" in outcome.out


def test_wait_without_an_id_takes_any_new_backup(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """Where the API's answer cannot be understood, a backup that was not there before is the new one."""
    cloud.faults.add("html", "create_backup")
    disk = told("stale")
    outcome = run("disks", "backup", disk, "--yes", "--wait")
    assert outcome.status == 0, outcome.err
    assert outcome.out.splitlines()[0] == "create backup: accepted; it runs in the background"
    assert f"of disk {disk} is usable" in outcome.out


def test_wait_sees_a_backup_that_is_listed_late(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """Until it is listed, the backup is waited for."""
    disk = told("never")
    cloud.faults.add("value", "create_backup", field="id", value="never-listed")
    world = cloud.world

    def come_late() -> None:
        world.remove_backups(disk)
        time.sleep(1.2)
        world.make_backup(disk)

    thread = threading.Timer(0.3, come_late)
    world.operation_seconds = 600.0
    thread.start()
    try:
        outcome = run("disks", "backup", disk, "--yes", "--wait", "--timeout", "20s")
    finally:
        thread.join()
    assert outcome.status == 0, outcome.err


def test_hostile_answers_stay_text(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """What the API says reaches the terminal as text only: the disk that is shown, the answer, the new backup."""
    disk = told("stale")
    cloud.world.change_disk(disk, mount_point=HOSTILE_TEXT)
    for operation in ("create_backup", "list_disk_backups"):
        cloud.faults.add("value", operation, field="status", value=HOSTILE_TEXT)
    for arguments in ((), ("--output", "json"), ("--output", "yaml"), ("--wait", "--timeout", "1s")):
        outcome = run("disks", "backup", disk, "--yes", *arguments)
        assert outcome.status == (1 if "--wait" in arguments else 0)
        assert all(char.isprintable() or char == "\n" for char in outcome.out + outcome.err)
    outcome = run("disks", "template", disk, "--label", HOSTILE_TEXT, "--console-id", "3", stdin="n\n")
    assert all(char.isprintable() or char == "\n" for char in outcome.err)


def test_a_password_in_an_answer_is_not_written(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """A machine's initial password, wherever an answer holds it, stays out."""
    cloud.faults.add("value", "edit_disk", field="initial_password", value=cloud.world.canary)
    outcome = run("disks", "edit", told("stale"), "--autobackup", "--yes", "--output", "json")
    assert outcome.status == 0
    assert "initial_password" not in outcome.out
