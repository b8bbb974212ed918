"""What messages may show of what may be a secret.

It is asked about the keys and files of a configuration that are not there, and about the commands, options and options'
values that are wrong on a command line. Other messages, such as those about labels, matchers and addresses, do not ask.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from gigas_exporter.formatting import nearest

_FOREIGN_CHARACTERS: Final = 2
_NAME: Final = re.compile(r"[A-Za-z_.-]{1,32}")
_FILE_NAME: Final = re.compile(r"[\w.-]{1,64}\.(?:crt|cer|pem|key|ya?ml|txt)", re.ASCII)
_PLAIN_PATH: Final = re.compile(r"(?:/[a-z](?:[a-z_.-]{0,30}[a-z])?){2,}")
_QUOTED_VALUE: Final = re.compile(r"(['\"]).*\1 (?=is )", re.DOTALL)


def is_slip(given: str, known: Iterable[str]) -> bool:
    """Return whether a name differs from a known one by two characters at most.

    ``apikey_`` with a secret behind it is like ``api_key``, too, but it is no slip of the pen.
    """
    near = nearest(given, known)
    if near is None or _NAME.fullmatch(given) is None:
        return False
    blocks = difflib.SequenceMatcher(None, given.lower(), near.lower(), autojunk=False).get_matching_blocks()
    return len(given) - sum(block.size for block in blocks) <= _FOREIGN_CHARACTERS


def may_be_secret(path: Path, directory: Path) -> bool:
    """Return whether a missing file's name may be a secret itself.

    What names a directory that there is, other than the root and the one from which names count, is none, nor is what
    ends as such files do, or is an absolute path of words in lower case.
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
