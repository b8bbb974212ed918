"""What the thread that waits for signals does beside reloads, and errors of it that nobody foresaw."""

from __future__ import annotations

import signal
import threading
import time
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from gigas_exporter import app
from gigas_exporter.clock import SystemClock
from gigas_exporter.errors import ConfigError, GigasError
from gigas_exporter.web import Server
from gigas_exporter.web.http import Request, Response


async def no_handler(_: Request) -> Response:
    raise AssertionError


def app_with(**attributes: Any) -> app.ExporterApp:
    """Return an exporter that has these attributes alone, and a clock."""
    exporter = object.__new__(app.ExporterApp)
    exporter.__dict__.update(_clock=SystemClock(), **attributes)
    return exporter


@pytest.mark.parametrize("dies", [True, False])
def test_a_reload_that_hangs_holds_up_neither_the_page_nor_the_end_of_a_dead_server(
    monkeypatch: pytest.MonkeyPatch, *, dies: bool
) -> None:
    """As while nothing happens, the page is refreshed again and again, and a dead web server ends the exporter."""
    monkeypatch.setattr(app, "_REFRESH_SECONDS", 0.3)
    over, began, refreshed = threading.Event(), time.monotonic(), list[float]()
    server = SimpleNamespace(has_died=False)

    def refresh() -> None:
        refreshed.append(time.monotonic() - began)
        if len(refreshed) == 2:
            server.has_died = dies
            if not dies:
                over.set()

    reloading = app_with(_reload=lambda: over.wait(20), _page=SimpleNamespace(refresh=refresh), _server=server)
    if dies:
        with pytest.raises(GigasError, match="the web server has died"):
            reloading._reload_until_shutdown()
        over.set()
    else:
        assert reloading._reload_until_shutdown() is None
    assert len(refreshed) == 2
    assert refreshed[1] >= 0.6


def test_a_reload_that_ends_during_the_shutdown_is_not_ready() -> None:
    """READY after STOPPING would tell systemd that the exporter goes on."""
    told: list[str] = []

    def load() -> None:
        closing.start()
        closing.join(10)
        raise ConfigError("too late")

    nothing = SimpleNamespace(close=lambda *_: None, stop=lambda: None, reload=lambda **_: None)
    notifier = SimpleNamespace(**{name: partial(told.append, name) for name in ("ready", "reloading", "stopping")})
    reloading = app_with(
        **dict.fromkeys(["_watchdog", "_server", "_service", "_telemetry"], nothing),
        _notifier=notifier,
        _load=load,
        _lock=threading.Lock(),
        _shutting_down=False,
        _reload_requests=[],
    )
    closing = threading.Thread(target=reloading._close)
    reloading._reload()
    assert told == ["reloading", "stopping"]


def test_the_page_is_refreshed_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that waits for signals refreshes the page, and outlives a refresh that fails."""
    refreshed = threading.Event()

    def fail() -> None:
        refreshed.set()
        raise MemoryError

    monkeypatch.setattr(app, "_REFRESH_SECONDS", 0.01)
    waiting = app_with(_page=SimpleNamespace(refresh=fail), _server=SimpleNamespace(has_died=False))
    received: list[signal.Signals] = []

    def wait() -> None:
        app.block_signals()  # of this thread alone
        received.append(app.ExporterApp._next_signal(waiting))

    thread = threading.Thread(target=wait)
    thread.start()
    assert refreshed.wait(30)
    assert thread.ident is not None
    signal.pthread_kill(thread.ident, signal.SIGTERM)
    thread.join(10)
    assert received == [signal.SIGTERM]


def test_a_reload_without_memory_fails_and_ends_nothing() -> None:
    """So with any error that nobody foresaw while the settings are read: nothing has changed by then."""

    def load() -> None:
        raise MemoryError

    reading: Any = SimpleNamespace(_load=load)
    with pytest.raises(ConfigError, match=r"^unexpected MemoryError at .*test_lifecycle_findings.py:"):
        app.ExporterApp._read_settings(reading)


@pytest.mark.parametrize("has_threads", [True, False])
def test_a_reload_that_is_cut_short_ends_the_exporter(monkeypatch: pytest.MonkeyPatch, *, has_threads: bool) -> None:
    """Where settings are half in use nobody may poll any more, and the health check would not tell."""

    def reload() -> None:
        raise MemoryError

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    if not has_threads:
        monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(MemoryError):
        app_with(_reload=reload)._reload_until_shutdown()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_web_server_that_dies_ends_the_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event loop that ran out of memory left a process behind that answered nobody and went on polling."""
    monkeypatch.setattr(app, "_REFRESH_SECONDS", 0.01)
    server = Server([("127.0.0.1", 0)], no_handler)
    server.start()
    assert server.accepts()
    waiting = app_with(_page=SimpleNamespace(refresh=lambda: None), _server=server)
    server._loop.set_exception_handler(lambda *_: None)  # it would log the tasks that are left
    server._loop.call_soon_threadsafe(server._loop.stop)
    with pytest.raises(GigasError, match="the web server has died"):
        app.ExporterApp._next_signal(waiting)
    assert server.close()
