"""The running exporter: poller, page, web server and life cycle, put together.

This is the one place where all parts meet. It owns start, reload and end, and the order of each.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Final

from gigas_exporter import __version__, human, logs
from gigas_exporter.cli import memory
from gigas_exporter.cli.rounds import Rounds
from gigas_exporter.clock import Clock
from gigas_exporter.config import Settings
from gigas_exporter.errors import ConfigError, GigasError
from gigas_exporter.logs import get_logger
from gigas_exporter.metrics import Page, Telemetry
from gigas_exporter.poller.service import Service
from gigas_exporter.poller.store import Store
from gigas_exporter.statuspage import StatusPage, Visits
from gigas_exporter.systemd import Notifier, Watchdog
from gigas_exporter.web import Server, build_routes, load_web_config
from gigas_exporter.web.listening import display

__all__ = ["Application", "hold_signals", "tell_warnings"]

_log = get_logger(__name__)

_ENDS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_SIGNALS: Final = _ENDS | {signal.SIGHUP}
_GRACE_SECONDS = 3.0
_SWITCH_SECONDS = 0.0005
"""How long a thread may keep Python to itself: a scrape hands it over a dozen times, and each time waits for a poll."""


class Application:
    """The exporter from its start to its end.

    Args:
        load: Reads the settings; called again at each reload.

    Raises:
        ConfigError: From the constructor, when settings are wrong or the address cannot be listened on; nothing has
            been asked of the API by then.
    """

    def __init__(self, load: Callable[[], Settings], *, clock: Clock) -> None:
        hold_signals()  # a container's first process would miss those that come while it reads its configuration
        self._load = load
        self._clock = clock
        self._settings = load()
        logs.configure(self._settings.log.level, self._settings.log.format)
        tell_warnings(self._settings)
        self._telemetry = Telemetry()
        self._telemetry.reload(success=True, wall=clock.wall())
        self._store = Store()
        self._page = Page(self._store, self._telemetry, clock)
        self._store.on_change = self._page.refresh
        self._service = Service(self._settings, self._store, self._telemetry, clock=clock)
        web = self._settings.web
        status_page = StatusPage(self._store, clock, telemetry_path=web.telemetry_path)
        self._ending = False
        routes = build_routes(
            self._page,
            telemetry_path=web.telemetry_path,
            ready=self._service.not_ready,
            healthy=self._service.healthy,
            reload=self.reload if web.enable_lifecycle else None,
            index=Visits(status_page, clock, lambda: self._ending).answer,
        )
        web_config = load_web_config(web.config_file) if web.config_file is not None else None
        try:
            self._server = Server(web.listen_address, routes, web_config, clock)
        except ConfigError as error:
            raise ConfigError(f"{error} (--web.listen-address takes another)") from None
        self._notifier = Notifier(os.environ, clock)
        self._watchdog = Watchdog(self._notifier, lambda: self._server.accepting and self._service.healthy(), clock)
        self._reloads = Rounds(self._reload)

    @property
    def url(self) -> str:
        """Where a person finds the status page."""
        host, port = self._server.address
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def run(self, started: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reloads. ``started`` is called once requests are answered."""
        old_hook, threading.excepthook = threading.excepthook, _tell_of_dead_thread
        old_interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        try:
            with memory.frugal():
                self._serve(started)
        finally:
            self._close()
            sys.setswitchinterval(old_interval)
            threading.excepthook = old_hook

    def _serve(self, started: Callable[[], None]) -> None:
        # Before the service has begun nothing is known of accounts, and nobody may take that for being ready.
        self._service.start()
        self._server.start()
        _log.info("listening", address=display(self._server.address), version=__version__)
        self._notifier.ready()
        started()
        self._watchdog.start()
        while (received := _next_signal()) == signal.SIGHUP:
            self.reload()
        _log.info("ending", signal=received.name)

    def reload(self) -> str | None:
        """Read the settings again and go on with them; when they are bad, go on with the old ones and say why.

        Those who ask while a reload is under way share the next one.
        """
        return self._reloads.join()

    def _reload(self) -> str | None:
        if self._ending:
            return "the exporter is ending"
        self._notifier.reloading()
        try:
            self._take(self._load())
        except GigasError as error:
            self._telemetry.reload(success=False, wall=self._clock.wall())
            _log.error("the new configuration is not taken", error=str(error))
            return str(error)
        else:
            memory.collect()  # what was polled with before is old, and partly held by cycles
            return None
        finally:
            self._notifier.ready()

    def _take(self, settings: Settings) -> None:
        """Go on with these settings.

        Raises:
            GigasError: They cannot be used; the old ones are in force as before.
        """
        self._service.reload(settings)
        logs.configure(settings.log.level, settings.log.format)
        tell_warnings(settings)
        if settings.web != self._settings.web:
            _log.warning("a change of the web settings is taken at the next start only")
        self._settings = settings
        self._telemetry.reload(success=True, wall=self._clock.wall())
        _log.info("configuration reloaded")

    def _close(self) -> None:
        self._notifier.stopping()
        self._watchdog.close()
        self._ending = True
        began = self._clock.monotonic()
        self._reloads.join()  # the one under way is waited for; the one after it sees the end
        self._server.close(max(0.0, _GRACE_SECONDS - (self._clock.monotonic() - began)))
        self._service.stop()


def _next_signal() -> signal.Signals:
    """Wait for a signal; an end that was asked for goes before reloads, of which there may always be one more."""
    while (info := signal.sigtimedwait(_SIGNALS, memory.COLLECTION_SECONDS)) is None:
        memory.collect()
    received = signal.Signals(info.si_signo)
    ends = _pending_ends()
    return min(ends) if ends and received == signal.SIGHUP else received


def _pending_ends() -> set[signal.Signals]:
    """Return the signals that ask for the end and have not been taken yet."""
    return {signal.Signals(number) for number in signal.sigpending() & _ENDS}


def hold_signals() -> None:
    """Keep the signals that a long-running command waits for from interrupting it, until the process ends.

    They are waited for and not handled, so that nothing ever runs in the middle of something else. Threads inherit
    this, so that it must come before the first one starts. It is never undone: who asks for the end a second time must
    not turn a clean end into a kill.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _tell_of_dead_thread(died: threading.ExceptHookArgs) -> None:
    """Log a defect that ended a thread, in one line and without its text, which could hold anything."""
    if died.exc_value is not None:
        thread = died.thread.name if died.thread is not None else None
        error = type(died.exc_value).__name__
        _log.error("a thread has died", thread=thread, error=error, place=human.place_of(died.exc_value))


def tell_warnings(settings: Settings) -> None:
    """Log what the settings allow but hardly mean."""
    for warning in settings.warnings:
        _log.warning("questionable setting", warning=warning)
