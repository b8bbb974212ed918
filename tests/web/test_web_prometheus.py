"""A real Prometheus scrapes the server: plainly, and over TLS with a client certificate and basic auth."""

from __future__ import annotations

import bcrypt

from support.programs import await_true, prometheus
from web.conftest import Pki, RecordedPage, Serve, routes_of, written

_TLS_AND_USERS = """
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [scraper]
basic_auth_users:
  prometheus: '{hash}'
"""
_PROMETHEUS = """
global: {scrape_interval: 300ms, scrape_timeout: 300ms}
scrape_configs:
  - job_name: plain
    static_configs: [{targets: ['127.0.0.1:PLAIN']}]
  - job_name: secured
    static_configs: [{targets: ['127.0.0.1:SECURED']}]
    scheme: https
    basic_auth: {username: prometheus, password: right}
    tls_config: {ca_file: ca.crt, cert_file: client.crt, key_file: client.key, server_name: localhost}
"""


def test_prometheus_scrapes(pki: Pki, serve: Serve) -> None:
    """Samples arrive, asked for as OpenMetrics, plainly as well as with a client certificate and a password."""
    stored = bcrypt.hashpw(b"right", bcrypt.gensalt(6)).decode()
    plain, secured = RecordedPage(), RecordedPage()
    plain_port = serve(routes_of(plain)).address[1]
    secured_port = serve(routes_of(secured), written(pki.directory, _TLS_AND_USERS.format(hash=stored))).address[1]
    config = _PROMETHEUS.replace("PLAIN", str(plain_port)).replace("SECURED", str(secured_port))
    with prometheus(pki.directory, config) as server:
        await_true(lambda: len(server.query("gigas_up == 1")) == 2, 20)
        await_true(lambda: min(len(plain.asked), len(secured.asked)) > 2)
        found = server.query('gigas_up{account_id="4242"}')
    assert {labels["job"] for labels, _ in found} == {"plain", "secured"}
    assert {openmetrics for openmetrics, _ in plain.asked + secured.asked} == {True}
