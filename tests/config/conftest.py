"""What the tests of the configuration share: a file that is loaded as the process would."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gigas_exporter.config import Settings, load_settings

Load = Callable[..., Settings]
_LOCATION = re.compile(r"^\S*gigas\.yml:[0-9]+: ")


def without_location(text: str) -> str:
    """Return a problem or warning without the file and line before it."""
    return _LOCATION.sub("", text)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that writes a file, if any, and loads it with flags and an environment."""

    def run(
        text: str | None = None,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        path = None
        if text is not None:
            path = tmp_path / "gigas.yml"
            path.write_text(text, encoding="utf-8")
        return load_settings(path, flags or {}, environ or {})

    return run
