"""TLS settings of the web config file, and their ``ssl.SSLContext``.

A setting that Python's ``ssl`` cannot apply is an error; it is never weakened.
"""

from __future__ import annotations

import ipaddress
import platform
import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, ValidationInfo, model_validator

from gigas_exporter.disclosure import may_be_secret
from gigas_exporter.errors import ConfigError
from gigas_exporter.files import memfd_path, read_text
from gigas_exporter.secret import Secret
from gigas_exporter.validation_errors import ConfigProblem, CrossKeyError, Section

# The file uses Go's names (crypto/tls.CipherSuites); the values are OpenSSL's. The suites of TLS 1.3 are always on, in
# Go too, so that naming them has no effect.
_CIPHER_SUITES: Final = {
    "TLS_AES_128_GCM_SHA256": None,
    "TLS_AES_256_GCM_SHA384": None,
    "TLS_CHACHA20_POLY1305_SHA256": None,
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
CURVES: Final = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "RequestClientCert": ssl.CERT_NONE,  # Go requests a certificate, but lets everybody in
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


def text_of(value: object) -> str | None:
    """Return text or a number as text, None if empty."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be text")  # noqa: TRY004  (pydantic handles no TypeError)
    return str(value)


def if_empty(default: object) -> BeforeValidator:
    """Return a validator that replaces an empty value."""
    return BeforeValidator(lambda value: default if value is None or value == "" else value)


def _secret(value: object) -> Secret | None:
    text = text_of(value)
    return None if text is None else Secret(text)


def _file(value: object, info: ValidationInfo) -> Path | None:
    text = text_of(value)
    if text is None:
        return None
    return Path(info.context or "", text)


def _one_of(known: Collection[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return value

    return AfterValidator(check)


_SecretText = Annotated[InstanceOf[Secret] | None, BeforeValidator(_secret)]
_File = Annotated[Path | None, BeforeValidator(_file)]


class TlsConfig(Section):
    """The section ``tls_server_config``; the validation context is the base directory."""

    cert: _SecretText = None
    cert_file: _File = None
    key: _SecretText = None
    key_file: _File = None
    client_auth_type: Annotated[str, _one_of(_CLIENT_AUTH), if_empty("NoClientCert")] = "NoClientCert"
    client_ca: _SecretText = None
    client_ca_file: _File = None
    client_allowed_sans: Annotated[list[str], if_empty([])] = Field(default=[])
    min_version: Annotated[str, _one_of(_VERSIONS), if_empty("TLS12")] = "TLS12"
    max_version: Annotated[str, _one_of(_VERSIONS), if_empty("TLS13")] = "TLS13"
    cipher_suites: Annotated[list[Annotated[str, _one_of(_CIPHER_SUITES)]], if_empty([])] = Field(default=[])
    curve_preferences: Annotated[list[Annotated[str, _one_of(CURVES)]], if_empty([])] = Field(default=[])
    prefer_server_cipher_suites: Annotated[bool, if_empty(True)] = True

    def files(self) -> tuple[Path, ...]:
        """Return the files that the context is made from."""
        return tuple(file for file in (self.cert_file, self.key_file, self.client_ca_file) if file is not None)

    @property
    def verify_mode(self) -> ssl.VerifyMode:
        """Whether a client certificate is requested or required."""
        return _CLIENT_AUTH[self.client_auth_type]

    @model_validator(mode="after")
    def _check(self) -> TlsConfig:
        if problem := next(self._problems(), None):
            raise CrossKeyError([ConfigProblem((problem[0],), problem[1])])
        return self

    def _problems(self) -> Iterator[tuple[str, str]]:
        """Yield contradictions and weak settings, each as key and message."""
        for name in ("cert", "key", "client_ca"):
            given = getattr(self, name) is not None, getattr(self, f"{name}_file") is not None
            if all(given):
                yield name, f"given together with {name}_file; leave one of them out"
            elif name == "client_ca" and any(given) and self.verify_mode is ssl.CERT_NONE:
                key = "client_ca" if given[0] else "client_ca_file"
                yield key, "needs client_auth_type: RequireAndVerifyClientCert or VerifyClientCertIfGiven"
            elif name != "client_ca" and not any(given):
                yield f"{name}_file", "missing; name the file, or leave tls_server_config out for plain HTTP"
        if self.client_allowed_sans and self.verify_mode is not ssl.CERT_REQUIRED:
            what = "needs client_auth_type: RequireAndVerifyClientCert, or it protects nothing"
            yield "client_allowed_sans", what
        if self.min_version > self.max_version:
            yield "min_version", "newer than max_version; no version is left"
        is_tls13_only = bool(self.cipher_suites) and not any(map(_CIPHER_SUITES.get, self.cipher_suites))
        if is_tls13_only and self.min_version != "TLS13":
            yield "cipher_suites", "names only suites of TLS 1.3, which are always on; set min_version: TLS13 instead"
        if len(self.curve_preferences) > 1:
            what = "more than one curve is not supported; name one, or leave it out for the usual ones"
            yield "curve_preferences", what


def build_context(tls: TlsConfig, directory: Path) -> ssl.SSLContext:
    """Make a context; relative paths start at ``directory``.

    Raises:
        ConfigError: A file cannot be read or has no valid content, or this OpenSSL does not know a version, cipher or
            curve. The message begins with the key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with _reject_unknown("min_version", tls.min_version):
        context.minimum_version = _VERSIONS[tls.min_version]
    with _reject_unknown("max_version", tls.max_version):
        context.maximum_version = _VERSIONS[tls.max_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    if suites := [suite for name in tls.cipher_suites if (suite := _CIPHER_SUITES[name])]:
        with _reject_unknown("cipher_suites", ", ".join(suites)):
            context.set_ciphers(":".join(suites))
    for name in tls.curve_preferences:
        with _reject_unknown("curve_preferences", CURVES[name]):
            context.set_ecdh_curve(CURVES[name])
    _load_certificate(context, tls, directory)
    context.verify_mode = tls.verify_mode
    if tls.client_ca is not None or tls.client_ca_file is not None:
        _load_client_ca(context, tls, directory)
    elif tls.verify_mode is not ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)  # the system's CAs, as in Go
    return context


def is_allowed(secured: ssl.SSLObject, allowed_names: Collection[str]) -> bool:
    """Return whether the client's certificate has an allowed name."""
    certificate: dict[str, Any] = secured.getpeercert() or {}
    return any(
        _comparable(str(kind), str(name)) in allowed_names for kind, name in certificate.get("subjectAltName", ())
    )


def _comparable(kind: str, name: str) -> str:
    try:
        return str(ipaddress.ip_address(name.strip())) if kind == "IP Address" else name
    except ValueError:
        return name


@contextmanager
def _reject_unknown(key: str, value: str) -> Iterator[None]:
    """Reject a value that this machine's OpenSSL does not know."""
    try:
        yield
    except (ValueError, OSError):  # also ssl.SSLError
        raise ConfigError(
            f"{key}: {value} is not known to this machine's {ssl.OPENSSL_VERSION}"
            f" under Python {platform.python_version()}"
        ) from None


def _load_certificate(context: ssl.SSLContext, tls: TlsConfig, directory: Path) -> None:
    setting, name, certificate = _pem(tls, "cert", directory)
    key_setting, key_name, key = _pem(tls, "key", directory)
    if "BEGIN ENCRYPTED PRIVATE KEY" in key or "Proc-Type: 4,ENCRYPTED" in key:
        raise ConfigError(f"{key_setting}: {key_name} is encrypted; give the key without a password")
    try:
        with memfd_path(certificate) as certificate_path, memfd_path(key) as key_path:  # ssl accepts only paths
            context.load_cert_chain(certificate_path, key_path, password="")  # without it OpenSSL prompts for one
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"{key_setting}: {key_name} is not the key of the certificate {name}") from None
        if str(error.reason).endswith(("_TOO_SMALL", "_TOO_WEAK")):
            raise ConfigError(f"{setting}: {name} is too weak for this machine's {ssl.OPENSSL_VERSION}") from None
        if _load_cas(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate):
            raise ConfigError(f"{key_setting}: {key_name} is not a PEM key that fits {name}") from None
        raise ConfigError(f"{setting}: {name} contains no PEM certificate") from None


def _load_cas(context: ssl.SSLContext, pem: str) -> bool:
    """Make a context trust the certificates in a text; return whether there are any."""
    try:
        context.load_verify_locations(cadata=pem.encode("ascii", "ignore").decode())
    except (ssl.SSLError, ValueError):
        return False
    return True


def _load_client_ca(context: ssl.SSLContext, tls: TlsConfig, directory: Path) -> None:
    setting, name, text = _pem(tls, "client_ca", directory)
    if not _load_cas(context, text):
        raise ConfigError(f"{setting}: {name} contains no PEM certificates")


def _pem(tls: TlsConfig, key: str, directory: Path) -> tuple[str, str, str]:
    """Return a PEM text after its key and its name for messages."""
    text, file, setting = getattr(tls, key), getattr(tls, f"{key}_file"), f"{key}_file"
    if text is not None:
        return key, "the text given", text.reveal()
    if may_be_secret(file, directory):
        raise ConfigError(f"{setting}: there is no such file; the text itself goes under {key}")
    return setting, str(file), read_text(file, f"{setting}: cannot read {file}")
