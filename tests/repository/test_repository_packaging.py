"""Version, dependencies and locks agree."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions, metadata, packages_distributions, requires, version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gigas_exporter

_PIN = re.compile(r"^(?P<name>[a-z0-9-]+)(?:\[(?P<extras>[a-z0-9,-]+)\])?==(?P<version>\S+)", re.MULTILINE)


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


def _group(project: dict[str, Any], name: str) -> Iterator[Requirement]:
    for entry in project["dependency-groups"][name]:
        if isinstance(entry, dict):
            yield from _group(project, entry["include-group"])
        else:
            yield Requirement(entry)


def _pins(repository: Path, name: str) -> dict[str, str]:
    text = (repository / "requirements" / name).read_text(encoding="utf-8")
    return {pin["name"]: pin["version"] for pin in _PIN.finditer(text)}


def _unsatisfied(requirements: Iterator[Requirement], pins: dict[str, str]) -> list[str]:
    return [
        str(requirement)
        for requirement in requirements
        if pins.get(canonicalize_name(requirement.name)) is None
        or not requirement.specifier.contains(pins[canonicalize_name(requirement.name)])
    ]


def test_the_version_stands_in_one_place(repository: Path) -> None:
    """The installed version, the Helm chart, the image in the manifests and the changelog follow the package's."""
    chart = yaml.safe_load((repository / "deploy/helm/gigas-exporter/Chart.yaml").read_text("utf-8"))
    manifests = (repository / "deploy/kubernetes/gigas-exporter.yaml").read_text(encoding="utf-8")
    changelog = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    assert version("gigas-exporter") == gigas_exporter.__version__
    assert chart["appVersion"] == gigas_exporter.__version__
    assert f"image: gigas-exporter:{gigas_exporter.__version__}" in manifests
    assert re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)[:2] == ["Unreleased", gigas_exporter.__version__]


def test_the_maintainers_stand_in_one_place(repository: Path, project: dict[str, Any]) -> None:
    """The Debian package's maintainers, with where to reach them, and its address are those of pyproject.toml."""
    control = (repository / "deploy/debian/control").read_text(encoding="utf-8")
    fields = dict(re.findall(r"^(Maintainer|Homepage): (.*)$", control, re.MULTILINE))
    (maintainers,), urls = project["project"]["maintainers"], project["project"]["urls"]
    assert fields == {"Maintainer": f"{maintainers['name']} <{urls['Issues']}>", "Homepage": urls["Homepage"]}


def test_the_address_stands_in_one_place(project: dict[str, Any]) -> None:
    """The addresses in the package's metadata are at the repository that the code names."""
    urls = project["project"]["urls"]
    assert urls["Homepage"] == gigas_exporter.REPOSITORY
    assert [url for url in urls.values() if not url.startswith(gigas_exporter.REPOSITORY)] == []


def test_the_description_can_be_read_outside_of_the_repository() -> None:
    """Each link of the page that a package index shows is a whole address, and it says what was never tried."""
    text = " ".join(metadata("gigas-exporter")["Description"].split())
    targets = re.findall(r"\]\(([^)]*)\)", text)
    assert f"{gigas_exporter.REPOSITORY}#readme" in targets
    assert [target for target in targets if not target.startswith("https://")] == []
    assert "has never run against a real account" in text


@pytest.mark.parametrize(
    ("lock", "group"),
    [("runtime", None), ("dev", None), *((group, group) for group in ("dev", "build", "release"))],
)
def test_a_lock_satisfies_what_it_is_for(
    repository: Path, project: dict[str, Any], lock: str, group: str | None
) -> None:
    """Each dependency, or tool of a group, is locked at a version inside its range in pyproject.toml."""
    wanted = _group(project, group) if group else map(Requirement, project["project"]["dependencies"])
    assert _unsatisfied(wanted, _pins(repository, f"{lock}.txt")) == [], "run make lock"


@pytest.mark.parametrize("lock", ["runtime.txt", "build.txt"])
def test_what_users_install_is_what_the_tests_ran_with(repository: Path, lock: str) -> None:
    """The smaller locks are cut from the one that the tests run with."""
    pins = _pins(repository, lock)
    assert pins
    assert pins.items() <= _pins(repository, "dev.txt").items()


