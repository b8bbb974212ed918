"""The GitHub workflows: valid, pinned, with the least rights, and calling what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.programs import run_program

_PINNED = re.compile(r"^ *(?:- )?uses: (?P<action>[\w./-]+)@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
_LOCAL = re.compile(r"^ *uses: (?P<path>\./\S+)")


@pytest.fixture(params=["ci.yml", "release.yml"])
def workflow(request: pytest.FixtureRequest, repository: Path) -> Path:
    return repository / ".github/workflows" / str(request.param)


def _jobs(workflow: Path) -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"])


def _commands(workflow: Path) -> Iterator[str]:
    for job in _jobs(workflow).values():
        for step in job.get("steps", []):
            yield step.get("run", "")


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [("vendor.github-workflows", ".github/workflows/*.yml"), ("vendor.dependabot", ".github/dependabot.yml")],
)
def test_files_fit_their_schemas(repository: Path, schema: str, pattern: str) -> None:
    """Each file of .github is valid by its published schema."""
    files = sorted(repository.glob(pattern))
    assert files
    run_program(sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files)


def test_actions_are_pinned_by_commit(workflow: Path, repository: Path) -> None:
    """Each action of others is named by a whole commit hash with its version beside it; our own are there."""
    lines = [line for line in workflow.read_text(encoding="utf-8").splitlines() if re.match(r" *(- )?uses:", line)]
    assert lines
    for line in lines:
        local = _LOCAL.match(line)
        assert (repository / local["path"]).is_file() if local else _PINNED.match(line), line


def test_rights_are_the_least(workflow: Path) -> None:
    """The workflow may read only; a job that needs more says so itself, and no job may write everything."""
    loaded = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert loaded["permissions"] == {"contents": "read"}
    for name, job in loaded["jobs"].items():
        assert isinstance(job.get("permissions", {}), dict), name
        assert "uses" in job or job["timeout-minutes"] <= 60, name
        for step in job.get("steps", []):
            if "actions/checkout@" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False, name


def test_commands_exist(workflow: Path, repository: Path) -> None:
    """Each make target and each file of the repository that a step names is there."""
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for command in _commands(workflow):
        for made in re.findall(r"\bmake ([a-z ]+)", command):
            assert set(made.split()) <= targets, command
        for path in re.findall(r"(?<![\w/.])(?:scripts|deploy|\.ci)/[\w./-]+", command):
            assert (repository / path.rstrip("/")).exists(), command


def test_the_tests_run_on_every_supported_python(repository: Path) -> None:
    """The matrix has each Python of the classifiers, and runs what every developer runs."""
    job = _jobs(repository / ".github/workflows/ci.yml")["test"]
    text = (repository / "pyproject.toml").read_text(encoding="utf-8")
    assert job["strategy"]["matrix"]["python"] == re.findall(r"Python :: (3\.\d+)", text)
    assert ".ci/run" in [step.get("run") for step in job["steps"]]


def test_what_users_install_is_looked_up_and_listed(repository: Path) -> None:
    """Each change is looked up among known vulnerabilities, and each release comes with its list."""
    assert any("make audit" in each for each in _commands(repository / ".github/workflows/ci.yml"))
    assert "pip-audit --strict " in (repository / "Makefile").read_text(encoding="utf-8")
    assert any("make dist sbom" in each for each in _commands(repository / ".github/workflows/release.yml"))


def test_a_release_waits_for_the_tests(repository: Path) -> None:
    """Nothing is published before the tests have passed, and the tag was compared with code and changelog."""
    jobs = _jobs(repository / ".github/workflows/release.yml")
    assert any("scripts/release_notes.py" in step.get("run", "") for step in jobs["dist"]["steps"])

    def before(name: str) -> set[str]:
        needs = jobs[name].get("needs", [])
        direct = {needs} if isinstance(needs, str) else set(needs)
        return direct.union(*(before(other) for other in direct))

    for name in jobs.keys() - {"test", "dist"}:
        assert {"test", "dist"} <= before(name), name
    assert "test" in before("dist")


def test_a_release_is_of_this_repository(repository: Path) -> None:
    """The workflow compares where it runs with the address in the code, by a line that is there."""
    steps = _jobs(repository / ".github/workflows/release.yml")["dist"]["steps"]
    (command,) = (step["run"] for step in steps if "GITHUB_REPOSITORY" in step.get("run", ""))
    for name, status in (("gigas-exporter/gigas-exporter", 0), ("somebody/gigas-exporter", 1)):
        done = subprocess.run(
            ["bash", "-e", "-c", command],
            cwd=repository,
            env={"PATH": "/usr/bin:/bin", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": name},
            check=False,
        )
        assert done.returncode == status, name


def test_the_labels_of_an_image_are_those_of_the_dockerfile(repository: Path) -> None:
    """A release gives each argument that the Dockerfile has but its base, and no labels over those made of them."""
    steps = _jobs(repository / ".github/workflows/release.yml")["image"]["steps"]
    (push,) = (step["with"] for step in steps if "docker/build-push-action@" in step.get("uses", ""))
    assert "labels" not in push
    dockerfile = (repository / "Dockerfile").read_text(encoding="utf-8")
    arguments = set(re.findall(r"^ARG (\w+)", dockerfile, re.MULTILINE))
    assert set(re.findall(r"^(\w+)=", push["build-args"], re.MULTILINE)) == arguments - {"PYTHON_IMAGE"}
