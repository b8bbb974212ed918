"""Strict YAML: what is read, and each refusal with its exact line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigas_exporter import yaml_loader
from gigas_exporter.errors import ConfigError
from gigas_exporter.yaml_loader import load_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only a comment\n", None),
        ("a: 1:30", {"a": "1:30"}),
        ("a: 010", {"a": "010"}),
        ("a: 0x1f", {"a": "0x1f"}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: [yes, no, on, off, y, n]", {"a": ["yes", "no", "on", "off", "y", "n"]}),
        ("a: [true, False, TRUE]", {"a": [True, False, True]}),
        ("a: [~, null, Null]", {"a": [None, None, None]}),
        ("a:", {"a": None}),
        ("a: [0, -7, +3, 10]", {"a": [0, -7, 3, 10]}),
        ("a: [1.5, .5, -1e3, 2., 1.5e-2]", {"a": [1.5, 0.5, -1000.0, 2.0, 0.015]}),
        ("a: [.inf, .nan, ., -, +, e3]", {"a": [".inf", ".nan", ".", "-", "+", "e3"]}),
        ("a: 2026-01-31", {"a": "2026-01-31"}),
        ("a: '10'", {"a": "10"}),
        ("a: !!str 10", {"a": "10"}),
        ("501: x\ntrue: y", {"501": "x", "true": "y"}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
    ],
)
def test_a_scalar_is_read_as_it_looks(text: str, value: object) -> None:
    """Scalars follow YAML 1.2, and whatever might be an identifier stays text."""
    assert load_yaml(text, "f") == value


_BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"b{n}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(7)
)
_COLON = "a ':' where no key can stand; quote a text that holds ': ', and put a space after the ':' of a key"
_OPEN = "a '{' or '[' that is not closed; a text that holds ' #' must be quoted"
_TAGS = "tags are not supported; quote a text that begins with '!'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a: "\\U00110000"', "f.yml: not YAML: an escape sequence for no character"),
        ('\na: "\\ud800"', "f.yml:2: not YAML: an escape sequence for no character"),
        ('\n"\\udfff": 1', "f.yml:2: not YAML: an escape sequence for no character"),
        ("a: 1\nb: 2\na: 3", "f.yml:3: a key is given twice (first in line 1)"),
        ("a: {x: 1, x: 2}", "f.yml:1: a key is given twice (first in line 1)"),
        ("a: *hunter2", "f.yml:1: an alias ('*') that names no anchor; quote a text that begins with '*'"),
        ("a: !hunter2 b", f"f.yml:1: {_TAGS}"),
        ("a: !h!hunter2 b", "f.yml:1: not YAML: found undefined tag handle '...'"),
        ("a: !!binary aGk=", f"f.yml:1: {_TAGS}"),
        ("a: !!set {x}", f"f.yml:1: {_TAGS}"),
        ("a: !!omap [x: 1]", f"f.yml:1: {_TAGS}"),
        ("a: !!bool maybe", f"f.yml:1: {_TAGS}"),
        ("a: !!int x", "f.yml:1: not a readable number"),
        ("a: " + "1" * 5000, "f.yml:1: not a readable number"),
        ("\na: b: c", f"f.yml:2: not YAML: {_COLON}"),
        ("a: [1", f"f.yml:1: not YAML: {_OPEN}"),
        ('a: "\\q"', "f.yml:1: not YAML: a '\\' in double quotes; write the text in single quotes"),
        ("a: 1\nb: \x01", "f.yml:2: not YAML: a control character"),
        ("\ta: 1", "f.yml:1: not YAML: a tab; indent with spaces"),
        ("a:\n  b:1\n  c: 2", f"f.yml:2: not YAML: {_COLON}"),
        ("? [1]\n: 2", "f.yml:1: a key must be text, not a list or a mapping"),
        ("--- 1\n--- 2", "f.yml:2: more than one document in the file"),
        ("a: &a [*a]", "f.yml:1: aliases that expand to too many values"),
        (_BOMB, "f.yml:1: aliases that expand to too many values"),
        ("- " * 700, "f.yml: nested too deeply"),
    ],
)
def test_what_may_be_a_slip_is_refused_in_one_line(text: str, message: str) -> None:
    """Each refusal names the line and the problem and quotes no value."""
    with pytest.raises(ConfigError) as caught:
        load_yaml(text, "f.yml")
    assert str(caught.value) == message


def test_a_file_of_more_values_than_any_configuration_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first value too many."""
    monkeypatch.setattr(yaml_loader, "_MAXIMUM_NODES", 100)
    assert load_yaml("- a\n" * 99, "f.yml") == ["a"] * 99
    with pytest.raises(ConfigError, match=r"^f.yml:100: more than 100 values, too many for a configuration$"):
        load_yaml("- a\n" * 1000, "f.yml")


@given(st.text(alphabet=st.sampled_from("ab01:-[]{}!&*#|>%@`'\"\n\t ,?~.<=")))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text raises anything but a ConfigError of one line."""
    message = "f.yml: read"
    try:
        load_yaml(text, "f.yml")
    except ConfigError as error:
        message = str(error)
    assert message.startswith("f.yml:")
    assert "\n" not in message


@pytest.mark.parametrize(
    "text",
    [
        "\u00abswap\u00bb no necesita copia",
        "\u201cscratch\u201d disks",
        "\u2019t is only \u201cscratch\u201d",
        "\u00aba\u00bb and \u00abb\u00bb",
        "the \u201cscratch\u201d",
    ],
)
def test_a_text_may_begin_with_a_typographic_quote(text: str) -> None:
    """Only a value that stands between two of them was meant to be in quotes."""
    assert load_yaml(f"reason: {text}", "f.yml") == {"reason": text}
