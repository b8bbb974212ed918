"""A real Prometheus scrapes the server: plainly, and over TLS with a client certificate and basic auth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt

from gigas_exporter.web import Request, Response, Server, WebConfig, build_routes, load_web_config
from support.programs import await_true, prometheus

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


@dataclass
class _Exposition:
    chunks: tuple[bytes, ...]
    content_type: str
    content_encoding: str | None = None


class _Page:
    def __init__(self) -> None:
        self.asked: list[bool] = []

    def render(self, *, openmetrics: bool, gzip: bool) -> _Exposition:
        self.asked.append(openmetrics)
        end = b"# EOF\n" if openmetrics else b""
        kind = (
            "application/openmetrics-text; version=1.0.0; charset=utf-8" if openmetrics else "text/plain; version=0.0.4"
        )
        return _Exposition((b"# TYPE gigas_up gauge\n", b'gigas_up{account_id="4242"} 1\n', end), kind)


async def _index(_: Request) -> Response:
    return Response(200)


def _serve_page(serve: Callable[..., Server], page: _Page, web_config: WebConfig | None) -> int:
    routes = build_routes(
        page,
        telemetry_path="/metrics",
        ready=lambda: None,
        healthy=lambda: True,
        reload=None,
        index=_index,
    )
    return serve(routes, web_config).address[1]


def test_prometheus_scrapes(
    pki: Any,
    serve: Callable[..., Server],
) -> None:
    """Samples arrive, asked for as OpenMetrics, plainly as well as with a client certificate and a password."""
    directory: Path = pki.directory
    stored = bcrypt.hashpw(b"right", bcrypt.gensalt(6)).decode()
    (directory / "web.yml").write_text(_TLS_AND_USERS.format(hash=stored))
    plain, secured = _Page(), _Page()
    plain_port = _serve_page(serve, plain, None)
    secured_port = _serve_page(serve, secured, load_web_config(directory / "web.yml"))
    config = _PROMETHEUS.replace("PLAIN", str(plain_port)).replace("SECURED", str(secured_port))
    with prometheus(directory, config) as server:
        await_true(lambda: len(server.query("gigas_up == 1")) == 2, 20)
        await_true(lambda: min(len(plain.asked), len(secured.asked)) > 2)
        found = server.query('gigas_up{account_id="4242"}')
    assert {labels["job"] for labels, _ in found} == {"plain", "secured"}
    assert all(plain.asked + secured.asked)
