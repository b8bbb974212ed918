"""Owns reading a mapping of the web config strictly: each key once asked for by its type, none left over."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Never

from gigas_exporter.errors import ConfigError

__all__ = ["Section"]

_UNIT_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")


class Section:
    """A mapping in a file; an empty text and null count as not given, as in exporter-toolkit.

    Args:
        origin: The file.
        path: Where the mapping stands in it, such as ``http_server_config.headers``; empty for the whole.
        value: What stands there.
    """

    def __init__(self, origin: str, path: str, value: object) -> None:
        self.origin = origin
        self._path = path
        if not isinstance(value, dict):
            raise ConfigError(f"{origin}: {path + ': ' if path else ''}must be a mapping of keys to values")
        self._values: dict[str, object] = value
        self._left = set(value)
        self._known: list[str] = []

    def refuse(self, key: str, what: str) -> Never:
        """Say what is wrong with a key's value; the value itself is never shown."""
        raise ConfigError(f"{self.origin}: {self._where(key)}: {what}")

    def end(self) -> None:
        """Refuse a key that nobody asked for."""
        if self._left:
            self.refuse(min(self._left), f"unknown key; known here: {', '.join(sorted(set(self._known)))}")

    def names(self) -> tuple[str, ...]:
        """Return the keys, where they are names that the user chooses."""
        return tuple(self._values)

    def section(self, key: str, *, without: str | None = None) -> Section | None:
        """Return a mapping; ``without`` says what leaving it out means, and a key without a value is refused then."""
        value = self._take(key)
        if value is None and without is not None and key in self._values:
            self.refuse(key, f"is empty; fill it in, or leave it out {without}")
        return None if value is None else Section(self.origin, self._where(key), value)

    def text(self, key: str) -> str | None:
        """Return a text; a number counts as one."""
        value = self._take(key)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self.refuse(key, "must be a text")
        return str(value)

    def texts(self, key: str) -> list[str]:
        """Return a list of texts."""
        value = self._take(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            self.refuse(key, "must be a list of texts")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.refuse(key, "must be true or false")
        return value

    def whole(self, key: str, *, default: int) -> int:
        """Return a whole number of 0 or more."""
        value = self._take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            self.refuse(key, "must be a whole number of 0 or more")
        return value

    def duration_seconds(self, key: str) -> float:
        """Return a duration as Go writes it, such as ``1s`` or ``1m30s``, in seconds; 0 when it is not given."""
        value = self._take(key)
        if value is None or value in (0, "0"):
            return 0.0
        parts = _DURATION_PART.findall(value) if isinstance(value, str) else []
        if not parts or "".join(number + unit for number, unit in parts) != value:
            self.refuse(key, "must be a duration such as 1s, 500ms or 1m30s")
        return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)

    def one_of(self, key: str, name: str, names: Iterable[str]) -> str:
        """Return the name, which must be one of these."""
        known = tuple(names)
        if name not in known:
            self.refuse(key, f"unknown name; known: {', '.join(known)}")
        return name

    def _take(self, key: str) -> object:
        self._known.append(key)
        self._left.discard(key)
        return self._values.get(key)

    def _where(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key
