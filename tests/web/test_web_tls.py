"""TLS over real sockets: versions, client certificates, rotation, and what unfinished handshakes cost."""

from __future__ import annotations

import http.client
import logging
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gigas_exporter.errors import ConfigError
from gigas_exporter.web import Response, Server, ServerLimits, load_web_config, tls
from gigas_exporter.web.tls import TlsConfig, _comparable, build_context
from support.programs import await_true, tool


def _facts(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record)["facts"] for record in caplog.records]


def _tls(directory: Path, more: str = "", *, after: str = "") -> Any:
    path = directory / "web.yml"
    path.write_text(f"tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{more}{after}")
    return load_web_config(path)


def _get(server: Server, context: ssl.SSLContext, path: str = "/") -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection(*server.address, context=context, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _answer(client: ssl.SSLSocket) -> bytes:
    said = b""
    while not said.endswith(b"\n") or said.endswith(b"\r\n"):
        said += client.recv(4096)
    return said


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gigas_exporter.web.access_control._CHECK_SECONDS", 0.1)


_CLIENT_AUTH = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"


def test_requests_are_answered_over_tls(serve: Callable[..., Server], pki: Any) -> None:
    """Small and large answers arrive, whatever the pieces that they were made of."""
    page = (b"", b"a" * 10, b"b" * 16_000, b"c" * 3_000_000, b"d")
    server = serve(lambda _: Response(200, {}, page), _tls(pki.directory))
    assert _get(server, pki.client()) == (200, b"".join(page))


def test_a_connection_is_kept_and_ended_properly_over_tls(serve: Callable[..., Server], pki: Any) -> None:
    """Several requests share a handshake, and the end is announced as TLS wants it."""
    server = serve(None, _tls(pki.directory))
    with (
        socket.create_connection(server.address, timeout=5) as raw,
        pki.client().wrap_socket(raw, server_hostname="localhost") as client,
    ):
        assert client.version() == "TLSv1.3"
        client.sendall(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert _answer(client).endswith(b"GET /1\n")
        client.sendall(b"GET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert _answer(client).endswith(b"GET /2\n")
        assert client.recv(10) == b""
        client.unwrap()


@pytest.mark.parametrize(("minimum", "works"), [("TLS12", True), ("TLS13", False)])
def test_the_lowest_version_is_kept(minimum: str, works: bool, serve: Callable[..., Server], pki: Any) -> None:
    """A client of TLS 1.2 is served or refused, as the setting says."""
    server = serve(None, _tls(pki.directory, f"  min_version: {minimum}\n"))
    client = pki.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    if works:
        assert _get(server, client)[0] == 200
    else:
        with pytest.raises(ssl.SSLError):
            _get(server, client)


def test_old_versions_are_refused(serve: Callable[..., Server], pki: Any) -> None:
    """TLS 1.1 is not spoken by default."""
    port = serve(None, _tls(pki.directory)).address[1]
    result = subprocess.run(
        [tool("openssl"), "s_client", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-connect", f"127.0.0.1:{port}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=10,
        check=False,
    )
    assert result.returncode != 0
    assert b"Cipher is (NONE)" in result.stdout


def test_cipher_and_curve_are_as_chosen(serve: Callable[..., Server], pki: Any) -> None:
    """What the settings name is what is spoken."""
    more = (
        "  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]\n"
        "  curve_preferences: [CurveP384]\n"
    )
    server = serve(None, _tls(pki.directory, more))
    with (
        socket.create_connection(server.address, timeout=5) as raw,
        pki.client().wrap_socket(raw, server_hostname="localhost") as client,
    ):
        cipher = client.cipher()
        assert cipher is not None
        assert cipher[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"
    result = subprocess.run(
        [tool("openssl"), "s_client", "-connect", f"127.0.0.1:{server.address[1]}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=10,
        check=False,
    )
    # OpenSSL 3.5 calls it the peer's.
    assert b" Temp Key: ECDH, secp384r1, 384 bits" in result.stdout


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
    pki: Any, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A curve, cipher or version that another machine has and this one has not is told with the key that names it."""
    monkeypatch.setitem(tls.CURVES, "CurveP999", "no-such-curve")
    monkeypatch.setitem(tls._CIPHER_SUITES, "NO_SUCH", "NO-SUCH-CIPHER")
    monkeypatch.setitem(tls._VERSIONS, "TLS9", 0x0309)
    with pytest.raises(ConfigError, match=rf"^{key}: .* is not known to this machine's"):
        build_context(_settings(pki.directory, **{key: _UNKNOWN[key]}), pki.directory)


@pytest.mark.parametrize("name", ["CurveP256", "CurveP384", "CurveP521", "X25519"])
def test_every_curve_is_taken_or_refused_with_its_key(pki: Any, name: str) -> None:
    """Debian 12's Python cannot choose X25519, which is an error of the configuration there and works elsewhere."""
    refused = ""
    try:
        build_context(_settings(pki.directory, curve_preferences=[name]), pki.directory)
    except ConfigError as error:
        refused = str(error)
    assert not refused or (name, refused.split(" is not known")[0]) == ("X25519", "curve_preferences: X25519")


def test_plain_http_is_told_that_this_is_https(
    serve: Callable[..., Server], wire: Callable[..., Any], pki: Any
) -> None:
    """Who forgot the s gets an answer that says so, and no reset that destroys it, however much was asked."""
    client = wire(serve(None, _tls(pki.directory)))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 8000 + b"\r\n\r\n")
    said = b""
    while data := client.socket.recv(65536):
        said += data
    assert said.startswith(b"HTTP/1.0 400 Bad Request\r\n")
    assert said.endswith(b"\r\n\r\nthis is an HTTPS server\n")


def test_junk_instead_of_a_handshake_ends_the_connection(
    serve: Callable[..., Server], wire: Callable[..., Any], pki: Any
) -> None:
    """Bytes that are no TLS are no reason for anything but goodbye."""
    client = wire(serve(None, _tls(pki.directory)))
    client.send(b"\0" * 600)
    assert client.is_ended()


def test_a_handshake_has_an_absolute_deadline(serve: Callable[..., Server], wire: Callable[..., Any], pki: Any) -> None:
    """Who connects and never shakes hands is let go."""
    client = wire(serve(None, _tls(pki.directory), ServerLimits(head_seconds=0.3)), timeout=5)
    assert client.is_ended()


def test_a_client_certificate_is_required(serve: Callable[..., Server], pki: Any, tmp_path: Path) -> None:
    """Only a certificate of the named CA gets an answer."""
    server = serve(None, _tls(pki.directory, _CLIENT_AUTH))
    assert _get(server, pki.client(certificate="client"))[0] == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _get(server, pki.client())
    stranger = type(pki.authority)("another CA")
    stranger.issue(pki.directory / "stranger.crt", pki.directory / "stranger.key", name="scraper")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _get(server, pki.client(certificate="stranger"))


def test_without_a_ca_the_systems_authorities_serve(
    serve: Callable[..., Server], pki: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Go: a client's certificate is verified, whether a CA is named or not."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.directory / "ca.crt"))
    server = serve(None, _tls(pki.directory, "  client_auth_type: RequireAndVerifyClientCert\n"))
    assert _get(server, pki.client(certificate="client"))[0] == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _get(server, pki.client())


def test_a_client_certificate_may_be_optional(serve: Callable[..., Server], pki: Any) -> None:
    """Without one the client is served; a wrong one is still refused."""
    server = serve(
        None, _tls(pki.directory, _CLIENT_AUTH.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"))
    )
    assert _get(server, pki.client())[0] == 200
    stranger = type(pki.authority)("another CA")
    stranger.issue(pki.directory / "stranger.crt", pki.directory / "stranger.key")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _get(server, pki.client(certificate="stranger"))


@pytest.mark.parametrize(
    ("names", "works"),
    [
        ("scraper", True),
        ("127.0.0.1", True),
        ("'2001:db8::1'", True),
        ("'spiffe://scraper'", True),
        ("other, scraper", True),
        ("other", False),
        ("scrape", False),
    ],
)
def test_only_allowed_names_get_in(names: str, works: bool, serve: Callable[..., Server], pki: Any) -> None:
    """A client's certificate must carry one of the names, of whatever kind, exactly."""
    server = serve(None, _tls(pki.directory, f"{_CLIENT_AUTH}  client_allowed_sans: [{names}]\n"))
    if works:
        assert _get(server, pki.client(certificate="client"))[0] == 200
    else:
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            _get(server, pki.client(certificate="client"))


def _shown(server: Server, context: ssl.SSLContext) -> int:
    with (
        socket.create_connection(server.address, timeout=5) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as client,
    ):
        certificate = client.getpeercert()
    assert certificate is not None
    return int(str(certificate["serialNumber"]), 16)


def test_a_new_certificate_is_taken_up(
    serve: Callable[..., Server], pki: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Rotation needs no restart; while the pair does not fit, the old one stays, and that is logged once."""
    server = serve(None, _tls(pki.directory))
    context = pki.client()
    first = _shown(server, context)
    new = pki.directory / "new"
    new.mkdir()
    issued = pki.authority.issue(new / "server.crt", new / "server.key")
    caplog.set_level(logging.INFO, logger="gigas_exporter.web")
    shutil.move(new / "server.crt", pki.directory / "server.crt")
    await_true(lambda: _shown(server, context) and len(caplog.records) > 0)
    assert _shown(server, context) == first
    shutil.move(new / "server.key", pki.directory / "server.key")
    await_true(lambda: _shown(server, context) == issued.serial_number)
    assert caplog.messages == [
        "Failed to reload web config, keeping the previous one",
        "Reloaded web config",
    ]
    assert _facts(caplog)[0]["error"].endswith(f"is not the key of the certificate {pki.directory}/server.crt")


def test_a_changed_web_config_is_taken_up_unless_it_is_bad(
    serve: Callable[..., Server], pki: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Headers change at run time; a bad file, or one without TLS, leaves everything as it was."""
    server = serve(None, _tls(pki.directory))
    context = pki.client()
    path = pki.directory / "web.yml"
    good = path.read_text()
    caplog.set_level(logging.INFO, logger="gigas_exporter.web")
    for text in ("hWkNKCp3fvIx3jKnsaBI", "", good + "http_server_config: {headers: {X-XSS-Protection: '1'}}\n"):
        before = len(caplog.records)
        path.write_text(text)
        await_true(lambda: _get(server, context)[0] == 200 and len(caplog.records) > before)  # noqa: B023  # at once
    assert [facts.get("error") for facts in _facts(caplog)] == [
        f"{path}: the file must be a mapping of keys to values, such as key: value",
        f"{path}: TLS cannot be switched off without a restart",
        None,
    ]
    connection = http.client.HTTPSConnection(*server.address, context=context, timeout=5)
    connection.request("GET", "/")
    response = connection.getresponse()
    assert response.headers["X-XSS-Protection"] == "1"
    connection.close()


def test_a_name_that_cannot_be_read_is_no_name() -> None:
    """An address that is none in a certificate is compared as the text that it is."""
    assert _comparable("IP Address", "<invalid>") == "<invalid>"
    assert _comparable("IP Address", "2001:DB8:0:0:0:0:0:1\n") == "2001:db8::1"
