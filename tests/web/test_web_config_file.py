"""The web config file: what is read, and each bad file with its exact message."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gigas_exporter import files
from gigas_exporter.errors import ConfigError
from gigas_exporter.web import load_web_config
from gigas_exporter.web.web_config import RateLimit
from support.certificates import self_signed
from web.conftest import Pki, written

_TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key"
_HASH = "$2y$10$qRTBuFoULoYNA7AQ/F3ck.trZBPyjV64.oA4ZsSBCIWvXuvQlQTuu"


def test_an_empty_file_is_plain_http_for_everybody(tmp_path: Path) -> None:
    """As in exporter-toolkit, a file that says nothing asks for nothing."""
    config = written(tmp_path, "")
    assert (config.tls, config.context, config.users, config.headers) == (None, None, {}, {})
    assert config.rate_limit == RateLimit()


def test_everything_is_read(pki: Pki) -> None:
    """Relative paths start at the file's directory, and Go's names become OpenSSL's."""
    config = written(
        pki.directory,
        f"""
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [scraper]
  min_version: TLS12
  max_version: TLS12
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP384]
http_server_config:
  http2: false
  headers:
    X-Frame-Options: sameorigin
    X-XSS-Protection: 1
    Strict-Transport-Security: ""
basic_auth_users:
  alice: {_HASH}
  12: {_HASH}
rate_limit: {{interval: 1m0.5s, burst: 20}}
""",
    )
    assert config.tls is not None
    assert config.tls.files() == tuple(pki.directory / name for name in ("server.crt", "server.key", "ca.crt"))
    assert config.tls.client_allowed_sans == ["scraper"]
    assert config.context is not None
    assert config.context.verify_mode is ssl.CERT_REQUIRED
    assert config.context.maximum_version is ssl.TLSVersion.TLSv1_2
    assert [each["name"] for each in config.context.get_ciphers() if each["protocol"] == "TLSv1.2"] == [
        "ECDHE-ECDSA-AES256-GCM-SHA384"
    ]
    assert not config.context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert config.headers == {"X-Frame-Options": "sameorigin", "X-XSS-Protection": "1"}
    assert set(config.users) == {"alice", "12"}
    assert config.rate_limit == RateLimit.model_validate({"interval": "1m0.5s", "burst": 20})
    assert _HASH not in repr(config)


@pytest.mark.parametrize(
    "text",
    [
        f"{_TLS}}}",
        f"{_TLS}, client_auth_type: NoClientCert, client_ca_file: '', min_version: TLS13, max_version: TLS13}}",
        f"{_TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt}}",
        f"{_TLS}, min_version: TLS13, cipher_suites: [TLS_AES_128_GCM_SHA256]}}",
        f"{_TLS}, cipher_suites: [], curve_preferences: [CurveP256], client_allowed_sans:}}",
        "basic_auth_users: {}\nhttp_server_config: {http2:, headers:}\nrate_limit: {interval: 0, burst: 0}",
        "rate_limit:\n  burst: 3",
        "rate_limit: {interval: 1s}",
        f"{_TLS}, client_auth_type: RequireAndVerifyClientCert}}",
        f"{_TLS}, client_auth_type: VerifyClientCertIfGiven}}",
        f"{_TLS}, client_auth_type: RequestClientCert}}",
    ],
)
def test_a_good_file_is_good(text: str, pki: Pki) -> None:
    """What exporter-toolkit's format allows and can be done is taken."""
    assert written(pki.directory, text).path.name == "web.yml"


def test_a_key_may_have_a_comment_on_encryption(pki: Pki) -> None:
    """Tools write what a key was before its first line; only its own lines say what it is."""
    key = pki.directory / "server.key"
    key.write_text(f"This was ENCRYPTED before.\n{key.read_text()}")
    assert written(pki.directory, f"{_TLS}}}").tls is not None


def test_certificates_may_stand_in_the_file(pki: Pki) -> None:
    """Certificate, key and CA can be given as texts."""
    indented = {
        name: (pki.directory / name).read_text().replace("\n", "\n    ")
        for name in ("server.crt", "server.key", "ca.crt")
    }
    config = written(
        pki.directory,
        f"tls_server_config:\n  cert: |\n    {indented['server.crt']}\n  key: |\n    {indented['server.key']}\n"
        f"  client_ca: |\n    {indented['ca.crt']}\n  client_auth_type: VerifyClientCertIfGiven\n",
    )
    assert config.tls is not None
    assert config.tls.files() == ()
    assert "PRIVATE" not in repr(config)


