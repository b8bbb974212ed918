"""``check``: the verdict on the eventful world, its outputs, and its exit statuses."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest

from cli.conftest import ACCOUNT, HOSTILE_TEXT, Run
from gigas_exporter.cli import check as check_module
from support.simulator import SimulatorServer

SCENARIOS = {
    "stale": "backup stale",
    "never": "never backed up",
    "error": "disk error",
    "unprotected": "unprotected",
    "locked": "locked long",
    "failed": "last backup failed",
    "missed": "backup missed",
    "detached": "detached",
    "new": "awaiting first backup",
}


def _calm(cloud: SimulatorServer) -> None:
    """Take every trouble away."""
    for disk in cloud.world.disks(ACCOUNT):
        cloud.world.change_disk(disk.id, error=False, locked=False, status="built")
        if not disk.is_swap:
            cloud.world.change_disk(disk.id, autobackup=True)
            cloud.world.make_backup(disk.id)


def test_a_shard_that_owns_no_account_has_checked_nothing(run: Run) -> None:
    """That there is no disk to be seen is then no good news."""
    statuses = {}
    for shard in ("1/2", "2/2"):
        outcome = run("check", GIGAS_SHARD=shard)
        statuses[outcome.status] = outcome.out, run("check", "--nagios", GIGAS_SHARD=shard).status
    assert set(statuses) == {1, 2}
    words, nagios = statuses[2]
    why = "no account is polled: the shard has none, or discovery skips all"
    assert words.startswith(f"no disk could be checked; {why}")
    assert nagios == 3


def test_a_shard_says_that_it_checked_a_part(run: Run, config: str) -> None:
    """All is well in one part of the accounts only; an account that is asked for is checked, whoever polls it."""
    own = {"GIGAS_CONFIG_FILE": config, "GIGAS_ACCOUNT_ID": None, "GIGAS_API_KEY": None}
    whole = {account: run("check", "--account", account, **own) for account in ("4242", "4243")}
    for shard in ("1/2", "2/2"):
        said = f"; only the accounts of shard {shard} were checked"
        assert said in run("check", **own, GIGAS_SHARD=shard).out
        assert said in run("check", "--nagios", **own, GIGAS_SHARD=shard).out
        for account, outcome in whole.items():
            alone = run("check", "--account", account, **own, GIGAS_SHARD=shard)
            assert alone.status == outcome.status == 1
            assert alone.out.splitlines()[0] == outcome.out.splitlines()[0]
    assert "shard" not in run("check", **own).out


def test_every_trouble_is_found(run: Run, told: Callable[[str], str]) -> None:
    """Each scenario of the world is told by its finding, worst first, and the exempt disk says why."""
    outcome = run("check", "--output", "json")
    assert outcome.status == 1
    records = json.loads(outcome.out)
    found = {record["disk_id"]: record for record in records}
    for scenario, finding in SCENARIOS.items():
        assert finding in found[told(scenario)]["findings"], scenario
    exempt = [record for record in records if record["findings"] == ["exempt"]]
    assert exempt
    assert {record["reason"] for record in exempt} == {"swap needs no backup"}
    order = [record["severity"] for record in records]
    assert order == sorted(order, key=["critical", "unknown", "warning", "notice", "ok"].index)
    assert outcome.err.startswith("7 of 16 disks need attention: 1 never backed up, 1 backup missed, 1 disk error, ")


def test_the_summary_comes_first(run: Run) -> None:
    """One line says it all; what is no fault is told apart."""
    first, blank, head, *rows = run("check", "--all").out.splitlines()
    assert first == (
        "7 of 16 disks need attention: 1 never backed up, 1 backup missed, 1 disk error, 1 backup stale, 1 locked long,"
        " 1 last backup failed, 1 unprotected; for information: 1 backup shrank, 1 detached, 1 awaiting first backup,"
        " 1 exempt"
    )
    assert blank == ""
    assert head.startswith("VERDICT")
    assert head.endswith("WHY EXEMPT")
    assert len(rows) == 16
    assert [row.split()[0] for row in rows if "built, locked" in row] == ["locked"]


def test_all_well_is_status_0(run: Run, cloud: SimulatorServer) -> None:
    """Without troubles the summary says so, and notices do not change the status."""
    _calm(cloud)
    outcome = run("check")
    assert outcome.status == 0
    assert outcome.out.startswith("all 16 disks are well; for information: ")


def test_the_words_agree_with_the_number(run: Run, cloud: SimulatorServer) -> None:
    """One disk is, several are; none is said as well."""
    _calm(cloud)
    kept = next(disk.id for disk in cloud.world.disks(ACCOUNT) if not disk.is_swap)
    for disk in cloud.world.disks(ACCOUNT):
        if disk.id != kept:
            cloud.world.delete_disk(disk.id)
    cloud.world.change_disk(kept, virtual_machine_id=cloud.world.machines(ACCOUNT)[0].id)
    cloud.world.remove_backups(kept)
    cloud.world.make_backup(kept)
    assert run("check").out.startswith("the only disk is well")
    cloud.world.change_disk(kept, error=True)
    assert run("check").out.startswith("1 of 1 disk needs attention: 1 disk error")
    cloud.world.delete_disk(kept)
    assert run("check").status == 2  # its virtual machines are still there
    cloud.faults.add("status", "list_virtual_machines", status=403, count=1)
    assert "virtual machines, which would confirm it, could not be read" in run("check").out
    cloud.faults.add("status", "list_virtual_machines", status=204)
    empty = run("check")
    assert empty.status == 0
    assert empty.out.startswith("the API lists no disks; account ")
    assert empty.out.endswith("there are none, or its credential may not see them\n")
    assert json.loads(run("check", "--output", "json").out) == []


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"kind": "status", "status": 500}, "500"),
        ({"kind": "status", "status": 403}, "403"),
        ({"kind": "status", "status": 401}, "401"),
        ({"kind": "not_an_array"}, "not an array"),
        ({"kind": "reset"}, "connection"),
    ],
)
def test_what_cannot_be_read_is_status_2(run: Run, cloud: SimulatorServer, fault: dict[str, Any], why: str) -> None:
    """Disks that cannot be read are no fleet that is well: status 2, and why, in the sentence of the log."""
    cloud.faults.add(operation="list_*", **fault)
    outcome = run("check", "--log.level", "warn")
    assert outcome.status == 2
    assert outcome.out.startswith("no disk could be checked; account 4242: disks could not be read: ")
    sentence = outcome.out.partition("could not be read: ")[2].strip()
    assert why in sentence
    assert sentence in outcome.err.replace('\\"', '"')


def test_unread_backups_are_status_2(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """Findings that are known are told, and yet the check is not whole; the account says it once."""
    cloud.faults.add("status", "list_*backups", status=500)
    outcome = run("check")
    assert outcome.status == 2
    assert "account 4242: backups could not be read: list_backups: " in outcome.out
    assert "backups unreadable" not in outcome.out
    assert "backups not read" in run("check", "--all").out
    cloud.world.change_disk(told("error"), error=False, status="built")
    for disk in cloud.world.disks(ACCOUNT):
        cloud.world.change_disk(disk.id, locked=False)
        cloud.world.change_disk(disk.id, autobackup=True)
    outcome = run("check")
    assert outcome.status == 2
    assert outcome.out.startswith("the backups of 15 of 16 disks could not be checked; for information: ")


def test_another_accounts_data_is_still_judged(run: Run, cloud: SimulatorServer, config: str) -> None:
    """One account that cannot be read makes the status 2 and hides no other."""
    _calm(cloud)
    cloud.faults.add("status", account="4243", status=403)
    outcome = run("check", "--config.file", config, GIGAS_ACCOUNT_ID=None, GIGAS_API_KEY=None)
    assert outcome.status == 2
    assert outcome.out.startswith("nothing is wrong with the 16 disks that could be read; for information: ")


def test_which_account_stays_in_sight_where_there_are_several(run: Run, config: str) -> None:
    """On 80 columns too, since a command needs it; of a single account it is the first column to go."""
    environ = {"GIGAS_ACCOUNT_ID": None, "GIGAS_API_KEY": None, "GIGAS_CONFIG_FILE": config}
    both = click.unstyle(run("check", terminal=80, **environ).out)
    assert re.search(r"VERDICT .* DISK  ACCOUNT .* BACKUP AGE", both)
    one = click.unstyle(run("check", "--account", "production", terminal=80, **environ).out)
    assert re.search(r"VERDICT .* BACKUP AGE  LIMIT\n", one)
    assert "ACCOUNT" not in one


def test_nothing_could_be_checked(run: Run, cloud: SimulatorServer, tmp_path: Any) -> None:
    """Where the accounts themselves cannot be listed, one line and status 2; to Nagios it is UNKNOWN."""
    path = tmp_path / "discover.yml"
    path.write_text(f"api: {{url: '{cloud.url}'}}\ndiscover: true\ncredential: {{api_key: wrong}}\n")
    environ = {"GIGAS_ACCOUNT_ID": None, "GIGAS_API_KEY": None, "GIGAS_CONFIG_FILE": str(path)}
    outcome = run("check", **environ)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == (
        "gigas-exporter: list_accounts: the API does not accept the credential "
        f"(status 401, {cloud.url.partition('://')[2]}); check "
        "the API key in credential.api_key\n"
    )
    outcome = run("check", "--nagios", **environ)
    assert outcome.status == 3
    assert outcome.out.startswith("GIGAS UNKNOWN - list_accounts: ")


def test_accounts_without_readable_ids_are_not_called_absent(
    run: Run, cloud: SimulatorServer, discovering: dict[str, str | None]
) -> None:
    """Whoever reads that there is no account looks at the credential's rights, which are well."""
    cloud.faults.add("nulls", "list_accounts", field="id")
    outcome = run("check", **discovering)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == (
        "gigas-exporter: list_accounts: 2 items have no id that can be read, so that the list is not whole\n"
    )


