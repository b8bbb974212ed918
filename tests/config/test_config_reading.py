"""Files are read within bounds of size and time, whatever they are."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from gigas_exporter import files
from gigas_exporter.errors import ConfigError
from gigas_exporter.files import read_text


def test_a_pipe_that_somebody_writes_to_is_read_to_its_end() -> None:
    """As a shell makes of `<(command)`, whose command may take a moment between two lines."""
    reading, writing = os.pipe()

    def write() -> None:
        for piece in (b"one\n", b"two\n"):
            threading.Event().wait(0.2)
            os.write(writing, piece)
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert read_text(Path(f"/dev/fd/{reading}"), "it", 100) == "one\ntwo\n"
    finally:
        writer.join()
        os.close(reading)


def test_a_pipe_that_nobody_writes_to_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one without a writer nor one whose writer says nothing."""
    monkeypatch.setattr(files, "_PIPE_SECONDS", 0.1)
    os.mkfifo(tmp_path / "pipe")
    assert read_text(tmp_path / "pipe", "it", 100) == ""
    reading, writing = os.pipe()
    try:
        with pytest.raises(ConfigError, match=r"^it: delivers no data$"):
            read_text(Path(f"/dev/fd/{reading}"), "it", 100)
    finally:
        os.close(writing)
        os.close(reading)


def test_a_device_without_end_is_too_large() -> None:
    """Nothing more is read than may be."""
    with pytest.raises(ConfigError, match=r"^it: larger than 100 bytes$"):
        read_text(Path("/dev/zero"), "it", 100)


def test_a_directory_is_none_and_leaves_no_descriptor(tmp_path: Path) -> None:
    """However often it is tried."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(ConfigError, match=r"^it: Is a directory$"):
            read_text(tmp_path, "it", 100)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("name", ["\ud800.yml", "a\0.yml"])
def test_a_name_that_no_file_can_have_is_an_error_of_its_own(name: str) -> None:
    """As one with an umlaut has none where the locale's encoding of names is ASCII."""
    with pytest.raises(ConfigError, match=r"^it: its path has a character that the locale's encoding, utf-8, lacks$"):
        read_text(Path(name), "it", 100)
