"""Standard output that escapes unencodable characters and reports failed writes.

Python's own stream is buffered and may report a failed write only at exit, too late for a command to handle it.
"""

from __future__ import annotations

import codecs
import errno
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

_ESCAPE = "gigas_exporter.escape"


class OutputError(Exception):
    """Standard output could not be written to.

    Attributes:
        reader_left: Whether it is a pipe that the reader has closed, which needs no message.
    """

    def __init__(self, error: OSError) -> None:
        is_closed = isinstance(error, io.UnsupportedOperation)
        super().__init__(f"cannot write: {'standard output is closed' if is_closed else error.strerror}")
        self.reader_left = error.errno == errno.EPIPE


@contextmanager
def standard_output() -> Iterator[None]:
    """Replace :data:`sys.stdout` during the block."""
    original = sys.stdout
    sys.stdout = stream = _StandardOutput(original)
    try:
        yield
        stream.flush()
    except OutputError:
        with suppress(OSError, AttributeError):  # no descriptor, or no stream
            os.dup2(os.open(os.devnull, os.O_WRONLY), original.fileno())  # no later flush can fail
        raise
    finally:
        sys.stdout = original
        stream.detach()


class _StandardOutput(io.TextIOWrapper):
    """Writes to the original stream's buffer."""

    def __init__(self, original: TextIO | None) -> None:
        self._original = original
        # The original is None if standard output is closed. Writes to a read-only file then fail as they should.
        encoding = original.encoding if original is not None else "utf-8"
        super().__init__(
            original.buffer if original is not None else io.FileIO(os.devnull),
            # As in click, which treats an ASCII stream as UTF-8.
            encoding="utf-8" if codecs.lookup(encoding).name == "ascii" else encoding,
            errors=_ESCAPE,
            line_buffering=getattr(original, "line_buffering", False),
            write_through=getattr(original, "write_through", False),
        )

    def isatty(self) -> bool:
        return self._original is not None and self._original.isatty()

    def write(self, text: str, /) -> int:
        with reported_errors():
            return super().write(text)

    def flush(self) -> None:
        with reported_errors():
            super().flush()


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn an :class:`OSError` into an :class:`OutputError`."""
    try:
        yield
    except OSError as error:
        raise OutputError(error) from None


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""Write characters as ``\u20ac``, which JSON reads, too."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101  (narrows the type)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_ESCAPE, _escape)
