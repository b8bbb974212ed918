"""Compares the status of a disk or backup with words."""

from __future__ import annotations

import re
from functools import lru_cache

_SEPARATORS = re.compile(r"[\s_-]+")
_NOT_IN_WORDS = re.compile(r"[\W_]+")
_BETWEEN_CAPITALS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PROGRESS = re.compile(
    r"(?<![\d.,/])(?!100\s*%|(\d+)\s*(?:/|of)\s*\1(?![\d/]))\d+([.,]\d+)?\s*(%|(/|of)\s*\d+(?![\d/]))"
)
# Words whose ending means that something is under way (``creating``), or whose prefix negates it (``uncompleted``).
_UNDER_WAY = re.compile(r"being|siendo|\w{3,}((?<!th)ing|ando|[aá]ndose|i[eé]ndo(se)?)|\w+y[eé]ndo(se)?")
_NEGATED = re.compile(r"(?:un|in|not?|non)(\w+)")
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?\s*%?", re.ASCII)


def parse_words(text: str) -> frozenset[str]:
    """Return the words of a comma-separated list."""
    return frozenset(text.split(", "))


_NOT_UNDER_WAY = parse_words("comando, during, evening, existing, including, incluyendo, morning, passing")
"""Words with such an ending that do not mean that something is under way."""
_ONLY_AT_END = parse_words("begin, creation, initial, queue, run, start")
"""Words that decide only where nothing follows them: an ``initial backup`` may be finished."""

DISK_ERROR_WORDS: frozenset[str] = parse_words(
    "aborted, averiada, averiado, bad, broken, caida, caido, caída, caído, con errores, con problemas, corrompida,"
    " corrompido, corrupt, corrupta, corrupted, corrupto, crash, crashed, critical, damaged, danada, danado, data"
    " loss, dañada, dañado, dead, defectuosa, defectuoso, defectuosos, degradada, degradado, degraded,"
    " disk full, err, erronea, erroneo, error, errored, errores, errors, errónea, erróneo, exception,"
    " exceptions, fail, failed, failing, failure, failures, fallida, fallido, fallo, fallos, fatal, fault, faulted,"
    " faulty, fuera de servicio, halted, hung, ilegible, inaccesible, inaccessible, inconsistent, inconsistente,"
    " interrumpida, interrumpido, interrupted, inutilizable, invalid, invalida, invalido, inválida, inválido,"
    " killed, ko, lost, missing, no disponible, no operativo, no space, nok, not available, not found, not ok, out"
    " of space, out of sync, panic, perdida, perdido, problem, problems, quarantined, read only, rejected, rota,"
    " roto, sin espacio, split brain, stalled, stuck, suspect, timed out, timeout, unavailable, unhealthy,"
    " unreachable, unreadable, unrecoverable, unusable"
)
"""Words in a disk's status that mean an error, whatever its flag says."""

_DENYING = parse_words(
    "0, about to, almost, awaiting, barely, can t, cannot, casi, couldn, didn, doesn, false, half, hardly, hasn,"
    " incorrectly, isn, lista de, lista para, listo para, mal, nearly, needs, never, no, non, none, not, nothing,"
    " nunca, null, only, partially, partly, percent, ready for, requires, should, sin, soon, still, to be, unable,"
    " unsuccessfully, wasn, will, without, won, zero"
)
"""Words that negate another, as in ``not available``, ``built: false`` or ``without errors``."""
_OPPOSING = parse_words("0, cleanly, correctly, false, nil, none, normal, normally, null, ok, okay, successfully, zero")
"""Words that negate the one before them, as in ``errors: 0`` or ``terminated normally``."""
_CONFIRMING = parse_words(
    "and, backup, backups, cleanly, copia, correctamente, correctly, full, fully, incremental, normally, snapshot,"
    " successfully, y"
)
"""Words that do not change the meaning of another, as in ``backup completed``."""


def fold_status(text: str) -> str:
    """Return a status in lower case, its words separated by spaces."""
    return _SEPARATORS.sub(" ", text.casefold()).strip()


