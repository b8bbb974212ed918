"""Read file, environment and flags into validated settings.

The package only reads configuration: it opens no connection and writes no file.
"""

from gigas_exporter.config.accounts import DiscoveryFilter
from gigas_exporter.config.flags import FLAGS, Flag
from gigas_exporter.config.load import load_settings
from gigas_exporter.config.schema import LogSettings, PollSettings, WebSettings
from gigas_exporter.config.settings import AccountSettings, Settings, Shard

__all__ = [
    "FLAGS",
    "AccountSettings",
    "DiscoveryFilter",
    "Flag",
    "LogSettings",
    "PollSettings",
    "Settings",
    "Shard",
    "WebSettings",
    "load_settings",
]
