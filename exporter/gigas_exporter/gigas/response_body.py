"""The body of a response: bounded in size, and decompressed whole.

It knows neither time nor connections; the HTTP library's errors leave it as they are.
"""

from __future__ import annotations

import http.client
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import urllib3

from gigas_exporter.errors import DecodeError
from gigas_exporter.gigas.error_messages import clear_tracebacks
from gigas_exporter.gigas.http_response import MAX_BODY_BYTES

FIRST_ERROR_STATUS = 300

_CHUNK_BYTES = 64 * 2**10
_GZIP_WBITS = 31
_PADDING = b"\0 \t\r\n"
_MAX_ERROR_BODY_BYTES = 16 * 2**10

# What may be raised: requests' errors (each an OSError), urllib3's, http.client's, and in a few places bare ones.
EXCHANGE_ERRORS = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)


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
    except (*EXCHANGE_ERRORS, DecodeError) as error:  # the status is what counts, and it is known
        clear_tracebacks(error)
    return body


def _read_body(response: urllib3.BaseHTTPResponse, encoding: str, operation: str) -> bytes:
    """Read the body of a success; a compressed one must be whole, up to the checksum at its end."""
    match encoding.strip().lower():
        case "" | "identity":
            chunks: Iterator[bytes] = iter(lambda: response.read(_CHUNK_BYTES), b"")
        case "gzip" | "x-gzip":
            chunks = _gunzip(response)
        case _:
            raise DecodeError("body", f"the response to {operation} has an encoding that was not asked for")
    parts: list[bytes] = []
    size = 0
    try:
        for part in chunks:
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise DecodeError("body", f"the response to {operation} is larger than {MAX_BODY_BYTES} bytes")
            parts.append(part)
    except (EOFError, zlib.error):
        raise DecodeError("body", f"the response to {operation} is no valid gzip") from None
    return b"".join(parts)


def _gunzip(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Return what is in the members; unlike :mod:`gzip`, with blanks behind one, which some servers add.

    Raises:
        EOFError: The last member has no end.
        zlib.error: It is not valid, or another checksum was meant.
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
