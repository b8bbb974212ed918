"""A page followed word by word: its commands in one shell, against a demo of its own, in a directory of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from docs.pages import ROOT, Block, Command
from support.programs import Process, await_true, free_port, running

_SYSTEM_PATH = re.compile(r"(?<![\w.~/*-])/(etc|var/lib|run|opt)/")
_WEB = re.compile(r"(?:127\.0\.0\.1|localhost):10063")
_SIMULATED = "127.0.0.1:8063"
_SERVERS = re.compile(r"gigas-exporter (serve|simulate)\b")
_WITH_FILE = re.compile(r"--config\.file|\bconfig check\b")
_TIMEOUT_SECONDS = 180

_PROLOGUE = """\
sudo() { "$@"; }
await() { for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; return 1; }
server=
end_server() { if [ -n "$server" ]; then kill "$server"; wait "$server"; server=; fi; }
trap end_server EXIT
"""


@dataclass(frozen=True, slots=True)
class Demo:
    """A running ``gigas-exporter demo``: its address, and the variables that it says to export."""

    process: Process
    address: str
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command."""

    command: Command
    status: int
    output: str


@contextmanager
def demo(directory: Path) -> Iterator[Demo]:
    """Run the demo until the end of the block, from when it has read everything once."""
    address = f"127.0.0.1:{free_port()}"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIGAS_")}
    command = [sys.executable, "-m", "gigas_exporter", "demo", f"--web.listen-address={address}", "--log.level=warn"]
    with running(command, directory, environ) as process:

        def is_read() -> bool:
            assert process.popen.poll() is None, process.stderr
            try:
                metrics = requests.get(f"http://{address}/metrics", timeout=5).text
            except requests.ConnectionError:
                return False
            return metrics.count("gigas_exporter_poll_success{") == metrics.count("_poll_interval_seconds{") > 0

        await_true(is_read, what="the first poll")
        variables = dict(re.findall(r"(GIGAS_\w+)=(\S+)", process.stderr))
        yield Demo(process, address, variables)


def relocated(text: str, directory: Path) -> str:
    """Return a text whose system paths lie below a directory, and see to it that their directories are there."""
    for match in _SYSTEM_PATH.finditer(text):
        written = re.split(r"[\s\"';:]", text[match.start() + 1 :])[0]
        path = directory / "machine" / written
        (path if written.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
    return _SYSTEM_PATH.sub(lambda match: f"{directory}/machine/{match[1]}/", text)


def write_secrets(directory: Path, demo: Demo) -> None:
    """Write the key that sees all accounts under each name by which the pages call a key."""
    secrets = directory / "machine/run/secrets"
    secrets.mkdir(parents=True, exist_ok=True)
    for name in ("gigas", "production", "staging"):
        (secrets / name).write_text("demo-api-key\n")
    for name in ("gigas-api-key", "pasted-key"):
        (directory / name).write_text(demo.variables["GIGAS_API_KEY"] + "\n")
    (directory / "gigas-password").write_text("demo-password-4242\n")
    for path in (*secrets.iterdir(), directory / "gigas-password", directory / "gigas-api-key"):
        path.chmod(0o600)


def follow(blocks: Sequence[Block], commands: Sequence[Command], directory: Path, demo: Demo) -> list[Outcome]:
    """Run commands in one shell, and return what became of each."""
    write_secrets(directory, demo)
    (directory / "deploy").symlink_to(ROOT / "deploy")
    api = demo.variables["GIGAS_API_URL"]
    for block in blocks:
        if block.file is not None:
            text = block.text.replace("https://api.gigas.com", api)
            text = text if block.file.endswith(".py") else relocated(text, directory)
            (directory / block.file).write_text(text, encoding="utf-8")
    served, simulated = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    web, script = demo.address, [_PROLOGUE]
    for number, command in enumerate(commands):
        server = _SERVERS.match(command.text)
        if server is not None and server[1] == "serve":
            web = served
        text = _WEB.sub(web, relocated(command.text, directory)).replace(_SIMULATED, simulated)
        script.append(_step(number, text, server is not None, simulated if "simulate" in text else served))
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIGAS_")},
        "HOME": str(directory),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GIGAS_API_URL": api,
        "GIGAS_ACCOUNT_ID": demo.variables["GIGAS_ACCOUNT_ID"],
        "GIGAS_API_KEY_FILE": str(directory / "gigas-api-key"),
        "GIGAS_WEB_LISTEN_ADDRESS": served,
    }
    subprocess.run(["bash", "-c", "\n".join(script)], cwd=directory, env=environ, timeout=_TIMEOUT_SECONDS, check=False)
    back = {simulated: _SIMULATED, str(directory / "machine"): ""}
    return [_outcome(directory, number, command, back) for number, command in enumerate(commands)]


def _step(number: int, text: str, is_server: bool, address: str) -> str:
    """Return the lines of script for a command: its output and status go into files."""
    # Where a file names the accounts, the variables of the rest of the page would contradict it.
    unset = "unset GIGAS_ACCOUNT_ID GIGAS_API_KEY_FILE\n" if _WITH_FILE.search(text) else ""
    if not is_server:
        group = f"(\n{unset}{text}\n)" if unset else f"{{\n{text}\n}}"
        return f"{group} >{number}.out 2>&1 <pasted-key; echo $? >{number}.status"
    path = "-/ready" if "serve" in text else "_sim/"
    start = f"end_server\n{{\n{unset}exec {text}\n}} >{number}.out 2>&1 &\nserver=$!"
    return f"{start}\nawait curl -fsS http://{address}/{path}; echo $? >{number}.status"


def _outcome(directory: Path, number: int, command: Command, back: Mapping[str, str]) -> Outcome:
    status, output = directory / f"{number}.status", directory / f"{number}.out"
    assert status.exists(), f"{command.where}: was not reached: {command.text}"
    text = output.read_text(encoding="utf-8") if output.exists() else ""
    for there, here in back.items():
        text = text.replace(there, here)
    return Outcome(command, int(status.read_text()), text)
