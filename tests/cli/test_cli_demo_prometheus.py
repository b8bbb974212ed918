"""``demo --with-prometheus``: an alert fires, its command is run, and it resolves, all within minutes."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import requests

from cli.conftest import Run
from support.programs import await_true, free_port, run_program, running, tool

ALERT = "GigasDiskBackupStale"


def _firing(prometheus: str, disk: str) -> list[dict[str, Any]]:
    try:
        alerts = requests.get(f"{prometheus}/api/v1/alerts", timeout=5).json()["data"]["alerts"]
    except requests.RequestException:
        return []
    labels = {"alertname": ALERT, "disk_id": disk}
    return [each for each in alerts if each["state"] == "firing" and labels.items() <= each["labels"].items()]


def test_an_alert_fires_and_its_command_resolves_it(tmp_path: Path) -> None:
    """Followed by what the demo prints and nothing else; afterwards neither processes nor files are left."""
    tool("prometheus")
    command = [sys.executable, "-m", "gigas_exporter", "demo", "--with-prometheus", "--disks", "20"]
    environ = {**os.environ, "GIGAS_WEB_LISTEN_ADDRESS": f"127.0.0.1:{free_port()}", "TMPDIR": str(tmp_path)}
    with running(command, tmp_path, environ) as demo:
        await_true(lambda: "Ctrl-C stops the demo." in demo.stderr, what="the greeting")
        shown = demo.stderr
        prometheus = re.findall(r"(http://[^/\s]+)/\S*alerts ", shown)[0]
        (rules,) = tmp_path.glob("gigas-exporter-demo-*/rules/gigas.rules.yml")
        assert not re.search(r"\[\d+m\]", rules.read_text(encoding="utf-8"))
        variables = dict(each.split("=", 1) for each in re.findall(r"GIGAS_\w+=\S+", shown))
        disk = re.findall(rf"{ALERT} fires for disk (\d+)", shown)[0]
        assert f"-L {prometheus.rpartition(':')[2]}:127.0.0.1" in shown
        await_true(lambda: _firing(prometheus, disk), 120, "the alert")
        (alert,) = _firing(prometheus, disk)
        program, *arguments = shlex.split(alert["annotations"]["command"].splitlines()[0])
        assert program == "gigas-exporter"
        assert " ".join(arguments) in shown
        yes = [] if "--yes" in arguments else ["--yes"]
        environ = {**os.environ, **variables}
        run_program(sys.executable, "-m", "gigas_exporter", *arguments, *yes, seconds=120, env=environ)
        await_true(lambda: not _firing(prometheus, disk), 120, "the end of the alert")
        assert demo.end(signal.SIGINT, 20.0) == 0
    assert not list(tmp_path.glob("gigas-exporter-demo-*"))
    await_true(lambda: not _answers(prometheus), 10, "the end of Prometheus")


def test_prometheus_is_named_where_no_disk_is_stale(tmp_path: Path) -> None:
    """A small fleet has no such disk, and its alerts are looked at all the same."""
    tool("prometheus")
    command = [sys.executable, "-m", "gigas_exporter", "demo", "--with-prometheus", "--disks", "2"]
    environ = {**os.environ, "GIGAS_WEB_LISTEN_ADDRESS": f"127.0.0.1:{free_port()}", "TMPDIR": str(tmp_path)}
    with running(command, tmp_path, environ) as demo:
        await_true(lambda: "Ctrl-C stops the demo." in demo.stderr, what="the greeting")
        (page,) = re.findall(r"(http://\S+/alerts) +the firing alerts", demo.stderr)
        shown = requests.get(page, timeout=5)
        assert shown.ok
        assert "does not include" not in shown.text  # as Debian's package says of its missing pages
        assert ALERT not in demo.stderr
        assert demo.end(signal.SIGINT, 20.0) == 0


def _answers(prometheus: str) -> bool:
    try:
        return requests.get(f"{prometheus}/-/healthy", timeout=2).ok
    except requests.RequestException:
        return False


def test_without_prometheus_it_is_said(run: Run, tmp_path: Path) -> None:
    """What to install, before anything is started."""
    outcome = run("demo", "--with-prometheus", PATH=str(tmp_path))
    assert outcome.status == 2
    assert "prometheus is not on the PATH" in outcome.err
