"""Rude clients in hundreds do not keep the whole exporter, with 10,000 disks, from answering scrapes."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from soak.crowd import measure

MEGABYTE = 2**20
ALLOWED_SECONDS = 1.0
ALLOWED_TOGETHER_SECONDS = 10.0
ALLOWED_GROWTH_BYTES = 60 * MEGABYTE


@pytest.fixture
def web(tmp_path: Path) -> tuple[Path, Path]:
    """A web configuration with a certificate, and the certificate to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file, config = (tmp_path / each for each in ("cert.pem", "key.pem", "web.yml"))
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    config.write_text(
        json.dumps({"tls_server_config": {"cert_file": str(cert_file), "key_file": str(key_file)}}), encoding="utf-8"
    )
    return config, cert_file


def test_scrapes_are_answered_among_half_open_and_unread_connections(tmp_path: Path) -> None:
    """All of them, the usual one within a second, and the memory comes back."""
    quiet, *attacked, together = measure(tmp_path, scrapes=8)
    for figures in (quiet, *attacked):
        assert figures.answered == figures.asked, figures
        assert figures.median < ALLOWED_SECONDS, figures
        assert figures.resident_bytes < quiet.resident_bytes + ALLOWED_GROWTH_BYTES, figures
    assert together.answered == together.asked, together
    assert together.slowest < ALLOWED_TOGETHER_SECONDS, together
    assert together.resident_bytes < quiet.resident_bytes + ALLOWED_GROWTH_BYTES, together


def test_scrapes_are_answered_among_unfinished_handshakes(tmp_path: Path, web: tuple[Path, Path]) -> None:
    """The same over TLS, where others begin a handshake and leave it at that."""
    quiet, attacked = measure(tmp_path, scrapes=8, web=web)
    assert attacked.answered == attacked.asked, attacked
    assert attacked.median < ALLOWED_SECONDS, attacked
    assert attacked.resident_bytes < quiet.resident_bytes + ALLOWED_GROWTH_BYTES, attacked
