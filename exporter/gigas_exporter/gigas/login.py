"""How a login asks for a token, and when a rejected one is repeated.

A rejected login is sent again only with another password or after a wait that doubles each time, since an API that
counts attempts would lock the user out. The state belongs to the password, wherever that was read, so that clients
share it and it outlives them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from gigas_exporter.clock import Clock, Deadline
from gigas_exporter.decode import parse_timestamp
from gigas_exporter.errors import ApiError, DecodeError, GigasError
from gigas_exporter.gigas.api_requests import ApiRequest
from gigas_exporter.gigas.credentials import Scheme
from gigas_exporter.gigas.settings import LoginFlow
from gigas_exporter.secret import Secret

LOGIN_OPERATION = "create_token"

Login = Callable[[ApiRequest[Any], Deadline], Mapping[str, object]]
"""Sends one login request, with retries, and returns the object in the response."""

# The longest wait after a rejection: with a password that was accepted before, and with one that never was.
_MAX_WAIT_ACCEPTED_SECONDS = 600.0
_MAX_WAIT_SECONDS = 3600.0
_RELOAD_INTERVAL_SECONDS = 60.0
_MAX_STATES = 1000  # one for each password; rotation leaves old ones
_FIELD_REJECTED = frozenset({HTTPStatus.BAD_REQUEST, 422})


@dataclass(slots=True)
class IssuedToken:
    """A token that a login returned.

    Attributes:
        life: For how many seconds it is used.
        expires_at: When it expires according to the API, UNIX seconds.
        renew_wall: When to renew it, by the wall clock.
        renew_monotonic: When to renew it, by the monotonic clock.
        scheme: The scheme with which the API accepted it; ``None`` until then.
    """

    token: Secret
    life: float
    expires_at: float | None
    renew_wall: float = 0.0
    renew_monotonic: float = 0.0
    scheme: Scheme | None = None

    def schedule_renewal(self, share: float, clock: Clock) -> None:
        """Schedule its renewal after a share of its life."""
        self.renew_wall = clock.wall() + share * self.life
        self.renew_monotonic = clock.monotonic() + share * self.life

    def is_due(self, clock: Clock) -> bool:
        """Return whether it should be renewed."""
        # Either clock may miss elapsed time: one may be set back, the other stops while the host sleeps.
        return clock.wall() >= self.renew_wall or clock.monotonic() >= self.renew_monotonic


class LoginState:
    """The state of a login with one password: its token, or its wait.

    Attributes:
        lock: Held while a login is sent.
        issued: The last token.
        was_accepted: Whether the API ever accepted the login with this password.
        blocked_until: The end of the last wait, by the monotonic clock; ``None`` once a login was accepted.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.lock = threading.Lock()
        self.issued: IssuedToken | None = None
        self.blocked_until: float | None = None
        self._wait = 0.0
        self._error: Callable[[], GigasError] | None = None
        self.was_accepted = False
        self._released_at: float | None = None

    def check(self) -> None:
        """Raise the last error again while the login is blocked."""
        error, until = self._error, self.blocked_until  # read once: a reload may change them meanwhile
        if error is not None and until is not None and self._clock.monotonic() < until:
            raise error()

    def block(self, first_wait_seconds: float, error: Callable[[], GigasError], *, is_rejected: bool = True) -> bool:
        """Block the login; return whether it was not blocked before.

        Args:
            first_wait_seconds: The wait after the first rejection.
            error: Makes the error that is raised meanwhile.
            is_rejected: Whether the password may be wrong; otherwise each wait is half of ``first_wait_seconds``.
        """
        is_first = self._error is None
        wait = first_wait_seconds / 2
        if is_rejected:
            limit = _MAX_WAIT_ACCEPTED_SECONDS if self.was_accepted else _MAX_WAIT_SECONDS
            wait = self._wait = min(limit, 2 * self._wait or first_wait_seconds)
        self._error = error
        self.blocked_until = self._clock.monotonic() + wait
        return is_first

    def accept(self) -> None:
        """Note that the login was accepted."""
        self.blocked_until, self._wait, self._error, self.was_accepted = None, 0.0, None, True

    def release_on_reload(self) -> None:
        """Let the login be sent once more, at most once a minute."""
        now, until = self._clock.monotonic(), self.blocked_until  # read once: a login may end the wait meanwhile
        if until is None or (self._released_at is not None and now < self._released_at + _RELOAD_INTERVAL_SECONDS):
            return
        self._released_at = now
        self.blocked_until = min(until, now)


class LoginStates:
    """The state of each login, shared by several clients."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[Hashable, LoginState] = {}

    def get(self, where: Hashable, password: Secret, clock: Clock) -> LoginState:
        """Return the state of a login at an API with this password."""
        key = where, password
        with self._lock:
            state = self._states.pop(key, None) or LoginState(clock)
            self._states[key] = state
            if len(self._states) > _MAX_STATES:
                del self._states[next(iter(self._states))]
            return state


class TokenRequests:
    """The two ways to request a token (Gigas docs, page Authentication).

    Args:
        user: The user's login name.
        login: Sends a login request.
        flow: Which of the two ways to use.
        readonly: Whether to ask for read-only tokens, which only ``token`` offers.

    Attributes:
        scheme: How these tokens are sent, as far as documented.
    """

    def __init__(self, user: str, login: Login, flow: LoginFlow, *, readonly: bool) -> None:
        self._user = user
        self._login = login
        self._flow = flow
        self._readonly = readonly
        self.scheme: Scheme = "bearer" if flow == "oidc" else "raw"

    def get(self, password: Secret, deadline: Deadline, now: float) -> tuple[Secret, float | None]:
        """Return a token and its expiry (UNIX seconds), if given.

        Raises:
            ApiError: The API answered with an error.
            DecodeError: The response holds no token.
        """
        if self._flow == "oidc":
            response = self._login(self._oidc_request(password), deadline)
            life = response.get("expires_in")
            is_number = isinstance(life, int | float) and not isinstance(life, bool)
            return _token(response.get("access_token")), now + life if is_number else None  # type: ignore[operator]
        response = self._create_token(password, deadline)
        return _token(response.get("token")), parse_timestamp(response.get("expires"))

    def _oidc_request(self, password: Secret) -> ApiRequest[Any]:
        form = {
            "grant_type": "password",
            "client_id": "external",
            "username": self._user,
            "password": password.reveal(),
        }
        return ApiRequest(LOGIN_OPERATION, "POST", "/auth/api/openid-connect/token", form=form)

    def _create_token(self, password: Secret, deadline: Deadline) -> Mapping[str, object]:
        body: dict[str, object] = {"login": self._user, "password": password.reveal()}
        if self._readonly:
            try:
                return self._login(_token_request({**body, "readonly": True}), deadline)
            except ApiError as error:
                if error.status not in _FIELD_REJECTED:
                    raise
        response = self._login(_token_request(body), deadline)
        # A guess: only the current API documents ``readonly``, and an older one may reject an unknown field.
        self._readonly = False
        return response


def _token_request(body: Mapping[str, object]) -> ApiRequest[Any]:
    return ApiRequest(LOGIN_OPERATION, "POST", "/token", json=body)


def _token(token: object) -> Secret:
    if not isinstance(token, str) or not token.strip() or not token.isascii() or not token.isprintable():
        raise DecodeError("token", "the response to the login holds no usable token")
    return Secret(token.strip())
