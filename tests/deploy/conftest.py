"""What the tests of deploy/ share: programs that may be missing, and as much of kustomize as the manifests use.

The real kustomize is a Go program that neither Debian nor PyPI has; where kubectl is there, a test compares the two.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Manifest = dict[str, Any]
_ROOT = Path(__file__).resolve().parents[2]
_KNOWN = {"apiVersion", "kind", "resources", "labels", "configMapGenerator", "generatorOptions", "images", "patches"}


@pytest.fixture(scope="session")
def repository() -> Path:
    return _ROOT


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Return a function that finds a program, and skips the test where it is missing (in CI: fails)."""

    def find(name: str) -> str:
        beside_python = _ROOT / ".venv" / "bin" / name
        path = shutil.which(name) or (str(beside_python) if beside_python.exists() else None)
        if path is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{name} is not installed")
        return path

    return find


@pytest.fixture(scope="session")
def kustomize() -> Callable[[Path], list[Manifest]]:
    """Return a function that gives the objects of a kustomization."""
    return _build


def _build(directory: Path) -> list[Manifest]:
    kustomization = yaml.safe_load((directory / "kustomization.yaml").read_text(encoding="utf-8"))
    assert set(kustomization) <= _KNOWN, "teach this stand-in what the manifests newly use"
    manifests: list[Manifest] = []
    for resource in kustomization.get("resources", []):
        path = directory / resource
        manifests += _build(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    for generator in kustomization.get("configMapGenerator", []):
        data = {Path(name).name: (directory / name).read_text(encoding="utf-8") for name in generator["files"]}
        metadata: Manifest = {"name": generator["name"]}
        if options := kustomization.get("generatorOptions"):
            assert options["disableNameSuffixHash"]
            metadata["labels"] = dict(options["labels"])
        manifests.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    for patch in kustomization.get("patches", []):
        _patch(manifests, patch)
    for labels in kustomization.get("labels", []):
        _label(manifests, labels)
    for image in kustomization.get("images", []):
        _retag(manifests, image)
    return manifests


def _patch(manifests: list[Manifest], patch: dict[str, Any]) -> None:
    target = patch["target"]
    matching = [
        manifest
        for manifest in manifests
        if manifest["kind"] == target["kind"] and re.fullmatch(target["name"], manifest["metadata"]["name"])
    ]
    assert matching, f"no object for the patch of {target}"
    for manifest in matching:
        for operation in yaml.safe_load(patch["patch"]):
            _apply(manifest, operation)


def _apply(manifest: Manifest, operation: dict[str, Any]) -> None:
    """Apply one operation of a JSON patch (RFC 6902)."""
    *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:])
    place: Any = manifest
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if operation["op"] != "add":
        assert last in place, f"{operation['op']} of what is not there: {operation['path']}"
    if operation["op"] == "remove":
        del place[last]
    elif isinstance(place, list):
        place.insert(len(place) if last == "-" else int(last), copy.deepcopy(operation["value"]))
    else:
        place[last] = copy.deepcopy(operation["value"])


def _label(manifests: list[Manifest], labels: dict[str, Any]) -> None:
    for manifest in manifests:
        manifest["metadata"].setdefault("labels", {}).update(labels["pairs"])
        template = manifest.get("spec", {}).get("template")
        if template and labels.get("includeTemplates"):
            template["metadata"].setdefault("labels", {}).update(labels["pairs"])


def _retag(manifests: list[Manifest], image: dict[str, Any]) -> None:
    for manifest in manifests:
        pod = manifest.get("spec", {}).get("template", {}).get("spec", {})
        for container in pod.get("containers", []):
            if container["image"] == image["name"]:
                container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Return the Node packages of these tests, which `make test` installs from their lock."""
    path = _ROOT / "tests/deploy/node/node_modules"
    if not path.is_dir():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("tests/deploy/node: run make node")
    return path


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with what `make deploy` writes."""
    directory = tmp_path_factory.mktemp("generated")
    script = _ROOT / "scripts/generate_kubernetes.py"
    subprocess.run([sys.executable, script, directory], check=True, stdout=subprocess.DEVNULL, timeout=120)
    return directory
