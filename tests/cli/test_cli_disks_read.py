"""``disks list``, ``show`` and ``backups``: what they ask, what they show, and how they fail."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.cells import cell_len

from cli.conftest import ACCOUNT, HOSTILE_TEXT, Run
from support.simulator import SimulatorServer
from support.small_api import SmallApi, ago, healthy

NO_ACCOUNT: dict[str, str | None] = {"GIGAS_ACCOUNT_ID": None, "GIGAS_API_KEY": None}
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def test_the_worst_disk_stands_first(run: Run, told: Callable[[str], str]) -> None:
    """A table in a pipe is plain, whole, and begins with the worst."""
    outcome = run("disks", "list")
    assert outcome.status == 0
    head, first, *rest = outcome.out.splitlines()
    assert head.split()[:4] == ["VERDICT", "VM", "MOUNT", "POINT"]
    assert first.startswith("never backed up")
    assert told("never") in first
    assert len(rest) == 15
    assert "\x1b" not in outcome.out
    assert outcome.err == ""


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_table_fits_its_terminal(run: Run, width: int) -> None:
    """No line is wider than the terminal; verdict, machine, mount point, disk and age stay."""
    lines = ANSI.sub("", run("disks", "list", terminal=width).out).splitlines()
    assert max(map(cell_len, lines)) <= width
    for title in ("VERDICT", "VM", "MOUNT POINT", "DISK", "BACKUP AGE"):
        assert title in lines[0]
    assert ("BACKUPS" in lines[0]) == (width >= 120)
    assert all(re.search(r" 100\d\d( |$)", line) for line in lines[1:])
    assert any("never backed up" in line for line in lines)


def test_a_backup_from_the_future_has_no_age(run: Run, cloud: SimulatorServer) -> None:
    """The reason that a disk has no verdict is not shown as a backup made just now."""
    cloud.faults.add("value", "list_*backups", field="date_created", value="2099-01-01T00:00:00Z")
    lines = [line for line in run("disks", "list").out.splitlines() if "backups unreadable" in line]
    assert lines
    assert all(" in the future " in line for line in lines)


def test_on_a_very_narrow_terminal_the_verdict_remains(run: Run, told: Callable[[str], str]) -> None:
    """Where there is room for little, verdict, disk and age stay, of a backup its age and status."""
    outcome = run("disks", "list", terminal=40, NO_COLOR="1")
    assert outcome.out.splitlines()[0].split() == ["VERDICT", "DISK", "BACKUP", "AGE"]
    assert max(map(cell_len, outcome.out.splitlines())) <= 40
    outcome = run("disks", "backups", told("stale"), terminal=40, NO_COLOR="1")
    assert outcome.out.splitlines()[0].split()[:3] == ["BACKUP", "AGE", "STATUS"]
    assert max(map(cell_len, outcome.out.splitlines())) <= 40


@pytest.mark.parametrize(
    ("environ", "colour"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)]
)
def test_colour_is_for_terminals_that_want_it(run: Run, environ: dict[str, str], colour: bool) -> None:
    """A terminal gets colours, unless NO_COLOR or TERM say otherwise."""
    assert bool(ANSI.search(run("disks", "list", terminal=100, **environ).out)) == colour


def test_a_good_age_is_not_red(run: Run, told: Callable[[str], str]) -> None:
    """The age has the colour of what was found about backups, not of a disk's error."""
    lines = run("disks", "list", terminal=200).out.splitlines()
    error = next(line for line in lines if f" {told('error')} " in line)
    assert error.startswith(("\x1b[1m\x1b[31mdisk error", "\x1b[31m\x1b[1mdisk error")), error
    assert error.count("\x1b[31m") == 1
    stale = next(line for line in lines if f" {told('stale')} " in line)
    assert stale.count("\x1b[33m") == 2


