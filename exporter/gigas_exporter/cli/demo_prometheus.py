"""Prometheus and Alertmanager for the demo, with the rules loaded and their durations shortened.

Owns the processes, and their files, which are removed when the demo ends. An alert that waits a quarter of an hour
fires within seconds, so that a user can see it fire, run its command and see it resolve.
"""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gigas_exporter.bundle.alerts import write_alerts
from gigas_exporter.errors import ConfigError

_INTERVAL: Final = "5s"
_WAIT: Final = re.compile(r"^(\s+(?:for|keep_firing_for|interval): ).*$", re.MULTILINE)
_LOOKBACK: Final = re.compile(r"\[\d+m\]")
_ALERTMANAGERS: Final = ("alertmanager", "prometheus-alertmanager")  # the second is Debian's
_PORTS: Final = {"prometheus": 9090, "alertmanager": 9093}
_START_SECONDS: Final = 10
_END_SECONDS: Final = 5.0

_PROMETHEUS: Final = """\
global: {{scrape_interval: {interval}, evaluation_interval: {interval}}}
rule_files: ["rules/*.rules.yml"]
scrape_configs:
  - job_name: gigas
    metrics_path: {path}
    static_configs: [{{targets: ["{target}"]}}]
"""
_ALERTING: Final = """\
alerting:
  alertmanagers:
    - static_configs: [{{targets: ["{address}"]}}]
"""
_ALERTMANAGER: Final = """\
route: {receiver: nobody, group_by: [alertname, account_id], group_wait: 1s, group_interval: 5s}
receivers: [{name: nobody}]
"""


@dataclass(frozen=True, slots=True)
class Monitoring:
    """The URLs of the started programs.

    Attributes:
        alertmanager: ``None`` if Alertmanager is not installed.
        alerts: The page of alerts, a classic page if there is one: Debian's Prometheus has no others.
    """

    prometheus: str
    alertmanager: str | None
    alerts: str

    @property
    def addresses(self) -> list[str]:
        """Host and port of each program."""
        return [urlsplit(url).netloc for url in (self.prometheus, self.alertmanager) if url is not None]


def find_prometheus() -> str:
    """Return the path of Prometheus."""
    path = shutil.which("prometheus")
    if path is None:
        raise ConfigError(
            "--with-prometheus: prometheus is not on the PATH; install it (on Debian: apt-get install prometheus), or"
            " omit the option"
        )
    return path


@contextmanager
def monitoring(prometheus: str, metrics_url: str) -> Iterator[Monitoring]:
    """Run Prometheus, and Alertmanager if installed, during the block."""
    alertmanager = next((path for name in _ALERTMANAGERS if (path := shutil.which(name))), None)
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="gigas-exporter-demo-") as name:
        directory = Path(name)
        ports = {program: _free_port(port) for program, port in _PORTS.items()}
        addresses = {program: f"127.0.0.1:{port}" for program, port in ports.items()}
        _write_files(directory, metrics_url, addresses["alertmanager"] if alertmanager else None)
        try:
            if alertmanager is not None:
                flags = [f"--web.listen-address={addresses['alertmanager']}", "--cluster.listen-address="]
                files = [f"--config.file={directory}/alertmanager.yml", f"--storage.path={directory}/alertmanager"]
                processes.append(_start([alertmanager, *flags, *files], directory))
            flags = [f"--web.listen-address={addresses['prometheus']}", "--storage.tsdb.retention.time=1h"]
            files = [f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data"]
            processes.append(_start([prometheus, *flags, *files], directory))
            url = f"http://{addresses['prometheus']}"
            page = "classic/alerts" if _has_classic_pages(url) else "alerts"
            yield Monitoring(url, f"http://{addresses['alertmanager']}" if alertmanager else None, f"{url}/{page}")
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_END_SECONDS)
                process.kill()
                process.wait()


def _has_classic_pages(url: str) -> bool:
    """Return whether a starting Prometheus has classic pages; ``False`` if it does not respond in time."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # without a proxy
    for _ in range(_START_SECONDS * 10):
        try:
            with opener.open(f"{url}/classic/alerts", timeout=1.0):
                return True
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:  # it is starting
                return False
        except OSError:
            pass
        time.sleep(0.1)
    return False


def _write_files(directory: Path, metrics_url: str, alertmanager: str | None) -> None:
    for path in write_alerts(directory / "rules", format="prometheus", labels={}):
        if path.suffix == ".yml":
            text = _LOOKBACK.sub("[15s]", path.read_text(encoding="utf-8"))
            path.write_text(_WAIT.sub(rf"\g<1>{_INTERVAL}", text), encoding="utf-8")
    url = urlsplit(metrics_url)
    config = _PROMETHEUS.format(interval=_INTERVAL, path=url.path, target=url.netloc)
    if alertmanager is not None:
        config += _ALERTING.format(address=alertmanager)
        (directory / "alertmanager.yml").write_text(_ALERTMANAGER, encoding="utf-8")
    (directory / "prometheus.yml").write_text(config, encoding="utf-8")


def _start(command: Sequence[str], directory: Path) -> subprocess.Popen[bytes]:
    """Start a program that receives signals, except Ctrl-C: the demo stops it."""
    log = directory / f"{Path(command[0]).name}.log"
    blocked = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        with log.open("wb") as output:
            return subprocess.Popen(  # noqa: S603  # a program that the user asked for, found on the PATH
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=directory, process_group=0
            )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _free_port(wanted: int) -> int:
    """Return a free port, preferably the usual one."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ConfigError("no port is free")
