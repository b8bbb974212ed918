"""The command line as a whole: errors in one line, variables for options, completion, pipes and terminals."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from rich.cells import cell_len

from cli.conftest import ACCOUNT, Run
from gigas_exporter.cli import main as main_module
from gigas_exporter.cli.main import cli
from gigas_exporter.cli.options import SettingsOption
from gigas_exporter.config import FLAGS
from gigas_exporter.config.flags import unknown_variables
from support.programs import account_environment, run_program, tool
from support.simulator import SimulatorServer

PROGRAM = [sys.executable, "-m", "gigas_exporter"]
WITHOUT_VARIABLE = {"--yes", "--dry-run", "--output"}


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


ALL = dict(_commands(cli))
COMMANDS = {" ".join(path): command for path, command in ALL.items() if not isinstance(command, click.Group)}


def test_the_help_lists_each_command_in_the_commands_own_words(run: Run) -> None:
    """What is listed without an import is the first sentence of the command's help."""
    listed = " ".join(run("--help").out.partition("\nCommands:\n")[2].split())
    for (name, *rest), command in ALL.items():
        if not rest:
            summary = (command.help or "").partition("\n\n")[0]
            assert f"{name} {' '.join(summary.split())}" in listed


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_the_variable_of_its_name(name: str, run: Run) -> None:
    """A setting's is GIGAS and the flag, another's has the command between; --yes, --dry-run and --output have none."""
    entries = re.split(r"\n(?=  -)", run(*name.split(), "--help").out)
    helps = {names[1]: " ".join(entry.split()) for entry in entries if (names := re.match(r"  (--[\w.-]+)", entry))}
    for option in COMMANDS[name].params:
        if not isinstance(option, click.Option) or option.hidden:
            continue
        flag = option.opts[0]
        words = () if isinstance(option, SettingsOption) else name.split()
        expected = "_".join(("GIGAS", *words, *re.split(r"[.-]", flag.lstrip("-")))).upper()
        if flag == "--account":
            expected = "GIGAS_ACCOUNT_ID"
        shown = re.findall(r"env: (\w+)\]", helps[flag])
        assert shown == ([] if flag in WITHOUT_VARIABLE else [expected]), flag
        assert list(unknown_variables(dict.fromkeys(shown, "1"))) == [], flag


def test_serve_offers_every_flag_of_the_settings() -> None:
    """None is left out because its section has no title in the help."""
    offered = {option.opts[0] for option in COMMANDS["serve"].params if isinstance(option, SettingsOption)}
    assert offered == {f"--{flag.name}" for flag in FLAGS}


@pytest.mark.parametrize("path", ALL, ids=" ".join)
@pytest.mark.parametrize("terminal", [80, None])
def test_help_fits_eighty_columns_in_one_style(run: Run, path: tuple[str, ...], terminal: int | None) -> None:
    """Of every command; defaults and variables are told in one way, and no type of click's shows."""
    outcome = run(*path, "--help", terminal=terminal)
    assert outcome.status == 0
    assert "Usage: gigas-exporter " in outcome.out
    assert "Options" in outcome.out
    assert [line for line in outcome.out.splitlines() if len(line) > 80 or line.split() == ["DISK"]] == []
    assert not re.search(r"env var:|RANGE|<=x|\[\w+\||default: (True|False)", outcome.out)


