"""A simulator on loopback, a clock that tests move, and a caller that is logged in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from gigas_exporter.simulator import SimulatedCloud
from support.simulator import SimulatorServer

START = 1_790_000_000.0


class FrozenClock:
    """A wall clock that moves only when it is told to."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Caller:
    """Speaks HTTP to one simulator over one kept connection, with the main API key unless told otherwise."""

    def __init__(self, server: SimulatorServer) -> None:
        self.server = server
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {server.world.api_key}"

    def __call__(self, method: str, path: str, **arguments: Any) -> requests.Response:
        arguments.setdefault("timeout", 5)
        return self.session.request(method, self.server.url + path, allow_redirects=False, **arguments)

    def get(self, path: str, **query: Any) -> requests.Response:
        return self("GET", path, params=query)

    def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Walk all pages of a list."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.get(path, **{"limit": 200, **query, "offset": len(found)})
            assert page.status_code == 200
            items = page.json()
            found.extend(items)
            if not items or len(found) >= int(page.headers["X-Total"]):
                return found


@pytest.fixture
def clock() -> FrozenClock:
    """A clock that stands still."""
    return FrozenClock()


@pytest.fixture
def serve() -> Iterator[Callable[[SimulatedCloud], Caller]]:
    """Serve worlds until the test ends."""
    callers: list[Caller] = []

    def start(world: SimulatedCloud) -> Caller:
        callers.append(Caller(SimulatorServer(world)))
        return callers[-1]

    yield start
    for caller in callers:
        caller.session.close()
        caller.server.close()


@pytest.fixture
def world(clock: FrozenClock) -> SimulatedCloud:
    """Two accounts of twenty disks each, at a moment that stands still."""
    return SimulatedCloud(seed=7, disks=40, accounts=2, clock=clock)


@pytest.fixture
def call(world: SimulatedCloud, serve: Callable[[SimulatedCloud], Caller]) -> Caller:
    """A caller of that world."""
    return serve(world)
