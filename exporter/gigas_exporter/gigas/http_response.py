"""An HTTP response: strict framing, counted bytes, a bounded body.

``http.client`` takes an interim response for the final one, accepts status lines, headers and lengths that RFC 9112
forbids, and takes the end of the connection for the end of the headers. Errors of the HTTP library are not converted.
"""

from __future__ import annotations

import http.client
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import urllib3

from gigas_exporter.errors import DecodeError
from gigas_exporter.gigas.error_messages import clear_tracebacks

MAX_BODY_BYTES = 16 * 2**20
_MAX_ERROR_BODY_BYTES = 16 * 2**10
FIRST_ERROR_STATUS = 300

_MAX_HEAD_BYTES = 128 * 2**10
_BUFFER_BYTES = 8 * 2**10
_MAX_LINE_BYTES = 8 * 2**10
_MAX_INTERIM_RESPONSES = 16

_STATUS_LINE = re.compile(rb"(HTTP/1\.[0-9]) ([1-9][0-9]{2})(?: ([^\r\n]*))?\r?\n")
_LENGTH = re.compile(r"[0-9]{1,15}", re.ASCII)
_CHUNK_END = b"\r\n"
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(;[^\n]*)?\r?\n")

_OK = 200
_SWITCHING_PROTOCOLS = 101

_CHUNK_BYTES = 64 * 2**10
_GZIP_WBITS = 31
_PADDING = b"\0 \t\r\n"

# What an exchange may raise: errors of requests (all OSError), urllib3 and http.client, and a few others.
EXCHANGE_ERRORS = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)


class _Stream(io.RawIOBase):
    """The connection's bytes, up to a limit."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.received = 0
        self.limit = _MAX_HEAD_BYTES
        self.must_not_end = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self._raw.readinto(buffer)
        if not count and self.must_not_end and self.received:
            raise http.client.IncompleteRead(b"")
        self.received += count or 0
        if self.received > self.limit:
            raise DecodeError("body", f"the response is larger than {self.limit} bytes on the wire")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Reader(io.BufferedReader):
    """A connection's bytes; rejects lines that HTTP parsers split differently."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if b"\0" in line or b"\r" in line.removesuffix(b"\r\n"):
            raise http.client.HTTPException("control character in a line")
        return line


class HTTPResponse(http.client.HTTPResponse):
    """A response; rejects what HTTP parsers understand differently."""

    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self._stream = _Stream(self.fp.detach())
        self.fp = _Reader(self._stream, _BUFFER_BYTES)

    def begin(self) -> None:
        """Read the headers, skipping interim responses (RFC 9110)."""
        state: Any = self
        if state.headers is not None:  # as in the superclass
            return
        for _ in range(_MAX_INTERIM_RESPONSES):
            super().begin()
            if self.headers.defects:  # the lines after the first defect were not parsed as headers
                raise http.client.HTTPException("malformed headers")
            if self.status >= _OK:
                break
            if self.status == _SWITCHING_PROTOCOLS:
                raise http.client.HTTPException("the protocol was switched")
            state.headers = state.msg = None
        else:
            raise http.client.HTTPException("too many interim responses")
        self._stream.must_not_end = False
        body_bytes = MAX_BODY_BYTES if self.status < FIRST_ERROR_STATUS else _MAX_ERROR_BODY_BYTES
        self._stream.limit = body_bytes + _MAX_HEAD_BYTES
        self._check_framing()

    def _read_status(self) -> tuple[str, int, str]:
        line = self.fp.readline(_MAX_LINE_BYTES)
        if not line:
            raise http.client.RemoteDisconnected("")
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise http.client.HTTPException("malformed status line")
        return match[1].decode(), int(match[2]), (match[3] or b"").decode("latin-1")

    def _check_framing(self) -> None:
        """Reject lengths and encodings that HTTP parsers understand differently."""
        lengths = [each.strip(" \t") for each in self.headers.get_all("Content-Length", [])]
        encodings = self.headers.get_all("Transfer-Encoding", [])
        if encodings and ([each.lower() for each in encodings] != ["chunked"] or lengths):
            raise http.client.HTTPException("ambiguous framing")
        if len(set(lengths)) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
            raise http.client.HTTPException("bad Content-Length")

    def _get_chunk_left(self) -> int | None:
        if self.chunk_left == 0:
            end = self.fp.read(2)
            if len(end) < len(_CHUNK_END):
                raise http.client.IncompleteRead(b"")
            if end != _CHUNK_END:
                raise http.client.HTTPException("a chunk is longer than its size")
            self.chunk_left = None
        left: int | None = super()._get_chunk_left()  # type: ignore[misc]  # left out of the annotations
        return left

    def _read_next_chunk_size(self) -> int:
        line = self.fp.readline(_MAX_LINE_BYTES)
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise ValueError("bad chunk size")
        return int(match[1], 16)

    def _read_and_discard_trailer(self) -> None:
        """Limit the trailers like headers: endless ones would occupy a core."""
        self._stream.limit = min(self._stream.limit, self._stream.received + _MAX_HEAD_BYTES)
        super()._read_and_discard_trailer()  # type: ignore[misc]  # left out of the annotations


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A complete response.

    Attributes:
        headers: By lower-case name; different values of a repeated header are joined by commas.
        body: Decompressed. For an error status, what arrived of the first 16 KiB.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