def test_an_empty_variable_counts_as_unset(run: Run) -> None:
    """Variables that are set to nothing change nothing."""
    edit = ("disks", "edit", "10001", "--size", "4000", "--dry-run")
    for arguments in (("disks", "list", "--output", "json"), edit):
        names = {
            parameter.envvar: ""
            for parameter in COMMANDS[" ".join(arguments[:2])].params
            if isinstance(parameter.envvar, str)
        }
        assert len(names) > 4
        empty, plain = run(*arguments, **names), run(*arguments)
        assert (empty.status, empty.err) == (0, plain.err)
        assert len(empty.out.splitlines()) == len(plain.out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bogus"], "no such command; must be one of serve, demo"),
        (["disks", "bogus"], "show, template (see: gigas-exporter disks --help)"),
        (["disks", "lst"], "no such command: lst; did you mean list?"),
        (["check", "--ouput", "json"], "no such option: --ouput; did you mean --output?"),
        (
            ["disks", "list", "--output", "jsn"],
            "--output: must be one of table, json, yaml, csv; did you mean json?",
        ),
        (["disks", "edit", "17", "--size", "4GB"], "--size: must be a number of GiB"),
        (["disks", "edit", "17", "--size", "can'ary"], "--size: must be a number of GiB"),
        (["disks", "edit", "17", "--size", "can'\"ary"], "--size: must be a number of GiB"),
        (["disks", "list", "--output", "can'ary"], "--output: must be one of"),
        (["disks", "list", "--finding", "stale"], "--finding: must be a finding; did you mean backup_stale?"),
        (["disks", "list", "--is-swap=maybe"], "--is-swap"),
        (["disks", "show"], "DISK: is missing (see: gigas-exporter disks show --help)"),
        (["disks", "list", "--is-swap=maybe"], "--is-swap: takes no value (see: gigas-exporter disks list --help)"),
        (["check", "--account"], "--account: needs a value (see: gigas-exporter check --help)"),
        (["chek"], "no such command: chek; did you mean check?"),
        (["check", "--acount", "1"], "no such option: --acount; did you mean --account?"),
        (["help"], "no such command: help; did you mean --help?"),
        (["backups"], "no such command: backups; did you mean disks backups?"),
        (["config", "check", "x.yml", "--disks", "0"], "--disks: must be a whole number of at least 1"),
        (["config", "check", "/"], "FILE: must be a file, not a directory"),
        (["simulate", "--disks", "x"], "--disks: must be a whole number of at least 1 and at most 100000"),
        (["simulate", "--speed", "inf"], "--speed: must be a number above 0 and at most 1000000"),
        (["simulate", "--speed", "nan"], "--speed: must be a number"),
        (["simulate", "--seed", "1.5"], "--seed: must be a whole number"),
        (["alerts", "/etc/passwd"], "DIRECTORY: must be a directory, not a file"),
        (["alerts", "rules", "--label", "a=b", "--label", "a=c"], "--label a: is given twice with different values"),
        (["check", "--poll.interval", "soon"], "--poll.interval"),
        (["check", "--api.url", "ftp://x"], "--api.url"),
        (["check", "--config.file", "/nowhere.yml"], "/nowhere.yml"),
        (["check", "--api-key", "s3cret"], "no such option: --api-key"),
        (["disks", "show", "\x1b[31m17", "extra"], "gigas-exporter: too many arguments"),
        # bytes that are no text, as Python reads them
        (
            ["disks", "list", "--mount-point", "/gr\udcf6\udcdfe"],
            "--mount-point: is not text in this locale's encoding",
        ),
        (["disks", "edit", "17", "--mount-point", "\udcff"], "--mount-point: is not text in this locale's encoding"),
        (["disks", "show", "\udcff"], "DISK: is not text in this locale's encoding"),
        (
            ["alerts", "rules", "--label", "a=b", "--label", "a=\udcff"],
            "--label: is not text in this locale's encoding",
        ),
    ],
)
def test_wrong_use_is_one_line_and_status_2(run: Run, arguments: list[str], words: str) -> None:
    """What is wrong, and where to read on."""
    outcome = run(*arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert len(outcome.err.splitlines()) == 1
    assert outcome.err.startswith("gigas-exporter: ")
    assert words in outcome.err
    assert "\x1b" not in outcome.err
    assert "ary" not in outcome.err


def test_an_empty_value_is_wrong_usage_everywhere(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from a variable that is not set; a directory would be the one where the command runs."""
    monkeypatch.chdir(tmp_path)
    for path, command in ALL.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option) and (parameter.is_flag or "--mount-point" in parameter.opts):
                continue
            name = parameter.opts[-1] if isinstance(parameter, click.Option) else parameter.human_readable_name
            outcome = run(*path, *([f"{name}="] if isinstance(parameter, click.Option) else [" "]))
            assert outcome.status == 2, (path, name)
            assert f"{name}: is empty" in outcome.err, (path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_variable_of_a_commands_own_option_is_named(run: Run) -> None:
    """It would else change nothing, in silence; what another command reads is none of this one's."""
    shown = run("check", GIGAS_CHECK_QUIT="1", GIGAS_DISKS_LIST_FINDING="stale").err
    assert "environment variable GIGAS_CHECK_QUIT is not known; did you mean GIGAS_CHECK_QUIET?" in shown
    assert "GIGAS_DISKS_LIST_FINDING" not in shown
    of_kubernetes = {
        "GIGAS_CHECK_SERVICE_HOST": "10.0.0.1",
        "GIGAS_CHECK_SERVICE_PORT_HTTP": "8063",
        "GIGAS_CHECK_PORT": "tcp://10.0.0.1:8063",
        "GIGAS_CHECK_PORT_8063_TCP": "tcp://10.0.0.1:8063",
        "GIGAS_CHECK_EMPTY": "",
    }
    assert run("check", **of_kubernetes).err == ""


def test_spaces_around_an_id_or_a_name_do_not_count(run: Run) -> None:
    """They come with it out of a table or a web page."""
    shown = run("disks", "show", " 10001\u00a0", "--account", f" {ACCOUNT} ")
    assert (shown.status, shown.err) == (0, "")


def test_a_value_out_of_a_variable_is_named_by_it(run: Run) -> None:
    """Whoever typed nothing wrong learns which variable is."""
    outcome = run("disks", "edit", "17", GIGAS_DISKS_EDIT_SIZE="4GB")
    assert outcome.err.startswith("gigas-exporter: GIGAS_DISKS_EDIT_SIZE: must be a number of GiB above 0, ")
    outcome = run("disks", "backup", "17", GIGAS_DISKS_BACKUP_TIMEOUT="soon")
    assert outcome.err.startswith("gigas-exporter: GIGAS_DISKS_BACKUP_TIMEOUT: must be a duration such as 90s, ")


@pytest.mark.parametrize("name", ["check", "collect"])
def test_help_shows_nothing_that_a_single_poll_does_not_use(run: Run, name: str) -> None:
    """What only the next poll would use is taken, as from a shared environment, and not offered."""
    shown = run(name, "--help").out
    assert "--backups.source" in shown
    assert "--poll.interval" not in shown
    assert "--poll.max-staleness" not in shown
    assert run(name, "--poll.max-staleness", "1h", "--poll.interval", "30s").status == (1 if name == "check" else 0)


@pytest.mark.parametrize("arguments", [[], ["disks"], ["config"]])
def test_a_group_alone_shows_its_help(run: Run, arguments: list[str]) -> None:
    """Without a command the help is shown, readable, and the status is that of wrong use."""
    outcome = run(*arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert "\nCommands:\n" in outcome.err


def test_the_version(run: Run) -> None:
    """--version names the program."""
    assert re.fullmatch(r"gigas-exporter, version \d+\.\d+\.\d+\S*\n", run("--version").out)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (click.ClickException("no\n\x1b[1mway"), 1, "no \\x1b[1mway"),
        (click.UsageError("not so"), 2, "not so (see: gigas-exporter --help)"),
        # what nobody foresaw gives its kind and place; its words could hold a secret
        (RuntimeError("token s3cret"), 1, "internal error, please report it: RuntimeError at PLACE"),
        (OSError(28, "such as another text"), 1, "system error at PLACE: No space left on device"),
    ],
)
def test_what_ends_a_command(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, words: str
) -> None:
    """Each way to end early has its status and its line."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(main_module.cli, "main", fail)
    outcome = run("collect")
    told = re.sub(r"\b\w+\.py:\d+", "PLACE", outcome.err)
    assert (outcome.status, told) == (status, f"gigas-exporter: {words}\n")


def _process(cloud: SimulatorServer, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    environ = account_environment(cloud, **changes)
    return run_program(*PROGRAM, *arguments, env=environ, check=False)


def test_the_process_itself(cloud: SimulatorServer) -> None:
    """As a program of its own: findings are status 1, an unreadable API 2, a wrong word 2, and no traceback."""
    found = _process(cloud, "check")
    assert found.returncode == 1
    assert found.stdout.startswith("7 of 16 disks need attention")
    dead = _process(cloud, "check", GIGAS_API_URL="http://127.0.0.1:9")
    assert dead.returncode == 2
    wrong = _process(cloud, "disks", "show", "999", GIGAS_API_KEY="k3y-that-is-wrong")
    assert wrong.returncode == 1
    for each in (found, dead, wrong):
        assert "Traceback" not in each.stderr
        assert "k3y" not in each.stdout + each.stderr


def test_a_reader_that_leaves_is_no_defect(cloud: SimulatorServer) -> None:
    """`| head` ends the output quietly."""
    environ = account_environment(cloud)
    shell = f"{shlex.join(PROGRAM)} disks list | head -1"
    done = run_program("bash", "-c", shell, env=environ, check=False)
    assert done.stderr == ""
    assert done.stdout.startswith("VERDICT")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        ended = subprocess.run(
            [*PROGRAM, "disks", "list"], env=environ, stdout=gone, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert ended.stderr == b""


def test_a_file_that_the_locale_has_no_name_for(cloud: SimulatorServer, tmp_path: Path) -> None:
    """Where the encoding of names lacks a character, the file is said not to be there: an error of its key."""
    path = tmp_path / "web.yml"
    path.write_text("tls_server_config: {cert_file: zertifikät, key_file: k.pem}", encoding="utf-8")
    done = subprocess.run(
        [*PROGRAM, "serve", "--web.listen-address=127.0.0.1:0", f"--web.config.file={path}"],
        env=account_environment(cloud, LC_ALL="C", PYTHONUTF8="0"), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"gigas-exporter: {path}: tls_server_config.cert_file: there is no such file")
    assert len(done.stderr.splitlines()) == 1


def _in_terminal(command: list[str], environ: dict[str, str], columns: int) -> tuple[int, str]:
    """Run a program in a terminal of its own; return its status and all that the terminal was sent."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(command, env=environ, stdin=follower, stdout=follower, stderr=follower) as process:
        os.close(follower)
        written = bytearray()
        while True:
            try:
                piece = os.read(leader, 65_536)
            except OSError:  # the terminal's other side has gone
                break
            if not piece:
                break
            written += piece
        status = process.wait(60)
    os.close(leader)
    return status, written.decode()


@pytest.mark.parametrize("columns", [80, 120])
def test_in_a_real_terminal(cloud: SimulatorServer, columns: int) -> None:
    """Progress while it reads, gone when it is done; then a coloured table that fits."""
    environ = {**account_environment(cloud, TERM="xterm-256color")}
    for name in ("COLUMNS", "NO_COLOR"):
        environ.pop(name, None)
    cloud.faults.add("latency", seconds=0.2)
    status, written = _in_terminal([*PROGRAM, "check"], environ, columns)
    assert status == 1
    assert "reading disks, virtual machines and backups" in written
    assert re.search(r"reading lists, \d of 3: [a-z ]+ of account \d+: done", written)
    assert "\x1b[31m" in written
    table = written[written.index("VERDICT") :]
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in table.split("\r\n")]
    assert max(map(cell_len, lines)) <= columns


def test_progress_of_a_wait_in_a_real_terminal(cloud: SimulatorServer) -> None:
    """The wait for a backup shows how it stands and how long it took so far."""
    cloud.world.operation_seconds = 2.0
    environ = account_environment(cloud, TERM="xterm-256color")
    command = [*PROGRAM, "disks", "backup", "10003", "--yes", "--wait"]
    status, written = _in_terminal(command, environ, 120)
    assert status == 0
    assert "waiting for the backup of disk 10003: backup 2000000 is pending; " in written
    assert "backup 2000000 of disk 10003 is usable" in written


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["gigas-exporter", ""], {"serve", "check", "disks", "alerts"}),
        (["gigas-exporter", "di"], {"disks"}),
        (["gigas-exporter", "disks", "b"], {"backup", "backups", "build"}),
        (["gigas-exporter", "check", "--out"], {"--output"}),
        (["gigas-exporter", "check", "--output", ""], {"table", "json", "csv", "markdown"}),
        (["gigas-exporter", "disks", "list", "--output", "y"], {"yaml"}),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_speaks_each_shells_protocol(run: Run, shell: str, words: list[str], offered: set[str]) -> None:
    """What each shell asks through its variables is answered in its form."""
    asked = {"_GIGAS_EXPORTER_COMPLETE": f"{shell}_complete", "COMP_WORDS": " ".join(words)}
    asked["COMP_CWORD"] = words[-1] if shell == "fish" else str(len(words) - 1)
    outcome = run(**asked)
    assert outcome.status == 0
    lines = outcome.out.splitlines()
    found = {
        "bash": lambda: {line.split(",")[1] for line in lines},
        "zsh": lambda: set(lines[1::3]),
        "fish": lambda: {line.split("\t")[0].split(",")[1] for line in lines},
    }[shell]()
    assert offered <= found if words[-1] == "" else offered == found


