"""What the Dockerfile promises that the built image cannot show; ``test_deploy_image.py`` builds and runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def stages(repository: Path) -> list[str]:
    """Return the text before the first stage, and of each, with continued lines joined and no comments."""
    text = (repository / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return re.split(r"(?=^FROM )", text, flags=re.MULTILINE)


def test_the_base_can_be_pinned_by_digest(stages: list[str]) -> None:
    """Both stages start from the same slim image, to which a digest can be given."""
    arguments, *built = stages
    assert arguments.split() == [
        *("ARG", "PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm"),
        *("ARG", "BASE_DIGEST="),
    ]
    assert [stage.split()[1] for stage in built] == ["${PYTHON_IMAGE}${BASE_DIGEST:+@${BASE_DIGEST}}"] * 2


def test_installs_are_locked_by_hash(stages: list[str]) -> None:
    """Whatever pip takes from an index is locked by hash and a wheel; the rest it takes from nowhere."""
    commands = [part for run in re.findall(r"^RUN (.*)$", stages[1], re.MULTILINE) for part in run.split("&&")]
    installs = [command for command in commands if re.search(r"\bpip\b.* (install|wheel) ", command)]
    assert len(installs) == 4
    for install in installs:
        assert {"--require-hashes", "--only-binary"} <= set(install.split()) or "--no-index" in install


def test_the_final_stage_has_nothing_to_build_with(stages: list[str]) -> None:
    """The final stage takes the finished environment alone, installs nothing but tini, and removes pip."""
    final = stages[2]
    assert re.findall(r"^COPY (.*)$", final, re.MULTILINE) == ["--from=build /opt/gigas-exporter /opt/gigas-exporter"]
    commands = [part.split() for run in re.findall(r"^RUN (.*)$", final, re.MULTILINE) for part in run.split("&&")]
    installs = [command for command in commands if "install" in command]
    assert installs == [["apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends", "tini"]]
    assert ["python", "-m", "pip", "uninstall"] in [command[:4] for command in commands]
    assert "VOLUME" not in final
