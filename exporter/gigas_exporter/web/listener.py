"""Opening the listening socket."""

from __future__ import annotations

import errno
import socket
from typing import Final

from gigas_exporter.errors import ConfigError

__all__ = ["format_address", "open_listener"]

_HIGHEST_PORT: Final = 65535
_NO_IPV6: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})  # compiled in, but switched off
_QUEUE: Final = 1024  # connections that wait for accept during a burst; the kernel cuts it to net.core.somaxconn
# Bounds what the kernel holds for a client that never reads: left alone it grows to several MB a connection.
_SEND_BUFFER_BYTES: Final = 256 * 1024
_RECEIVE_BUFFER_BYTES: Final = 64 * 1024


def format_address(listen: tuple[str, int]) -> str:
    """Return an address, such as ``[::1]:9000``."""
    host, port = listen
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def open_listener(listen: tuple[str, int]) -> socket.socket:
    """Listen on an address; the empty host and ``::`` are every address, IPv6 and IPv4 where the machine has both.

    Raises:
        ConfigError: It cannot be listened on; one line that says why.
    """
    host, port = listen
    if not 0 <= port <= _HIGHEST_PORT:
        raise ConfigError(f"cannot listen on {format_address(listen)}: a port is from 0 to {_HIGHEST_PORT}")
    try:
        listener = _bind_all(port) if host in {"", "::"} else _bind_host(host, port)
    except (OSError, UnicodeError) as error:
        why = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(f"cannot listen on {format_address(listen)}: {why}") from None
    listener.setblocking(False)
    # Accepted sockets inherit it. asyncio sets it only where the socket's protocol is named; without it 40 ms go by.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    return listener


def _bind_all(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return _create(socket.AF_INET6, ("", port), dualstack=True)
        except OSError as error:
            if error.errno not in _NO_IPV6:
                raise
    return _create(socket.AF_INET, ("", port))


def _bind_host(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    return _create(family, address)


def _create(family: int, address: tuple[object, ...], *, dualstack: bool = False) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dualstack else 1)
        listener.bind(address)
        listener.listen(_QUEUE)
    except BaseException:
        listener.close()
        raise
    return listener
