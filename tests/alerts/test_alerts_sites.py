"""Sites that cannot be scraped: an agent at each sends to one store, and the rules are evaluated there.

Time runs sixty times as fast, as in the other test with live programs.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from gigas_exporter.bundle.alerts import write_alerts
from gigas_exporter.simulator import SimulatedCloud
from support.notifications import alert, quick, receiving, sixtieth
from support.programs import (
    Process,
    account_environment,
    alertmanager,
    await_start,
    await_true,
    exporter,
    field_tool,
    free_port,
    prometheus,
    running,
)
from support.simulator import SimulatorServer
from support.victoria import store_and_vmalert, vmagent

ACCOUNT = "4242"
PATIENCE_SECONDS = 120.0
SITES = ("madrid", "miami")
QUICK = ("--poll.interval=1s", "--poll.backups-interval=5s", "--poll.max-staleness=15s")
PAGE = Path(__file__).resolve().parents[2] / "docs/sites.md"


def _page(name: str) -> Any:
    """Return a file that the page shows, by the name in its first line."""
    (text,) = re.findall(rf"```yaml\n# {re.escape(name)}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return yaml.safe_load(text)


def _agent_configuration(site: str, exporter_address: str, store: str | None) -> str:
    """Return the page's configuration of an agent, for this site, and quick; with no store as vmagent takes it."""
    config = _page("agent.yml")
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "external_labels": {"site": site}}
    (scrape,) = config["scrape_configs"]
    (static,) = scrape["static_configs"]
    static["targets"] = [exporter_address]
    static["labels"] = {"instance": "gigas-exporter:10063"}  # the same at each site
    if store is None:
        del config["remote_write"]
    else:
        config["remote_write"] = [{"url": f"{store}/api/v1/write", "queue_config": {"batch_send_deadline": "1s"}}]
    return yaml.safe_dump(config)


@contextmanager
def _prometheus_agent(directory: Path, config: str) -> Iterator[Process]:
    (directory / "agent.yml").write_text(config, encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        *(field_tool("prometheus"), "--agent", f"--config.file={directory}/agent.yml"),
        *(f"--storage.agent.path={directory}/agent", f"--web.listen-address={address}"),
    ]
    with running(command, directory) as process:
        await_start(process, f"http://{address}/-/ready")
        yield process


@dataclass(frozen=True)
class Sites:
    """What runs: a cloud and an agent for each site, and a store.

    Attributes:
        worlds: By site, its simulated cloud; both have the same ids.
        agents: By site, the agent.
        store: Where all of it is.
    """

    worlds: dict[str, SimulatedCloud]
    agents: dict[str, Process]
    store: str

    def sites_of(self, expression: str) -> list[str]:
        """Return the sites that an expression has series of, once a series."""
        answer = requests.get(f"{self.store}/api/v1/query", params={"query": expression, "step": "10s"}, timeout=10)
        return sorted(each["metric"].get("site", "") for each in answer.json()["data"]["result"])

    def firing(self, alert: str) -> list[str]:
        """Return the sites of which an alert fires, once an alert."""
        return self.sites_of(f'ALERTS{{alertname="{alert}", alertstate="firing"}}')