def test_every_format_holds_the_same_disks(run: Run) -> None:
    """JSON, YAML and CSV hold all fields of the same disks in the same order."""
    as_json = json.loads(run("disks", "list", "--output", "json").out)
    as_yaml = yaml.safe_load(run("disks", "list", "--output", "yaml").out)
    as_csv = list(csv.DictReader(io.StringIO(run("disks", "list", "--output", "csv").out)))
    assert len(as_json) == 16
    assert [each["disk_id"] for each in as_json] == [each["disk_id"] for each in as_yaml]
    assert [each["disk_id"] for each in as_json] == [each["disk_id"] for each in as_csv]
    assert list(as_json[0]) == [*as_yaml[0], "raw"]
    assert list(as_yaml[0]) == list(as_csv[0])
    assert as_csv[0]["autobackup"] == "true"
    assert as_json[0]["findings"] == [as_csv[0]["findings"]] == ["never backed up"]
    assert (as_json[0]["last_backup"], as_csv[0]["last_backup"]) == (None, "")


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (["--data-store-id", "11"], {"data_store_id": "11"}),
        (["--virtual-machine-id", "501"], {"virtual_machine_id": "501"}),
        (["--is-swap"], {"is_swap": "1"}),
        (["--no-is-swap"], {"is_swap": "0"}),
        (["--mount-point", "/var"], {"mount_point": "/var"}),
        (["--data-store-group-id", "1"], {"data_store_group_id": "1"}),
        (["--primary"], {"primary": "1"}),
        (["--no-primary"], {"primary": "0"}),
    ],
)
def test_filters_are_the_apis(run: Run, cloud: SimulatorServer, arguments: list[str], sent: dict[str, str]) -> None:
    """Each filter goes to the API under its name, and by its environment variable as well."""
    outcome = run("disks", "list", *arguments)
    assert outcome.status == 0
    query = next(seen.query for seen in cloud.recent if seen.operation == "list_disks")
    assert {name: query[name] for name in query if name not in {"limit", "offset"}} == sent
    name, value = next(iter(sent.items()))
    assert run("disks", "list", **{f"GIGAS_DISKS_LIST_{name.upper()}": value}).out == outcome.out


def test_a_filter_out_of_a_variable_is_said(run: Run) -> None:
    """Who has forgotten a variable is told that the list is not whole; who typed the filter knows."""
    outcome = run("disks", "list", "--is-swap", GIGAS_DISKS_LIST_MOUNT_POINT="/var")
    assert outcome.err == "gigas-exporter: GIGAS_DISKS_LIST_MOUNT_POINT is set, so only a part is shown\n"
    assert run("disks", "list", "--mount-point", "/var", GIGAS_DISKS_LIST_MOUNT_POINT="/srv").err == ""
    outcome = run("disks", "backups", "10001", GIGAS_DISKS_BACKUPS_MIN_DISK_SIZE="1")
    assert outcome.err == "gigas-exporter: GIGAS_DISKS_BACKUPS_MIN_DISK_SIZE is set, so only a part is shown\n"


def test_nothing_found_is_said(run: Run, cloud: SimulatorServer) -> None:
    """A filter that nothing passes, and an account without disks, are no empty table."""
    assert run("disks", "list", "--mount-point", "/nowhere").out == "No disk matches.\n"
    assert json.loads(run("disks", "list", "--mount-point", "/nowhere", "--output", "json").out) == []
    header = run("disks", "list", "--mount-point", "/nowhere", "--output", "csv").out
    assert header.startswith("verdict,severity,")
    for disk in cloud.world.disks(ACCOUNT):
        cloud.world.delete_disk(disk.id)
    assert run("disks", "list").out == "The API lists no disks.\n"


def test_several_accounts_are_one_list(run: Run, cloud: SimulatorServer, config: str) -> None:
    """All accounts of the file are listed, or the one that is chosen by id or name."""
    both = json.loads(run("disks", "list", "--config.file", config, "--output", "json", **NO_ACCOUNT).out)
    assert {each["account_id"] for each in both} == {"4242", "4243"}
    for chosen in (
        run("disks", "list", "--config.file", config, "--account", "production", "--output", "json", **NO_ACCOUNT),
        run("disks", "list", "--account", "4242", "--output", "json", GIGAS_CONFIG_FILE=config, GIGAS_API_KEY=None),
    ):
        assert {each["account_id"] for each in json.loads(chosen.out)} == {"4242"}
    both_given = run("disks", "list", GIGAS_CONFIG_FILE=config, GIGAS_API_KEY=None)
    assert both_given.status == 2
    assert "GIGAS_ACCOUNT_ID: is set together with accounts in the config file" in both_given.err


def test_the_flag_goes_before_the_variable(run: Run, cloud: SimulatorServer) -> None:
    """--account names another account than GIGAS_ACCOUNT_ID for the same credential."""
    listed = run("disks", "list", "--account", "4243", "--output", "json", GIGAS_API_KEY=cloud.world.api_key)
    assert {each["account_id"] for each in json.loads(listed.out)} == {"4243"}