_T = "tls_server_config"
_SUITES = (
    "TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, "
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
)
_NO_HASH = "basic_auth_users[0]: not a bcrypt hash; make one with: htpasswd -nBC 10 ''"
_MISSING = "missing; name the file, or leave tls_server_config out for plain HTTP"
_AUTH_TYPES = (
    f"{_T}.client_auth_type: must be one of NoClientCert, RequestClientCert, VerifyClientCertIfGiven, "
    "RequireAndVerifyClientCert"
)
_INTERVAL = "rate_limit.interval: must be a duration such as 1s, 500ms or 1m30s"
_BAD: dict[str, str | None] = {
    "junk": "the file must be a mapping of keys to values, such as key: value",
    "[]": "the file must be a mapping of keys to values, such as key: value",
    "tls: {}": (
        "an unknown key, not shown here; the known ones are tls_server_config, http_server_config, "
        "basic_auth_users, rate_limit"
    ),
    "basic_auth_users:\n  a: b\n  a: c": None,
    f"{_T}: yes": f"{_T}: must be a mapping of keys to values, such as key: value",
    f"{_T}:": f"{_T}: is empty; fill it in, or leave it out for plain HTTP",
    f"{_T}: {{}}": f"{_T}.cert_file: {_MISSING}",
    f"{_T}: {{cert_file: '', key_file: server.key}}": f"{_T}.cert_file: {_MISSING}",
    f"{_T}: {{cert_file: server.crt}}": f"{_T}.key_file: {_MISSING}",
    f"{_T}: {{cert_file: [], key_file: a}}": f"{_T}.cert_file: must be text",
    f"{_T}: {{cert_file: true, key_file: a}}": f"{_T}.cert_file: must be text",
    f"{_TLS}, cert: x}}": f"{_T}.cert: given together with cert_file; leave one of them out",
    f"{_T}: {{cert_file: none.crt, key_file: server.key}}": (
        f"{_T}.cert_file: cannot read DIR/none.crt: No such file or directory"
    ),
    f"{_T}: {{cert_file: server.crt, key_file: none.key}}": (
        f"{_T}.key_file: cannot read DIR/none.key: No such file or directory"
    ),
    f"{_T}: {{cert_file: server.crt, key_file: -----BEGIN PRIVATE KEY----- MIIEvAIBADANBg}}": (
        f"{_T}.key_file: there is no such file; the text itself goes under key"
    ),
    f"{_T}: {{cert_file: server.crt, key_file: client.key}}": (
        f"{_T}.key_file: DIR/client.key is not the key of the certificate DIR/server.crt"
    ),
    f"{_T}: {{cert_file: web.yml, key_file: server.key}}": f"{_T}.cert_file: DIR/web.yml contains no PEM certificate",
    f"{_T}: {{cert_file: server.crt, key: hunter2}}": (
        f"{_T}.key: the text given is not a PEM key that fits DIR/server.crt"
    ),
    f"{_T}: {{cert_file: server.crt, key_file: server.crt}}": (
        f"{_T}.key_file: DIR/server.crt is not a PEM key that fits DIR/server.crt"
    ),
    f"{_T}: {{cert_file: server.crt, key_file: locked.key}}": (
        f"{_T}.key_file: DIR/locked.key is encrypted; give the key without a password"
    ),
    f"{_T}: {{cert_file: ., key_file: server.key}}": f"{_T}.cert_file: cannot read DIR: Is a directory",
    f"{_TLS}, cert_filse: x}}": f"{_T}.cert_filse: unknown key; did you mean cert_file?",
    f"{_TLS}, client_ca_file: ca.crt}}": (
        f"{_T}.client_ca_file: needs client_auth_type: RequireAndVerifyClientCert or VerifyClientCertIfGiven"
    ),
    f"{_TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: none}}": (
        f"{_T}.client_ca_file: there is no such file; the text itself goes under client_ca"
    ),
    f"{_TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: server.key}}": (
        f"{_T}.client_ca_file: DIR/server.key contains no PEM certificates"
    ),
    f"{_TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: /dev/null}}": (
        f"{_T}.client_ca_file: /dev/null contains no PEM certificates"
    ),
    f"{_TLS}, client_auth_type: RequireAnyClientCert}}": _AUTH_TYPES,
    f"{_TLS}, client_auth_type: Always}}": _AUTH_TYPES,
    f"{_TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt, client_allowed_sans: [a]}}": (
        f"{_T}.client_allowed_sans: needs client_auth_type: RequireAndVerifyClientCert, or it protects nothing"
    ),
    f"{_TLS}, client_allowed_sans: a}}": f"{_T}.client_allowed_sans: must be a list; begin each entry with '- '",
    f"{_TLS}, client_allowed_sans: [1]}}": f"{_T}.client_allowed_sans[0]: must be text",
    f"{_TLS}, min_version: TLS111}}": f"{_T}.min_version: must be one of TLS12, TLS13",
    f"{_TLS}, min_version: TLS10}}": f"{_T}.min_version: must be one of TLS12, TLS13",
    f"{_TLS}, max_version: TLS11}}": f"{_T}.max_version: must be one of TLS12, TLS13",
    f"{_TLS}, min_version: TLS13, max_version: TLS12}}": (
        f"{_T}.min_version: newer than max_version; no version is left"
    ),
    f"{_TLS}, cipher_suites: [TLS_X]}}": f"{_T}.cipher_suites[0]: must be one of {_SUITES}",
    f"{_TLS}, cipher_suites: [TLS_AES_128_GCM_SHA256]}}": (
        f"{_T}.cipher_suites: names only suites of TLS 1.3, which are always on; set min_version: TLS13 instead"
    ),
    f"{_TLS}, curve_preferences: [CurveP257]}}": (
        f"{_T}.curve_preferences[0]: must be one of CurveP256, CurveP384, CurveP521, X25519"
    ),
    f"{_TLS}, curve_preferences: [CurveP256, X25519]}}": (
        f"{_T}.curve_preferences: more than one curve is not supported; name one, or leave it out for the usual ones"
    ),
    f"{_TLS}, prefer_server_cipher_suites: 1}}": f"{_T}.prefer_server_cipher_suites: must be true or false",
    "http_server_config: {http3: true}": (
        "http_server_config: an unknown key, not shown here; the known ones are http2, headers"
    ),
    "http_server_config: {headers: {Content-Type: foo}}": (
        "http_server_config.headers: an unknown header, not shown here; the known ones are "
        "Content-Security-Policy, Strict-Transport-Security, X-Content-Type-Options, "
        "X-Frame-Options, X-XSS-Protection"
    ),
    "http_server_config: {headers: {X-Content-Type-Options: sniff}}": (
        "http_server_config.headers.X-Content-Type-Options: must be nosniff"
    ),
    "http_server_config: {headers: {X-Frame-Options: foo}}": (
        "http_server_config.headers.X-Frame-Options: must be deny or sameorigin"
    ),
    'http_server_config: {headers: {Content-Security-Policy: "a\\r\\nSet-Cookie: b"}}': (
        "http_server_config.headers.Content-Security-Policy: must be one line of ASCII"
    ),
    "basic_auth_users: {john: hunter2}": _NO_HASH,
    "basic_auth_users: {john: }": _NO_HASH,
    "basic_auth_users: {john: [a]}": "basic_auth_users[0]: must be text",
    f"basic_auth_users: {{john: {_HASH.replace('$10$', '$03$')}}}": _NO_HASH,
    f"basic_auth_users: {{john: {_HASH.replace('$10$', '$19$')}}}": (
        "basic_auth_users[0]: the bcrypt cost is above 18, so that a check outlasts the request; use 10 or 12"
    ),
    f"basic_auth_users: {{alice: {_HASH}, bob: {_HASH[:-1]}v}}": (
        "basic_auth_users[1]: not a bcrypt hash; make one with: htpasswd -nBC 10 ''"
    ),
    f"basic_auth_users: {{john: {_HASH[:28]}P{_HASH[29:]}}}": _NO_HASH,
    "rate_limit: {hunter2: 1}": "rate_limit: an unknown key, not shown here; the known ones are interval, burst",
    "basic_auth_users: {'alice:hunter2': x}": (
        "basic_auth_users[0]: a user name cannot contain a colon; basic_auth_users[0]: not a bcrypt hash; make one "
        "with: htpasswd -nBC 10 ''"
    ),
    "rate_limit: {intervall: 1s}": "rate_limit.intervall: unknown key; did you mean interval?",
    f"basic_auth_users: {{'a:b': {_HASH}}}": "basic_auth_users[0]: a user name cannot contain a colon",
    "basic_auth_users: [a]": "basic_auth_users: must be a mapping of keys to values, such as key: value",
    "basic_auth_users:": "basic_auth_users: is empty; fill it in, or leave it out to let everybody in",
    "rate_limit: {interval: 1s, burst: -1}": "rate_limit.burst: must be at least 0",
    "rate_limit: {interval: 1s, burst: true}": "rate_limit.burst: must be a whole number",
    "rate_limit: {interval: 1, burst: 1}": _INTERVAL,
    "rate_limit: {interval: 1d, burst: 1}": _INTERVAL,
    "rate_limit: {interval: 1s x, burst: 1}": _INTERVAL,
    "rate_limit: {rate: 1}": "rate_limit: an unknown key, not shown here; the known ones are interval, burst",
}


