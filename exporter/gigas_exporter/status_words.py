"""How a status is compared with a word: the one rule for disks and backups, whose statuses are documented nowhere."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["DISK_ERROR_WORDS", "fold_status", "matches_any", "parse_words"]

_SEPARATORS = re.compile(r"[\s_-]+")


def parse_words(text: str) -> frozenset[str]:
    """Return the words of a list with commas between them."""
    return frozenset(text.split(", "))


DISK_ERROR_WORDS: frozenset[str] = parse_words(
    "broken, corrupt, corrupted, crashed, damaged, degraded, err, error, errored, errors, fail, failed, failing,"
    " failure, fatal, fault, faulted, faulty, lost, unrecoverable"
)
"""What in a disk's status means an error, whatever its flag says."""


def fold_status(text: str) -> str:
    """Return a status without differences of case, and with one space for any run of spaces, ``-`` and ``_``."""
    return _SEPARATORS.sub(" ", text.casefold()).strip()


@lru_cache(maxsize=1024)
def matches_any(words: frozenset[str], status: str, *, exactly: bool = False) -> bool:
    """Return whether a status matches one of some folded words.

    It matches a word when it is the word, begins with it before no letter (``failed: timeout``), or ends with it after
    no letter (``backup_failed``).
    """
    folded = fold_status(status)
    return folded in words or (not exactly and any(_is_at_an_end(word, folded) for word in words))


def _is_at_an_end(word: str, folded: str) -> bool:
    if folded.startswith(word) and not folded[len(word) : len(word) + 1].isalpha():
        return True
    return folded.endswith(word) and not folded[: -len(word)][-1:].isalpha()
