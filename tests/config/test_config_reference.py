"""The reference for people is in step with the models."""

from __future__ import annotations

from gigas_exporter.config import FLAGS
from reference_pages.configuration import render_reference


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
