"""Values in words for people."""

from __future__ import annotations

import pytest

from gigas_exporter import formatting


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (None, ""),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (20 * 2**30, "20 GiB"),
        (1000 * 2**30, "1000 GiB"),
        (1.5 * 2**40, "1.5 TiB"),
        (5000 * 2**50, "5000 PiB"),
    ],
)
def test_sizes(size_bytes: float | None, words: str) -> None:
    """The largest unit that keeps the number at one or more."""
    assert formatting.format_size(size_bytes) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3601, "1h"),
        (3660, "1h 1m"),
        (108_000, "30h"),
        (86_460, "24h"),
        (100 * 3600 - 1, "99h"),
        (100 * 3600, "4d 4h"),
        (400 * 86_400 + 5 * 3600, "400d 5h"),
    ],
)
def test_spans(seconds: float | None, words: str) -> None:
    """The two largest units, the second only where it follows the first; hours from a day to 100 hours."""
    assert formatting.format_age(seconds) == words


@pytest.mark.parametrize(
    ("hours", "shown", "in_hours"),
    [(0, "0s", "0s"), (1.5, "1h30m", "1h30m"), (26, "26h", "26h"), (48, "48h", "48h"), (168, "7d", "168h")],
)
def test_limits_compare_with_ages(hours: float, shown: str, in_hours: str) -> None:
    """A limit has the unit that an age of about its length has; alerts tell all in hours."""
    assert formatting.format_limit(hours * 3600) == shown
    assert formatting.format_hours(hours * 3600) == in_hours


@pytest.mark.parametrize(
    ("timestamp", "words"),
    [(None, ""), (0.0, "1970-01-01T00:00:00Z"), (1_900_000_000.9, "2030-03-17T17:46:40Z"), (1e30, ""), (-1e30, "")],
)
def test_moments(timestamp: float | None, words: str) -> None:
    """RFC 3339 in UTC; what no calendar holds is empty."""
    assert formatting.format_timestamp(timestamp) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ""),
        ("", ""),
        ("ñandú-日本-🚀 /srv", "ñandú-日本-🚀 /srv"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x9b1m\x07\x00", "\\x9b1m\\x07\\x00"),
        ("\u202etxt", "\\u202etxt"),
        ("\ud800", "\\ud800"),
    ],
)
def test_text_that_commands_a_terminal_is_written_out(text: str | None, words: str) -> None:
    """Escapes, line breaks, changes of direction and broken characters are shown as what they are."""
    assert formatting.escape_control_chars(text) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5.0, "just now"),
        (0.9, "just now"),
        (1.0, "1 second ago"),
        (119.0, "1 minute ago"),
        (7200.0, "2 hours ago"),
        (200_000.0, "2 days ago"),
    ],
)
def test_how_long_ago(seconds: float, words: str) -> None:
    """The largest unit, in words; a clock that is ahead is no reason for a negative age."""
    assert formatting.format_ago(seconds) == words


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("bakup_stale", "; did you mean backup_stale?"),
        ("stale", "; did you mean backup_stale?"),
        ("Backup_Missed", "; did you mean backup_missed?"),
        ("424", "; did you mean 4242?"),
        ("up", ""),
        ("nothing like it", ""),
    ],
)
def test_the_nearest_known_word(given: str, words: str) -> None:
    """One that resembles, or else one that holds what was given; of two letters no guess is made."""
    assert formatting.did_you_mean(given, ("backup_missed", "backup_stale", "detached", "4242", "4243")) == words