def test_one_accounts_failure_hides_no_other(run: Run, cloud: SimulatorServer, config: str) -> None:
    """What can be read is listed, what cannot is said, and the status is 1."""
    cloud.faults.add("status", status=403, account="4243")
    outcome = run("disks", "list", "--config.file", config, "--output", "json", **NO_ACCOUNT)
    assert outcome.status == 1
    assert len(json.loads(outcome.out)) == 16
    assert outcome.err.splitlines() == [
        (
            "gigas-exporter: account 4243: list_disks: the API answered 403: the credential may have no right to it "
            f"({cloud.url.partition('://')[2]}); check the account's id and the credential's rights"
        ),
        "gigas-exporter: 1 of 2 accounts could not be read",
    ]


def test_an_accounts_failure_lists_no_disk_of_another_as_its_own(run: Run, cloud: SimulatorServer, config: str) -> None:
    """Also with a filter, for which the other's disks are read a second time to find whose the backups are."""
    cloud.faults.add("status", status=403, account="4243")
    outcome = run("disks", "list", "--is-swap", "--config.file", config, "--output", "json", **NO_ACCOUNT)
    assert outcome.status == 1
    assert [record["account_id"] for record in json.loads(outcome.out)] == [ACCOUNT]


def test_discovered_accounts_are_listed(run: Run, cloud: SimulatorServer, discovering: dict[str, str | None]) -> None:
    """With discovery the API says which accounts there are, and whether a chosen one is among them."""
    assert len(json.loads(run("disks", "list", "--output", "json", **discovering).out)) == 32
    assert cloud.requests["list_accounts"]
    assert run("disks", "show", "10001", "--account", "4242", **discovering).status == 0
    assert run("disks", "show", "10001", "--account", "9", **discovering).status == 2
    several = run("disks", "show", "10001", **discovering)
    assert several.status == 2
    assert "there are several accounts (4242 (production), 4243 (staging)): choose one" in several.err


def test_show_tells_all_of_one_disk(run: Run, told: Callable[[str], str]) -> None:
    """One line a fact for people, all fields for programs."""
    stale = told("stale")
    text = run("disks", "show", stale).out
    assert re.search(r"^verdict +backup stale$", text, re.MULTILINE)
    assert re.search(r"^backup age +30h$", text, re.MULTILINE)
    assert re.search(r"^autobackup +yes$", text, re.MULTILINE)
    written = run("disks", "show", stale, "--output", "json").out
    (record,) = json.loads(written)
    assert record["disk_id"] == stale
    assert '"max_age_seconds": 93600,' in written


def test_a_disk_that_is_none(run: Run) -> None:
    """A 404 is said in words, with status 1."""
    for arguments in (("show", "999"), ("backups", "999")):
        outcome = run("disks", *arguments)
        assert (outcome.status, outcome.out) == (1, "")
        where = "(see: gigas-exporter disks list --account 4242)"
        assert outcome.err == f"gigas-exporter: account 4242 has no disk 999 {where}\n"


def test_a_machine_given_as_a_disk_is_said_to_be_one(run: Run, cloud: SimulatorServer) -> None:
    """The answer has the command that lists its disks; without the list of machines there is just no such disk."""
    machine = next(each for each in cloud.world.machines(ACCOUNT) if each.label)
    label = machine.label or ""
    for name in (label, label.upper(), machine.hostname or ""):
        outcome = run("disks", "show", name)
        assert (outcome.status, outcome.out) == (1, "")
        command = f"gigas-exporter disks list --account 4242 --virtual-machine-id {machine.id}"
        said = f"gigas-exporter: {name} is a virtual machine, not a disk (see its disks: {command})\n"
        assert outcome.err == said
        assert run(*command.split()[1:]).status == 0
    assert "account 4242 has no disk no-name" in run("disks", "show", "no-name").err
    cloud.faults.add("status", "list_virtual_machines", status=403)
    assert f"account 4242 has no disk {label}" in run("disks", "show", label).err


