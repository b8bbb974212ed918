"""An event is one line, whatever is in it."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigas_exporter import logs
from gigas_exporter.logs import configure, get_logger, lines_dropped
from gigas_exporter.secret import Secret
from support.timing import allowed

_FIELD = re.compile(r'([A-Za-z0-9_.-]+)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: |$)')


def written(act: Callable[[], object], level: str = "info", *, json_lines: bool = False) -> str:
    """Return what is written while ``act`` runs, without the last line's end."""
    stream = io.StringIO()
    logging.getLogger().handlers.clear()  # pytest's own handler raises what it cannot format
    configure(level, "json" if json_lines else "logfmt", stream)
    act()
    flush()
    return stream.getvalue().removesuffix("\n")


def flush() -> None:
    """Wait until the log's thread has written all lines."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def fields(line: str) -> dict[str, str]:
    """Return the fields of a logfmt line, which must be nothing but fields."""
    found = list(_FIELD.finditer(line))
    assert "".join(field[0] for field in found) == line
    return {field[1]: field[2] for field in found}


def test_an_event_is_a_line_of_facts() -> None:
    """Time, level, logger and event come first, then the facts in their order; what is None is left out."""
    log = get_logger("gigas_exporter.poller").bind(account="4242")
    line = written(lambda: log.info("Poll done", disks=3, seconds=0.25, swap=True, odd="a b", nothing=None, empty=""))
    assert re.sub(r"ts=\S+", "ts=T", line) == (
        'ts=T level=info logger=gigas_exporter.poller msg="Poll done"'
        ' account=4242 disks=3 seconds=0.25 swap=true odd="a b" empty=""'
    )
    assert re.match(r"ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", line)


def test_an_event_can_be_a_line_of_json() -> None:
    """The same fields; numbers and booleans stay what they are."""
    log = get_logger("a")
    line = written(lambda: log.warning("100% bad", n=1, x=float("nan"), ok=False, text="\u2028\ud800"), json_lines=True)
    event = json.loads(line)
    assert list(event) == ["ts", "level", "logger", "msg", "n", "x", "ok", "text"]
    assert (event["level"], event["msg"], event["n"], event["x"], event["ok"]) == ("warn", "100% bad", 1, "nan", False)
    assert line.isascii()


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warn", "error"]),
        ("info", ["info", "warn", "error"]),
        ("warn", ["warn", "error"]),
        ("warning", ["warn", "error"]),
        ("error", ["error"]),
    ],
)
def test_what_is_below_the_level_is_not_written(level: str, expected: list[str]) -> None:
    """The names of the levels are Prometheus'."""
    log = get_logger("a")

    def act() -> None:
        for write in (log.debug, log.info, log.warning, log.error):
            write("event")

    assert [fields(line)["level"] for line in written(act, level).splitlines()] == expected


def test_records_of_the_standard_library_come_out_the_same_way() -> None:
    """Their extra are facts; words that do not fit their arguments do not cost the event."""
    log = logging.getLogger("library")

    def act() -> None:
        log.warning("took %d s", 5, extra={"disk_id": "7", "ts": "mine", "a key": 1})
        log.warning("took %d s", "many")
        log.critical("end")

    first, second, third = map(fields, written(act).splitlines())
    assert (first["msg"], first["disk_id"], first["ts_"], first["a_key"]) == ('"took 5 s"', "7", "mine", "1")
    assert second["msg"] == '"took %d s"'
    assert third["level"] == "error"


@pytest.mark.parametrize("json_lines", [False, True])
def test_a_secret_prints_stars(json_lines: bool) -> None:
    """In the words, in a fact, and inside a list."""
    secret = Secret("canary-secret")

    def act() -> None:
        get_logger("a").info(f"with {secret}", key=secret, keys=[secret])
        logging.getLogger("b").info("with %s", secret, extra={"key": secret})

    text = written(act, "debug", json_lines=json_lines)
    assert text.count("***") == 5
    assert "canary" not in text


@given(st.text(), st.text())
def test_no_text_leaves_its_field(event: str, fact: str) -> None:
    """Line breaks, quotes and control characters are escaped, so that nobody forges a line or a field."""
    line = written(lambda: get_logger("a").info(event, fact=fact, last=1))
    assert line.isprintable()
    assert set(fields(line)) == {"ts", "level", "logger", "msg", "fact", "last"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a=b", '"a=b"'),
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("a\nlevel=error\r\t", '"a\\nlevel=error\\r\\t"'),
        ("\x1b[31m", '"\\u001b[31m"'),
        ("\u202egnp", '"\\u202egnp"'),
        ("\U000e0001", '"\\U000e0001"'),
        ("ñandú", "ñandú"),
    ],
)
def test_text_is_quoted_where_it_must_be(text: str, shown: str) -> None:
    """What stands for itself is not quoted; what a terminal would act on is escaped."""
    assert fields(written(lambda: get_logger("a").info("event", fact=text)))["fact"] == shown


