"""The format of ``--web.config.file``, exporter-toolkit's.

Source: prometheus/exporter-toolkit, docs/web-configuration.md. The same file gets the same verdict, but for what would
leave the server less protected than the file seems to say, and for what Python's TLS cannot do: both are errors.
``http_server_config.http2`` is accepted and has no effect.
"""

from __future__ import annotations

import difflib
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from gigas_exporter.errors import ConfigError
from gigas_exporter.files import read_text
from gigas_exporter.secret import Secret
from gigas_exporter.web.tls import CIPHER_SUITES, CURVES, Pem, TlsSettings, build_context
from gigas_exporter.yaml_loader import load_yaml

__all__ = ["RateLimit", "WebConfig", "load_web_config"]

# Salt and hash are 128 and 184 bits: the last character of each has some that must be 0, or no password ever matches.
_BCRYPT: Final = re.compile(
    r"\$2[aby]\$(0[4-9]|1[0-9]|2[0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]"
)
_MAX_COST: Final = 18  # a check takes some 15 s; one more and it would outlast the request
_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "RequestClientCert": ssl.CERT_NONE,  # Go asks for a certificate and lets everybody in
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_UNIT_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")  # what is none may be a secret in the wrong place
_MAX_SLIP: Final = 3  # characters by which a mistyped key may be longer or shorter than the one that was meant
_MESSAGES: Final = {
    "missing": "missing",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number of 0 or more",
    "greater_than_equal": "must be a whole number of 0 or more",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "list_type": "must be a list of texts",
    "string_type": "must be a list of texts",
    "string_too_short": "must be a list of texts",
}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket: one request every ``interval_seconds``, and up to ``burst`` at once; a burst of 0 allows none."""

    interval_seconds: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What a web config file says.

    Attributes:
        path: The file.
        tls: None is plain HTTP.
        headers: Added to every response.
        users: bcrypt hashes by name; empty lets everybody in.
        rate_limit: None is no limit.
    """

    path: Path
    tls: TlsSettings | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, Secret] = field(default_factory=dict)
    rate_limit: RateLimit | None = None


def load_web_config(path: Path) -> WebConfig:
    """Read a web config file and its certificates.

    Raises:
        ConfigError: In one line: the file, the path in it, the problem and what to do, never a value.
    """
    document = load_yaml(read_text(path, f"web config file {path}"), str(path))
    try:
        file = _File.model_validate({} if document is None else document)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_describe(error.errors(include_url=False)[0], document)}") from None
    limit, tls = file.rate_limit, file.tls_server_config
    config = WebConfig(
        path,
        tls.settings(path) if tls is not None else None,
        file.http_server_config.headers.model_dump(by_alias=True, exclude_none=True),
        {name: Secret(stored) for name, stored in file.basic_auth_users.items()},
        RateLimit(limit.interval, limit.burst) if limit.interval else None,
    )
    if config.tls is not None:
        build_context(config.tls)
    return config


class _ProblemError(ValueError):
    """A problem of a key that another key decides."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key


def _text(value: object) -> object:
    """Convert a number to text, empty to absent."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be a text")  # noqa: TRY004  (pydantic takes only this one)
    return str(value)


def _path(value: str | None) -> str | None:
    if value is not None and not value.isprintable():
        raise ValueError("must be a path on one line; the text itself goes under the key without _file")
    return value


