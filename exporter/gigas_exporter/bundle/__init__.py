"""The shipped alert rules and dashboards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from gigas_exporter.errors import GigasError
from gigas_exporter.files import reason, write_atomic


def write_files(directory: Path, contents: Mapping[str, bytes], removed: Iterable[Path] = ()) -> list[Path]:
    """Write files into a directory and remove others; return the written ones.

    Raises:
        GigasError: The directory cannot be written to.
    """
    paths = [directory / name for name in contents]
    try:
        for path, content in zip(paths, contents.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content)
        for path in removed:
            path.unlink()
    except OSError as error:
        raise GigasError(f"cannot write into {directory}: {reason(error, 'written to')}") from None
    return paths


class _BlockDumper(yaml.SafeDumper):
    """Writes multi-line strings as block scalars."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_BlockDumper.add_representer(str, _represent_text)


def dump_yaml(content: object) -> str:
    """Return a document as YAML, with its keys in their order."""
    return str(yaml.dump(content, Dumper=_BlockDumper, sort_keys=False, width=2**31, allow_unicode=True))
