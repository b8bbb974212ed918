"""Which accounts a credential sees."""

from __future__ import annotations

from gigas_exporter.clock import Budget
from gigas_exporter.config import AccountSettings
from gigas_exporter.errors import DecodeError, GigasError
from gigas_exporter.gigas import Credential, ReadClient

__all__ = ["discover"]


def discover(client: ReadClient, credential: Credential, budget: Budget | None = None) -> tuple[AccountSettings, ...]:
    """List the accounts, to be read with the credential that they were listed with.

    Raises:
        GigasError: They could not be listed, or there is none: a credential that has lost its rights is likelier than a
            user without accounts, and taken at its word it would leave nobody to watch those that there were.
    """
    listing = client.list_accounts(budget=budget)
    if not listing.items and listing.invalid.get("id"):
        raise DecodeError("id", "the answer to list_accounts holds no readable id")
    if not listing.items:
        raise GigasError("list_accounts: the API lists no account for this credential")
    return tuple(AccountSettings(account, credential) for account in listing.items)
