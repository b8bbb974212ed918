"""The template of ``config init``: every key with its meaning and default, commented out."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from typing import Any, Final, get_args

from gigas_exporter.config.field_types import kind_of
from gigas_exporter.config.flags import default_text
from gigas_exporter.config.schema import ConfigFile
from gigas_exporter.validation_errors import Section

_WIDTH: Final = 96
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./-]*")
_HEAD: Final = """\
# Configuration of gigas-exporter. A key that is commented out has its default, if it has one.
# Check it with: gigas-exporter config check FILE

# The accounts to watch. Each has one credential: api_key, token, or login with password. Add
# _file to the key of the secret to name a file that contains only the secret.
accounts:
  - id: "4242"
    name: production
    api_key_file: api_key  # relative to this file
# Or, instead of accounts, every account that one credential may see:
# discover: true
# credential: {api_key_file: api_key}

# Which disks must have a backup, and how old the newest may be. The first rule that matches
# decides. These rules are the default. A disk that no rule requires or exempts is reported as
# unprotected.
backup_policy:
  - {match: {is_swap: true}, required: false, reason: swap needs no backup}
  - {match: {autobackup: true}, max_age: 26h}
  - {required: false}
"""


def render_template() -> str:
    """Return the file."""
    return _HEAD + "".join(f"{line}\n" for line in _sections())


def _sections() -> Iterator[str]:
    for name, field in ConfigFile.model_fields.items():
        section = field.annotation
        if not (isinstance(section, type) and issubclass(section, Section)):
            continue
        yield ""
        yield from _comment(field.description or "", "")
        yield f"{name}:"
        for key, inner in section.model_fields.items():
            choices = get_args(inner.annotation) if kind_of(inner) == "choice" else ()
            one_of = f" One of {', '.join(map(str, choices))}." if choices else ""
            yield from _comment(f"{inner.description}{one_of}", "  ")
            default = _value(inner.get_default(call_default_factory=True), kind_of(inner))
            yield from textwrap.wrap(
                f"{key}: {default}", _WIDTH, initial_indent="  # ", subsequent_indent="  #   ", break_on_hyphens=False
            )


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(text.replace("`", ""), _WIDTH - len(indent) - 2):
        yield f"{indent}# {line}"


def _value(default: Any, kind: str) -> str:
    if isinstance(default, list):
        return f"[{', '.join(_quoted(str(each)) for each in default)}]"
    if isinstance(default, dict):
        return "{}" if not default else json.dumps(default, ensure_ascii=False)
    text = default_text(default, kind)
    return text if isinstance(default, bool | int | float) and kind != "duration" else _quoted(text) if text else ""


def _quoted(text: str) -> str:
    return (
        text
        if (_PLAIN.fullmatch(text) and not text[0].isdigit()) or re.fullmatch(r"[0-9]+[a-z]+", text)
        else json.dumps(text, ensure_ascii=False)
    )
