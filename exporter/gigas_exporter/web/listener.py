"""Open the listening socket."""

from __future__ import annotations

import errno
import socket
from typing import Final

from gigas_exporter.errors import ConfigError
from gigas_exporter.formatting import format_address

_NO_IPV6: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})  # compiled in, but switched off
_BACKLOG: Final = 1024  # for bursts; the kernel limits it to net.core.somaxconn
# Limits what the kernel holds for a client that never reads; by default that grows to several MB per connection.
_SEND_BUFFER_BYTES: Final = 256 * 1024
_RECEIVE_BUFFER_BYTES: Final = 64 * 1024


def open_listener(listen: tuple[str, int]) -> socket.socket:
    """Listen on an address; an empty host and ``::`` mean all addresses, IPv4 too.

    Raises:
        ConfigError: That is not possible; the message is one line with the reason.
    """
    host, port = listen
    try:
        listener = _bind_all(port) if host in {"", "::"} else _bind_host(host, port)
    except (OSError, OverflowError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        reason = why.partition(" (while")[0]  # Python's own addition
        raise ConfigError(f"cannot listen on {format_address(listen)}: {reason}") from None
    listener.setblocking(False)
    # Accepted sockets inherit it; asyncio sets it only if their protocol is given. Without it, responses lag by 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    return listener


def _bind_all(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True)
        except OSError as error:
            if error.errno not in _NO_IPV6:
                raise
    return socket.create_server(("", port), backlog=_BACKLOG)


def _bind_host(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(address, family=family, backlog=_BACKLOG)
