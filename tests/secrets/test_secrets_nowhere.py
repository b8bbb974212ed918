"""No secret in any output: all commands, every kind of credential, everything logged, and the API at its worst."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import requests

from gigas_exporter.simulator import SimulatorServer, World
from support.programs import Exporter, await_true, exporter

WEB_PASSWORD = "canary-of-the-web"
KINDS = ("api_key", "api_key_file", "token_file", "password", "password_file")

FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("status", {"status": 400}),
    ("status", {"status": 401}),
    ("status", {"status": 403}),
    ("status", {"status": 500}),
    ("redirect", {}),
    ("hang", {}),
    ("reset", {}),
    ("drip_headers", {}),
    ("truncated", {}),
    ("truncated_unframed", {}),
    ("html", {}),
    ("empty", {}),
    ("truncated_json", {}),
    ("not_an_array", {}),
    ("deep_nesting", {}),
    ("invalid_utf8", {}),
    ("wrong_types", {}),
    ("nulls", {}),
    ("long_text", {}),
    ("expired_token", {}),
)

GROUPS = 5
"""So many times several faults are in force together, each now and then."""

COMMANDS = (
    ("collect",),
    ("collect", "--output", "gigas.prom"),
    ("check",),
    ("check", "--output", "json"),
    ("check", "--nagios"),
    ("disks", "list"),
    ("disks", "show", "10001"),
    ("disks", "backups", "10001"),
    ("disks", "backup", "10001", "--yes"),
    ("disks", "edit", "10001", "--label", "x", "--yes"),
    ("disks", "template", "10001", "--yes"),
    ("disks", "delete", "10001", "--yes"),
)


@pytest.fixture
def cloud() -> Iterator[SimulatorServer]:
    """A simulated cloud of one account."""
    with SimulatorServer(World(seed=3, disks=6, eventful=False)) as server:
        yield server


def credential(kind: str, cloud: SimulatorServer, directory: Path) -> dict[str, str]:
    """The environment of one account with one kind of credential; secrets in files end with a newline, as they do."""
    world = cloud.world
    user, file = world.credentials("4242"), directory / "secret"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIGAS_")}
    clean |= {"GIGAS_API_URL": cloud.url, "GIGAS_ACCOUNT_ID": "4242"}
    secret = {"api_key": user.api_key, "password": user.password, "token": ""}[kind.removesuffix("_file")]
    file.write_text((secret or world.issue_token()) + "\n", encoding="utf-8")
    variable = f"GIGAS_{kind.upper()}"
    login = {"GIGAS_LOGIN": user.login} if kind.startswith("password") else {}
    return {**clean, **login, variable: str(file) if kind.endswith("_file") else secret}


def secrets_of(cloud: SimulatorServer) -> list[str]:
    """All that must be found nowhere, session tokens among it."""
    return [*cloud.world.secrets, *cloud.world.access._tokens, WEB_PASSWORD]


def leaks(secrets: Iterable[str], outputs: Iterable[tuple[str, str]]) -> set[str]:
    """Where secrets were found; what they are is not said here either."""
    secrets = set(secrets)
    return {where for where, text in outputs for secret in secrets if secret in text}


def test_what_is_searched_for_would_be_found() -> None:
    """The search itself works."""
    assert leaks(["abc"], [("here", "xabcx"), ("there", "ab")]) == {"here"}


@pytest.mark.parametrize("kind", KINDS)
def test_serve_tells_no_secret(tmp_path: Path, cloud: SimulatorServer, kind: str) -> None:
    """Neither log, pages, reload answers nor the command line hold one, whatever goes wrong meanwhile."""
    digest = bcrypt.hashpw(WEB_PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    web = tmp_path / "web.yml"
    web.write_text(json.dumps({"basic_auth_users": {"alice": digest}}), encoding="utf-8")
    environ = credential(kind, cloud, tmp_path)
    flags = ["--poll.interval=1s", "--poll.backups-interval=1s", "--api.timeout=300ms", "--log.level=debug"]
    flags += ["--web.enable-lifecycle", "--api.max-requests-per-second=0"]
    secrets: set[str] = {digest}
    outputs: list[tuple[str, str]] = []
    with exporter(tmp_path, environ, *flags) as served:
        pid = served.process.popen.pid
        outputs.append(("command line", Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")))
        for group in (FAULTS[first::GROUPS] for first in range(GROUPS)):
            cloud.faults.clear()
            for fault, parameters in group:
                cloud.faults.add(fault, "*", probability=0.5, **parameters)
            cloud.world.revoke_tokens()
            requested = cloud.requests.total
            await_true(lambda requested=requested: cloud.requests.total >= requested + 8)  # type: ignore[misc]
            secrets.update(secrets_of(cloud))
            outputs += pages(served)
        served.process.popen.send_signal(signal.SIGHUP)
        outputs.append(("reload", requests.post(served.url + "/-/reload", timeout=10).text))
        (tmp_path / "secret").write_text("canary-new\nline", encoding="utf-8")
        outputs.append(("bad reload", requests.post(served.url + "/-/reload", timeout=10).text))
        secrets.update({*secrets_of(cloud), "canary-new"})
        assert served.process.end() == 0
    outputs.append(("log", served.process.stderr))
    assert "level=debug" in served.process.stderr
    assert "poll failed" in served.process.stderr
    assert leaks(secrets, outputs) == set()


def pages(served: Exporter) -> list[tuple[str, str]]:
    """Everything that is served."""
    found = [(path, served.get(path).text) for path in ("/", "/metrics", "/-/ready", "/-/healthy", "/nowhere")]
    return [*found, ("openmetrics", served.get("/metrics", headers={"Accept": "application/openmetrics-text"}).text)]


@pytest.mark.parametrize("kind", KINDS)
def test_commands_tell_no_secret(tmp_path: Path, cloud: SimulatorServer, kind: str) -> None:
    """Each command, well and with a fault in turn: stdout, stderr and files hold none, and no traceback is shown."""
    faults = itertools.cycle([None, *(each for each in FAULTS if each[0] != "hang")])
    outputs: list[tuple[str, str]] = []
    secrets: set[str] = set()
    offset = KINDS.index(kind) * 4
    for _ in range(offset):
        next(faults)
    with_fault = [(command, next(faults)) for command in COMMANDS]
    running: list[Running] = []
    for number, (command, fault) in enumerate(with_fault):
        environ = credential(kind, cloud, tmp_path)
        server = SimulatorServer(cloud.world) if fault is not None else None
        if server is not None and fault is not None:
            server.faults.add(fault[0], "*", **fault[1])
            environ["GIGAS_API_URL"] = server.url
        arguments = [sys.executable, "-m", "gigas_exporter", *command, "--log.level=debug", "--api.timeout=1s"]
        popen = subprocess.Popen(
            arguments,
            env=environ,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        running.append((number, command, popen, server))
        if len(running) == 3:
            outputs += finish(running)
        secrets.update(secrets_of(cloud))
    outputs += finish(running)
    secrets.update(secrets_of(cloud))
    if (tmp_path / "gigas.prom").exists():
        outputs.append(("file", (tmp_path / "gigas.prom").read_text(encoding="utf-8")))
    assert leaks(secrets, outputs) == set()
    assert leaks(["Traceback"], outputs) == set()


Running = tuple[int, tuple[str, ...], "subprocess.Popen[bytes]", "SimulatorServer | None"]


def finish(running: list[Running]) -> list[tuple[str, str]]:
    """Wait for commands and return what they wrote."""
    outputs = []
    for number, command, popen, server in running:
        stdout, stderr = popen.communicate(timeout=60)
        if server is not None:
            server.close()
        name = f"{number} {' '.join(command)}"
        outputs += [(f"{name}: stdout", stdout.decode()), (f"{name}: stderr", stderr.decode())]
        assert popen.returncode in {0, 1, 2, 3}, (name, stderr)
    running.clear()
    return outputs
