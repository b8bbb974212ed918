"""Reports the process' state to systemd (sd_notify(3)).

No error leaves it: a service manager that does not listen must not end the monitoring.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from gigas_exporter.clock import Clock, SystemClock

_MICROSECONDS: Final = 1_000_000
_JOIN_SECONDS: Final = 1.0  # the health check may be waiting for a blocked event loop


class Notifier:
    """Sends to the socket that ``NOTIFY_SOCKET`` names.

    Its clock must be CLOCK_MONOTONIC, with which systemd compares ``MONOTONIC_USEC``.
    """

    def __init__(self, environ: Mapping[str, str], clock: Clock | None = None) -> None:
        self._clock = clock if clock is not None else SystemClock()
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_seconds = _watchdog_seconds(environ)

    def ready(self) -> None:
        """Report that the service or a reload is ready."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Report that a reload begins; :meth:`ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(self._clock.monotonic() * _MICROSECONDS)}")

    def stopping(self) -> None:
        """Report that the service shuts down."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Send the watchdog's keep-alive."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(1.0)
            sender.sendto("\n".join(lines).encode(), self._address)


class Watchdog:
    """Sends keep-alives to systemd while the service is healthy.

    While ``healthy`` returns false or raises, it sends none, and systemd restarts the service.
    """

    def __init__(self, notifier: Notifier, healthy: Callable[[], bool], clock: Clock | None = None) -> None:
        self._notifier = notifier
        self._healthy = healthy
        self._clock = clock if clock is not None else SystemClock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, if systemd expects keep-alives."""
        if self._notifier.watchdog_seconds is not None:
            seconds = self._notifier.watchdog_seconds / 2
            thread = threading.Thread(target=self._run, args=(seconds,), name="watchdog", daemon=True)
            thread.start()
            self._thread = thread  # only now: a thread that failed to start cannot be joined

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)

    def _run(self, seconds: float) -> None:
        while not self._stop.is_set():
            if self._is_healthy():
                self._notifier.alive()
            self._clock.wait(self._stop, seconds)

    def _is_healthy(self) -> bool:
        try:
            return self._healthy()
        except Exception:  # noqa: BLE001  (any error means unhealthy, and the thread must go on checking)
            return False


def _address(name: str) -> str | bytes | None:
    """Return a socket's address, which may be abstract (``@name``)."""
    if name.startswith("@"):
        return b"\0" + os.fsencode(name[1:])
    return name if name.startswith("/") else None


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    if environ.get("WATCHDOG_PID", "") not in {"", str(os.getpid())}:
        return None
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / _MICROSECONDS if microseconds > 0 else None
