"""How a login asks for a token, and when one that was rejected may be sent again.

A rejected login is not sent again until its password changes, or after a wait that doubles each time: an API that
counts attempts would lock the user out.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal, Protocol

from gigas_exporter.clock import Budget, Clock
from gigas_exporter.decode import decode_moment
from gigas_exporter.errors import ApiError, AuthError, DecodeError
from gigas_exporter.gigas.api_requests import ApiRequest
from gigas_exporter.gigas.settings import LoginFlow
from gigas_exporter.secret import Secret

__all__ = ["LOGIN_OPERATION", "Login", "LoginBlock", "Scheme", "TokenRequests"]

LOGIN_OPERATION = "create_token"

Scheme = Literal["raw", "bearer"]
"""How a token is sent: as it is, or after ``Bearer``."""

# How long a rejected login is not sent again at most: where that password was accepted before, and where it never was.
_MAX_WAIT_ACCEPTED_SECONDS = 600.0
_MAX_WAIT_SECONDS = 3600.0
_RELOAD_INTERVAL_SECONDS = 60.0
_FIELD_REJECTED = frozenset({HTTPStatus.BAD_REQUEST, 422})


class Login(Protocol):
    """Makes one login request, with retries."""

    def __call__(self, request: ApiRequest[Any], budget: Budget) -> Mapping[str, object]:
        """Return the response's object."""
        ...


class LoginBlock:
    """Whether a rejected login may be sent again.

    Attributes:
        until: On the monotonic clock; ``None`` when nothing is blocked. A wait that is over is ended by the next login.
    """

    def __init__(self, first_wait_seconds: float, clock: Clock) -> None:
        self._first_wait = first_wait_seconds
        self._clock = clock
        self.until: float | None = None
        self._wait = 0.0
        self._message = ""
        self._rejected: Secret | None = None
        self._accepted: Secret | None = None
        self._released_at: float | None = None

    def check(self, password: Secret) -> None:
        """Raise the error of the rejection while the login may not be sent again."""
        if self.until is not None and password == self._rejected and self._clock.monotonic() < self.until:
            raise AuthError(self._message)

    def begin(self, password: Secret, message: str) -> bool:
        """Block the login; return whether this password was not rejected before."""
        is_repeated = password == self._rejected
        limit = _MAX_WAIT_ACCEPTED_SECONDS if password == self._accepted else _MAX_WAIT_SECONDS
        self._wait = min(limit, 2 * self._wait if is_repeated and self._wait else self._first_wait)
        self._rejected, self._message = password, message
        self.until = self._clock.monotonic() + self._wait
        return not is_repeated

    def end(self, password: Secret) -> bool:
        """Note that the login was accepted; return whether it was blocked."""
        was_blocked = self.until is not None
        self.until, self._wait, self._rejected, self._accepted = None, 0.0, None, password
        return was_blocked

    def release_on_reload(self) -> None:
        """Let the login be sent once more, at most once a minute: reloads may come many times a second."""
        now = self._clock.monotonic()
        if self.until is None or (self._released_at is not None and now < self._released_at + _RELOAD_INTERVAL_SECONDS):
            return
        self._released_at = now
        self.until = min(self.until, now)


class TokenRequests:
    """The two ways to ask for a token (Gigas docs, page Authentication).

    Args:
        user: The login.
        login: Makes a login request.
        flow: Which way.
        readonly: Whether to ask for tokens that can change nothing; only one of the ways has such tokens.

    Attributes:
        scheme: How tokens of this way are sent, as far as is documented.
    """

    def __init__(self, user: str, login: Login, flow: LoginFlow, *, readonly: bool) -> None:
        self._user = user
        self._login = login
        self._flow = flow
        self._readonly = readonly
        self.scheme: Scheme = "bearer" if flow == "oidc" else "raw"

    def get(self, password: Secret, budget: Budget, now: float) -> tuple[Secret, float | None]:
        """Return a token and when it ends (UNIX seconds), where the API says so.

        Raises:
            ApiError: The API answered with an error.
            DecodeError: The response holds no token.
        """
        if self._flow == "oidc":
            answer = self._login(self._oidc_request(password), budget)
            life = answer.get("expires_in")
            is_number = isinstance(life, int | float) and not isinstance(life, bool)
            return _token(answer.get("access_token")), now + life if is_number else None  # type: ignore[operator]
        answer = self._ask(password, budget)
        return _token(answer.get("token")), decode_moment(answer.get("expires"))

    def _oidc_request(self, password: Secret) -> ApiRequest[Any]:
        form = {
            "grant_type": "password",
            "client_id": "external",
            "username": self._user,
            "password": password.reveal(),
        }
        return ApiRequest(LOGIN_OPERATION, "POST", "/auth/api/openid-connect/token", form=form)

    def _ask(self, password: Secret, budget: Budget) -> Mapping[str, object]:
        body: dict[str, object] = {"login": self._user, "password": password.reveal()}
        if self._readonly:
            try:
                return self._login(_token_request({**body, "readonly": True}), budget)
            except ApiError as error:
                if error.status not in _FIELD_REJECTED:
                    raise
        answer = self._login(_token_request(body), budget)
        # A guess: only the current API documents the field, and an older one may reject what it does not know.
        self._readonly = False
        return answer


def _token_request(body: Mapping[str, object]) -> ApiRequest[Any]:
    return ApiRequest(LOGIN_OPERATION, "POST", "/token", json=body)


def _token(token: object) -> Secret:
    if not isinstance(token, str) or not token.strip() or not token.isascii() or not token.isprintable():
        raise DecodeError("token", "the response to the login holds no usable token")
    return Secret(token.strip())
