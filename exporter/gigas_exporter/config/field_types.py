"""The types of configuration values, and how each is parsed.

Parsers run only if a :class:`Source` is the validation context. Without it, as when code makes a model, values are
used as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, InstanceOf, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from gigas_exporter.config.parsers import (
    parse_base_url,
    parse_duration,
    parse_field_names,
    parse_id,
    parse_listen_address,
    parse_proxy_url,
    parse_telemetry_path,
    parse_time_zone,
)
from gigas_exporter.disclosure import may_be_secret
from gigas_exporter.errors import ConfigError
from gigas_exporter.gigas.connect import TrustStore
from gigas_exporter.gigas.settings import ApiSettings
from gigas_exporter.secret import Secret
from gigas_exporter.status_words import fold_status
from gigas_exporter.validation_errors import Section

_YEAR: Final = 365 * 86400.0
_MAX_TEXT_LENGTH: Final = 4096
_TEMPLATE: Final = re.compile(r"\{\{.*\}\}")
_VARIABLE: Final = re.compile(r"\$\{[^}]*\}|\$\([^)]*\)|\$[A-Z][A-Z0-9_]*")


def env_var_for_key(key: str) -> str:
    """Return the environment variable of a credential's key."""
    return f"GIGAS_{key.upper()}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where values come from.

    Attributes:
        directory: The base of relative paths.
        is_environment: Whether values come from environment variables, not from a file.
    """

    directory: Path = Path()
    is_environment: bool = False

    def name(self, key: str) -> str:
        """Return a credential key's name in this source."""
        return env_var_for_key(key) if self.is_environment else key


def wrong_type(value: object, words: str) -> PydanticCustomError:
    """Return the error of a value of the wrong type."""
    return PydanticCustomError("words", "is empty" if value is None else words)


def _parsed_by(parse: Callable[[Any, Source], object]) -> BeforeValidator:
    def validate(value: object, info: ValidationInfo) -> object:
        return value if info.context is None else parse(value, info.context)

    return BeforeValidator(validate)


def _not_text(value: object) -> PydanticCustomError:
    kind = "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else None
    return wrong_type(value, "must be text; put it in quotes" if kind is None else f"must be text, not {kind}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _not_text(value)
    if not value.strip():
        raise ValueError("is empty")
    if len(value) > _MAX_TEXT_LENGTH:
        raise ValueError(f"is longer than {_MAX_TEXT_LENGTH} characters")
    if not value.isprintable():
        raise ValueError("has a line break or invisible character inside")
    _reject_variable(value)
    return value


def _reject_variable(value: str) -> None:
    if _TEMPLATE.fullmatch(value.strip()):
        raise ValueError("is a template, which must be filled in first")
    if _VARIABLE.fullmatch(value.strip()):
        raise ValueError("is a variable, and variables are not replaced in this file; write the value, or use a file")


def _text_parsed_by(parse: Callable[[str], object]) -> BeforeValidator:
    return _parsed_by(lambda value, _: parse(_text(value)))


def _path(value: object, source: Source) -> Path:
    text = _text(value)
    if text.startswith(("~", "$")) and not source.is_environment:
        what = "~" if text.startswith("~") else "a variable"
        raise ValueError(f"begins with {what}, which is not replaced in this file; write the whole path")
    return source.directory / text


def _ca_file(value: object, source: Source) -> Path:
    path = _path(value, source)
    if may_be_secret(path, source.directory):
        raise ValueError("there is no such file")
    try:
        TrustStore(ApiSettings(ca_file=path))
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return path


def _listen_addresses(value: object, _: Source) -> tuple[tuple[str, int], ...]:
    texts = value if isinstance(value, list) and value else _text(value).split(",")
    return tuple(parse_listen_address(_text(text).strip()) for text in texts)


def _duration(value: object, _: Source, *, least: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise wrong_type(value, "must be a duration with its unit, such as 60s")
    seconds = parse_duration(_text(value))
    if seconds < least:
        raise ValueError(f"must be at least {'1ms' if least < 1 else '1s'}")
    if seconds > _YEAR:
        raise ValueError("must be at most 1y")
    return seconds


def _status_word(text: str) -> str:
    word = fold_status(text)
    if not word:
        raise ValueError("is empty but for - and _")
    return word


def _id(value: object, _: Source) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        raise wrong_type(text, "must be an id: a whole number or text")
    return parse_id(text)


def _secret(value: object, source: Source) -> Secret:
    if not isinstance(value, str):
        raise _not_text(value)
    if not source.is_environment:
        _reject_variable(value)
    return Secret(value)


Text = Annotated[str, _text_parsed_by(str)]
StatusWord = Annotated[str, _text_parsed_by(_status_word)]
Id = Annotated[str, _parsed_by(_id)]
SecretText = Annotated[InstanceOf[Secret], _parsed_by(_secret)]
FilePath = Annotated[Path, _parsed_by(_path)]
CaFile = Annotated[Path, _parsed_by(_ca_file)]
DurationMin1s = Annotated[float, _parsed_by(partial(_duration, least=1.0))]
DurationMin1ms = Annotated[float, _parsed_by(partial(_duration, least=0.001))]
Duration = Annotated[float, _parsed_by(partial(_duration, least=0.0))]
ApiUrl = Annotated[str, _text_parsed_by(partial(parse_base_url, example="https://api.gigas.com"))]
DashboardBase = Annotated[str, _text_parsed_by(partial(parse_base_url, example="https://grafana.example.com"))]
ProxyUrl = Annotated[str, _text_parsed_by(parse_proxy_url)]
ListenAddresses = Annotated[tuple[tuple[str, int], ...], _parsed_by(_listen_addresses)]
TimeZone = Annotated[InstanceOf[tzinfo], _text_parsed_by(parse_time_zone)]
FieldNames = Annotated[dict[str, str | None], _parsed_by(lambda value, _: parse_field_names(value))]
TelemetryPath = Annotated[str, _text_parsed_by(parse_telemetry_path)]


def key(default: Any, kind: str, meaning: str, **limits: Any) -> Any:
    """Return a key's definition; ``kind`` is its type in the reference."""
    return Field(default, description=meaning, json_schema_extra={"kind": kind}, **limits)


def kind_of(field: FieldInfo) -> str:
    """Return a key's type in the words of the reference."""
    extra = field.json_schema_extra
    return str(extra["kind"]) if isinstance(extra, dict) else ""


class FilledSection(Section):
    """A mapping whose keys must have values: an empty match would match all."""

    @field_validator("*", mode="before")
    @classmethod
    def _reject_null(cls, value: object) -> object:
        if value is None:
            raise wrong_type(value, "")
        return value
