"""Decides which user input a message may quote, since it may be a secret.

It is used for unknown configuration keys, missing files, and wrong commands, options and values on the command line.
Other messages, such as those about labels, matchers and addresses, do not use it.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from gigas_exporter.formatting import nearest

_MAX_TYPO_CHARACTERS: Final = 2
_NAME: Final = re.compile(r"[A-Za-z_.-]{1,32}")
_FILE_NAME: Final = re.compile(r"[\w.-]{1,64}\.(?:crt|cer|pem|key|ya?ml|txt)", re.ASCII)
_PLAIN_PATH: Final = re.compile(r"(?:/[a-z](?:[a-z_.-]{0,30}[a-z])?){2,}")
_QUOTED_VALUE: Final = re.compile(r"(['\"]).*\1 (?=is )", re.DOTALL)


def is_typo(given: str, known: Iterable[str]) -> bool:
    """Return whether a name is a known one but for at most two characters.

    Similarity alone is not enough: ``apikey_`` followed by a secret resembles ``api_key``, too.
    """
    near = nearest(given, known)
    if near is None or _NAME.fullmatch(given) is None:
        return False
    blocks = difflib.SequenceMatcher(None, given.lower(), near.lower(), autojunk=False).get_matching_blocks()
    return len(given) - sum(block.size for block in blocks) <= _MAX_TYPO_CHARACTERS


def may_be_secret(path: Path, directory: Path) -> bool:
    """Return whether the name of a missing file may itself be a secret.

    It is none if it has a usual suffix (``.pem``), if it is an absolute path of lower-case words, or if it is in an
    existing directory other than the root and ``directory``, to which names are relative.
    """
    if _is_there(path) or _FILE_NAME.fullmatch(path.name) or _PLAIN_PATH.fullmatch(str(path)):
        return False
    return path.parent in {directory, Path("/")} or not _is_there(path.parent)


def without_value(message: str) -> str:
    """Return a message without the quoted value at its beginning."""
    return _QUOTED_VALUE.sub("", message, count=1)


def _is_there(path: Path) -> bool:
    try:
        return os.access(path, os.F_OK)  # unlike Path.exists it takes any length
    except ValueError:  # a character that the system's encoding of names lacks
        return False
