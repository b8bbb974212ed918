"""What the exporter is told, by file, environment and flags: ``load_settings`` gives checked ``Settings``.

This part of the package reads configuration and nothing else: it opens no connection and writes no file.
"""

from __future__ import annotations

from gigas_exporter.config.describe import describe
from gigas_exporter.config.estimate import RequestEstimate, requests_per_hour
from gigas_exporter.config.flags import FLAGS, Flag
from gigas_exporter.config.load import load_settings
from gigas_exporter.config.settings import (
    AccountSettings,
    LogSettings,
    PollSettings,
    Settings,
    Shard,
    WebSettings,
)

__all__ = [
    "FLAGS",
    "AccountSettings",
    "Flag",
    "LogSettings",
    "PollSettings",
    "RequestEstimate",
    "Settings",
    "Shard",
    "WebSettings",
    "describe",
    "load_settings",
    "requests_per_hour",
]
