"""What a client reports about its requests."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Hears of requests, retries and tokens; called from several threads at once."""

    def request(self, operation: str, code: str, seconds: float) -> None:
        """One request ended; ``code`` is the status, or ``timeout``, ``connection`` or ``invalid``."""

    def retry(self, operation: str) -> None:
        """A request is about to be made again."""

    def token(self, expires_at: float | None) -> None:
        """A login gave a token that is said to end at ``expires_at`` (UNIX seconds)."""

    def login_blocked(self, blocked: bool) -> None:
        """A rejected login is blocked for a while, or not any more."""


class NullObserver:
    """Hears everything and tells no one."""

    def request(self, operation: str, code: str, seconds: float) -> None:
        """Ignore it."""

    def retry(self, operation: str) -> None:
        """Ignore it."""

    def token(self, expires_at: float | None) -> None:
        """Ignore it."""

    def login_blocked(self, blocked: bool) -> None:
        """Ignore it."""
