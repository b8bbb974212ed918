"""What the tests of deploy/ share: programs that may be missing, and checks of Kubernetes objects."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from support.containers import build_image
from support.programs import give_up, node, run_program

Manifest = dict[str, Any]
_ROOT = Path(__file__).resolve().parents[2]
_KUBERNETES = "1.34"
_OPERATOR = "monitoring.coreos.com/v1"


SchemaProblems = Callable[[list[Manifest]], str]


@pytest.fixture(scope="session")
def schema_problems() -> SchemaProblems:
    """Return a function that gives what the published schemas find wrong with objects, nothing when they are valid."""
    packages = _ROOT / "tests/deploy/node"

    def check(manifests: list[Manifest]) -> str:
        problems = []
        for manifest in manifests:
            if manifest["apiVersion"] != _OPERATOR:
                try:
                    kubernetes_validate.validate(manifest, _KUBERNETES, strict=True)
                except kubernetes_validate.ValidationError as error:
                    problems.append(f"{manifest['kind']}: {error.message}")
        operator = [manifest for manifest in manifests if manifest["apiVersion"] == _OPERATOR]
        script = packages / "validate.mjs"
        done = run_program(node(packages), script, check=False, input=json.dumps(operator))
        return "\n".join([*problems, *done.stdout.splitlines()])

    return check


def _tools(script: str, directory: str) -> Path:
    """Run a script that fetches programs; where it cannot, skip the test, or fail where they must be there."""
    done = run_program(_ROOT / "scripts" / script, seconds=600, check=False)
    if done.returncode:
        give_up(f"scripts/{script}: {(done.stdout + done.stderr).strip()[-300:]}", field=True)
    return _ROOT / "build" / directory / "bin"


Helm = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Return a function that runs the real Helm."""
    program, home = _tools("fetch-helm", "helm") / "helm", tmp_path_factory.mktemp("helm")
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run_program(program, *arguments, seconds=120, env=environment, check=False)

    return run


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """Return the real kubectl."""
    return _tools("fetch-helm", "helm") / "kubectl"


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the name of the image, built from the Dockerfile as it stands."""
    return build_image(tmp_path_factory.mktemp("image"))