def test_the_help_says_how_to_switch_completion_on(run: Run) -> None:
    """The line for each shell stands at the end of --help, and gives a script of that shell."""
    text = run("--help").out
    for shell in ("bash", "zsh", "fish"):
        assert f"_GIGAS_EXPORTER_COMPLETE={shell}_source gigas-exporter" in text
        if shell == "bash" and shutil.which("bash") is None:
            continue
        script = run(_GIGAS_EXPORTER_COMPLETE=f"{shell}_source").out
        assert f"_GIGAS_EXPORTER_COMPLETE={shell}_complete" in script


def test_bash_completes_with_the_script(run: Run, tmp_path: Path) -> None:
    """A real bash takes the script and completes a command with it."""
    script = tmp_path / "completion.bash"
    script.write_text(run(_GIGAS_EXPORTER_COMPLETE="bash_source").out)
    program = tmp_path / "gigas-exporter"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gigas_exporter "$@"\n')
    program.chmod(0o755)
    commands = (
        f"source {script}; COMP_WORDS=(gigas-exporter disks del); COMP_CWORD=2;"
        " _gigas_exporter_completion gigas-exporter; echo ${COMPREPLY[@]}"
    )
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = run_program(tool("bash"), "-c", commands, env=environ, check=False)
    assert done.stdout == "delete\n", done.stderr


