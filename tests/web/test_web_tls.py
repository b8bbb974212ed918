"""TLS over real sockets: versions, client certificates, rotation, and what unfinished handshakes cost."""

from __future__ import annotations

import logging
import ssl
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from gigas_exporter.errors import ConfigError
from gigas_exporter.web import Response, Server, ServerLimits, WebConfig, tls
from gigas_exporter.web.tls import TlsConfig, build_context, is_allowed
from support.programs import await_true, run_program, tool
from web.conftest import Connect, Pki, Serve, Wire, written


def _facts(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record)["facts"] for record in caplog.records]


_CLIENT_AUTH = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"
_CLIENT_AUTH_IF_GIVEN = "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.crt\n"


def _tls(pki: Pki, more: str = "") -> WebConfig:
    return written(pki.directory, f"tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{more}")


def _is_served(server: Server, context: ssl.SSLContext) -> bool:
    """Return whether a client gets an answer; one that is refused may learn of it after its own handshake."""
    try:
        with Wire(server.address, tls=context) as client:
            return client.ask().status == 200
    except (ssl.SSLError, ConnectionError, EOFError):
        return False


def test_requests_are_answered_over_tls(connect: Connect, pki: Pki) -> None:
    """Small and large answers arrive, whatever the pieces that they were made of."""
    page = (b"", b"a" * 10, b"b" * 16_000, b"c" * 3_000_000, b"d")
    answer = connect(lambda _: Response(200, {}, page), _tls(pki), tls=pki.client()).ask()
    assert (answer.status, answer.body) == (200, b"".join(page))


def test_a_connection_is_kept_and_ended_properly_over_tls(connect: Connect, pki: Pki) -> None:
    """Several requests share a handshake, and the end is announced as TLS wants it."""
    client = connect(None, _tls(pki), tls=pki.client())
    assert client.socket.version() == "TLSv1.3"
    assert client.ask("/1").body == b"GET /1\n"
    assert client.ask("/2", headers="Connection: close\r\n").body == b"GET /2\n"
    assert client.socket.recv(10) == b""
    client.socket.unwrap()


@pytest.mark.parametrize(("minimum", "works"), [("TLS12", True), ("TLS13", False)])
def test_the_lowest_version_is_kept(minimum: str, works: bool, serve: Serve, pki: Pki) -> None:
    """A client of TLS 1.2 is served or refused, as the setting says."""
    server = serve(None, _tls(pki, f"  min_version: {minimum}\n"))
    client = pki.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert _is_served(server, client) is works


