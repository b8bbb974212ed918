"""The HTTP server, its access control and routes."""

from gigas_exporter.web.http import Handler, Request, Response
from gigas_exporter.web.protocol import ServerLimits
from gigas_exporter.web.routes import build_routes
from gigas_exporter.web.server import Server
from gigas_exporter.web.web_config import WebConfig, load_web_config

__all__ = [
    "Handler",
    "Request",
    "Response",
    "Server",
    "ServerLimits",
    "WebConfig",
    "build_routes",
    "load_web_config",
]