def test_an_unknown_machine_is_said_with_those_that_there_are(run: Run) -> None:
    """The names that hold what was given come first; the nearest stands alone where there is one."""
    wrong = run("disks", "list", "--virtual-machine-id", "db")
    assert wrong.status == 1
    assert wrong.err.startswith("gigas-exporter: account 4242 has no virtual machine db (it has db-01, ")
    near = run("disks", "list", "--virtual-machine-id", "db-011")
    assert near.err == "gigas-exporter: account 4242 has no virtual machine db-011; did you mean db-01?\n"
    with SmallApi(healthy()) as api:
        api.lists["/account/4242/virtual_machines"] = []
        none = run("disks", "list", "--virtual-machine-id", "db", GIGAS_API_URL=api.url)
        api.lists["/account/4242/virtual_machines"] = [{"id": 500 + n, "label": f"web-{n}"} for n in range(7)]
        many = run("disks", "list", "--virtual-machine-id", "db", GIGAS_API_URL=api.url)
        api.lists["/account/4242/virtual_machines"] = [{"id": 500 + n, "label": "web"} for n in range(2)]
        several = run("disks", "list", "--virtual-machine-id", "web", GIGAS_API_URL=api.url)
    assert none.err == "gigas-exporter: account 4242 has no virtual machine db (it has none)\n"
    assert many.err.endswith(" (it has web-0, web-1, web-2, web-3, web-4 and 2 more)\n")
    assert several.err.endswith("has several virtual machines named web: give an id (500, 501)\n")


def test_a_machine_need_not_be_listed_everywhere(run: Run, tmp_path: Path) -> None:
    """An account that has none of its name is no error beside one that has, and an id is not looked up."""
    path, environ = tmp_path / "exporter.yml", {**NO_ACCOUNT, "GIGAS_API_URL": None}
    with SmallApi({**healthy("1"), **healthy("2", disks=1)}) as api:
        path.write_text(f"api: {{url: '{api.url}'}}\naccounts: [{{id: 1, token: a}}, {{id: 2, token: b}}]\n")
        list_disks = ("disks", "list", "--config.file", str(path), "--output", "json", "--virtual-machine-id")
        named = run(*list_disks, "vm-3", **environ)
        api.lists["/account/1/virtual_machines"] = []
        by_id = run(*list_disks, "503", "--account", "1", **environ)
        api.answers |= {f"/account/{each}/disks": lambda _: (500, b"", {}) for each in (1, 2)}
        neither = run(*list_disks, "503", **environ)
    for outcome in (named, by_id):
        assert outcome.status == 0, outcome.err
        assert {each["account_id"] for each in json.loads(outcome.out)} == {"1"}
    assert (neither.status, neither.out) == (1, "")


def test_a_filter_that_nothing_can_pass_is_said_to_be_wrong(run: Run) -> None:
    """A machine that is not there is named as one, and a value that the API rejects is none of the page size's."""
    outcome = run("disks", "list", "--virtual-machine-id", "99999")
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith("gigas-exporter: account 4242 has no virtual machine 99999")
    outcome = run("disks", "list", "--data-store-id", "x")
    assert (outcome.status, outcome.out) == (1, "")
    words = '("data_store_id must be a whole number")'
    assert f"the API answered 400 {words}: it may not accept --data-store-id (127.0.0.1:" in outcome.err
    assert "page_size" not in outcome.err


@pytest.mark.parametrize("arguments", [("show",), ("backups",), ("delete", "--yes"), ("backup", "--yes")])
def test_an_id_that_the_api_takes_for_another_is_refused(
    run: Run, told: Callable[[str], str], cloud: SimulatorServer, arguments: tuple[str, ...]
) -> None:
    """The simulated API reads numbers, so that 017 is 17 to it; no disk is shown or changed under another name."""
    stale = told("stale")
    command, *options = arguments
    outcome = run("disks", command, f"0{stale}", *options)
    assert (outcome.status, outcome.out) == (1, "")
    said = f"gigas-exporter: asked for disk 0{stale}, the API answered with disk {stale}; nothing was done\n"
    assert outcome.err == said
    assert stale in {disk.id for disk in cloud.world.disks(ACCOUNT)}