def test_an_option_that_is_given_twice_is_wrong_usage(run: Run) -> None:
    """Of every command, also as a value and as the opposite; what may be repeated may be."""
    for path, command in ALL.items():
        for option in command.params:
            if not isinstance(option, click.Option) or option.multiple or option.name == "help":
                continue
            value = [] if option.is_flag else ["1"]
            outcome = run(*path, option.opts[0], *value, option.opts[-1], *value)
            assert outcome.status == (3 if option.name == "nagios" else 2), (path, option.name)
            assert "is given twice" in outcome.out + outcome.err, (path, option.name)
    opposite = run("disks", "edit", "17", "--autobackup", "--no-autobackup")
    assert opposite.status == 2
    assert "--autobackup/--no-autobackup is given twice" in opposite.err
    values = run("disks", "list", "--mount-point", "--account", "--account", "4242")
    assert values.status == 0, values.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["CANARY"],
        ["disks", "CANARY"],
        ["serve", "CANARY"],
        ["serve", "a", "CANARY"],
        ["serve", "--CANARY"],
        ["serve", "--api-key:CANARY"],
        ["serve", "-CANARY"],
        ["serve", "--log.level", "CANARY"],
        ["check", "--output", "CANARY"],
        ["check", "--api.page-size", "CANARY"],
        ["check", "--api.url", "CANARY"],
        ["disks", "edit", "17", "--size", "CANARY"],
        ["disks", "list", "--finding", "CANARY"],
        ["demo", "--disks", "CANARY"],
    ],
)
def test_wrong_use_shows_no_secret(run: Run, arguments: list[str]) -> None:
    """What stands in the wrong place may be one, and standard error is often a log."""
    outcome = run(*arguments)
    assert outcome.status == 2
    assert "CANARY" not in outcome.err + outcome.out
