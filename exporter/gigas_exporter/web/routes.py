"""Owns which path answers what. Knows a page that renders and a few questions to the process, nothing behind them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, Protocol

from gigas_exporter.web.message import Handler, Request, Response, plain
from gigas_exporter.web.negotiation import wants_gzip, wants_openmetrics

__all__ = ["Exposition", "Page", "build_routes"]

_READ = ("GET", "HEAD")
_MOST_RELOADERS: Final = 4


class Exposition(Protocol):
    """A rendered page of metrics."""

    @property
    def chunks(self) -> tuple[bytes, ...]:
        """The body."""
        ...

    @property
    def content_type(self) -> str:
        """The ``Content-Type``."""
        ...

    @property
    def content_encoding(self) -> str | None:
        """The ``Content-Encoding``, if any."""
        ...


class Page(Protocol):
    """What renders the metrics."""

    def render(self, *, openmetrics: bool, gzip: bool) -> Exposition:
        """Return the page as it is now."""
        ...


def build_routes(
    page: Page,
    *,
    telemetry_path: str,
    ready: Callable[[], str | None],
    healthy: Callable[[], bool],
    reload: Callable[[], str | None] | None,
    index: Handler,
) -> Handler:
    """Return the handler of all paths.

    Args:
        page: What the telemetry path answers with.
        telemetry_path: Where the metrics are; it wins over ``/`` when it is the same.
        ready: None when ready, else the reason why not.
        healthy: Whether the process works.
        reload: Reads the configuration again; None when that went well, else the reason. None forbids it.
        index: Answers ``/``.
    """

    def telemetry(request: Request) -> Response:
        headers = request.headers
        exposition = page.render(
            openmetrics=wants_openmetrics(headers.get("accept", "")),
            gzip=wants_gzip(headers.get("accept-encoding", "")),
        )
        answer = {"Content-Type": exposition.content_type, "Vary": "Accept, Accept-Encoding"}
        if exposition.content_encoding is not None:
            answer["Content-Encoding"] = exposition.content_encoding
        return Response(HTTPStatus.OK, answer, exposition.chunks)

    def readiness(_: Request) -> Response:
        reason = ready()
        return plain(HTTPStatus.OK, "ready") if reason is None else plain(HTTPStatus.SERVICE_UNAVAILABLE, reason)

    def health(_: Request) -> Response:
        return plain(HTTPStatus.OK, "healthy") if healthy() else plain(HTTPStatus.SERVICE_UNAVAILABLE, "not healthy")

    reloaders = threading.BoundedSemaphore(_MOST_RELOADERS)

    def reloading(_: Request) -> Response:
        if reload is None:
            return plain(HTTPStatus.FORBIDDEN, "reloading is off; --web.enable-lifecycle turns it on")
        # Who waits cannot be given up for who scrapes, so that only a few may.
        if not reloaders.acquire(blocking=False):
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, "too many wait for a reload", retry_after="1")
        try:
            reason = reload()
        finally:
            reloaders.release()
        if reason is None:
            return plain(HTTPStatus.OK, "reloaded")
        return plain(HTTPStatus.INTERNAL_SERVER_ERROR, f"not reloaded: {reason}")

    return _dispatch(
        {
            "/": (_READ, index),
            "/-/healthy": (_READ, health),
            "/-/ready": (_READ, readiness),
            "/-/reload": (("POST",), reloading),
            telemetry_path: (_READ, telemetry),
        }
    )


def _dispatch(routes: Mapping[str, tuple[tuple[str, ...], Handler]]) -> Handler:
    def handle(request: Request) -> Response:
        route = routes.get(request.path)
        if route is None:
            return plain(HTTPStatus.NOT_FOUND)
        methods, answer = route
        if request.method not in methods:
            return plain(HTTPStatus.METHOD_NOT_ALLOWED, allow=", ".join(methods))
        return answer(request)

    return handle