def test_a_credential_that_sees_no_account_is_not_well(
    run: Run, cloud: SimulatorServer, discovering: dict[str, str | None]
) -> None:
    """Nothing was checked, so nothing is well: status 2, or UNKNOWN to Nagios, and 1 of what collects and lists."""
    cloud.world.access.main.account_ids = ()
    said = "list_accounts: the API lists no account for this credential\n"
    for arguments, status in ((("check",), 2), (("collect",), 1), (("disks", "list"), 1)):
        outcome = run(*arguments, **discovering)
        assert (outcome.status, outcome.out, outcome.err) == (status, "", f"gigas-exporter: {said}")
    outcome = run("check", "--nagios", **discovering)
    assert (outcome.status, outcome.out) == (3, f"GIGAS UNKNOWN - {said}")


@pytest.mark.parametrize(("arguments", "status"), [((), 2), (("--nagios",), 3)])
def test_a_wrong_configuration(run: Run, arguments: tuple[str, ...], status: int) -> None:
    """Without an account nothing can be checked: status 2, or UNKNOWN to Nagios."""
    outcome = run("check", *arguments, GIGAS_ACCOUNT_ID=None, GIGAS_API_KEY=None)
    assert outcome.status == status
    assert "no account to watch" in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--output", "json"), "--nagios and --output cannot be used together"),
        (("--ouput", "json"), "no such option: --ouput; did you mean --output? (see: gigas-exporter check --help)"),
        (("--output", "jsn"), "--output: must be one of table, json, csv, markdown; did you mean json?"),
        (("--account", "nobody"), "account nobody: no such account"),
        (("--account", ""), "--account: is empty"),
        (("--nagios",), "--nagios is given twice"),
        (("x|y",), "too many arguments"),
        (("--config.file", "/nowhere.yml"), "/nowhere.yml: No such file or directory"),
        (("--poll.interval", "soon"), "--poll.interval: must be a duration"),
    ],
)
def test_wrong_usage_is_unknown_to_nagios(run: Run, arguments: tuple[str, ...], words: str) -> None:
    """It takes 2 for CRITICAL, and shows the first line of standard output."""
    asked = [run("check", "--nagios", *arguments)]
    if arguments != ("--nagios",):
        asked.append(run("check", *arguments, GIGAS_CHECK_NAGIOS="true"))
    for outcome in asked:
        assert (outcome.status, outcome.err) == (3, "")
        assert outcome.out.startswith("GIGAS UNKNOWN - ")
        assert words in outcome.out
        assert len(outcome.out.splitlines()) == 1


