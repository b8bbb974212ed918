"""The web server: uvicorn's HTTP/1.1 protocol in a thread of its own.

It accepts connections itself, because asyncio's server does not limit their number, stops accepting for a second when
file descriptors run out, and keeps its TLS context forever.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import resource
import socket
import threading
from asyncio.sslproto import SSLProtocol
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from uvicorn import Config
from uvicorn.server import ServerState

from gigas_exporter.clock import Clock, SystemClock
from gigas_exporter.formatting import error_location
from gigas_exporter.logs import get_logger
from gigas_exporter.web.access_control import AccessControl
from gigas_exporter.web.fair_lock import client_key
from gigas_exporter.web.http import Handler, HTTPError, Request, Response, read_request, text_response
from gigas_exporter.web.listener import open_listener
from gigas_exporter.web.protocol import Connection, ServerLimits, State
from gigas_exporter.web.web_config import WebConfig

_log = get_logger(__name__)
_USUAL_LIMIT: Final = 512
_MIN_LIMIT: Final = 16
_DESCRIPTORS_KEPT_FREE: Final = 128  # for connections to the API, files, and what libraries hold open
_WORKERS: Final = 6  # at most one checks a password, at most one renders a status page; the others render metrics
_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_RETRY_SECONDS: Final = 0.1
_DEFECT_SECONDS: Final = 1.0
_TLS_SHUTDOWN_SECONDS: Final = 1.0
_LOG_INTERVAL_SECONDS: Final = 10.0
_DEADLINE_CHECK_SECONDS: Final = 0.5
_UNFINISHED_GRACE_SECONDS: Final = 0.5
_BLOCKED_SECONDS: Final = 1.5  # more than aborted connections may take to close after the grace period
_TLS_READ_BYTES: Final = 32 * 1024  # asyncio's 256 KiB for each connection cost 75 MB while 300 handshakes stall
_WRITE_BYTES: Final = 64 * 1024  # of a response, which are copied for each client that does not read


def connection_limit(wanted: int | None) -> int:
    """Return how many connections to allow, so that file descriptors are left for other uses."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = _USUAL_LIMIT if soft == resource.RLIM_INFINITY else max(_MIN_LIMIT, soft - _DESCRIPTORS_KEPT_FREE)
    return min(wanted if wanted is not None else _USUAL_LIMIT, room)


