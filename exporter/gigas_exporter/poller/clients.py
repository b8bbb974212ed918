"""The API clients of a configuration: one for each credential, shared by the accounts that use it.

All share whom TLS trusts: reading the system's authorities for hundreds of clients would take longer than an end may.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Protocol

from gigas_exporter.clock import Clock
from gigas_exporter.gigas import ApiSettings, Credential, ReadClient, TrustStore

__all__ = ["Clients", "RequestObserver"]


class RequestObserver(Protocol):
    """Hears of requests, retries, and tokens with the accounts that they serve."""

    def request(self, operation: str, code: str, seconds: float) -> None:
        """One request ended."""

    def retry(self, operation: str) -> None:
        """A request is about to be made again."""

    def token(self, account_ids: Iterable[str], expires_at: float | None) -> None:
        """A login gave a token for these accounts."""


class Clients:
    """Makes each client once, and closes all of them."""

    def __init__(self, settings: ApiSettings, observer: RequestObserver, clock: Clock) -> None:
        self._settings = settings
        self._observer = observer
        self._clock = clock
        self._lock = threading.Lock()
        self._trust: TrustStore | None = None
        self._clients: dict[Credential, tuple[ReadClient, _TokenRelay]] = {}

    def get(self, credential: Credential, account_id: str | None = None) -> ReadClient:
        """Return the client of a credential; its tokens are told of as the account's too."""
        with self._lock:
            if credential not in self._clients:
                self._trust = self._trust or TrustStore(self._settings)
                relay = _TokenRelay(self._observer)
                client = ReadClient(self._settings, credential, observer=relay, clock=self._clock, trust=self._trust)
                self._clients[credential] = client, relay
            client, relay = self._clients[credential]
        if account_id is not None:
            relay.add(account_id)
        return client

    def discard(self, account_id: str) -> None:
        """Tell of an account's tokens no more, and let go of what was kept of it."""
        with self._lock:
            for client, relay in self._clients.values():
                relay.account_ids.discard(account_id)
                client.forget(account_id)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for client, _ in self._clients.values():
                client.close()


class _TokenRelay:
    """Adds to what a client tells of its tokens which accounts they serve."""

    def __init__(self, observer: RequestObserver) -> None:
        self._observer = observer
        self.request = observer.request
        self.retry = observer.retry
        self.account_ids: set[str] = set()
        self._told = False
        self._expires_at: float | None = None

    def token(self, expires_at: float | None) -> None:
        """Pass it on for every account of the client."""
        self._told, self._expires_at = True, expires_at
        self._observer.token(tuple(self.account_ids), expires_at)

    def login_blocked(self, blocked: bool) -> None:
        """Ignore it."""

    def add(self, account_id: str) -> None:
        """Let the account share the client's tokens, also the one that is there already."""
        self.account_ids.add(account_id)
        if self._told:
            self._observer.token((account_id,), self._expires_at)
