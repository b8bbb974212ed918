"""What each path answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from gigas_exporter.metrics.exposition import OPENMETRICS, TEXT
from gigas_exporter.web import Handler, Request, Response
from web.conftest import Connect, RecordedPage, Serve, routes_of


def _response(routes: Handler, request: Request) -> Response:
    async def respond() -> Response:
        return await routes(request)

    return asyncio.run(respond())


def _ask(routes: Handler, method: str, path: str) -> tuple[int, bytes]:
    response = _response(routes, Request(method, path))
    return response.status, b"".join(response.chunks)


def test_the_metrics_are_negotiated() -> None:
    """The page is asked for what the client's headers prefer, and says what it is."""
    page = RecordedPage()
    routes = routes_of(page)
    plain = _response(routes, Request("GET", "/metrics"))
    headers = {"accept": "application/openmetrics-text", "accept-encoding": "gzip"}
    other = _response(routes, Request("GET", "/metrics", {}, headers))
    assert page.asked == [(False, False), (True, True)]
    assert dict(plain.headers) == {"Content-Type": TEXT, "Vary": "Accept, Accept-Encoding"}
    assert other.headers["Content-Encoding"] == "gzip"
    assert other.headers["Content-Type"] == OPENMETRICS


def test_the_telemetry_path_can_be_chosen() -> None:
    """Metrics are where the setting says, also at the root, and nowhere else."""
    page = RecordedPage().render(openmetrics=False, gzip=False).chunks[0]
    assert _ask(routes_of(telemetry_path="/disks"), "GET", "/disks") == (200, page)
    assert _ask(routes_of(telemetry_path="/disks"), "GET", "/metrics")[0] == 404
    assert _ask(routes_of(telemetry_path="/"), "GET", "/") == (200, page)


_NO_PAGE = b"no such page; all disks are at /, one disk is at /?account=ACCOUNT&disk=DISK\n"


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/-/healthy", (200, b"healthy\n")),
        ("HEAD", "/-/healthy", (200, b"healthy\n")),
        ("GET", "/-/ready", (200, b"ready\n")),
        ("GET", "/nowhere", (404, b"Not Found\n")),
        ("GET", "/disk/4242/10003", (404, _NO_PAGE)),
        ("GET", "/disks/10003", (404, _NO_PAGE)),
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
    assert _ask(routes_of(), method, path) == answer


def test_a_wrong_method_is_told_the_right_ones() -> None:
    """405 names what is allowed."""
    routes = routes_of()
    assert _response(routes, Request("POST", "/")).headers["Allow"] == "GET, HEAD"
    assert _response(routes, Request("GET", "/-/reload")).headers["Allow"] == "POST"


def test_states_that_are_not_well_give_their_reason() -> None:
    """Not ready and not healthy are 503 with a text."""
    routes = routes_of(ready="account 4242: no disk list yet", healthy=False)
    assert _ask(routes, "GET", "/-/ready") == (503, b"account 4242: no disk list yet\n")
    assert _ask(routes, "GET", "/-/healthy") == (503, b"not healthy\n")


def test_a_reload_says_how_it_went() -> None:
    """A good reload is 200; a bad one is 500 with the reason."""
    for reason, status, text in ((None, 200, b"reloaded\n"), ("c.yml: bad", 500, b"not reloaded: c.yml: bad\n")):
        assert _ask(routes_of(reload=_reload(reason)), "POST", "/-/reload") == (status, text)


def _reload(reason: str | None) -> Callable[[], Awaitable[str | None]]:
    async def reload() -> str | None:
        return reason

    return reload


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://exporter:10063"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://elsewhere.example"}, 403),
        ({"origin": "http://exporter"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": ""}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site", "origin": "http://exporter:10063"}, 403),
    ],
)
def test_a_page_of_another_site_cannot_reload(headers: dict[str, str], status: int) -> None:
    """A browser that is made to send the request says where from; other clients say nothing."""
    request = Request("POST", "/-/reload", {}, {"host": "exporter:10063", **headers})
    assert _response(routes_of(reload=_reload(None)), request).status == status


def test_only_a_few_wait_for_a_reload(serve: Serve, wire: Connect) -> None:
    """Who comes when enough wait is told to come again; there is room again afterwards."""
    began, go_on = threading.Semaphore(0), threading.Event()

    async def reload() -> str | None:
        began.release()
        assert await asyncio.to_thread(go_on.wait, 10)
        return None

    server = serve(routes_of(reload=reload))
    waiting = [wire(server) for _ in range(4)]
    for each in waiting:
        each.send(b"POST /-/reload HTTP/1.1\r\nHost: x\r\n\r\n")
        assert began.acquire(timeout=30)
    refusal = wire(server).ask("/-/reload", method="POST")
    assert (refusal.status, refusal.headers["retry-after"]) == (503, "1")
    assert wire(server).ask("/-/healthy").status == 200
    go_on.set()
    assert [each.answer().status for each in waiting] == [200] * 4
    assert wire(server).ask("/-/reload", method="POST").status == 200


def test_the_index_gets_the_query() -> None:
    """The status page answers the root, with the request's query."""
    assert _response(routes_of(), Request("GET", "/", {"q": "x"})).chunks == (b"x",)
