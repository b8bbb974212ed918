"""One call of the API: credential, queue, retries, exchange.

It owns what happens between a request and its response. It knows neither the operations nor what their responses mean.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from gigas_exporter.clock import Clock, Deadline
from gigas_exporter.decode import decode_json
from gigas_exporter.errors import ApiError, AuthError, ConfigError, DecodeError, TransportError
from gigas_exporter.gigas.api_requests import ApiRequest
from gigas_exporter.gigas.connect import TrustStore
from gigas_exporter.gigas.credentials import ApiKeyCredential, Credential, LoginCredential, SecretAuth
from gigas_exporter.gigas.error_messages import api_message, describe_status, is_json
from gigas_exporter.gigas.http_response import RawResponse
from gigas_exporter.gigas.login import LOGIN_OPERATION, LoginStates, TokenRequests
from gigas_exporter.gigas.login_auth import LoginAuth
from gigas_exporter.gigas.ratelimit import DeadlineExceededError, RateLimiter, WorkTimeoutError
from gigas_exporter.gigas.retry import parse_retry_after, retrying
from gigas_exporter.gigas.settings import ApiSettings, Observer
from gigas_exporter.gigas.transport import Transport
from gigas_exporter.secret import Secret

_T = TypeVar("_T")
_REJECTIONS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class ApiSession:
    """Calls of the API with one credential; safe for several threads.

    Its arguments are those of :class:`.ReadClient`.

    Attributes:
        auth: Gives the ``Authorization`` header, and is told whether the API accepts it.
    """

    def __init__(
        self,
        settings: ApiSettings,
        credential: Credential,
        *,
        readonly: bool,
        observer: Observer,
        clock: Clock,
        limiter: RateLimiter | None,
        trust: TrustStore | None,
        login_states: LoginStates | None,
        login_retry_seconds: float,
        on_response: Callable[[ApiRequest[Any], RawResponse], None] | None = None,
    ) -> None:
        self._on_response = on_response
        self._timeout = settings.timeout_seconds
        self._observer = observer
        self._clock = clock
        self._limiter = limiter or RateLimiter(clock, settings.max_concurrency, settings.max_requests_per_second)
        self._transport = Transport(settings, trust)
        self.auth: SecretAuth | LoginAuth
        if isinstance(credential, LoginCredential):
            where = settings.url, settings.login, readonly, credential.login
            self.auth = LoginAuth(
                credential.password,
                TokenRequests(credential.login, self._log_in, settings.login, readonly=readonly),
                state=partial((login_states or LoginStates()).get, where, clock=clock),
                first_wait_seconds=login_retry_seconds,
                clock=clock,
                observer=observer,
            )
        elif isinstance(credential, ApiKeyCredential):
            self.auth = SecretAuth(credential.key, "API key", "bearer", is_scheme_fixed=True)
        else:
            self.auth = SecretAuth(credential.token, "token", "raw", is_scheme_fixed=False)

    def close(self) -> None:
        """Start no further exchange."""
        self._transport.close()

    def call(
        self,
        request: ApiRequest[Any],
        deadline: Deadline,
        interpret: Callable[[RawResponse], _T],
        *,
        retry: bool = True,
    ) -> _T:
        """Send a request; return its interpreted response.

        Raises:
            GigasError: Any error of :mod:`gigas_exporter.errors`.
        """

        def attempt() -> _T:
            is_replay = False
            while True:
                used = self.auth.header(deadline)
                try:
                    result = self._exchange(request, deadline, interpret, used)
                except ApiError as error:
                    if error.status not in _REJECTIONS:
                        if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:  # else a gateway may have answered
                            self.auth.on_success(used)
                        raise
                    if is_replay or not self._may_replay(used, error, deadline):
                        raise self._rejection(error) from None
                    is_replay = True
                else:
                    self.auth.on_success(used)
                    return result

        return retrying(request.operation, attempt, deadline, self._observer) if retry else attempt()

    def _may_replay(self, used: Secret, error: ApiError, deadline: Deadline) -> bool:
        try:
            return self.auth.on_rejected(used, error.status, deadline)
        except ConfigError as unreadable:
            if error.status == HTTPStatus.UNAUTHORIZED:
                raise AuthError(f"{self._rejection(error)}, and {unreadable}") from None
            return False

    def _rejection(self, error: ApiError) -> ApiError | AuthError:
        if error.status != HTTPStatus.UNAUTHORIZED:
            return error
        detail = f"the API does not accept the credential (status {error.status}, {error.address})"
        return AuthError(f"{error.operation}: {detail}; check {self.auth.secret_name}")

    def _log_in(self, request: ApiRequest[Any], deadline: Deadline) -> Mapping[str, object]:
        def interpret(response: RawResponse) -> Mapping[str, object]:
            value = decode_json(response.body, LOGIN_OPERATION)
            if not isinstance(value, dict):
                raise DecodeError("token", "the response to the login is not a JSON object")
            return value

        return retrying(
            LOGIN_OPERATION, lambda: self._exchange(request, deadline, interpret, None), deadline, self._observer
        )

    def _exchange(
        self,
        request: ApiRequest[Any],
        deadline: Deadline,
        interpret: Callable[[RawResponse], _T],
        used: Secret | None,
    ) -> _T:
        with self._limiter.request(request.account, deadline, request.operation):
            seconds = min(self._timeout, deadline.remaining())
            if seconds <= 0:
                raise DeadlineExceededError(request.operation, "the deadline passed before the request")
            response, elapsed = self._timed(request, seconds, deadline, used)
        code = str(response.status)
        if self._on_response is not None and used is not None:
            self._on_response(request, response)
        try:
            if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
                return interpret(response)
        except DecodeError as error:
            code = "invalid"
            self._add_address(error)
            raise
        finally:
            self._observer.request(request.operation, code, elapsed)
        raise self._api_error(request, response, used)

    def _add_address(self, error: DecodeError) -> None:
        """Note where a body came from: something before the API may have sent it."""
        if error.field == "body":
            error.address = self._transport.peer

    def _api_error(self, request: ApiRequest[Any], response: RawResponse, used: Secret | None) -> ApiError:
        retry_after = parse_retry_after(response.headers.get("retry-after"), self._clock.wall())
        peer, words = self._transport.peer, None
        if request.quotes_api_message and used is not None:
            words = api_message(response.body, [used, Secret(used.reveal().removeprefix("Bearer "))])
        return ApiError(
            request.operation,
            response.status,
            retry_after,
            describe_status(request.operation, response.status, peer),
            api_message=words,
            address=peer,
            is_foreign=bool(response.body.strip()) and not is_json(response.body),
        )

    def _timed(
        self, request: ApiRequest[Any], seconds: float, deadline: Deadline, used: Secret | None
    ) -> tuple[RawResponse, float]:
        # Measured by the machine's clock, like the socket's deadline: tests may stop the package's clock.
        began = time.monotonic()
        headers = {} if used is None else {"Authorization": used.reveal()}
        if request.form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        deadline.on_request()
        try:
            response = self._transport.exchange(
                request.operation,
                request.method,
                request.target,
                headers=headers,
                body=request.body,
                seconds=seconds,
                stop=deadline.stop,
            )
        except TransportError as error:
            deadline.on_no_response(timed_out=error.reason == "timeout")
            self._observer.request(request.operation, error.reason, time.monotonic() - began)
            # Other requests got a response, so a longer api.timeout would not help.
            if error.reason == "timeout" and deadline.got_response and seconds < self._timeout:
                what = f"no complete response in time ({self._transport.peer}): the deadline passed"
                raise WorkTimeoutError(request.operation, what) from None
            raise
        except DecodeError as error:  # there was a response, which is too large or broken
            deadline.on_response()
            self._observer.request(request.operation, "invalid", time.monotonic() - began)
            self._add_address(error)
            raise
        deadline.on_response()
        return response, time.monotonic() - began
