"""Every configuration that the README, docs/, runbooks and examples/ show is accepted by the program that it is for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml
from click.testing import CliRunner

from docs.following import relocated
from docs.pages import PAGES, ROOT, Block, blocks_of
from gigas_exporter.cli.main import cli
from gigas_exporter.config.schema import ConfigFile
from gigas_exporter.web import load_web_config
from gigas_exporter.yaml_loader import load_yaml
from support.certificates import self_signed
from support.programs import run_program, tool

_EXAMPLES: Final = [
    Block(path.relative_to(ROOT).as_posix(), "yaml", path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "examples").glob("*.yml"))
]
_RUNBOOKS: Final = sorted((ROOT / "alerts/runbooks").glob("*.md"))
_BLOCKS: Final = [*_EXAMPLES, *(block for page in (*PAGES, *_RUNBOOKS) for block in blocks_of(page))]
_FILE_KEYS: Final = ("cert_file", "key_file", "ca_file", "password_file", "api_key_file")


def _of(language: str) -> pytest.MarkDecorator:
    found = [block for block in _BLOCKS if block.language == language]
    return pytest.mark.parametrize("block", found, ids=[block.where for block in found])


def _write_files(document: object, directory: Path) -> None:
    """Write what a configuration points to: a certificate with its key, or a secret."""
    if isinstance(document, list):
        for item in document:
            _write_files(item, directory)
    if not isinstance(document, dict):
        return
    certificate, private = self_signed() if {"cert_file", "ca_file"} & document.keys() else (b"", b"")
    for key, value in document.items():
        if key in _FILE_KEYS:
            content = {"cert_file": certificate, "ca_file": certificate, "key_file": private}.get(key, b"secret\n")
            path = directory / value
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o600)
        else:
            _write_files(value, directory)


def _check_exporter(file: Path, document: Mapping[str, Any]) -> None:
    variables = {name: None for name in os.environ if name.startswith("GIGAS_")}
    alone = {} if {"accounts", "discover"} & document.keys() else {"GIGAS_ACCOUNT_ID": "4242", "GIGAS_API_KEY": "k"}
    result = CliRunner().invoke(cli, ["config", "check", str(file)], env={**variables, **alone})
    assert (result.exit_code, result.stderr) == (0, ""), result.output


def _check_prometheus(file: Path, document: Mapping[str, Any]) -> None:
    for pattern in document.get("rule_files", ()):
        run_program(sys.executable, "-m", "gigas_exporter", "alerts", file.parent / Path(pattern).parent)
        assert list(file.parent.glob(pattern)), f"no rule file is called {pattern}"
    run_program(tool("promtool"), "check", "config", file)


def _check_kustomization(_file: Path, document: Mapping[str, Any]) -> None:
    assert document["kind"] == "Kustomization"
    base, *_ = document["resources"]  # the others are made beside it
    assert (ROOT / "deploy" / base / "kustomization.yaml").is_file()
    files = ("gigas-exporter.yaml", "prometheus-operator.yaml")
    manifests = "---\n".join((ROOT / "deploy/kubernetes" / name).read_text(encoding="utf-8") for name in files)
    for image in document["images"]:
        assert f"image: {image['name']}:" in manifests
    kinds = {(each["kind"], each["metadata"]["name"]) for each in yaml.safe_load_all(manifests)}
    assert {(patch["target"]["kind"], patch["target"]["name"]) for patch in document["patches"]} <= kinds


_KINDS: Final[tuple[tuple[frozenset[str], Callable[[Path, Mapping[str, Any]], object]], ...]] = (
    (frozenset(ConfigFile.model_fields), _check_exporter),
    (
        frozenset({"tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"}),
        lambda file, _: load_web_config(file),
    ),
    (frozenset({"global", "scrape_configs", "rule_files", "alerting", "remote_write"}), _check_prometheus),
    (
        frozenset({"global", "route", "receivers", "inhibit_rules", "templates"}),
        lambda file, _: run_program(tool("amtool"), "check-config", file),
    ),
    (frozenset({"groups"}), lambda file, _: run_program(tool("promtool"), "check", "rules", file)),
    (frozenset({"apiVersion", "kind", "resources", "images", "labels", "patches"}), _check_kustomization),
)
"""By which top-level keys a document is known, and who judges it."""


@_of("yaml")
def test_configurations_are_accepted(block: Block, tmp_path: Path) -> None:
    """A YAML block is of a kind that is known here, and the program that reads that kind takes it, with no warning."""
    text = relocated(block.text, tmp_path)
    document = load_yaml(text, block.where)
    assert isinstance(document, dict)
    check = next((check for keys, check in _KINDS if document.keys() <= keys), None)
    assert check is not None, f"{block.where}: nothing here reads {sorted(document)}"
    _write_files(document, tmp_path)
    file = tmp_path / "shown.yml"
    file.write_text(text, encoding="utf-8")
    check(file, document)


@_of("promql")
def test_queries_are_valid(block: Block) -> None:
    """A query can be parsed."""
    assert promql_parser.parse(block.text) is not None


@_of("ini")
def test_drop_ins_are_known_to_systemd(block: Block, tmp_path: Path) -> None:
    """A drop-in that is shown makes systemd complain of nothing in the unit."""
    unit = tmp_path / "gigas-exporter.service"
    text = (ROOT / "deploy/systemd" / unit.name).read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/gigas-exporter/bin/gigas-exporter", f'"{sys.executable}"'), encoding="utf-8")
    (tmp_path / f"{unit.name}.d").mkdir()
    (tmp_path / f"{unit.name}.d" / "shown.conf").write_text(block.text, encoding="utf-8")
    command = [tool("systemd-analyze"), "verify", "--man=no", str(unit)]
    done = run_program(*command, check=False)
    said = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, said) == (0, [])