def test_long_text_is_cut() -> None:
    """One answer of the API cannot fill the disk."""
    found = fields(written(lambda: get_logger("a").info("e" * 5000, fact="f" * 5000)))
    assert len(found["msg"]) == len(found["fact"]) == 1024
    assert found["fact"].endswith("f…")


def fail() -> None:
    """Fail with a local variable that must not be seen."""
    hidden = "canary-local"
    raise RuntimeError(f"two\nlines {len(hidden)}")


def test_an_exception_is_its_type_and_place() -> None:
    """On the same line, without its text, which could hold anything, and without a traceback."""

    def act() -> None:
        try:
            fail()
        except RuntimeError:
            get_logger("a").error("bug", exc_info=True)
            logging.getLogger("b").exception("bug")

    for line in written(act).splitlines():
        assert re.fullmatch(r'"RuntimeError at test_logs_lines\.py:\d+"', fields(line)["err"])
        assert "lines 12" not in line
        assert "traceback" not in fields(line)


def test_an_exception_without_frames_is_its_type() -> None:
    """Those that failed polls leave have none."""
    line = written(lambda: get_logger("a").error("bug", exc_info=ValueError("canary")))
    assert fields(line)["err"] == '"ValueError at an unknown place"'
    assert "canary" not in line


def test_a_traceback_is_written_at_debug() -> None:
    """Escaped on the same line, without the values of local variables and without its text."""

    def act() -> None:
        try:
            fail()
        except RuntimeError as error:
            get_logger("a").error("bug", exc_info=error)

    (line,) = written(act, "debug").splitlines()
    assert "in fail\\n" in fields(line)["traceback"]
    assert "lines 12" not in line


def test_no_exception_under_way_adds_nothing() -> None:
    """Asking for the exception where there is none is no error."""
    assert "err" not in fields(written(lambda: get_logger("a").error("bug", exc_info=True)))


def test_the_http_libraries_stay_silent_at_debug() -> None:
    """They would tell of URLs and pieces of answers."""

    def act() -> None:
        logging.getLogger("urllib3.connectionpool").debug("GET /token")
        logging.getLogger("urllib3.connection").warning("Failed to parse headers: canary")
        logging.getLogger("requests").info("x")

    assert written(act, "debug") == ""


def test_configuring_again_replaces_what_was() -> None:
    """A reload changes level, format and stream, and lines do not double."""
    first, second = io.StringIO(), io.StringIO()
    configure("info", "logfmt", first)
    configure("info", "json", second)
    get_logger("a").info("event")
    flush()
    assert first.getvalue() == ""
    assert second.getvalue().count("\n") == 1


def test_lines_go_to_stderr_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is for what a command was asked for."""
    configure("info", "logfmt")
    get_logger("a").info("event")
    flush()
    out, err = capsys.readouterr()
    assert out == ""
    assert fields(err.rstrip("\n"))["msg"] == "event"


def test_a_stream_that_is_gone_costs_nothing_but_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A closed terminal neither stops the process nor brings tracebacks."""
    stream = io.StringIO()
    configure("info", "logfmt", stream)
    stream.close()
    get_logger("a").info("event")
    flush()
    assert capsys.readouterr().err == ""


def test_nobody_waits_for_a_reader_that_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fits neither the pipe nor the queue is dropped and counted; the queued lines come once somebody reads."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream, os.fdopen(reading, "rb") as reader:
        logging.getLogger().handlers.clear()
        configure("info", "logfmt", stream)
        monkeypatch.setattr(logs._QueueHandler, "dropped", 0)
        began = time.monotonic()
        for number in range(3000):
            get_logger("a").info("event", number=number, filler="x" * 200)
        assert time.monotonic() - began < allowed(5)
        dropped = lines_dropped()
        assert 1000 < dropped < 2000
        found = [fields(reader.readline().decode().rstrip("\n"))["number"] for _ in range(3000 - dropped)]
        assert found == sorted(found, key=int)
        flush()
        configure("info", "logfmt")  # ends the thread that writes to the pipe


@pytest.mark.system
def test_logging_loads_no_console_library() -> None:
    """The process stays small: rich is for the commands that draw tables."""
    code = f"import sys, {logs.__name__}; sys.exit('rich' in sys.modules or 'asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0