def _header(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[ -~]+", value):
        raise ValueError("must be one line of ASCII")
    return value


def _user(name: str) -> str:
    if ":" in name:
        raise ValueError("a user name cannot hold a colon")
    return name


def _hash(value: object) -> object:
    return _text(value) or ""


def _bcrypt(value: str) -> str:
    match = _BCRYPT.fullmatch(value)
    if match is None:
        raise ValueError("not a bcrypt hash; make one with: htpasswd -nBC 10 ''")
    if int(match[1]) > _MAX_COST:
        raise ValueError(f"the bcrypt cost is above {_MAX_COST}, so that a check outlasts the request; use 10 or 12")
    return match[0]


def _duration(value: object) -> float:
    """Return a duration as Go writes it, such as ``1s`` or ``1m30s``, in seconds."""
    if value in (None, 0, "0", ""):
        return 0.0
    parts = _DURATION_PART.findall(value) if isinstance(value, str) else []
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise ValueError("must be a duration such as 1s, 500ms or 1m30s")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


def _one_of(value: str | None, known: Mapping[str, _T]) -> _T | None:
    if value is not None and value not in known:
        raise ValueError(f"unknown name; known: {', '.join(known)}")
    return None if value is None else known[value]


def _version(value: str | None) -> ssl.TLSVersion | None:
    if value in {"TLS10", "TLS11"}:
        raise ValueError(f"{value} is not spoken any more (RFC 8996); use TLS12 or TLS13")
    return _one_of(value, _VERSIONS)


def _client_auth(value: str | None) -> ssl.VerifyMode | None:
    if value in {"RequireAnyClientCert", "RequireClientCert"}:
        raise ValueError(f"{value} takes any certificate, which Python's TLS cannot; use RequireAndVerifyClientCert")
    return _one_of(value, _CLIENT_AUTH)


def _suites(names: list[str]) -> list[str]:
    for name in names:
        _one_of(name, CIPHER_SUITES)
    return names


def _curves(names: list[str]) -> list[str]:
    for name in names:
        _one_of(name, CURVES)
    if len(names) > 1:
        raise ValueError("more than one curve is not supported; name one, or leave it out for the usual ones")
    return names


def _if_given(default: object) -> BeforeValidator:
    return BeforeValidator(lambda value: default if value is None else value)


_Text = Annotated[str | None, BeforeValidator(_text)]
_TextPath = Annotated[str | None, AfterValidator(_path), BeforeValidator(_text)]
_Texts = Annotated[list[Annotated[str, Field(min_length=1)]], _if_given([])]
_Version = Annotated[Any, AfterValidator(_version), BeforeValidator(_text)]
_Header = Annotated[str | None, AfterValidator(_header), BeforeValidator(_text)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Tls(_Section):
    cert: _Text = None
    cert_file: _TextPath = None
    key: _Text = None
    key_file: _TextPath = None
    client_auth_type: Annotated[Any, AfterValidator(_client_auth), BeforeValidator(_text)] = None
    client_ca: _Text = None
    client_ca_file: _TextPath = None
    client_allowed_sans: _Texts = []
    min_version: _Version = None
    max_version: _Version = None
    cipher_suites: Annotated[_Texts, AfterValidator(_suites)] = []
    curve_preferences: Annotated[_Texts, AfterValidator(_curves)] = []
    prefer_server_cipher_suites: Annotated[bool, _if_given(True)] = True

    @model_validator(mode="after")
    def _check_certificates(self) -> _Tls:
        for inline in ("cert", "key", "client_ca"):
            if getattr(self, inline) is not None and getattr(self, f"{inline}_file") is not None:
                raise _ProblemError(inline, f"given together with {inline}_file; leave one of them out")
        if self.cert is None and self.cert_file is None:
            what = "missing; name the certificate's file, or leave tls_server_config out for plain HTTP"
            raise _ProblemError("cert_file", what)
        if self.key is None and self.key_file is None:
            raise _ProblemError("key_file", "missing; name the file of the certificate's key")
        return self

    @model_validator(mode="after")
    def _check_protection(self) -> _Tls:
        """Reject contradictions and weak protection."""
        client_ca = [key for key in ("client_ca", "client_ca_file") if getattr(self, key) is not None]
        if client_ca and not self.client_auth_type:
            what = "needs client_auth_type: RequireAndVerifyClientCert or VerifyClientCertIfGiven"
            raise _ProblemError(client_ca[0], what)
        if self.client_allowed_sans and self.client_auth_type != ssl.CERT_REQUIRED:
            what = "needs client_auth_type: RequireAndVerifyClientCert, or it protects nothing"
            raise _ProblemError("client_allowed_sans", what)
        if (self.min_version or ssl.TLSVersion.TLSv1_2) > (self.max_version or ssl.TLSVersion.TLSv1_3):
            raise _ProblemError("min_version", "newer than max_version; no version is left")
        is_tls13_only = bool(self.cipher_suites) and not any(map(CIPHER_SUITES.get, self.cipher_suites))
        if is_tls13_only and self.min_version != ssl.TLSVersion.TLSv1_3:
            what = "names only suites of TLS 1.3, which are always on; set min_version: TLS13 instead"
            raise _ProblemError("cipher_suites", what)
        return self

    def settings(self, path: Path) -> TlsSettings:
        """Return the settings, with absolute paths."""

        def pem(inline: str) -> Pem | None:
            text, name = getattr(self, inline), getattr(self, f"{inline}_file")
            if text is not None:
                return Pem(inline, text=Secret(text))
            return Pem(f"{inline}_file", file=path.parent / name) if name is not None else None

        certificate, key = pem("cert"), pem("key")
        assert certificate is not None  # noqa: S101  (the validator saw to it)
        assert key is not None  # noqa: S101
        return TlsSettings(
            origin=str(path),
            certificate=certificate,
            key=key,
            verify=self.client_auth_type or ssl.CERT_NONE,
            client_ca=pem("client_ca"),
            minimum=self.min_version or ssl.TLSVersion.TLSv1_2,
            maximum=self.max_version or ssl.TLSVersion.TLSv1_3,
            cipher_suites=tuple(suite for name in self.cipher_suites if (suite := CIPHER_SUITES[name]) is not None),
            server_chooses=self.prefer_server_cipher_suites,
            curve=CURVES[self.curve_preferences[0]] if self.curve_preferences else None,
            allowed_names=frozenset(self.client_allowed_sans),
        )


class _Headers(_Section):
    csp: _Header = Field(None, alias="Content-Security-Policy")
    hsts: _Header = Field(None, alias="Strict-Transport-Security")
    content_type_options: Annotated[Literal["nosniff"] | None, BeforeValidator(_text)] = Field(
        None, alias="X-Content-Type-Options"
    )
    frame_options: Annotated[Literal["deny", "sameorigin"] | None, BeforeValidator(_text)] = Field(
        None, alias="X-Frame-Options"
    )
    xss_protection: _Header = Field(None, alias="X-XSS-Protection")


class _Http(_Section):
    http2: Annotated[bool, _if_given(True)] = True
    headers: Annotated[_Headers, _if_given({})] = Field(default_factory=lambda: _Headers.model_validate({}))


class _RateLimit(_Section):
    interval: Annotated[float, BeforeValidator(_duration)] = 0.0
    burst: Annotated[Annotated[int, Field(ge=0)], _if_given(0)] = 0


def _filled_in(without: str) -> BeforeValidator:
    def check(value: object) -> object:
        if value is None:
            raise ValueError(f"is empty; fill it in, or leave it out {without}")
        return value

    return BeforeValidator(check)


class _File(_Section):
    tls_server_config: Annotated[_Tls | None, _filled_in("for plain HTTP")] = None
    http_server_config: Annotated[_Http, _if_given({})] = _Http()
    basic_auth_users: Annotated[
        dict[Annotated[str, AfterValidator(_user)], Annotated[str, AfterValidator(_bcrypt), BeforeValidator(_hash)]],
        _filled_in("to let everybody in"),
    ] = {}
    rate_limit: Annotated[_RateLimit, _if_given({})] = _RateLimit()


_SECTIONS: Final[Mapping[tuple[str, ...], type[BaseModel]]] = {
    (): _File,
    ("tls_server_config",): _Tls,
    ("http_server_config",): _Http,
    ("http_server_config", "headers"): _Headers,
    ("rate_limit",): _RateLimit,
}


def _describe(finding: Any, document: Any) -> str:
    """Return what is wrong and where, without a value, and with a key only where it resembles a known one."""
    place = [str(step) for step in finding["loc"] if not isinstance(step, int) and step != "[key]"]
    problem = finding.get("ctx", {}).get("error")
    what = _MESSAGES.get(finding["type"], "is not what belongs here")
    if finding["type"] == "extra_forbidden":
        key = place.pop()
        fields = _SECTIONS[tuple(place)].model_fields
        known = sorted(field.alias or name for name, field in fields.items())
        near = difflib.get_close_matches(key, known, n=1)
        what = f"an unknown key, not shown here; known here: {', '.join(known)}"
        if near and _KEY.fullmatch(key) and abs(len(near[0]) - len(key)) <= _MAX_SLIP:
            place.append(key)
            what = f"unknown key; known here: {', '.join(known)}"
    elif finding["type"] == "literal_error":
        what = "must be " + finding["ctx"]["expected"].replace("'", "")
    elif problem is not None:
        what = str(problem)
        if isinstance(problem, _ProblemError):
            place.append(problem.key)
    if place[:1] == ["basic_auth_users"] and len(place) > 1:
        place[1:] = [f"user {list(document['basic_auth_users']).index(place[1]) + 1}"]
    return ": ".join([".".join(place).replace(".user ", ": user "), what] if place else [what])
