"""What each path answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from gigas_exporter.web import Handler, Request, Response, Server, build_routes


@dataclass
class _Exposition:
    chunks: tuple[bytes, ...]
    content_type: str
    content_encoding: str | None


@dataclass
class _Page:
    asked: list[tuple[bool, bool]] = field(default_factory=list)

    def render(self, *, openmetrics: bool, gzip: bool) -> _Exposition:
        self.asked.append((openmetrics, gzip))
        kind = "application/openmetrics-text" if openmetrics else "text/plain"
        return _Exposition((b"gigas_up 1\n",), kind, "gzip" if gzip else None)


def _routes(
    page: _Page | None = None,
    *,
    telemetry_path: str = "/metrics",
    ready: str | None = None,
    healthy: bool = True,
    reload: Callable[[], str | None] | None = None,
) -> Handler:
    return build_routes(
        page or _Page(),
        telemetry_path=telemetry_path,
        ready=lambda: ready,
        healthy=lambda: healthy,
        reload=reload,
        index=lambda request: Response(200, {"Content-Type": "text/html"}, (request.query.get("q", "").encode(),)),
    )


def _ask(routes: Handler, method: str, path: str) -> tuple[int, bytes]:
    response = routes(Request(method, path))
    return response.status, b"".join(response.chunks)


def test_the_metrics_are_negotiated() -> None:
    """The page is asked for what the client's headers prefer, and says what it is."""
    page = _Page()
    routes = _routes(page)
    plain = routes(Request("GET", "/metrics"))
    other = routes(
        Request("GET", "/metrics", {}, {"accept": "application/openmetrics-text", "accept-encoding": "gzip"})
    )
    assert page.asked == [(False, False), (True, True)]
    assert dict(plain.headers) == {"Content-Type": "text/plain", "Vary": "Accept, Accept-Encoding"}
    assert other.headers["Content-Encoding"] == "gzip"
    assert other.headers["Content-Type"] == "application/openmetrics-text"


def test_the_telemetry_path_can_be_chosen() -> None:
    """Metrics are where the setting says, also at the root, and nowhere else."""
    assert _ask(_routes(telemetry_path="/disks"), "GET", "/disks") == (200, b"gigas_up 1\n")
    assert _ask(_routes(telemetry_path="/disks"), "GET", "/metrics")[0] == 404
    assert _ask(_routes(telemetry_path="/"), "GET", "/") == (200, b"gigas_up 1\n")


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/-/healthy", (200, b"healthy\n")),
        ("HEAD", "/-/healthy", (200, b"healthy\n")),
        ("GET", "/-/ready", (200, b"ready\n")),
        ("GET", "/nowhere", (404, b"Not Found\n")),
        ("GET", "/metrics/", (404, b"Not Found\n")),
        ("POST", "/nowhere", (404, b"Not Found\n")),
        ("POST", "/metrics", (405, b"Method Not Allowed\n")),
        ("DELETE", "/", (405, b"Method Not Allowed\n")),
        ("GET", "/-/reload", (405, b"Method Not Allowed\n")),
        ("PUT", "/-/reload", (405, b"Method Not Allowed\n")),
        ("POST", "/-/reload", (403, b"reloading is off; --web.enable-lifecycle turns it on\n")),
    ],
)
def test_a_path_answers_its_methods(method: str, path: str, answer: tuple[int, bytes]) -> None:
    """Known paths answer known methods, and nothing else is there."""
    assert _ask(_routes(), method, path) == answer


def test_a_wrong_method_is_told_the_right_ones() -> None:
    """405 names what is allowed."""
    routes = _routes()
    assert routes(Request("POST", "/")).headers["Allow"] == "GET, HEAD"
    assert routes(Request("GET", "/-/reload")).headers["Allow"] == "POST"


def test_states_that_are_not_well_give_their_reason() -> None:
    """Not ready and not healthy are 503 with a text."""
    routes = _routes(ready="account 4242: no disk list yet", healthy=False)
    assert _ask(routes, "GET", "/-/ready") == (503, b"account 4242: no disk list yet\n")
    assert _ask(routes, "GET", "/-/healthy") == (503, b"not healthy\n")


def test_a_reload_says_how_it_went() -> None:
    """A good reload is 200; a bad one is 500 with the reason."""
    assert _ask(_routes(reload=lambda: None), "POST", "/-/reload") == (200, b"reloaded\n")
    assert _ask(_routes(reload=lambda: "c.yml: bad"), "POST", "/-/reload") == (500, b"not reloaded: c.yml: bad\n")


def test_only_a_few_wait_for_a_reload(serve: Callable[..., Server], wire: Callable[..., Any]) -> None:
    """Who comes when enough wait is told to come again; there is room again afterwards."""
    began, go_on = threading.Semaphore(0), threading.Event()

    def reload() -> str | None:
        began.release()
        assert go_on.wait(10)
        return None

    server = serve(_routes(reload=reload))
    waiting = [wire(server) for _ in range(4)]
    for each in waiting:
        each.send(b"POST /-/reload HTTP/1.1\r\nHost: x\r\n\r\n")
        assert began.acquire(timeout=10)
    refusal = wire(server).ask("/-/reload", method="POST")
    assert (refusal.status, refusal.headers["retry-after"]) == (503, "1")
    assert wire(server).ask("/-/healthy").status == 200
    go_on.set()
    assert [each.answer().status for each in waiting] == [200] * 4
    assert wire(server).ask("/-/reload", method="POST").status == 200


def test_the_index_gets_the_query() -> None:
    """The status page answers the root, with the request's query."""
    assert _routes()(Request("GET", "/", {"q": "x"})).chunks == (b"x",)