def read_response(response: urllib3.BaseHTTPResponse, operation: str) -> RawResponse:
    """Read a response, and close its connection."""
    headers = {name.lower(): ", ".join(dict.fromkeys(response.headers.getlist(name))) for name in response.headers}
    try:
        if response.status < FIRST_ERROR_STATUS:
            body = _read_body(response, headers.get("content-encoding", ""), operation)
        else:
            body = _read_error_body(response)
    finally:
        response.close()
    return RawResponse(response.status, headers, body)


def _read_error_body(response: urllib3.BaseHTTPResponse) -> bytes:
    body = b""
    try:
        while len(body) < _MAX_ERROR_BODY_BYTES:
            part = response.read(_MAX_ERROR_BODY_BYTES - len(body), decode_content=True)
            if not part:
                return body
            body += part
    except (*EXCHANGE_ERRORS, DecodeError) as error:  # the status, which is known, is enough
        clear_tracebacks(error)
    return body


def _read_body(response: urllib3.BaseHTTPResponse, encoding: str, operation: str) -> bytes:
    """Read the body of a success; check that a compressed one is complete."""
    match encoding.strip().lower():
        case "" | "identity":
            chunks: Iterator[bytes] = iter(lambda: response.read(_CHUNK_BYTES), b"")
        case "gzip" | "x-gzip":
            chunks = _gunzip(response)
        case _:
            raise DecodeError("body", f"the response to {operation} has an encoding that was not requested")
    parts: list[bytes] = []
    size = 0
    try:
        for part in chunks:
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise DecodeError("body", f"the response to {operation} is larger than {MAX_BODY_BYTES} bytes")
            parts.append(part)
    except (EOFError, zlib.error):
        raise DecodeError("body", f"the response to {operation} is not valid gzip") from None
    return b"".join(parts)


def _gunzip(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield the decompressed members.

    Unlike :mod:`gzip`, this skips white space after a member, which some servers add.

    Raises:
        EOFError: The last member is cut off.
        zlib.error: A member is invalid, or its checksum is wrong.
    """
    member, rest = zlib.decompressobj(_GZIP_WBITS), b""
    while data := rest or response.read(_CHUNK_BYTES):
        if member.eof:
            rest = data.lstrip(_PADDING)
            if not rest:
                continue
            member, data = zlib.decompressobj(_GZIP_WBITS), rest
        yield member.decompress(data, _CHUNK_BYTES)
        rest = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise EOFError