@lru_cache(maxsize=1024)
def matches_any(words: frozenset[str], status: str, *, exactly: bool = False) -> bool:
    """Return whether a status matches one of the folded words.

    It matches a word that it equals; one that it begins with, unless a letter follows (``failed: timeout`` matches);
    and one that it ends with (``backup_failed``), unless a letter or a negation precedes (``not available``).
    """
    return any(
        folded in words or (not exactly and any(_is_at_an_end(word, folded) for word in words - _ONLY_AT_END))
        for folded in _foldings(status)
    )


@lru_cache(maxsize=1024)
def is_doubtful(words: frozenset[str], status: str) -> bool:
    """Return whether a status has one of the words, or is doubtful itself.

    A doubtful one negates, says that something is under way, shows progress (``40 %``), or has no word.
    """
    split = [word for folded in _foldings(status) for word in _split(folded)]
    if not split or any(map(_UNDER_WAY.fullmatch, set(split) - _NOT_UNDER_WAY)):  # such as "-"
        return True
    if any(fold_status(status).endswith(f" {word}") for word in words & _ONLY_AT_END) or _PROGRESS.search(
        status.casefold()
    ):
        return True
    return _holds((words - _ONLY_AT_END) | _DENYING, status)


def is_negated(words: frozenset[str], status: str) -> bool:
    """Return whether a status negates one of the words (``uncompleted``)."""
    found = (_NEGATED.fullmatch(word) for folded in _foldings(status) for word in _split(folded))
    return any(match[1] in words for match in found if match)


def says_more(words: frozenset[str], status: str) -> bool:
    """Return whether a status says more than the words (``Completed (with warnings)``)."""
    plain = _CONFIRMING.union(*map(_split, words))
    rests = ([each for each in _split(folded) if each not in plain] for folded in _foldings(status))
    return "?" in status or all(any(map(str.isalpha, "".join(rest))) for rest in rests)


@lru_cache(maxsize=1024)
def is_opposed(words: frozenset[str], status: str) -> bool:
    """Return whether it begins with one of the words, then negates it (``errors: 0``)."""
    for folded in _foldings(status):
        for word in words:
            rest = folded.removeprefix(word)
            if rest != folded and (_split(rest) == ["no"] or not _OPPOSING.isdisjoint(_split(rest)[:1])):
                return True
    return False


@lru_cache(maxsize=1024)
def means_error(words: frozenset[str], status: str) -> bool | None:
    """Return whether a disk's status is an error; ``None`` if doubtful."""
    if matches_any(words, status, exactly=True):
        return True
    if matches_any(words, status):
        return None if is_opposed(words, status) else True
    if not _holds(words, status):
        return False
    denying = _DENYING | _OPPOSING
    return None if any(denying.intersection(_split(folded)) for folded in _foldings(status)) else True


def type_in_text(status: str) -> str | None:
    """Return ``number`` or ``boolean`` where a text is written as one."""
    text = status.strip().casefold()
    if _NUMBER.fullmatch(text):
        return "number"
    return "boolean" if text in {"true", "false"} else None


def _foldings(status: str) -> frozenset[str]:
    """Return a status folded, also split at capitals (``NotBuilt``)."""
    return frozenset({fold_status(status), fold_status(_BETWEEN_CAPITALS.sub(" ", status))})


def _holds(words: frozenset[str], status: str) -> bool:
    """Return whether a status has one of the words somewhere."""
    spaced = [f" {' '.join(_split(folded))} " for folded in _foldings(status)]
    return any(f" {word} " in text for text in spaced for word in words)


def _split(text: str) -> list[str]:
    return [word for word in _NOT_IN_WORDS.split(text) if word]


def _is_at_an_end(word: str, folded: str) -> bool:
    if folded.startswith(word) and not folded[len(word) : len(word) + 1].isalpha():
        return True
    before = folded[: -len(word)]
    return folded.endswith(word) and not before[-1:].isalpha() and _DENYING.isdisjoint(_split(before)[-1:])
