"""``demo`` and ``simulate``: the simulated cloud, with and without the exporter."""

from __future__ import annotations

import math
import os
import shlex
import shutil
import signal
import socket
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from gigas_exporter.app import ExporterApp, block_signals
from gigas_exporter.cli.demo_prometheus import Monitoring, find_prometheus, monitoring
from gigas_exporter.cli.options import GroupedCommand, compose, read_settings, settings_options
from gigas_exporter.clock import SystemClock
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.config.flags import ACCOUNT_VARIABLES
from gigas_exporter.config.parsers import parse_listen_address
from gigas_exporter.errors import ConfigError
from gigas_exporter.gigas import ApiKeyCredential, Credential, FixedSecret, LoginCredential
from gigas_exporter.model import Account
from gigas_exporter.secret import Secret
from gigas_exporter.simulator import STYLES, SimulatedCloud, SimulatorServer, describe

_DEFAULTS: Final = {
    "web.listen-address": "127.0.0.1:10063",
    "poll.interval": "5s",
    "poll.backups-interval": "15s",
    "log.level": "warn",
}
"""Defaults of ``demo``: listen on loopback, poll often, and log little enough to keep the greeting on the screen."""


def _finite(_: click.Context, option: click.Parameter, value: float) -> float:
    if math.isnan(value):
        raise click.BadParameter("must be a number", param=option)
    return value


_CLOUD_OPTIONS: Final[tuple[tuple[str, Any, str | None, Any, str], ...]] = (
    ("--disks", click.IntRange(1, 100_000), "N", 60, "Number of disks in all accounts."),
    ("--accounts", click.IntRange(1, 1000), "N", 2, "Number of accounts."),
    ("--seed", int, "N", 0, "Random seed of the simulated cloud."),
    ("--style", click.Choice(STYLES), "STYLE", "account", f"Format of the API's values: {', '.join(STYLES)}."),
    ("--hostile/--no-hostile", None, None, False, "Give a disk and its machine names with special characters."),
    ("--retention", click.IntRange(1, 100), "N", 7, "Number of automatic backups kept per disk."),
    (
        *("--speed", click.FloatRange(min=0, max=1_000_000, min_open=True), "FACTOR", 1.0),
        "How many times as fast schedules run.",
    ),
)
"""The options of the simulated cloud: the name, type, metavar, default and help of each."""


_cloud_options = compose(
    *[
        click.option(
            name,
            callback=_finite if isinstance(default, float) else None,
            type=kind,
            metavar=metavar,
            default=default,
            show_default=True,
            help=words,
        )
        for name, kind, metavar, default, words in _CLOUD_OPTIONS
    ]
)


@click.command(
    cls=GroupedCommand,
    epilog="""\b
Then look at:
  curl http://127.0.0.1:10063/metrics
and open http://127.0.0.1:10063/ in a browser.""",
)
@click.option(
    "--with-prometheus",
    is_flag=True,
    help="Also start Prometheus, and Alertmanager if installed, with the rules and short intervals.",
)
@_cloud_options
@settings_options(("web", "poll", "api", "log"), without=("api.url", "web.config.file"), defaults=_DEFAULTS)
def demo(*, with_prometheus: bool, **options: Any) -> None:
    """Run the exporter against a simulated cloud.

    Backups are made and rotated, and some fail; one disk has an error, another was never backed up. The demo listens on
    127.0.0.1 unless --web.listen-address is given.
    """
    prometheus = find_prometheus() if with_prometheus else None
    cloud_options = {
        name: options.pop(name) for name in ("disks", "accounts", "seed", "retention", "speed", "hostile", "style")
    }
    block_signals()
    world = SimulatedCloud(**cloud_options)
    with SimulatorServer(world) as simulator, ExitStack() as stack:
        application = ExporterApp(lambda: _demo_settings(world, simulator.url, options), clock=SystemClock())

        def greet() -> None:
            started = None
            if prometheus is not None:
                path = _demo_settings(world, simulator.url, options).web.telemetry_path
                started = stack.enter_context(monitoring(prometheus, f"{application.url}{path}"))
            click.echo(_greeting(application.url, world, simulator.url, started))

        application.run(started=greet)


