"""Serving over HTTP: a hardened server, access control and routes. Knows a renderer and a readiness answer, no more."""

from __future__ import annotations

from gigas_exporter.web.message import Handler, Request, Response
from gigas_exporter.web.routes import build_routes
from gigas_exporter.web.server import Limits, Server
from gigas_exporter.web.webconfig import WebConfig, load_web_config

__all__ = ["Handler", "Limits", "Request", "Response", "Server", "WebConfig", "build_routes", "load_web_config"]
