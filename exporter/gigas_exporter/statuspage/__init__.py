"""The status page: all disks at a glance, without Grafana."""

from gigas_exporter.statuspage.handler import StatusPageHandler
from gigas_exporter.statuspage.page import StatusPage

__all__ = ["StatusPage", "StatusPageHandler"]
