"""A lock that serves client addresses in turn."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

_TIMEOUT_SECONDS: Final = 8.0  # Prometheus gives a scrape 10 s
_NETWORK_BITS: Final = 64  # of an IPv6 address; its owner chooses the rest


class BusyError(Exception):
    """Too many requests wait, or this one waited too long."""


class FairLock:
    """Two locks: one per client, and a shared one for their first requests.

    Both are granted in order of arrival, so at the shared lock a request waits for at most one request of each other
    client. All users must run on one event loop. Behind 100 wrong passwords from one address (bcrypt cost 10, busy
    machine), a request from another address waits 0.15 s; with a plain lock 12 s, longer than a scrape may take.

    Args:
        max_waiting: How many requests may wait; beyond that, only the first request of each client may.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._shared = asyncio.Lock()
        self._clients: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting = 0

    @asynccontextmanager
    async def hold(self, client: str) -> AsyncIterator[None]:
        """Hold the lock for the block.

        Raises:
            BusyError: Too many requests wait, or this one waited too long.
        """
        if self._waiting >= self._max_waiting and client in self._clients:
            raise BusyError
        own = self._clients.setdefault(client, asyncio.Lock())
        self._waiting += 1
        try:
            async with AsyncExitStack() as held:
                try:
                    async with asyncio.timeout(_TIMEOUT_SECONDS):
                        await held.enter_async_context(own)
                        await held.enter_async_context(self._shared)
                except TimeoutError:
                    raise BusyError from None
                yield
        finally:
            self._waiting -= 1


def client_key(host: str) -> str:
    """Return an address, or the network of an IPv6 address."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.IPv6Network((address.packed, _NETWORK_BITS), strict=False))
        address = address.ipv4_mapped
    return str(address)