def test_old_versions_are_refused(serve: Serve, pki: Pki) -> None:
    """TLS 1.1 is not spoken by default."""
    result = _s_client(serve(None, _tls(pki)), "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert result.returncode != 0
    assert "Cipher is (NONE)" in result.stdout


def _s_client(server: Server, *options: str) -> subprocess.CompletedProcess[str]:
    return run_program(tool("openssl"), "s_client", *options, "-connect", f"127.0.0.1:{server.address[1]}", check=False)


def test_cipher_and_curve_are_as_chosen(serve: Serve, wire: Connect, pki: Pki) -> None:
    """What the settings name is what is spoken."""
    more = (
        "  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]\n"
        "  curve_preferences: [CurveP384]\n"
    )
    server = serve(None, _tls(pki, more))
    cipher = wire(server, tls=pki.client()).socket.cipher()
    assert cipher is not None
    assert cipher[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"
    # OpenSSL 3.5 calls it the peer's.
    assert " Temp Key: ECDH, secp384r1, 384 bits" in _s_client(server).stdout


_UNKNOWN = {
    "curve_preferences": ["CurveP999"],
    "cipher_suites": ["NO_SUCH"],
    "min_version": "TLS9",
    "max_version": "TLS9",
}


def _settings(directory: Path, **change: Any) -> TlsConfig:
    return TlsConfig.model_construct(cert_file=directory / "server.crt", key_file=directory / "server.key", **change)


@pytest.mark.parametrize("key", _UNKNOWN)
def test_what_this_openssl_does_not_know_is_an_error_of_the_configuration(
    pki: Pki, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A curve, cipher or version that another machine has and this one has not is told with the key that names it."""
    monkeypatch.setitem(tls.CURVES, "CurveP999", "no-such-curve")
    monkeypatch.setitem(tls._CIPHER_SUITES, "NO_SUCH", "NO-SUCH-CIPHER")
    monkeypatch.setitem(tls._VERSIONS, "TLS9", 0x0309)
    with pytest.raises(ConfigError, match=rf"^{key}: .* is not known to this machine's"):
        build_context(_settings(pki.directory, **{key: _UNKNOWN[key]}), pki.directory)


@pytest.mark.parametrize("name", ["CurveP256", "CurveP384", "CurveP521", "X25519"])
def test_every_curve_is_taken_or_refused_with_its_key(pki: Pki, name: str) -> None:
    """Debian 12's Python cannot choose X25519, which is an error of the configuration there and works elsewhere."""
    refused = ""
    try:
        build_context(_settings(pki.directory, curve_preferences=[name]), pki.directory)
    except ConfigError as error:
        refused = str(error)
    assert not refused or (name, refused.split(" is not known")[0]) == ("X25519", "curve_preferences: X25519")


def test_plain_http_is_told_that_this_is_https(connect: Connect, pki: Pki) -> None:
    """Who forgot the s gets an answer that says so, and no reset that destroys it, however much was asked."""
    client = connect(None, _tls(pki))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 8000 + b"\r\n\r\n")
    assert client.is_ended()
    assert client.received.startswith(b"HTTP/1.0 400 Bad Request\r\n")
    assert client.received.endswith(b"\r\n\r\nthis is an HTTPS server\n")


def test_junk_instead_of_a_handshake_ends_the_connection(connect: Connect, pki: Pki) -> None:
    """Bytes that are no TLS are no reason for anything but goodbye."""
    client = connect(None, _tls(pki))
    client.send(b"\0" * 600)
    assert client.is_ended()


def test_a_handshake_has_an_absolute_deadline(connect: Connect, pki: Pki) -> None:
    """Who connects and never shakes hands is let go."""
    client = connect(None, _tls(pki), limits=ServerLimits(head_seconds=0.3), timeout=5)
    assert client.is_ended()


_ALLOWED = f"{_CLIENT_AUTH}  client_allowed_sans: "


@pytest.mark.parametrize(
    ("settings", "certificate", "works"),
    [
        (_CLIENT_AUTH, "client", True),
        (_CLIENT_AUTH, None, False),
        (_CLIENT_AUTH, "stranger", False),
        (_CLIENT_AUTH_IF_GIVEN, None, True),
        (_CLIENT_AUTH_IF_GIVEN, "stranger", False),
        (f"{_ALLOWED}[scraper]\n", "client", True),
        (f"{_ALLOWED}[127.0.0.1]\n", "client", True),
        (f"{_ALLOWED}['2001:db8::1']\n", "client", True),
        (f"{_ALLOWED}[other, scraper]\n", "client", True),
        (f"{_ALLOWED}[other]\n", "client", False),
        (f"{_ALLOWED}[scrape]\n", "client", False),
    ],
)
def test_a_client_gets_in_by_its_certificate(
    serve: Serve, pki: Pki, settings: str, certificate: str | None, works: bool
) -> None:
    """It is of the named CA, or left out where it may be, and has an allowed name, of whatever kind, exactly."""
    pki.issue("stranger", "scraper", authority=trustme.CA())
    assert _is_served(serve(None, _tls(pki, settings)), pki.client(certificate=certificate)) is works


def test_without_a_ca_the_systems_authorities_serve(serve: Serve, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Go: a client's certificate is verified, whether a CA is named or not."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.directory / "ca.crt"))
    server = serve(None, _tls(pki, "  client_auth_type: RequireAndVerifyClientCert\n"))
    assert _is_served(server, pki.client(certificate="client"))
    assert not _is_served(server, pki.client())


def _shown(server: Server, context: ssl.SSLContext) -> int:
    with Wire(server.address, tls=context) as client:
        certificate = client.socket.getpeercert()
    assert certificate is not None
    return int(str(certificate["serialNumber"]), 16)


def test_a_new_certificate_is_taken_up(serve: Serve, pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    """Rotation needs no restart; while the pair does not fit, the old one stays, and that is logged once."""
    server = serve(None, _tls(pki))
    context = pki.client()
    first = _shown(server, context)
    serial_number = pki.issue("new")
    caplog.set_level(logging.INFO, logger="gigas_exporter.web")
    (pki.directory / "new.crt").rename(pki.directory / "server.crt")
    await_true(lambda: _shown(server, context) and len(caplog.records) > 0)
    assert _shown(server, context) == first
    (pki.directory / "new.key").rename(pki.directory / "server.key")
    await_true(lambda: _shown(server, context) == serial_number)
    assert caplog.messages == [
        "Failed to reload web config, keeping the previous one",
        "Reloaded web config",
    ]
    assert _facts(caplog)[0]["error"].endswith(f"is not the key of the certificate {pki.directory}/server.crt")


def test_a_changed_web_config_is_taken_up_unless_it_is_bad(
    serve: Serve, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    """Headers change at run time; a bad file, none, or one without TLS, leaves everything as it was."""
    server = serve(None, _tls(pki))
    context = pki.client()
    path = pki.directory / "web.yml"
    good = path.read_text()
    caplog.set_level(logging.INFO, logger="gigas_exporter.web")
    for text in (None, "hWkNKCp3fvIx3jKnsaBI", "", good + "http_server_config: {headers: {X-XSS-Protection: '1'}}\n"):
        before = len(caplog.records)
        path.unlink() if text is None else path.write_text(text)
        await_true(lambda: _is_served(server, context) and len(caplog.records) > before)  # noqa: B023  # at once
    time.sleep(0.3)  # in which it looks again, and nothing has changed
    assert [facts.get("error") for facts in _facts(caplog)] == [
        f"web config file {path}: No such file or directory",
        f"{path}: the file must be a mapping of keys to values, such as key: value",
        f"{path}: TLS cannot be switched off without a restart",
        None,
    ]
    with Wire(server.address, tls=context) as client:
        assert client.ask().headers["x-xss-protection"] == "1"


@pytest.mark.parametrize(
    ("kind", "name", "allowed"),
    [
        ("DNS", "scraper", "scraper"),
        ("URI", "spiffe://scraper", "spiffe://scraper"),
        ("IP Address", "2001:DB8:0:0:0:0:0:1\n", "2001:db8::1"),
        ("IP Address", "<invalid>", "<invalid>"),
    ],
)
def test_a_name_is_compared_as_people_write_it(kind: str, name: str, allowed: str) -> None:
    """An address that is none in a certificate is compared as the text that it is."""
    shown: Any = SimpleNamespace(getpeercert=lambda: {"subjectAltName": ((kind, name),)})
    assert is_allowed(shown, [allowed])
    assert not is_allowed(shown, [f"{allowed}x"])
