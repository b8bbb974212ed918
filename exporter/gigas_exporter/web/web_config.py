"""The web config file, in exporter-toolkit's format.

A file is valid here if it is valid there, with two exceptions: settings that protect less than they seem to, and those
that Python's TLS cannot apply, are errors. ``http_server_config.http2`` is accepted and has no effect.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, ValidationError

from gigas_exporter.errors import ConfigError
from gigas_exporter.files import read_text
from gigas_exporter.secret import Secret
from gigas_exporter.validation_errors import ConfigProblem, CrossKeyError, Section, problems_of
from gigas_exporter.web.tls import TlsConfig, build_context, if_empty, text_of
from gigas_exporter.yaml_loader import load_yaml

# Salt and hash have 128 and 184 bits. Unless the unused bits in the last character of each are 0, no password matches.
_BCRYPT: Final = re.compile(
    r"\$2[aby]\$(0[4-9]|1[0-9]|2[0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]"
)
_MAX_COST: Final = 18  # a check takes some 15 s; one more and it would outlast the request
_HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_UNIT_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")


def _headers(given: object) -> object:
    if not isinstance(given, dict):
        return given
    headers = {}
    for name, value in given.items():
        if name not in _HEADERS:
            raise ValueError(f"an unknown header, not shown here; the known ones are {', '.join(_HEADERS)}")
        text, allowed = text_of(value), _HEADERS[name]
        if text is not None:
            if allowed and text not in allowed:
                raise CrossKeyError([ConfigProblem((name,), f"must be {' or '.join(allowed)}")])
            if not re.fullmatch(r"[ -~]+", text):
                raise CrossKeyError([ConfigProblem((name,), "must be one line of ASCII")])
            headers[name] = text
    return headers


def _user(name: str) -> str:
    if ":" in name:
        raise ValueError("a user name cannot contain a colon")
    return name


def _hash(value: object) -> Secret:
    match = _BCRYPT.fullmatch(text_of(value) or "")
    if match is None:
        raise ValueError("not a bcrypt hash; make one with: htpasswd -nBC 10 ''")
    if int(match[1]) > _MAX_COST:
        raise ValueError(f"the bcrypt cost is above {_MAX_COST}, so that a check outlasts the request; use 10 or 12")
    return Secret(match[0])


def _duration(value: object) -> float:
    """Return the seconds of a Go duration, such as ``1m30s``."""
    if value in (None, 0, "0", ""):
        return 0.0
    parts = _DURATION_PART.findall(value) if isinstance(value, str) else []
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise ValueError("must be a duration such as 1s, 500ms or 1m30s")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


def _filled_in(without: str) -> BeforeValidator:
    def check(value: object) -> object:
        if value is None:
            raise ValueError(f"is empty; fill it in, or leave it out {without}")
        return value

    return BeforeValidator(check)


class RateLimit(Section):
    """A token bucket.

    Attributes:
        interval: Seconds per request; 0 is no limit.
        burst: Maximum number of requests at once; 0 allows none.
    """

    interval: Annotated[float, BeforeValidator(_duration)] = 0.0
    burst: Annotated[Annotated[int, Field(ge=0)], if_empty(0)] = 0


class _Http(Section):
    http2: Annotated[bool, if_empty(True)] = True
    headers: Annotated[dict[str, str], BeforeValidator(_headers), if_empty({})] = Field(default={})


class _File(Section):
    tls_server_config: Annotated[TlsConfig | None, _filled_in("for plain HTTP")] = None
    http_server_config: Annotated[_Http, if_empty({})] = _Http()
    basic_auth_users: Annotated[
        dict[Annotated[str, AfterValidator(_user)], Annotated[InstanceOf[Secret], BeforeValidator(_hash)]],
        _filled_in("to let everybody in"),
    ] = Field(default={})
    rate_limit: Annotated[RateLimit, if_empty({})] = RateLimit()


@dataclass(frozen=True, slots=True)
class WebConfig:
    """A web config file and its certificates.

    Attributes:
        path: The file.
        tls: Its TLS settings; None is plain HTTP.
        context: Made from ``tls``.
        headers: Added to every response.
        users: bcrypt hashes by name; empty lets everybody in.
    """

    path: Path
    tls: TlsConfig | None
    context: ssl.SSLContext | None
    headers: Mapping[str, str]
    users: Mapping[str, Secret]
    rate_limit: RateLimit


def load_web_config(path: Path) -> WebConfig:
    """Read a web config file and its certificates.

    Raises:
        ConfigError: The message is one line: the file, the key, the problem and the remedy, never a value.
    """
    document = load_yaml(read_text(path, f"web config file {path}"), str(path))
    try:
        file = _File.model_validate({} if document is None else document, context=path.parent)
    except ValidationError as error:
        problems = [_without_key(problem, document) for problem in problems_of(error, _File)]
        raise ConfigError(f"{path}: {'; '.join(map(str, problems))}") from None
    tls = file.tls_server_config
    try:
        context = build_context(tls, path.parent) if tls is not None else None
    except ConfigError as error:
        raise ConfigError(f"{path}: tls_server_config.{error}") from None
    return WebConfig(path, tls, context, file.http_server_config.headers, file.basic_auth_users, file.rate_limit)


def _without_key(problem: ConfigProblem, document: Any) -> ConfigProblem:
    """Return the problem with an index in place of a user's name."""
    section, *rest = problem.location or ("",)
    if section != "basic_auth_users" or not rest:
        return problem
    return problem._replace(location=(section, list(document[section]).index(rest[0])))
