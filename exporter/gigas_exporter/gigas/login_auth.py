"""Session tokens, obtained by logging in.

A token is renewed at 80 % of its life and after a 401; all callers whose requests were rejected with the same token
share one renewal. A failed renewal does no harm while the old token is accepted. A rejected login waits, see
:mod:`gigas_exporter.gigas.login`; one whose tokens are all rejected is sent at most twice an interval. A token that was
never accepted is tried once with the other header scheme.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from gigas_exporter.clock import Clock, Deadline
from gigas_exporter.errors import ApiError, AuthError, DecodeError, GigasError
from gigas_exporter.gigas.credentials import Scheme, SecretSource, header_value, other_scheme
from gigas_exporter.gigas.login import LOGIN_OPERATION, IssuedToken, LoginState, TokenRequests
from gigas_exporter.gigas.ratelimit import acquire_within
from gigas_exporter.gigas.settings import Observer
from gigas_exporter.secret import Secret

_log = logging.getLogger(__name__)  # not gigas_exporter.logs: this package is also a library

_RENEW_AT = 0.8
_RETRY_RENEWAL_AT = 0.05
_RENEWAL_SHARE = 0.5  # of the time left: while the old token is valid, a login that hangs must not fail the poll
# The documented life of a token. The API's own value is used if it is shorter, but never less than a minute.
_MAX_LIFE_SECONDS = 30 * 60.0
_MIN_LIFE_SECONDS = 60.0
# May mean that the user is rejected; 402, 409, 423 and 451 that the user is locked.
_REJECTED = frozenset({400, 401, 402, 403, 409, 422, 423, 451})
_TEMPORARY = frozenset({408, 425, 429})  # and 5xx; after any other error status the login waits half an interval


@dataclass(slots=True)
class _LoginSession:
    """A token in use.

    Attributes:
        renewed_by: The deadline of the work in which it replaced a rejected token, if it did.
        started_at: When the token came into use here, by the monotonic clock.
        verified: Whether the API accepted it.
        has_switched: Whether it is sent with the second scheme because the first one was rejected.
    """

    issued: IssuedToken
    header: Secret
    password: Secret
    renewed_by: Deadline | None
    started_at: float
    verified: bool = False
    has_switched: bool = False


class LoginAuth:
    """Session tokens, obtained by logging in.

    Args:
        state: Returns the state of the login with a password.
        first_wait_seconds: The wait before a login is sent again after its first rejection.
    """

    def __init__(
        self,
        password: SecretSource,
        tokens: TokenRequests,
        *,
        state: Callable[[Secret], LoginState],
        first_wait_seconds: float,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._password = password
        self._tokens = tokens
        self._state_of = state
        self._first_wait = first_wait_seconds
        self._clock = clock
        self._observer = observer
        self._lock = threading.Lock()
        self._scheme: Scheme = tokens.scheme
        self._is_scheme_known = tokens.scheme == "bearer"
        self._session: _LoginSession | None = None
        self._state: LoginState | None = None
        self._must_read = False
        self._is_blocked = False
        self._renewal_fails = False

    @property
    def secret_name(self) -> str:
        """The secret to check or replace, for error messages."""
        return f"the login, or the password in {self._password.origin}"

    def header(self, deadline: Deadline) -> Secret:
        """Return a valid token; log in when needed."""
        with acquire_within(self._lock, deadline, LOGIN_OPERATION):
            session = self._session
            if session is not None and self._must_read:
                session = session if self._password.read() == session.password else None
                self._must_read = False
            if session is None:
                return self._log_in(deadline, None, forced=False).header
            return self._renewed(session, deadline).header if session.issued.is_due(self._clock) else session.header

    def on_success(self, used: Secret) -> None:
        """Note that the token works: a later 401 means that it expired early."""
        session = self._session
        if session is not None and session.header is used:
            session.verified = self._is_scheme_known = True
            session.issued.scheme = self._scheme

    def on_rejected(self, used: Secret, status: int, deadline: Deadline) -> bool:
        """Return whether to repeat the request with a new ``header()``.

        It tries the other scheme or logs in again, once for all callers whose requests were rejected with the same
        token. After a 403 it does so only if the password has changed. A token that was obtained after a 401 (in this
        work, or recently in another) and never accepted is not renewed: then the API rejects the user, and each account
        would log in again.
        """
        with acquire_within(self._lock, deadline, LOGIN_OPERATION):
            session = self._session
            if session is None or session.header is not used:
                return True
            if self._password.read() == session.password:
                if status == HTTPStatus.FORBIDDEN:
                    return False
                if not self._is_scheme_known and not session.has_switched:
                    session.has_switched = True
                    self._switch_scheme(session)
                    return True
                if self._is_renewal_useless(session, deadline):
                    return False
            self._session = None
            self._log_in(deadline, session.issued, forced=True)
            return True

    def reload(self) -> None:
        """Read the password again before the next request; retry a rejected login."""
        self._must_read = True
        if self._state is not None:
            self._state.release_on_reload()

    def _is_renewal_useless(self, session: _LoginSession, deadline: Deadline) -> bool:
        if session.renewed_by is None or session.verified:
            return False
        return session.renewed_by is deadline or self._clock.monotonic() < session.started_at + self._first_wait / 2

    def _switch_scheme(self, session: _LoginSession) -> None:
        self._scheme = other_scheme(self._scheme)
        session.header = header_value(self._scheme, session.issued.token)

    def _renewed(self, session: _LoginSession, deadline: Deadline) -> _LoginSession:
        """Return a new session, or on error this one, which may still be valid."""
        try:
            return self._log_in(deadline, session.issued, forced=False, share=_RENEWAL_SHARE)
        except GigasError as error:
            session.issued.schedule_renewal(_RETRY_RENEWAL_AT, self._clock)
            if not self._renewal_fails and not self._is_blocked:  # a block is logged when it begins
                facts = {"reason": error.reason, "error": str(error)}
                _log.warning("Cannot renew a token that is still in use", extra=facts)
            self._renewal_fails = True
            return session

    def _log_in(
        self, deadline: Deadline, old: IssuedToken | None, *, forced: bool, share: float = 1.0
    ) -> _LoginSession:
        """Start a session with a token other than the old one."""
        password = self._password.read()
        state = self._state = self._state_of(password)
        part = Deadline(self._clock, share * deadline.remaining(), deadline.stop)
        with acquire_within(state.lock, part, LOGIN_OPERATION):
            issued = state.issued
            if issued is None or (old is not None and issued.token == old.token) or issued.is_due(self._clock):
                if forced:
                    state.issued = None  # it was rejected, and must not be used again even if this login fails
                issued = state.issued = self._issue(state, password, part)
        if self._is_blocked:
            self._is_blocked = False
            self._observer.login_blocked(False)
        if issued.scheme is not None:
            self._scheme, self._is_scheme_known = issued.scheme, True
        elif not self._is_scheme_known:
            self._scheme = self._tokens.scheme
        header = header_value(self._scheme, issued.token)
        now = self._clock.monotonic()
        self._session = _LoginSession(issued, header, password, deadline if forced else None, now)
        self._observer.token(issued.expires_at)
        if self._renewal_fails:
            self._renewal_fails = False
            _log.info("Tokens can be renewed again")
        return self._session

    def _issue(self, state: LoginState, password: Secret, deadline: Deadline) -> IssuedToken:
        """Log in, unless that is blocked."""
        try:
            state.check()
        except GigasError:
            self._set_blocked()
            raise
        try:
            token, expires_at = self._tokens.get(password, deadline, self._clock.wall())
        except ApiError as error:
            if error.status in _TEMPORARY or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            if error.status not in _REJECTED:
                failure = partial(ApiError, error.operation, error.status, detail=error.detail)
                self._block(state, "Login failed", {"error": str(error)}, failure, is_rejected=False)
                raise
            message = f"the API refused the login (status {error.status}, {error.address}): check {self.secret_name}"
            self._block(state, "Login rejected", {"status": error.status}, partial(AuthError, message))
            raise AuthError(message) from None
        except DecodeError as error:
            # Some APIs reject with status 200 and JSON or HTML. With a known password HTML may be from a deployment.
            is_rejected = error.field == "token" or not state.was_accepted
            again = partial(DecodeError, error.field, error.detail, error.address)
            self._block(state, "Login failed", {"error": str(error)}, again, is_rejected=is_rejected)
            raise
        state.accept()
        life = expires_at - self._clock.wall() if expires_at is not None else _MAX_LIFE_SECONDS
        life = max(_MIN_LIFE_SECONDS, life) if 0 < life <= _MAX_LIFE_SECONDS else _MAX_LIFE_SECONDS
        issued = IssuedToken(token, life, expires_at)
        issued.schedule_renewal(_RENEW_AT, self._clock)
        return issued

    def _block(
        self,
        state: LoginState,
        what: str,
        facts: dict[str, object],
        error: Callable[[], GigasError],
        *,
        is_rejected: bool = True,
    ) -> None:
        if state.block(self._first_wait, error, is_rejected=is_rejected):
            _log.warning("%s; it waits before it is sent again", what, extra=facts)
        self._set_blocked()

    def _set_blocked(self) -> None:
        if not self._is_blocked:
            self._is_blocked = True
            self._observer.login_blocked(True)