@pytest.mark.parametrize("lock", ["runtime.txt", "build.txt", "dev.txt", "release.txt"])
def test_locks_have_hashes_and_no_places(repository: Path, lock: str) -> None:
    """Each pin has a hash; no index, no address and no path of some machine is in a lock."""
    text = (repository / "requirements" / lock).read_text(encoding="utf-8")
    entries = [entry for entry in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE) if _PIN.match(entry)]
    assert len(entries) == len(_pins(repository, lock))
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"://|--index|--find-links|--extra|file:|@ ", text)


def test_an_extra_that_a_package_asks_for_stands_in_the_lock(repository: Path) -> None:
    """With `coverage==1.2` locked, Debian 12's pip takes the newest release for `coverage[toml]`, and refuses it."""
    text = (repository / "requirements/dev.txt").read_text(encoding="utf-8")
    locked = {pin["name"]: set((pin["extras"] or "").split(",")) for pin in _PIN.finditer(text)}
    installed = {canonicalize_name(found.name) for found in distributions()}
    asked = [
        (name, requirement)
        for name in locked.keys() & installed
        for requirement in map(Requirement, requires(name) or ())
        if requirement.extras and (requirement.marker is None or requirement.marker.evaluate({"extra": ""}))
    ]
    assert "pytest-cov" in {name for name, _ in asked}
    assert [pair for pair in asked if not pair[1].extras <= locked[canonicalize_name(pair[1].name)]] == []


def test_the_image_takes_nothing_that_is_not_locked(repository: Path) -> None:
    """Whatever pip takes from an index for the image is locked by hash and a wheel; the rest it takes from nowhere."""
    text = (repository / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    installs = re.findall(r"\bpip\b[^&\n]* (?:install|wheel) [^&\n]*", text)
    assert len(installs) == 4
    for install in installs:
        assert {"--require-hashes", "--only-binary"} <= set(install.split()) or "--no-index" in install


def test_runtime_is_free_of_tools(repository: Path) -> None:
    """What users install has no test, build or lint tool in it."""
    tools = {
        "pytest",
        "hatchling",
        "mypy",
        "ruff",
        "coverage",
        "build",
        "uv",
        "cryptography",
        "hypothesis",
        "setuptools",
    }
    assert not tools & _pins(repository, "runtime.txt").keys()


@pytest.fixture(scope="module")
def third_party(repository: Path) -> set[str]:
    """Return the distributions that the package imports from."""
    names = set()
    for path in (repository / "exporter").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(str(node.module).split(".")[0])
    names -= {*sys.stdlib_module_names, "gigas_exporter"}
    where = packages_distributions()
    return {canonicalize_name(distribution) for name in names for distribution in where[name]}


def test_dependencies_are_those_that_are_imported(project: dict[str, Any], third_party: set[str]) -> None:
    """No dependency is declared that nothing imports, and none is imported that is not declared."""
    declared = {canonicalize_name(Requirement(text).name) for text in project["project"]["dependencies"]}
    # pydantic-core is pydantic's other half, pinned by it to one exact version; zoneinfo reads what tzdata brings.
    assert third_party - {"pydantic-core"} | {"tzdata"} == declared


def test_supported_pythons_are_told_once(project: dict[str, Any]) -> None:
    """The oldest Python of requires-python is the oldest of the classifiers, of ruff and of the locks."""
    oldest = project["project"]["requires-python"].removeprefix(">=")
    minors = [
        classifier.rpartition(" ")[2]
        for classifier in project["project"]["classifiers"]
        if re.search(r":: 3\.\d+$", classifier)
    ]
    assert minors[0] == oldest
    assert project["tool"]["ruff"]["target-version"] == "py" + oldest.replace(".", "")
    assert default_environment()["python_version"] in minors


def test_the_wheel_carries_what_users_can_write_out(repository: Path, project: dict[str, Any]) -> None:
    """Each dashboard, rule file and runbook goes into the wheel, and what only makes or tests them does not."""
    carried = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {name for name in carried if name.startswith("dashboards")} == {
        path.relative_to(repository).as_posix() for path in (repository / "dashboards").glob("*.json")
    }
    assert {name for name in carried if name.startswith("alerts")} == {
        "alerts/runbooks",
        *(path.relative_to(repository).as_posix() for path in (repository / "alerts").glob("*.yml")),
    }
    for name, target in carried.items():
        assert (repository / name).exists(), name
        assert target == f"gigas_exporter/bundled/{name}"