def test_backups_come_newest_first(run: Run, told: Callable[[str], str], cloud: SimulatorServer) -> None:
    """The backups of a disk, the newest on top; none is said."""
    stale = told("stale")
    records = json.loads(run("disks", "backups", stale, "--output", "json").out)
    dates = [each["date_created"] for each in records]
    assert len(dates) == len(cloud.world.backups(ACCOUNT, stale))
    assert dates == sorted(dates, reverse=True)
    assert "CREATED" in run("disks", "backups", stale, terminal=80).out
    assert run("disks", "backups", told("never")).out == f"The API lists no backup of disk {told('never')}.\n"
    outcome = run("disks", "backups", stale, "--min-disk-size", "100000")
    assert outcome.out == f"The API lists no backup of disk {stale} that matches.\n"


def test_hostile_names_cannot_command_a_terminal(run: Run, cloud: SimulatorServer) -> None:
    """No escape of a name leaves the commands, in whatever format; programs read the name as it is."""
    disk = cloud.world.disks(ACCOUNT)[0]
    cloud.world.change_disk(disk.id, mount_point=HOSTILE_TEXT)
    cloud.faults.add("value", "list_virtual_machines", field="label", value=HOSTILE_TEXT)
    cloud.faults.add("value", "list_*backups", field="status", value=HOSTILE_TEXT)
    for arguments in (("list",), ("show", disk.id), ("backups", disk.id)):
        for form in ("table", "json", "yaml", "csv"):
            outcome = run("disks", *arguments, "--output", form)
            assert outcome.status == 0
            text = outcome.out + outcome.err
            assert all(char.isprintable() or char == "\n" for char in text), (arguments, form)
            assert "owned" in text
    (shown,) = json.loads(run("disks", "show", disk.id, "--output", "json").out)
    (also,) = yaml.safe_load(run("disks", "show", disk.id, "--output", "yaml").out)
    assert shown["mount_point"] == also["mount_point"] == HOSTILE_TEXT


def test_what_is_only_enrichment_is_missed_quietly(run: Run, cloud: SimulatorServer) -> None:
    """Without machines or backups the disks are listed all the same, and what is missing is said."""
    cloud.faults.add("status", "list_virtual_machines", status=403)
    cloud.faults.add("status", "list_*backups", status=403)
    outcome = run("disks", "list")
    assert outcome.status == 0
    assert "not read" in outcome.out
    assert "VM 50" in outcome.out
    names, backups = outcome.err.splitlines()
    assert names.startswith("gigas-exporter: account 4242: names of virtual machines are unknown: ")
    assert backups.startswith("gigas-exporter: account 4242: backups could not be read: ")
    cloud.faults.clear()


@pytest.mark.parametrize(
    ("environ", "status", "words"),
    [
        ({"GIGAS_API_KEY": "wrong"}, 1, "does not accept the credential"),
        ({"GIGAS_ACCOUNT_ID": "77"}, 2, "account 77: no such account (accounts: 4242 (production))"),
        ({"GIGAS_API_URL": "http://127.0.0.1:9"}, 1, "list_disks: "),
    ],
)
def test_what_cannot_be_listed_is_one_line(run: Run, environ: dict[str, str], status: int, words: str) -> None:
    """A refused key, a foreign account and a dead API each give one line."""
    outcome = run("disks", "list", **environ)
    assert (outcome.status, outcome.out) == (status, "")
    assert len(outcome.err.splitlines()) == 1
    assert outcome.err.startswith("gigas-exporter: ")
    assert words in outcome.err


def test_json_has_the_apis_own_values(run: Run) -> None:
    """Each record of list, show and backups has the item as the API sent it; nothing else but JSON has."""
    for arguments in (("list",), ("show", "10001"), ("backups", "10001")):
        records = json.loads(run("disks", *arguments, "--output", "json").out)
        assert records
        for record in records:
            assert str(record["raw"]["id"]) == record.get("backup_id", record["disk_id"])
            assert record["raw"]["status"] == record["status"]
        assert "raw" not in run("disks", *arguments, "--output", "csv").out.splitlines()[0]


def test_backups_that_may_be_of_other_disks_or_not_all(run: Run) -> None:
    """What the API lists under a disk's address is shown, with what makes it doubtful."""
    with SmallApi(healthy()) as api:
        disk, backups = api.lists["/account/4242/disks"][1], api.lists["/account/4242/backups"]
        api.answers["/account/4242/disk/2"] = lambda _: (200, disk, {})
        api.answers["/account/4242/disk/2/backups"] = lambda _: (200, backups, {"Link": '</x>; rel="next"'})
        outcome = run("disks", "backups", "2", GIGAS_API_URL=api.url)
    assert outcome.status == 0
    others = sum(backup["disk_id"] != 2 for backup in backups)
    assert f"{others} backups name a disk other than 2\n" in outcome.err
    assert "the list of backups may be incomplete according to the header Link" in outcome.err


