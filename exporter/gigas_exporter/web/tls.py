"""From TLS settings to an ``ssl.SSLContext``.

What Python's ``ssl`` cannot do is refused where the settings are read, never done more weakly.
"""

from __future__ import annotations

import ipaddress
import platform
import ssl
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Never

from gigas_exporter.errors import ConfigError
from gigas_exporter.files import memfd_path, readable_path
from gigas_exporter.secret import Secret

__all__ = ["CIPHER_SUITES", "CURVES", "Pem", "TlsSettings", "build_context", "is_allowed"]

# Go's names (crypto/tls.CipherSuites), which the file is written in, to OpenSSL's. TLS 1.3's cannot be chosen, in Go
# neither: they are always on, and naming them says nothing.
CIPHER_SUITES: Final = {
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


@dataclass(frozen=True, slots=True)
class Pem:
    """A certificate, key or CA list: file or text.

    Attributes:
        setting: The setting that it comes from, for messages.
    """

    setting: str
    file: Path | None = None
    text: Secret | None = None


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How to speak TLS.

    Attributes:
        origin: The file that says so, for messages.
        verify: Whether a client's certificate is asked for and, when it is, whether there must be one.
        cipher_suites: OpenSSL's names for TLS 1.2; empty is OpenSSL's default.
        curve: OpenSSL's name of the only curve; None is OpenSSL's default.
        allowed_names: Subject alternative names of which a client's certificate must have one; empty is any.
    """

    origin: str
    certificate: Pem
    key: Pem
    verify: ssl.VerifyMode = ssl.CERT_NONE
    client_ca: Pem | None = None
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    cipher_suites: tuple[str, ...] = ()
    server_chooses: bool = True
    curve: str | None = None
    allowed_names: frozenset[str] = frozenset()

    def files(self) -> tuple[Path, ...]:
        """Return the files that the context is made from."""
        pems = (self.certificate, self.key, self.client_ca)
        return tuple(pem.file for pem in pems if pem is not None and pem.file is not None)


def build_context(settings: TlsSettings) -> ssl.SSLContext:
    """Make a context from the files.

    Raises:
        ConfigError: A file cannot be read or is not what it should be; this OpenSSL does not know a version, cipher or
            curve.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with _known(settings, "min_version", settings.minimum.name):
        context.minimum_version = settings.minimum
    with _known(settings, "max_version", settings.maximum.name):
        context.maximum_version = settings.maximum
    context.options |= ssl.OP_NO_RENEGOTIATION
    if settings.server_chooses:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    if settings.cipher_suites:
        with _known(settings, "cipher_suites", ", ".join(settings.cipher_suites)):
            context.set_ciphers(":".join(settings.cipher_suites))
    if settings.curve is not None:
        with _known(settings, "curve_preferences", settings.curve):
            context.set_ecdh_curve(settings.curve)
    _load_certificate(context, settings)
    context.verify_mode = settings.verify
    if settings.client_ca is not None:
        _load_client_ca(context, settings.origin, settings.client_ca)
    elif settings.verify is not ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)  # as Go: the system's authorities
    return context


@contextmanager
def _known(settings: TlsSettings, key: str, value: str) -> Iterator[None]:
    """Refuse a value that this machine's Python or OpenSSL does not know; each of their errors says so differently."""
    try:
        yield
    except (ValueError, OSError):  # also ssl.SSLError
        raise ConfigError(
            f"{settings.origin}: tls_server_config.{key}: {value} is not known to this machine's"
            f" {ssl.OPENSSL_VERSION} under Python {platform.python_version()}"
        ) from None


def is_allowed(secured: ssl.SSLObject, allowed_names: frozenset[str]) -> bool:
    """Return whether the certificate has an allowed name."""
    certificate = secured.getpeercert() or {}
    names: Iterable[Any] = certificate.get("subjectAltName", ())
    return any(_comparable(str(kind), str(name)) in allowed_names for kind, name in names)


def _comparable(kind: str, name: str) -> str:
    if kind == "IP Address":
        try:
            return str(ipaddress.ip_address(name.strip()))
        except ValueError:
            return name
    return name


def _load_certificate(context: ssl.SSLContext, settings: TlsSettings) -> None:
    certificate, key = settings.certificate, settings.key
    for pem in (certificate, key):
        _check_readable(settings.origin, pem)
    try:
        with _as_path(settings.origin, certificate) as certificate_path, _as_path(settings.origin, key) as key_path:
            context.load_cert_chain(certificate_path, key_path, password=_no_password)
    except _EncryptedKeyError:
        _reject(settings.origin, key, f"{_name(key)} is encrypted; give the key without a password")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            _reject(settings.origin, key, f"{_name(key)} is not the key of the certificate {_name(certificate)}")
        _reject(
            settings.origin,
            certificate,
            f"{_name(certificate)} and {_name(key)} are not a certificate and its key in PEM",
        )
    except OSError as error:
        _reject(settings.origin, certificate, f"cannot read the certificate or key: {error.strerror}")


def _load_client_ca(context: ssl.SSLContext, origin: str, pem: Pem) -> None:
    _check_readable(origin, pem)
    try:
        with _as_path(origin, pem) as path:
            context.load_verify_locations(path)
    except ssl.SSLError:
        _reject(origin, pem, f"{_name(pem)} holds no certificates in PEM")
    except OSError as error:
        _reject(origin, pem, f"cannot read the certificates: {error.strerror}")


def _check_readable(origin: str, pem: Pem) -> None:
    if pem.file is None:
        return
    try:
        if not pem.file.is_fifo():  # which is read within bounds, and only once
            with pem.file.open("rb"):
                pass
    except OSError as error:
        _reject(origin, pem, f"cannot read {pem.file}: {error.strerror}")


def _as_path(origin: str, pem: Pem) -> AbstractContextManager[str]:
    """Give a path to the file or the text, because ``ssl`` takes nothing else."""
    if pem.text is not None:
        return memfd_path(pem.text.reveal())
    assert pem.file is not None  # noqa: S101  (narrows the type)
    return readable_path(pem.file, f"{origin}: tls_server_config.{pem.setting}: {pem.file}")


class _EncryptedKeyError(Exception):
    pass


def _no_password() -> str:
    """Refuse, as OpenSSL would ask on the terminal."""
    raise _EncryptedKeyError


def _name(pem: Pem) -> str:
    return "the text given" if pem.file is None else str(pem.file)


def _reject(origin: str, pem: Pem, what: str) -> Never:
    raise ConfigError(f"{origin}: tls_server_config.{pem.setting}: {what}") from None
