"""One gzip member made of compressed segments.

A segment ends on a byte boundary and refers to nothing before it, so segments can be joined in any order: text that
seldom changes is compressed once, and only the rest at each scrape. There is one member and not several, because curl
and others stop after the first.
"""

from __future__ import annotations

import struct
import zlib

GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Deflate, no name, no time, unknown system (RFC 1952)."""

_LEVEL = 1
"""A higher level takes three times as long and saves only a tenth."""


def deflate_segment(text: bytes, *, last: bool = False) -> bytes:
    """Return a segment of a raw deflate stream; the ``last`` one also ends the stream."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(text) + compressor.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)


def gzip_trailer(crc: int, size: int) -> bytes:
    """Return the gzip trailer: checksum and length of the text."""
    return struct.pack("<II", crc, size & 0xFFFFFFFF)
