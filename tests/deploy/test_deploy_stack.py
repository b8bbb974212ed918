"""The compose stack, run from its file by podman: the exporter's own image, Prometheus and Alertmanager.

What is not as under an engine: the last two are Debian's programs of the same versions over the exporter's base, with a
``wget`` in Python; all are in one network without a way out, in which the services' names are loopback. Grafana is left
out: no Debian has it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.containers import add_to_base, limits, podman
from support.programs import await_true, field_tool, run_program, tool

pytestmark = pytest.mark.field

_SERVICES = ("exporter", "prometheus", "alertmanager")
_TEMPLATES = Path("/usr/share/prometheus/alertmanager")  # which Debian's program reads; others have them built in
_WGET = """#!/usr/local/bin/python
import sys, urllib.request
assert sys.argv[1:4] == ["-q", "-O", "/dev/null"]
urllib.request.urlopen(sys.argv[4], timeout=4).read()
"""
_ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"


class _Stack:
    """The services of the file, one container each."""

    def __init__(self, file: Path, images: dict[str, str], directory: Path) -> None:
        self._file = file
        self._images = images
        self._hosts = directory / "hosts"
        self._hosts.write_text(f"127.0.0.1 localhost {' '.join(_SERVICES)}\n", encoding="utf-8")
        self.services: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))["services"]
        self._containers: dict[str, str] = {}

    def start(self, name: str) -> None:
        """Start a service as the file says, in the network of the first."""
        service = self.services[name]
        network = f"container:{next(iter(self._containers.values()))}" if self._containers else "none"
        options = ["--network", network, "--volume", f"{self._hosts}:/etc/hosts:ro", *limits()]
        options += ["--health-interval", "disable", "--read-only-tmpfs=false"]  # podman's own timer needs systemd
        options += ["--read-only"] if service["read_only"] else []
        options += [f"--cap-drop={capability}" for capability in service["cap_drop"]]
        options += [f"--security-opt={option.removesuffix(':true')}" for option in service["security_opt"]]
        options += [f"--pids-limit={service['pids_limit']}", f"--memory={service['mem_limit']}"]
        options += [f"--tmpfs={mount}" for mount in service.get("tmpfs", [])]
        for volume in service.get("volumes", []):
            source, target = volume.split(":", 1)
            options += [f"--volume={(self._file.parent / source).resolve()}:{target}"] if "/" in source else []
            options += [f"--volume={target}"] if "/" not in source else []  # with the container it goes
        if "healthcheck" in service:
            options += [f"--health-cmd={' '.join(service['healthcheck']['test'])}"]  # podman splits it so
        done = run_program(*podman(), "run", "--detach", *options, self._images[name], *service["command"], seconds=120)
        self._containers[name] = done.stdout.split()[-1]

    def healthy(self, name: str) -> bool:
        return run_program(*podman(), "healthcheck", "run", self._containers[name], check=False).returncode == 0

    def await_health(self, name: str) -> None:
        """Wait until a service is healthy; one that ends, or takes long, fails the test with what it wrote."""
        try:
            await_true(partial(self.healthy, name), seconds=30)
        except AssertionError:
            pytest.fail(f"{name} did not get healthy: {self.logs(name)[-1500:]}")

    def ask(self, url: str) -> Any:
        """Return the answer to a GET that one of the containers sends."""
        container = self._containers["exporter"]
        return json.loads(run_program(*podman(), "exec", container, "python", "-c", _ASK, url).stdout)["data"]

    def logs(self, name: str) -> str:
        done = run_program(*podman(), "logs", self._containers[name])
        return done.stdout + done.stderr

    def remove(self) -> None:
        for container in reversed(self._containers.values()):
            run_program(*podman(), "rm", "--force", "--volumes", "--time", "0", container, check=False)


@pytest.fixture
def stack(image: str, repository: Path, tmp_path: Path) -> Iterator[_Stack]:
    """Return the stack, with nothing started."""
    wget = tmp_path / "wget"
    wget.write_text(_WGET, encoding="utf-8")
    wget.chmod(0o755)
    tool("prometheus-alertmanager")  # its package has the templates
    images = {"exporter": image}
    for name in ("prometheus", "alertmanager"):
        program = Path(shutil.copy(field_tool(name), tmp_path))
        files = [(program, f"/bin/{name}"), (wget, "/bin/wget")]
        files += [(_TEMPLATES, str(_TEMPLATES))] if name == "alertmanager" else []
        images[name] = add_to_base(name, files, state=f"/{name}", entrypoint=f"/bin/{name}")
    made = _Stack(repository / "deploy/compose.yaml", images, tmp_path)
    yield made
    made.remove()
    for name in ("prometheus", "alertmanager"):
        run_program(*podman(), "rmi", images[name], check=False)


def test_the_stack_comes_up_and_speaks_among_itself(stack: _Stack) -> None:
    """Each gets healthy as the file asks it, without a warning; Prometheus scrapes, judges, and knows Alertmanager."""
    for name in _SERVICES:
        stack.start(name)
        stack.await_health(name)
        assert not re.search(r"level=(?:WARN|ERROR)", stack.logs(name), re.IGNORECASE), stack.logs(name)
    api = "http://prometheus:9090/api/v1"
    expected = {"http://exporter:10063/metrics": "up", "http://127.0.0.1:9090/metrics": "up"}

    def scraped() -> bool:
        targets = stack.ask(f"{api}/targets")["activeTargets"]
        return {each["scrapeUrl"]: each["health"] for each in targets} == expected

    await_true(scraped, what="a good scrape of each target")
    managers = stack.ask(f"{api}/alertmanagers")["activeAlertmanagers"]
    assert [each["url"] for each in managers] == ["http://alertmanager:9093/api/v2/alerts"]
    await_true(lambda: stack.ask(f"{api}/alerts")["alerts"], seconds=150, what="a pending alert")
    rules = [rule for group in stack.ask(f"{api}/rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 20
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []
