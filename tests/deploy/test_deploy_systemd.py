"""The systemd unit: accepted by systemd, as closed as the project promises, and speaking of what the exporter has."""

from __future__ import annotations

import configparser
import re
import shutil
import sys
from pathlib import Path

import pytest

from support.programs import run_program, tool

# In tenths; without one of the settings that it rates, and that DynamicUser does not imply, it is more.
_MAX_EXPOSURE = 12


@pytest.fixture
def unit(repository: Path) -> Path:
    return repository / "deploy/systemd/gigas-exporter.service"


@pytest.fixture
def service(unit: Path) -> dict[str, list[str]]:
    """Return the unit's service settings; a setting may come more than once."""
    settings: dict[str, list[str]] = {}
    section = unit.read_text(encoding="utf-8").partition("[Service]\n")[2].partition("\n[")[0]
    for line in section.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            settings.setdefault(name, []).append(value)
    return settings


@pytest.mark.parametrize("dropin", [None, "tls.conf"])
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path, dropin: str | None) -> None:
    """`systemd-analyze verify` has nothing to say of unit and drop-in, once the command is where it is here."""
    if dropin is not None:
        (tmp_path / f"{unit.name}.d").mkdir()
        shutil.copy(unit.parent / dropin, tmp_path / f"{unit.name}.d")
    here = tmp_path / unit.name
    command = tool("gigas-exporter")
    here.write_text(
        unit.read_text(encoding="utf-8").replace("/opt/gigas-exporter/bin/gigas-exporter", f'"{command}"'), "utf-8"
    )
    done = run_program(tool("systemd-analyze"), "verify", "--man=no", here, check=False)
    spoken = [line for line in done.stderr.splitlines() if unit.name in line or (dropin or unit.name) in line]
    assert (done.returncode, spoken) == (0, [])


def test_tls_files_come_by_systemd(unit: Path) -> None:
    """What the drop-in names is in the directory for root alone, and the web config file is found as a credential."""
    text = (unit.parent / "tls.conf").read_text(encoding="utf-8")
    credentials = dict(re.findall(r"^LoadCredential=([\w.]+):(.*)$", text, re.MULTILINE))
    assert credentials == {name: f"/etc/gigas-exporter/{name}" for name in ("web.yml", "tls.crt", "tls.key")}
    assert re.findall(r"^Environment=(.*)$", text, re.MULTILINE) == ["GIGAS_WEB_CONFIG_FILE=%d/web.yml"]


def test_exposure_is_low(unit: Path) -> None:
    """`systemd-analyze security` rates the unit at 1.2 or lower, of 10."""
    done = run_program(
        tool("systemd-analyze"), "security", "--offline=true", f"--threshold={_MAX_EXPOSURE}", unit, check=False
    )
    assert "Overall exposure level" in done.stdout
    assert done.returncode == 0, done.stdout


def test_the_credential_comes_by_systemd(service: dict[str, list[str]]) -> None:
    """The API key is a credential of the unit, and the exporter is pointed at it by its own variable."""
    (credential,) = service["LoadCredential"]
    name, _, path = credential.partition(":")
    assert f"GIGAS_API_KEY_FILE=%d/{name}" in service["Environment"]
    assert Path(path).is_absolute()
    assert not [value for value in service["Environment"] if "API_KEY=" in value or "PASSWORD=" in value]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("Type", "notify"),
        ("DynamicUser", "yes"),
        ("Restart", "on-failure"),
        ("TimeoutStopSec", "20"),
        ("LimitCORE", "0"),
        ("LimitNOFILE", "4096"),
        ("MemoryMax", "512M"),
        ("TasksMax", "1024"),
    ],
)
def test_the_unit_is_bounded(service: dict[str, list[str]], setting: str, value: str) -> None:
    """What its exposure does not show stands in the unit."""
    assert service[setting] == [value]


def test_process_metrics_survive_the_hardening(service: dict[str, list[str]]) -> None:
    """/proc/stat stays visible: without it the client library gives no process metrics at all."""
    assert "ProcSubset" not in service


def test_the_command_is_one_that_the_exporter_has(service: dict[str, list[str]]) -> None:
    """What the unit starts is a command with its options as the exporter knows them."""
    _, *arguments = service["ExecStart"][0].split()
    run_program(sys.executable, "-m", "gigas_exporter", *arguments, "--help")


def test_the_unit_starts_at_boot(unit: Path) -> None:
    """The unit can be enabled, and waits for the network."""
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(unit.read_text(encoding="utf-8"))
    assert parser["Install"]["WantedBy"] == "multi-user.target"
    assert parser["Unit"]["After"] == parser["Unit"]["Wants"] == "network-online.target"