@click.command(
    cls=GroupedCommand,
    epilog="""\b
Formats of the API's values, by --style:
  plain    true and false, ids as numbers, dates such as 2026-03-31T10:00:00Z
  account  each account in another of six formats of flags, ids and dates
  mixed    each item in another of these formats
  wrapped  as plain, but each item under a key: {"disk": {...}}
  words    Yes and no, ids as text, dates as in HTTP
  onapp    as wrapped, but backups have no disk, and built instead of a status
  unclear  other names and types; needs api.fields and backup_status

\b
Example:
  gigas-exporter simulate --disks 500 --listen 127.0.0.1:8080""",
)
@_cloud_options
@click.option(
    "--listen",
    metavar="ADDRESS",
    default="127.0.0.1:8063",
    show_default=True,
    help="Address of the simulated API; without a host, 127.0.0.1.",
)
def simulate(listen: str, **cloud_options: Any) -> None:
    """Serve only the simulated API, for other programs to poll."""
    try:
        host, port = parse_listen_address(listen)
    except ValueError as error:
        raise click.UsageError(f"--listen: {error}") from None
    block_signals()
    world = SimulatedCloud(**cloud_options)
    try:
        simulator = SimulatorServer(world, host=host or "127.0.0.1", port=port)
    except OSError as error:
        raise ConfigError(f"cannot listen on {listen}: {error.strerror} (use another --listen)") from None
    with simulator:
        click.echo(describe(simulator))
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


def _demo_settings(world: SimulatedCloud, url: str, flags: dict[str, Any]) -> Settings:
    """Return the settings, with the simulated accounts instead of real ones."""
    mine = {"GIGAS_API_URL", "GIGAS_CONFIG_FILE", "GIGAS_WEB_CONFIG_FILE", "GIGAS_SHARD", *ACCOUNT_VARIABLES}
    environ = {name: value for name, value in os.environ.items() if name not in mine}
    credentials = world.access.by_account
    first = world.account_ids[0]
    environ |= {"GIGAS_API_URL": url, "GIGAS_ACCOUNT_ID": first, "GIGAS_API_KEY": credentials[first].api_key}
    accounts: list[AccountSettings] = []
    for account_id, name in zip(world.account_ids, world.account_names, strict=True):
        user = credentials[account_id]
        credential: Credential = ApiKeyCredential(FixedSecret(Secret(user.api_key), "the demo"))
        if len(accounts) == 1:  # the second account logs in, to show tokens as well
            credential = LoginCredential(user.login, FixedSecret(Secret(user.password), "the demo"))
        accounts.append(AccountSettings(Account(account_id, name), credential))
    return replace(read_settings(flags, environ, defaults=_DEFAULTS), accounts=tuple(accounts))


def _greeting(url: str, world: SimulatedCloud, simulator_url: str, started: Monitoring | None) -> str:
    command, path = _command()
    first = world.account_ids[0]
    addresses = [urlsplit(url).netloc, *(started.addresses if started is not None else ())]
    tunnels = " ".join(f"-L {address.rpartition(':')[2]}:{address}" for address in addresses)
    pages = [(f"{url}/", "all disks, worst first"), (f"{url}/metrics", "what Prometheus scrapes")]
    if started is not None:
        pages.append((started.alerts, "the firing alerts"))
    amtool = ""
    if started is not None and started.alertmanager:
        amtool = f"  amtool alert --alertmanager.url={started.alertmanager}\n"
    width = max(len(page) for page, _ in pages)
    lines = "\n".join(f"  {page:<{width}}  {words}" for page, words in pages)
    return f"""\
The exporter runs and watches the disks of a simulated Gigas cloud. Open:
{lines}
From another machine, open a tunnel there first:
  ssh {tunnels} {socket.gethostname()}

To use the other commands, and those of the alerts, run in another terminal:
{path}  export GIGAS_API_URL={simulator_url} GIGAS_ACCOUNT_ID={first} GIGAS_API_KEY={world.api_key}
  {command} check
  {command} disks list
{amtool}{_other_account(world)}{"" if started is None else _alert_greeting(command, world)}
Ctrl-C stops the demo.
"""


def _other_account(world: SimulatedCloud) -> str:
    first, *others = world.account_ids
    return f"These commands read account {first}. For another account add: --account {others[0]}\n" if others else ""


def _alert_greeting(command: str, world: SimulatedCloud) -> str:
    first = world.account_ids[0]
    mine = {disk.id for disk in world.disks(first)}
    stale = next((disk for disk, scenario in world.scenarios.items() if scenario == "stale" and disk in mine), None)
    if stale is None:
        return ""
    return f"""
Within a minute, GigasDiskBackupStale fires for disk {stale}: its newest backup is
too old. (The alert's text has the usual times; the demo shortens them.) Run the
command of the alert. It shows the disk and asks; answer y:
  {command} disks backup --account {first} {stale} --wait
Within another minute, the alert is resolved.
"""


def _command() -> tuple[str, str]:
    """Return the command of this program for another terminal, and a line to run there first."""
    if shutil.which("gigas-exporter"):
        return "gigas-exporter", ""
    program = Path(sys.argv[0])
    if program.name == "gigas-exporter":
        return program.name, f"  export PATH={shlex.quote(str(program.absolute().parent))}:$PATH\n"
    return f"{shlex.quote(sys.executable)} -m gigas_exporter", ""
