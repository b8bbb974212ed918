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
        status: The exit status that the command has for it.
        reader_left: Whether it is a pipe whose reader wants no more, of which nobody needs to be told.
    """

    def __init__(self, error: OSError) -> None:
        closed = error.errno == errno.EBADF
        super().__init__(f"cannot write: {'standard output is closed' if closed else error.strerror}")
        self.status = 1
        self.reader_left = error.errno == errno.EPIPE


def can_write(text: str) -> bool:
    """Return whether standard output can write all characters of a text as they are."""
    encoding = sys.stdout.encoding_of_bytes if isinstance(sys.stdout, _StandardOutput) else "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def write_bytes(data: bytes) -> None:
    """Write bytes as they are, whatever the encoding."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise OutputError(error) from None


@contextmanager
def failing_with(status: int) -> Iterator[None]:
    """Flush what the block writes; a failure of that has this exit status."""
    try:
        yield
        sys.stdout.flush()
    except OutputError as error:
        error.status = status
        raise


@contextmanager
def standard_output() -> Iterator[None]:
    """Have standard output escape and fail as above within the block."""
    original: TextIO | None = sys.stdout
    stream = _StandardOutput(original)
    sys.stdout = stream
    try:
        yield
        stream.flush()
    except OutputError:
        with suppress(OSError, AttributeError):  # it has no descriptor, or there is none
            _discard(original.fileno())  # type: ignore[union-attr]
        raise
    finally:
        sys.stdout = original  # Python has None there where it is closed
        with suppress(OutputError):
            stream.detach()


class _Closed(io.RawIOBase):
    """Replace a standard output that the caller closed."""

    def writable(self) -> bool:
        return True

    def write(self, _: object, /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class _StandardOutput(io.TextIOWrapper):
    """Writes to another stream's bytes."""

    def __init__(self, original: TextIO | None) -> None:
        self.encoding_of_bytes = "utf-8" if original is None else original.encoding
        self._original = original
        # click replaces a stream that says that it is ASCII by one of its own.
        is_ascii = codecs.lookup(self.encoding_of_bytes).name == "ascii"
        super().__init__(
            io.BufferedWriter(_Closed(), 1) if original is None else original.buffer,
            encoding="utf-8" if is_ascii else self.encoding_of_bytes,
            errors=_ESCAPE,
            line_buffering=getattr(original, "line_buffering", False),
            write_through=getattr(original, "write_through", False),
        )

    def isatty(self) -> bool:
        return self._original is not None and self._original.isatty()

    def write(self, text: str, /) -> int:
        try:
            super().write(text.encode(self.encoding_of_bytes, _ESCAPE).decode(self.encoding_of_bytes))
        except OSError as error:
            raise OutputError(error) from None
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise OutputError(error) from None


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""Write characters as ``\u20ac``, which JSON reads, too."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101  (narrows the type)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_ESCAPE, _escape)


def _discard(descriptor: int) -> None:
    """Redirect a descriptor to /dev/null, so that no later flush can fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, descriptor)
    finally:
        os.close(null)
