"""Short runs of the fuzz target: atheris where it is installed, and hypothesis everywhere."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

TARGET = Path(__file__).with_name("decoding.py")
SECONDS = 8 if os.environ.get("CI") else 4
LEAST_RUNS = 50
SEEDS: tuple[Any, ...] = (
    [{"id": 1, "disk_size": 20, "mount_point": "/", "created_at": "2024-01-31T12:30:00Z", "is_swap": "1"}],
    [{"id": "a", "label": 'x"\\\n', "hostname": "h", "type": "t", "status": "running"}],
    [{"id": 7, "disk_id": 1, "date_created": 1706704200000, "backup_size": 1e3, "status": "completed"}],
    [{"id": 4242, "domain": "example.com"}],
)


def target() -> Any:
    """The target as a module, without running it."""
    specification = importlib.util.spec_from_file_location("fuzz_target", TARGET)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.fuzz


FUZZ = target()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "disk_size", "mount_point", "status", "created_at", "label"]), inner)
    ),
    max_leaves=20,
)


@given(
    data=st.binary(max_size=400)
    | st.builds(lambda kind, value: bytes([kind]) + json.dumps(value).encode(), st.integers(0, 3), JSON)
)
def test_the_target_holds_for_what_hypothesis_makes_up(data: bytes) -> None:
    """Any bytes, and any JSON, end as items that can be shown or as a DecodeError."""
    assert FUZZ(data) is None


def test_the_target_holds_for_what_atheris_finds(tmp_path: Path) -> None:
    """A short run that starts from one answer of each kind finds nothing that breaks it."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris has no wheel for this platform or this Python")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS):
        (corpus / str(number)).write_bytes(bytes([number]) + json.dumps(seed).encode())
    environ = {**os.environ, "COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
    done = subprocess.run(
        [sys.executable, str(TARGET.parent), f"-max_total_time={SECONDS}", "-max_len=512", "-seed=1", str(corpus)],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs is not None
    assert int(runs[1]) >= LEAST_RUNS