def test_a_disk_that_is_gone_has_the_backups_that_name_it(run: Run) -> None:
    """Whoever looks for what to restore needs their ids; without any, there is no such disk."""
    with SmallApi(healthy()) as api:
        del api.lists["/account/4242/disks"][1], api.lists["/account/4242/disk/2/backups"]
        shared = next(each for each in api.lists["/account/4242/backups"] if each["id"] == 2001)
        shared |= {"disk_id": None, "disk_ids": [1, 2]}
        table = run("disks", "backups", "2", GIGAS_API_URL=api.url)
        records = json.loads(run("disks", "backups", "2", "--output", "json", GIGAS_API_URL=api.url).out)
        none = run("disks", "backups", "99", "--output", "json", GIGAS_API_URL=api.url)
        del api.lists["/account/4242/backups"]
        unread = run("disks", "backups", "2", GIGAS_API_URL=api.url)
    assert (table.status, none.status, unread.status) == (0, 1, 1)
    assert table.err.endswith("account 4242 no longer has disk 2; these backups still name it\n")
    assert [record["backup_id"] for record in records] == ["2000", "2001", "2002"]
    assert [record["raw"]["disk_id"] for record in records] == [2, None, 2]
    assert all(record["backup_id"] in table.out for record in records)
    for each, disk in ((none, "99"), (unread, "2")):
        assert each.out == ""
        assert each.err.startswith(f"gigas-exporter: account 4242 has no disk {disk} (see: ")


def test_raw_values_hold_no_secrets(run: Run) -> None:
    """What has a name as a secret may have is left out at any depth, whatever the rest is."""
    with SmallApi(healthy()) as api:
        for disk in api.lists["/account/4242/disks"]:
            disk["error"] = "I/O error"
            disk["vnc_password"] = "canary"
            disk["nested"] = [{"ApiKey": "canary", "AUTH": "canary", "left": 1, "deeper": {"session-token": "canary"}}]
        outcome = run("disks", "list", "--output", "json", GIGAS_API_URL=api.url)
    assert "canary" not in outcome.out
    raw = json.loads(outcome.out)[0]["raw"]
    assert raw["nested"] == [{"left": 1, "deeper": {}}]
    assert raw["error"] == "I/O error"


@pytest.mark.parametrize("command", ["list", "backups 1"])
def test_json_has_the_items_of_a_list_that_is_not_accepted(run: Run, command: str) -> None:
    """With the API's own values alone, so that the one without an id can be found; the status is 1 as before."""
    with SmallApi(healthy()) as api:
        items = api.lists["/account/4242/disks" if command == "list" else "/account/4242/disk/1/backups"]
        api.answers["/account/4242/disk/1"] = lambda _: (200, api.lists["/account/4242/disks"][0], {})
        items[1]["id"] = None
        items[1]["api_token"] = "canary"
        outcome = run("disks", *command.split(), "--output", "json", GIGAS_API_URL=api.url)
        table = run("disks", *command.split(), GIGAS_API_URL=api.url)
    assert (outcome.status, table.status, table.out) == (1, 1, "")
    assert "an item has no id that can be read" in outcome.err
    assert "canary" not in outcome.out
    records = json.loads(outcome.out)
    del items[1]["api_token"]
    assert [record["raw"] for record in records] == items
    known = {"account_id": "4242"} if command == "list" else {"disk_id": "1"}
    filled = [{name: value for name, value in each.items() if value is not None} for each in records]
    assert filled == [{**known, "raw": item} for item in items]


def test_disks_are_filtered_by_finding(run: Run) -> None:
    """One or several, by the name of the metric or in words; a wrong one is said with the nearest."""
    stale = json.loads(run("disks", "list", "--finding", "backup_stale", "--output", "json").out)
    assert [each["findings"] for each in stale] == [["backup stale"]]
    both = run("disks", "list", "--finding", "backup stale", "--finding", "never_backed_up", "--output", "json")
    assert [each["findings"][0] for each in json.loads(both.out)] == ["never backed up", "backup stale"]
    wrong = run("disks", "list", "--finding", "backup_stal")
    assert wrong.status == 2
    assert "did you mean backup_stale?" in wrong.err


