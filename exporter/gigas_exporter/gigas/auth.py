"""What goes into the ``Authorization`` header, and what is done when the API does not accept it.

It owns the life of tokens and the reading of secrets. It knows no operation but the login, which it is given.

A fixed token or an API key cannot be renewed; when the API refuses it, its source is read again, for it may have been
rotated. A login is renewed at 80 % of the token's life and after a 401; all callers that were refused with the same
token share one renewal. A renewal that fails, however it does, costs nothing while the old token is taken.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from gigas_exporter.clock import Budget, Clock
from gigas_exporter.decode import decode_moment
from gigas_exporter.errors import ApiError, AuthError, ConfigError, DecodeError, GigasError
from gigas_exporter.gigas.credentials import ApiKeyCredential, Credential, LoginCredential, SecretSource, fits_header
from gigas_exporter.gigas.observer import Observer
from gigas_exporter.gigas.ratelimit import held
from gigas_exporter.secret import Secret

__all__ = ["Authenticator", "Login", "LoginAuthenticator", "Pass", "SecretAuthenticator", "authenticator"]

LOGIN_OPERATION = "create_token"

_log = logging.getLogger(__name__)

_RENEW_AT = 0.8
_POSTPONED = 0.05
_RENEWAL_SHARE = 0.5  # of the time left: with a token that still lives, a login that hangs must not fail the poll
# The documented life of a token; what the API says is believed only when it is shorter.
_LIFE_SECONDS = 30 * 60.0
_REFUSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, 422})
_FIELD_REFUSED = frozenset({HTTPStatus.BAD_REQUEST, 422})


@dataclass(frozen=True, slots=True)
class Pass:
    """A header's value and the generation of the secret or token that it is made of."""

    header: Secret
    generation: int


class Authenticator(Protocol):
    """Gives the header, and hears how the API took it. Used by several threads at once."""

    def current(self, budget: Budget) -> Pass:
        """Return what to send now.

        Raises:
            GigasError: There is nothing to send.
        """
        ...

    def accepted(self, used: Pass) -> None:
        """Hear that the API took it."""
        ...

    def refused(self, used: Pass, status: int, budget: Budget) -> bool:
        """Hear that the API answered 401 or 403; return whether :meth:`current` now gives something else to try.

        Raises:
            GigasError: Something else to try could not be had.
        """
        ...

    def reload(self) -> None:
        """Forget what was read, so that the source is read again."""
        ...


class Login(Protocol):
    """Makes one login request, with retries."""

    def __call__(self, body: Mapping[str, object], budget: Budget) -> Mapping[str, object]:
        """Return the answer's object."""
        ...


def authenticator(
    credential: Credential, login: Login, *, readonly: bool, clock: Clock, observer: Observer
) -> Authenticator:
    """Return what the kind of credential needs."""
    if isinstance(credential, LoginCredential):
        return LoginAuthenticator(credential, login, readonly=readonly, clock=clock, observer=observer)
    if isinstance(credential, ApiKeyCredential):
        return SecretAuthenticator(credential.key, "Bearer ")
    return SecretAuthenticator(credential.token, "")


class SecretAuthenticator:
    """A fixed token or an API key."""

    def __init__(self, source: SecretSource, prefix: str) -> None:
        self._source = source
        self._prefix = prefix
        self._lock = threading.Lock()
        self._pass: Pass | None = None
        self._generation = 0

    def current(self, budget: Budget) -> Pass:
        """Return the header made of the secret as it was last read."""
        del budget  # reading a file is no wait
        with self._lock:
            if self._pass is None:
                self._pass = self._read()
            return self._pass

    def accepted(self, used: Pass) -> None:
        """Do nothing: a secret has no state."""

    def refused(self, used: Pass, status: int, budget: Budget) -> bool:
        """Read the secret again; there is something to try when it is another one now."""
        del status, budget
        with self._lock:
            if self._pass is None or self._pass.generation == used.generation:
                fresh = self._read()
                if fresh.header == used.header:
                    return False
                self._pass = fresh
            return self._pass.header != used.header

    def reload(self) -> None:
        """Read the secret again before the next request."""
        with self._lock:
            self._pass = None

    def _read(self) -> Pass:
        self._generation += 1
        return Pass(_header(self._prefix, self._source.read()), self._generation)


@dataclass(slots=True)
class _Session:
    """A token in use; ``proven`` once the API took it, ``forced`` when it replaced one that the API refused."""

    token: Pass
    password: Secret
    life: float
    renew_wall: float
    renew_monotonic: float
    forced_in: Budget | None
    proven: bool = False

    def renew_after(self, share: float, clock: Clock) -> None:
        self.renew_wall = clock.wall() + share * self.life
        self.renew_monotonic = clock.monotonic() + share * self.life


