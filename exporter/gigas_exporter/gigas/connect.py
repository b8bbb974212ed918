"""Name resolution, connecting, and trusted certificate authorities."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from typing import Any

from gigas_exporter.errors import ConfigError
from gigas_exporter.files import read_text
from gigas_exporter.gigas.settings import ApiSettings
from gigas_exporter.gigas.socket_deadline import SocketDeadline, start_thread

# RFC 8305 (Happy Eyeballs), section 8: the recommended delay between two attempts.
_ATTEMPT_DELAY_SECONDS = 0.25
# The system's own bundle of 140 authorities has 220 kB.
_MAX_FILE_BYTES = 16 * 2**20

_Address = tuple[socket.AddressFamily, socket.SocketKind, int, Any]
_Host = tuple[str, int]

_lookups: dict[_Host, Future[list[_Address]]] = {}
"""The last lookup of each host, shared by all clients, so that one that hangs costs one thread."""
_lookups_lock = threading.Lock()


def _addresses(host: str, port: int, flags: int = 0) -> list[_Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]


class Dialer:
    """Connects to the first address that accepts, and prefers it until it fails."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._preferred: Any = None
        self._failed_at: dict[Any, float] = {}

    def connect(
        self, host: str, port: int, options: Iterable[tuple[int, int, int | bytes]], deadline: SocketDeadline
    ) -> tuple[socket.socket, Any]:
        """Return a connected socket in blocking mode, and its address.

        Raises:
            OSError: No address could be reached, or the name could not be resolved.
            TimeoutError: The deadline passed.
        """
        addresses = self._resolve((host.strip("[]"), port), deadline)
        with self._lock:
            failed_at = {each[3]: self._failed_at.get(each[3], 0.0) for each in addresses}
            self._failed_at = failed_at  # forgets the addresses that the name no longer has
            addresses.sort(key=lambda each: (each[3] != self._preferred, failed_at[each[3]]))
        sock, address = _connect_first(addresses, options, deadline)
        with self._lock:
            self._preferred = address
        return sock, address

    def avoid(self, address: Any) -> None:
        """Try an address last from now on, since an exchange failed."""
        with self._lock:
            self._failed_at[address] = time.monotonic()
            if self._preferred == address:
                self._preferred = None

    def _resolve(self, key: _Host, deadline: SocketDeadline) -> list[_Address]:
        """Resolve a name, in at most one thread per name."""
        with contextlib.suppress(socket.gaierror):
            return _addresses(*key, socket.AI_NUMERICHOST)
        with _lookups_lock:
            lookup = _lookups.get(key)
            if lookup is None or lookup.done():
                lookup = Future()
                start_thread("gigas-resolver", partial(_look_up, key, lookup))
                _lookups[key] = lookup
        while not wait([lookup], deadline.slice()).done:
            pass
        error = lookup.exception()
        if error is not None:
            raise type(error)(*error.args)  # a new one for each thread that waits
        return list(lookup.result())


def _look_up(key: _Host, lookup: Future[list[_Address]]) -> None:
    """Resolve a name in a thread: the resolver cannot be interrupted."""
    try:
        lookup.set_result(_addresses(*key))
    except Exception as error:  # noqa: BLE001  # raised by those who wait
        lookup.set_exception(error.with_traceback(None))


def _connect_first(
    addresses: Iterable[_Address], options: Iterable[tuple[int, int, int | bytes]], deadline: SocketDeadline
) -> tuple[socket.socket, Any]:
    """Try one address after another at short intervals; return the first connection."""
    waiting, failure = deque(addresses), OSError("the name has no address")
    pending: dict[int, tuple[socket.socket, Any]] = {}
    poller = select.poll()
    next_attempt = 0.0
    try:
        while waiting or pending:
            pause = deadline.slice()
            if waiting and (not pending or time.monotonic() >= next_attempt):
                family, kind, protocol, address = waiting.popleft()
                next_attempt = time.monotonic() + _ATTEMPT_DELAY_SECONDS
                try:
                    sock = _begin_connect(family, kind, protocol, address, options)
                except OSError as error:
                    failure = error.with_traceback(None)
                    continue
                pending[sock.fileno()] = sock, address
                poller.register(sock, select.POLLOUT)
            if waiting:
                pause = max(0.0, min(pause, next_attempt - time.monotonic()))
            for descriptor, _ in poller.poll(pause * 1000):
                poller.unregister(descriptor)
                sock, address = pending.pop(descriptor)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not code:
                    sock.setblocking(True)
                    return sock, address
                sock.close()
                failure = OSError(code, os.strerror(code))
        raise failure
    finally:
        del failure  # a cycle of the error and this frame would keep the sockets alive
        for sock, _ in pending.values():
            sock.close()


def _begin_connect(
    family: int, kind: int, protocol: int, address: Any, options: Iterable[tuple[int, int, int | bytes]]
) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        for option in options:
            sock.setsockopt(*option)
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


class TrustStore:
    """The TLS context of one or more clients.

    Building one takes some 20 ms and a megabyte.

    Raises:
        ConfigError: The file of authorities cannot be used.
    """

    def __init__(self, settings: ApiSettings) -> None:
        urls = (settings.url, settings.proxy or "")
        self._is_needed = settings.ca_file is not None or any(url.lower().startswith("https:") for url in urls)
        self._ca_file = settings.ca_file
        self._lock = threading.Lock()
        self._digest = b""
        self._context = self._build()

    @property
    def context(self) -> ssl.SSLContext | None:
        """The context to use now; ``None`` without TLS."""
        return self._context

    def reload(self, failed: ssl.SSLContext | None) -> bool:
        """Read the authorities again; return whether the context was replaced."""
        with self._lock:
            if self._context is failed and self._ca_file is not None:
                try:
                    self._context = self._build() or self._context
                except ConfigError:  # the file may be only half written
                    return False
            return self._context is not failed

    def _build(self) -> ssl.SSLContext | None:
        """Return a new context, ``None`` if not needed or unchanged."""
        if not self._is_needed:
            return None
        if self._ca_file is None:
            context = ssl.create_default_context()
        else:
            name = f"the file of authorities {self._ca_file}"
            pem = read_text(Path(self._ca_file), name, _MAX_FILE_BYTES)
            digest = hashlib.sha256(pem.encode()).digest()
            if digest == self._digest:
                return None
            try:
                # Comments between the certificates may have any character, but OpenSSL accepts only ASCII. With an
                # empty text Python would trust the system's authorities.
                context = ssl.create_default_context(cadata=pem.encode("ascii", "ignore").decode() or "\n")
            except (ssl.SSLError, ValueError):
                raise ConfigError(f"{name}: holds no certificate") from None
            self._digest = digest
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context