@pytest.mark.parametrize("arguments", ["show 1", "list --virtual-machine-id 501", "delete 1 --dry-run"])
def test_backups_of_other_machines_make_no_disk_well(run: Run, arguments: str) -> None:
    """A disk that is read alone is judged as beside the others, and not where those cannot be listed."""
    with SmallApi(healthy()) as api:
        path = "/account/4242/disks"
        disks, own = api.lists[path], api.lists["/account/4242/disk/1/backups"]
        api.answers["/account/4242/disk/1"] = lambda _: (200, disks[0], {})
        api.answers[path] = lambda query: (200, disks[:1] if "virtual_machine_id" in query else disks, {})
        del api.lists["/account/4242/backups"]
        own[:] = [{**own[0], "disk_id": None, "virtual_machine_id": 502}]
        assert "backups unreadable" in run("check", "--output", "json", GIGAS_API_URL=api.url).out
        shown = run("disks", *arguments.split(), GIGAS_API_URL=api.url)
        own[0]["virtual_machine_id"] = 501
        well = run("disks", *arguments.split(), GIGAS_API_URL=api.url)
        api.answers[path] = lambda query: (200, disks[:1], {}) if "virtual_machine_id" in query else (500, None, {})
        alone = run("disks", *arguments.split(), GIGAS_API_URL=api.url)
    assert "backups could not be read: disk_id: a disk's own list contains backups of other disks" in shown.err
    assert "could not be read" not in well.err
    assert "account 4242: disks could not be read: list_disks" in alone.err


def test_list_finds_what_check_finds(run: Run) -> None:
    """Each disk has the same findings in both, a lock of long ago too."""
    checked, listed = (
        {record["disk_id"]: record["findings"] for record in json.loads(run(*command, "--output", "json").out)}
        for command in (("check",), ("disks", "list"))
    )
    assert checked == listed
    assert ["locked long"] in listed.values()


@pytest.mark.parametrize("command", [("disks", "show", "10001"), ("disks", "list"), ("check",)])
def test_a_wrong_account_is_said_the_same_everywhere(
    run: Run, cloud: SimulatorServer, config: str, command: tuple[str, ...]
) -> None:
    """It is said that there is no such account, which ones there are, and which is near: wrong usage."""
    in_file = {"GIGAS_CONFIG_FILE": config, **NO_ACCOUNT}
    for given, environ, words in (
        ("4241", {}, "; did you mean 4242? (accounts: 4242 (production))"),
        ("4241", {"GIGAS_ACCOUNT_ID": None}, "; did you mean 4242? (accounts: 4242 (production))"),
        ("4241", {"GIGAS_ACCOUNT_ID": "4241"}, "; did you mean 4242? (accounts: 4242 (production))"),
        ("../x", {}, " (accounts: 4242 (production))"),
        ("424", in_file, "; did you mean 4242? (accounts: 4242 (production), 4243)"),
        ("prodction", in_file, "; did you mean production? (accounts: 4242 (production), 4243)"),
    ):
        outcome = run(*command, "--account", given, **environ)
        assert outcome.err == f"gigas-exporter: account {given}: no such account{words}\n", given
        assert outcome.status == 2


@pytest.mark.parametrize("command", [("disks", "show", "10001"), ("disks", "list"), ("check",)])
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "status", "status": 503}, "list_accounts: the API answered 503"),
        ({"kind": "status", "status": 429}, "list_accounts: the API answered 429"),
        ({"kind": "status", "status": 403}, "list_accounts: the API answered 403"),
        ({"kind": "status", "status": 501}, "list_accounts: the API answered 501"),
        ({"kind": "value", "field": "id", "value": None}, "list_accounts: "),
        ({"kind": "html"}, "body: the response to list_accounts is not JSON"),
    ],
)
def test_accounts_that_cannot_be_listed_are_not_said_to_be_none(
    run: Run, cloud: SimulatorServer, command: tuple[str, ...], fault: dict[str, Any], words: str
) -> None:
    """Where no list says which accounts there are, its failure is said of a name, or of an id without disks."""
    cloud.faults.add(operation="list_accounts", **fault)
    for given in ("production", "4249"):
        outcome = run(*command, "--account", given, GIGAS_ACCOUNT_ID=None, GIGAS_API_TIMEOUT="1s")
        assert "no such account" not in outcome.err
        assert outcome.err.startswith(f"gigas-exporter: {words}"), given
    beside_its_variable = run(*command, "--account", "4242", "--output", "json")
    assert {each["account_id"] for each in json.loads(beside_its_variable.out)} == {"4242"}
    outcome = run("disks", "list", GIGAS_ACCOUNT_ID="4249")
    assert ("no such account" in outcome.err) == (fault.get("status") in {403, 501})


