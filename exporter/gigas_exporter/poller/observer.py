"""Events of the poller; those of the API client are in :class:`gigas_exporter.gigas.settings.Observer`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from gigas_exporter.errors import Reason
from gigas_exporter.inventory import Resource


class PollerObserver(Protocol):
    """Receives the poller's events, from several threads at once."""

    def poll(self, account_id: str, resource: Resource, failure: Reason | None) -> None:
        """A poll ended; ``failure`` is ``None`` if it succeeded."""

    def invalid(self, account_id: str, resource: Resource, field: str, count: int) -> None:
        """``count`` values of a field were invalid."""

    def request(self, operation: str, code: str, seconds: float) -> None:
        """A request ended."""

    def retry(self, operation: str) -> None:
        """A request is about to be sent again."""

    def token(self, account_ids: Iterable[str], expires_at: float | None) -> None:
        """A login for these accounts returned a token."""

    def login_blocked(self, account_ids: Iterable[str], blocked: bool) -> None:
        """Logins for these accounts were blocked or unblocked."""

    def account(self, account_id: str) -> None:
        """An account is now watched."""

    def forget(self, account_ids: Collection[str]) -> None:
        """Accounts are no longer watched."""

    def discovery(self, success: bool | None) -> None:
        """Discovery succeeded or failed; ``None`` if accounts are configured."""

    def accounts(self, watched: int | None, unpolled: int, skipped: int) -> None:
        """The numbers of watched (``None`` before the first list), unpolled and skipped accounts."""
