"""Parsers of single values: durations, addresses, URLs, ids, time zones.

Each function returns the value, or raises ``ValueError`` with a message that continues a sentence that begins with the
setting's name. A rejected value is never quoted: it may be a misplaced secret.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, tzinfo
from typing import Final
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from gigas_exporter.decode import FIELDS
from gigas_exporter.formatting import DURATION_MILLISECONDS, did_you_mean, format_duration

_MAX_PORT: Final = 65535
_HOST_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_ID: Final = re.compile(r"[A-Za-z0-9_~.-]{1,128}")
_FIELD: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_DURATION: Final = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in DURATION_MILLISECONDS))
_LOOSE_DURATION: Final = re.compile(
    r"([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|y|years?)"
)
_MAX_MILLISECONDS: Final = (2**63 - 1) // 1_000_000  # Prometheus counts nanoseconds in 64 bits: 292 years
_MAX_DURATION_LENGTH: Final = 64


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as ``1h30m``; only ``0`` needs no unit.

    Raises:
        ValueError: The text is no duration; the message has an example of one.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text) if 0 < len(text) <= _MAX_DURATION_LENGTH else None
    if match is None:
        raise ValueError(
            f"must be a duration such as 90s, 5m or 1h30m, its units from large to small{_suggested_duration(text)}"
        )
    total = sum(
        int(number) * size
        for number, size in zip(match.groups(), DURATION_MILLISECONDS.values(), strict=True)
        if number
    )
    if total > _MAX_MILLISECONDS:
        raise ValueError("must be a duration of less than 292 years")
    return total / 1000


def _suggested_duration(text: str) -> str:
    """Return what was probably meant by a text such as ``6 hours`` or ``1.5d``."""
    match = _LOOSE_DURATION.fullmatch(text.strip().lower())
    if match is None:
        return ""
    unit = "ms" if match[2].startswith(("ms", "milli")) else match[2][0]
    if "." in match[1]:
        return f"; did you mean {format_duration(float(match[1]) * DURATION_MILLISECONDS[unit] / 1000)}?"
    return f"; did you mean {int(match[1])}{unit}?"


def parse_base_url(text: str, example: str) -> str:
    """Return a base URL without trailing slash; errors show the example."""
    parts = _url(text, example)
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError("must end with the host or a path, without ? or #")
    return text.rstrip("/")


def parse_proxy_url(text: str) -> str:
    """Return the URL of an HTTP proxy."""
    parts = _url(text, "http://proxy.example:3128")
    if parts.path not in {"", "/"} or "?" in text or "#" in text:
        raise ValueError("must end with the proxy's host and port")
    return text.rstrip("/")


def is_loopback(url: str) -> bool:
    """Return whether the URL's host is this machine."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_id(text: str) -> str:
    """Return an id that needs no escaping in a URL."""
    if not text:
        raise ValueError("is empty")
    if not _ID.fullmatch(text) or set(text) == {"."}:
        raise ValueError("must be an id of letters, digits and . _ ~ -")
    return text


def parse_listen_address(text: str) -> tuple[str, int]:
    """Return host and port, as in ``:10063`` or ``[::1]:10063``."""
    host, colon, port_text = text.rpartition(":")
    if not colon:
        raise ValueError("must be an address with its port, such as :10063, 127.0.0.1:10063 or [::1]:10063")
    if not re.fullmatch(r"[0-9]{1,5}", port_text) or int(port_text) > _MAX_PORT:
        raise ValueError("must end with a port from 0 to 65535, such as :10063")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not _is_address(host, 6):
            raise ValueError("must have an IPv6 address between the brackets, such as [::1]:10063")
    elif ":" in host:
        raise ValueError("must have an IPv6 address in brackets, such as [::1]:10063")
    elif host and not _is_host(host):
        raise ValueError("must begin with an IP address or a host name, or with the colon to mean all addresses")
    return host, int(port_text)


def parse_telemetry_path(text: str) -> str:
    """Return the path under which the metrics are served."""
    if not text.startswith("/"):
        raise ValueError("must start with /")
    if text == "/":
        raise ValueError("must not be /, where the status page is")
    if text == "/-" or text.startswith("/-/"):
        raise ValueError("must not start with /-/, where health, readiness and reload are")
    if not _PATH.fullmatch(text) or {".", ".."} & set(text.split("/")):
        raise ValueError("must be a plain path of letters, digits and . _ ~ -, such as /metrics")
    return text


def parse_time_zone(text: str) -> tzinfo:
    """Return the time zone of a name."""
    try:
        return UTC if text == "UTC" else ZoneInfo(text)
    except (ValueError, LookupError, OSError):
        raise ValueError(
            "must be a time zone such as Europe/Madrid" + did_you_mean(text, sorted(available_timezones()), 0.75)
        ) from None


def parse_field_names(value: object) -> dict[str, str | None]:
    """Return the API's names by ours, ``None`` for a field that it lacks."""
    if not isinstance(value, dict):
        raise ValueError("must be a mapping of our fields to the API's names, such as autobackup: has_autobackups")  # noqa: TRY004  # a wrong value of a file
    for ours, theirs in value.items():
        if ours not in FIELDS:
            raise ValueError(
                "has a key that is not a documented field of the API" + did_you_mean(str(ours), FIELDS, 0.75)
            )
        if theirs is not None and not (isinstance(theirs, str) and _FIELD.fullmatch(theirs)):
            raise ValueError(f"must give for {ours} the API's name of the field, or null if it has none")
    return value


def _url(text: str, example: str) -> SplitResult:
    if not text.isprintable() or " " in text:
        raise ValueError("must be a URL without spaces and control characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"must be a URL such as {example}") from None
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"must start with https:// or http://, such as {example}")
    if "@" in text:
        raise ValueError("must not contain a user name or password, since URLs end up in logs")
    host = parts.hostname or ""
    if port == 0 or not (_is_address(host, 6) if "[" in parts.netloc else _is_host(host)):
        raise ValueError(f"must name a host, such as {example}")
    return parts


def _is_host(text: str) -> bool:
    if re.fullmatch(r"[0-9.]+", text):
        return _is_address(text, 4)
    return _HOST_NAME.fullmatch(text) is not None


def _is_address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False
