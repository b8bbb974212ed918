"""The log: one line per event, as logfmt or JSON.

A module logs a constant message with facts as keywords, through ``get_logger(__name__)``. Records of the standard
library's loggers are formatted in the same way, with their ``extra``. Text is escaped, so that it stays inside its line
and its field, and cut where it is long. A :class:`~gigas_exporter.secret.Secret` prints ``***``.

This uses the standard library's ``logging``: a logging library was measured to cost 7 MB of memory, for a console
renderer that is never used here. One thread writes the lines, so that no other thread waits for the reader of the log;
while the queue is full, lines are dropped and counted.
"""

from __future__ import annotations

import json
import logging
import math
import os
import queue
import re
import sys
import threading
import traceback
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

from gigas_exporter import formatting

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_LEVEL_NAMES: Final = {logging.WARNING: "warn", logging.CRITICAL: "error"}
_HEAD: Final = ("ts", "level", "logger", "msg")
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "facts"}
_PLAIN: Final = re.compile(r"[^\s\"=\\]+")
_NOT_IN_KEYS: Final = re.compile(r"[^A-Za-z0-9_.-]")
_MAXIMUM_TEXT: Final = 1024
_MAXIMUM_TRACEBACK: Final = 8192
_QUEUE_LINES: Final = 1000
_FLUSH_SECONDS: Final = 1.0


class Logger(logging.LoggerAdapter[logging.Logger]):
    """Logs a module's events, each with this logger's facts."""

    def bind(self, **facts: object) -> Logger:
        """Return a logger that adds these facts."""
        return Logger(self.logger, {**(self.extra or {}), **facts})

    def process(self, msg: str, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """Pass all keywords but ``exc_info`` to the formatter, as facts."""
        error = kwargs.pop("exc_info", None)
        return msg, {"exc_info": error, "extra": {"facts": {**(self.extra or {}), **kwargs}}}


def get_logger(name: str) -> Logger:
    """Return the logger of a module."""
    return Logger(logging.getLogger(name), {})


def configure(level: str, format: Literal["logfmt", "json"], stream: TextIO | None = None) -> None:  # noqa: A002  (the flag's name)
    """Log events of a level and above to a stream, by default stderr."""
    min_level = _LEVELS[level]
    target = sys.stderr if stream is None else stream
    root = logging.getLogger()
    handler = None
    for old in [old for old in root.handlers if isinstance(old, _QueueHandler)]:
        if old.stream is target:
            handler = old
        else:
            root.removeHandler(old)
            old.close()
    if handler is None:
        handler = _QueueHandler(target)
        root.addHandler(handler)
    handler.setFormatter(_Formatter(json_lines=format == "json", tracebacks=min_level <= logging.DEBUG))
    root.setLevel(min_level)
    # Below level error, urllib3 logs URLs and parts of responses that it could not parse, which may hold a secret.
    for library in ("urllib3", "requests"):
        logging.getLogger(library).setLevel(logging.ERROR)


def lines_dropped() -> int:
    """Return how many log lines were dropped."""
    return _QueueHandler.dropped


class _QueueHandler(logging.Handler):
    """Queues lines for a thread that writes them."""

    dropped = 0

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(_QUEUE_LINES)
        threading.Thread(target=self._write_lines, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the line, or drop and count it."""
        try:
            self._lines.put_nowait(self.format(record) + "\n")
        except queue.Full:
            self._count_dropped()

    def flush(self) -> None:
        """Wait at most a second until the queued lines are written."""
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, _FLUSH_SECONDS)

    def close(self) -> None:
        """End the thread once it has written the queue."""
        with suppress(queue.Full):  # the thread is blocked by the log's reader, and ends with the process
            self._lines.put_nowait(None)
        super().close()

    def _write_lines(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                _write(self.stream, line)
            except (OSError, ValueError):  # a full disk, a reader that is gone, a closed stream
                self._count_dropped()
            self._lines.task_done()
        self._lines.task_done()

    def _count_dropped(self) -> None:
        self.acquire()
        _QueueHandler.dropped += 1
        self.release()


def _write(stream: TextIO, line: str) -> None:
    """Bypass the stream's buffer, whose lock could block the interpreter's exit."""
    try:
        descriptor = stream.fileno()
    except OSError:  # also io.UnsupportedOperation: a stream in memory
        stream.write(line)
        return
    data = line.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(descriptor, data) :]


class _Formatter(logging.Formatter):
    def __init__(self, *, json_lines: bool, tracebacks: bool) -> None:
        super().__init__()
        self._write = _json if json_lines else _logfmt
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        fields: dict[str, object] = {
            "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": _LEVEL_NAMES.get(record.levelno, record.levelname.lower()),
            "logger": record.name,
            "msg": _cut(_message(record)),
        }
        for key, value in _facts(record).items():
            name = _NOT_IN_KEYS.sub("_", key)
            if value is not None:
                fields[f"{name}_" if name in _HEAD else name] = _scalar(value)
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            # Never its text, which may quote anything, even a response.
            fields["err"] = f"{type(error).__name__} at {formatting.error_location(error)}"
            if self._tracebacks:
                trace = "".join(traceback.format_tb(error.__traceback__))
                fields["traceback"] = trace[-_MAXIMUM_TRACEBACK:]
        return self._write(fields)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit the format must not lose the event
        return str(record.msg)


def _facts(record: logging.LogRecord) -> dict[str, object]:
    given = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
    return {**given, **record.__dict__.get("facts", {})}


def _scalar(value: object) -> object:
    """Return a value that both formats can write."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else str(value)
    return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _MAXIMUM_TEXT else text[: _MAXIMUM_TEXT - 1] + "…"


def _json(fields: Mapping[str, object]) -> str:
    return json.dumps(fields)


def _logfmt(fields: Mapping[str, object]) -> str:
    return " ".join(f"{key}={_logfmt_value(value)}" for key, value in fields.items())


def _logfmt_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if text.isprintable() and _PLAIN.fullmatch(text):
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    return short or (f"\\u{ord(character):04x}" if ord(character) <= 0xFFFF else f"\\U{ord(character):08x}")  # noqa: PLR2004
