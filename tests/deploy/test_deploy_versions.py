"""The page of what was run with what, and README's line of it, name the versions that the tests run."""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

import pytest

from support.programs import field_tool, tool

_ROW = re.compile(r"^\| (\w+) \| ([^|]+) \|", re.MULTILINE)
_VERSION = re.compile(r"(?<![\w.])\d+\.\d+(?:\.\d+)?")
_README = {"Prometheus", "Alertmanager", "VictoriaMetrics"}


@pytest.fixture(scope="module")
def table(repository: Path) -> dict[str, str]:
    """Return what stands under *versions*, by the name of the row."""
    return dict(_ROW.findall((repository / "docs/compatibility.md").read_text(encoding="utf-8")))


def _named(text: str, release: str) -> str:
    """Return the version in the part of a cell that ends with a release's name."""
    (part,) = (part for part in text.split(")") if part.endswith(f"({release}"))
    return str(_VERSION.findall(part)[-1])


def _version_of(path: str, *arguments: str) -> str:
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=True, timeout=60)
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


@pytest.mark.parametrize(
    ("row", "program"),
    [
        ("Prometheus", "prometheus"),
        ("Prometheus", "promtool"),
        ("Alertmanager", "prometheus-alertmanager"),
        pytest.param("Containers", "buildah", marks=pytest.mark.field),
        pytest.param("Containers", "podman", marks=pytest.mark.field),
        pytest.param("Containers", "runc", marks=pytest.mark.field),
    ],
)
def test_versions_of_debian_12_are_those_that_it_has(table: dict[str, str], row: str, program: str) -> None:
    """On Debian 12 its own programs have the versions of the table."""
    release = platform.freedesktop_os_release()
    if (release.get("ID"), release.get("VERSION_ID")) != ("debian", "12"):
        pytest.skip(f"this is {release.get('PRETTY_NAME')}")
    text = table[row]
    named = re.findall(rf"{program} ([\d.]+)", text) or [_named(text, "Debian 12")]
    path = field_tool(program, fetched=False) if row == "Containers" else tool(program)
    assert f"{_version_of(path, '--version')}.".startswith(f"{named[0]}.")


def test_readme_says_the_same_in_one_line(repository: Path, table: dict[str, str]) -> None:
    """README names, for each program, the first two numbers of each version in the table."""
    readme = (repository / "README.md").read_text(encoding="utf-8")
    (line,) = (line for line in readme.splitlines() if "(docs/compatibility.md)" in line)
    for name in _README:
        short = (".".join(version.split(".")[:2]) for version in _VERSION.findall(table[name]))
        assert f"{name} {' and '.join(short)}" in line
