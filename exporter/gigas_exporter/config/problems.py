"""What is wrong with a configuration file, in words: one line a problem, each with its path in the file.

The words are made from the place and the kind of each finding of pydantic, never from the value that was found: it may
be a secret, also where none belongs.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

__all__ = ["describe_problem", "path_of", "problems_of"]

_WORDS: Final = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "model_type": "must be a mapping of keys to values",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
}
_MAXIMUM_KEY: Final = 64


def problems_of(error: ValidationError, model: type[BaseModel]) -> tuple[str, ...]:
    """Return each finding as ``path: words``, in the order of the file's keys."""
    problems = []
    for finding in error.errors(include_url=False):
        path = path_of(finding["loc"])
        words = describe_problem(finding, model)
        problems.append(f"{path}: {words}" if path else f"the file {words}")
    return tuple(problems)


def path_of(place: Sequence[int | str]) -> str:
    """Return a place as people write it: ``accounts[0].token``."""
    path = ""
    for step in place:
        path += f"[{step}]" if isinstance(step, int) else f"{'.' if path else ''}{_shown(step)}"
    return path


def describe_problem(finding: Any, model: type[BaseModel]) -> str:
    """Return what is wrong, without the place and without the value."""
    kind, context = finding["type"], finding.get("ctx", {})
    if kind == "extra_forbidden":
        *parents, key = finding["loc"]
        words = "unknown key" + _suggestion(str(key), _keys(model, parents))
    elif kind == "value_error":
        words = str(context["error"])
    elif kind == "words":
        words = finding["msg"]
    elif finding["input"] is None:
        words = "is empty"
    elif kind == "literal_error":
        choices = [choice.strip("'") for choice in context["expected"].replace(" or ", ", ").split(", ")]
        given = finding["input"] if isinstance(finding["input"], str) else ""
        words = f"must be one of {', '.join(choices)}" + _suggestion(given, choices)
    else:
        words = _WORDS.get(kind, "is not what belongs here").format(**context)
    return words


def _suggestion(given: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(given[:_MAXIMUM_KEY].lower().replace("-", "_"), known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _keys(model: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    """Return the keys of the mapping at a place."""
    for step in place:
        if isinstance(step, str):
            model = _model_in(model.model_fields[step].annotation)
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel]:
    """Return the model of a mapping, of a list of them, or of either beside ``None``."""
    while arguments := get_args(annotation):
        annotation = arguments[0]
    model: type[BaseModel] = annotation
    return model


def _shown(key: str) -> str:
    """Return a key so that it can neither break the line nor fill the screen."""
    plain = "".join(character if character.isprintable() else "?" for character in key)
    return plain if len(plain) <= _MAXIMUM_KEY else plain[: _MAXIMUM_KEY - 1] + "…"