def _rules(directory: Path) -> None:
    """Write each site's rules, as the page says, and quick."""
    (line,) = re.findall(r"^  gigas-exporter alerts .*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    words = shlex.split(line.replace("$site", "SITE"))
    assert words[:2] + words[2::2] == ["gigas-exporter", "alerts", "--selector", "rules/SITE"]
    for site in SITES:
        write_alerts(directory / site, format="prometheus", labels={}, selector=words[3].replace("SITE", site))
        for path in (directory / site).glob("*.rules.yml"):
            path.write_text(sixtieth(path.read_text(encoding="utf-8")), encoding="utf-8")


@contextmanager
def _prometheus_store(directory: Path) -> Iterator[str]:
    files = ", ".join(f"{directory}/rules/{site}/*.rules.yml" for site in SITES)
    config = f"global: {{evaluation_interval: 1s}}\nrule_files: [{files}]\n"
    flags = ("--web.enable-remote-write-receiver", "--query.lookback-delta=10s")
    with prometheus(directory, config, program=field_tool("prometheus"), flags=flags) as store:
        yield store.url


@pytest.fixture(params=["prometheus", "victoria"])
def sites(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sites]:
    """Two sites with the same instance, account and disks; under VictoriaMetrics the first one's agent is vmagent."""
    _rules(tmp_path / "rules")
    worlds = {site: SimulatedCloud(seed=3, disks=40, style="plain", eventful=False) for site in SITES}
    with ExitStack() as stack:
        if request.param == "victoria":
            more = ("-notifier.blackhole", "-datasource.queryStep=10s")
            store = stack.enter_context(store_and_vmalert(tmp_path, tmp_path / "rules/*/*.rules.yml", more))
        else:
            store = stack.enter_context(_prometheus_store(tmp_path))
        agents = {}
        for site in SITES:
            directory = tmp_path / site
            directory.mkdir()
            api = stack.enter_context(SimulatorServer(worlds[site]))
            environ = account_environment(api)
            address = stack.enter_context(exporter(directory, environ, *QUICK)).url.removeprefix("http://")
            if request.param == "victoria" and site == SITES[0]:
                agents[site] = stack.enter_context(vmagent(directory, _agent_configuration(site, address, None), store))
            else:
                config = _agent_configuration(site, address, store)
                agents[site] = stack.enter_context(_prometheus_agent(directory, config))
        yield Sites(worlds, agents, store)


@pytest.mark.field
def test_a_site_is_told_of_and_so_is_one_that_went_silent(sites: Sites) -> None:
    """An error is told of its site alone; a site whose agent is gone is told, and hides nothing of the other."""
    silent, other = SITES
    everywhere = sorted(SITES)
    until = _until(sites)
    until(lambda: sites.sites_of("gigas_exporter_accounts") == everywhere, "both sites' series")
    disk = next(each for each in sites.worlds[other].disks(ACCOUNT) if not each.is_swap)
    sites.worlds[other].change_disk(disk.id, error=True)
    until(lambda: sites.firing("GigasDiskError") == [other], "the disk's error")

    sites.agents[silent].popen.kill()
    until(lambda: sites.firing("GigasExporterAbsent") == [silent], "that the site is silent")
    assert sites.firing("GigasDiskError") == [other]
    assert sites.firing("GigasExporterDown") == []
    assert sites.firing("GigasInventoryShrank") == []
    assert sites.firing("GigasDiskDisappeared") == [], "of a silent site nothing is known"


def _until(sites: Sites) -> Callable[[Callable[[], bool], str], None]:
    """Return how to wait for something, which tells what fires when it does not come."""

    def until(condition: Callable[[], bool], what: str) -> None:
        try:
            await_true(condition, PATIENCE_SECONDS, what)
        except AssertionError as error:
            answer = requests.get(f"{sites.store}/api/v1/query", params={"query": "ALERTS", "step": "10s"}, timeout=10)
            raise AssertionError(f"{error}; there is {answer.text}") from error

    return until


def test_a_silent_site_inhibits_its_own_disks_alone(directory: Path, tmp_path: Path) -> None:
    """The example, with what the page adds: sites are messages of their own, and silence is told for one of them."""
    silent, other = SITES
    with receiving() as receiver:
        config = yaml.safe_load(quick((directory / "alertmanager.example.yml").read_text(encoding="utf-8"), receiver))
        page = _page("alertmanager.yml")
        config["inhibit_rules"] = [
            *({**rule, "equal": [*rule["equal"], "site"]} for rule in config["inhibit_rules"]),
            *page["inhibit_rules"],
        ]
        for route in (config["route"], *config["route"]["routes"]):
            route["group_by"] = [*route.get("group_by", config["route"]["group_by"]), "site"]
        assert set(page["route"]["group_by"]) == set(config["route"]["group_by"])
        critical = {"severity": "critical"}
        with alertmanager(tmp_path, yaml.safe_dump(config)) as manager:
            manager.post(
                alert({**critical, "alertname": "GigasExporterAbsent", "site": silent, "component": "exporter"})
            )
            await_true(lambda: receiver.told("GigasExporterAbsent", site=silent), what="that the site is silent")
            disk = {"component": "disk", "job": "gigas", "instance": "gigas-exporter:10063", "account_id": ACCOUNT}
            error = {**critical, **disk, "alertname": "GigasDiskError", "disk_id": "17"}
            manager.post(*(alert({**error, "site": site}) for site in SITES))
            await_true(lambda: receiver.told("GigasDiskError", site=other), what="the disk of the other site")
            inhibited = {
                each["labels"]["site"]: bool(each["status"]["inhibitedBy"])
                for each in manager.alerts()
                if each["labels"]["alertname"] == "GigasDiskError"
            }
            assert inhibited == {silent: True, other: False}
            assert receiver.told("GigasDiskError", site=silent) == []
