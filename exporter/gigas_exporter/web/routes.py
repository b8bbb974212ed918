"""Map paths to handlers, and negotiate the format: OpenMetrics or text, gzip or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Final, Protocol

from gigas_exporter.web.http import Handler, Request, Response, text_response

_READ = ("GET", "HEAD")
_DISK_HINT: Final = "no such page; all disks are at /, one disk is at /?account=ACCOUNT&disk=DISK"
_MAX_WAITING_FOR_RELOAD: Final = 4


class _Exposition(Protocol):
    @property
    def chunks(self) -> tuple[bytes, ...]: ...
    @property
    def content_type(self) -> str: ...
    @property
    def content_encoding(self) -> str | None: ...


class MetricsSource(Protocol):
    """Renders the metrics."""

    def render(self, *, openmetrics: bool, gzip: bool) -> _Exposition:
        """Return the exposition as of now."""
        ...


def build_routes(
    metrics: MetricsSource,
    *,
    telemetry_path: str,
    ready: Callable[[], str | None],
    healthy: Callable[[], bool],
    reload: Callable[[], Awaitable[str | None]] | None,
    index: Handler,
) -> Handler:
    """Return the handler of all paths.

    Args:
        metrics: Renders the metrics.
        telemetry_path: The path of the metrics, other than ``/``.
        ready: Returns None when ready, else the reason why not.
        healthy: Returns whether the process works.
        reload: Reads the configuration again; returns None on success, else the error. None forbids reloads.
        index: Handles ``/``.
    """

    async def handle_metrics(request: Request) -> Response:
        headers = request.headers
        exposition = await asyncio.to_thread(
            metrics.render,
            openmetrics=wants_openmetrics(headers.get("accept", "")),
            gzip=wants_gzip(headers.get("accept-encoding", "")),
        )
        own = {"Content-Type": exposition.content_type, "Vary": "Accept, Accept-Encoding"}
        if exposition.content_encoding is not None:
            own["Content-Encoding"] = exposition.content_encoding
        return Response(HTTPStatus.OK, own, exposition.chunks)

    async def handle_ready(_: Request) -> Response:
        reason = await asyncio.to_thread(ready)
        if reason is None:
            return text_response(HTTPStatus.OK, "ready")
        return text_response(HTTPStatus.SERVICE_UNAVAILABLE, reason)

    async def handle_healthy(_: Request) -> Response:
        if healthy():
            return text_response(HTTPStatus.OK, "healthy")
        return text_response(HTTPStatus.SERVICE_UNAVAILABLE, "not healthy")

    return _dispatch(
        {
            "/": (_READ, index),
            "/-/healthy": (_READ, handle_healthy),
            "/-/ready": (_READ, handle_ready),
            "/-/reload": (("POST",), _reload_handler(reload)),
            telemetry_path: (_READ, handle_metrics),
        }
    )


def _reload_handler(reload: Callable[[], Awaitable[str | None]] | None) -> Handler:
    # A waiting request holds a connection that cannot be evicted, so only a few may wait. While 600 clients keep
    # requesting reloads, a scrape takes 1.1 s; without this limit no scrape was answered.
    slots = asyncio.Semaphore(_MAX_WAITING_FOR_RELOAD)

    async def handle_reload(request: Request) -> Response:
        if reload is None:
            return text_response(HTTPStatus.FORBIDDEN, "reloading is off; --web.enable-lifecycle turns it on")
        if _is_cross_origin(request):
            return text_response(HTTPStatus.FORBIDDEN, "a page of another site cannot request a reload")
        if slots.locked():
            return text_response(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests wait for a reload", retry_after="1")
        async with slots:
            reason = await reload()
        if reason is None:
            return text_response(HTTPStatus.OK, "reloaded")
        return text_response(HTTPStatus.INTERNAL_SERVER_ERROR, f"not reloaded: {reason}")

    return handle_reload


def _is_cross_origin(request: Request) -> bool:
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return True
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host", "")


def _dispatch(routes: Mapping[str, tuple[tuple[str, ...], Handler]]) -> Handler:
    async def handle(request: Request) -> Response:
        route = routes.get(request.path)
        if route is None:
            is_disk = request.path.startswith(("/disk/", "/disks/"))
            return text_response(HTTPStatus.NOT_FOUND, _DISK_HINT if is_disk else None)
        methods, handler = route
        if request.method not in methods:
            return text_response(HTTPStatus.METHOD_NOT_ALLOWED, allow=", ".join(methods))
        return await handler(request)

    return handle


_OPENMETRICS: Final = "application/openmetrics-text"
_OPENMETRICS_VERSIONS: Final = frozenset({"", "1.0.0", "0.0.1"})
_TEXT_VERSIONS: Final = frozenset({"", "0.0.4"})


def wants_openmetrics(accept: str) -> bool:
    """Return whether ``Accept`` prefers OpenMetrics 1.0.

    The header must name it: ``*/*`` and a missing header get the text format, which every client can read. At equal
    weight OpenMetrics wins, because clients that name both list it first.
    """
    openmetrics = text = 0.0
    for media, parameters in _elements(accept):
        weight = _weight(parameters)
        version = parameters.get("version", "").strip('"')
        if media == _OPENMETRICS and version in _OPENMETRICS_VERSIONS:
            openmetrics = max(openmetrics, weight)
        elif media in {"text/plain", "text/*"} and version in _TEXT_VERSIONS:
            text = max(text, weight)
    return openmetrics > 0 and openmetrics >= text


def wants_gzip(accept_encoding: str) -> bool:
    """Return whether this ``Accept-Encoding`` header allows gzip."""
    named: dict[str, float] = {coding: _weight(parameters) for coding, parameters in _elements(accept_encoding)}
    return named.get("gzip", named.get("x-gzip", named.get("*", 0.0))) > 0


def _elements(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    for element in header.split(","):
        name, *rest = element.split(";")
        pairs = (parameter.partition("=") for parameter in rest)
        yield name.strip().lower(), {key.strip().lower(): value.strip() for key, _, value in pairs}


def _weight(parameters: dict[str, str]) -> float:
    """Return the weight; one that is invalid counts as the lowest that allows."""
    try:
        weight = float(parameters.get("q", "1"))
    except ValueError:
        return 0.001
    return weight if 0 <= weight <= 1 else 0.001