@pytest.mark.parametrize("command", [("disks", "list"), ("check",)])
def test_an_account_needs_no_variable_beside_its_credential(
    run: Run, cloud: SimulatorServer, command: tuple[str, ...]
) -> None:
    """--account takes an id or a name that the credential may see, or an id that it may not list."""
    cloud.faults.add("status", "list_accounts", status=403, count=1)
    for given in ("4242", "4242", "production"):
        outcome = run(*command, "--account", given, "--output", "json", GIGAS_ACCOUNT_ID=None)
        assert {each["account_id"] for each in json.loads(outcome.out)} == {"4242"}, given
    for others in ("9", None):  # the list has another account, or none with a readable id
        cloud.faults.clear()
        cloud.faults.add("value", "list_accounts", field="id", value=others)
        outcome = run(*command, "--account", "4242", "--output", "json", GIGAS_ACCOUNT_ID=None)
        assert {each["account_id"] for each in json.loads(outcome.out)} == {"4242"}, others
    cloud.faults.clear()
    cloud.faults.add("close", "list_accounts")
    outcome = run(*command, "--account", "4242", GIGAS_ACCOUNT_ID=None)
    assert "list_accounts: the connection ended" in outcome.err


def test_a_list_says_what_is_not_understood(run: Run, cloud: SimulatorServer) -> None:
    """The field stands in the verdict, and on stderr of how many disks, and what to do."""
    cloud.faults.add("value", "list_disks", field="autobackup", value=["?"])
    outcome = run("disks", "list", "--output", "json")
    record = next(each for each in json.loads(outcome.out) if each["not_understood"])
    assert "not understood: autobackup" in record["verdict"]
    assert re.search(r"autobackup is not understood for \d+ disks \(gigas-exporter probe shows", outcome.err)


@pytest.mark.parametrize("command", ["show 25", "list --mount-point /srv/25", "backup 25 --dry-run"])
def test_a_disk_is_judged_by_its_own_list_whatever_becomes_of_others(run: Run, command: str) -> None:
    """Where the account's list leaves out new backups of all, the lists of disks that are not shown are not read."""
    with SmallApi(healthy(disks=30)) as api:
        backups, disks = api.lists["/account/4242/backups"], api.lists["/account/4242/disks"]
        backups[:] = [{**each, "date_created": ago(hours=40)} for each in backups]
        api.answers["/account/4242/disk/25"] = lambda _: (200, disks[24], {})
        filtered = [{**disks[24], "mount_point": "/srv/25"}]
        api.answers["/account/4242/disks"] = lambda query: (200, filtered if "mount_point" in query else disks, {})
        outcome = run("disks", *command.split(), GIGAS_API_URL=api.url)
        own_lists = [path for path in api.asked if path.startswith("/account/4242/disk/") and path.endswith("/backups")]
    assert outcome.status == 0
    assert "well" in outcome.out + outcome.err
    assert own_lists == ["/account/4242/disk/25/backups"]


def test_a_list_that_fails_ends_the_command(run: Run) -> None:
    """Nothing else is asked for, such as the virtual machines, which say nothing then."""
    with SmallApi(healthy()) as api:
        api.answers["/account/4242/disks"] = lambda _: (403, {}, {})
        outcome = run("disks", "list", GIGAS_API_URL=api.url)
        assert (outcome.status, outcome.out) == (1, "")
        assert api.asked == ["/account/4242/disks"]


def test_the_log_does_not_come_between(run: Run) -> None:
    """What a poll would log at info is no part of what the command says; a file for serve may ask for it."""
    with SmallApi(healthy()) as api:
        api.answers["/account/4242/disk/1"] = lambda _: (200, api.lists["/account/4242/disks"][0], {})
        outcome = run("disks", "show", "1", GIGAS_API_URL=api.url, GIGAS_LOG_LEVEL="info")
    assert (outcome.status, outcome.err) == (0, "")
