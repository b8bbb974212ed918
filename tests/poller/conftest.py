"""A simulated cloud, and services that poll it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from gigas_exporter.config import Settings
from gigas_exporter.poller.store import Store
from gigas_exporter.simulator import SimulatedCloud
from support.polling import Watching, settings_for
from support.simulator import SimulatorServer


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    """A simulated cloud of one account with 24 disks that stands still but for what tests do."""
    with SimulatorServer(SimulatedCloud(seed=3, disks=24, eventful=False)) as server:
        yield server


Watch = Callable[..., Watching]


@pytest.fixture
def watch(server: SimulatorServer) -> Iterator[Watch]:
    """Start services; all are stopped at the end."""
    with ExitStack() as stack:

        def start(settings: Settings | None = None, store: Store | None = None, **poll: Any) -> Watching:
            watching = Watching(settings or settings_for(server, **poll), store)
            stack.callback(watching.service.stop)
            return watching

        yield start
