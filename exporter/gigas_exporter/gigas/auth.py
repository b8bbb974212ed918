"""What goes into the ``Authorization`` header, and what is done when the API rejects it.

It owns the life of tokens and the reading of secrets. It knows no operation but the login, which it is given.

A fixed token or an API key cannot be renewed; when the API rejects it, its source is read again, for it may have been
rotated. A login is renewed at 80 % of the token's life and after a 401; all callers whose request was rejected with the
same token share one renewal. A renewal that fails costs nothing while the old token is accepted.

A rejected login is not sent again until its password changes, or after a wait that doubles each time: an API that
counts attempts would lock the user out. A token that was never accepted is tried once with the other header scheme.
"""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from gigas_exporter.clock import Budget, Clock
from gigas_exporter.errors import ApiError, AuthError, ConfigError, GigasError
from gigas_exporter.gigas.credentials import ApiKeyCredential, Credential, LoginCredential, SecretSource, fits_header
from gigas_exporter.gigas.login import LOGIN_OPERATION, Login, LoginBlock, Scheme, TokenRequests
from gigas_exporter.gigas.observer import Observer
from gigas_exporter.gigas.ratelimit import acquire_within
from gigas_exporter.gigas.settings import LoginFlow
from gigas_exporter.secret import Secret

__all__ = ["LOGIN_OPERATION", "AuthHeader", "Login", "LoginAuth", "RequestAuth", "SecretAuth", "request_auth"]

_log = logging.getLogger(__name__)

