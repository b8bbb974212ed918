"""The page of what was run with what, and README's line of it, name the versions that the tests run."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from support.programs import field_tool, run_program, tool

_ROW = re.compile(r"^\| (\w+) \| ([^|]+) \|", re.MULTILINE)
_VERSION = re.compile(r"(?<![\w.])\d+\.\d+(?:\.\d+)?")
_README = {"Prometheus", "Alertmanager", "VictoriaMetrics"}


@pytest.fixture(scope="module")
def table(repository: Path) -> dict[str, str]:
    """Return what stands under *versions*, by the name of the row."""
    return dict(_ROW.findall((repository / "docs/compatibility.md").read_text(encoding="utf-8")))


def _named(text: str, release: str, program: str = "") -> str | None:
    """Return a program's version in the part of a cell that ends with a release's name; None where it has none."""
    for part in text.split(")"):
        before, _, name = part.rpartition(" (")
        if name == release:
            (version,) = re.findall(rf"{program} ([\d.]+)", before) or re.findall(r"[\d.]+", before)
            return str(version)
    return None


def _version_of(path: str, *arguments: str) -> str:
    done = run_program(path, *arguments)
    found = _VERSION.search((done.stdout + done.stderr).replace("v", " "))
    assert found is not None, done.stdout
    return found[0]


@pytest.mark.field
def test_todays_versions_are_those_that_are_fetched(repository: Path, table: dict[str, str]) -> None:
    """Each of Debian testing's packages is in the table with the version that was fetched for the tests."""
    field_tool("prometheus")
    lines = (repository / "build/field-tools/versions").read_text(encoding="utf-8").splitlines()
    fetched = {name: version.partition("+")[0].partition("-")[0] for name, version in map(str.split, lines)}
    named = {name: _named(table[name], "Debian testing") for name in _README}
    assert fetched["promtool"] == fetched["prometheus"] == named["Prometheus"]
    assert fetched["prometheus-alertmanager"] == named["Alertmanager"]
    assert fetched["victoria-metrics"].startswith(f"{named['VictoriaMetrics']}.")


@pytest.mark.field
@pytest.mark.parametrize(("name", "arguments"), [("helm", ("version",)), ("kubectl", ("version", "--client"))])
def test_helm_is_the_one_that_is_fetched(
    repository: Path, kubectl: Path, table: dict[str, str], name: str, arguments: tuple[str, ...]
) -> None:
    """Helm and kubectl are in the table with the versions that the tests run."""
    version = _version_of(str(kubectl.with_name(name)), *arguments)
    (named,) = re.findall(rf"{name} ([\d.]+)", table["Kubernetes"], re.IGNORECASE)
    assert version.startswith(f"{named}.")


def test_the_schemas_are_those_of_the_checks(repository: Path, table: dict[str, str]) -> None:
    """Objects are checked against the schemas of the Kubernetes version in the table."""
    checks = (repository / "tests/deploy/conftest.py").read_text(encoding="utf-8")
    (checked,) = re.findall(r'^_KUBERNETES = "(.+)"$', checks, re.MULTILINE)
    assert f"schemas of {checked} " in table["Kubernetes"]


@pytest.mark.parametrize(
    ("row", "program"),
    [
        ("Python", "/usr/bin/python3"),
        ("Prometheus", "prometheus"),
        ("Prometheus", "promtool"),
        ("Alertmanager", "prometheus-alertmanager"),
        ("systemd", "systemd-analyze"),
        pytest.param("Containers", "buildah", marks=pytest.mark.field),
        pytest.param("Containers", "podman", marks=pytest.mark.field),
        pytest.param("Containers", "runc", marks=pytest.mark.field),
    ],
)
def test_versions_of_this_debian_are_those_of_the_table(table: dict[str, str], row: str, program: str) -> None:
    """The programs of this Debian release have the versions that the table gives for it."""
    release = platform.freedesktop_os_release()
    named = _named(table[row], f"Debian {release.get('VERSION_ID')}", program) if release["ID"] == "debian" else None
    if named is None:
        pytest.skip(f"the table names nothing for {release['PRETTY_NAME']}")
    path = field_tool(program, fetched=False) if row == "Containers" else tool(program)
    assert f"{_version_of(path, '--version')}.".startswith(f"{named}.")


def test_readme_says_the_same_in_one_line(repository: Path, table: dict[str, str]) -> None:
    """README names, for each program, the first two numbers of each version in the table."""
    readme = (repository / "README.md").read_text(encoding="utf-8")
    (line,) = (line for line in readme.splitlines() if "(docs/compatibility.md)" in line)
    for name in _README:
        short = (".".join(version.split(".")[:2]) for version in _VERSION.findall(table[name]))
        assert f"{name} {' and '.join(short)}" in line
