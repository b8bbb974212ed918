"""One HTTP request and its response over a stream: counted bytes, a bounded body.

h11 reads the response, and takes nothing for one that readers of HTTP may understand differently.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

import h11

from gigas_exporter.errors import DecodeError
from gigas_exporter.gigas.streams import Stream

MAX_BODY_BYTES = 16 * 2**20

_MAX_HEAD_BYTES = 128 * 2**10
_MAX_INTERIM_RESPONSES = 16
_MAX_ERROR_BODY_BYTES = 16 * 2**10
_CHUNK_BYTES = 64 * 2**10
_GZIP_WBITS = 31
_PADDING = b"\0 \t\r\n"


class ConnectionEndedError(OSError):
    """The connection ended before the whole response; the message says where."""


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A complete response.

    Attributes:
        headers: By name in lower case; values of one that was sent several times are joined by a comma.
        body: Decompressed. Of an error the first 16 KiB, as far as they came.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class HTTPExchange:
    """One request and its response on a stream, which is not used for another one."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._received = 0
        self._limit = MAX_BODY_BYTES + _MAX_HEAD_BYTES

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None) -> None:
        """Send the request."""
        if method not in {"GET", "CONNECT"}:
            headers = {**headers, "Content-Length": str(len(body or b""))}
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        data = self._connection.send(h11.Request(method=method, target=target, headers=encoded))
        for event in (h11.Data(data=body or b""), h11.EndOfMessage()):
            data += self._connection.send(event) or b""
        self._stream.send(data)

    def receive_head(self) -> h11.Response:
        """Return the response without its body, after interim ones (RFC 9110, section 15.2).

        Raises:
            h11.RemoteProtocolError: It is no HTTP, or may be understood in several ways.
            ConnectionEndedError: It is cut off.
            DecodeError: It is too large.
        """
        for _ in range(_MAX_INTERIM_RESPONSES):
            event = self._next_event()
            if isinstance(event, h11.Response):
                framing = [name for name, _ in event.headers if name in {b"content-length", b"transfer-encoding"}]
                if len(framing) > 1 or not event.http_version.startswith(b"1."):
                    raise h11.RemoteProtocolError("ambiguous framing")
                return event
        raise h11.RemoteProtocolError("too many interim responses")

    def receive(self, operation: str) -> RawResponse:
        """Return the whole response; errors as for its head.

        Raises:
            DecodeError: The body is too large, or its compression is broken or was not asked for.
        """
        head = self.receive_head()
        values: dict[str, dict[str, None]] = {}
        for name, value in head.headers:
            values.setdefault(name.decode(), {})[value.decode("latin-1")] = None
        headers = {name: ", ".join(each) for name, each in values.items()}
        encoding = headers.get("content-encoding", "").strip().lower()
        chunks = _gunzip(self._chunks()) if encoding in {"gzip", "x-gzip"} else self._chunks()
        if head.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            self._limit = _MAX_ERROR_BODY_BYTES + _MAX_HEAD_BYTES
            return RawResponse(head.status_code, headers, _read_error_body(chunks))
        if encoding not in {"", "identity", "gzip", "x-gzip"}:
            raise DecodeError("body", f"the response to {operation} has an encoding that was not asked for")
        return RawResponse(head.status_code, headers, _read_body(chunks, operation))

    def _next_event(self) -> object:
        is_ended = False
        try:
            while (event := self._connection.next_event()) is h11.NEED_DATA:
                data = self._stream.receive()
                is_ended = not data
                self._received += len(data)
                if self._received > self._limit:
                    raise DecodeError("body", f"the response is larger than {self._limit} bytes on the wire")
                self._connection.receive_data(data)
        except h11.RemoteProtocolError as error:
            error.__traceback__ = None  # a frame of h11's there holds the error, and would hold itself
            if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
                raise DecodeError("body", f"a line is larger than {_MAX_HEAD_BYTES} bytes on the wire") from None
            if is_ended:
                where = "the response ended too early" if self._received else "the connection ended before the response"
                raise ConnectionEndedError(where) from None
            raise
        return event

    def _chunks(self) -> Iterator[bytes]:
        while isinstance(event := self._next_event(), h11.Data):
            yield event.data


def _read_error_body(chunks: Iterator[bytes]) -> bytes:
    body = bytearray()
    # The status is what counts, and it is known.
    with suppress(OSError, EOFError, zlib.error, h11.RemoteProtocolError, DecodeError):
        for part in chunks:
            body += part
            if len(body) >= _MAX_ERROR_BODY_BYTES:
                break
    return bytes(body[:_MAX_ERROR_BODY_BYTES])


def _read_body(chunks: Iterator[bytes], operation: str) -> bytes:
    """Read the body of a success; a compressed one up to its checksum."""
    body = bytearray()
    try:
        for part in chunks:
            body += part
            if len(body) > MAX_BODY_BYTES:
                raise DecodeError("body", f"the response to {operation} is larger than {MAX_BODY_BYTES} bytes")
    except (EOFError, zlib.error):
        raise DecodeError("body", f"the response to {operation} is no valid gzip") from None
    return bytes(body)


def _gunzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Return what is in the members.

    Unlike :mod:`gzip`, with blanks behind one, which some servers add.

    Raises:
        EOFError: The last member has no end.
        zlib.error: It is not valid, or another checksum was meant.
    """
    member, rest = zlib.decompressobj(_GZIP_WBITS), b""
    while data := rest or next(chunks, b""):
        if member.eof:
            rest = data.lstrip(_PADDING)
            if not rest:
                continue
            member, data = zlib.decompressobj(_GZIP_WBITS), rest
        yield member.decompress(data, _CHUNK_BYTES)
        rest = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise EOFError
