"""Loads YAML text as plain objects, without surprises.

Differences from PyYAML, whose usual behaviour silently turns a typo into another setting:

- a duplicate key is an error;
- keys are always text, as written;
- scalars follow YAML 1.2: ``1:30``, ``yes``, ``on``, ``2026-01-31`` stay text, and so does a number with leading zeros,
  which is more often an identifier;
- there are no merge keys, no tags but the plain ones, and no second document in a file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Final, Never

import yaml

from gigas_exporter.errors import ConfigError

Location = tuple[str | int, ...]
"""The path of a value: the keys and indexes that lead to it."""

_TAG: Final = "tag:yaml.org,2002:"
_SYNTAX: Final = re.compile(r"<[a-z ]+>|.|[^\w\s]{2}")  # safe quotes of PyYAML: its own terms and single characters
_MAXIMUM_NODES: Final = 100_000  # as written, and with aliases expanded; a real file has some hundreds


def load_yaml(text: str, origin: str, lines: dict[Location, int] | None = None) -> object:
    """Read one YAML document; keys of mappings are text.

    Args:
        text: The document; an empty one gives None.
        origin: Its name in error messages, such as the file's path.
        lines: Filled with the line of each key and of each list item.

    Raises:
        ConfigError: The text is no such document. The message has one line, the line number, and no part of a value.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        return None if node is None else _ObjectBuilder(origin, {} if lines is None else lines).value(node, ())
    except _TooManyError as error:
        _reject(origin, error.problem_mark, f"more than {_MAXIMUM_NODES} values, too many for a configuration")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        last = len(text.splitlines()) if mark is None else mark.line + 1
        if foreign := _foreign_character(text.splitlines()[max(0, last - 2) : last]):
            offset, words = foreign
            raise ConfigError(f"{origin}:{max(1, last - 1) + offset}: not YAML: {words}") from None
        before = text.splitlines()[mark.line - 1] if mark is not None and mark.line else ""
        if mark is not None and _NO_KEY in str(error.problem) and _WITHOUT_SPACE.match(before):
            raise ConfigError(f"{origin}:{mark.line}: {_without_values(error)}") from None
        _reject(origin, mark, _without_values(error))
    except yaml.reader.ReaderError as error:
        line = 1 + text.count("\n", 0, error.position)
        raise ConfigError(f"{origin}:{line}: not YAML: a control character") from None
    except ValueError:  # PyYAML's own, as for an escape beyond Unicode
        raise ConfigError(f"{origin}: not YAML: an escape sequence for no character") from None
    except RecursionError:
        raise ConfigError(f"{origin}: nested too deeply") from None


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with YAML 1.2's scalars and a size limit.

    Each value costs tens of microseconds and a kilobyte, and a file of the maximum size could hold a million.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  (PyYAML's attribute)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._nodes += 1
        if self._nodes > _MAXIMUM_NODES:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # PyYAML's own
            raise _TooManyError(problem_mark=mark)
        return super().compose_node(parent, index)


class _TooManyError(yaml.MarkedYAMLError):
    pass


_Loader.add_implicit_resolver(_TAG + "bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(_TAG + "null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(_TAG + "int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _TAG + "float",
    re.compile(r"^[-+]?(?:0|[1-9][0-9]*)?(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|(?<=[0-9])\.?[eE][-+]?[0-9]+|(?<=[0-9])\.)$"),
    list("-+.0123456789"),
)


class _ObjectBuilder:
    """Turns the parsed nodes of one document into objects."""

    def __init__(self, origin: str, lines: dict[Location, int]) -> None:
        self._origin = origin
        self._lines = lines
        self._nodes = 0
        self._open: set[int] = set()

    def value(self, node: yaml.Node, location: Location) -> object:
        self._nodes += 1
        if self._nodes > _MAXIMUM_NODES or id(node) in self._open:
            _reject(self._origin, node.start_mark, "aliases that expand to too many values")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._open.add(id(node))
        is_list = isinstance(node, yaml.SequenceNode)
        result = self._sequence(node, location) if is_list else self._mapping(node, location)
        self._open.discard(id(node))
        return result

    def _sequence(self, node: yaml.Node, location: Location) -> list[object]:
        self._expect(node, "seq")
        result: list[object] = []
        for index, item in enumerate(node.value):
            self._lines[*location, index] = item.start_mark.line + 1
            result.append(self.value(item, (*location, index)))
        return result

    def _mapping(self, node: yaml.Node, location: Location) -> dict[str, object]:
        self._expect(node, "map")
        result: dict[str, object] = {}
        first: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                is_template = isinstance(key, yaml.MappingNode) and key.flow_style
                hint = "; a template with '{{' must be filled in first" if is_template else ""
                _reject(self._origin, key.start_mark, f"a key must be text, not a list or a mapping{hint}")
            name = self._text(key)
            if name in result:
                _reject(self._origin, key.start_mark, f"a key is given twice (first in line {first[name]})")
            first[name] = self._lines[*location, name] = key.start_mark.line + 1
            result[name] = self.value(value, (*location, name))
        return result

    def _scalar(self, node: yaml.ScalarNode) -> object:
        text = self._text(node)
        if node.style is None and _TYPOGRAPHIC_QUOTES.fullmatch(text):
            _reject(self._origin, node.start_mark, "a typographic quote; write \" or '")
        if node.style is None and text != text.strip():
            _reject(self._origin, node.start_mark, _FOREIGN_SPACE)
        kind = node.tag.removeprefix(_TAG)
        try:
            if kind == "int":
                return int(text)
            if kind == "float":
                return float(text)
        except ValueError:
            _reject(self._origin, node.start_mark, "not a readable number")
        if kind == "bool" and text.lower() in {"true", "false"}:
            return text.lower() == "true"
        if kind == "null":
            return None
        self._expect(node, "str")
        return text

    def _text(self, node: yaml.ScalarNode) -> str:
        text = str(node.value)
        if any("\ud800" <= char <= "\udfff" for char in text):  # which no encoding has
            _reject(self._origin, node.start_mark, "not YAML: an escape sequence for no character")
        return text

    def _expect(self, node: yaml.Node, kind: str) -> None:
        if node.tag != _TAG + kind:
            _reject(self._origin, node.start_mark, "tags are not supported; quote a text that begins with '!'")


_TYPOGRAPHIC_QUOTES: Final = re.compile(
    "|".join(f"[{kind}][^{kind}]*[{kind}]" for kind in ("\u201c\u201d\u201e", "\u2018\u2019\u201a", "\u00ab\u00bb"))
)
"""A text that is quoted as a whole; one that only begins with a quoted word is fine."""

_FOREIGN_SPACE: Final = "a special space character, as on web pages; write a plain space"
_DASHES: Final = ("\u2013", "\u2014", "\u2022")


def _foreign_character(lines: Sequence[str]) -> tuple[int, str] | None:
    """Return the first line with characters of web pages, and a hint."""
    for index, line in enumerate(lines):
        if any(char != " " and unicodedata.category(char) in {"Zs", "Cf"} for char in line):
            return index, _FOREIGN_SPACE
        if line.lstrip().startswith(_DASHES):
            return index, "a long dash or a bullet; write - and a space"
        if line.startswith("```"):
            return index, "``` belongs to the page that this was copied from; leave this line out"
    return None


_NO_KEY: Final = "mapping values are not allowed"
_WITHOUT_SPACE: Final = re.compile(r"[\s-]*\w+:[^\s:/]")
"""A line whose key has no space after its ':', so that YAML takes the next line for a continuation of its text."""

_HINTS: Final = {
    "found character '@'": "a text that begins with '@'; quote it",
    "found character '`'": "a text that begins with '`'; quote it",
    "found character '%'": "a text that begins with '%'; quote it",
    "found '<block mapping start>'": "indented differently from the lines before it",
    "expected <block end>, but found '-'": "indented differently from the lines before it",
    "but got '<stream end>'": "a '{' or '[' that is not closed; a text that holds ' #' must be quoted",
    "character '\\t'": "a tab; indent with spaces",
    "but got '{'": "a '{' inside a text; quote a text that holds '{'; ${VARIABLE} is not replaced in this file",
    "unexpected end of stream": "a quote that is not closed",
    "found unknown escape character": "a '\\' in double quotes; write the text in single quotes",
    "found '<stream end>'": "a value is missing; quote a text that begins with '#'",
    _NO_KEY: "a ':' where no key can stand; quote a text that holds ': ', and put a space after the ':' of a key",
}
"""The likely mistake, by words of PyYAML's message."""


def _without_values(error: yaml.MarkedYAMLError) -> str:
    """Return the problem that PyYAML found, without quoted text."""
    if isinstance(error, yaml.composer.ComposerError) and "alias" in str(error.problem):
        return "an alias ('*') that names no anchor; quote a text that begins with '*'"
    if "scanning a tag" in str(error.context):
        return "not YAML: a text that begins with '!'; quote it"
    if "scanning an alias" in str(error.context):
        return "a '*' that is not quoted; quote a text that begins with '*'"
    if isinstance(error, yaml.composer.ComposerError) and "document" in str(error.problem):
        return "more than one document in the file"
    for words, hint in _HINTS.items():
        if words in str(error.problem):
            return f"not YAML: {hint}"
    problem = str(error.problem or "cannot be understood").replace("\n", " ")
    return "not YAML: " + re.sub(
        r"'([^']*)'", lambda quoted: quoted[0] if _SYNTAX.fullmatch(quoted[1]) else "'...'", problem
    )


def _reject(origin: str, mark: yaml.Mark | None, what: str) -> Never:
    where = origin if mark is None else f"{origin}:{mark.line + 1}"
    raise ConfigError(f"{where}: {what}") from None
