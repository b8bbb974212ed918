"""The problems of a configuration file, one line each.

A message is made from the location and the type of a pydantic error, never from the value: it may be a secret, even
where none belongs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from gigas_exporter.disclosure import is_typo
from gigas_exporter.formatting import did_you_mean
from gigas_exporter.yaml_loader import Location

_WORDS: Final = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "list_type": "must be a list; begin each entry with '- '",
    "string_type": "must be text",
    "dict_type": "must be a mapping of keys to values, such as key: value",
    "model_type": "must be a mapping of keys to values, such as key: value",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
}
_YES_OR_NO: Final = frozenset({"yes", "no", "on", "off", "y", "n"})
_LIKELY_KEYS: Final = {
    **dict.fromkeys(
        ("virtual_machine", "machine", "vm", "vm_name", "server", "host", "hostname", "label"), "virtual_machine_label"
    ),
    **dict.fromkeys(("vm_id", "machine_id", "server_id"), "virtual_machine_id"),
    **dict.fromkeys(("mount", "path"), "mount_point"),
}
"""The keys that were likely meant. ``virtual_machine`` is a name, as in the metrics' label."""
_FLAGS_ONLY: Final = ("shard",)


class Section(BaseModel):
    """A mapping in the file: strict, without unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class ConfigProblem(NamedTuple):
    """A problem at a location of the file.

    Attributes:
        words: The message that follows the location, such as ``is missing``.
        is_hidden: Whether the location's last key is not shown, since it may be a secret.
    """

    location: Location
    words: str
    is_hidden: bool = False

    def __str__(self) -> str:
        path = path_of(self.location[:-1] if self.is_hidden else self.location)
        if path:
            return f"{path}: {self.words}"
        return self.words if self.is_hidden else f"the file {self.words}"


class CrossKeyError(ValueError):
    """The values of several keys do not go together."""

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def problems_of(invalid: ValidationError, model: type[BaseModel]) -> list[ConfigProblem]:
    """Return the problems in the order of the file."""
    problems: list[ConfigProblem] = []
    for error in invalid.errors(include_url=False):
        location = tuple(step for step in error["loc"] if step != "[key]")  # pydantic's mark for a mapping's key
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, CrossKeyError):
            problems.extend(ConfigProblem((*location, *inner.location), inner.words) for inner in cause.problems)
        else:
            is_hidden = error["type"] == "extra_forbidden" and not _resembles(location, model)
            problems.append(ConfigProblem(location, describe_problem(error, model), is_hidden))
    return problems


def _resembles(location: Sequence[int | str], model: type[BaseModel]) -> bool:
    """Return whether an unknown key resembles a known one."""
    *parents, key = location
    text = str(key)
    known, given = _keys(model, parents), text.replace("-", "_")
    return text in {*_all_keys(model), *_FLAGS_ONLY} or _LIKELY_KEYS.get(given) in known or is_typo(given, known)


def path_of(location: Sequence[int | str]) -> str:
    """Return a location as people write it: ``accounts[0].token``."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f"{'.' if path else ''}{step}"
    return path


def describe_problem(error: Any, model: type[BaseModel]) -> str:
    """Return the problem, without location and value."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        *parents, key = error["loc"]
        words = _misplaced_key(str(key), model, parents) or _unknown_key(
            str(key), _keys(model, parents), shown=_resembles(error["loc"], model)
        )
    elif kind == "value_error":
        words = str(context["error"])
    elif kind == "words":
        words = error["msg"]
    elif error["input"] is None:
        words = "is empty"
    elif kind == "bool_type" and str(error["input"]).lower() in _YES_OR_NO:
        words = "must be true or false; yes, no, on and off are text"
    elif kind == "bool_type" and str(error["input"]) in {"true", "false"}:
        words = "must be true or false, without quotes"
    elif kind == "literal_error":
        choices = [choice.strip("'") for choice in context["expected"].replace(" or ", ", ").split(", ")]
        given = error["input"] if isinstance(error["input"], str) else ""
        words = f"must be one of {', '.join(choices)}" + did_you_mean(given, choices)
    else:
        words = _WORDS.get(kind, "is not allowed here").format(**context)
    return words


def _misplaced_key(key: str, model: type[BaseModel], parents: Sequence[int | str]) -> str | None:
    fields = _keys(model, parents)
    if "match" in fields and key in _keys(model, (*parents, "match")):
        return "belongs below match"
    section, _, name = key.replace("-", "_").partition(".")
    if not parents and section in fields and name in _keys(model, (section,)):
        return f"{key} is written as a flag; write {name} below {section}"
    return None


def _unknown_key(key: str, known: Sequence[str], *, shown: bool) -> str:
    if shown:
        given = key.replace("-", "_")
        meant = _LIKELY_KEYS.get(given)
        return f"unknown key{f'; did you mean {meant}?' if meant in known else did_you_mean(given, known)}"
    near = next((each for each in known if re.match(rf"{each}\s*[:=]", key)), None)
    if near is not None:
        return f"an unknown key that begins with {near}; write {near}, a colon and a space before the value"
    return f"an unknown key, not shown here; the known ones are {', '.join(known)}"


def _keys(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    for step in location:
        if isinstance(step, str):
            model = _model_in(model.model_fields[step].annotation)
    return list(model.model_fields)


def _all_keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        inner = _model_in(field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _all_keys(inner)


def _model_in(annotation: Any) -> type[BaseModel]:
    while arguments := get_args(annotation):
        annotation = arguments[0]
    model: type[BaseModel] = annotation
    return model
