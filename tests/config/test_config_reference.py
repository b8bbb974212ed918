"""The reference for people is in step with the models."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from gigas_exporter.config import FLAGS
from gigas_exporter.config.reference import render_reference

_PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_what_the_models_say() -> None:
    """Whoever changes a model writes the page anew: python -m gigas_exporter.config.reference."""
    assert _PAGE.read_text(encoding="utf-8") == render_reference()


def test_the_page_can_be_written_with_one_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running the module prints the page."""
    monkeypatch.delitem(sys.modules, "gigas_exporter.config.reference")
    runpy.run_module("gigas_exporter.config.reference", run_name="__main__")
    assert capsys.readouterr().out == render_reference()


def test_every_flag_stands_on_the_page_with_its_default() -> None:
    """The table is made from the flags."""
    page = render_reference()
    for flag in FLAGS:
        row = next(line for line in page.splitlines() if line.startswith(f"| `--{flag.name}"))
        assert f"`{flag.env}`" in row
        assert not flag.default or f"| `{flag.default}` |" in row


def test_every_key_has_a_kind_and_a_meaning() -> None:
    """No row of a table of keys is left half empty."""
    rows = [line for line in render_reference().splitlines() if line.startswith("| `") and "GIGAS" not in line]
    assert len(rows) > 40
    for row in rows:
        _, key, kind, _, meaning, _ = row.split(" | ".strip())
        assert key.strip()
        assert kind.strip()
        assert meaning.strip().endswith(".")


def test_flags_carry_what_the_command_line_needs() -> None:
    """Each has its variable, a sentence of help, and a metavar unless it is a switch."""
    by_name = {flag.name: flag for flag in FLAGS}
    assert len(by_name) == len(FLAGS)
    for flag in FLAGS:
        assert flag.env == "GIGAS_" + flag.name.upper().replace(".", "_").replace("-", "_")
        assert flag.help.endswith(".")
        assert bool(flag.metavar) is (flag.kind != "boolean")
    assert by_name["api.page-size"].kind == "integer"
    assert by_name["api.max-requests-per-second"].kind == "number"
    assert by_name["backups.source"].choices == ("auto", "account", "disk")
    assert by_name["web.listen-address"].default == ":10063"
