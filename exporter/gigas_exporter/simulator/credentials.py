"""API keys, logins and session tokens (Gigas docs, pages Authentication and API Keys).

The demo credentials are fixed; they have no use outside a simulator.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from dataclasses import dataclass, field


@dataclass(slots=True)
class DemoCredential:
    """One user with an API key and a login.

    Attributes:
        account_ids: The accounts that the user sees.
    """

    login: str
    account_ids: tuple[str, ...]
    api_key: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Principal:
    """The user of a request."""

    account_ids: tuple[str, ...]
    readonly: bool


class Credentials:
    """The users of a simulated cloud and their session tokens.

    The main user sees every account; each account also has a user of its own.
    """

    def __init__(self, seed: int, account_ids: tuple[str, ...]) -> None:
        self.main = DemoCredential("demo@example.com", account_ids, "demo-api-key", "demo-" + "password")
        self.by_account = {
            account_id: DemoCredential(
                login=f"demo-{account_id}@example.com",
                account_ids=(account_id,),
                api_key=f"demo-api-key-{account_id}",
                password=f"demo-password-{account_id}",
            )
            for account_id in account_ids
        }
        self.users = (self.main, *self.by_account.values())
        self._seed = seed
        self._numbers = itertools.count()
        self._tokens: dict[str, tuple[Principal, float]] = {}

    def login(self, login: str, password: str) -> DemoCredential | None:
        """Return the user with this login and password."""
        for user in self.users:
            if user.login == login and hmac.compare_digest(user.password.encode(), password.encode()):
                return user
        return None

    def issue(self, user: DemoCredential, expires_at: float, *, readonly: bool) -> str:
        """Return a new session token for the user."""
        token = hashlib.sha256(f"session/{self._seed}/{next(self._numbers)}".encode()).hexdigest()
        self._tokens[token] = (Principal(user.account_ids, readonly), expires_at)
        return token

    def revoke_tokens(self) -> None:
        """End every session."""
        self._tokens.clear()

    def principal(self, authorization: str | None, now: float) -> Principal | None:
        """Return the user of an Authorization header, ``None`` if invalid."""
        if not authorization:
            return None
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return next((Principal(user.account_ids, False) for user in self.users if user.api_key == key), None)
        principal, expires_at = self._tokens.get(authorization, (None, 0.0))
        return principal if now < expires_at else None
