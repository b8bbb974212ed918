"""One call of the API: the credential, the queue, the retries and the exchange, put together in their order.

It owns what happens between an operation and its answer. It knows neither which operations there are nor what their
answers mean.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from gigas_exporter.clock import Budget, Clock
from gigas_exporter.decode import decode_json
from gigas_exporter.errors import ApiError, AuthError, ConfigError, DecodeError, TransportError
from gigas_exporter.gigas.auth import LOGIN_OPERATION, Pass, authenticator
from gigas_exporter.gigas.credentials import Credential
from gigas_exporter.gigas.observer import Observer
from gigas_exporter.gigas.operations import Request
from gigas_exporter.gigas.ratelimit import Limits, OutOfTimeError
from gigas_exporter.gigas.retry import parse_retry_after, retrying
from gigas_exporter.gigas.settings import ApiSettings
from gigas_exporter.gigas.tls import TrustStore
from gigas_exporter.gigas.transport import RawResponse, Transport

__all__ = ["Session"]

_T = TypeVar("_T")
_REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class Session:
    """A credential's way to the API, shared by threads.

    Args:
        settings: Where the API is and how much of it may be used.
        credential: Who is asking.
        readonly: Whether logins ask for tokens that can change nothing.
        observer: Hears of each request.
        clock: Where the time comes from.
        limits: Shared with other sessions, or made for this one.
        trust: The same.
        on_response: Called with each response to a request with the credential, whatever its status.
    """

    def __init__(
        self,
        settings: ApiSettings,
        credential: Credential,
        *,
        readonly: bool,
        observer: Observer,
        clock: Clock,
        limits: Limits | None,
        trust: TrustStore | None,
        on_response: Callable[[Request[Any], RawResponse], None] | None = None,
    ) -> None:
        self._on_response = on_response
        self._timeout = settings.timeout_seconds
        self._observer = observer
        self._clock = clock
        self._limits = limits or Limits(clock, settings.max_concurrency, settings.max_requests_per_second)
        self._transport = Transport(settings, trust)
        self._auth = authenticator(credential, self._log_in, readonly=readonly, clock=clock, observer=observer)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def reload_credential(self) -> None:
        """Read the secret again before the next request."""
        self._auth.reload()

    def call(
        self, request: Request[Any], budget: Budget, interpret: Callable[[RawResponse], _T], *, retry: bool = True
    ) -> _T:
        """Make a request and return what ``interpret`` makes of its answer.

        Raises:
            GigasError: One of the errors of :mod:`gigas_exporter.errors`, of any kind.
        """

        def attempt() -> _T:
            used = self._auth.current(budget)
            try:
                result = self._exchange(request, budget, interpret, used)
            except ApiError as error:
                if error.status not in _REFUSALS:
                    self._auth.accepted(used)
                    raise
                if not self._may_replay(used, error, budget):
                    raise _refusal(error) from None
            else:
                self._auth.accepted(used)
                return result
            try:
                used = self._auth.current(budget)
                result = self._exchange(request, budget, interpret, used)
            except ApiError as error:
                raise _refusal(error) from None
            self._auth.accepted(used)
            return result

        return retrying(request.operation, attempt, budget, self._observer) if retry else attempt()

    def _may_replay(self, used: Pass, error: ApiError, budget: Budget) -> bool:
        try:
            return self._auth.refused(used, error.status, budget)
        except ConfigError as unreadable:
            if error.status == HTTPStatus.UNAUTHORIZED:
                raise AuthError(f"{_refusal(error)}, and {unreadable}") from None
            return False

    def _log_in(self, body: Mapping[str, object], budget: Budget) -> Mapping[str, object]:
        request: Request[None] = Request(LOGIN_OPERATION, "POST", "/token", json=body)

        def interpret(answer: RawResponse) -> Mapping[str, object]:
            value = decode_json(answer.body, LOGIN_OPERATION)
            if not isinstance(value, dict):
                raise DecodeError("token", "the answer to the login is no object")
            return value

        return retrying(
            LOGIN_OPERATION, lambda: self._exchange(request, budget, interpret, None), budget, self._observer
        )

    def _exchange(
        self, request: Request[Any], budget: Budget, interpret: Callable[[RawResponse], _T], used: Pass | None
    ) -> _T:
        with self._limits.request(budget, request.operation):
            seconds = min(self._timeout, budget.remaining())
            if seconds <= 0:
                raise OutOfTimeError(request.operation, "the time for this work ended before the request")
            answer, elapsed = self._timed(request, seconds, budget, used)
        code = str(answer.status)
        if self._on_response is not None and used is not None:
            self._on_response(request, answer)
        try:
            if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                return interpret(answer)
        except DecodeError:
            code = "invalid"
            raise
        finally:
            self._observer.request(request.operation, code, elapsed)
        retry_after = parse_retry_after(answer.headers.get("retry-after"), self._clock.wall())
        detail = "redirects are not followed" if answer.status < HTTPStatus.BAD_REQUEST else ""
        raise ApiError(request.operation, answer.status, retry_after, detail)

    def _timed(
        self, request: Request[Any], seconds: float, budget: Budget, used: Pass | None
    ) -> tuple[RawResponse, float]:
        # What a request took is measured by the machine's clock, like its deadline: tests may stop the package's.
        began = time.monotonic()
        try:
            answer = self._transport.exchange(
                request.operation,
                request.method,
                request.target,
                headers={} if used is None else {"Authorization": used.header.reveal()},
                body=None if request.json is None else json.dumps(request.json).encode(),
                seconds=seconds,
                stop=budget.stop,
            )
        except TransportError as error:
            self._observer.request(request.operation, error.reason, time.monotonic() - began)
            raise
        except DecodeError:
            self._observer.request(request.operation, "invalid", time.monotonic() - began)
            raise
        return answer, time.monotonic() - began


def _refusal(error: ApiError) -> ApiError | AuthError:
    if error.status == HTTPStatus.UNAUTHORIZED:
        return AuthError(f"{error.operation}: the API does not accept the credential (status {error.status})")
    return error
