"""What the poller reports; the client's own reports are :class:`gigas_exporter.gigas.settings.Observer`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from gigas_exporter.errors import Reason
from gigas_exporter.inventory import Resource


class PollerObserver(Protocol):
    """Counts polls, requests and accounts; called from several threads at once."""

    def poll(self, account_id: str, resource: Resource, failure: Reason | None) -> None:
        """One poll ended, successfully when ``failure`` is ``None``."""

    def invalid(self, account_id: str, resource: Resource, field: str, count: int) -> None:
        """Values of a field were invalid."""

    def request(self, operation: str, code: str, seconds: float) -> None:
        """One request ended."""

    def retry(self, operation: str) -> None:
        """A request is about to be made again."""

    def token(self, account_ids: Iterable[str], expires_at: float | None) -> None:
        """A login gave a token for these accounts."""

    def login_blocked(self, account_ids: Iterable[str], blocked: bool) -> None:
        """Logins for these accounts are blocked, or not any more."""

    def account(self, account_id: str) -> None:
        """An account is watched from now on."""

    def forget(self, account_ids: Collection[str]) -> None:
        """Accounts are no longer watched."""

    def discovery(self, success: bool | None) -> None:
        """Accounts were listed or not; ``None`` if configured."""

    def accounts(self, watched: int | None, unpolled: int, skipped: int) -> None:
        """The numbers of accounts watched (``None``: not listed yet), unpolled, skipped."""
