"""Histogram are read and written as Prometheus does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigas_exporter.config.parsers import parse_duration
from gigas_exporter.formatting import format_duration

_UNITS = ("y", "w", "d", "h", "m", "s", "ms")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1d", 86400),
        ("1w", 604800),
        ("1y", 31536000),
        ("1y2w3d4h5m6s7ms", 31536000 + 2 * 604800 + 3 * 86400 + 4 * 3600 + 5 * 60 + 6.007),
        ("0", 0),
        ("0s", 0),
        ("007s", 7),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    """Every unit of Prometheus is known."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "5",
        "1m1h",
        "1s1s",
        "1.5h",
        "-5m",
        "+5m",
        "5 m",
        " 5m",
        "5m\n",
        "5M",
        "m",
        "1h30",
        "٣s",
        "1µs",
        "9" * 70,
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Wrong order, repetition, fractions, signs and white space are no durations in Prometheus either."""
    with pytest.raises(ValueError, match="must be a duration such as 90s, 5m or 1h30m"):
        parse_duration(text)


def test_a_duration_that_prometheus_cannot_hold_is_refused() -> None:
    """The limit is that of a count of nanoseconds in 64 bits."""
    with pytest.raises(ValueError, match="less than 292 years"):
        parse_duration("300y")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (60, "1m"),
        (90, "1m30s"),
        (93600, "26h"),
        (86400, "1d"),
        (604800, "1w"),
        (31536000, "1y"),
        (0.25, "250ms"),
        (0, "0s"),
        (86401, "24h1s"),
    ],
)
def test_a_duration_is_written_as_prometheus_writes_it(seconds: float, text: str) -> None:
    """Days and more stand only where they are the whole duration."""
    assert format_duration(seconds) == text


@given(st.integers(min_value=0, max_value=9_223_372_036_854))
def test_what_is_written_is_read_back(milliseconds: int) -> None:
    """Nothing is lost, down to the millisecond."""
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.dictionaries(st.sampled_from(_UNITS), st.integers(min_value=0, max_value=40), min_size=1))
def test_units_from_large_to_small_are_a_duration(numbers: dict[str, int]) -> None:
    """Any selection of units in order is taken, and adds up."""
    sizes = {"y": 31536000, "w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
    text = "".join(f"{numbers[unit]}{unit}" for unit in _UNITS if unit in numbers)
    assert parse_duration(text) == pytest.approx(sum(numbers[unit] * sizes[unit] for unit in numbers))


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes anything but seconds or a ValueError."""
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert seconds >= 0
