"""Owns what a well-formed request head is: a pure function of bytes, strict where leniency lets requests be smuggled.

It knows nothing of sockets. Sources: RFC 9110 and RFC 9112.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote

from gigas_exporter.web.message import Request

__all__ = [
    "MAXIMUM_BODY_BYTES",
    "MAXIMUM_HEADERS",
    "MAXIMUM_HEAD_BYTES",
    "MAXIMUM_TARGET_BYTES",
    "Head",
    "Refusal",
    "parse_head",
]

MAXIMUM_HEAD_BYTES: Final = 16 * 1024
MAXIMUM_TARGET_BYTES: Final = 8 * 1024
MAXIMUM_HEADERS: Final = 100
MAXIMUM_BODY_BYTES: Final = 64 * 1024
_MAXIMUM_QUERY_FIELDS: Final = 64

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET: Final = re.compile(r"[!-\"$-~]+")  # visible ASCII; a fragment is never sent
_VALUE: Final = re.compile(r"[\t -~\x80-\xff]*")
_VERSION: Final = re.compile(r"HTTP/([0-9])\.([0-9])")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._~-]*)(?::[0-9]{0,5})?")
_ONLY_ONCE: Final = frozenset({"host", "content-length", "authorization", "expect"})


@dataclass(frozen=True, slots=True)
class Head:
    """A request head that was understood.

    Attributes:
        request: What is asked.
        keep_alive: Whether the client allows another request on the connection.
        body_bytes: The length of the body that follows.
        expects_continue: Whether the client waits for ``100 Continue`` before it sends the body.
    """

    request: Request
    keep_alive: bool
    body_bytes: int
    expects_continue: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """A head that is answered with an error, after which the connection is closed."""

    status: int
    why: str


class _RefusedError(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.refusal = Refusal(status, why)


def parse_head(data: bytes) -> Head | Refusal:
    """Understand a head, which ends with its empty line, or say with which status it is refused."""
    try:
        return _parse(data)
    except _RefusedError as error:
        return error.refusal


def _parse(data: bytes) -> Head:
    if len(data) > MAXIMUM_HEAD_BYTES:
        raise _RefusedError(431, "the request head is too large")
    if not data.endswith(b"\r\n\r\n"):
        raise _RefusedError(400, "the request head ends too early")
    lines = data[:-4].decode("latin-1").split("\r\n")
    if any(character in line for line in lines for character in "\r\n\0"):
        raise _RefusedError(400, "a line does not end with CR LF")
    method, target, version = _request_line(lines[0])
    headers = _headers(lines[1:])
    path, query = _split_target(target)
    if version == (1, 1) and "host" not in headers:
        raise _RefusedError(400, "the Host header is missing")
    if not _HOST.fullmatch(headers.get("host", "")):
        raise _RefusedError(400, "the Host header is malformed")
    expectation = headers.get("expect", "").lower()
    if expectation not in {"", "100-continue"}:
        raise _RefusedError(417, "the only expectation that can be met is 100-continue")
    return Head(
        request=Request(method, path, query, headers),
        keep_alive=_keep_alive(version, headers.get("connection", "")),
        body_bytes=_body_bytes(headers),
        expects_continue=expectation != "" and version == (1, 1),
    )


def _request_line(line: str) -> tuple[str, str, tuple[int, int]]:
    parts = line.split(" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]):  # noqa: PLR2004  (method, target, version)
        raise _RefusedError(400, "the request line is malformed")
    method, target, protocol = parts
    version = _VERSION.fullmatch(protocol)
    if version is None:
        raise _RefusedError(400, "the request line is malformed")
    if version[1] != "1":
        raise _RefusedError(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    if len(target) > MAXIMUM_TARGET_BYTES:
        raise _RefusedError(414, "the request target is too long")
    if not _TARGET.fullmatch(target):
        raise _RefusedError(400, "the request target is malformed")
    return method, target, (1, min(1, int(version[2])))


def _headers(lines: list[str]) -> dict[str, str]:
    if len(lines) > MAXIMUM_HEADERS:
        raise _RefusedError(431, "there are too many headers")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise _RefusedError(400, "a header is malformed")  # also a folded line and a space before the colon
        key, value = name.lower(), value.strip(" \t")
        if key in headers and key in _ONLY_ONCE:
            raise _RefusedError(400, "a header that may stand once is repeated")
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def _split_target(target: str) -> tuple[str, Mapping[str, str]]:
    if not target.startswith("/"):
        # The absolute form must be understood (RFC 9112, 3.2.2); `*` and an authority name nothing that is served.
        scheme, separator, rest = target.partition("://")
        if separator and scheme.lower() not in {"http", "https"}:
            raise _RefusedError(400, "the request target is malformed")
        target = "/" + rest.partition("/")[2] if separator else target
    path, _, query = target.partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MAXIMUM_QUERY_FIELDS)
        return unquote(path, errors="strict"), dict(pairs)
    except ValueError:
        raise _RefusedError(400, "the request target is malformed") from None


def _body_bytes(headers: Mapping[str, str]) -> int:
    length = headers.get("content-length")
    if "transfer-encoding" in headers:
        if length is not None:
            raise _RefusedError(400, "Transfer-Encoding and Content-Length contradict each other")
        raise _RefusedError(501, "Transfer-Encoding is not spoken here")
    if length is None:
        return 0
    if not re.fullmatch(r"[0-9]+", length):
        raise _RefusedError(400, "Content-Length is malformed")
    digits = length.lstrip("0")
    if len(digits) > len(str(MAXIMUM_BODY_BYTES)) or int(digits or "0") > MAXIMUM_BODY_BYTES:
        raise _RefusedError(413, "the body is too large")
    return int(digits or "0")


def _keep_alive(version: tuple[int, int], connection: str) -> bool:
    options = {option.strip().lower() for option in connection.split(",")}
    return "close" not in options and (version == (1, 1) or "keep-alive" in options)