def test_a_defect_is_unknown_to_nagios(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing of the disks; status 1 would be a warning about them, with and without --nagios."""
    monkeypatch.setattr(check_module, "poll_once", lambda *_: 1 / 0)
    outcome = run("check", "--nagios")
    assert (outcome.status, outcome.err) == (3, "")
    words = "internal error, please report it: ZeroDivisionError at "
    assert outcome.out.startswith(f"GIGAS UNKNOWN - {words}")
    plain = run("check")
    assert (plain.status, plain.out) == (2, "")
    assert words in plain.err


def test_nagios_knows_four_states(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """CRITICAL for what is lost, WARNING for what is late, OK, and UNKNOWN; one line with performance data."""
    shape = r"GIGAS (\w+) - [^|\n]+ \| disks=16 never_backed_up=B missed=B stale=B errors=\d+ locked_long=\d+"
    shape = (
        shape.replace("B", r"(?:\d+|U)") + r" unprotected=\d+ not_understood=\d+ oldest_required_backup=(?:\d+s|U)\n"
    )

    def state(**environ: str) -> tuple[int, str]:
        outcome = run("check", "--nagios", **environ)
        match = re.fullmatch(shape, outcome.out)
        assert match is not None, outcome.out
        assert outcome.err == ""
        return outcome.status, match[1]

    assert state() == (2, "CRITICAL")
    _calm(cloud)
    assert state(GIGAS_CHECK_NAGIOS="") == (0, "OK")
    cloud.world.change_disk(told("locked"), locked=True)
    cloud.world.change_disk(told("locked"), updated_at=cloud.world.start - 86_400)
    assert state() == (1, "WARNING")
    cloud.faults.add("status", "list_*backups", status=500)
    assert state() == (3, "UNKNOWN")
    cloud.world.change_disk(told("error"), error=True)
    assert state() == (2, "CRITICAL")
    assert run("check", GIGAS_CHECK_NAGIOS="1").out.startswith("GIGAS CRITICAL - ")


def test_nagios_is_given_no_0_for_what_is_not_known(run: Run, cloud: SimulatorServer) -> None:
    """What could not be read is U, which Nagios draws as a gap."""

    def data() -> dict[str, str]:
        return dict(each.split("=") for each in run("check", "--nagios").out.rpartition(" | ")[2].split())

    assert "U" not in data().values()
    cloud.faults.add("status", "list_*backups", status=500)
    found = data()
    assert {name for name, value in found.items() if value == "U"} == {
        "never_backed_up",
        "missed",
        "stale",
        "oldest_required_backup",
    }
    assert found["disks"] == "16"
    cloud.faults.add("status", "list_disks", status=500)
    assert set(data().values()) == {"U"}


def test_nagios_is_given_no_part_for_the_whole(run: Run, cloud: SimulatorServer, config: str) -> None:
    """Where one account of two cannot be read, no number of disks is given: a graph would show that half are gone."""
    cloud.faults.add("status", "list_disks", status=500, account="4243")
    outcome = run("check", "--nagios", "--config.file", config, GIGAS_ACCOUNT_ID=None, GIGAS_API_KEY=None)
    assert outcome.status == 2
    data = dict(each.split("=") for each in outcome.out.rpartition(" | ")[2].split())
    assert set(data.values()) == {"U"}


def test_no_name_breaks_the_nagios_line(run: Run, cloud: SimulatorServer, discovering: dict[str, str | None]) -> None:
    """A bar in the API's words does not begin performance data; an escape makes an id none."""
    cloud.faults.add("value", "list_backups", field="status", value="as|ever")
    outcome = run("check", "--nagios")
    assert outcome.out.count("|") == 1
    assert "as/ever" in outcome.out
    cloud.faults.clear()
    cloud.faults.add("value", "list_accounts", field="id", value="a\x1b[1m")
    outcome = run("check", "--nagios", **discovering)
    assert outcome.status == 3
    assert "\x1b" not in outcome.out


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1+1"])
def test_no_name_is_a_formula(run: Run, cloud: SimulatorServer, told: Callable[[str], str], start: str) -> None:
    """What a spreadsheet would run as a formula gets a quote before it."""
    cloud.world.change_disk(told("stale"), mount_point=start + '|cmd,"x"')
    rows = list(csv.DictReader(io.StringIO(run("check", "--output", "csv").out)))
    (row,) = (row for row in rows if row["disk_id"] == told("stale"))
    assert row["mount_point"].startswith("'")
    assert len(rows) == 16


def test_markdown_shows_names_as_they_are(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """Bars, markup, links and HTML in a name stay text, one row a disk."""
    name = "a|b `c` *d* _e_ <b>f</b> [g](http://h) ~~i~~ $j$ &amp; \\k" + HOSTILE_TEXT
    cloud.world.change_disk(told("stale"), mount_point=name)
    first, _, head, rule, *rows = run("check", "--output", "markdown").out.splitlines()
    assert first.startswith("7 of 16 disks need attention")
    assert len(rows) == 16
    columns = len(re.findall(r"(?<!\\)\|", head))
    assert all(len(re.findall(r"(?<!\\)\|", row)) == columns for row in (rule, *rows))
    (row,) = (row for row in rows if told("stale") in row)
    assert r"a\|b \`c\` \*d\* \_e\_ \<b\>f\</b\> \[g\](http://h) \~\~i\~\~ \$j\$ \&amp; \\k" in row
    assert "\x1b" not in row


def test_programs_find_no_sentence_among_the_records(run: Run) -> None:
    """For JSON and CSV the summary goes to stderr."""
    for form in ("json", "csv"):
        outcome = run("check", "--output", form)
        assert outcome.err.count("\n") == 1
        assert "need attention" not in outcome.out


def test_hostile_names_cannot_command_a_terminal(run: Run, cloud: SimulatorServer, told: Callable[[str], str]) -> None:
    """No escape of a name leaves the check, in whatever format."""
    cloud.world.change_disk(told("stale"), mount_point=HOSTILE_TEXT)
    cloud.faults.add("value", "list_virtual_machines", field="label", value=HOSTILE_TEXT)
    for form in ("table", "json", "csv", "markdown"):
        outcome = run("check", "--output", form)
        assert all(char.isprintable() or char == "\n" for char in outcome.out + outcome.err), form
        assert "owned" in outcome.out


def test_the_table_has_what_needs_attention(run: Run) -> None:
    """The other disks are one line; every disk is there on request, and in the formats for programs."""
    outcome = run("check")
    _, _, head, *rows, blank, rest = outcome.out.splitlines()
    assert head.startswith("VERDICT")
    assert len(rows) == 7
    assert (blank, rest) == ("", "not shown: 9 disks that need no attention (--all shows every disk)")
    assert "not shown" not in run("check", "--all").out
    assert len(json.loads(run("check", "--output", "json").out)) == 16
    assert len(run("check", "--output", "csv").out.splitlines()) == 17


def test_a_terminal_keeps_the_findings_in_sight(
    run: Run, cloud: SimulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary and the worst disks fit the terminal, and how many more there are is said; a pipe gets them all."""
    monkeypatch.setenv("LINES", "18")
    for disk in cloud.world.disks(ACCOUNT):
        cloud.world.change_disk(disk.id, error=True)
    assert run("check").out.count("disk error") >= 16
    lines = re.sub(r"\x1b\[\d*m", "", run("check", terminal=80).out).splitlines()
    assert sum(max(1, -(-len(line) // 80)) for line in lines) <= 17
    assert lines[0].startswith("16 of 16 disks need attention: ")
    assert re.fullmatch(r"not shown: \d+ more need attention \(--all shows every disk\)", lines[-1])
    assert all(len(line) <= 80 for line in lines[2:])


@pytest.mark.parametrize("form", ["--quiet", "--nagios"])
def test_no_progress_is_shown_to_who_wants_a_line(
    run: Run, cloud: SimulatorServer, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Also at a terminal, where the check shows it otherwise."""
    _calm(cloud)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run("check", form).err == ""
    assert "reading" in run("check").err


def test_quiet_says_nothing_when_all_is_well(run: Run, cloud: SimulatorServer) -> None:
    """Cron sends mail for whatever is printed: nothing at 0, the whole at anything else."""
    loud, quiet = (run("check", *arguments, GIGAS_CHECK_QUIT="1") for arguments in ((), ("--quiet",)))
    assert quiet == loud
    assert "environment variable GIGAS_CHECK_QUIT is not known" in quiet.err
    _calm(cloud)
    for arguments in ((), ("--output", "json"), ("--nagios",)):
        outcome = run("check", "--quiet", *arguments)
        assert (outcome.status, outcome.out, outcome.err) == (0, "", ""), arguments
    assert run("check", "--quiet", GIGAS_CHECK_QUIT="1").err == ""
    assert "GIGAS_CHECK_QUIT is not known" in run("check", GIGAS_CHECK_QUIT="1").err


def test_accounts_are_chosen_by_id_or_name(run: Run, cloud: SimulatorServer, config: str) -> None:
    """Only the accounts that are asked for are polled; one that is not there is exit 2, with those that are."""
    environ = {"GIGAS_ACCOUNT_ID": None, "GIGAS_API_KEY": None, "GIGAS_CONFIG_FILE": config}

    def accounts(*arguments: str, **more: Any) -> set[str]:
        outcome = run("check", "--output", "json", *arguments, **{**environ, **more})
        return {record["account_id"] for record in json.loads(outcome.out)}

    assert accounts() == accounts("--account", "production", "--account", "4243") == {"4242", "4243"}
    assert accounts("--account", "production") == {"4242"}
    cloud.faults.add("status", "list_disks", account="4242", status=500)
    assert accounts("--account", "4243") == {"4243"}
    for form, status in (((), 2), (("--nagios",), 3)):
        outcome = run("check", "--account", "9", *form, **environ)
        assert outcome.status == status
        assert "4242 (production), 4243" in outcome.out + outcome.err


def test_discovered_accounts_can_be_chosen(run: Run, discovering: dict[str, str | None]) -> None:
    """Where the API lists the accounts, a choice is among those."""
    outcome = run("check", "--output", "json", "--account", "4243", **discovering)
    assert {record["account_id"] for record in json.loads(outcome.out)} == {"4243"}
    outcome = run("check", "--account", "9", **discovering)
    assert outcome.status == 2
    assert "4243" in outcome.err


@pytest.mark.parametrize(
    ("fault", "field", "words"),
    [
        ({"kind": "nulls"}, "autobackup", "(?:is missing or empty in|is not understood for)"),
        ({"kind": "value", "value": ["?"]}, "autobackup", "is not understood for"),
        ({"kind": "value", "value": 7}, "is_swap", "is not understood for"),
    ],
)
def test_what_is_not_understood_is_status_2(
    run: Run, cloud: SimulatorServer, fault: dict[str, Any], field: str, words: str
) -> None:
    """A field that decides and is not understood is named, of how many disks, and what to do; nothing is 'well'."""
    _calm(cloud)
    cloud.faults.add(operation="list_disks", field=field, **fault)
    outcome = run("check")
    assert outcome.status == 2
    assert "well" not in outcome.out.splitlines()[0]
    assert re.search(rf"{field.replace('_', ' ')} {words} \d+ disks \(gigas-exporter probe shows", outcome.out)
    helps = f"set api.fields if {field} has" if fault["kind"] == "nulls" else "no setting helps, so please report it"
    assert helps in outcome.out
    assert f"not understood: {field}" in outcome.out
    nagios = run("check", "--nagios")
    assert (nagios.status, nagios.out.split()[1]) == (3, "UNKNOWN")


def test_labels_that_are_not_known_are_status_2(run: Run, cloud: SimulatorServer, tmp_path: Any) -> None:
    """While machines answer 403 no rule by label may exempt a disk: it is said why, and what it is for."""
    path = tmp_path / "labels.yml"
    path.write_text(
        f"api: {{url: '{cloud.url}'}}\naccounts: [{{id: 4242, api_key: {cloud.world.credentials(ACCOUNT).api_key}}}]\n"
        "backup_policy:\n"
        "  - {match: {virtual_machine_label: 'db*'}, max_age: 6h}\n"
        "  - {required: false, reason: scratch}\n"
    )
    cloud.faults.add("status", "list_virtual_machines", status=403)
    outcome = run("check", GIGAS_ACCOUNT_ID=None, GIGAS_API_KEY=None, GIGAS_CONFIG_FILE=str(path))
    assert outcome.status == 2
    assert "account 4242: virtual machines could not be read: " in outcome.out
    told = r"virtual machine label is not understood for \d+ disks \(a rule of backup_policy asks for it"
    assert re.search(told, outcome.out)
