"""Owns the format of ``--web.config.file``, exporter-toolkit's; knows neither sockets nor how users are checked.

Source: prometheus/exporter-toolkit, docs/web-configuration.md. It is read more strictly than there: whatever would
leave the server less protected than the file seems to say is an error. ``http_server_config.http2`` is accepted and
has no effect, as HTTP/2 is not spoken here.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gigas_exporter.files import read_text
from gigas_exporter.secret import Secret
from gigas_exporter.strict_yaml import load_yaml
from gigas_exporter.web.section import Section
from gigas_exporter.web.tls import CIPHER_SUITES, CURVES, Pem, TlsSettings, build_context, tls13_only

__all__ = ["RateLimit", "WebConfig", "load_web_config"]

_HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_BCRYPT: Final = re.compile(r"\$2[aby]\$(0[4-9]|1[0-9]|2[0-9]|3[01])\$[./A-Za-z0-9]{53}")
_MAXIMUM_COST: Final = 18  # a check takes some 15 s; one more and it would outlast the request
_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_UNVERIFIED: Final = {
    "RequestClientCert": "VerifyClientCertIfGiven",
    "RequireAnyClientCert": "RequireAndVerifyClientCert",
    "RequireClientCert": "RequireAndVerifyClientCert",
}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket: one request every ``interval_seconds``, and up to ``burst`` at once."""

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
    """Read a web config file, and try the certificates that it names.

    Raises:
        ConfigError: In one line: the file, the path in it, the problem and what to do.
    """
    document = load_yaml(read_text(path, f"web config file {path}"), str(path))
    root = Section(str(path), "", {} if document is None else document)
    tls = root.section("tls_server_config", without="for plain HTTP")
    http = root.section("http_server_config")
    users = root.section("basic_auth_users", without="to let everybody in")
    limit = root.section("rate_limit")
    root.end()
    config = WebConfig(
        path=path,
        tls=None if tls is None else _read_tls(tls, path.parent),
        headers={} if http is None else _read_http(http),
        users={} if users is None else _read_users(users),
        rate_limit=None if limit is None else _read_rate_limit(limit),
    )
    if config.tls is not None:
        build_context(config.tls)
    return config


def _read_tls(section: Section, directory: Path) -> TlsSettings:
    certificate = _read_pem(section, directory, "cert", "cert_file")
    key = _read_pem(section, directory, "key", "key_file")
    client_ca = _read_pem(section, directory, "client_ca", "client_ca_file")
    if certificate is None:
        section.refuse(
            "cert_file", "missing; name the certificate's file, or leave tls_server_config out for plain HTTP"
        )
    if key is None:
        section.refuse("key_file", "missing; name the file of the certificate's key")
    verify = _read_verify(section, client_ca)
    minimum, maximum = _read_versions(section)
    suites = _read_suites(section, minimum)
    names = frozenset(section.texts("client_allowed_sans"))
    if names and verify is not ssl.CERT_REQUIRED:
        section.refuse(
            "client_allowed_sans", "needs client_auth_type: RequireAndVerifyClientCert, or it protects nothing"
        )
    settings = TlsSettings(
        origin=section.origin,
        certificate=certificate,
        key=key,
        verify=verify,
        client_ca=client_ca,
        minimum=minimum,
        maximum=maximum,
        cipher_suites=suites,
        server_chooses=section.flag("prefer_server_cipher_suites", default=True),
        curve=_read_curve(section),
        allowed_names=names,
    )
    section.end()
    return settings


def _read_pem(section: Section, directory: Path, inline: str, file: str) -> Pem | None:
    text, name = section.text(inline), section.text(file)
    if text is not None and name is not None:
        section.refuse(inline, f"given together with {file}; leave one of them out")
    if text is not None:
        return Pem(inline, text=Secret(text))
    if name is not None and not name.isprintable():
        section.refuse(file, f"must be a path on one line; the text itself goes under {inline}")
    return None if name is None else Pem(file, file=directory / name)


