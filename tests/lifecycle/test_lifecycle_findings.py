"""What time alone brings is rendered between polls and scrapes."""

from __future__ import annotations

import signal
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from gigas_exporter import app, memory
from gigas_exporter.clock import SystemClock


def test_the_page_is_refreshed_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that waits for signals refreshes the page, and frees memory less often."""
    refreshed, collected = threading.Event(), threading.Event()
    monkeypatch.setattr(app, "_REFRESH_SECONDS", 0.01)
    monkeypatch.setattr(memory, "COLLECTION_SECONDS", 0.03)
    monkeypatch.setattr(memory, "release_memory", collected.set)
    waiting: Any = SimpleNamespace(_page=SimpleNamespace(refresh=refreshed.set), _clock=SystemClock())
    received: list[signal.Signals] = []

    def wait() -> None:
        app.block_signals()  # of this thread alone
        received.append(app.ExporterApp._next_signal(waiting))

    thread = threading.Thread(target=wait)
    thread.start()
    assert refreshed.wait(10)
    assert collected.wait(10)
    assert thread.ident is not None
    signal.pthread_kill(thread.ident, signal.SIGTERM)
    thread.join(10)
    assert received == [signal.SIGTERM]