class Server:
    """An HTTP/1.1 server.

    The constructor opens the listening sockets, so that an address in use is found before anything else starts. Until
    :meth:`start`, connections wait in the kernel's backlog.

    Args:
        listen: Addresses, each host and port; the empty host is every address, port 0 a free one.
        handler: Handles the requests, on the event loop; it must run slow work in ``asyncio.to_thread``.
        web_config: TLS, users, headers and rate limit; None is plain HTTP for everybody.
        on_reload: Called with whether the changed files of the web config are in force.

    Raises:
        ConfigError: The server cannot listen on an address.
    """

    def __init__(
        self,
        listen: Sequence[tuple[str, int]],
        handler: Handler,
        web_config: WebConfig | None = None,
        clock: Clock | None = None,
        *,
        limits: ServerLimits | None = None,
        on_reload: Callable[[bool], object] = lambda _: None,
    ) -> None:
        self._clock = clock if clock is not None else SystemClock()
        self._handler = handler
        self.limits = limits if limits is not None else ServerLimits()
        self.access = AccessControl(web_config, self._clock, on_reload)
        self.server_state = ServerState()
        self._max_connections = connection_limit(self.limits.connections)
        self._connections: set[Connection] = set()
        self._accept_tasks: list[asyncio.Task[None]] = []
        self._closing = False
        self._logged_at = -_LOG_INTERVAL_SECONDS
        self._thread: threading.Thread | None = None
        self._listeners: list[socket.socket] = []
        try:
            for address in listen:
                self._listeners.append(open_listener(address))
        except BaseException:
            self._close_listeners()
            raise
        self.addresses: list[tuple[str, int]] = [listener.getsockname()[:2] for listener in self._listeners]
        self.address = self.addresses[0]

    def accepts(self, timeout_seconds: float = 5.0) -> bool:
        """Return whether the event loop works and accepts connections."""
        if self._thread is None or self._closing or not self._thread.is_alive():
            return False
        answered = threading.Event()
        with suppress(RuntimeError):  # it has just been closed
            self._loop.call_soon_threadsafe(answered.set)
        return answered.wait(timeout_seconds)

    def start(self) -> None:
        """Start serving; raise RuntimeError if no thread can be started."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it warns about each malformed request
        self._config = Config(
            self._app,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=math.ceil(self.limits.idle_seconds) + 1,  # our own limit comes first
        )
        self._config.load()
        SSLProtocol.max_size = _TLS_READ_BYTES
        self._executor = _started_executor(_WORKERS)
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(self._executor)
        self._loop.set_exception_handler(_log_loop_exception)
        self._done = asyncio.Event()
        self._empty = asyncio.Event()
        thread = threading.Thread(target=self._run, name="web", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._executor.shutdown(wait=False)
            self._loop.close()
            raise
        self._thread = thread  # not before: ``close`` waits for this thread

    @property
    def has_died(self) -> bool:
        """Whether the event loop ended by itself, such as for lack of memory."""
        return self._thread is not None and not self._closing and not self._thread.is_alive()

    def close(self, grace_seconds: float = 5.0) -> bool:
        """Finish requests and stop; return whether all finished in time.

        Idle connections end at once. It takes at most 1 s more than ``grace_seconds``, or 3 s if the loop is blocked.
        """
        if self._thread is None or self._closing or self.has_died:
            self._close_listeners()
            return True
        self._closing = True
        shutdown = asyncio.run_coroutine_threadsafe(self._shut_down(grace_seconds), self._loop)
        try:
            return shutdown.result(grace_seconds + _BLOCKED_SECONDS)
        except TimeoutError:  # the event loop is blocked by a defect; the process ends nevertheless
            return False
        finally:
            self._thread.join(_BLOCKED_SECONDS)

    def remove(self, connection: Connection) -> None:
        """Remove a connection that has ended."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            # The interpreter waits for a password check that is running; queued ones are cancelled.
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._loop.close()

    async def _serve(self) -> None:
        self._accept_tasks = [
            self._loop.create_task(_repeat(partial(self._accept, listener))) for listener in self._listeners
        ]
        background = [self._loop.create_task(_repeat(step)) for step in (self.access.watch, self._end_overdue)]
        await self._done.wait()
        for task in (tasks := asyncio.all_tasks() - {asyncio.current_task()}):
            task.cancel()
        await asyncio.gather(*tasks, *background, return_exceptions=True)

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()

    async def _shut_down(self, grace_seconds: float) -> bool:
        for task in self._accept_tasks:
            task.cancel()
        await asyncio.gather(*self._accept_tasks, return_exceptions=True)
        for listener in self._listeners:
            with suppress(OSError):
                while True:  # clients in the backlog still get a response
                    self._start_connection(*listener.accept())
        self._close_listeners()
        began = self._loop.time()
        for connection in list(self._connections):
            if connection.state > State.READING:
                connection.shutdown()
        if not await self._wait_until_empty(min(_UNFINISHED_GRACE_SECONDS, grace_seconds)):
            for connection in list(self._connections):
                if connection.state in {State.READING, State.IDLE}:
                    connection.abort()
        finished = await self._wait_until_empty(grace_seconds - (self._loop.time() - began))
        for connection in list(self._connections):
            connection.abort()
        await self._wait_until_empty(1.0)
        self._done.set()
        return finished

    async def _wait_until_empty(self, seconds: float) -> bool:
        self._empty.clear()
        with suppress(TimeoutError):
            if self._connections:
                await asyncio.wait_for(self._empty.wait(), max(0.0, seconds))
        return not self._connections

    async def _accept(self, listener: socket.socket) -> None:
        await _readable(listener)
        try:
            if len(self._connections) < self._max_connections or self._evict_one():
                self._start_connection(*listener.accept())
            else:  # all connections are handling requests; new ones wait in the backlog
                await asyncio.sleep(_RETRY_SECONDS)
        except OSError as error:  # any other error means that the client has gone away
            if error.errno in _OUT_OF_RESOURCES:
                self._log_exhaustion(error)
                # Eviction helps against the limit of this process, not against that of the machine.
                if error.errno != errno.EMFILE or not self._evict_one():
                    await asyncio.sleep(_RETRY_SECONDS)

    def _start_connection(self, accepted: socket.socket, address: tuple[str, int]) -> None:
        accepted.setblocking(False)
        connection = Connection(self._config, self, client_key(address[0]))
        self._connections.add(connection)
        connection.starting = self._loop.create_task(self._connect(connection, accepted))
        connection.starting.add_done_callback(partial(self._on_connected, connection, accepted))

    async def _connect(self, connection: Connection, accepted: socket.socket) -> None:
        """Give a socket to its connection; with TLS, after the handshake."""
        context = self.access.context
        if context is not None:
            await _readable(accepted)
            if accepted.recv(1, socket.MSG_PEEK).isupper():  # a method, not TLS
                context, connection.got_plain_http = None, True
        await self._loop.connect_accepted_socket(
            lambda: connection,
            accepted,
            ssl=context,
            ssl_shutdown_timeout=_TLS_SHUTDOWN_SECONDS if context is not None else None,
        )

    def _on_connected(self, connection: Connection, accepted: socket.socket, task: asyncio.Task[None]) -> None:
        connection.starting = None
        if task.cancelled() or task.exception() is not None:  # the client left, was too slow or was evicted
            accepted.close()
            self.remove(connection)

    def _evict_one(self) -> bool:
        """Evict the connection with the lowest rank, unless all are handling requests."""
        candidates = (each for each in self._connections if each.state is not State.HANDLING)
        evicted = min(candidates, key=Connection.eviction_rank, default=None)
        if evicted is None:
            return False
        self._connections.discard(evicted)
        evicted.abort()
        return True

    async def _end_overdue(self) -> None:
        await asyncio.sleep(_DEADLINE_CHECK_SECONDS)
        for connection in list(self._connections):
            if self._loop.time() > connection.deadline:
                connection.time_out()

    def _log_exhaustion(self, error: OSError) -> None:
        now = self._loop.time()
        if now - self._logged_at >= _LOG_INTERVAL_SECONDS:
            self._logged_at = now
            _log.warning("Cannot accept connections", error=error.strerror)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        connection: Connection = scope["state"]["connection"]
        if connection.state is State.IDLE:  # the request was pipelined
            connection.set_state(State.READING)
        try:
            request = read_request(scope, connection.client_key)
        except HTTPError as error:
            connection.reject(error.status)
            return
        # receive() resumes reading, which must not happen while pipelined requests are buffered.
        while connection.cycle.more_body and not connection.cycle.disconnected:
            await receive()
        if connection.cycle.disconnected:
            return
        connection.state = State.HANDLING
        response = self.access.add_headers(await self._respond(request))
        connection.state = State.WRITING
        headers = [
            *response.headers.items(),
            ("Content-Length", str(sum(map(len, response.chunks)))),
            ("Date", formatdate(self._clock.wall(), usegmt=True)),
            *([("Connection", "close")] if self._closing else []),
        ]
        encoded = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
        await send({"type": "http.response.start", "status": response.status, "headers": encoded})
        if request.method != "HEAD":
            for chunk in response.chunks:
                for start in range(0, len(chunk), _WRITE_BYTES):
                    # No variable holds the slice, so that only the transport does while the client does not read.
                    body = {"type": "http.response.body", "more_body": True}
                    await send(body | {"body": chunk[start : start + _WRITE_BYTES]})
                    await connection.flow.drain()
        await send({"type": "http.response.body", "body": b""})

    async def _respond(self, request: Request) -> Response:
        try:
            return await self.access.handle(request, self._handler)
        except Exception as error:  # noqa: BLE001  (the boundary: one broken page must not end the process)
            _log.error("Request failed", path=request.path, error=type(error).__name__, place=error_location(error))
            return text_response(HTTPStatus.INTERNAL_SERVER_ERROR)


def _started_executor(workers: int) -> ThreadPoolExecutor:
    """Return an executor with all its threads started; later the system may have none left."""
    executor = ThreadPoolExecutor(workers, thread_name_prefix="web")
    all_started = threading.Barrier(workers)
    try:
        for _ in range(workers):
            executor.submit(all_started.wait)
    except BaseException:
        all_started.abort()
        executor.shutdown(wait=False)
        raise
    return executor


async def _repeat(step: Callable[[], Awaitable[None]]) -> None:
    """Repeat a step forever; log its errors."""
    while True:
        try:
            await step()
        except Exception as error:  # noqa: BLE001  (the boundary)
            asyncio.get_running_loop().call_exception_handler({"exception": error})
            await asyncio.sleep(_DEFECT_SECONDS)


async def _readable(waiting: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(waiting, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(waiting)


def _log_loop_exception(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    place = error_location(error) if error is not None else context.get("message")
    _log.error("Unhandled exception in the web server", error=type(error).__name__, place=place)