@pytest.mark.parametrize(("text", "message"), _BAD.items(), ids=[text[:70] for text in _BAD])
def test_a_bad_file_is_refused_in_one_line(text: str, message: str | None, pki: Pki) -> None:
    """Each message names the file, the place in it, the problem and the way out, and never a secret."""
    key = serialization.load_pem_private_key((pki.directory / "server.key").read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"hunter2")
    (pki.directory / "locked.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    with pytest.raises(ConfigError) as caught:
        written(pki.directory, text)
    path = f"{pki.directory}/web.yml"
    expected = f"{path}: {message}" if message else f"{path}:3: a key is given twice (first in line 2)"
    assert str(caught.value) == expected.replace("DIR", str(pki.directory))
    assert "hunter2" not in str(caught.value)


def test_a_certificate_that_openssl_finds_too_weak_is_said_to_be(pki: Pki) -> None:
    """Not to be none."""
    certificate, key = self_signed(rsa.generate_private_key(65_537, 1024))
    (pki.directory / "weak.crt").write_bytes(certificate)
    (pki.directory / "weak.key").write_bytes(key)
    with pytest.raises(ConfigError) as caught:
        written(pki.directory, "tls_server_config: {cert_file: weak.crt, key_file: weak.key}")
    words = f"{pki.directory}/weak.crt is too weak for this machine's {ssl.OPENSSL_VERSION}"
    assert str(caught.value) == f"{pki.directory}/web.yml: tls_server_config.cert_file: {words}"


@pytest.mark.parametrize("setting", ["cert_file", "key_file", "client_ca_file"])
def test_a_certificate_that_is_a_pipe_keeps_nobody_waiting(
    setting: str, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that nobody writes to is as good as an empty file; one that does not end is given up."""
    monkeypatch.setattr(files, "_PIPE_SECONDS", 0.1)
    paths = {"cert_file": "server.crt", "key_file": "server.key", "client_ca_file": "ca.crt"} | {setting: "pipe"}
    keys = ", ".join(f"{key}: {file}" for key, file in paths.items())
    text = f"tls_server_config: {{{keys}, client_auth_type: VerifyClientCertIfGiven}}"
    os.mkfifo(pki.directory / "pipe")
    with pytest.raises(ConfigError, match="PEM"):
        written(pki.directory, text)
    writing = os.open(pki.directory / "pipe", os.O_RDWR)
    try:
        with pytest.raises(ConfigError, match=rf"{setting}: .*pipe: delivers no data"):
            written(pki.directory, text)
    finally:
        os.close(writing)
        (pki.directory / "pipe").unlink()


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    """A missing file, a directory and bytes that are no text are each one line."""
    messages: list[str] = []
    (tmp_path / "latin").write_bytes(b"a: \xff")

    for name in ("none", "", "latin"):
        with pytest.raises(ConfigError) as caught:
            load_web_config(tmp_path / name)
        messages.append(str(caught.value))
    assert messages == [
        f"web config file {tmp_path}/none: No such file or directory",
        f"web config file {tmp_path}: Is a directory",
        f"web config file {tmp_path}/latin: not UTF-8 text",
    ]
