"""Standard output that escapes what its encoding lacks, and reports failures.

Python's own reports a write that fails only when its buffer is full, at the latest when the process ends, where no
command can say so any more.
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
    """Standard output did not take what was written.

    Attributes:
        reader_left: Whether it is a pipe whose reader wants no more, of which nobody needs to be told.
    """

    def __init__(self, error: OSError) -> None:
        is_closed = isinstance(error, io.UnsupportedOperation)
        super().__init__(f"cannot write: {'standard output is closed' if is_closed else error.strerror}")
        self.reader_left = error.errno == errno.EPIPE


@contextmanager
def standard_output() -> Iterator[None]:
    """Have standard output escape and fail as above within the block."""
    original = sys.stdout
    sys.stdout = stream = _StandardOutput(original)
    try:
        yield
        stream.flush()
    except OutputError:
        with suppress(OSError, AttributeError):  # it has no descriptor, or there is none
            os.dup2(os.open(os.devnull, os.O_WRONLY), original.fileno())  # no later flush can fail
        raise
    finally:
        sys.stdout = original
        with suppress(OutputError):
            stream.detach()


class _StandardOutput(io.TextIOWrapper):
    """Writes to another stream's bytes."""

    def __init__(self, original: TextIO | None) -> None:
        self._original = original
        # Python has None where it is closed; nothing can be written to a file that is open for reading.
        encoding = original.encoding if original is not None else "utf-8"
        super().__init__(
            original.buffer if original is not None else io.FileIO(os.devnull),
            # As click has it, which replaces a stream that says that it is ASCII.
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
    """Raise what the system says of writing as :class:`OutputError`."""
    try:
        yield
    except OSError as error:
        raise OutputError(error) from None


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""Write characters as ``\u20ac``, which JSON reads, too."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101  (narrows the type)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_ESCAPE, _escape)
