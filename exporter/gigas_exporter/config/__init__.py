"""What the exporter is told, by file, environment and flags: ``load_settings`` gives checked ``Settings``.

This part of the package reads configuration and nothing else: it opens no connection and writes no file.
"""

from __future__ import annotations

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
    "AccountSettings",
    "LogSettings",
    "PollSettings",
    "Settings",
    "Shard",
    "WebSettings",
    "load_settings",
]
