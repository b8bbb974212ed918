"""PromQL as text: put label matchers into every selector of an expression.

It knows the tokens of PromQL and where a selector stands, and nothing of rules, files or metrics.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Matcher", "parse_selector", "select"]

_STRING = r'"(?:[^"\\\n]|\\.)*"' + r"|'(?:[^'\\\n]|\\.)*'" + r"|`[^`]*`"
_TOKEN = re.compile(
    rf"(?P<space>\s+|\#[^\n]*)|(?P<string>{_STRING})|(?P<number>\.?[0-9][0-9A-Za-z_.]*)"
    r"|(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)|(?P<sign>.)",
    re.DOTALL,
)
_MATCHER = re.compile(rf"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*({_STRING})\s*")
_ESCAPE = re.compile(
    r"""\\(?:[abfnrtv\\]|(?P<quote>["'])|x[0-9a-fA-F]{2}|[0-3][0-7]{2}|u(?P<short>[0-9a-fA-F]{4})"""
    r"|U(?P<long>[0-9a-fA-F]{8})|(?P<bad>.?))",
    re.DOTALL,
)
_NOT_IN_GO = re.compile(r"\(\?(?:[=!>(]|<[=!]|P=)|\\[1-9]|[*+?}]\+")
"""What Python's regular expressions have and Go's have not: looking around, going back, possessive repetition."""
_SURROGATES = range(0xD800, 0xE000)
_UNICODE_END = 0x110000
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_KEPT_BY = frozenset({"by", "on"})
_WORDS = frozenset({"and", "or", "unless", "atan2", "offset", "bool", "inf", "nan"}) | _GROUPING


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition of a selector, such as ``cluster="eu"``."""

    label: str
    operator: str
    value: str

    def __str__(self) -> str:
        return self.label + self.operator + self.value


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """Read matchers as they stand between a selector's braces; the braces themselves may be there or not.

    Raises:
        ValueError: It is no list of matchers.
    """
    if not text.isprintable():
        raise ValueError("it has characters that cannot be printed")
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1]
    matchers: list[Matcher] = []
    position = 0
    while position < len(inner.rstrip()):
        match = _MATCHER.match(inner, position)
        if match is None:
            raise ValueError('write it as label="value", with =, !=, =~ or !~, and commas between')
        matchers.append(_checked(Matcher(*match.groups())))
        position = match.end()
        if position < len(inner):
            if inner[position] != ",":
                raise ValueError("a comma is missing between two matchers")
            position += 1
    if not matchers:
        raise ValueError("it names no label")
    return tuple(matchers)


def _checked(matcher: Matcher) -> Matcher:
    if matcher.label == "__name__":
        raise ValueError("it must not say which metric is read")
    quote, content = matcher.value[0], matcher.value[1:-1]
    if quote != "`":
        for escape in _ESCAPE.finditer(content):
            if not _is_known(escape, quote):
                raise ValueError(f"{escape[0]} is no escape sequence of PromQL")
        content = content.replace("\\\\", "\\")
    if matcher.operator in {"=~", "!~"}:
        _check_pattern(matcher.value, content)
    return matcher


def _is_known(escape: re.Match[str], quote: str) -> bool:
    """Return whether Go knows an escape sequence in a string with these quotes."""
    code = int(escape["short"] or escape["long"] or "0", 16)
    return (
        escape["bad"] is None and escape["quote"] in {None, quote} and code < _UNICODE_END and code not in _SURROGATES
    )


def _check_pattern(written: str, pattern: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what later Pythons may come to mean by it
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        raise ValueError(f"{written} is no regular expression") from None
    if _NOT_IN_GO.search(pattern):
        raise ValueError(f"{written} has what Go's regular expressions have not")


def select(expression: str, matchers: tuple[Matcher, ...]) -> str:
    """Return an expression all of whose selectors have the matchers too.

    The matchers' labels are kept through every ``by (...)`` and ``on (...)`` that is not empty, so that recorded series
    and alerts have them and can be selected by them, and equal disks of two clusters stay apart.
    """
    return "".join(_Selecting(expression, matchers).parts())


class _Selecting:
    """One walk over the tokens of an expression."""

    def __init__(self, expression: str, matchers: tuple[Matcher, ...]) -> None:
        self._tokens = [_Token(match.lastgroup or "sign", match[0]) for match in _TOKEN.finditer(expression)]
        self._text = ", ".join(map(str, matchers))
        self._labels = tuple(dict.fromkeys(matcher.label for matcher in matchers))
        self._position = 0

    def parts(self) -> Iterator[str]:
        while self._position < len(self._tokens):
            token = self._tokens[self._position]
            self._position += 1
            if token.text == "{":
                yield "{" + self._text + ("" if self._next() == "}" else ", ")
                yield from self._until("}")
            elif token.text == "[":
                yield "["
                yield from self._until("]")
            elif token.kind != "name":
                yield token.text
            elif token.text.lower() in _GROUPING and self._next() == "(":
                yield from self._list(token)
            else:
                yield token.text
                if self._is_metric(token):
                    yield "" if self._next() == "{" else "{" + self._text + "}"

    def _next(self) -> str:
        """The next token that is no space."""
        rest = self._tokens[self._position :]
        return next((token.text for token in rest if token.kind != "space"), "")

    def _is_metric(self, name: _Token) -> bool:
        following = self._next()
        return not (name.text.lower() in _WORDS or following == "(" or following.lower() in {"by", "without"})

    def _until(self, end: str) -> Iterator[str]:
        """Copy what stands before a sign: matchers or a range, in which names are no metrics."""
        while self._position < len(self._tokens) and (token := self._tokens[self._position]).text != end:
            self._position += 1
            yield token.text

    def _list(self, keyword: _Token) -> Iterator[str]:
        """Copy the labels of a grouping clause, with those of the matchers where they are to be kept."""
        listed = list(self._until(")"))
        yield keyword.text + "".join(listed)
        there = [text for text in listed if text.strip(" \n\t(,")]
        if there and keyword.text.lower() in _KEPT_BY:
            yield "".join(f", {label}" for label in self._labels if label not in there)
