"""Files written whole or not at all, and the files that ship with the package."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Literal

from gigas_exporter.errors import GigasError

__all__ = ["bundled_directory", "write_whole"]

_PACKAGE = Path(__file__).parent


def bundled_directory(kind: Literal["dashboards", "alerts"]) -> Path:
    """Return where the shipped files of a kind lie: inside the wheel, or in the source tree of an editable install."""
    inside = _PACKAGE / "bundled" / kind
    return inside if inside.is_dir() else _PACKAGE.parent.parent / kind


def write_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file so that a reader, a crash or a full disk never leaves half of it.

    A link goes on pointing to its file, which is what is replaced. What is no file, such as a pipe, and what
    ``/dev/stdout`` leads to is written to as it stands.

    Raises:
        GigasError: It could not be written; what was there before still is.
    """
    given, temporary = path, None
    try:
        if path.exists() and (not path.is_file() or _is_own_output(path)):
            with path.open("ab") as file:
                file.write(content)
            return
        path = Path(os.path.realpath(path))
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise GigasError(f"cannot write {given}: {error.strerror or type(error).__name__}") from None
    finally:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()


def _is_own_output(path: Path) -> bool:
    """Return whether this process writes to a file anyway, which may hold what others wrote: ``/dev/stdout >> log``."""
    for stream in (1, 2):
        with suppress(OSError):
            if os.path.samestat(os.fstat(stream), path.stat()):
                return True
    return False