def _read_verify(section: Section, client_ca: Pem | None) -> ssl.VerifyMode:
    key = "client_auth_type"
    name = section.text(key)
    if name in _UNVERIFIED:
        section.refuse(key, f"{name} takes certificates unchecked, which is not supported; use {_UNVERIFIED[name]}")
    verify = _VERIFY[section.one_of(key, name, _VERIFY) if name is not None else "NoClientCert"]
    if verify is ssl.CERT_NONE and client_ca is not None:
        section.refuse(
            client_ca.setting, "needs client_auth_type: RequireAndVerifyClientCert or VerifyClientCertIfGiven"
        )
    if verify is not ssl.CERT_NONE and client_ca is None:
        section.refuse(key, f"{name} needs client_ca_file, the CA that signs the clients' certificates")
    return verify


def _read_versions(section: Section) -> tuple[ssl.TLSVersion, ssl.TLSVersion]:
    found = []
    for key, default in (("min_version", "TLS12"), ("max_version", "TLS13")):
        name = section.text(key) or default
        if name in {"TLS10", "TLS11"}:
            section.refuse(key, f"{name} is not spoken any more (RFC 8996); use TLS12 or TLS13")
        found.append(_VERSIONS[section.one_of(key, name, _VERSIONS)])
    minimum, maximum = found
    if minimum > maximum:
        section.refuse("min_version", "newer than max_version; no version is left")
    return minimum, maximum


def _read_suites(section: Section, minimum: ssl.TLSVersion) -> tuple[str, ...]:
    key = "cipher_suites"
    names = section.texts(key)
    for name in names:
        section.one_of(key, name, CIPHER_SUITES)
    if tls13_only(names) and minimum is not ssl.TLSVersion.TLSv1_3:
        section.refuse(key, "names only suites of TLS 1.3, which are always on; set min_version: TLS13 instead")
    return tuple(suite for name in names if (suite := CIPHER_SUITES[name]) is not None)


def _read_curve(section: Section) -> str | None:
    key = "curve_preferences"
    names = section.texts(key)
    for name in names:
        section.one_of(key, name, CURVES)
    if len(names) > 1:
        section.refuse(key, "more than one curve is not supported; name one, or leave it out for the usual ones")
    return CURVES[names[0]] if names else None


def _read_http(section: Section) -> Mapping[str, str]:
    section.flag("http2", default=True)
    headers = section.section("headers")
    section.end()
    found: dict[str, str] = {}
    if headers is None:
        return found
    for name, allowed in _HEADERS.items():
        value = headers.text(name)
        if value is None:
            continue
        if allowed and value not in allowed:
            headers.refuse(name, f"must be {' or '.join(allowed)}")
        if not re.fullmatch(r"[ -~]+", value):
            headers.refuse(name, "must be one line of ASCII")
        found[name] = value
    headers.end()
    return found


def _read_users(section: Section) -> Mapping[str, Secret]:
    users: dict[str, Secret] = {}
    for name in section.names():
        value = section.text(name)
        match = _BCRYPT.fullmatch(value or "")
        if ":" in name:
            section.refuse(name, "a user name cannot hold a colon")
        if match is None:
            section.refuse(name, "not a bcrypt hash; make one with: htpasswd -nBC 10 ''")
        if int(match[1]) > _MAXIMUM_COST:
            section.refuse(
                name, f"the bcrypt cost is above {_MAXIMUM_COST}, so that a check outlasts the request; use 10 or 12"
            )
        users[name] = Secret(match[0])
    return users


def _read_rate_limit(section: Section) -> RateLimit | None:
    interval = section.duration_seconds("interval")
    burst = section.whole("burst", default=0)
    section.end()
    if interval == 0:
        return None
    if burst < 1:
        section.refuse("burst", "must be at least 1, or every request is refused")
    return RateLimit(interval, burst)
