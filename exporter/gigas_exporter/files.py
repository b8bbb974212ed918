"""Bounded reads and atomic writes of files."""

from __future__ import annotations

import os
import select
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from gigas_exporter.errors import ConfigError, GigasError

_PACKAGE = Path(__file__).parent
_PIPE_SECONDS = 3
_NAME_LENGTH = 50  # characters of a file's name that its temporary file's name has; file systems limit the length
_RANDOM_LENGTH = 8  # random characters in a name that tempfile makes
_LEFTOVER_SECONDS = 600.0
_MAX_BYTES = 4 * 1024 * 1024


def bundled_directory(kind: Literal["dashboards", "alerts"]) -> Path:
    """Return the directory of the shipped files, also in a source tree."""
    inside = _PACKAGE / "bundled" / kind
    return inside if inside.is_dir() else _PACKAGE.parent.parent / kind


def reason(error: OSError, what: str) -> str:
    """Return why a file could not be read or written, and what to do."""
    words = error.strerror or type(error).__name__
    if isinstance(error, PermissionError):
        return f"may not be {what} by uid {os.geteuid()} ({words}); change its owner or mode, or its directory's"
    return words


def read_text(path: Path, name: str, max_bytes: int = _MAX_BYTES) -> str:
    """Return a file's text; errors call it ``name``.

    A pipe, such as the shell's ``<(command)``, may pause for a few seconds at most, since the caller cannot shut down
    while it waits.

    Raises:
        ConfigError: It cannot be read, is larger than ``max_bytes``, or is not UTF-8.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            content = _read_bytes(handle, max_bytes + 1)
        finally:
            os.close(handle)
    except TimeoutError:
        raise ConfigError(f"{name}: delivers no data") from None
    except OSError as error:
        raise ConfigError(f"{name}: {reason(error, 'read')}") from None
    except ValueError:
        encoding = sys.getfilesystemencoding()
        raise ConfigError(f"{name}: its path has a character that the locale's encoding, {encoding}, lacks") from None
    if len(content) > max_bytes:
        raise ConfigError(f"{name}: larger than {max_bytes} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: not UTF-8 text") from None


def _read_bytes(handle: int, most: int) -> bytes:
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    content = b""
    while len(content) < most:
        try:
            piece = os.read(handle, most - len(content))
        except BlockingIOError:
            if not waiting.poll(1000 * _PIPE_SECONDS):
                raise TimeoutError from None
            continue
        if not piece:
            break
        content += piece
    return content


@contextmanager
def memfd_path(text: str) -> Iterator[str]:
    """Yield the path of an in-memory file with the text."""
    descriptor = os.memfd_create("text", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def write_atomic(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file atomically: no reader ever sees half of it.

    A symbolic link stays, and its target is replaced. A pipe or device, and the file that stdout or stderr goes to, is
    appended to instead.

    Raises:
        GigasError: It could not be written; the previous content remains.
    """
    given, temporary = path, None
    try:
        if path.exists() and (not path.is_file() or _is_own_output(path)):
            with path.open("ab") as file:
                file.write(content)
            return
        path = Path(os.path.realpath(path))
        prefix, suffix = f".{path.name[:_NAME_LENGTH]}.", ".tmp"
        _remove_leftovers(path.parent, prefix, suffix)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=suffix)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise GigasError(f"cannot write {given}: {reason(error, 'written to')}") from None
    finally:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()


def _remove_leftovers(directory: Path, prefix: str, suffix: str) -> None:
    """Remove old temporary files of writers that were killed."""
    oldest = time.time() - _LEFTOVER_SECONDS
    with suppress(OSError):
        for path in list(directory.iterdir()):
            is_ours = path.name.startswith(prefix) and path.name.endswith(suffix)
            if is_ours and len(path.name) == len(prefix) + _RANDOM_LENGTH + len(suffix):
                with suppress(OSError):
                    if path.lstat().st_mtime < oldest:
                        path.unlink()


def _is_own_output(path: Path) -> bool:
    """Return whether stdout or stderr goes to a file."""
    for stream in (1, 2):
        with suppress(OSError):
            if os.path.samestat(os.fstat(stream), path.stat()):
                return True
    return False