class LoginAuthenticator:
    """Session tokens, had by logging in."""

    def __init__(
        self, credential: LoginCredential, login: Login, *, readonly: bool, clock: Clock, observer: Observer
    ) -> None:
        self._credential = credential
        self._login = login
        self._readonly = readonly
        self._clock = clock
        self._observer = observer
        self._lock = threading.Lock()
        self._session: _Session | None = None
        self._generation = 0
        self._failure: tuple[Budget, Secret, str] | None = None
        self._renewal_fails = False

    def current(self, budget: Budget) -> Pass:
        """Return a token that should still live, logging in when there is none or it nears its end."""
        with held(self._lock, budget, LOGIN_OPERATION):
            session = self._session
            if session is None:
                return self._log_in(budget, forced=False).token
            return self._renewed(session, budget).token if self._is_due(session) else session.token

    def accepted(self, used: Pass) -> None:
        """Note that the token works, so that a later 401 means that it ended early."""
        session = self._session
        if session is not None and session.token.generation == used.generation:
            session.proven = True

    def refused(self, used: Pass, status: int, budget: Budget) -> bool:
        """Log in again, once for all callers that were refused with the same token.

        After a 403 that is done only when the password has changed. A token that is itself the result of a 401 in this
        piece of work and never worked is not renewed again: the API refuses the user, not the token.
        """
        with held(self._lock, budget, LOGIN_OPERATION):
            session = self._session
            if session is None or session.token.generation != used.generation:
                return True
            if self._credential.password.read() == session.password:
                if status == HTTPStatus.FORBIDDEN:
                    return False
                if session.forced_in is budget and not session.proven:
                    return False
            self._session = None
            self._log_in(budget, forced=True)
            return True

    def reload(self) -> None:
        """Log in with the password as it then is before the next request."""
        with self._lock:
            self._session = None
            self._failure = None

    def _renewed(self, session: _Session, budget: Budget) -> _Session:
        """Return a new session, or this one where none can be had: its token lives until the API says otherwise."""
        try:
            return self._log_in(budget, forced=False, share=_RENEWAL_SHARE)
        except GigasError as error:
            session.renew_after(_POSTPONED, self._clock)
            if not self._renewal_fails:
                facts = {"reason": error.reason, "error": str(error)}
                _log.warning("cannot renew a token that is still used", extra=facts)
            self._renewal_fails = True
            return session

    def _is_due(self, session: _Session) -> bool:
        # Either clock may be wrong about the time gone by: one is set, the other sleeps when the host does.
        return self._clock.wall() >= session.renew_wall or self._clock.monotonic() >= session.renew_monotonic

    def _log_in(self, budget: Budget, *, forced: bool, share: float = 1.0) -> _Session:
        password = self._credential.password.read()
        if self._failure is not None:
            failed_in, failed_with, message = self._failure
            if failed_in is budget and failed_with == password:
                raise AuthError(message)
            self._failure = None
        try:
            answer = self._ask(password, Budget(self._clock, share * budget.remaining(), budget.stop))
        except AuthError as error:
            self._failure = (budget, password, str(error))
            raise
        self._generation += 1
        token = Pass(_token_header(answer.get("token")), self._generation)
        expires_at = decode_moment(answer.get("expires"))
        life = expires_at - self._clock.wall() if expires_at is not None else _LIFE_SECONDS
        life = life if 0 < life <= _LIFE_SECONDS else _LIFE_SECONDS
        self._session = _Session(token, password, life, 0.0, 0.0, budget if forced else None)
        self._session.renew_after(_RENEW_AT, self._clock)
        self._observer.token(expires_at)
        if self._renewal_fails:
            self._renewal_fails = False
            _log.info("tokens can be renewed again")
        return self._session

    def _ask(self, password: Secret, budget: Budget) -> Mapping[str, object]:
        body: dict[str, object] = {"login": self._credential.login, "password": password.reveal()}
        try:
            if not self._readonly:
                return self._login(body, budget)
            try:
                return self._login({**body, "readonly": True}, budget)
            except ApiError as error:
                if error.status not in _FIELD_REFUSED:
                    raise
            # A guess: only the current API documents the field, and an older one may refuse what it does not know.
            answer = self._login(body, budget)
        except ApiError as error:
            if error.status in _REFUSED:
                raise AuthError(f"the API refused the login (status {error.status})") from None
            raise
        self._readonly = False
        return answer


def _header(prefix: str, secret: Secret) -> Secret:
    if not fits_header(secret):
        raise ConfigError("the token or API key has characters that no HTTP header can hold")
    return Secret(prefix + secret.reveal())


def _token_header(token: object) -> Secret:
    if not isinstance(token, str) or not token.strip() or not token.isascii() or not token.isprintable():
        raise DecodeError("token", "the answer to the login holds no usable token")
    return Secret(token)
