"""The compose stack: valid, closed to the outside, and pointing at files that are there."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.programs import run_program, tool

Services = dict[str, dict[str, Any]]
_SERVICES = ("exporter", "prometheus", "alertmanager", "grafana")


@pytest.fixture
def file(repository: Path) -> Path:
    return repository / "deploy/compose.yaml"


@pytest.fixture
def services(file: Path) -> Services:
    return dict(yaml.safe_load(file.read_text(encoding="utf-8"))["services"])


@pytest.fixture(params=_SERVICES)
def service(request: pytest.FixtureRequest, services: Services) -> dict[str, Any]:
    """Each service in turn."""
    return services[request.param]


def test_the_file_fits_the_compose_specification(file: Path) -> None:
    """The file is valid by the specification's own JSON schema."""
    run_program(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", file)


def test_the_whole_chain_is_there(services: Services) -> None:
    """Exporter, Prometheus, Alertmanager and Grafana are started, each from an image with a version."""
    assert set(services) == set(_SERVICES)
    for service in services.values():
        assert not re.search(r":latest\b|/[^:]+$", service["image"].rstrip("}"))


def test_services_are_hardened(service: dict[str, Any]) -> None:
    """Each has a read-only file system, no capabilities, no way to new privileges, and bounds."""
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] <= 1024
    assert service["mem_limit"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & service.keys()


def test_ports_are_for_this_machine(service: dict[str, Any]) -> None:
    """Each port is published on loopback only."""
    assert service["ports"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_mounts_are_there_and_read_only(service: dict[str, Any], repository: Path, file: Path) -> None:
    """Each file or directory of the repository that is mounted exists, and cannot be written."""
    for volume in service.get("volumes", []):
        source, target, *mode = volume.split(":")
        if source.startswith("."):
            assert (file.parent / source).resolve().is_relative_to(repository)
            assert (file.parent / source).exists(), source
            assert mode == ["ro"], target


@pytest.mark.parametrize("name", ["prometheus", "alertmanager", "grafana"])
def test_services_tell_whether_they_are_healthy(services: Services, name: str) -> None:
    """Each service of others has a health check of its own port (the exporter's image brings its own)."""
    port = services[name]["ports"][0].rpartition(":")[2]
    assert any(f"http://127.0.0.1:{port}/" in word for word in services[name]["healthcheck"]["test"])


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * {"m": 60, "h": 3600, "d": 86400, "w": 604800}[duration[-1]]


def _option(service: dict[str, Any], name: str) -> str:
    (value,) = (word.removeprefix(f"--{name}=") for word in service["command"] if word.startswith(f"--{name}="))
    return str(value)


def test_alertmanager_remembers_as_long_as_the_example_waits(services: Services, repository: Path) -> None:
    """Alertmanager remembers what it sent for twice the longest time after which it is to say it again."""
    example = (repository / "alerts/alertmanager.example.yml").read_text(encoding="utf-8")
    longest = max(map(_seconds, re.findall(r"repeat_interval: (\w+)", example)))
    assert _seconds(_option(services["alertmanager"], "data.retention")) >= 2 * longest


def test_prometheus_keeps_what_the_rules_look_back_on(services: Services, repository: Path) -> None:
    """No range of a rule is longer than the past that is kept."""
    rules = "".join(path.read_text(encoding="utf-8") for path in (repository / "alerts").glob("*.rules.yml"))
    longest = max(map(_seconds, re.findall(r"(?<=\[)\d+[mhdw](?=\])", rules)))
    assert longest == _seconds("1w")
    assert _seconds(_option(services["prometheus"], "storage.tsdb.retention.time")) > longest


def test_versions_are_those_that_were_run(services: Services, repository: Path) -> None:
    """Each image has a version that the page of what was run names, and Grafana the one of its library in the tests."""
    page = (repository / "docs/compatibility.md").read_text(encoding="utf-8")
    versions = {name: services[name]["image"].rpartition(":")[2].strip("v}") for name in _SERVICES[1:]}
    for name, version in versions.items():
        assert re.search(rf"^\| {name} \|[^|]*\b{re.escape(version)}\b", page, re.MULTILINE | re.IGNORECASE), name
    packages = json.loads((repository / "tests/dashboards/package.json").read_text(encoding="utf-8"))
    assert packages["dependencies"]["@grafana/data"] == versions["grafana"]


def test_the_exporter_is_a_demo_that_others_reach(services: Services, repository: Path) -> None:
    """The demo listens on the container's network, where Prometheus scrapes it."""
    command = services["exporter"]["command"]
    assert command[:3] == ["demo", "--web.listen-address", "0.0.0.0:10063"]
    prometheus = yaml.safe_load((repository / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in prometheus["scrape_configs"]}
    assert targets["gigas-exporter"] == ["exporter:10063"]
    run_program(sys.executable, "-m", "gigas_exporter", *command, "--help")


def test_promtool_accepts_the_configuration_with_the_rules(services: Services, file: Path, tmp_path: Path) -> None:
    """Prometheus' own tool finds nothing wrong, with the rule files where the stack mounts them."""
    text = (file.parent / "prometheus/prometheus.yml").read_text(encoding="utf-8")
    mounts = dict(volume.split(":")[1::-1] for volume in services["prometheus"]["volumes"])
    rules = (file.parent / mounts["/etc/prometheus/alerts"]).resolve()
    config = tmp_path / "prometheus.yml"
    config.write_text(text.replace("/etc/prometheus/alerts/", f"{rules}/"), encoding="utf-8")
    done = run_program(tool("promtool"), "check", "config", config)
    assert re.search(r"[1-9]\d* rules found", done.stdout), done.stdout


def test_amtool_accepts_the_alertmanager_configuration(services: Services, file: Path) -> None:
    """Alertmanager's own tool finds nothing wrong with the example that the stack mounts."""
    source = services["alertmanager"]["volumes"][0].split(":")[0]
    run_program(tool("amtool"), "check-config", (file.parent / source).resolve())


def test_grafana_finds_its_dashboards(services: Services, repository: Path, file: Path) -> None:
    """The provisioning looks where the dashboards are mounted, and the data source leads to the stack's Prometheus."""
    mounts = dict(volume.split(":")[1::-1] for volume in services["grafana"]["volumes"])
    assert (file.parent / mounts["/var/lib/grafana-dashboards"]).resolve() == repository / "dashboards"
    provisioning = repository / "deploy/grafana/provisioning"
    texts = {path.parent.name: path.read_text(encoding="utf-8") for path in provisioning.rglob("*.y*ml")}
    (provider,) = yaml.safe_load(texts["dashboards"])["providers"]
    (source,) = yaml.safe_load(texts["datasources"])["datasources"]
    assert provider["options"]["path"] == "/var/lib/grafana-dashboards"
    assert source["url"] == "http://prometheus:9090"
    scrapes = yaml.safe_load((repository / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    assert source["jsonData"]["timeInterval"] == scrapes["global"]["scrape_interval"]
    for path in (repository / "dashboards").glob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))["templating"]["list"][0]["query"] == source["type"]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (repository / "dashboards" / Path(home).name).exists()
