"""What the sections of the configuration have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gigas_exporter.config.field_types import wrong_type

__all__ = ["FilledSection", "Section", "key"]


def key(default: Any, kind: str, meaning: str, **limits: Any) -> Any:
    """Return a key's definition; ``kind`` is its type in the words of the reference."""
    return Field(default, description=meaning, json_schema_extra={"kind": kind}, **limits)


class Section(BaseModel):
    """A mapping of the file: nothing is converted in silence, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class FilledSection(Section):
    """A mapping in which a key without a value is an error: a match on nothing would widen a rule to every disk."""

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_null(cls, value: object) -> object:
        if value is None:
            raise wrong_type(value, "")
        return value
