"""The API clients: one per credential, kept across reloads.

Rate limits, tokens and rejected logins belong to the secret, wherever it is configured. A reload does not reset them.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Hashable
from weakref import WeakValueDictionary

from gigas_exporter.clock import Clock
from gigas_exporter.errors import ConfigError
from gigas_exporter.gigas import (
    ApiKeyCredential,
    ApiSettings,
    Credential,
    LoginCredential,
    LoginStates,
    Observer,
    RateLimiter,
    ReadClient,
    TrustStore,
)
from gigas_exporter.poller.observer import PollerObserver

_Key = tuple[ApiSettings, Credential]


class ClientPool:
    """Makes one client per credential; drops unused ones."""

    def __init__(self, observer: PollerObserver, clock: Clock, *, login_retry_seconds: float) -> None:
        self._observer = observer
        self._clock = clock
        self._login_retry_seconds = login_retry_seconds
        self._lock = threading.Lock()
        self._trust: dict[ApiSettings, TrustStore] = {}
        self._login_states = LoginStates()
        self._limiters: WeakValueDictionary[Hashable, RateLimiter] = WeakValueDictionary()
        self._clients: dict[_Key, tuple[ReadClient, _AccountObserver]] = {}

    def get(self, settings: ApiSettings, credential: Credential, account_id: str | None = None) -> ReadClient:
        """Return the client for a credential. Its tokens are reported for ``account_id`` as well.

        Raises:
            ConfigError: A setting cannot be used.
        """
        client, observer = self._clients.get((settings, credential)) or self._add(settings, credential)
        if account_id is not None:
            observer.add(account_id)
        return client

    def _add(self, settings: ApiSettings, credential: Credential) -> tuple[ReadClient, _AccountObserver]:
        """Make a client. Files are read outside the lock, since reading them may take long."""
        limits = settings.max_concurrency, settings.max_requests_per_second
        secret: Hashable = settings.url, *limits, _identity(credential)
        # Loading the trusted CAs takes 20 ms and 1 MB.
        trust = self._trust.get(settings) or TrustStore(settings)
        observer = _AccountObserver(self._observer, has_login=isinstance(credential, LoginCredential))
        with self._lock:
            limiter = self._limiters.setdefault(secret, RateLimiter(self._clock, *limits))
            client = ReadClient(
                settings,
                credential,
                observer=observer,
                clock=self._clock,
                limiter=limiter,
                trust=self._trust.setdefault(settings, trust),
                login_states=self._login_states,
                login_retry_seconds=self._login_retry_seconds,
            )
            return self._clients.setdefault((settings, credential), (client, observer))

    def reload_credentials(self) -> None:
        """Read all secrets again before the next requests."""
        with self._lock:
            clients = [client for client, _ in self._clients.values()]
        for client in clients:
            client.reload_credential()

    def remove_account(self, account_id: str) -> None:
        """Stop reporting for an account, and drop its cached data."""
        with self._lock:
            for client, observer in self._clients.values():
                if account_id in observer.account_ids:
                    observer.account_ids.discard(account_id)
                    client.forget(account_id)

    def keep_only(self, settings: ApiSettings, credentials: Collection[Credential]) -> None:
        """Close all clients of other settings or credentials."""
        with self._lock:
            unused = [key for key in self._clients if key[0] != settings or key[1] not in credentials]
            clients = [self._clients.pop(key)[0] for key in unused]
            self._trust = {key: trust for key, trust in self._trust.items() if key == settings}
        for client in clients:
            client.close()

    def close(self) -> None:
        """Close all clients."""
        with self._lock:
            clients = [client for client, _ in self._clients.values()]
            self._clients.clear()
        for client in clients:
            client.close()


def _identity(credential: Credential) -> Hashable:
    """Return a key that is equal for equal secrets."""
    try:
        if isinstance(credential, LoginCredential):
            return credential.login, credential.password.read()
        return (credential.key if isinstance(credential, ApiKeyCredential) else credential.token).read()
    except ConfigError:  # it cannot be read now
        return credential


class _AccountObserver(Observer):
    """Adds the accounts that use a client to its reports."""

    def __init__(self, observer: PollerObserver, *, has_login: bool) -> None:
        self._observer = observer
        self.account_ids: set[str] = set()
        self._expires_at: float | None = None
        self._has_token = False
        self._blocked: bool | None = False if has_login else None

    def request(self, operation: str, code: str, seconds: float) -> None:
        self._observer.request(operation, code, seconds)

    def retry(self, operation: str) -> None:
        self._observer.retry(operation)

    def token(self, expires_at: float | None) -> None:
        self._has_token, self._expires_at = True, expires_at
        self._observer.token(tuple(self.account_ids), expires_at)

    def login_blocked(self, blocked: bool) -> None:
        self._blocked = blocked
        self._observer.login_blocked(tuple(self.account_ids), blocked)

    def add(self, account_id: str) -> None:
        self.account_ids.add(account_id)
        if self._has_token:
            self._observer.token((account_id,), self._expires_at)
        if self._blocked is not None:
            self._observer.login_blocked((account_id,), self._blocked)