_RENEW_AT = 0.8
_RETRY_RENEWAL_AT = 0.05
_RENEWAL_SHARE = 0.5  # of the time left: with a token that still lives, a login that hangs must not fail the poll
# The documented life of a token; what the API says is used only when it is shorter, and makes no login a minute.
_MAX_LIFE_SECONDS = 30 * 60.0
_MIN_LIFE_SECONDS = 60.0
_REJECTED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, 422})
_PASTED_SCHEME = re.compile(r"^bearer\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AuthHeader:
    """A header's value, and a number that is another one for each value."""

    value: Secret
    generation: int


class RequestAuth(Protocol):
    """Gives the header, and is told how the API took it. Used by several threads at once."""

    @property
    def secret_name(self) -> str:
        """What the user would have to replace, for error messages."""
        ...

    @property
    def blocked_until(self) -> float | None:
        """When a rejected login may be sent again, on the monotonic clock; ``None`` when nothing is blocked."""
        ...

    def header(self, budget: Budget) -> AuthHeader:
        """Return what to send now.

        Raises:
            GigasError: There is nothing to send.
        """
        ...

    def on_success(self, used: AuthHeader) -> None:
        """Note that the API accepted it."""
        ...

    def on_rejected(self, used: AuthHeader, status: int, budget: Budget) -> bool:
        """Handle a 401 or 403; return whether :meth:`header` now gives something else to try.

        Raises:
            GigasError: Something else to try could not be had.
        """
        ...

    def reload(self) -> None:
        """Read the secret again before the next request."""
        ...


def request_auth(
    credential: Credential,
    login: Login,
    *,
    flow: LoginFlow,
    readonly: bool,
    first_wait_seconds: float,
    clock: Clock,
    observer: Observer,
) -> RequestAuth:
    """Return what the kind of credential needs.

    Args:
        credential: Who is asking.
        login: Makes a login request.
        flow: How tokens are asked for.
        readonly: Whether logins ask for tokens that can change nothing.
        first_wait_seconds: How long a login is not sent again after its first rejection.
        clock: Where the time comes from.
        observer: Is told about tokens and blocked logins.
    """
    if isinstance(credential, LoginCredential):
        tokens = TokenRequests(credential.login, login, flow, readonly=readonly)
        return LoginAuth(credential, tokens, first_wait_seconds=first_wait_seconds, clock=clock, observer=observer)
    if isinstance(credential, ApiKeyCredential):
        return SecretAuth(credential.key, "API key", "bearer", is_fixed=True)
    return SecretAuth(credential.token, "token", "raw", is_fixed=False)


class SecretAuth:
    """A fixed token or an API key.

    Args:
        source: Where the secret comes from.
        kind: What it is, for error messages.
        scheme: How it is sent.
        is_fixed: Whether it is sent in no other way when the API rejects it.
    """

    blocked_until = None

    def __init__(self, source: SecretSource, kind: str, scheme: Scheme, *, is_fixed: bool) -> None:
        self._source = source
        self._kind = kind
        self._first_scheme: Scheme = scheme
        self._scheme: Scheme = scheme
        self._is_fixed = is_fixed
        self._lock = threading.Lock()
        self._secret: Secret | None = None
        self._must_read = True
        self._generation = 0
        self._rejected_schemes: set[Scheme] = set()

    @property
    def secret_name(self) -> str:
        """What the user would have to replace."""
        return f"the {self._kind} of {self._source.origin}"

    def header(self, budget: Budget) -> AuthHeader:
        """Return the header made of the secret as it was last read."""
        del budget  # reading a file is no wait
        with self._lock:
            if self._must_read:
                self._read()
            assert self._secret is not None  # noqa: S101  (narrows the type)
            return AuthHeader(_header(self._scheme, self._secret), self._generation)

    def on_success(self, used: AuthHeader) -> None:
        """Note that the scheme is the right one."""
        with self._lock:
            if used.generation == self._generation:
                self._is_fixed = True

    def on_rejected(self, used: AuthHeader, status: int, budget: Budget) -> bool:
        """Read the secret again, and where it is the same, use the other scheme unless one was accepted before."""
        del budget
        with self._lock:
            if self._generation != used.generation:
                return True
            if self._read():
                return True
            if self._is_fixed or status != HTTPStatus.UNAUTHORIZED:
                return False
            is_other_untried = not self._rejected_schemes
            self._rejected_schemes = {self._scheme} if is_other_untried else set()
            self._scheme = _other(self._scheme)  # where both were rejected, the first one is the next to be tried again
            self._generation += 1
            return is_other_untried

    def reload(self) -> None:
        """Read the secret again before the next request."""
        self._must_read = True

    def _read(self) -> bool:
        """Read the secret; return whether it is another one."""
        secret = _without_scheme(self._source.read())
        _header(self._scheme, secret)
        self._must_read = False
        if secret == self._secret:
            return False
        self._secret = secret
        if not self._is_fixed:
            self._scheme, self._rejected_schemes = self._first_scheme, set()
        self._generation += 1
        return True


@dataclass(slots=True)
class _LoginSession:
    """A token in use.

    Attributes:
        verified: Whether the API accepted it.
        renewed_by: The work in which it replaced a token that the API rejected.
        has_switched: Whether it is sent with the second scheme because the first one was rejected.
    """

    token: Secret
    header: AuthHeader
    password: Secret
    life: float
    renewed_by: Budget | None
    renew_wall: float = 0.0
    renew_monotonic: float = 0.0
    verified: bool = False
    has_switched: bool = False

    def schedule_renewal(self, share: float, clock: Clock) -> None:
        self.renew_wall = clock.wall() + share * self.life
        self.renew_monotonic = clock.monotonic() + share * self.life


class LoginAuth:
    """Session tokens, had by logging in."""

    def __init__(
        self,
        credential: LoginCredential,
        tokens: TokenRequests,
        *,
        first_wait_seconds: float,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._password = credential.password
        self._tokens = tokens
        self._clock = clock
        self._observer = observer
        self._lock = threading.Lock()
        self._scheme: Scheme = tokens.scheme
        self._is_scheme_known = tokens.scheme == "bearer"
        self._session: _LoginSession | None = None
        self._generation = 0
        self._must_read = False
        self._block = LoginBlock(first_wait_seconds, clock)
        self._renewal_fails = False

    @property
    def secret_name(self) -> str:
        """What the user would have to replace."""
        return f"the login or the password of {self._password.origin}"

    @property
    def blocked_until(self) -> float | None:
        """When the login may be sent again."""
        return self._block.until

    def header(self, budget: Budget) -> AuthHeader:
        """Return a token that should still live, logging in when there is none or it nears its end."""
        with acquire_within(self._lock, budget, LOGIN_OPERATION):
            session = self._session
            if session is not None and self._must_read:
                session = session if self._password.read() == session.password else None
                self._must_read = False
            if session is None:
                return self._log_in(budget, forced=False).header
            return self._renewed(session, budget).header if self._is_due(session) else session.header

    def on_success(self, used: AuthHeader) -> None:
        """Note that the token works, so that a later 401 means that it ended early."""
        session = self._session
        if session is not None and session.header.generation == used.generation:
            session.verified = self._is_scheme_known = True

    def on_rejected(self, used: AuthHeader, status: int, budget: Budget) -> bool:
        """Try the other scheme, or log in again, once for all callers whose request was rejected with the same token.

        After a 403 that is done only when the password has changed. A token that is itself the result of a 401 in this
        piece of work and was never accepted is not renewed again: the API rejects the user, not the token.
        """
        with acquire_within(self._lock, budget, LOGIN_OPERATION):
            session = self._session
            if session is None or session.header.generation != used.generation:
                return True
            if self._password.read() == session.password:
                if status == HTTPStatus.FORBIDDEN:
                    return False
                if not self._is_scheme_known and not session.has_switched:
                    session.has_switched = True
                    self._switch_scheme(session)
                    return True
                if session.renewed_by is budget and not session.verified:
                    return False
            self._session = None
            self._log_in(budget, forced=True)
            return True

    def reload(self) -> None:
        """Read the password again before the next request; a login that was rejected may be sent once more."""
        self._must_read = True
        self._block.release_on_reload()

    def _switch_scheme(self, session: _LoginSession) -> None:
        self._scheme = _other(self._scheme)
        self._generation += 1
        session.header = AuthHeader(_header(self._scheme, session.token), self._generation)

    def _renewed(self, session: _LoginSession, budget: Budget) -> _LoginSession:
        """Return a new session, or this one where none can be had: its token lives until the API says otherwise."""
        try:
            return self._log_in(budget, forced=False, share=_RENEWAL_SHARE)
        except GigasError as error:
            session.schedule_renewal(_RETRY_RENEWAL_AT, self._clock)
            if not self._renewal_fails and not isinstance(error, AuthError):  # which is logged where it is raised
                facts = {"reason": error.reason, "error": str(error)}
                _log.warning("cannot renew a token that is still used", extra=facts)
            self._renewal_fails = True
            return session

    def _is_due(self, session: _LoginSession) -> bool:
        # Either clock may be wrong about the time gone by: one is set, the other sleeps when the host does.
        return self._clock.wall() >= session.renew_wall or self._clock.monotonic() >= session.renew_monotonic

    def _log_in(self, budget: Budget, *, forced: bool, share: float = 1.0) -> _LoginSession:
        password = self._password.read()
        self._block.check(password)
        try:
            token, expires_at = self._tokens.get(
                password, Budget(self._clock, share * budget.remaining(), budget.stop), self._clock.wall()
            )
        except ApiError as error:
            if error.status not in _REJECTED:
                raise
            message = f"the API refused the login (status {error.status}): check {self.secret_name}"
            if self._block.begin(password, message):
                _log.warning("login rejected; it waits before it is sent again", extra={"status": error.status})
            self._observer.login_blocked(True)
            raise AuthError(message) from None
        if self._block.end(password):
            self._observer.login_blocked(False)
        if not self._is_scheme_known:
            self._scheme = self._tokens.scheme
        self._generation += 1
        header = AuthHeader(_header(self._scheme, token), self._generation)
        life = expires_at - self._clock.wall() if expires_at is not None else _MAX_LIFE_SECONDS
        life = max(_MIN_LIFE_SECONDS, life) if 0 < life <= _MAX_LIFE_SECONDS else _MAX_LIFE_SECONDS
        self._session = _LoginSession(token, header, password, life, budget if forced else None)
        self._session.schedule_renewal(_RENEW_AT, self._clock)
        self._observer.token(expires_at)
        if self._renewal_fails:
            self._renewal_fails = False
            _log.info("tokens can be renewed again")
        return self._session


def _other(scheme: Scheme) -> Scheme:
    return "bearer" if scheme == "raw" else "raw"


def _without_scheme(secret: Secret) -> Secret:
    """Return a token or key without the scheme that people paste along with it."""
    return Secret(_PASTED_SCHEME.sub("", secret.reveal()))


def _header(scheme: Scheme, secret: Secret) -> Secret:
    if not fits_header(secret):
        raise ConfigError("the token or API key has characters that no HTTP header can hold")
    return secret if scheme == "raw" else Secret(f"Bearer {secret.reveal()}")
