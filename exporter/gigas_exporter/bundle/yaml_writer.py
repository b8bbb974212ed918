"""YAML with blocks for texts of several lines."""

from __future__ import annotations

import yaml


class _BlockDumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_BlockDumper.add_representer(str, _represent_text)


def dump_yaml(content: object) -> str:
    """Return a document's text, keys in order."""
    return str(yaml.dump(content, Dumper=_BlockDumper, sort_keys=False, width=2**31, allow_unicode=True))
