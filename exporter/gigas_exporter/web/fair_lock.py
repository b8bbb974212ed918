"""A lock for which client addresses take turns, so that a flood from one makes only that one wait."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

__all__ = ["BusyError", "FairLock", "client_key"]

_TIMEOUT_SECONDS: Final = 20.0
_USUAL_SECONDS: Final = 8.0  # no more may wait than are served in this time; Prometheus gives a scrape 10 s
_MIN_QUEUE: Final = 4
_NETWORK_BITS: Final = 64  # of an IPv6 address; its owner chooses the rest


class BusyError(Exception):
    """Too many requests wait, or one too long."""


@dataclass(slots=True)
class _Client:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class FairLock:
    """A lock within a lock: a client's requests wait for the client's own, and its first one for the shared one.

    Both are granted in order of arrival, so at the shared lock nobody waits for more than one request of each other
    client. To be used from one event loop. Behind 100 wrong passwords of one address (bcrypt's cost 10, busy machine) a
    new one of another address waits 0.15 s, at a plain lock 12 s, which is more than Prometheus' time-out of a scrape.

    Args:
        max_waiting: How many requests may wait. Beyond it only the first request of a client may, up to twice as many.
        is_closing: Whether the server closes; the lock is not granted then.
    """

    def __init__(self, max_waiting: int, is_closing: Callable[[], bool] = lambda: False) -> None:
        self._max_waiting = max_waiting
        self._is_closing = is_closing
        self._shared = asyncio.Lock()
        self._clients: dict[str, _Client] = {}
        self._waiting = 0
        self._last_seconds = 0.0

    @asynccontextmanager
    async def hold(self, client: str) -> AsyncIterator[None]:
        """Hold the lock for the block.

        Raises:
            BusyError: Too many wait, the wait took too long, or the server closes.
        """
        own = self._clients.get(client, _Client())
        if self._is_full(own):
            raise BusyError
        self._clients[client] = own
        own.waiting += 1
        self._waiting += 1
        try:
            async with AsyncExitStack() as held:
                try:
                    async with asyncio.timeout(_TIMEOUT_SECONDS):
                        await held.enter_async_context(own.lock)
                        await held.enter_async_context(self._shared)
                except TimeoutError:
                    raise BusyError from None
                if self._is_closing():
                    raise BusyError
                began = asyncio.get_running_loop().time()
                yield
                self._last_seconds = asyncio.get_running_loop().time() - began
        finally:
            own.waiting -= 1
            self._waiting -= 1
            if not own.waiting:
                self._clients.pop(client, None)

    def _is_full(self, own: _Client) -> bool:
        if not own.waiting:
            return self._waiting >= 2 * self._max_waiting
        in_time = max(_MIN_QUEUE, _USUAL_SECONDS / (self._last_seconds or 1e-9))
        return self._waiting >= self._max_waiting or own.waiting >= in_time


def client_key(host: str) -> str:
    """Return whose an address is: itself, or its network where one client has many."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.IPv6Network((address.packed, _NETWORK_BITS), strict=False))
        address = address.ipv4_mapped
    return str(address)
